/**
 * The figures of shadowfs's own commands: how long save and restore take
 * against the size of the tree and of the change, what a read costs across many
 * layers, and what the first write into a large base file takes and stores.
 */
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { command, type Timings, timingsOf } from './control.js';
import type { Image } from './image.js';
import { formatMs, formatTable, median } from './report.js';
import { child, childMs, interruptible, run } from './shell.js';
import type { Shadowfs } from './systems.js';

export interface FigureContext {
  image: Image;
  system: Shadowfs;
  isQuick: boolean;
  say: (message: string) => void;
}

export interface CommandFigures {
  name: string;
  measure(context: FigureContext): Promise<{ section: string; values: unknown }>;
}

interface Place {
  data: string;
  mountpoint: string;
}

/** A mounted volume without a base, for as long as `body` runs. */
async function withVolume<T>(
  { image, system }: FigureContext,
  name: string,
  body: (place: Place) => Promise<T>,
): Promise<T> {
  const data = join(image.disk, name);
  const mountpoint = join(image.directory, 'mounts', name);
  mkdirSync(mountpoint, { recursive: true });
  system.mount(data, mountpoint);
  const result = await body({ data, mountpoint });
  system.check(mountpoint);
  system.unmount(mountpoint);
  rmSync(data, { recursive: true });
  return result;
}

const medianOf = <T>(of: readonly T[], value: (one: T) => number | undefined): number =>
  median(of.map((one) => value(one) ?? Number.NaN));

// save and restore against the sizes of the tree and of the change

interface CommandRow {
  files: number;
  changed: number;
  /** Straight after the changes, or when they were stored already. */
  when: 'at once' | 'settled';
  save: Timings[];
  restore: Timings[];
  flushMs: number[];
}

const SAMPLES = 5;

function flushMs({ image }: FigureContext): number {
  return childMs('flush', join(image.disk, 'flushed'));
}

async function sampleCommands(
  context: FigureContext,
  { mountpoint }: Place,
  row: CommandRow,
): Promise<void> {
  const { system } = context;
  const name = `s-${row.changed}-${row.when === 'settled' ? 1 : 0}`;
  const settle = (): void => {
    if (row.when !== 'settled') return;
    run('sync', ['-f', mountpoint]);
    system.settle(mountpoint);
    run('sync', ['-f', context.image.disk]);
  };
  for (let i = 0; i < SAMPLES; i++) {
    await interruptible();
    child('change', mountpoint, row.files, row.changed, `save ${i}`);
    settle();
    row.save.push(timingsOf(command(mountpoint, 'save', `${name}-${i}`)));
    row.flushMs.push(flushMs(context));
    child('change', mountpoint, row.files, row.changed, `lost ${i}`);
    settle();
    row.restore.push(timingsOf(command(mountpoint, 'restore', `${name}-${i}`)));
    row.flushMs.push(flushMs(context));
  }
}

async function measureCommands(context: FigureContext): Promise<CommandRow[]> {
  const sizes = context.isQuick ? [1000, 5000] : [1000, 10_000, 100_000];
  const rows: CommandRow[] = [];
  for (const files of sizes) {
    await withVolume(context, `tree-${files}`, async (place) => {
      child('populate', place.mountpoint, files);
      context.system.settle(place.mountpoint);
      for (const changed of [100, 10_000].filter((count) => count <= files)) {
        for (const when of ['settled', 'at once'] as const) {
          const row: CommandRow = { files, changed, when, save: [], restore: [], flushMs: [] };
          await sampleCommands(context, place, row);
          rows.push(row);
          context.say(`save and restore: ${files} files, ${changed} changed, ${when}`);
        }
      }
    });
  }
  return rows;
}

function commandSection(rows: readonly CommandRow[], which: 'save' | 'restore'): string {
  const parts = ['quiesceMs', 'switchMs', 'commitMs'] as const;
  const head = ['files', 'changed', '', 'quiesce', 'switch', 'commit'];
  if (which === 'restore') head.push('coherent');
  const lines = rows.map((row) => [
    String(row.files),
    String(row.changed),
    row.when,
    ...parts.map((part) => formatMs(medianOf(row[which], (timings) => timings[part]))),
    ...(which === 'restore' ? [formatMs(medianOf(row[which], (t) => t.coherentMs))] : []),
    formatMs(median(row.flushMs)),
  ]);
  const title =
    `${which}: ms (median of ${SAMPLES}). quiesce: programs' dirty pages are written out; commit: the\n` +
    'open group is stored, one flush included; flush: fdatasync of 4 KiB on the same disk, beside it;\n' +
    'settled: what had been changed was stored before the command was given';
  return `${title}\n${formatTable([[...head, 'flush'], ...lines])}`;
}

function commandFigures(which: 'save' | 'restore'): CommandFigures {
  return {
    name: which,
    measure: async (context) => {
      rowsOfRun ??= measureCommands(context);
      const rows = await rowsOfRun;
      const values = rows.map((row) => ({
        files: row.files,
        changed: row.changed,
        when: row.when,
        timings: row[which],
        flushMs: row.flushMs,
      }));
      return { section: commandSection(rows, which), values };
    },
  };
}

/** One set of volumes serves both commands. */
let rowsOfRun: Promise<CommandRow[]> | undefined;

// reads across abandoned layers

const DEPTH_FILES = 100;

/** First reads on a fresh mount: nothing is cached in the server or the kernel. */
function coldReadMs({ system }: FigureContext, { data, mountpoint }: Place): number {
  const samples: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    system.unmount(mountpoint);
    system.mount(data, mountpoint);
    // The names: what is measured is the files' inodes and blocks.
    run('ls', ['-R', mountpoint]);
    samples.push(childMs('read-each', mountpoint, DEPTH_FILES));
  }
  return median(samples);
}

const depth: CommandFigures = {
  name: 'depth',
  measure: (context) =>
    withVolume(context, 'depth', async (place) => {
      const { mountpoint } = place;
      const layers = context.isQuick ? 50 : 1000;
      child('populate', mountpoint, DEPTH_FILES);
      command(mountpoint, 'save', 'start');
      const oneMs = coldReadMs(context, place);
      for (let i = 0; i < layers; i++) {
        await interruptible();
        child('change', mountpoint, DEPTH_FILES, DEPTH_FILES, `layer ${i}`);
        command(mountpoint, 'save', `abandoned-${i}`);
        command(mountpoint, 'restore', 'start');
        if (i % 100 === 99) context.say(`depth: ${i + 1} layers`);
      }
      const manyMs = coldReadMs(context, place);
      const values = { files: DEPTH_FILES, layers, oneMs, manyMs, ratio: manyMs / oneMs };
      const section = [
        `first reads of ${DEPTH_FILES} files on a fresh mount, every file changed in every layer (ms, median of ${SAMPLES})`,
        `one layer: ${formatMs(oneMs)}; across ${layers} abandoned layers: ${formatMs(manyMs)}; ratio ${(manyMs / oneMs).toFixed(2)}`,
      ].join('\n');
      return { section, values };
    }),
};

// the first write into a large base file

const BASE_FILE = 'large';

function volumeBytes(directory: string): number {
  return Number(run('du', ['-s', '-B1', directory]).split('\t')[0]);
}

const firstWrite: CommandFigures = {
  name: 'first-write',
  measure: async (context) => {
    const { image, system } = context;
    const mib = context.isQuick ? 64 : 1024;
    const data = join(image.disk, 'first-write');
    const base = join(data, 'base');
    const volume = join(data, 'volume');
    const mountpoint = join(image.directory, 'mounts', 'first-write');
    for (const path of [base, mountpoint]) mkdirSync(path, { recursive: true });
    child('sequential', join(base, BASE_FILE), mib);
    const samples: { ms: number; fsyncMs: number; usedBytes: number; diskBytes: number }[] = [];
    for (let i = 0; i < SAMPLES; i++) {
      await interruptible();
      system.mountOver(base, volume, mountpoint);
      system.settle(mountpoint);
      run('sync', ['-f', image.disk]);
      const usedBefore = Number(system.status(mountpoint)['usedBytes']);
      const diskBefore = volumeBytes(volume);
      const size = statSync(join(mountpoint, BASE_FILE)).size;
      const wrote = child('one-byte', join(mountpoint, BASE_FILE), size / 2 + 12_345);
      system.settle(mountpoint);
      samples.push({
        ms: Number(wrote['ms']),
        fsyncMs: Number(wrote['fsyncMs']),
        usedBytes: Number(system.status(mountpoint)['usedBytes']) - usedBefore,
        diskBytes: volumeBytes(volume) - diskBefore,
      });
      if (i === SAMPLES - 1) system.check(mountpoint);
      system.unmount(mountpoint);
      if (i < SAMPLES - 1) rmSync(volume, { recursive: true });
    }
    system.mountOver(base, volume, mountpoint);
    command(mountpoint, 'save', 'written');
    const runs = run('getfattr', [
      '-d',
      '-m',
      'user.shadowfs',
      join(mountpoint, '.snapshots/written', BASE_FILE),
    ]);
    system.unmount(mountpoint);
    rmSync(data, { recursive: true });
    const [ms, fsyncMs, usedBytes, diskBytes] = (
      ['ms', 'fsyncMs', 'usedBytes', 'diskBytes'] as const
    ).map((part) => medianOf(samples, (sample) => sample[part]));
    const section = [
      `first 1-byte write into a base file of ${mib} MiB (median of ${SAMPLES})`,
      `open, write, close: ${formatMs(ms ?? 0)} ms; fsync: ${formatMs(fsyncMs ?? 0)} ms; the volume grew by ${usedBytes} bytes (du: ${diskBytes})`,
      runs.trim(),
    ].join('\n');
    return { section, values: { mib, samples } };
  },
};

export const COMMAND_FIGURES: readonly CommandFigures[] = [
  commandFigures('save'),
  commandFigures('restore'),
  depth,
  firstWrite,
];
