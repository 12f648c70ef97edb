/**
 * How long a branch and a switch take against the size of the tree and of the
 * change, and how many bytes a branch stores when it writes for the first time.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatBytes, formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, childMs, interruptible, run } from '../shell.js';
import type { Place } from '../systems/system.js';
import { command, medianOf, type Timings, timingsOf } from './control.js';
import { counted, type FigureContext, ownRow } from './figure.js';

const SAMPLES = 5;
/** Files that a branch writes into for the first time, one block each. */
const WRITTEN = 100;
const MAIN = 'main';

export interface BranchFigures {
  files: number;
  changed: number;
  branch: Timings[];
  switch: Timings[];
  flushMs: number[];
  /** Of each of the branch's first writes. */
  writtenBytes: number[];
}

/** What the branch has stored of its own since its fork. */
function changedBytes(mountpoint: string, name: string): number {
  const lines = readFileSync(join(mountpoint, '.control', 'branches'), 'utf8')
    .trim()
    .split('\n');
  const all = lines.map((line) => JSON.parse(line) as { name: string; changedBytes: number });
  return all.find((branch) => branch.name === name)?.changedBytes ?? Number.NaN;
}

async function sample(context: FigureContext, place: Place, figures: BranchFigures): Promise<void> {
  const { system, image } = context;
  const { mountpoint } = place;
  const { files, changed } = figures;
  for (let i = 0; i < SAMPLES; i++) {
    await interruptible();
    child('change', mountpoint, files, changed, `parent ${i}`);
    run('sync', ['-f', mountpoint]);
    system.settle(place);
    run('sync', ['-f', image.disk]);
    const name = `b-${changed}-${i}`;
    figures.branch.push(timingsOf(command(mountpoint, 'branch', name)));
    figures.switch.push(timingsOf(command(mountpoint, 'switch', name)));
    figures.flushMs.push(childMs('flush', join(image.disk, 'flushed')));
    child('change', mountpoint, files, WRITTEN, `branch ${i}`);
    run('sync', ['-f', mountpoint]);
    figures.writtenBytes.push(changedBytes(mountpoint, name) / WRITTEN);
    command(mountpoint, 'switch', MAIN);
    child('check-changed', mountpoint, files, changed, `parent ${i}`);
    command(mountpoint, 'branch-delete', name);
  }
}

export async function branchFigures(
  context: FigureContext,
  place: Place,
  files: number,
): Promise<BranchFigures[]> {
  const all: BranchFigures[] = [];
  for (const changed of context.changes.filter((count) => count <= files)) {
    const figures: BranchFigures = {
      files,
      changed,
      branch: [],
      switch: [],
      flushMs: [],
      writtenBytes: [],
    };
    await sample(context, place, figures);
    all.push(figures);
    context.say(`branch and switch: ${counted(files)} files, ${counted(changed)} changed`);
  }
  return all;
}

export function branchSection(
  context: FigureContext,
  all: readonly BranchFigures[],
): { section: string; rows: Measured[] } {
  const head = ['files', 'changed', '', 'quiesce', 'switch', 'commit', 'coherent'];
  const lines = all.flatMap((figures) =>
    (['branch', 'switch'] as const).map((which) => [
      counted(figures.files),
      counted(figures.changed),
      which,
      ...(['quiesceMs', 'switchMs', 'commitMs'] as const).map((part) =>
        formatMs(medianOf(figures[which], part)),
      ),
      which === 'branch' ? '' : formatMs(medianOf(figures[which], 'coherentMs')),
      which === 'branch' ? '' : formatBytes(median(figures.writtenBytes)),
      formatMs(median(figures.flushMs)),
    ]),
  );
  const title =
    `branch of the live tree, and switch to it: ms (median of ${SAMPLES}); what was changed before is\n` +
    'stored already. a write: what the branch stores for its first write into a file, one block of it';
  const rows = all.flatMap((figures) => {
    const { files, changed } = figures;
    const sizes = `${counted(files)} files, ${counted(changed)} changed`;
    return (['branch', 'switch'] as const).map((which) => {
      const values = figures[which].map(({ switchMs }) => switchMs);
      const name = `${which}-${files}-${changed}`;
      return ownRow(context, name, `${which}, in memory: ${sizes}`, 'ms', values, { atMost: 2 });
    });
  });
  return { section: `${title}\n${formatTable([[...head, 'a write', 'flush'], ...lines])}`, rows };
}
