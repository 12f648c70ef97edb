/** How long save and restore take against the size of the tree and of the change. */
import { join } from 'node:path';
import { formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, childMs, interruptible, run } from '../shell.js';
import type { Place } from '../systems/system.js';
import { command, medianOf, type Timings, timingsOf } from './control.js';
import { counted, type FigureContext, ownRow } from './figure.js';

const SAMPLES = 5;
/** Of a change so large that it takes longer than the command. */
const FEW_SAMPLES = 3;
const LARGE_CHANGE = 100_000;

export interface CommandFigures {
  files: number;
  changed: number;
  /** Straight after the changes, or when they were stored already. */
  when: 'at once' | 'settled';
  save: Timings[];
  restore: Timings[];
  flushMs: number[];
}

function flushMs({ image }: FigureContext): number {
  return childMs('flush', join(image.disk, 'flushed'));
}

async function sample(
  context: FigureContext,
  place: Place,
  figures: CommandFigures,
): Promise<void> {
  const { system } = context;
  const { mountpoint } = place;
  const { files, changed, when } = figures;
  const name = `s-${changed}-${when === 'settled' ? 1 : 0}`;
  const change = (stamp: string): void => {
    child('change', mountpoint, files, changed, stamp);
    if (when !== 'settled') return;
    run('sync', ['-f', mountpoint]);
    system.settle(place);
    run('sync', ['-f', context.image.disk]);
  };
  for (let i = 0; i < (changed < LARGE_CHANGE ? SAMPLES : FEW_SAMPLES); i++) {
    await interruptible();
    change(`save ${i}`);
    figures.save.push(timingsOf(command(mountpoint, 'save', `${name}-${i}`)));
    figures.flushMs.push(flushMs(context));
    change(`lost ${i}`);
    figures.restore.push(timingsOf(command(mountpoint, 'restore', `${name}-${i}`)));
    figures.flushMs.push(flushMs(context));
    child('check-changed', mountpoint, files, changed, `save ${i}`);
  }
}

export async function commandFigures(
  context: FigureContext,
  place: Place,
  files: number,
): Promise<CommandFigures[]> {
  const all: CommandFigures[] = [];
  for (const changed of context.changes.filter((count) => count <= files)) {
    for (const when of ['settled', 'at once'] as const) {
      const figures: CommandFigures = { files, changed, when, save: [], restore: [], flushMs: [] };
      await sample(context, place, figures);
      all.push(figures);
      context.say(
        `save and restore: ${counted(files)} files, ${counted(changed)} changed, ${when}`,
      );
    }
  }
  return all;
}

export function commandSection(
  context: FigureContext,
  all: readonly CommandFigures[],
  which: 'save' | 'restore',
): { section: string; rows: Measured[] } {
  const head = ['files', 'changed', '', 'quiesce', 'switch', 'commit'];
  if (which === 'restore') head.push('coherent');
  const lines = all.map((figures) => [
    counted(figures.files),
    counted(figures.changed),
    figures.when,
    ...(['quiesceMs', 'switchMs', 'commitMs'] as const).map((part) =>
      formatMs(medianOf(figures[which], part)),
    ),
    ...(which === 'restore' ? [formatMs(medianOf(figures[which], 'coherentMs'))] : []),
    formatMs(median(figures.flushMs)),
  ]);
  const title =
    `${which}: ms (median of ${SAMPLES}). quiesce: programs' dirty pages are written out; commit: the\n` +
    'open group is stored, one flush included; flush: fdatasync of 4 KiB on the same disk, beside it;\n' +
    'settled: what had been changed was stored before the command was given';
  const rows = all
    .filter(({ when }) => when === 'settled')
    .map(({ files, changed, save, restore, flushMs: flushes }) => {
      const sizes = `${counted(files)} files, ${counted(changed)} changed`;
      const name = `${which}-${files}-${changed}`;
      if (which === 'restore') {
        const values = restore.map(({ switchMs }) => switchMs);
        return ownRow(context, name, `restore, switch: ${sizes}`, 'ms', values, { atMost: 2 });
      }
      const flush = median(flushes);
      const besides = save.map(({ quiesceMs, switchMs, commitMs }) =>
        Math.max(0, quiesceMs + switchMs + commitMs - flush),
      );
      return ownRow(context, name, `save, besides one flush: ${sizes}`, 'ms', besides, {
        atMost: 1,
      });
    });
  return { section: `${title}\n${formatTable([[...head, 'flush'], ...lines])}`, rows };
}
