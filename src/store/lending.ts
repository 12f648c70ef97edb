/**
 * Free pages of `data.mdb` lent to the disk: LMDB can't shorten its file, and a
 * page on its list of free ones may be written by any transaction, so it must
 * keep its blocks, or a full disk would fail that transaction.
 *
 * So a run of free pages becomes the value of a record of the table `lent`: no
 * transaction takes its pages. When that is committed, a hole is punched into
 * it, behind its first page, which has LMDB's header. Nobody reads the value.
 * Taking a run back is the other way round: its blocks first, then the record
 * goes (rules N1–N4 in native-notes/format.md).
 */
import { ERRNO } from '../lib/errors.js';
import { failpoint } from '../lib/failpoints.js';
import { invariant } from '../lib/invariant.js';
import { TABLE } from '../format/records/tables.js';
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from '../libc/constants.js';
import { fallocate } from '../libc/libc.js';
import type { Env, StoreStats } from './env.js';
import { DamagedFile, readFreeRuns, readMeta } from './mdb/file.js';
import { largeValues } from './mdb/large-values.js';
import { PAGE_HEADER } from './mdb/layout.js';
import { mergedRuns } from './mdb/runs.js';
import type { WriteTransaction } from './write-transaction.js';

/** Shorter runs are not worth a record, and the page that it keeps. */
const LEAST_PAGES = 8;
/** The longest value: a transaction holds it in memory. */
const MOST_PAGES = 1024;
const KEY_LENGTH = 8;
const FIRST_KEY = Buffer.alloc(KEY_LENGTH);
const BEHIND_KEYS = Buffer.alloc(KEY_LENGTH + 1, 255);
/** Behind what is allocated ahead of the file's end, and below the longest file of small disks. */
const FAR_BYTES = 2 ** 36;
const CANNOT: readonly number[] = [-ERRNO.EOPNOTSUPP, -ERRNO.ENOSYS];

/** A part of the file without blocks. Bytes. */
export interface Hole {
  offset: number;
  length: number;
}

interface LentRun extends Hole {
  key: Buffer;
}

/** What the disk has got of the table's pages: all but the first one of each value. */
export function lentBytes({ tables, pageBytes }: StoreStats): number {
  const lent = tables[TABLE.lent];
  return lent === undefined ? 0 : (lent.overflowPages - lent.records) * pageBytes;
}

/** What one transaction did. */
interface LentSlice {
  bytes: number;
  /** False: there is nothing more that is worth it. */
  isMore: boolean;
}

interface LendingParts {
  fd: number;
  env: Env;
  transaction(body: (tx: WriteTransaction) => void): void;
  stats(): StoreStats;
}

export class Lending {
  readonly #parts: LendingParts;
  /** Lengths of the runs that may still be lent, longest last. */
  #plan: number[] = [];

  constructor(parts: LendingParts) {
    this.#parts = parts;
  }

  /** Lent runs from a key on. */
  *#runs(from: Buffer): Generator<LentRun> {
    const { fd, env } = this.#parts;
    env.renew();
    const root = env.rootPage(TABLE.lent);
    env.release();
    if (root === undefined) return;
    const { pageBytes } = env;
    for (const { key, offset, length } of largeValues(fd, pageBytes, root, from)) {
      const start = offset - PAGE_HEADER;
      const pages = Math.ceil((PAGE_HEADER + length) / pageBytes);
      yield { key, offset: start + pageBytes, length: (pages - 1) * pageBytes };
    }
  }

  /** A crash, or a copy of the volume, may have left blocks in them. In the order of the file. */
  punchAll(): Hole[] {
    const holes: Hole[] = [];
    try {
      for (const { offset, length } of this.#runs(FIRST_KEY)) {
        this.#punch({ offset, length });
        holes.push({ offset, length });
      }
    } catch (error) {
      // `check` tells of it; what lies behind it gets its blocks back.
      if (!(error instanceof DamagedFile)) throw error;
    }
    return holes.sort((a, b) => a.offset - b.offset);
  }

  /** 0, or -errno. */
  #punch({ offset, length }: Hole): number {
    const mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return fallocate(this.#parts.fd, mode, offset, length);
  }

  /** -errno when the file system can't punch holes; else 0. Changes nothing. */
  tryPunch(): number {
    const { env, stats } = this.#parts;
    const { pageBytes } = env;
    const offset = (stats().lastPage + 1) * pageBytes + FAR_BYTES;
    const answer = this.#punch({ offset, length: pageBytes });
    return CANNOT.includes(answer) ? answer : 0;
  }

  /** Looks for what can be lent. Returns its bytes. Takes time in proportion to the free pages. */
  plan(): number {
    const { fd, env } = this.#parts;
    const meta = readMeta(fd);
    if (meta === undefined) return 0;
    // Which of them are old enough only LMDB knows: it lists older ones under newer numbers.
    this.#plan = mergedRuns(readFreeRuns(fd, meta))
      .flatMap(({ pages }) => pieces(pages))
      .sort((a, b) => a - b);
    return this.#plan.reduce((sum, pages) => sum + (pages - 1) * env.pageBytes, 0);
  }

  /** Lends about so many bytes of what was planned, longest runs first; at least one run. */
  lend(bytes: number): LentSlice {
    const { transaction, stats, env } = this.#parts;
    const wanted: number[] = [];
    for (let left = bytes; left > 0 && this.#plan.length > 0; ) {
      const pages = this.#plan.pop() as number;
      wanted.push(pages);
      left -= pages * env.pageBytes;
    }
    if (wanted.length === 0) return { bytes: 0, isMore: false };
    const endBefore = stats().lastPage;
    const zeros = Buffer.alloc(Math.max(...wanted) * env.pageBytes);
    let first = 1;
    transaction((tx) => {
      tx.addTable('lent');
      const newest = { reverse: true, limit: 1, keysOnly: true };
      for (const { key } of tx.range(TABLE.lent, FIRST_KEY, BEHIND_KEYS, newest)) {
        first = Number(key.readBigUInt64BE()) + 1;
      }
      for (const [index, pages] of wanted.entries()) {
        const value = zeros.subarray(0, pages * env.pageBytes - PAGE_HEADER);
        tx.put(TABLE.lent, keyOf(first + index), value);
      }
    });
    failpoint('compact:lent');
    const slice = this.#punchNew(keyOf(first), endBefore + 1);
    failpoint('compact:punched');
    return slice;
  }

  /** LMDB may find no run and take pages behind the old end of the file: that gives nothing. */
  #punchNew(from: Buffer, end: number): LentSlice {
    const { env, transaction } = this.#parts;
    const grown: LentRun[] = [];
    let bytes = 0;
    for (const run of [...this.#runs(from)]) {
      if (run.offset + run.length > end * env.pageBytes) grown.push(run);
      else if (this.#punch(run) === 0) bytes += run.length;
    }
    if (grown.length === 0) return { bytes, isMore: this.#plan.length > 0 };
    transaction((tx) => {
      for (const { key } of grown) tx.del(TABLE.lent, key);
    });
    // It has no runs as long as that: shorter ones are tried.
    const least = Math.min(...grown.map(({ length }) => length / env.pageBytes + 1));
    this.#plan = this.#plan.filter((pages) => pages < least);
    return { bytes, isMore: this.#plan.length > 0 };
  }

  /** Takes about so many bytes back. Returns how many: fewer when the disk has no room for them. */
  takeBack(bytes: number): number {
    const { fd, transaction } = this.#parts;
    const back: LentRun[] = [];
    let taken = 0;
    for (const run of this.#runs(FIRST_KEY)) {
      if (taken >= bytes) break;
      const { offset, length } = run;
      if (fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length) !== 0) break;
      back.push(run);
      taken += length;
    }
    if (back.length === 0) return 0;
    failpoint('compact:took-back');
    transaction((tx) => {
      for (const { key } of back) tx.del(TABLE.lent, key);
    });
    return taken;
  }
}

/** What of a run of free pages is lent in one record each. */
function pieces(pages: number): number[] {
  const found: number[] = [];
  for (let left = pages; left >= LEAST_PAGES; left -= MOST_PAGES) {
    found.push(Math.min(left, MOST_PAGES));
  }
  return found;
}

function keyOf(number: number): Buffer {
  invariant(number > 0, 'keys of lent runs count from 1');
  const key = Buffer.alloc(KEY_LENGTH);
  key.writeBigUInt64BE(BigInt(number));
  return key;
}
