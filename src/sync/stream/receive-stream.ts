/**
 * Receives one stream after the other, from bytes: decodes, and calls a
 * receiver. The source of the bytes (a pipe, a connection) drives it: in pieces
 * beside other work (`StreamIntake`), or each chunk at once (`StreamReceiver`).
 */
import { CommandError } from '../../lib/errors.js';
import { type Work, workNow } from '../../lib/work.js';
import { StreamDecoder, type StreamHeader } from '../../format/wire/stream.js';
import type { ReceiveAnswer, Receiver } from './receiver.js';

export class StreamIntake {
  #decoder = new StreamDecoder();
  #receiver: Receiver | undefined;
  #isBetween = true;
  #hasBegun = false;

  /** `open`: called with the header of each stream; returns the receiver for it. */
  constructor(readonly open: (header: StreamHeader) => Receiver) {}

  /** Takes the next bytes; returns an answer for each stream that has ended. */
  *push(chunk: Buffer): Work<ReceiveAnswer[]> {
    const answers: ReceiveAnswer[] = [];
    let bytes = chunk;
    while (bytes.length > 0) {
      this.#isBetween = false;
      this.#hasBegun = true;
      const answer = yield* this.#take(bytes);
      if (answer === undefined) break;
      bytes = this.#decoder.rest();
      this.#decoder = new StreamDecoder();
      this.#receiver = undefined;
      this.#isBetween = true;
      answers.push(answer);
    }
    return answers;
  }

  *#take(bytes: Buffer): Work<ReceiveAnswer | undefined> {
    for (const event of this.#decoder.push(bytes)) {
      switch (event.kind) {
        case 'header': {
          const receiver = this.open(event.header);
          yield* receiver.begin(event.header);
          this.#receiver = receiver;
          break;
        }
        case 'records':
          if (this.#receiver !== undefined) {
            yield* this.#receiver.apply(event.records, event.position);
          }
          break;
        case 'end':
          return yield* (this.#receiver as Receiver).finish();
      }
      yield undefined;
    }
    return undefined;
  }

  /** Call before the memory of the last chunk is reused. */
  keep(): void {
    this.#decoder.keep();
  }

  /** At least one stream came, and each to its end. */
  get isWhole(): boolean {
    return this.#hasBegun && this.#isBetween;
  }

  /**
   * No more bytes will come. Throws `stream-incomplete` in the middle of a stream, and when there
   * was none: a sender that failed at once looks so.
   */
  end(): void {
    if (this.isWhole) return;
    if (!this.#hasBegun) {
      throw new CommandError(
        'stream-incomplete',
        'EIO',
        'nothing came: the input ended before any stream (did the sender fail?)',
      );
    }
    throw new CommandError('stream-incomplete', 'EIO', 'the stream ends before its end');
  }

  /**
   * Keeps the received part of an unfinished stream; returns the token to resume with, if there is
   * one.
   */
  *suspend(): Work<string | undefined> {
    const receiver = this.#receiver;
    this.#receiver = undefined;
    return receiver === undefined ? undefined : yield* receiver.suspend();
  }
}

/** For an unmounted volume: `push` returns when the bytes are taken in. */
export class StreamReceiver {
  readonly #intake: StreamIntake;
  #receiver: Receiver | undefined;

  constructor(open: (header: StreamHeader) => Receiver) {
    this.#intake = new StreamIntake((header) => {
      this.#receiver = open(header);
      return this.#receiver;
    });
  }

  #now<T>(work: Work<T>): T {
    return workNow(work, () => this.#receiver?.volume.flush());
  }

  /** The memory of `chunk` may be reused when this returns. */
  push(chunk: Buffer): ReceiveAnswer[] {
    const answers = this.#now(this.#intake.push(chunk));
    this.#intake.keep();
    return answers;
  }

  end(): void {
    this.#intake.end();
  }

  suspend(): string | undefined {
    return this.#now(this.#intake.suspend());
  }
}
