/**
 * How long a merge takes against the size of the tree and of the change, and how
 * long programs' changes wait for it: where both sides have changed, and where
 * only the branch has.
 */
import { formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, interruptible, run } from '../shell.js';
import type { Place } from '../systems/system.js';
import { command } from './control.js';
import { counted, type FigureContext, ownRow, timedCli } from './figure.js';

const SAMPLES = 3;
const MAIN = 'main';
/** Files that the tree itself has made since the fork, so that the branch can't just take its place. */
const OWN_CHANGES = 100;

type Side = 'both' | 'branch';

export interface MergeFigures {
  files: number;
  changed: number;
  /** Who has changed something since the fork. */
  side: Side;
  planMs: number[];
  mergeMs: number[];
  undoMs: number[];
  /** While it runs, changes of programs are held back for so long. */
  waitMs: number[];
}

async function sample(context: FigureContext, place: Place, figures: MergeFigures): Promise<void> {
  const { system, image } = context;
  const { mountpoint } = place;
  const { files, changed, side } = figures;
  const settle = async (): Promise<void> => {
    run('sync', ['-f', mountpoint]);
    system.settle(place);
    run('sync', ['-f', image.disk]);
    await interruptible();
  };
  for (let i = 0; i < SAMPLES; i++) {
    const name = `m-${changed}-${side}-${i}`;
    const stamp = `merge ${side} ${i}`;
    command(mountpoint, 'branch', name);
    command(mountpoint, 'switch', name);
    child('change', mountpoint, files, changed, stamp);
    command(mountpoint, 'switch', MAIN);
    if (side === 'both') child('create', `${mountpoint}/own-${name}`, OWN_CHANGES);
    await settle();
    figures.planMs.push(timedCli(context, place, 'merge', '-n', name));
    await interruptible();
    const { timings } = command(mountpoint, 'merge', name) as { timings: Record<string, number> };
    figures.waitMs.push(timings['mergeMs'] ?? timings['switchMs'] ?? Number.NaN);
    child('check-changed', mountpoint, files, changed, stamp);
    await settle();
    figures.undoMs.push(timedCli(context, place, 'undo'));
    figures.mergeMs.push(timedCli(context, place, 'merge', name));
    command(mountpoint, 'branch-delete', name);
  }
}

export async function mergeFigures(
  context: FigureContext,
  place: Place,
  files: number,
): Promise<MergeFigures[]> {
  const all: MergeFigures[] = [];
  for (const changed of context.changes.filter((count) => count <= files)) {
    for (const side of ['both', 'branch'] as const) {
      const figures: MergeFigures = {
        files,
        changed,
        side,
        planMs: [],
        mergeMs: [],
        undoMs: [],
        waitMs: [],
      };
      await sample(context, place, figures);
      all.push(figures);
      context.say(`merge: ${counted(files)} files, ${counted(changed)} changed by ${side}`);
    }
  }
  return all;
}

const WHO: Record<Side, string> = { both: 'the tree, too', branch: 'only the branch' };

export function mergeSection(
  context: FigureContext,
  all: readonly MergeFigures[],
): { section: string; rows: Measured[] } {
  const lines = all.map((figures) => [
    counted(figures.files),
    counted(figures.changed),
    WHO[figures.side],
    ...[figures.planMs, figures.mergeMs, figures.undoMs, figures.waitMs].map((values) =>
      formatMs(median(values)),
    ),
  ]);
  const title =
    `merge of a branch: ms (median of ${SAMPLES}), the command's own start included; "writes wait": how long\n` +
    'changes of programs are held back, of that';
  const head = ['files', 'changed', 'since the fork', 'merge -n', 'merge', 'undo', 'writes wait'];
  const rows = all.map(({ files, changed, side, waitMs }) => {
    const sizes = `${counted(files)} files, ${counted(changed)} changed`;
    const name = `merge-${files}-${changed}-${side}`;
    return ownRow(context, name, `merge, writes wait: ${sizes}, ${WHO[side]}`, 'ms', waitMs);
  });
  return { section: `${title}\n${formatTable([head, ...lines])}`, rows };
}
