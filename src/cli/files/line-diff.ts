/**
 * The differences between two files in lines, found by the system's diff(1). It
 * gets descriptors, so names of any bytes work, and what it says is passed on
 * piece by piece.
 */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { fsPath } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';

const NOTHING = '/dev/null';

/** `binary`: they differ, and not in lines. */
export type LinePart = { kind: 'binary' } | { kind: 'hunks'; bytes: Buffer };

/** The hunks, without the two lines that name the files; nothing when the files are equal. */
export async function* lineDiff(
  before: string | undefined,
  after: string | undefined,
): AsyncGenerator<LinePart> {
  const left = openSync(fsPath(before ?? NOTHING), 'r');
  let right: number;
  try {
    right = openSync(fsPath(after ?? NOTHING), 'r');
  } catch (error) {
    closeSync(left);
    throw error;
  }
  const child = spawn('diff', ['-u', '/dev/fd/3', '/dev/fd/4'], {
    stdio: ['ignore', 'pipe', 'pipe', left, right],
    env: { ...process.env, LC_ALL: 'C' },
  });
  closeSync(left);
  closeSync(right);
  const failed = new Promise<Error | undefined>((resolve) => {
    child.once('error', resolve);
    child.once('close', () => resolve(undefined));
  });
  let said = '';
  child.stderr?.on('data', (data: Buffer) => {
    said = (said + data.toString()).slice(0, 1000);
  });
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (head === undefined) {
      yield { kind: 'hunks', bytes: chunk };
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.toString('latin1', 0, 13) === 'Binary files ') {
      yield { kind: 'binary' };
      break;
    }
    // The lines --- and +++ come first.
    const second = head.indexOf('\n', head.indexOf('\n') + 1);
    if (second < 0) continue;
    yield { kind: 'hunks', bytes: head.subarray(second + 1) };
    head = undefined;
  }
  const error = await failed;
  if (error === undefined && said === '') return;
  const isMissing = (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
  throw isMissing
    ? new CommandError('diff-missing', 'ENOENT', 'the program diff is missing (package diffutils)')
    : new CommandError('diff-failed', 'EIO', `diff: ${error?.message ?? said.trim()}`);
}

/** Lines added and removed; undefined: not in lines. */
export async function countLines(
  before: string | undefined,
  after: string | undefined,
): Promise<{ added: number; removed: number } | undefined> {
  let [added, removed] = [0, 0];
  let isLineStart = true;
  for await (const part of lineDiff(before, after)) {
    if (part.kind === 'binary') return undefined;
    for (const byte of part.bytes) {
      if (isLineStart && byte === 0x2b) added++;
      if (isLineStart && byte === 0x2d) removed++;
      isLineStart = byte === 0x0a;
    }
  }
  return { added, removed };
}
