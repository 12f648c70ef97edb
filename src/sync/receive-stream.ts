/**
 * One stream after the other, from bytes: decodes, and hands over to a
 * receiver. What takes in bytes (a pipe, a connection) drives it.
 */
import { CommandError } from '../base/errors.js';
import { StreamDecoder, type StreamHeader } from '../format/stream.js';
import type { ReceiveAnswer, Receiver } from './receiver.js';

export class StreamReceiver {
  #decoder = new StreamDecoder();
  #receiver: Receiver | undefined;
  #isBetween = true;

  /** `open`: called with the header of each stream; gives the receiver for it. */
  constructor(readonly open: (header: StreamHeader) => Receiver) {}

  /** Takes the next bytes; an answer for each stream that has come to its end. */
  *push(chunk: Buffer): Generator<ReceiveAnswer> {
    let bytes = chunk;
    while (bytes.length > 0) {
      this.#isBetween = false;
      const answer = this.#take(bytes);
      if (answer === undefined) return;
      bytes = this.#decoder.rest();
      this.#decoder = new StreamDecoder();
      this.#receiver = undefined;
      this.#isBetween = true;
      yield answer;
    }
  }

  #take(bytes: Buffer): ReceiveAnswer | undefined {
    for (const event of this.#decoder.push(bytes)) {
      switch (event.kind) {
        case 'header': {
          const receiver = this.open(event.header);
          receiver.begin(event.header);
          this.#receiver = receiver;
          break;
        }
        case 'records':
          this.#receiver?.apply(event.records, event.position);
          break;
        case 'end':
          return (this.#receiver as Receiver).finish();
      }
    }
    return undefined;
  }

  /** No more bytes will come. Throws `stream-incomplete` in the middle of a stream. */
  end(): void {
    if (this.#isBetween) return;
    throw new CommandError('stream-incomplete', 'EIO', 'the stream ends before its end');
  }

  /** Keeps what came of an unfinished stream; the token to go on with, if there is any. */
  suspend(): string | undefined {
    return this.#receiver?.suspend();
  }
}
