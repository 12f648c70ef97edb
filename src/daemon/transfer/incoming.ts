/**
 * Incoming streams of a mounted volume: one at a time, taken in by the serving
 * thread in its spare time.
 *
 * What must hold: requests of programs come first, and of each group most room
 * is theirs; at most HELD_BYTES of a stream wait here, beside the frame that is
 * being taken in (1 MiB at most) and what is staged in the open and the closing
 * group (STAGED_BYTES each); an end that is not the stream's own keeps what came.
 *
 * Doors: receiving, sending.
 * Doors inside daemon/: incoming.
 */
import { CommandError } from '../../lib/errors.js';
import { Deferred } from '../../lib/deferred.js';
import { type Work, workInSlices } from '../../lib/work.js';
import type { Answer } from '../../control/command.js';
import type { IncomingOptions, IncomingStream } from '../../control/intake-handle.js';
import type { ReceiveContext } from '../../sync/stream/receive-context.js';
import { type ReceiveAnswer, Receiver } from '../../sync/stream/receiver.js';
import { StreamIntake } from '../../sync/stream/receive-stream.js';
import { resumeToken } from '../../sync/stream/receiving.js';
import type { Volume } from '../../volume/volume.js';
import { fromPlainError, toPlainError } from '../calls/plain-error.js';

/** Bytes that were pushed and wait. A caller that pushes more than it has room for is refused. */
export const HELD_BYTES = 4 * 1024 * 1024;
/** Staged in one txg; the rest of its room is for programs' changes. */
export const STAGED_BYTES = 12 * 1024 * 1024;
export const STAGED_RECORDS = 10_000;

export interface IncomingParts {
  volume: Volume;
  context: Omit<ReceiveContext, 'txgBytes' | 'txgRecords'>;
  random: () => number;
  addJob(next: () => boolean): void;
  log(message: string): void;
}

export class IncomingStreams {
  readonly #parts: IncomingParts;
  #current: Incoming | undefined;

  constructor(parts: IncomingParts) {
    this.#parts = parts;
  }

  /** Throws CommandError `receive-busy`, `read-only`. */
  open(options: IncomingOptions): Incoming {
    if (this.#parts.volume.isReadOnly) {
      throw new CommandError('read-only', 'EROFS', 'the volume is mounted read-only');
    }
    if (this.#current !== undefined) {
      throw new CommandError('receive-busy', 'EBUSY', 'another stream is coming in at this moment');
    }
    const incoming = new Incoming(this.#parts, options, () => {
      this.#current = undefined;
    });
    this.#current = incoming;
    return incoming;
  }

  /** For `status`: the incoming stream, or how an interrupted one resumes. */
  state(): Record<string, unknown> {
    if (this.#current !== undefined) {
      return { receiving: { receivedBytes: this.#current.bytes }, resumeToken: null };
    }
    return { receiving: null, resumeToken: resumeToken(this.#parts.volume) ?? null };
  }
}

export class Incoming implements IncomingStream {
  /** Bytes pushed so far. */
  bytes = 0;
  readonly #parts: IncomingParts;
  readonly #intake: StreamIntake;
  readonly #onEnd: () => void;
  readonly #answers: ReceiveAnswer[] = [];
  #heldBytes = 0;
  /** Operations that wait for the current one. */
  readonly #waiting: (() => void)[] = [];
  #isBusy = false;
  #failure: CommandError | undefined;
  #isOver = false;

  constructor(parts: IncomingParts, options: IncomingOptions, onEnd: () => void) {
    this.#parts = parts;
    this.#onEnd = onEnd;
    const { volume, context, random } = parts;
    const own = { ...context, txgBytes: STAGED_BYTES, txgRecords: STAGED_RECORDS };
    this.#intake = new StreamIntake(() => new Receiver(volume, { ...options, random }, own));
  }

  get isWhole(): boolean {
    return this.#intake.isWhole;
  }

  /** Bytes that may be pushed now. */
  get room(): number {
    return HELD_BYTES - this.#heldBytes;
  }

  /**
   * Settles when the bytes are taken in: their memory must not change until then. After a failure
   * every call fails with the same error.
   */
  push(chunk: Buffer): Deferred<void> {
    if (chunk.length > this.room) {
      const refused = new Deferred<void>();
      refused.reject(new CommandError('receive-busy', 'EBUSY', 'more than there was room for'));
      return refused;
    }
    this.#heldBytes += chunk.length;
    this.bytes += chunk.length;
    const taken = this.#next(() => this.#take(chunk));
    const counted = (): void => {
      this.#heldBytes -= chunk.length;
    };
    taken.settled(counted, counted);
    return taken;
  }

  *#take(chunk: Buffer): Work<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#answers.push(...(yield* this.#intake.push(chunk)));
      this.#intake.keep();
    } catch (error) {
      throw yield* this.#fail(error);
    }
  }

  /** Keeps what has arrived; returns the error, with the token to resume with. */
  *#fail(error: unknown): Work<CommandError> {
    const failure = asCommandError(error);
    this.#parts.log(`receive: ${failure.message}`);
    let token: string | undefined;
    try {
      token = yield* this.#intake.suspend();
    } catch (lost) {
      this.#parts.log(`what came could not be kept: ${asCommandError(lost).message}`);
    }
    const details =
      token === undefined ? failure.details : { ...failure.details, resumeToken: token };
    this.#failure = new CommandError(failure.code, failure.errno, failure.message, details);
    this.#over();
    return this.#failure;
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
  }

  finish(): Deferred<Answer[]> {
    return this.#next(() => this.#finish());
  }

  *#finish(): Work<Answer[]> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      this.#intake.end();
    } catch (error) {
      throw yield* this.#fail(error);
    }
    this.#over();
    return this.#answers.map((answer) => ({ ...answer }));
  }

  suspend(): Deferred<string | undefined> {
    return this.#next(() => this.#suspend());
  }

  *#suspend(): Work<string | undefined> {
    try {
      return yield* this.#intake.suspend();
    } finally {
      this.#over();
    }
  }

  /** One operation at a time, in the order of the calls. */
  #next<T>(work: () => Work<T>): Deferred<T> {
    const answer = new Deferred<T>();
    const start = (): void => {
      this.#isBusy = true;
      const done = (tell: () => void): void => {
        this.#isBusy = false;
        tell();
        if (!this.#isBusy) this.#waiting.shift()?.();
      };
      workInSlices(work(), (next) => this.#parts.addJob(next)).settled(
        (value) => done(() => answer.resolve(value)),
        (error) => done(() => answer.reject(error)),
      );
    };
    if (this.#isBusy || this.#waiting.length > 0) this.#waiting.push(start);
    else start();
    return answer;
  }
}

function asCommandError(error: unknown): CommandError {
  return fromPlainError(toPlainError(error));
}
