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
import { counted, type FigureContext, type FigureSet, ownRow, timedCli } from './figure.js';
import { populate } from './populate.js';

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
      mkdirSync(base, { recursive: true });
      await populate(context, base, files);
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
