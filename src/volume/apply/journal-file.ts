/**
 * The file of an apply's journal (rules A4, A13): written and read in pieces, so
 * that neither the memory nor the time of a piece grows with the apply. The form
 * of earlier versions, one text with everything, is read as well.
 *
 * What must hold: the journal is there whole or not at all. What is read was
 * checked: a frame by itself, the end by `verify`.
 */
import { closeSync, fstatSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Deferred } from '../../lib/deferred.js';
import { temporaryPath } from '../../lib/durable-file.js';
import { CorruptionError, type ErrnoName, FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { isFields } from '../../lib/fields.js';
import type { Work } from '../../lib/work.js';
import { uint32At } from '../../format/big-endian.js';
import { JOURNAL_FILE, type JournalHead, type Step } from './journal.js';

const MAGIC = Buffer.from('sfapply2', 'latin1');
/** Length and checksum of what follows them, 4 bytes each. */
const FRAME_HEAD = 8;
const KIND = { head: 1, steps: 2, seal: 3 } as const;
type Kind = (typeof KIND)[keyof typeof KIND];

/** Texts of steps in one frame; a single step may be longer. */
const FRAME_TEXT = 32 * 1024;
const STEPS_AT_ONCE = 8;
/** Earlier versions wrote the whole journal as one string, which can't be longer. */
const OLD_BYTES_MAX = 512 * 1024 * 1024;

/** Settles when the file, or directory, is on the disk. */
export type FlushFile = (fd: number) => Deferred<void>;

interface Frame {
  kind: Kind;
  body: string;
  /** Where the next one begins. */
  end: number;
}

/** Replaces the journal; durable at the end. Throws FsError, and then the earlier one is there. */
export function* writeJournal(
  volume: string,
  head: JournalHead,
  steps: Iterable<Step>,
  flush: FlushFile,
): Work<void> {
  const file = join(volume, JOURNAL_FILE);
  const fresh = temporaryPath(file);
  rmSync(fresh, { force: true });
  let isNamed = false;
  const fd = hosted(file, () => openSync(fresh, 'wx', 0o600));
  try {
    yield* writeFrames((bytes) => hosted(file, () => writeWhole(fd, bytes)), head, steps);
    yield flush(fd);
    failpoint('apply:journal-written');
    hosted(file, () => renameSync(fresh, file));
    isNamed = true;
  } finally {
    closeSync(fd);
    if (!isNamed) rmSync(fresh, { force: true });
  }
  yield* flushNames(volume, flush);
}

function* writeFrames(
  write: (bytes: Uint8Array) => void,
  head: JournalHead,
  steps: Iterable<Step>,
): Work<void> {
  write(MAGIC);
  let sum = 0;
  const frame = (kind: Kind, body: string): void => {
    const bytes = encodeFrame(kind, body);
    sum = crc32(bytes, sum);
    write(bytes);
  };
  frame(KIND.head, JSON.stringify(head));
  let texts: string[] = [];
  let [length, count] = [0, 0];
  const close = (): void => {
    if (texts.length > 0) frame(KIND.steps, `[${texts.join(',')}]`);
    texts = [];
    length = 0;
  };
  for (const step of steps) {
    const text = JSON.stringify(step);
    texts.push(text);
    length += text.length;
    if (length >= FRAME_TEXT) close();
    if (++count % STEPS_AT_ONCE === 0) yield undefined;
  }
  close();
  write(encodeFrame(KIND.seal, JSON.stringify({ steps: count, sum })));
}

function encodeFrame(kind: Kind, body: string): Buffer {
  const bytes = Buffer.alloc(FRAME_HEAD + 1 + Buffer.byteLength(body));
  bytes.writeUInt8(kind, FRAME_HEAD);
  bytes.write(body, FRAME_HEAD + 1);
  const content = bytes.subarray(FRAME_HEAD);
  bytes.writeUInt32BE(content.length, 0);
  bytes.writeUInt32BE(crc32(content), 4);
  return bytes;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
}

function hosted<T>(file: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code, syscall = '' } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new FsError(code as ErrnoName, syscall, file);
  }
}

function* flushNames(volume: string, flush: FlushFile): Work<void> {
  const directory = openSync(volume, 'r');
  try {
    yield flush(directory);
  } finally {
    closeSync(directory);
  }
}

export function* removeJournal(volume: string, flush: FlushFile): Work<void> {
  const file = join(volume, JOURNAL_FILE);
  rmSync(file, { force: true });
  rmSync(temporaryPath(file), { force: true });
  yield* flushNames(volume, flush);
}

/** A journal that is open to be read. */
export interface OpenJournal {
  /** What it says first, as it stands there. */
  head: unknown;
  /** In order, from the first one on; again at each call. Throws CorruptionError. */
  steps(): Generator<unknown>;
  /** Reads it to its end. Returns the number of steps. Throws CorruptionError. */
  verify(): Work<number>;
  close(): void;
}

/** Undefined: there is none. Throws CorruptionError. */
export function openJournal(volume: string): OpenJournal | undefined {
  const file = join(volume, JOURNAL_FILE);
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const start = readAt(fd, 0, Math.min(MAGIC.length, fstatSync(fd).size));
    return start.equals(MAGIC) ? new FramedJournal(fd, file) : oldJournal(fd, file);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Nothing has changed yet, or something may have; undefined: there is no journal. */
export function journalState(volume: string): JournalHead['state'] | undefined {
  const journal = openJournal(volume);
  try {
    return journal && (journal.head as JournalHead).state;
  } finally {
    journal?.close();
  }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) return bytes.subarray(0, done);
    done += count;
  }
  return bytes;
}

class FramedJournal implements OpenJournal {
  readonly head: unknown;
  readonly #size: number;
  /** Where the steps begin. */
  readonly #start: number;
  #sum = 0;

  constructor(
    readonly fd: number,
    readonly file: string,
  ) {
    this.#size = fstatSync(fd).size;
    const { kind, body, end } = this.#frame(MAGIC.length);
    if (kind !== KIND.head) throw this.#damaged();
    this.head = this.#parsed(body);
    this.#start = end;
  }

  #damaged(): CorruptionError {
    return new CorruptionError('journal of an apply', this.file);
  }

  #frame(at: number): Frame {
    const head = readAt(this.fd, at, FRAME_HEAD);
    const length = head.length === FRAME_HEAD ? uint32At(head, 0) : 0;
    if (length < 1 || at + FRAME_HEAD + length > this.#size) throw this.#damaged();
    const content = readAt(this.fd, at + FRAME_HEAD, length);
    if (content.length < length || crc32(content) !== uint32At(head, 4)) throw this.#damaged();
    const kind = content[0] as Kind;
    if (kind !== KIND.seal) this.#sum = crc32(content, crc32(head, this.#sum));
    return { kind, body: content.toString('utf8', 1), end: at + FRAME_HEAD + length };
  }

  #parsed(body: string): unknown {
    try {
      return JSON.parse(body);
    } catch {
      throw this.#damaged();
    }
  }

  /** One frame's steps at a time; the seal, and nothing after it, is the end. */
  *#batches(): Generator<unknown[]> {
    this.#sum = 0;
    this.#frame(MAGIC.length);
    let count = 0;
    for (let at = this.#start; ; ) {
      const { kind, body, end } = this.#frame(at);
      const content = this.#parsed(body);
      if (kind === KIND.seal) {
        const isWhole = isFields(content) && content['steps'] === count && end === this.#size;
        if (!isWhole || content['sum'] !== this.#sum) throw this.#damaged();
        return;
      }
      if (kind !== KIND.steps || !Array.isArray(content)) throw this.#damaged();
      count += content.length;
      yield content as unknown[];
      at = end;
    }
  }

  *steps(): Generator<unknown> {
    for (const batch of this.#batches()) yield* batch;
  }

  *verify(): Work<number> {
    let count = 0;
    for (const { length } of this.#batches()) {
      count += length;
      yield undefined;
    }
    return count;
  }

  close(): void {
    closeSync(this.fd);
  }
}

/** A checksum, a line's end, and one text. */
function oldJournal(fd: number, file: string): OpenJournal {
  const { size } = fstatSync(fd);
  const bytes = size > OLD_BYTES_MAX ? Buffer.alloc(0) : readAt(fd, 0, size);
  const body = bytes.subarray(9);
  const sum = Number.parseInt(bytes.toString('latin1', 0, 8), 16);
  if (crc32(body) !== sum) throw new CorruptionError('journal of an apply', file);
  const head = JSON.parse(body.toString()) as unknown;
  const steps: unknown = isFields(head) ? head['steps'] : undefined;
  if (isFields(head) && !Array.isArray(steps)) {
    throw new CorruptionError('steps of an apply', file);
  }
  const list = Array.isArray(steps) ? (steps as unknown[]) : [];
  return {
    head,
    *steps() {
      yield* list;
    },
    *verify() {
      yield undefined;
      return list.length;
    },
    close: () => closeSync(fd),
  };
}
