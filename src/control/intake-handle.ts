/**
 * One open `receive` file: what is written goes to an incoming stream, which is
 * opened with the first byte; a read says that no more comes, and gives what
 * became of it, one JSON line for each stream.
 *
 * The first write may be a line of options (`force=yes by=cli`) instead of a
 * stream's first bytes. A write is answered when its bytes are taken in, which
 * is what holds the sender back.
 */
import { CommandError } from '../lib/errors.js';
import { Deferred } from '../lib/deferred.js';
import { jsonLine, parseCommandLine, refuseUnknownOptions } from '../format/text/grammar.js';
import { type Answer, asFsError, failureAnswer } from './command.js';
import type { OpenedFile } from './opened-file.js';

/** A stream that comes in piece by piece. Each call after the one before has settled. */
export interface IncomingStream {
  /** Settles when the bytes are taken in: there is room for the next. */
  push(chunk: Buffer): Deferred<void>;
  /** No more bytes come. The answers; rejects with a token when a stream was not whole. */
  finish(): Deferred<Answer[]>;
  /** Lets go of it, keeping what came. The token to go on with, if there is one. */
  suspend(): Deferred<string | undefined>;
}

export interface IncomingOptions {
  force: boolean;
  source: string;
}

/** Throws CommandError `receive-busy` when another one is open. */
export type OpenIncoming = (options: IncomingOptions) => IncomingStream;

/** What every stream begins with. */
const STREAM_START = Buffer.from('SFSTREAM', 'latin1');

export class IntakeHandle implements OpenedFile {
  readonly #open: OpenIncoming;
  #options: IncomingOptions = { force: false, source: 'control' };
  #stream: IncomingStream | undefined;
  #isFirst = true;
  #answer: Deferred<Buffer> | undefined;

  constructor(open: OpenIncoming) {
    this.#open = open;
  }

  write(_offset: number, data: Buffer): number | Deferred<number> {
    if (this.#answer !== undefined) {
      throw asFsError(new CommandError('receive-ended', 'EINVAL', 'it has ended'), 'write');
    }
    const { length } = data;
    try {
      const isFirst = this.#isFirst;
      this.#isFirst = false;
      if (isFirst && !STREAM_START.subarray(0, length).equals(data.subarray(0, 8))) {
        const options = optionsOf(data);
        if (options !== undefined) {
          this.#options = options;
          return length;
        }
      }
      this.#stream ??= this.#open(this.#options);
    } catch (error) {
      this.#failed(error);
      throw asFsError(error, 'write');
    }
    const done = new Deferred<number>();
    // `data` is only valid during the call.
    this.#stream.push(Buffer.from(data)).settled(
      () => done.resolve(length),
      (error) => {
        this.#failed(error);
        done.reject(asFsError(error, 'write'));
      },
    );
    return done;
  }

  #failed(error: unknown): Deferred<Buffer> {
    this.#stream = undefined;
    const answer = new Deferred<Buffer>();
    answer.resolve(Buffer.from(jsonLine(failureAnswer('receive', error))));
    this.#answer = answer;
    return answer;
  }

  read(offset: number, length: number): Deferred<Buffer> {
    const bytes = new Deferred<Buffer>();
    this.#end().settled(
      (answer) => bytes.resolve(answer.subarray(Math.min(offset, answer.length), offset + length)),
      (error) => bytes.reject(asFsError(error, 'read')),
    );
    return bytes;
  }

  #end(): Deferred<Buffer> {
    if (this.#answer !== undefined) return this.#answer;
    const answer = new Deferred<Buffer>();
    const stream = this.#stream;
    this.#answer = answer;
    this.#stream = undefined;
    if (stream === undefined) {
      const nothing = new CommandError('not-a-stream', 'EINVAL', 'nothing was written');
      answer.resolve(Buffer.from(jsonLine(failureAnswer('receive', nothing))));
      return answer;
    }
    stream.finish().settled(
      (answers) => {
        const lines = answers.map((one) => jsonLine({ ok: true, ...one }));
        answer.resolve(Buffer.from(lines.join('')));
      },
      (error) => answer.resolve(Buffer.from(jsonLine(failureAnswer('receive', error)))),
    );
    return answer;
  }

  /** Whoever wrote has gone without asking: a whole stream is in, of another what came is kept. */
  close(): void {
    this.#stream?.suspend();
    this.#stream = undefined;
  }
}

/** Undefined: this is no line at all, so it is taken for a stream, which says what is wrong. */
function optionsOf(data: Buffer): IncomingOptions | undefined {
  if (data.indexOf(0x0a) !== data.length - 1) return undefined;
  const line = parseCommandLine(data);
  refuseUnknownOptions(line, ['force', 'by']);
  return {
    force: line.options.get('force') === 'yes',
    source: line.options.get('by') === 'cli' ? 'cli' : 'control',
  };
}
