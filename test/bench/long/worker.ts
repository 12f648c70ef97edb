/**
 * One program of the long run: `node worker.js KIND DIRECTORY SEED PER_SECOND`,
 * until its standard input ends. KIND `tree` works on thousands of small files
 * as an editor, a build and a package manager do; `database` reads and writes
 * pages of one file and syncs them. PER_SECOND: calls, 0 for as many as it can.
 * Every second a line of JSON, `Second`. What it wrote is read back and compared.
 */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { randomFrom } from '../random.js';

export interface Second {
  kind: string;
  /** How long each call took. */
  microseconds: number[];
}

const FILES = 8000;
const DIRECTORIES = 80;
const FILE_MAX_BYTES = 48 * 1024;
const PAGE_BYTES = 8192;
const PAGES = 8192;
const WRITES_A_SYNC = 50;
const SECOND_MS = 1000;

const [kind = '', directory = '', seed = '1', perSecond = '0'] = process.argv.slice(2);
const random = randomFrom(Number(seed));
const below = (limit: number): number => Math.floor(random() * limit);

/** Content that tells file and version: `length` bytes of one number, repeated. */
function content(file: number, version: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 8 <= length; at += 8) {
    bytes.writeUInt32LE(file, at);
    bytes.writeUInt32LE(version, at + 4);
  }
  return bytes;
}

interface Known {
  version: number;
  length: number;
  path: string;
}

/** Makes the tree, and returns what does one thing with it. */
function treeWork(): () => void {
  const files: (Known | undefined)[] = new Array<undefined>(FILES).fill(undefined);
  const place = (): string => join(directory, `d-${below(DIRECTORIES)}`);
  for (let i = 0; i < DIRECTORIES; i++) mkdirSync(join(directory, `d-${i}`));
  let versions = 0;
  const write = (file: number, path: string): Known => {
    const known = { version: ++versions, length: below(FILE_MAX_BYTES), path };
    writeFileSync(path, content(file, known.version, known.length));
    return known;
  };
  const read = (file: number, known: Known): void => {
    const bytes = readFileSync(known.path);
    if (!bytes.equals(content(file, known.version, known.length)))
      throw new Error(`${known.path} is not version ${known.version}`);
  };
  const look = (_file: number, known: Known): void => {
    if (statSync(known.path).size !== known.length) throw new Error(`${known.path}: its size`);
  };
  /** As editors save: a new file takes the old one's name. */
  const replace = (file: number, known: Known): void => {
    const next = write(file, `${known.path}.new`);
    renameSync(next.path, known.path);
    files[file] = { ...next, path: known.path };
  };
  const rename = (file: number, known: Known): void => {
    const path = join(place(), `f-${file}`);
    renameSync(known.path, path);
    known.path = path;
  };
  const remove = (file: number, known: Known): void => {
    unlinkSync(known.path);
    files[file] = undefined;
  };
  const shorten = (file: number, known: Known): void => {
    const fd = openSync(known.path, 'r+');
    known.length = below(known.length + 1);
    ftruncateSync(fd, known.length);
    writeSync(fd, content(file, known.version, known.length), 0, known.length, 0);
    fsyncSync(fd);
    closeSync(fd);
  };
  const list = (): void => {
    readdirSync(join(directory, `d-${below(DIRECTORIES)}`));
  };
  const comeAndGo = (file: number): void => {
    const own = join(directory, `tree-${file}`);
    for (let i = 0; i < 5; i++) mkdirSync(join(own, `${i}`), { recursive: true });
    rmSync(own, { recursive: true });
  };
  const shares: [number, (file: number, known: Known) => void][] = [
    [0.35, read],
    [0.55, look],
    [0.75, replace],
    [0.82, rename],
    [0.92, remove],
    [0.96, list],
    [0.98, shorten],
    [1, comeAndGo],
  ];
  return () => {
    const file = below(FILES);
    const known = files[file];
    if (known === undefined) {
      files[file] = write(file, join(place(), `f-${file}`));
      return;
    }
    const what = random();
    shares.find(([upTo]) => what < upTo)?.[1](file, known);
  };
}

/** Makes the file, and returns what reads or writes one page of it. */
function databaseWork(): () => void {
  const fd = openSync(join(directory, 'database'), 'w+');
  const versions = new Uint32Array(PAGES);
  const page = Buffer.alloc(PAGE_BYTES);
  let written = 0;
  for (let i = 0; i < PAGES; i++) writeSync(fd, content(i, 0, PAGE_BYTES));
  return () => {
    const at = below(PAGES);
    const version = versions[at] ?? 0;
    if (random() < 0.5) {
      readSync(fd, page, 0, PAGE_BYTES, at * PAGE_BYTES);
      if (!page.equals(content(at, version, PAGE_BYTES))) throw new Error(`page ${at} is wrong`);
      return;
    }
    versions[at] = version + 1;
    writeSync(fd, content(at, version + 1, PAGE_BYTES), 0, PAGE_BYTES, at * PAGE_BYTES);
    if (++written % WRITES_A_SYNC === 0) fdatasyncSync(fd);
  };
}

async function work(call: () => void): Promise<void> {
  const rate = Number(perSecond);
  let isOver = false;
  process.stdin.on('end', () => {
    isOver = true;
  });
  process.stdin.resume();
  while (!isOver) {
    const from = performance.now();
    const second: Second = { kind, microseconds: [] };
    for (;;) {
      const start = performance.now();
      const done = second.microseconds.length;
      if (start - from >= SECOND_MS || (rate > 0 && done >= rate)) break;
      call();
      second.microseconds.push(Math.round((performance.now() - start) * 1000));
      // Spread over the second, so that commands meet calls at any point.
      const aheadMs = rate > 0 ? ((done + 1) / rate) * SECOND_MS - (performance.now() - from) : 0;
      if (aheadMs > 2) await pause(aheadMs);
      else if (done % 256 === 255) await pause(0);
    }
    await pause(Math.max(0, SECOND_MS - (performance.now() - from)));
    process.stdout.write(`${JSON.stringify(second)}\n`);
  }
}

await work(kind === 'tree' ? treeWork() : databaseWork());
