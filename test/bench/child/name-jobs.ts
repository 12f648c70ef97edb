/** Jobs on many files: names, attributes, and a few bytes in each. */
import { createHash } from 'node:crypto';
import {
  closeSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
  renameSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { noise, PAGE_BYTES, timedMs } from './content.js';

const FILES_PER_DIRECTORY = 100;
const RESULT_BYTES = 4 * 1024 * 1024;
const SET_ID_BITS = 0o6000;
export const APPENDED = 'appended\n';

const pathsIn = (directory: string, count: number, prefix = 'file'): string[] =>
  Array.from({ length: count }, (_, i) => join(directory, `${prefix}-${i}`));

export function createEmpty(directory: string, count: number): number {
  mkdirSync(directory);
  const paths = pathsIn(directory, count);
  return timedMs(() => {
    for (const path of paths) closeSync(openSync(path, 'wx'));
  });
}

export function unlinkAll(directory: string, count: number): number {
  const paths = pathsIn(directory, count);
  return timedMs(() => {
    for (const path of paths) unlinkSync(path);
  });
}

export function statAll(directory: string, count: number): number {
  const paths = pathsIn(directory, count);
  return timedMs(() => {
    for (const path of paths) {
      if (lstatSync(path).size !== 0) throw new Error(`${path} is not empty`);
    }
  });
}

/** Names that do not exist; asked for several times, the first of them untimed. */
export function statMissing(directory: string, count: number, isFirst: boolean): number {
  const paths = pathsIn(directory, count, 'missing');
  const ask = (): void => {
    for (const path of paths) {
      if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) throw new Error(path);
    }
  };
  if (!isFirst) ask();
  return timedMs(ask);
}

export function openEach(directory: string, count: number): number {
  const paths = pathsIn(directory, count);
  const open = (): void => {
    for (const path of paths) closeSync(openSync(path, 'r'));
  };
  open();
  return timedMs(open);
}

export function listNames(directory: string, count: number): number {
  let names = 0;
  const ms = timedMs(() => {
    names = readdirSync(directory).length;
  });
  if (names !== count) throw new Error(`${directory}: ${names} names`);
  return ms;
}

/** Paths below the root, in one order. */
function walk(root: string, directory = ''): string[] {
  return readdirSync(join(root, directory), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      return entry.isDirectory() ? [path, ...walk(root, path)] : [path];
    });
}

/** Attributes of everything in a tree, known already, `times` times over. */
export function statTree(root: string, times: number): number {
  const paths = walk(root).map((path) => join(root, path));
  for (const path of paths) lstatSync(path);
  return timedMs(() => {
    for (let i = 0; i < times; i++) for (const path of paths) lstatSync(path);
  });
}

/** Files of the model tree, spread over it. */
function someFiles(model: string, count: number): string[] {
  const files = walk(model).filter((path) => lstatSync(join(model, path)).isFile());
  const step = files.length / count;
  return Array.from({ length: count }, (_, i) => files[Math.floor(i * step)] ?? '');
}

/** Appends to `count` files of the tree; which ones, the model (the same tree elsewhere) tells. */
export function appendEach(root: string, model: string, count: number): number {
  const paths = someFiles(model, count).map((path) => join(root, path));
  return timedMs(() => {
    for (const path of paths) {
      const fd = openSync(path, 'a');
      writeSync(fd, APPENDED);
      closeSync(fd);
    }
  });
}

export function checkAppended(root: string, model: string, count: number): void {
  for (const path of someFiles(model, count)) {
    const expected = readFileSync(join(model, path), 'latin1') + APPENDED;
    if (readFileSync(join(root, path), 'latin1') !== expected) throw new Error(`${path} is wrong`);
  }
}

/**
 * One digest over names, types, modes (but for set-id bits, which bindfs drops), sizes, times of
 * files, targets and contents.
 */
export function treeDigest(root: string, withTimes: boolean): Record<string, unknown> {
  const hash = createHash('sha256');
  let files = 0;
  let bytes = 0;
  for (const path of walk(root)) {
    if (path === '.git' || path.startsWith('.git/')) continue;
    const stat = lstatSync(join(root, path));
    hash.update(`${path}\0${stat.mode & ~SET_ID_BITS}\0`);
    if (stat.isDirectory()) continue;
    files += 1;
    bytes += stat.size;
    if (stat.isSymbolicLink()) hash.update(readlinkSync(join(root, path)));
    else {
      hash.update(`${stat.size}\0${withTimes ? stat.mtimeMs : ''}\0`);
      hash.update(readFileSync(join(root, path)));
    }
  }
  return { digest: hash.digest('hex'), files, bytes };
}

function numberedPath(root: string, i: number): string {
  return join(root, `d${Math.floor(i / FILES_PER_DIRECTORY)}`, `f${i}`);
}

/** Files `from` to `to` (a multiple of a hundred) of 200 bytes, a hundred in a directory. */
export function populate(root: string, from: number, to: number): number {
  const text = Buffer.from('shadow '.repeat(29).slice(0, 200));
  return timedMs(() => {
    for (let i = from; i < to; i++) {
      if (i % FILES_PER_DIRECTORY === 0) mkdirSync(join(root, `d${i / FILES_PER_DIRECTORY}`));
      const fd = openSync(numberedPath(root, i), 'wx');
      writeSync(fd, text);
      closeSync(fd);
    }
  });
}

/** Overwrites the first bytes of `count` files of a populated tree, spread over it. */
export function change(root: string, files: number, count: number, stamp: string): number {
  const text = Buffer.from(stamp);
  return timedMs(() => {
    for (let i = 0; i < count; i++) {
      const fd = openSync(numberedPath(root, Math.floor((i * files) / count)), 'r+');
      writeSync(fd, text, 0, text.length, 0);
      closeSync(fd);
    }
  });
}

/** The beginnings of the first `count` of those files must be as `change` left them. */
export function checkChanged(root: string, files: number, count: number, stamp: string): void {
  for (let i = 0; i < count; i++) {
    const path = numberedPath(root, Math.floor((i * files) / count));
    if (!readFileSync(path, 'latin1').startsWith(stamp)) throw new Error(`${path} is wrong`);
  }
}

/** Opens, reads 4 KiB and closes each of the first `count` files of a populated tree. */
export function readEach(root: string, count: number): number {
  const page = Buffer.alloc(PAGE_BYTES);
  return timedMs(() => {
    for (let i = 0; i < count; i++) {
      const fd = openSync(numberedPath(root, i), 'r');
      if (readSync(fd, page, 0, PAGE_BYTES, 0) !== 200) throw new Error(`file ${i} is too short`);
      closeSync(fd);
    }
  });
}

/**
 * A program at work on `count` files of a populated tree: reads each, overwrites every second one,
 * and beside every fourth one puts a new file in place of what its last work had left there, of
 * which every second is removed again. At the end it writes its result, one larger file.
 */
export function session(root: string, from: number, count: number, stamp: string): number {
  const text = Buffer.from(stamp);
  return timedMs(() => {
    for (let i = from; i < from + count; i++) {
      const path = numberedPath(root, i);
      if (readFileSync(path).length !== 200) throw new Error(`${path} is not 200 bytes long`);
      if (i % 2 !== 0) continue;
      const fd = openSync(path, 'r+');
      writeSync(fd, text, 0, text.length, 0);
      closeSync(fd);
      if (i % 4 !== 0) continue;
      const made = openSync(`${path}.new`, 'wx');
      writeSync(made, text);
      closeSync(made);
      renameSync(`${path}.new`, `${path}.own`);
      if (i % 8 === 0) unlinkSync(`${path}.own`);
    }
    writeFileSync(
      join(root, `d${Math.floor(from / FILES_PER_DIRECTORY)}`, 'result'),
      noise(RESULT_BYTES),
    );
  });
}
