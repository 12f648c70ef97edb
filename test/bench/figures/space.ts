/** How long it takes to say what each of many snapshots holds. */
import { formatMs, formatTable } from '../report/format.js';
import { type Measured, median } from '../report/measured.js';
import { child, interruptible } from '../shell.js';
import { anonymousBytes } from '../systems/system.js';
import { command, type Timings } from './control.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';
import { populate } from './populate.js';

const SAMPLES = 5;
const CHANGED = 100;
const MB = 1e6;

interface Sizes {
  files: number;
  snapshots: number;
}

interface SpaceFigures extends Sizes {
  allMs: number[];
  setMs: number[];
  /** Of the process, while it is not asked, and most of it afterwards. */
  restBytes: number;
  askedBytes: number;
}

async function measureSpace(context: FigureContext, sizes: Sizes): Promise<SpaceFigures> {
  const { files, snapshots } = sizes;
  const { system } = context;
  return withVolume(context, `space-${files}`, async (place) => {
    const { mountpoint } = place;
    await populate(context, mountpoint, files);
    system.settle(place);
    for (let i = 0; i < snapshots; i++) {
      await interruptible();
      child('change', mountpoint, files, CHANGED, `layer ${i}`);
      command(mountpoint, 'save', `s-${i}`);
    }
    context.say(`space: ${counted(files)} files, ${counted(snapshots)} snapshots`);
    const restBytes = anonymousBytes(system.serverPid(place));
    const asked = (line: string): number[] =>
      Array.from({ length: SAMPLES }, () => {
        const answer = command(mountpoint, 'space', line);
        if (answer['ok'] !== true) throw new Error(JSON.stringify(answer));
        return (answer['timings'] as Timings & { inspectMs: number }).inspectMs;
      });
    return {
      files,
      snapshots,
      allMs: asked(''),
      setMs: asked('"s-*5" files=20'),
      restBytes,
      askedBytes: anonymousBytes(system.serverPid(place)),
    };
  });
}

export const spaceFigures: FigureSet = {
  names: ['space'],
  measure: async (context) => {
    const snapshots = context.isQuick ? 20 : 1000;
    // Smaller trees take no time that could be measured.
    const counts = context.files.slice(-1);
    const lines: string[][] = [];
    const rows: Measured[] = [];
    for (const files of counts) {
      const found = await measureSpace(context, { files, snapshots });
      const title = `${counted(files)} files, ${counted(snapshots)} snapshots`;
      lines.push([
        counted(files),
        counted(snapshots),
        formatMs(median(found.allMs)),
        formatMs(median(found.setMs)),
        String(Math.round((found.askedBytes - found.restBytes) / MB)),
      ]);
      rows.push(
        ownRow(context, `space-${files}`, `space: ${title}`, 'ms', found.allMs),
        ownRow(
          context,
          `space-${files}-set`,
          `space of a set, and files: ${title}`,
          'ms',
          found.setMs,
        ),
      );
    }
    const section = [
      `space: what each snapshot holds; of a tenth of them together, with the largest files: ms`,
      `(median of ${SAMPLES}; ${CHANGED} files changed in each snapshot), and MB that stay in the process`,
      formatTable([['files', 'snapshots', 'all', 'a set', 'MB'], ...lines]),
    ].join('\n');
    return { sections: [section], rows };
  },
};
