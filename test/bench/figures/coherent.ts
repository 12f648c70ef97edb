/**
 * The time until every cache of the kernel agrees after a restore, against the
 * names that the kernel knows and the restore changes; and what looking at each
 * of them again costs then, which is the price of caches that were dropped.
 */
import { formatMs, formatTable } from '../report/format.js';
import { median } from '../report/measured.js';
import { child, interruptible, run, timed } from '../shell.js';
import { command, timingsOf } from './control.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';

const SAMPLES = 3;
const SIZES = [1000, 5000, 10_000, 20_000, 50_000, 100_000];
const QUICK_SIZES = [500, 2000];

interface Coherence {
  known: number;
  switchMs: number[];
  coherentMs: number[];
  /** `find -size` afterwards, beside one with everything cached. */
  againMs: number[];
  hotMs: number[];
}

async function measureKnown(context: FigureContext, known: number): Promise<Coherence> {
  const found: Coherence = { known, switchMs: [], coherentMs: [], againMs: [], hotMs: [] };
  await withVolume(context, `coherent-${known}`, async (place) => {
    const { mountpoint } = place;
    child('populate', mountpoint, 0, known);
    command(mountpoint, 'save', 'start');
    const look = (): number => timed('find', [mountpoint, '-size', '+1M']);
    for (let i = 0; i < SAMPLES; i++) {
      await interruptible();
      child('change', mountpoint, known, known, `change ${i}`);
      run('sync', ['-f', mountpoint]);
      context.system.settle(place);
      look();
      found.hotMs.push(look());
      const timings = timingsOf(command(mountpoint, 'restore', 'start'));
      found.switchMs.push(timings.switchMs);
      found.coherentMs.push(timings.coherentMs ?? Number.NaN);
      found.againMs.push(look());
    }
  });
  context.say(`coherent: ${counted(known)} names known and changed`);
  return found;
}

export const coherentFigures: FigureSet = {
  names: ['coherent'],
  measure: async (context) => {
    const all: Coherence[] = [];
    for (const known of context.isQuick ? QUICK_SIZES : SIZES)
      all.push(await measureKnown(context, known));
    const lines = all.map(({ known, ...ms }) => [
      counted(known),
      ...[ms.switchMs, ms.coherentMs].map((values) => formatMs(median(values))),
      ((median(ms.coherentMs) * 1000) / known).toFixed(1),
      ...[ms.hotMs, ms.againMs].map((values) => formatMs(median(values))),
    ]);
    const head = ['names', 'switch', 'coherent', 'us a name', 'find before', 'find after'];
    const title = `restore of as many files as the kernel knows: ms until its caches agree (median of ${SAMPLES}),\nand a find -size of everything just before and just after`;
    return {
      sections: [`${title}\n${formatTable([head, ...lines])}`],
      rows: all.map(({ known, coherentMs }) =>
        ownRow(
          context,
          `coherent-${known}`,
          `restore, until the caches agree: ${counted(known)} names`,
          'ms',
          coherentMs,
        ),
      ),
    };
  },
};
