/**
 * The truth that the figures of `space` are held to: what a volume loses when
 * snapshots and branches are deleted in a copy of it, and the collector is done.
 */
import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { layerOf, placeOf } from '../../src/format/records/keys.js';
import { TABLE } from '../../src/format/records/tables.js';
import { BaseDirectory } from '../../src/base/base-directory.js';
import type { TableReader } from '../../src/store/reader.js';
import { InlineSink } from '../../src/volume/commit/inline-sink.js';
import { measureSpace, type SpaceReport } from '../../src/volume/space/space.js';
import { Volume } from '../../src/volume/volume.js';
import type { Random } from './random.js';
import { allVersions, seenFrom, type Version } from './store-scan.js';
import { BLOCK } from './volume-run.js';

const SETS = 6;

function even(bytes: number): number {
  return bytes + (bytes % 2) + 2;
}

/** Bytes of a record as LMDB stores it: in its leaf, or in pages of its own. */
function nodeBytes(key: number, value: number): number {
  const inline = 8 + key + value;
  if (inline <= 2034) return even(inline);
  return even(8 + key + 24) + Math.ceil((24 + value) / 4096) * 4096;
}

/** What all versions take that are no marks of removal, with their entries of the delta map. */
function storedBytes(reader: TableReader): number {
  let total = 0;
  for (const table of [TABLE.inodes, TABLE.entries, TABLE.blocks, TABLE.attributes]) {
    let last = '';
    for (const { key, value } of reader.range(table, undefined, undefined)) {
      const place = placeOf(table, key);
      const version = `${place.toString('latin1')} ${layerOf(table, key)}`;
      if (value[0] !== 0) {
        total += nodeBytes(key.length, value.length);
        if (version !== last) total += even(8 + 7 + place.length);
      }
      last = version;
    }
  }
  return total;
}

/** A volume that nobody has open, and a directory for copies of it. */
interface Fixture {
  path: string;
  base: string | undefined;
  directory: string;
}

function open({ base }: Fixture, path: string): Volume {
  return Volume.open({
    path,
    writer: { kind: 'inline' },
    ...(base !== undefined && { base: { path: base, directory: BaseDirectory.open(base) } }),
  });
}

function withCopy<T>(fixture: Fixture, use: (volume: Volume) => T): T {
  const path = mkdtempSync(join(fixture.directory, 'copy-'));
  copyFileSync(join(fixture.path, 'data.mdb'), join(path, 'data.mdb'));
  const volume = open(fixture, path);
  try {
    return use(volume);
  } finally {
    volume.close();
    rmSync(path, { recursive: true });
  }
}

function collectAll(volume: Volume): void {
  const { sink } = volume.core;
  assert.ok(sink instanceof InlineSink);
  volume.flush();
  for (let rounds = 0; rounds < 100; rounds++) {
    const done = sink.collect();
    volume.flush();
    if (done === 0) return;
  }
  assert.fail('the collector never ends');
}

/** Deletes them, also what a branch leaves as an undo snapshot. Returns all that went. */
function deleteAll(volume: Volume, snapshots: readonly string[], branches: readonly string[]) {
  const gone = new Set(snapshots);
  for (const name of branches) {
    const { undo, pruned } = volume.branchCommands.delete(name, 'test');
    for (const one of pruned) gone.add(one);
    if (undo === undefined) continue;
    volume.deleteSnapshot(undo, 'test', true);
    gone.delete(undo);
  }
  for (const name of snapshots) {
    if (volume.snapshot(name) !== undefined) volume.deleteSnapshot(name, 'test', true);
  }
  return [...gone];
}

function checkSet(
  fixture: Fixture,
  all: SpaceReport,
  snapshots: readonly string[],
  branches: readonly string[],
): void {
  const { gone, lost } = withCopy(fixture, (volume) => {
    const before = storedBytes(volume.store);
    const words = deleteAll(volume, snapshots, branches);
    collectAll(volume);
    return { gone: words, lost: before - storedBytes(volume.store) };
  });
  withCopy(fixture, (volume) => {
    const { set, files, totals } = measureSpace(volume, { words: gone, branches, files: 1e6 });
    const freed = set?.freedBytes ?? 0;
    const what = `${gone.join()} and branches ${branches.join()}`;
    assert.equal(freed + totals.pendingBytes, lost, `what goes with ${what}`);
    const byFile = (files ?? []).reduce((sum, { bytes }) => sum + bytes, 0);
    assert.equal(byFile, freed, 'the files add up');
    const only = [
      ...all.snapshots.filter(({ name }) => gone.includes(name)),
      ...all.branches.filter(({ name }) => branches.includes(name)),
    ];
    if (only.length === 1) assert.equal(only[0]?.onlyBytes, freed, `${what} alone`);
  });
}

/** With its entry of the delta map: the newest step of a layer is the one that is read. */
function versionBytes({ table, key, value }: Version): number {
  if (value[0] === 0) return 0;
  const { length } = placeOf(table, key);
  return nodeBytes(key.length, value.length) + even(8 + 7 + length);
}

/** Every view by itself, from the tables alone. */
function checkViews(volume: Volume, report: SpaceReport): void {
  const versions = allVersions(volume.store);
  const seen = (top: number): Set<Version> => {
    const path = new Set(volume.layers.path(top));
    return new Set(seenFrom(path, versions, BLOCK).filter(({ table }) => table !== TABLE.orphans));
  };
  const bytesOf = (some: Iterable<Version>): number =>
    [...some].reduce((sum, one) => sum + versionBytes(one), 0);
  const live = seen(volume.live.top);
  const check = (
    name: string,
    top: number,
    found: { sharedBytes: number; referencedBytes: number },
  ): void => {
    const own = seen(top);
    const shared = [...own].filter((one) => live.has(one));
    assert.equal(found.referencedBytes, bytesOf(own), `what ${name} references`);
    assert.equal(found.sharedBytes, bytesOf(shared), `what ${name} shares`);
  };
  for (const one of report.snapshots) check(one.name, volume.snapshot(one.name)?.layer ?? 0, one);
  for (const one of report.branches) {
    check(one.name, volume.branches.openLayer(one.name).number, one);
  }
}

/** The whole: each version is counted once. */
function checkReport(fixture: Fixture, hasGiven: boolean): SpaceReport {
  return withCopy(fixture, (volume) => {
    const report = measureSpace(volume);
    const { indexBytes, ...parts } = report.totals;
    const counted = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
    assert.equal(counted, storedBytes(volume.store), 'every version is counted once');
    assert.equal(counted + indexBytes, report.usedBytes);
    assert.ok(report.isExact);
    if (!hasGiven) checkViews(volume, report);
    return report;
  });
}

/** All sets of one, some of more, and all. `hasGiven`: the base may have bytes of files. */
export function checkSpace(
  volumePath: string,
  base: string | undefined,
  random: Random,
  hasGiven = false,
): void {
  const directory = mkdtempSync(join(volumePath, '..', 'space-'));
  const fixture = { path: join(directory, 'volume'), base, directory };
  mkdirSync(fixture.path);
  copyFileSync(join(volumePath, 'data.mdb'), join(fixture.path, 'data.mdb'));
  const report = checkReport(fixture, hasGiven);
  const names = report.snapshots.map(({ name }) => name);
  const branches = report.branches.map(({ name }) => name).filter((name) => name !== 'main');
  checkSet(fixture, report, [], []);
  for (const name of names) checkSet(fixture, report, [name], []);
  for (const name of branches) checkSet(fixture, report, [], [name]);
  for (let i = 0; i < SETS && names.length > 0; i++) {
    const some = (all: readonly string[]): string[] => all.filter(() => random.chance(0.5));
    checkSet(fixture, report, some(names), i < 2 ? [] : some(branches));
  }
  checkSet(fixture, report, names, []);
}
