/**
 * Starts the command of a `run` and waits for its end. Its terminal, standard input and output, and
 * signals are its own: it runs in this process's group, so that the terminal reaches both, and what
 * is sent to this process alone goes on to it.
 */
import { type ChildProcess, spawn, type StdioOptions } from 'node:child_process';
import { constants } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import { messageOf } from '../../lib/errors.js';
import { STAT_FIELD, statFields } from '../../libc/process-stat.js';
import { foregroundGroup, putInForeground } from '../../libc/terminal.js';
import { type Program, READY, WAITING } from './shell-script.js';

/** The terminal sends these to the whole group. */
const OF_THE_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT'];
const PASSED_ON: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'];
const ENDING: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP']);
const WAITING_LINE = new RegExp(`^${WAITING}(.*)\n`, 'm');

export interface Ended {
  exitCode: number;
  /** The signal that ended it. */
  signal: string | null;
}

export interface Launched {
  pid: number;
  /** The mount namespace (as /proc/PID/ns/mnt names it) in which it works. */
  namespace: string;
  ended: Promise<Ended>;
}

/** The signals that `run` itself got, and how they reach the command. */
export class Signals {
  /** The last one that asks to end. */
  received: NodeJS.Signals | undefined;
  #child: ChildProcess | undefined;
  /** This process has stopped with the command, which has not gone on. */
  #isStopped = false;
  readonly #off: (() => void)[] = [];

  constructor() {
    for (const signal of OF_THE_TERMINAL) {
      this.#on(signal, () => {
        if (!isInForeground()) this.#child?.kill(signal);
      });
    }
    for (const signal of PASSED_ON) {
      this.#on(signal, () => {
        this.#child?.kill(signal);
        if (signal === 'SIGCONT') this.#isStopped = false;
      });
    }
    // The command may put the terminal in order first, or not stop at all.
    this.#on('SIGTSTP', () => {
      if (!isInForeground()) this.#child?.kill('SIGTSTP');
    });
    this.#on('SIGCHLD', () => this.#stopWithChild());
  }

  /** Whatever has stopped it, the shell learns of this process only. */
  #stopWithChild(): void {
    const pid = this.#child?.pid;
    if (pid === undefined || statFields(pid)?.[STAT_FIELD.state] !== 'T') return;
    // News of the same stop may come when this process has gone on, and the command not yet.
    if (this.#isStopped) return;
    this.#isStopped = true;
    process.kill(process.pid, 'SIGSTOP');
  }

  #on(signal: NodeJS.Signals, pass: () => void): void {
    const listener = (): void => {
      if (ENDING.has(signal)) this.received = signal;
      pass();
    };
    process.on(signal, listener);
    this.#off.push(() => process.off(signal, listener));
  }

  reach(child: ChildProcess | undefined): void {
    this.#child = child;
  }

  end(): void {
    for (const off of this.#off) off();
  }
}

/** The terminal's signals reach this process's group. */
function isInForeground(): boolean {
  const fields = statFields(process.pid);
  return fields !== undefined && fields[STAT_FIELD.group] === fields[STAT_FIELD.terminalGroup];
}

/**
 * A shell that is killed leaves the terminal to a group of its own that has no process any more:
 * this process takes it, in order to ask.
 */
export function takeTerminal(): void {
  if (!process.stdin.isTTY) return;
  const group = foregroundGroup(process.stdin.fd);
  const own = Number(statFields(process.pid)?.[STAT_FIELD.group]);
  if (group > 0 && group !== own && !isGroup(group)) putInForeground(process.stdin.fd, own);
}

function isGroup(group: number): boolean {
  try {
    process.kill(-group, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

export interface Streams {
  /** The command's standard output: its own, or this process's standard error. */
  out: 1 | 2;
  signals: Signals;
}

/** Brings what the script waits for into the mount namespace in which process `pid` is. */
export type Bring = (pid: number, namespace: string) => Promise<void>;

/**
 * A text: why the command can't be started in this way; nothing of it has run. Throws what `bring`
 * throws.
 */
export async function launch(
  { file, args }: Program,
  { out, signals }: Streams,
  bring?: Bring,
): Promise<Launched | string> {
  // Node makes descriptors non-blocking when it first uses them: not while the command does.
  void [process.stdout.isTTY, process.stderr.isTTY];
  const stdio: StdioOptions = [
    0,
    out,
    2,
    'pipe',
    ...(bring === undefined ? [] : ['pipe' as const]),
  ];
  const child = spawn(file, args, { stdio });
  signals.reach(child);
  let failure = '';
  const ended = new Promise<Ended>((resolve) => {
    child.once('error', (error) => {
      failure = messageOf(error);
      resolve({ exitCode: 126, signal: null });
    });
    child.once('exit', (code, signal) => {
      signals.reach(undefined);
      resolve({ exitCode: code ?? 128 + (constants.signals[signal ?? 'SIGKILL'] ?? 0), signal });
    });
  });
  let notBrought: unknown;
  const said = await textOf(child.stdio[3] as Readable, async (namespace) => {
    try {
      await bring?.(child.pid ?? 0, namespace);
      (child.stdio[4] as Writable).end('\n');
    } catch (error) {
      notBrought = error;
      child.kill('SIGKILL');
    }
  });
  if (notBrought !== undefined) throw notBrought;
  const at = said.lastIndexOf(READY);
  if (at >= 0 && child.pid !== undefined) {
    return { pid: child.pid, namespace: said.slice(at + READY.length).trim(), ended };
  }
  const { exitCode, signal } = await ended;
  const why = failure || said.trim().split('\n').at(-1);
  return why || `the shell ended with ${signal ?? exitCode}`;
}

/** Until the writer, or all of them, have closed it; `waits`: it waits, in this namespace. */
async function textOf(
  pipe: Readable,
  waits: (namespace: string) => Promise<void>,
): Promise<string> {
  let text = '';
  let hasWaited = false;
  try {
    for await (const chunk of pipe) {
      text += (chunk as Buffer).toString();
      const namespace = WAITING_LINE.exec(text)?.[1];
      if (namespace === undefined || hasWaited) continue;
      hasWaited = true;
      await waits(namespace);
    }
  } catch {
    // What came is what there is.
  }
  return text;
}
