/**
 * The jobs that a process of its own does on a file system under test, timed
 * from inside, without the start-up: `node io-child.js JOB ARGUMENT…`. Prints
 * one line of JSON.
 */
import { expectedDigest, fileDigest } from './content.js';
import {
  appendLines,
  flush,
  readByte,
  readRandomly,
  readSequentially,
  writeByte,
  writeRandomly,
  writeSequentially,
} from './data-jobs.js';
import {
  appendEach,
  change,
  checkAppended,
  checkChanged,
  createEmpty,
  listNames,
  openEach,
  populate,
  readEach,
  session,
  statAll,
  statMissing,
  statTree,
  treeDigest,
  unlinkAll,
} from './name-jobs.js';
import { fill, rewrite, work as workFor } from './transfer-jobs.js';

/** A job that returns a number returns ms. */
type Job = (path: string, ...rest: string[]) => number | object;

const JOBS: Record<string, Job> = {
  'write-sequentially': (path, chunks) => writeSequentially(path, Number(chunks)),
  'read-sequentially': (path, chunks) => readSequentially(path, Number(chunks)),
  'write-randomly': (path, chunks, count) => writeRandomly(path, Number(chunks), Number(count)),
  'read-randomly': (path, chunks, count) => readRandomly(path, Number(chunks), Number(count)),
  'append-lines': (path, count) => ({ each: appendLines(path, Number(count)) }),
  'write-byte': (path, offset) => writeByte(path, Number(offset)),
  'read-byte': (path, offset) => ({ byte: readByte(path, Number(offset)) }),
  flush: (path) => flush(path),
  'file-digest': (path) => ({ digest: fileDigest(path) }),
  'expected-digest': (chunks, writes) => ({
    digest: expectedDigest(Number(chunks), Number(writes)),
  }),
  'tree-digest': (path, withTimes) => treeDigest(path, withTimes === 'times'),
  create: (path, count) => createEmpty(path, Number(count)),
  unlink: (path, count) => unlinkAll(path, Number(count)),
  stat: (path, count) => statAll(path, Number(count)),
  missing: (path, count, which) => statMissing(path, Number(count), which === 'first'),
  open: (path, count) => openEach(path, Number(count)),
  list: (path, count) => listNames(path, Number(count)),
  'stat-tree': (path, times) => statTree(path, Number(times)),
  'append-each': (path, model = '', count = '') => appendEach(path, model, Number(count)),
  'check-appended': (path, model = '', count = '') => {
    checkAppended(path, model, Number(count));
    return {};
  },
  populate: (path, from, to) => populate(path, Number(from), Number(to)),
  change: (path, files, count, stamp = '') => change(path, Number(files), Number(count), stamp),
  'check-changed': (path, files, count, stamp = '') => {
    checkChanged(path, Number(files), Number(count), stamp);
    return {};
  },
  fill: (path, files, bytes) => fill(path, Number(files), Number(bytes)),
  rewrite: (path, files, bytes, step, round) =>
    rewrite(path, Number(files), Number(bytes), Number(step), Number(round)),
  work: (path, ms) => workFor(path, Number(ms)),
  session: (path, from, count, stamp = '') => session(path, Number(from), Number(count), stamp),
  'read-each': (path, count) => readEach(path, Number(count)),
};

const [job = '', path = '', ...rest] = process.argv.slice(2);
const work = JOBS[job];
if (work === undefined) throw new Error(`no job ${job}`);
const answer = work(path, ...rest);
process.stdout.write(`${JSON.stringify(typeof answer === 'number' ? { ms: answer } : answer)}\n`);
