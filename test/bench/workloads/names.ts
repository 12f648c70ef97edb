/** One directory of 5,000 empty files: each call by itself, timed inside a process. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Material } from '../material.js';
import { child, childMs, run } from '../shell.js';
import { middle, type Seat, type Stage, same, timing } from './workload.js';

const directory = ({ root }: Seat): string => join(root, 'names');

function needFiles(seat: Seat, { sizes: { files } }: Material): void {
  if (!existsSync(directory(seat))) child('create', directory(seat), files);
}

const titled =
  (before: string, after = '') =>
  ({ sizes }: Material): string =>
    `${before} ${sizes.files.toLocaleString('en')}${after}`;

const ofAll =
  (job: string, ...args: string[]) =>
  (seat: Seat, { sizes: { files } }: Material): number =>
    childMs(job, directory(seat), files, ...args);

/** Before a hot row: the files are there, and the job has run once. */
const warmed =
  (job: string) =>
  (seat: Seat, material: Material): void => {
    needFiles(seat, material);
    ofAll(job)(seat, material);
  };

const hot =
  (job: string) =>
  (seat: Seat, { sizes: { files } }: Material): number =>
    middle(() => childMs(job, directory(seat), files));

export const namesStage: Stage = {
  name: 'names',
  workloads: [
    timing({ name: 'create', title: titled('create'), ratio: 1.5, run: ofAll('create') }),
    timing({
      name: 'stat',
      title: titled('stat', ', hot'),
      ratio: 1.1,
      prepare: warmed('stat'),
      run: hot('stat'),
    }),
    timing({
      name: 'readdir',
      title: titled('readdir', ', hot'),
      ratio: 1.5,
      prepare: warmed('list'),
      run: hot('list'),
    }),
    timing({
      name: 'missing-first',
      title: titled('stat of', ' missing names'),
      prepare: needFiles,
      run: ofAll('missing', 'first'),
    }),
    timing({
      name: 'missing',
      title: titled('stat of', ' missing names, again'),
      ratio: 1.1,
      prepare: needFiles,
      run: hot('missing'),
    }),
    timing({
      name: 'open',
      title: titled('open and close', ', hot'),
      ratio: 1.1,
      prepare: needFiles,
      run: hot('open'),
    }),
    timing({
      name: 'unlink',
      title: titled('unlink'),
      ratio: 1.5,
      prepare: needFiles,
      run: ofAll('unlink'),
      verify: (seat) => same('the emptied directory', run('ls', ['-A', directory(seat)]), ''),
    }),
  ],
};
