/**
 * What it takes to bring changes into a base, and to take that back: against the
 * size of the base and of the change. And what people ask meanwhile.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, formatMs, formatTable } from '../report/format.js';
import type { Measured } from '../report/measured.js';
import { child, interruptible, run } from '../shell.js';
import { anonymousBytes, type Place } from '../systems/system.js';
import { counted, type FigureContext, type FigureSet, ownRow } from './figure.js';

const POPULATED_AT_ONCE = 50_000;

interface ApplyFigures {
  files: number;
  changed: number;
  statusMs: number;
  diffMs: number;
  planMs: number;
  applyMs: number;
  undoMs: number;
  /** Of the server, after all that. */
  memoryBytes: number;
}

async function makeBase(context: FigureContext, base: string, files: number): Promise<void> {
  mkdirSync(base, { recursive: true });
  for (let from = 0; from < files; from += POPULATED_AT_ONCE) {
    const to = Math.min(files, from + POPULATED_AT_ONCE);
    child('populate', base, from, to);
    context.say(`base of ${counted(files)} files: ${counted(to)}`);
    await interruptible();
  }
  run('sync', ['-f', base]);
}

/** The command line's time, its own start included. */
function timedCli({ system }: FigureContext, place: Place, ...words: string[]): number {
  const start = process.hrtime.bigint();
  system.cli(...words, '-C', place.mountpoint);
  return Number(process.hrtime.bigint() - start) / 1e6;
}

async function measureApply(
  context: FigureContext,
  place: Place,
  files: number,
  changed: number,
): Promise<ApplyFigures> {
  const { system } = context;
  const name = `before-${changed}`;
  system.cli('save', name, '-C', place.mountpoint);
  child('change', place.mountpoint, files, changed, `apply ${changed}`);
  run('sync', ['-f', place.mountpoint]);
  system.settle(place);
  await interruptible();
  const statusMs = timedCli(context, place, 'status');
  const diffMs = timedCli(context, place, 'diff', name, '--name-only', '--no-pager');
  const planMs = timedCli(context, place, 'apply', '-n');
  await interruptible();
  const applyMs = timedCli(context, place, 'apply');
  await interruptible();
  const undoMs = timedCli(context, place, 'undo');
  // The base is to be equal to the tree when the next change is measured.
  system.cli('undo', '-C', place.mountpoint);
  child('check-changed', place.mountpoint, files, changed, `apply ${changed}`);
  const memoryBytes = anonymousBytes(system.serverPid(place));
  return { files, changed, statusMs, diffMs, planMs, applyMs, undoMs, memoryBytes };
}

function section(all: readonly ApplyFigures[]): string {
  const lines = all.map((one) => [
    counted(one.files),
    counted(one.changed),
    ...[one.statusMs, one.diffMs, one.planMs, one.applyMs, one.undoMs].map(formatMs),
    formatBytes(one.memoryBytes),
  ]);
  const head = ['files', 'changed', 'status', 'diff', 'apply -n', 'apply', 'undo of it', 'memory'];
  return [
    "over a base: ms, the command's own start included; memory of the server afterwards (RssAnon)",
    formatTable([head, ...lines]),
  ].join('\n');
}

export const applyFigures: FigureSet = {
  names: ['apply'],
  measure: async (context) => {
    const all: ApplyFigures[] = [];
    for (const files of context.files) {
      const base = join(context.image.disk, `base-${files}`);
      await makeBase(context, base, files);
      const place = {
        data: join(context.image.disk, `apply-${files}`),
        mountpoint: join(context.image.directory, 'mounts', `apply-${files}`),
      };
      mkdirSync(place.mountpoint, { recursive: true });
      context.system.mount(place, base);
      for (const changed of context.changes.filter((count) => count <= files)) {
        all.push(await measureApply(context, place, files, changed));
        context.say(`apply: ${counted(files)} files, ${counted(changed)} changed`);
      }
      context.system.unmount(place);
      for (const path of [place.data, base]) rmSync(path, { recursive: true });
    }
    const rows: Measured[] = all.map(({ files, changed, applyMs }) => {
      const sizes = `${counted(files)} files, ${counted(changed)} changed`;
      return ownRow(context, `apply-${files}-${changed}`, `apply: ${sizes}`, 'ms', [applyMs]);
    });
    return { sections: [section(all)], rows };
  },
};
