/** Talks to a mount through its control files, like any script. */
import { constants, existsSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fsPath } from '../lib/byte-text.js';
import { CommandError, ERRNO, type ErrnoName } from '../lib/errors.js';
import type { Answer } from '../control/command.js';
import { formatCommandLine } from '../format/text/grammar.js';
import { fromJson } from '../format/text/json-text.js';

const CHUNK_BYTES = 1024 * 1024;

function isErrnoName(text: unknown): text is ErrnoName {
  return typeof text === 'string' && Object.hasOwn(ERRNO, text);
}

/** The error that a failed answer stands for. */
export function errorOfAnswer(answer: Answer): CommandError {
  const { ok: _ok, code, errno, message, ...details } = answer;
  return new CommandError(
    String(code ?? 'unknown'),
    isErrnoName(errno) ? errno : 'EIO',
    String(message ?? 'the command failed'),
    details,
  );
}

export class ControlClient {
  /** `owner`: whose mount it is, for messages. */
  constructor(
    readonly directory: string,
    readonly owner = 'another user',
  ) {}

  /** Runs one command and returns its answer. Throws CommandError when it failed. */
  async run(
    command: string,
    name: string | undefined,
    options: Record<string, string> = {},
  ): Promise<Answer> {
    const words = new Map([...Object.entries(options), ['by', 'cli']] as [string, string][]);
    const line = formatCommandLine(
      name === undefined ? { options: words } : { name, options: words },
    );
    const file = await this.attempt(() =>
      open(fsPath(join(this.directory, command)), constants.O_RDWR),
    );
    try {
      let failure: unknown;
      try {
        await file.write(line, null, 'utf8');
      } catch (error) {
        failure = error;
      }
      const answer = await this.#answer(file);
      if (answer === undefined) throw this.#unreachable(failure);
      if (answer['ok'] !== true) throw errorOfAnswer(answer);
      return answer;
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  /** The JSON object of a state file. */
  async state(name: string): Promise<Answer> {
    return fromJson(await this.attempt(() => this.#text(name))) as Answer;
  }

  /** The JSON lines of a state file. */
  async list(name: string): Promise<Answer[]> {
    const text = await this.attempt(() => this.#text(name));
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => fromJson(line) as Answer);
  }

  #text(name: string): Promise<string> {
    return readFile(fsPath(join(this.directory, name)), 'utf8');
  }

  async #answer(file: Awaited<ReturnType<typeof open>>): Promise<Answer | undefined> {
    const chunks: Buffer[] = [];
    let position = 0;
    try {
      for (;;) {
        const { bytesRead, buffer } = await file.read(
          Buffer.alloc(CHUNK_BYTES),
          0,
          CHUNK_BYTES,
          position,
        );
        if (bytesRead === 0) break;
        chunks.push(buffer.subarray(0, bytesRead));
        position += bytesRead;
      }
      return fromJson(Buffer.concat(chunks).toString('utf8')) as Answer;
    } catch {
      return undefined;
    }
  }

  /** Runs a file operation; throws its failure as CommandError. */
  async attempt<T>(action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw this.#unreachable(error);
    }
  }

  #unreachable(error: unknown): CommandError {
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    if (code === 'EACCES' || code === 'EPERM') {
      return new CommandError(
        'not-permitted',
        'EACCES',
        `the control files in ${this.directory} belong to ${this.owner}: only that user and root can use them`,
      );
    }
    const why = existsSync(fsPath(this.directory)) ? (code ?? 'no answer') : 'they are not mounted';
    return new CommandError(
      'mount-unreachable',
      'EIO',
      `the control files in ${this.directory} don't answer: ${why}`,
    );
  }
}
