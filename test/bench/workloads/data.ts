/** The data of one file: in order, here and there, and line by line. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expectedLines } from '../child/data-jobs.js';
import type { Material } from '../material.js';
import { child, childMs } from '../shell.js';
import { middle, row, type Seat, type Stage, same, timing } from './workload.js';

const sequential = ({ root }: Seat): string => join(root, 'sequential');
const random = ({ root }: Seat): string => join(root, 'random');
const log = ({ root }: Seat): string => join(root, 'log');

function needFile(seat: Seat, { sizes: { sequentialMiB } }: Material): void {
  if (!existsSync(sequential(seat))) child('write-sequentially', sequential(seat), sequentialMiB);
}

const read = (seat: Seat, { sizes: { sequentialMiB } }: Material): number =>
  childMs('read-sequentially', sequential(seat), sequentialMiB);

/** Of the sorted times, the one that so many of them do not exceed. */
function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN;
}

export const dataStage: Stage = {
  name: 'data',
  workloads: [
    timing({
      name: 'write',
      title: ({ sizes: { sequentialMiB } }) => `write ${sequentialMiB} MiB + fsync`,
      ratio: 1.5,
      run: (seat, { sizes: { sequentialMiB } }) =>
        childMs('write-sequentially', sequential(seat), sequentialMiB),
      verify: (seat, material) => {
        const { digest } = child('file-digest', sequential(seat));
        const expected = material.fileDigest(material.sizes.sequentialMiB, 0);
        same('the sequentially written file', digest, expected);
      },
    }),
    timing({
      name: 'read-cold',
      title: ({ sizes: { sequentialMiB } }) => `read ${sequentialMiB} MiB, cold`,
      ratio: 1.2,
      prepare: needFile,
      run: (seat, material) => {
        seat.cool();
        return read(seat, material);
      },
    }),
    timing({
      name: 'read',
      title: ({ sizes: { sequentialMiB } }) => `read ${sequentialMiB} MiB, hot`,
      ratio: 1.1,
      prepare: (seat, material) => {
        needFile(seat, material);
        read(seat, material);
      },
      run: (seat, material) => middle(() => read(seat, material)),
    }),
    timing({
      name: 'random-read',
      title: ({ sizes: { randomCount } }) => `${randomCount} random 4 KiB reads, cold`,
      ratio: 1.3,
      prepare: needFile,
      run: (seat, { sizes: { sequentialMiB, randomCount } }) => {
        seat.cool();
        return childMs('read-randomly', sequential(seat), sequentialMiB, randomCount);
      },
    }),
    timing({
      name: 'random-write',
      title: ({ sizes: { randomCount } }) => `${randomCount} random 4 KiB writes + fsync`,
      ratio: 2,
      prepare: (seat, { sizes: { randomMiB } }) =>
        void child('write-sequentially', random(seat), randomMiB),
      run: (seat, { sizes: { randomMiB, randomCount } }) =>
        childMs('write-randomly', random(seat), randomMiB, randomCount),
      verify: (seat, material) => {
        const { randomMiB, randomCount } = material.sizes;
        const { digest } = child('file-digest', random(seat));
        same('the randomly written file', digest, material.fileDigest(randomMiB, randomCount));
      },
    }),
    {
      name: 'append',
      rows: [
        row('append', ({ sizes: { appends } }) => `one of ${appends} appends + fsync, median`, 1.3),
        row('append-p99', 'the same, 99 of 100', 2),
      ],
      run: (seat, { sizes: { appends } }) => {
        const each = child('append-lines', log(seat), appends)['each'] as number[];
        return { append: quantile(each, 0.5), 'append-p99': quantile(each, 0.99) };
      },
      verify: (seat, { sizes: { appends } }) => {
        const expected = createHash('sha256').update(expectedLines(appends)).digest('hex');
        same('the log', child('file-digest', log(seat))['digest'], expected);
      },
    },
  ],
};
