/**
 * `events`: commands that changed the tree or its snapshots, and warnings of a
 * full disk, one JSON line each, as they complete, for every reader of the file.
 * inotify does not report a restore (the kernel only reports what programs do).
 * An event comes after the kernel's caches agree with the restored tree.
 *
 * What must hold: a reader gets whole lines, whatever the sizes of its reads; one
 * that does not read holds a bounded amount, and learns how many it missed, where.
 *
 * Doors: trace-filter.
 * Doors inside control/: event-stream, trace-stream.
 */
import { Deferred } from '../../lib/deferred.js';
import { FsError } from '../../lib/errors.js';
import { jsonLine } from '../../format/text/json-text.js';
import { withoutLists } from '../../format/text/list-text.js';
import type { Answer } from '../command.js';

/** Commands that change the tree or its snapshots; and that the disk or the quota fills up. */
const EVENTS: ReadonlySet<unknown> = new Set([
  'save',
  'restore',
  'undo',
  'delete',
  'prune',
  'rename',
  'branch',
  'branch-delete',
  'branch-rename',
  'switch',
  'merge',
  'apply',
  'receive',
  'promote',
  'demote',
  'space-warning',
]);

/** Most unread lines of one reader. An answer is a few hundred bytes. */
export const UNREAD_LINES_MAX = 1000;

/** One open of the file: the events since then. */
export class EventReader {
  readonly #lines: Buffer[] = [];
  readonly #waiting: { length: number; answer: Deferred<Buffer> }[] = [];
  /** The part of a line that did not fit into the last read: it is never given up. */
  #rest: Buffer = Buffer.alloc(0);
  /** Lines given up; told as a line of its own, before those that came after them. */
  #lost = 0;

  constructor(
    /** A read waits for the next event; otherwise the file ends there. */
    readonly waits: boolean,
    readonly nowMs: () => number,
  ) {}

  add(answer: Answer): void {
    if (this.#lines.length >= UNREAD_LINES_MAX) {
      this.#lost += this.#lines.length;
      this.#lines.length = 0;
    }
    this.#lines.push(Buffer.from(jsonLine({ timeMs: this.nowMs(), ...withoutLists(answer) })));
    // A line that is longer than the first read goes on in the next one.
    while (this.#hasUnread) {
      const waiting = this.#waiting.shift();
      if (waiting === undefined) return;
      waiting.answer.resolve(this.#take(waiting.length));
    }
  }

  get #hasUnread(): boolean {
    return this.#rest.length > 0 || this.#lost > 0 || this.#lines.length > 0;
  }

  /** At most `length` bytes, from where the last read left off. */
  read(length: number): Buffer | Deferred<Buffer> {
    if (!this.waits || this.#hasUnread || length === 0) return this.#take(length);
    const answer = new Deferred<Buffer>();
    const waiting = { length, answer };
    answer.cancel = () => {
      const at = this.#waiting.indexOf(waiting);
      if (at >= 0) this.#waiting.splice(at, 1);
      answer.reject(new FsError('EINTR', 'read', 'events'));
    };
    this.#waiting.push(waiting);
    return answer;
  }

  /** One line, or what fits of it. */
  #take(length: number): Buffer {
    if (length === 0) return Buffer.alloc(0);
    const line = this.#rest.length > 0 ? this.#rest : this.#nextLine();
    this.#rest = line.subarray(length);
    return line.subarray(0, length);
  }

  #nextLine(): Buffer {
    if (this.#lost === 0) return this.#lines.shift() ?? Buffer.alloc(0);
    const line = Buffer.from(jsonLine({ timeMs: this.nowMs(), lostCount: this.#lost }));
    this.#lost = 0;
    return line;
  }
}

/** All opens of the file. */
export class EventReaders {
  readonly #readers = new Set<EventReader>();

  constructor(
    readonly waits: boolean,
    readonly nowMs: () => number,
  ) {}

  open(): EventReader {
    const reader = new EventReader(this.waits, this.nowMs);
    this.#readers.add(reader);
    return reader;
  }

  close(reader: EventReader): void {
    this.#readers.delete(reader);
  }

  /** A command is done. */
  tell(answer: Answer): void {
    if (answer['ok'] !== true || !EVENTS.has(answer['command'])) return;
    // It only said what it would do.
    if (answer['dryRun'] === true) return;
    for (const reader of this.#readers) reader.add(answer);
  }
}
