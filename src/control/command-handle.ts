/**
 * One open command file: collects the line, runs it, holds the answer.
 *
 * Owns the bytes written so far and the answer. What must hold: at most
 * MAX_COMMAND_LENGTH bytes of an unfinished line are kept; a line runs at most
 * once; `write` and `flush` settle when the command is done, not before; a
 * refused line is told to the commands, since `result` shows the last answer.
 *
 * Offsets: writes are accepted in order of arrival, whatever their offsets, so
 * that a descriptor can be used for one command after another. The answer is
 * read from offset 0 (a seekable file, Python's `r+`) or from where the write
 * left off (`exec 3<>save; echo x >&3; cat <&3`).
 */
import { CommandError } from '../lib/errors.js';
import { Deferred } from '../lib/deferred.js';
import { type CommandLine, MAX_COMMAND_LENGTH, parseCommandLine } from '../format/text/grammar.js';
import { jsonLine } from '../format/text/json-text.js';
import { answerLine } from '../format/text/list-text.js';
import { asFsError, failureAnswer, type Answer, type Commands } from './command.js';
import type { CommandFile } from './control-file.js';

const NEWLINE = 0x0a;

export class CommandHandle {
  readonly #file: CommandFile;
  readonly #commands: Commands;
  #pieces: Buffer[] = [];
  #pendingLength = 0;
  /** The rest of a line that was refused for its length is refused too, up to its newline. */
  #discarding = false;
  #running: Deferred<void> | undefined;
  #answer: Buffer;
  /** Where the last write ended, and the file offset of the answer's first byte. */
  #writeEnd = 0;
  #answerStart = 0;
  #nextRead = 0;

  constructor(file: CommandFile, commands: Commands) {
    this.#file = file;
    this.#commands = commands;
    // `cat save` shows what may be written to the file.
    this.#answer = Buffer.from(
      jsonLine({ command: file.name, expected: file.expected, example: file.example }),
    );
  }

  /** Copies `data`. Returns its length, at once or when the command it completes is done. */
  write(offset: number, data: Buffer): number | Deferred<number> {
    if (this.#running !== undefined) {
      const running = new CommandError(
        'command-running',
        'EBUSY',
        'the command written before still runs',
      );
      this.#commands.refused(this.#failure(running));
      throw asFsError(running, 'write');
    }
    const length = data.length;
    // A failed write does not move the descriptor's offset.
    this.#writeEnd = offset;
    const newline = data.indexOf(NEWLINE);
    if (this.#discarding) {
      if (newline === length - 1) this.#discarding = false;
      throw this.#refuse(tooLong());
    }
    if (this.#pendingLength + (newline < 0 ? length : newline) > MAX_COMMAND_LENGTH) {
      this.#drop();
      this.#discarding = newline !== length - 1;
      throw this.#refuse(tooLong());
    }
    if (newline >= 0 && newline !== length - 1) {
      this.#drop();
      throw this.#refuse(
        new CommandError(
          'bad-command-line',
          'EINVAL',
          'one command is one line; more follows after its newline, and nothing was done',
        ),
      );
    }
    // `data` is only valid during the call.
    this.#pieces.push(Buffer.from(data));
    this.#pendingLength += length;
    if (newline < 0) {
      this.#writeEnd = offset + length;
      return length;
    }
    const done = new Deferred<number>();
    this.#run(offset + length).settled(
      () => done.resolve(length),
      (error) => done.reject(asFsError(error, 'write')),
    );
    return done;
  }

  /** Called at a close: a line without its newline runs now, and close returns its error. */
  flush(): Deferred<void> | undefined {
    this.#discarding = false;
    // While a command runs, this is the close of a duplicate descriptor: nothing to do.
    if (this.#pendingLength === 0 || this.#running !== undefined) return undefined;
    const done = new Deferred<void>();
    this.#run(this.#writeEnd).settled(
      () => done.resolve(),
      (error) => done.reject(asFsError(error, 'close')),
    );
    return done;
  }

  /** Discards an unfinished line (O_TRUNC). */
  truncate(): void {
    this.#drop();
  }

  /** Bytes of the answer; waits while the command runs. */
  read(offset: number, length: number): Buffer | Deferred<Buffer> {
    if (this.#running === undefined) return this.#slice(offset, length);
    const later = new Deferred<Buffer>();
    const answer = (): void => later.resolve(this.#slice(offset, length));
    this.#running.settled(answer, answer);
    return later;
  }

  #slice(offset: number, length: number): Buffer {
    if (offset !== this.#nextRead) {
      if (offset === 0) this.#answerStart = 0;
      else if (offset === this.#writeEnd) this.#answerStart = this.#writeEnd;
    }
    const from = Math.max(0, offset - this.#answerStart);
    const bytes = this.#answer.subarray(from, from + length);
    this.#nextRead = offset + bytes.length;
    return bytes;
  }

  #drop(): void {
    this.#pieces = [];
    this.#pendingLength = 0;
  }

  #setAnswer(answer: Answer): void {
    this.#answer = answerLine(answer);
    // Unless a read gives another offset, the answer continues where the write ended.
    this.#answerStart = this.#writeEnd;
    this.#nextRead = -1;
  }

  #refuse(error: CommandError): Error {
    const answer = this.#failure(error);
    this.#setAnswer(answer);
    this.#commands.refused(answer);
    return asFsError(error, 'write');
  }

  #failure(error: unknown): Answer {
    const answer = failureAnswer(this.#file.name, error);
    // The answer to an invalid line says what would be valid.
    if (error instanceof CommandError && error.errno === 'EINVAL') {
      answer['expected'] = this.#file.expected;
      answer['example'] = this.#file.example;
    }
    return answer;
  }

  /** `writeEnd`: the descriptor's offset if the command succeeds. */
  #run(writeEnd: number): Deferred<void> {
    const line = Buffer.concat(this.#pieces);
    this.#drop();
    const done = new Deferred<void>();
    const fail = (error: unknown): void => {
      this.#running = undefined;
      this.#setAnswer(this.#failure(error));
      done.reject(error);
    };
    let running: Deferred<Answer>;
    try {
      const { source, words } = splitSource(parseCommandLine(line));
      const args = this.#file.parse(words);
      this.#running = done;
      running = this.#commands.run(this.#file.name, args, source);
    } catch (error) {
      fail(error);
      this.#commands.refused(this.#failure(error));
      return done;
    }
    running.settled((answer) => {
      this.#running = undefined;
      this.#writeEnd = writeEnd;
      this.#setAnswer({ ok: true, command: this.#file.name, ...answer });
      done.resolve();
    }, fail);
    return done;
  }
}

/** Every command accepts `by=cli`, which records in the history that the command line gave it. */
function splitSource(line: CommandLine): { source: string; words: CommandLine } {
  if (line.options.get('by') !== 'cli') return { source: 'control', words: line };
  const options = new Map(line.options);
  options.delete('by');
  return { source: 'cli', words: { ...line, options } };
}

function tooLong(): CommandError {
  return new CommandError(
    'line-too-long',
    'E2BIG',
    `the line is longer than ${MAX_COMMAND_LENGTH} bytes; nothing of it was kept`,
  );
}
