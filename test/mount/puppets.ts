/**
 * Long-lived child processes that a test drives step by step: a shell, and a
 * process that holds files open. Their answers have a time limit.
 */
import type { ChildProcess } from 'node:child_process';
import type { RunOptions, World } from './harness.js';

const ANSWER_MS = 20_000;

class LineProcess {
  protected readonly child: ChildProcess;
  #text = '';
  #errors = '';
  #waiting: { resolve: (line: string) => void; reject: (error: Error) => void }[] = [];

  constructor(world: World, argv: string[], options: RunOptions) {
    this.child = world.start(argv, options);
    this.child.stdout?.on('data', (data: Buffer) => {
      this.#text += data.toString();
      for (;;) {
        const end = this.#text.indexOf('\n');
        if (end < 0) return;
        this.#waiting.shift()?.resolve(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 1);
      }
    });
    this.child.stderr?.on('data', (data: Buffer) => {
      this.#errors += data.toString();
    });
    this.child.once('exit', (code) => {
      for (const { reject } of this.#waiting) reject(new Error(`ended (${code}): ${this.#errors}`));
    });
  }

  /** Says one line and gives the one that comes back. */
  protected ask(line: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer to ${line}: ${this.#errors}`)),
        ANSWER_MS,
      );
      this.#waiting.push({
        resolve: (answer) => {
          clearTimeout(timer);
          resolve(answer);
        },
        reject,
      });
      this.child.stdin?.write(`${line}\n`);
    });
  }

  end(): Promise<void> {
    return new Promise((resolve) => {
      if (this.child.exitCode !== null || this.child.signalCode !== null) resolve();
      else this.child.once('exit', () => resolve());
      this.child.stdin?.end();
    });
  }
}

/** A bash that lives on; each command's output, without line ends. */
export class Shell extends LineProcess {
  constructor(world: World, options: RunOptions = {}) {
    super(world, ['bash'], options);
  }

  run(command: string): Promise<string> {
    return this.ask(`printf '%s\\n' "$( { ${command}; } 2>&1 | tr '\\n' ' ')"`);
  }

  /** In the shell itself, such as `cd`. */
  do(command: string): Promise<string> {
    return this.ask(`${command}; echo $?`);
  }
}

/** A process that holds files open. A failed call rejects with the errno's name as message. */
export class Holder extends LineProcess {
  constructor(world: World, options: RunOptions = {}) {
    super(world, ['python3', world.fixture('holder.py')], options);
  }

  async #call<T>(request: Record<string, unknown>): Promise<T> {
    const answer = JSON.parse(await this.ask(JSON.stringify(request))) as {
      value: T;
      error?: string;
    };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.value;
  }

  /** Flags as in open(2): O_RDONLY 0, O_RDWR 2, O_CREAT 0o100, O_APPEND 0o2000. */
  open(path: string, flags: number): Promise<number> {
    return this.#call({ op: 'open', path, flags });
  }

  pread(fd: number, offset: number, length: number): Promise<string> {
    return this.#call({ op: 'pread', fd, offset, length });
  }

  pwrite(fd: number, offset: number, data: string): Promise<number> {
    return this.#call({ op: 'pwrite', fd, offset, data });
  }

  write(fd: number, data: string): Promise<number> {
    return this.#call({ op: 'write', fd, data });
  }

  fsync(fd: number): Promise<void> {
    return this.#call({ op: 'fsync', fd });
  }

  ftruncate(fd: number, length: number): Promise<void> {
    return this.#call({ op: 'ftruncate', fd, length });
  }

  size(fd: number): Promise<number> {
    return this.#call({ op: 'size', fd });
  }

  close(fd: number): Promise<void> {
    return this.#call({ op: 'close', fd });
  }

  mmap(fd: number, length: number, writable = false): Promise<void> {
    return this.#call({ op: 'mmap', fd, length, writable });
  }

  /** Keeps the pages of the file's (writable) map in memory, whatever the machine is short of. */
  mlock(fd: number): Promise<void> {
    return this.#call({ op: 'mlock', fd });
  }

  mread(fd: number, offset: number, length: number): Promise<string> {
    return this.#call({ op: 'mread', fd, offset, length });
  }

  mwrite(fd: number, offset: number, data: string): Promise<void> {
    return this.#call({ op: 'mwrite', fd, offset, data });
  }

  msync(fd: number): Promise<void> {
    return this.#call({ op: 'msync', fd });
  }

  chdir(path: string): Promise<void> {
    return this.#call({ op: 'chdir', path });
  }

  getcwd(): Promise<string> {
    return this.#call({ op: 'getcwd' });
  }

  listdir(path: string): Promise<string[]> {
    return this.#call({ op: 'listdir', path });
  }
}
