/**
 * A volume over a directory, random work in it, and applies: compared with the
 * directory itself, which afterwards must be what the tree is, while every
 * snapshot stays as it was.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Deferred } from '../../src/lib/deferred.js';
import { realClock } from '../../src/lib/clock.js';
import { FsError } from '../../src/lib/errors.js';
import { S_IFDIR, S_IFIFO, S_IFLNK, S_IFMT, S_IFREG } from '../../src/lib/file-mode.js';
import type { Work } from '../../src/lib/work.js';
import { ROOT_INODE } from '../../src/format/records/tables.js';
import { BaseDirectory } from '../../src/base/base-directory.js';
import { checkVolumeAt } from '../../src/check/check.js';
import { appliedParts } from '../../src/volume/apply/applied.js';
import { type ApplyHost, type ApplyOutcome, applyLayer } from '../../src/volume/apply/apply.js';
import { recoverApplyNow } from '../../src/volume/apply/carry-out.js';
import { type GivenBack, giveBack } from '../../src/volume/apply/give-back.js';
import { undoApply } from '../../src/volume/apply/undo-apply.js';
import { type FreezeOutcome, freezeBase } from '../../src/volume/freeze/freeze.js';
import { InlineSink } from '../../src/volume/commit/inline-sink.js';
import { createVolume } from '../../src/volume/create-volume.js';
import { DEFAULT_OPTIONS } from '../../src/volume/options.js';
import type { View } from '../../src/volume/view.js';
import { Volume } from '../../src/volume/volume.js';
import type { Random } from './random.js';

const BLOCK = 4096;
const COLLECTED_SLICES = 20;
const WHO = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const NAMES = ['a', 'b', 'c', 'd', 'e', 'x', 'y', 'z', 'n1', 'n2', 'deep', 'hard', 'caf\xe9 \xff'];

export type Manifest = Map<string, string>;

function hash(bytes: Uint8Array): string {
  return createHash('sha1').update(bytes).digest('hex').slice(0, 12);
}

export class ApplyRun {
  readonly path: string;
  volume: Volume;
  readonly snapshots = new Map<string, Manifest>();
  readonly host: ApplyHost;

  constructor(readonly base: string) {
    this.path = join(fs.mkdtempSync(join(tmpdir(), 'shadowfs-apply-')), 'volume');
    const directory = BaseDirectory.open(base);
    createVolume({
      path: this.path,
      options: { ...DEFAULT_OPTIONS, blockSize: BLOCK, keepUndo: 5 },
      clock: realClock(),
      ...WHO,
      base: { path: base, directory },
    });
    directory.close();
    this.volume = this.#open();
    const settled = (): Deferred<void> => {
      const done = new Deferred<void>();
      this.volume.pump();
      done.resolve();
      return done;
    };
    this.host = {
      pause: settled,
      flush: settled,
      flushFile: settled,
      rights: { uid: WHO.uid, groups: new Set(process.getgroups?.() ?? []) },
      volumePath: this.path,
      onProgress: () => undefined,
    };
  }

  #open(): Volume {
    return Volume.open({
      path: this.path,
      writer: { kind: 'inline' },
      base: { path: this.base, directory: BaseDirectory.open(this.base) },
    });
  }

  reopen(): void {
    this.volume.close();
    this.volume = this.#open();
  }

  /** What the volume takes the base to be. */
  get applied(): string {
    return JSON.stringify(appliedParts(this.volume));
  }

  /** As if the process had been killed; returns what became of an apply. */
  crash(): string | undefined {
    this.volume.core.sink.close();
    this.volume.core.reader.close();
    this.volume.core.base?.close();
    this.volume = this.#open();
    return recoverApplyNow(this.volume, this.path);
  }

  dispose(): void {
    this.volume.close();
    fs.rmSync(join(this.path, '..'), { recursive: true });
    fs.rmSync(this.base, { recursive: true });
  }

  // What views and directories show

  /** `isWhole`: also what the base can't have: numbers and ctimes. */
  manifest(view: View, isWhole: boolean): Manifest {
    const { volume } = this;
    const lines: Manifest = new Map();
    const first = new Map<number, string>();
    const visit = (path: string, ino: number): void => {
      const inode = volume.inode(view, ino);
      assert.ok(inode !== undefined, `${path}: inode ${ino}`);
      const type = inode.mode & S_IFMT;
      const link = first.get(ino) ?? path;
      first.set(ino, link);
      const xattrs = volume
        .listAttributes(view, inode)
        .sort()
        .map((name) => `${name}=${hash(volume.readAttribute(view, inode, name) ?? Buffer.of())}`);
      const words = [
        inode.mode.toString(8),
        `${inode.uid}:${inode.gid}`,
        `${inode.mtimeS}.${inode.mtimeNs}`,
        `link ${link}`,
        xattrs.join(),
      ];
      if (type === S_IFREG) {
        const bytes = Buffer.alloc(inode.size);
        const count = volume.read(view, inode, 0, inode.size, bytes, 0);
        assert.equal(count, inode.size, path);
        words.push(String(inode.size), hash(bytes));
      }
      if (type === S_IFLNK) words.push(inode.target ?? '');
      if (isWhole) {
        words.push(`ino ${ino} nlink ${inode.nlink} ctime ${inode.ctimeS}.${inode.ctimeNs}`);
        words.push(`size ${inode.size} birth ${inode.btimeS}.${inode.btimeNs}`);
      }
      lines.set(path, words.join(' '));
      if (type !== S_IFDIR) return;
      const names: [string, number][] = [];
      volume.list(view, inode, 0, (name, child) => names.push([name, child]) > 0);
      for (const [name, child] of names.sort(([a], [b]) => (a < b ? -1 : 1))) {
        const found = volume.lookup(view, inode, name);
        assert.equal(found?.ino, child, `${path}/${name}: a listing and a lookup`);
        visit(path === '' ? name : `${path}/${name}`, child);
      }
    };
    visit('', ROOT_INODE);
    return lines;
  }

  get live(): Manifest {
    return this.manifest(this.volume.live, false);
  }

  /** The directory as it is on the disk. */
  disk(): Manifest {
    const lines: Manifest = new Map();
    const first = new Map<string, string>();
    const raw = (path: string): Buffer =>
      Buffer.concat([Buffer.from(`${this.base}/`), Buffer.from(path, 'latin1')]);
    const base = BaseDirectory.open(this.base);
    const visit = (path: string): void => {
      const stat = fs.lstatSync(raw(path), { bigint: true });
      const link = stat.isDirectory() ? path : (first.get(String(stat.ino)) ?? path);
      first.set(String(stat.ino), link);
      const xattrs = base
        .listxattr(path)
        .sort()
        .map((name) => `${name}=${hash(base.getxattr(path, name) ?? Buffer.of())}`);
      const words = [
        stat.mode.toString(8),
        `${stat.uid}:${stat.gid}`,
        `${stat.mtimeNs / 1_000_000_000n}.${stat.mtimeNs % 1_000_000_000n}`,
        `link ${link}`,
        xattrs.join(),
      ];
      if (stat.isFile()) words.push(String(stat.size), hash(fs.readFileSync(raw(path))));
      if (stat.isSymbolicLink()) words.push(fs.readlinkSync(raw(path), 'latin1'));
      lines.set(path, words.join(' '));
      if (!stat.isDirectory()) return;
      const names = fs.readdirSync(raw(path), { encoding: 'latin1' });
      for (const name of names.sort()) visit(path === '' ? name : `${path}/${name}`);
    };
    visit('');
    base.close();
    return lines;
  }

  // Work

  /** One random change; refused ones count, too. */
  work(random: Random): void {
    const { volume } = this;
    if (!volume.beginChange()) volume.pump();
    const directory = this.#someDirectory(random);
    const name = random.pick(NAMES);
    const child = volume.inode(volume.live, directory);
    const found = child === undefined ? undefined : volume.lookup(volume.live, child, name);
    const unused = (): boolean => false;
    try {
      random.weighted<() => unknown>([
        [5, () => this.#make(random, directory, name)],
        [3, () => volume.create(WHO, directory, name, { mode: S_IFDIR | 0o755 })],
        [1, () => volume.create(WHO, directory, name, { mode: S_IFLNK | 0o777, target: 'a/b' })],
        [1, () => volume.create(WHO, directory, name, { mode: S_IFIFO | 0o640 })],
        [4, () => volume.unlink(directory, name, unused)],
        [2, () => volume.removeDirectory(directory, name, unused)],
        [1, () => this.#removeTree(directory, name)],
        [
          7,
          () => {
            const to = this.#someDirectory(random);
            if (found?.isDirectory && this.#isBelow(to, found.ino)) return;
            const how = random.chance(0.2) ? 2 : 0;
            const newName = random.pick(NAMES);
            const parent = volume.inode(volume.live, to);
            const target = parent && volume.lookup(volume.live, parent, newName);
            // The kernel lets no directory into itself.
            if (target?.isDirectory && this.#isBelow(directory, target.ino)) return;
            volume.rename(directory, name, to, newName, how, unused);
          },
        ],
        [3, () => found && volume.link(found.ino, this.#someDirectory(random), random.pick(NAMES))],
        [4, () => found?.isRegular && this.#write(random, found.ino, found.size)],
        [
          2,
          () =>
            found?.isRegular &&
            volume.setAttributes(found.ino, { size: random.below(found.size + 9000) }),
        ],
        [
          2,
          () =>
            found &&
            !found.isSymlink &&
            volume.setAttributes(found.ino, { mode: random.pick([0o600, 0o755, 0o4711]) }),
        ],
        [
          1,
          () =>
            found &&
            volume.setAttributes(found.ino, {
              mtime: { s: random.below(2 ** 31), ns: 123_456_789 },
            }),
        ],
        [
          2,
          () =>
            (found?.isRegular || found?.isDirectory) &&
            volume.xattrs.set(
              found.ino,
              `user.${random.pick(['x', 'y', 'z'])}`,
              random.bytes(9),
              0,
            ),
        ],
        [1, () => found && volume.xattrs.remove(found.ino, 'user.x')],
      ])();
    } catch (error) {
      if (!(error instanceof FsError) || error.code === 'EIO') throw error;
    }
  }

  #make(random: Random, directory: number, name: string): void {
    const { ino } = this.volume.create(WHO, directory, name, { mode: S_IFREG | 0o644 });
    this.#write(random, ino, 0);
  }

  #write(random: Random, ino: number, size: number): void {
    this.volume.write(ino, random.below(size + 5000), random.bytes(random.below(9000)));
  }

  #isBelow(ino: number, top: number): boolean {
    const path = this.volume.pathOf(this.volume.live, ino) ?? '';
    const above = this.volume.pathOf(this.volume.live, top) ?? '';
    return path === above || path.startsWith(`${above}/`);
  }

  #removeTree(directory: number, name: string): void {
    const { volume } = this;
    const unused = (): boolean => false;
    const parent = volume.inode(volume.live, directory);
    const top = parent && volume.lookup(volume.live, parent, name);
    if (top?.isDirectory !== true) return;
    const names: string[] = [];
    volume.list(volume.live, top, 0, (child) => names.push(child) > 0);
    for (const child of names) {
      const found = volume.lookup(volume.live, top, child);
      if (found?.isDirectory) this.#removeTree(top.ino, child);
      else volume.unlink(top.ino, child, unused);
    }
    volume.removeDirectory(directory, name, unused);
  }

  #someDirectory(random: Random): number {
    const { volume } = this;
    let at = ROOT_INODE;
    while (random.chance(0.6)) {
      const inode = volume.inode(volume.live, at);
      const below: number[] = [];
      if (inode !== undefined) {
        volume.list(volume.live, inode, 0, (name) => {
          const child = volume.lookup(volume.live, inode, name);
          if (child?.isDirectory) below.push(child.ino);
          return true;
        });
      }
      if (below.length === 0) break;
      at = random.pick(below);
    }
    return at;
  }

  save(name: string): void {
    this.volume.save(name, 'test');
    this.volume.flush();
    const snapshot = this.volume.requireSnapshot(name);
    this.snapshots.set(name, this.manifest(this.volume.viewOf(snapshot), true));
  }

  seal(): number {
    const layer = this.volume.applied.seal();
    this.volume.flush();
    return layer;
  }

  applying(layer: number, paths: readonly string[] = [], ours = false): Work<ApplyOutcome> {
    return applyLayer(this.volume, layer, { paths, ours, source: 'test' }, this.host);
  }

  givingBack(paths: readonly string[] = []): Work<GivenBack> {
    return giveBack(this.volume, paths, this.host);
  }

  freezing(): Work<FreezeOutcome> {
    const { pause, rights } = this.host;
    return freezeBase(this.volume, {
      pause,
      onProgress: () => undefined,
      isStopped: () => false,
      reader: rights,
      source: 'test',
      isForced: false,
    });
  }

  /** The directory stays, with nothing in it. */
  emptyBase(): void {
    fs.rmSync(this.base, { recursive: true });
    fs.mkdirSync(this.base);
  }

  /** Undefined: nothing was applied. */
  nextUndo(): 'back' | 'forward' | undefined {
    return this.volume.nextUndo.next?.direction;
  }

  /** The last apply, taken back, or done again after that. */
  undoing(): Work<unknown> {
    const plan = this.volume.planBaseUndo(undefined);
    assert.ok(plan !== undefined, 'undo passes an apply');
    return undoApply(this.volume, plan, { ours: false, source: 'test' }, this.host);
  }

  /** Stores what is open; the collector, too, works a little. */
  flush(): void {
    const { volume } = this;
    volume.flush();
    const { sink } = volume.core;
    assert.ok(sink instanceof InlineSink);
    sink.collect(COLLECTED_SLICES);
    volume.flush();
  }

  /** Runs at most `turns` pieces; true when it was done by then. */
  runFor(turns: number, work: Work<unknown>): boolean {
    for (let i = 0; i < turns; i++) {
      const { value, done } = work.next();
      if (done === true) return true;
      if (value !== undefined) this.flush();
    }
    return false;
  }

  // What must hold

  snapshotsHold(): void {
    for (const [name, manifest] of this.snapshots) {
      const snapshot = this.volume.snapshot(name);
      if (snapshot === undefined) continue;
      same(this.manifest(this.volume.viewOf(snapshot), true), manifest, `snapshot ${name}`);
    }
  }

  check(): void {
    const directory = BaseDirectory.open(this.base);
    const base = { path: this.base, directory };
    const { findings } = checkVolumeAt({ path: this.path, base });
    directory.close();
    const told = findings.map(({ rule, what, where }) => `${rule}: ${what} (${where})`);
    assert.deepEqual(told, [], 'check');
  }
}

/** The first lines that differ say more than two whole trees. */
export function same(found: Manifest, wanted: Manifest, what: string): void {
  const paths = new Set([...found.keys(), ...wanted.keys()]);
  const lines: string[] = [];
  for (const path of paths) {
    if (found.get(path) === wanted.get(path)) continue;
    lines.push(`${path}\n  is     ${found.get(path)}\n  wanted ${wanted.get(path)}`);
  }
  assert.equal(lines.slice(0, 5).join('\n'), '', what);
}
