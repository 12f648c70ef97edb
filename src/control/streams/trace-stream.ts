/**
 * `trace`: requests as they are answered, one JSON line each, for every reader
 * of the file; a line of filters may be written first. It shows what all users
 * do, so only the mount's owner and root may open it.
 *
 * Owns the readers and their unread entries. What must hold: a reader that does
 * not read holds a bounded amount of memory and learns how much it missed;
 * requests are traced while there are readers, and only then.
 */
import { Deferred } from '../../lib/deferred.js';
import { errnoName, FsError } from '../../lib/errors.js';
import { textOfByteString } from '../../lib/byte-text.js';
import { jsonLine } from '../../format/text/json-text.js';
import type { TraceEntry, TraceSink } from '../../measure/trace-entry.js';
import type { OpenedFile } from '../opened-file.js';
import { EVERYTHING, mayShow, parseTraceFilter, shows, type TraceFilter } from './trace-filter.js';

/** Most unread entries of one reader, a few hundred bytes each; later ones are dropped. */
export const UNREAD_ENTRIES_MAX = 4096;
/**
 * A waiting reader gets all entries of this time together: a wake-up costs as
 * much as a request.
 */
const GATHER_MS = 10;

function lineOf(entry: TraceEntry): string {
  const { path, newPath, errno, tookMs, ...rest } = entry;
  return jsonLine({
    ...rest,
    path: textOfByteString(path),
    ...(newPath !== undefined && { newPath: textOfByteString(newPath) }),
    errno: errno === 0 ? null : errnoName(errno),
    tookMs: Math.round(tookMs * 10_000) / 10_000,
  });
}

/** Runs something later, in the serving thread. */
export type Later = (delayMs: number, run: () => void) => void;

/** So many entries were left out here. */
interface Gap {
  timeMs: number;
  droppedCount: number;
}

export class TraceReader implements OpenedFile {
  filter: TraceFilter = EVERYTHING;
  readonly #ring = new Array<TraceEntry | Gap | undefined>(UNREAD_ENTRIES_MAX).fill(undefined);
  #first = 0;
  #count = 0;
  /** Left out since the latest entry in the ring. */
  #dropped = 0;
  /** The part of a line that did not fit into the last read. */
  #rest = Buffer.alloc(0);
  #waiting: { length: number; answer: Deferred<Buffer> } | undefined;
  #isGathering = false;

  constructor(
    /** A read waits for the next entry; otherwise the file ends there. */
    readonly waits: boolean,
    readonly later: Later,
    /** The kinds of request that a filter may name. */
    readonly ops: readonly string[],
    readonly onClose: (reader: TraceReader) => void,
  ) {}

  add(entry: TraceEntry): void {
    // Between what came before and what comes after, the reader is told of what was left out.
    const needed = this.#dropped > 0 ? 2 : 1;
    if (this.#count + needed > UNREAD_ENTRIES_MAX) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) this.#push({ timeMs: Date.now(), droppedCount: this.#dropped });
    this.#dropped = 0;
    this.#push(entry);
    if (this.#waiting === undefined || this.#isGathering) return;
    this.#isGathering = true;
    this.later(GATHER_MS, () => {
      this.#isGathering = false;
      // Another read may have taken it since: an empty answer would be the end of the file.
      if (!this.#hasUnread) return;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.answer.resolve(this.#take(waiting.length));
    });
  }

  #push(entry: TraceEntry | Gap): void {
    this.#ring[(this.#first + this.#count) % UNREAD_ENTRIES_MAX] = entry;
    this.#count++;
  }

  get #hasUnread(): boolean {
    return this.#rest.length > 0 || this.#count > 0 || this.#dropped > 0;
  }

  read(_offset: number, length: number): Buffer | Deferred<Buffer> {
    if (!this.waits || this.#hasUnread || length === 0) {
      return this.#take(length);
    }
    if (this.#waiting !== undefined) throw new FsError('EBUSY', 'read', 'trace');
    const answer = new Deferred<Buffer>();
    answer.cancel = () => {
      this.#waiting = undefined;
      answer.reject(new FsError('EINTR', 'read', 'trace'));
    };
    this.#waiting = { length, answer };
    return answer;
  }

  write(_offset: number, data: Buffer): number {
    this.filter = parseTraceFilter(data, this.ops);
    return data.length;
  }

  close(): void {
    this.onClose(this);
  }

  /** As many lines as fit; a line longer than `length` comes in pieces. */
  #take(length: number): Buffer {
    const pieces = [this.#rest];
    let bytes = this.#rest.length;
    while (bytes < length && (this.#count > 0 || this.#dropped > 0)) {
      const piece = Buffer.from(this.#nextLine());
      pieces.push(piece);
      bytes += piece.length;
    }
    const all = Buffer.concat(pieces);
    this.#rest = all.subarray(length);
    return all.subarray(0, length);
  }

  #nextLine(): string {
    const entry = this.#ring[this.#first];
    if (this.#count === 0 || entry === undefined) {
      const line = jsonLine({ timeMs: Date.now(), droppedCount: this.#dropped });
      this.#dropped = 0;
      return line;
    }
    this.#ring[this.#first] = undefined;
    this.#first = (this.#first + 1) % UNREAD_ENTRIES_MAX;
    this.#count--;
    return 'droppedCount' in entry ? jsonLine({ ...entry }) : lineOf(entry);
  }
}

/** All opens of the file. */
export class TraceReaders implements TraceSink {
  readonly #readers = new Set<TraceReader>();

  constructor(
    readonly waits: boolean,
    readonly later: Later,
    /**
     * Called with this object when the first reader opens the file, with
     * undefined when the last one has closed it.
     */
    readonly follow: (sink: TraceSink | undefined) => void,
    readonly ops: readonly string[],
  ) {}

  open(): TraceReader {
    const reader = new TraceReader(this.waits, this.later, this.ops, (closed) => {
      this.#readers.delete(closed);
      if (this.#readers.size === 0) this.follow(undefined);
    });
    this.#readers.add(reader);
    if (this.#readers.size === 1) this.follow(this);
    return reader;
  }

  wants(op: string, tookMs: number): boolean {
    for (const { filter } of this.#readers) if (mayShow(filter, op, tookMs)) return true;
    return false;
  }

  note(entry: TraceEntry): void {
    for (const reader of this.#readers) if (shows(reader.filter, entry)) reader.add(entry);
  }
}
