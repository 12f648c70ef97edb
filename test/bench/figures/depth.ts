/**
 * What a read costs where many layers lie below: straight, save after save, and
 * across layers that restores have abandoned. Every other file is changed in
 * each layer, the others never; so both the newest version and one at the very
 * bottom are looked for, and names that are nowhere.
 */
import { formatMs, formatRatio, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, childMs, interruptible, run } from '../shell.js';
import type { Place } from '../systems/system.js';
import { command } from './control.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';

const FILES = 400;
const CHANGED = 200;
const MISSING = 1000;
const SAMPLES = 5;
const RATIO_MAX = 1.1;

interface DepthFigures {
  depth: number;
  readMs: number;
  missingMs: number;
}

/** First reads on a fresh mount: nothing is cached in the server or the kernel. */
function measureReads({ system }: FigureContext, place: Place, depth: number): DepthFigures {
  const readMs: number[] = [];
  const missingMs: number[] = [];
  const { mountpoint } = place;
  for (let i = 0; i < SAMPLES; i++) {
    system.unmount(place);
    system.mount(place);
    // The names: what is measured is the files' inodes and blocks.
    run('ls', ['-R', mountpoint]);
    readMs.push(childMs('read-each', mountpoint, FILES));
    missingMs.push(childMs('missing', mountpoint, MISSING, 'first'));
  }
  return { depth, readMs: median(readMs), missingMs: median(missingMs) };
}

async function measureWay(
  context: FigureContext,
  way: 'straight' | 'abandoned',
  depths: readonly number[],
): Promise<DepthFigures[]> {
  return withVolume(context, `depth-${way}`, async (place) => {
    const { mountpoint } = place;
    child('populate', mountpoint, 0, FILES);
    command(mountpoint, 'save', 'start');
    const all: DepthFigures[] = [];
    let layers = 1;
    for (const depth of depths) {
      for (; layers < depth; layers++) {
        await interruptible();
        child('change', mountpoint, FILES, CHANGED, `layer ${layers}`);
        command(mountpoint, 'save', `layer-${layers}`);
        if (way === 'abandoned') command(mountpoint, 'restore', 'start');
      }
      all.push(measureReads(context, place, depth));
      context.say(`depth: ${way}, ${counted(depth)} layers`);
    }
    return all;
  });
}

export const depthFigures: FigureSet = {
  names: ['depth'],
  measure: async (context) => {
    const depths = context.isQuick ? [1, 5, 20] : [1, 50, 1000];
    const lines: string[][] = [];
    const rows: Measured[] = [];
    for (const way of ['straight', 'abandoned'] as const) {
      const all = await measureWay(context, way, depths);
      const [one] = all;
      for (const { depth, readMs, missingMs } of all) {
        if (one === undefined) continue;
        const read = readMs / one.readMs;
        const missing = missingMs / one.missingMs;
        lines.push([
          way,
          counted(depth),
          formatMs(readMs),
          formatRatio(read),
          formatMs(missingMs),
          formatRatio(missing),
        ]);
        if (depth === 1) continue;
        const title = `reads at ${counted(depth)} layers against 1, ${way}`;
        const goal = { atMost: RATIO_MAX };
        rows.push(
          ownRow(context, `depth-${way}-${depth}`, title, 'x', [read], goal),
          ownRow(
            context,
            `depth-${way}-${depth}-missing`,
            `${title}: missing names`,
            'x',
            [missing],
            goal,
          ),
        );
      }
    }
    const section = [
      `first reads of ${FILES} files on a fresh mount, half of them changed in every layer, and`,
      `${counted(MISSING)} missing names: ms (median of ${SAMPLES}), and against one layer`,
      formatTable([['', 'layers', 'reads', '', 'missing', ''], ...lines]),
    ].join('\n');
    return { sections: [section], rows };
  },
};
