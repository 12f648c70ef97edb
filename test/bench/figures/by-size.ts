/**
 * What may grow with the tree: mount to the first listing, unmount, memory of
 * the server, save, restore and merge, which may grow with the change too, and
 * branch and switch. The same trees serve all of them.
 */
import { writeFileSync } from 'node:fs';
import { run, child, timed } from '../shell.js';
import { formatBytes, formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { anonymousBytes, type Place } from '../systems/system.js';
import { type BranchFigures, branchFigures, branchSection } from './branches.js';
import { commandFigures, commandSection } from './commands.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';
import { type MergeFigures, mergeFigures, mergeSection } from './merge.js';
import { populate } from './populate.js';

const MOUNTS = 3;
const MB = 1e6;

interface MountFigures {
  files: number;
  unmountMs: number[];
  /** From the command to the end of the first `ls`. */
  mountMs: number[];
  /** The same, with nothing in the page cache but node itself. */
  coldMs: number[];
}

function measureMounts({ system }: FigureContext, place: Place, files: number): MountFigures {
  const figures: MountFigures = { files, unmountMs: [], mountMs: [], coldMs: [] };
  const toFirstList = (): number => {
    const start = process.hrtime.bigint();
    system.mount(place);
    run('ls', [place.mountpoint]);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  const unmountMs = (): number => {
    const start = process.hrtime.bigint();
    system.unmount(place);
    return Number(process.hrtime.bigint() - start) / 1e6;
  };
  for (let i = 0; i < MOUNTS; i++) {
    // Everything is known to the kernel when it is unmounted.
    timed('find', [place.mountpoint, '-size', '+1M']);
    figures.unmountMs.push(unmountMs());
    figures.mountMs.push(toFirstList());
    system.unmount(place);
    run('sync', []);
    writeFileSync('/proc/sys/vm/drop_caches', '3');
    // The program is in memory; the volume is not.
    system.cli('--version');
    figures.coldMs.push(toFirstList());
  }
  return figures;
}

interface MemoryFigures {
  files: number;
  mountedBytes: number;
  foundBytes: number;
  readBytes: number;
}

function measureMemory({ system }: FigureContext, place: Place, files: number): MemoryFigures {
  const memory = (): number => anonymousBytes(system.serverPid(place));
  system.unmount(place);
  system.mount(place);
  const mountedBytes = memory();
  run('find', [place.mountpoint, '-size', '+1M']);
  const foundBytes = memory();
  child('read-each', place.mountpoint, files);
  return { files, mountedBytes, foundBytes, readBytes: memory() };
}

function mountSection(all: readonly MountFigures[]): string {
  const lines = all.map(({ files, mountMs, coldMs, unmountMs }) => [
    counted(files),
    ...[mountMs, coldMs, unmountMs].map((values) => formatMs(median(values))),
  ]);
  return [
    `mount to the end of the first ls, and unmount: ms (median of ${MOUNTS}), the command's own start included`,
    formatTable([['files', 'mount', 'cold', 'unmount'], ...lines]),
  ].join('\n');
}

function memorySection(all: readonly MemoryFigures[]): string {
  const lines = all.map(({ files, mountedBytes, foundBytes, readBytes }) => [
    counted(files),
    ...[mountedBytes, foundBytes, readBytes].map(formatBytes),
  ]);
  return [
    'memory of the serving process (RssAnon)',
    formatTable([['files', 'mounted', 'after find -size', 'after reading all'], ...lines]),
  ].join('\n');
}

export const bySize: FigureSet = {
  names: ['save', 'restore', 'branch', 'merge', 'mount', 'memory'],
  measure: async (context, wanted) => {
    const mounts: MountFigures[] = [];
    const memories: MemoryFigures[] = [];
    const commands: Awaited<ReturnType<typeof commandFigures>> = [];
    const branches: BranchFigures[] = [];
    const merges: MergeFigures[] = [];
    for (const files of context.files) {
      await withVolume(context, `tree-${files}`, async (place) => {
        await populate(context, place.mountpoint, files);
        context.system.settle(place);
        if (wanted.has('mount')) mounts.push(measureMounts(context, place, files));
        if (wanted.has('memory')) memories.push(measureMemory(context, place, files));
        if (wanted.has('save') || wanted.has('restore'))
          commands.push(...(await commandFigures(context, place, files)));
        if (wanted.has('branch')) branches.push(...(await branchFigures(context, place, files)));
        if (wanted.has('merge')) merges.push(...(await mergeFigures(context, place, files)));
      });
    }
    const sections: string[] = [];
    const rows: Measured[] = [];
    for (const which of ['save', 'restore'] as const) {
      if (!wanted.has(which)) continue;
      const { section, rows: own } = commandSection(context, commands, which);
      sections.push(section);
      rows.push(...own);
    }
    if (branches.length > 0) {
      const { section, rows: own } = branchSection(context, branches);
      sections.push(section);
      rows.push(...own);
    }
    if (merges.length > 0) {
      const { section, rows: own } = mergeSection(context, merges);
      sections.push(section);
      rows.push(...own);
    }
    if (mounts.length > 0) sections.push(mountSection(mounts));
    for (const { files, mountMs, unmountMs } of mounts) {
      const title = `mount of ${counted(files)} files, to the first ls`;
      rows.push(
        ownRow(context, `mount-${files}`, title, 'ms', mountMs, { atMost: 1000 }),
        ownRow(context, `unmount-${files}`, `unmount of them`, 'ms', unmountMs),
      );
    }
    if (memories.length > 0) sections.push(memorySection(memories));
    for (const { files, foundBytes, readBytes } of memories) {
      const found = `memory after find over ${counted(files)} files`;
      const read = 'memory after reading them all';
      rows.push(
        ownRow(context, `memory-find-${files}`, found, 'bytes', [foundBytes], {
          atMost: 150 * MB,
        }),
        ownRow(context, `memory-read-${files}`, read, 'bytes', [readBytes], { atMost: 250 * MB }),
      );
    }
    return { sections, rows };
  },
};
