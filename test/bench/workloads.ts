/**
 * What is timed on each file system, in this order: a workload may use what an
 * earlier one made, and makes it itself, untimed, when that one was left out.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { child, childMs, run, timed } from './shell.js';

const CREATE_COUNT = 5000;

/** What all workloads of a run share. */
export interface Material {
  archive: string;
  /** Of the unpacked tree: with the files' times, and without. */
  digest: string;
  digestWithoutTimes: string;
  /** Sizes of the written files, and what they must hold. */
  sequentialMiB: number;
  randomMiB: number;
  randomWrites: number;
  sequentialDigest: string;
  randomDigest: string;
}

export interface Workload {
  name: string;
  /** Untimed, before the file system settles. */
  prepare?(root: string, material: Material): void;
  /** Returns ms. */
  run(root: string, material: Material): number;
  /** At the end of the round, after the file system was mounted afresh. Throws. */
  verify?(root: string, material: Material, keepsTimes: boolean): void;
}

const tree = (root: string): string => join(root, 'tree');
const copy = (root: string): string => join(root, 'copy');
const newFiles = (root: string): string => join(root, 'new');
const sequentialFile = (root: string): string => join(root, 'sequential');
const randomFile = (root: string): string => join(root, 'random');

function same(what: string, found: unknown, expected: string): void {
  if (found !== expected) throw new Error(`${what} is not what was written`);
}

function unpack(root: string, { archive }: Material): number {
  run('mkdir', [tree(root)]);
  return timed('tar', ['-C', tree(root), '-xf', archive]);
}

function needTree(root: string, material: Material): void {
  if (!existsSync(tree(root))) unpack(root, material);
}

function needCopy(root: string, material: Material): void {
  needTree(root, material);
  if (!existsSync(copy(root))) run('cp', ['-r', tree(root), copy(root)]);
}

/** The middle one of three runs, for work that takes a fraction of a second. */
function middle(work: () => number): number {
  return [work(), work(), work()].sort((a, b) => a - b)[1] ?? 0;
}

const findAll = (root: string): number => timed('find', [tree(root), '-size', '+1M']);

const grepAll = (root: string): number =>
  timed('grep', ['-r', 'not in any of these files', tree(root)], { codes: [1] });

const AUTHOR = ['-c', 'user.name=Bench', '-c', 'user.email=bench@localhost', '-c', 'gc.auto=0'];

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'untar',
    run: unpack,
    verify: (root, material, keepsTimes) => {
      const { digest } = child('tree-digest', tree(root), keepsTimes ? 1 : 0);
      same('the unpacked tree', digest, keepsTimes ? material.digest : material.digestWithoutTimes);
    },
  },
  {
    name: 'find',
    prepare: (root, material) => {
      needTree(root, material);
      findAll(root);
    },
    run: (root) => middle(() => findAll(root)),
  },
  {
    name: 'grep',
    prepare: (root, material) => {
      needTree(root, material);
      grepAll(root);
    },
    run: (root) => middle(() => grepAll(root)),
  },
  {
    name: 'cp',
    prepare: needTree,
    run: (root) => timed('cp', ['-r', tree(root), copy(root)]),
  },
  {
    name: 'rm',
    prepare: (root, material) => {
      needCopy(root, material);
      const { digest } = child('tree-digest', copy(root), 0);
      same('the copy of the tree', digest, material.digestWithoutTimes);
    },
    run: (root) => timed('rm', ['-rf', copy(root)]),
    verify: (root) => {
      if (existsSync(copy(root))) throw new Error('what was removed is back');
    },
  },
  {
    name: 'git',
    prepare: needTree,
    run: (root) => {
      const git = (...args: string[]): number =>
        timed('git', ['-C', tree(root), ...AUTHOR, ...args]);
      return git('init', '-q') + git('add', '-A') + git('commit', '-q', '-m', 'all');
    },
    verify: (root) => {
      const git = (...args: string[]): string => run('git', ['-C', tree(root), ...AUTHOR, ...args]);
      git('fsck', '--full');
      same('the state of the repository', git('status', '--porcelain'), '');
    },
  },
  {
    name: 'create',
    run: (root) => childMs('create', newFiles(root), CREATE_COUNT),
  },
  {
    name: 'unlink',
    prepare: (root) => {
      if (!existsSync(newFiles(root))) child('create', newFiles(root), CREATE_COUNT);
    },
    run: (root) => childMs('unlink', newFiles(root), CREATE_COUNT),
    verify: (root) => {
      same('the emptied directory', run('ls', ['-A', newFiles(root)]), '');
    },
  },
  {
    name: 'sequential',
    run: (root, { sequentialMiB }) => childMs('sequential', sequentialFile(root), sequentialMiB),
    verify: (root, material) => {
      const { digest } = child('file-digest', sequentialFile(root));
      same('the sequential file', digest, material.sequentialDigest);
    },
  },
  {
    name: 'random',
    prepare: (root, { randomMiB }) => void child('sequential', randomFile(root), randomMiB),
    run: (root, { randomMiB, randomWrites }) =>
      childMs('random-writes', randomFile(root), randomMiB, randomWrites),
    verify: (root, material) => {
      const { digest } = child('file-digest', randomFile(root));
      same('the randomly written file', digest, material.randomDigest);
    },
  },
];

/** What the rows are called in the table. */
export function titleOf(name: string, { sequentialMiB, randomWrites }: Material): string {
  const titles: Record<string, string> = {
    untar: 'untar',
    find: 'find -size, hot',
    grep: 'grep -r, hot',
    cp: 'cp -r',
    rm: 'rm -rf',
    git: 'git init, add, commit',
    create: `create ${CREATE_COUNT}`,
    unlink: `unlink ${CREATE_COUNT}`,
    sequential: `write ${sequentialMiB} MiB + fsync`,
    random: `${randomWrites} random 4 KiB + fsync`,
  };
  return titles[name] ?? name;
}
