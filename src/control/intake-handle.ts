/**
 * One open `receive` file: written bytes go to an incoming stream, which is
 * opened by the first byte. A read ends the input and returns the results, one
 * JSON line for each stream.
 *
 * The first write may be a line of options (`force=yes by=cli`) instead of a
 * stream's first bytes. A write is answered when its bytes are received, which
 * slows the sender down.
 *
 * What must hold: an input that was not one whole stream at least is never
 * taken for a success: who closes the file gets an error, and `result` tells it,
 * also when nobody reads the answer (`ssh … | cat > receive` with a broken ssh).
 */
import { CommandError, FsError } from '../lib/errors.js';
import { Deferred } from '../lib/deferred.js';
import { parseCommandLine, refuseUnknownOptions } from '../format/text/grammar.js';
import { jsonLine } from '../format/text/json-text.js';
import { type Answer, asFsError, type Commands, failureAnswer } from './command.js';
import type { OpenedFile } from './opened-file.js';

/** A stream that arrives piece by piece. Each call comes after the one before has settled. */
export interface IncomingStream {
  /** Every stream that has begun has come to its end. */
  readonly isWhole: boolean;
  /** Settles when the bytes are received: there is room for the next. */
  push(chunk: Buffer): Deferred<void>;
  /**
   * Ends the input. Resolves with the answers; rejects with a token when a
   * stream was incomplete.
   */
  finish(): Deferred<Answer[]>;
  /**
   * Closes the stream and keeps what was received. Resolves with the token to
   * resume it, if there is one.
   */
  suspend(): Deferred<string | undefined>;
}

export interface IncomingOptions {
  force: boolean;
  source: string;
}

/** Throws CommandError `receive-busy` while another one is open. */
export type OpenIncoming = (options: IncomingOptions) => IncomingStream;

/** The first bytes of every stream. */
const STREAM_START = Buffer.from('SFSTREAM', 'latin1');

export class IntakeHandle implements OpenedFile {
  readonly #open: OpenIncoming;
  readonly #commands: Commands;
  readonly #isForWriting: boolean;
  #options: IncomingOptions = { force: false, source: 'control' };
  #stream: IncomingStream | undefined;
  #isFirst = true;
  #answer: Deferred<Buffer> | undefined;

  /** `isForWriting`: the file was opened to be written. */
  constructor(open: OpenIncoming, commands: Commands, isForWriting: boolean) {
    this.#open = open;
    this.#commands = commands;
    this.#isForWriting = isForWriting;
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

  #failed(error: unknown): void {
    this.#stream = undefined;
    const answer = new Deferred<Buffer>();
    answer.resolve(this.#failure(error));
    this.#answer = answer;
  }

  #failure(error: unknown): Buffer {
    const answer = failureAnswer('receive', error);
    this.#commands.refused(answer);
    return Buffer.from(jsonLine(answer));
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
      if (this.#isForWriting) answer.resolve(this.#failure(noStream()));
      else answer.resolve(Buffer.from(jsonLine(failureAnswer('receive', noStream()))));
      return answer;
    }
    stream.finish().settled(
      (answers) => {
        const lines = answers.map((one) => jsonLine({ ok: true, ...one }));
        answer.resolve(Buffer.from(lines.join('')));
      },
      (error) => answer.resolve(this.#failure(error)),
    );
    return answer;
  }

  /** A process closes the file: an input that is not whole is its failure to learn of. */
  flush(): undefined {
    if (this.#answer !== undefined || !this.#isForWriting) return undefined;
    if (this.#stream === undefined) throw asFsError(noStream(), 'close');
    if (!this.#stream.isWhole) throw new FsError('EIO', 'close (the stream is not complete)');
    return undefined;
  }

  /**
   * The writer closed the file without reading: whole streams are stored, the
   * received part of another is kept, and `result` says how it goes on.
   */
  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (this.#answer !== undefined) return;
    if (stream === undefined) {
      if (this.#isForWriting) this.#failure(noStream());
      return;
    }
    const { isWhole } = stream;
    stream.suspend().settled(
      (token) => {
        if (!isWhole) this.#failure(incomplete(token));
      },
      (error) => void this.#failure(error),
    );
  }
}

function noStream(): CommandError {
  return new CommandError(
    'stream-incomplete',
    'EIO',
    'nothing came: the input ended before any stream (did the sender fail?)',
  );
}

function incomplete(token: string | undefined): CommandError {
  return new CommandError(
    'stream-incomplete',
    'EIO',
    'the file was closed before the end of the stream',
    token === undefined ? {} : { token },
  );
}

/** Undefined: not an option line. It is then taken for a stream, whose error is reported. */
function optionsOf(data: Buffer): IncomingOptions | undefined {
  if (data.indexOf(0x0a) !== data.length - 1) return undefined;
  const line = parseCommandLine(data);
  refuseUnknownOptions(line, ['force', 'by']);
  return {
    force: line.options.get('force') === 'yes',
    source: line.options.get('by') === 'cli' ? 'cli' : 'control',
  };
}
