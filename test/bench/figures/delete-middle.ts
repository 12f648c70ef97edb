/** What it takes to delete the snapshot in the middle: the command, and until its space is free. */
import { formatMs } from '../report/format.js';
import { median } from '../report/measured.js';
import { child, interruptible, run, sleepMs } from '../shell.js';
import { command } from './control.js';
import { counted, type FigureContext, type FigureSet, ownRow, withVolume } from './figure.js';

const COLLECT_MAX_MS = 60_000;
const SAMPLES = 5;

interface Sizes {
  files: number;
  changed: number;
  snapshots: number;
}

interface Deletion {
  commandMs: number;
  /** Until the layer is gone; undefined: it stays, or took too long. */
  collectedMs: number | undefined;
}

async function deleteMiddle(context: FigureContext, sizes: Sizes): Promise<Deletion[]> {
  const { system, image } = context;
  const { files, changed, snapshots } = sizes;
  return withVolume(context, 'delete', async (place) => {
    const { mountpoint } = place;
    child('populate', mountpoint, 0, files);
    for (let i = 0; i < snapshots; i++) {
      await interruptible();
      child('change', mountpoint, files, changed, `layer ${i}`);
      command(mountpoint, 'save', `s-${i}`);
    }
    const deletions: Deletion[] = [];
    for (let i = 0; i < SAMPLES; i++) {
      await interruptible();
      run('sync', ['-f', mountpoint]);
      system.settle(place);
      run('sync', ['-f', image.disk]);
      const layers = Number(system.status(place)['layerCount']);
      const start = process.hrtime.bigint();
      const sinceMs = (): number => Number(process.hrtime.bigint() - start) / 1e6;
      command(mountpoint, 'delete', `s-${Math.floor(snapshots / 2) + i}`);
      const commandMs = sinceMs();
      let collectedMs: number | undefined;
      while (collectedMs === undefined && sinceMs() < COLLECT_MAX_MS) {
        if (Number(system.status(place)['layerCount']) < layers) collectedMs = sinceMs();
        else sleepMs(5);
      }
      deletions.push({ commandMs, collectedMs });
    }
    child('check-changed', mountpoint, files, changed, `layer ${snapshots - 1}`);
    return deletions;
  });
}

export const deleteFigures: FigureSet = {
  names: ['delete'],
  measure: async (context) => {
    const sizes = context.isQuick
      ? { files: 1000, changed: 100, snapshots: 12 }
      : { files: 10_000, changed: 1000, snapshots: 50 };
    const deletions = await deleteMiddle(context, sizes);
    const commandMs = deletions.map((one) => one.commandMs);
    const collectedMs = deletions
      .map((one) => one.collectedMs)
      .filter((value) => value !== undefined);
    const what = `${counted(sizes.files)} files, ${sizes.snapshots} snapshots, ${counted(sizes.changed)} files changed in each`;
    const collected =
      collectedMs.length < deletions.length
        ? `not collected within ${COLLECT_MAX_MS / 1000} s: ${deletions.length - collectedMs.length} of ${deletions.length}`
        : `collected after ${formatMs(median(collectedMs))} ms`;
    const rows = [
      ownRow(context, 'delete', 'delete of a snapshot in the middle', 'ms', commandMs),
      ...(collectedMs.length === 0
        ? []
        : [ownRow(context, 'delete-collected', 'the same, until collected', 'ms', collectedMs)]),
    ];
    return {
      sections: [
        `delete of a snapshot in the middle: ${what} (median of ${SAMPLES})\nthe command: ${formatMs(median(commandMs))} ms; ${collected}`,
      ],
      rows,
    };
  },
};
