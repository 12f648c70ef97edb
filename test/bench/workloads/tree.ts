/** Programs that walk a tree of 16,000 entries: tar, find, grep, cp, rm. */
import { existsSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Material } from '../material.js';
import { child, childMs, run, timed } from '../shell.js';
import { middle, type Row, row, type Seat, type Stage, same, timing, unpack } from './workload.js';

const STAT_TIMES = 5;
const READERS = 8;

const tree = ({ root }: Seat): string => join(root, 'tree');
const copy = ({ root }: Seat): string => join(root, 'copy');

function needTree(seat: Seat, material: Material): void {
  if (!existsSync(tree(seat))) unpack(material.tree.archive, tree(seat));
}

function needCopy(seat: Seat, material: Material): void {
  needTree(seat, material);
  if (!existsSync(copy(seat))) run('cp', ['-r', tree(seat), copy(seat)]);
}

const find = (path: string): number => timed('find', [path]);
const findBySize = (path: string): number => timed('find', [path, '-size', '+1M']);

const NOT_THERE = 'not in any of these files';
const grep = (path: string): number => timed('grep', ['-r', NOT_THERE, path], { codes: [1] });

/** All files of the tree, by eight programs at the same time. */
const grepByMany = (path: string): number => {
  const command =
    `find "$1" -type f -print0 | xargs -0 -P ${READERS} -n 100 grep -l "$2"; ` +
    `codes=$(echo "$\{PIPESTATUS[*]}"); [ "$codes" = "0 123" ]`;
  return timed('bash', ['-c', command, 'bash', path, NOT_THERE]);
};

/** The program itself must not come from the disk: it is run on an empty directory before. */
function cold(seat: Seat, work: (path: string) => number): number {
  seat.cool();
  const empty = mkdtempSync(join(tmpdir(), 'shadowfs-bench-'));
  if (work !== grepByMany) work(empty);
  else for (const tool of [find, grep]) tool(empty);
  rmdirSync(empty);
  return work(tree(seat));
}

const size: Row = {
  name: 'size',
  title: () => 'bytes stored by untar',
  unit: 'bytes',
  target: { atMost: ({ tree: { bytes, files } }) => 1.25 * bytes + 512 * files },
};

export const treeStage: Stage = {
  name: 'tree',
  needs: (material) => void material.tree,
  workloads: [
    {
      name: 'untar',
      rows: [
        row('untar', ({ isQuick }) => `untar of ${isQuick ? '1,600' : '16,000'} entries`, 2),
        size,
        row('size-file', 'the same, with what was allocated ahead', undefined, 'bytes'),
      ],
      run: (seat, { tree: { archive } }) => {
        const before = seat.storedBytes();
        const ms = unpack(archive, tree(seat));
        const bytes = seat.storedBytes() - before;
        const allocated = seat.allocatedBytes();
        return {
          untar: ms,
          size: bytes,
          ...(allocated !== undefined && { 'size-file': allocated }),
        };
      },
      verify: (seat, material) => {
        const { digest } = child('tree-digest', tree(seat), seat.keepsTimes ? 'times' : '');
        const { digest: whole, digestWithoutTimes } = material.tree;
        same('the unpacked tree', digest, seat.keepsTimes ? whole : digestWithoutTimes);
      },
    },
    timing({
      name: 'find-cold',
      title: 'find, cold',
      ratio: 1.8,
      prepare: needTree,
      run: (seat) => cold(seat, find),
    }),
    timing({
      name: 'find',
      title: 'find -size, hot',
      ratio: 1,
      prepare: (seat, material) => {
        needTree(seat, material);
        findBySize(tree(seat));
      },
      run: (seat) => middle(() => findBySize(tree(seat))),
    }),
    timing({
      name: 'stat-tree',
      title: `stat of the tree, hot, ${STAT_TIMES} times`,
      ratio: 1.1,
      prepare: needTree,
      run: (seat) => childMs('stat-tree', tree(seat), STAT_TIMES),
    }),
    timing({
      name: 'grep-cold',
      title: 'grep -r, cold',
      ratio: 1.3,
      prepare: needTree,
      run: (seat) => cold(seat, grep),
    }),
    timing({
      name: 'grep-readers',
      title: `grep by ${READERS} readers, cold`,
      prepare: needTree,
      run: (seat) => cold(seat, grepByMany),
    }),
    timing({
      name: 'grep',
      title: 'grep -r, hot',
      ratio: 1.1,
      prepare: (seat, material) => {
        needTree(seat, material);
        grep(tree(seat));
      },
      run: (seat) => middle(() => grep(tree(seat))),
    }),
    timing({
      name: 'cp',
      title: 'cp -r',
      ratio: 2,
      prepare: needTree,
      run: (seat) => timed('cp', ['-r', tree(seat), copy(seat)]),
    }),
    timing({
      name: 'rm',
      title: 'rm -rf',
      ratio: 1.4,
      prepare: (seat, material) => {
        needCopy(seat, material);
        const { digest } = child('tree-digest', copy(seat));
        same('the copy of the tree', digest, material.tree.digestWithoutTimes);
      },
      run: (seat) => timed('rm', ['-rf', copy(seat)]),
      verify: (seat) => {
        if (existsSync(copy(seat))) throw new Error('what was removed is back');
      },
    }),
  ],
};
