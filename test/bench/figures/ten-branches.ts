/**
 * Ten programs in ten branches of one tree, each mounted in a place of its own,
 * beside the same ten in one mount: time, memory of the server, and the space
 * that comes back when nine branches are dropped.
 */
import { mkdirSync } from 'node:fs';
import { formatBytes, formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { childBeside, interruptible, run, sleepMs } from '../shell.js';
import { anonymousBytes, type Place } from '../systems/system.js';
import { command } from './control.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';
import { populate } from './populate.js';

const BRANCHES = 10;
const ROUNDS = 3;
/** As many files as that at most: ten worlds over one tree of a usual size. */
const FILES_MAX = 100_000;
/** Of the tree, by each of the ten. */
const PART = 20;
const DRAIN_MAX_MS = 60_000;
const DRAIN_POLL_MS = 2_000;
const MB = 1e6;

const numbers = Array.from({ length: BRANCHES }, (_, n) => n);
const branchName = (n: number): string => `world-${n}`;

interface Figures {
  files: number;
  oneMs: number[];
  tenMs: number[];
  oneBytes: number;
  tenBytes: number;
  /** What the ten have stored of their own. */
  heldBytes: number;
  /** By nine of them. */
  givenBackBytes: number;
}

/** All ten at once, from the first one's start to the last one's end, in ms of wall-clock. */
async function together(roots: readonly string[], files: number, stamp: string): Promise<number> {
  const start = process.hrtime.bigint();
  const each = Math.floor(files / PART);
  const jobs = numbers.map((n) => {
    const from = Math.floor((n * files) / BRANCHES);
    return childBeside('session', roots[n] ?? '', from, each, stamp);
  });
  await Promise.all(jobs);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

/** What it uses when the collector has nothing left to do. */
function drained(context: FigureContext, place: Place): number {
  let before = Number.NaN;
  for (const endMs = Date.now() + DRAIN_MAX_MS; Date.now() < endMs; sleepMs(DRAIN_POLL_MS)) {
    run('sync', ['-f', place.mountpoint]);
    const now = context.system.storedBytes(place);
    if (now === before) return now;
    before = now;
  }
  throw new Error('the collector does not come to an end');
}

async function measureOne(context: FigureContext, place: Place, files: number): Promise<Figures> {
  const { system } = context;
  const figures: Figures = {
    files,
    oneMs: [],
    tenMs: [],
    oneBytes: 0,
    tenBytes: 0,
    heldBytes: 0,
    givenBackBytes: 0,
  };
  const drain = (): number => drained(context, place);
  const volume = `${place.data}/volume`;
  const places = numbers.map((n) => `${place.mountpoint}-${n}`);
  for (const path of places) mkdirSync(path, { recursive: true });
  for (const n of numbers) command(place.mountpoint, 'branch', branchName(n));
  for (let round = 0; round < ROUNDS; round++) {
    // Neither has anything in the caches.
    system.unmount(place);
    system.mount(place);
    const stamp = `round ${round}`;
    figures.oneMs.push(
      await together(
        numbers.map(() => place.mountpoint),
        files,
        stamp,
      ),
    );
    figures.oneBytes = anonymousBytes(system.serverPid(place));
    system.unmount(place);
    system.mount(place);
    for (const n of numbers)
      system.cli('mount', '--branch', branchName(n), '--volume', volume, places[n] ?? '');
    const before = drain();
    figures.tenMs.push(await together(places, files, stamp));
    figures.tenBytes = anonymousBytes(system.serverPid(place));
    figures.heldBytes += drain() - before;
    for (const path of places) system.cli('umount', path);
    context.say(`ten branches: round ${round + 1} of ${ROUNDS}`);
    await interruptible();
  }
  const before = drain();
  for (const n of numbers.slice(1)) {
    const name = branchName(n);
    const { undo } = command(place.mountpoint, 'branch-delete', name) as { undo?: string };
    // What it held stays for a while, as after a restore; now it goes as well.
    if (undo !== undefined) command(place.mountpoint, 'delete', undo);
  }
  figures.givenBackBytes = before - drain();
  return figures;
}

function section(all: readonly Figures[]): string {
  const lines = all.map((one) => [
    counted(one.files),
    formatMs(median(one.oneMs)),
    formatMs(median(one.tenMs)),
    (median(one.tenMs) / median(one.oneMs)).toFixed(2),
    formatBytes(one.oneBytes),
    formatBytes(one.tenBytes),
    formatBytes(one.heldBytes),
    formatBytes(one.givenBackBytes),
  ]);
  const head = [
    'files',
    'one mount',
    'ten',
    'ratio',
    'memory',
    'of ten',
    'ten hold',
    'nine give back',
  ];
  return [
    `ten programs at once, each at work on a twentieth of the tree (read, overwrite, rename over, unlink), in one\n` +
      `mount and in ten mounted branches, nothing in the caches: ms (median of ${ROUNDS}); memory of the server (RssAnon);\n` +
      'what the ten branches have stored of their own, and what comes back when nine are dropped',
    formatTable([head, ...lines]),
  ].join('\n');
}

export const tenBranches: FigureSet = {
  names: ['ten-branches'],
  measure: async (context) => {
    const all: Figures[] = [];
    const files = Math.max(...context.files.filter((count) => count <= FILES_MAX));
    await withVolume(context, 'ten-branches', async (place) => {
      await populate(context, place.mountpoint, files);
      context.system.settle(place);
      all.push(await measureOne(context, place, files));
    });
    const rows: Measured[] = all.flatMap((one) => {
      const title = `ten programs in ten branches beside one mount, ${counted(one.files)} files`;
      const ratios = one.tenMs.map((ms, i) => ms / (one.oneMs[i] ?? Number.NaN));
      const memory = 'memory of the server of ten mounts';
      return [
        ownRow(context, 'ten-branches', title, 'x', ratios, { atMost: 1.1 }),
        ownRow(context, 'ten-branches-memory', memory, 'bytes', [one.tenBytes], {
          atMost: 250 * MB,
        }),
      ];
    });
    return { sections: [section(all)], rows };
  },
};
