/**
 * Long output on a terminal goes through a pager, as git does it: `PAGER`, or
 * `less` with the options FRX, which ends at once when all fits on the screen.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

export interface Output {
  /** False: nobody reads any more. */
  write(bytes: string | Uint8Array): Promise<boolean>;
  /** The reader understands colours. */
  readonly hasColour: boolean;
}

/** The shell command of the pager, or undefined. Pure. */
export function pagerOf(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const pager = env['PAGER'] ?? 'less';
  return pager === '' || pager === 'cat' || env['TERM'] === 'dumb' ? undefined : pager;
}

async function writeTo(
  stream: NodeJS.WritableStream,
  bytes: string | Uint8Array,
  isOver: () => boolean,
): Promise<boolean> {
  if (isOver()) return false;
  if (!stream.write(bytes)) {
    await Promise.race([once(stream, 'drain'), once(stream, 'close')]).catch(() => undefined);
  }
  return !isOver();
}

/** Runs `print`, and returns when the pager has ended, too. */
export async function paged(
  wanted: boolean,
  print: (output: Output) => Promise<void>,
): Promise<void> {
  const isTerminal = process.stdout.isTTY === true;
  const hasColour = isTerminal && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
  const pager = wanted && isTerminal ? pagerOf(process.env) : undefined;
  if (pager === undefined) {
    await print({ hasColour, write: (bytes) => writeTo(process.stdout, bytes, () => false) });
    return;
  }
  const child: ChildProcess = spawn('sh', ['-c', pager], {
    stdio: ['pipe', 'inherit', 'inherit'],
    env: { LESS: 'FRX', LV: '-c', ...process.env },
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
    child.once('error', () => resolve());
  });
  let isOver = false;
  const stdin = child.stdin as NodeJS.WritableStream;
  // The reader has quit, which is no failure.
  stdin.on('error', () => {
    isOver = true;
  });
  child.once('exit', () => {
    isOver = true;
  });
  // Ctrl-C is the pager's; this process ends when the pager does.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  try {
    await print({ hasColour, write: (bytes) => writeTo(stdin, bytes, () => isOver) });
  } finally {
    stdin.end();
    await ended;
    process.off('SIGINT', ignore);
  }
}
