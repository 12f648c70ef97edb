/** Merges the lines of three versions of a file, by git or by diff3, whichever is here. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { CommandError } from '../../lib/errors.js';

/** Both exit with 0 when nothing is in conflict. */
const TOOLS: readonly [command: string, args: readonly string[]][] = [
  ['git', ['merge-file', '-p', '-q', 'ours', 'base', 'theirs']],
  ['diff3', ['-m', 'ours', 'base', 'theirs']],
];
/** A tool that hangs holds programs' writes up. */
const LONGEST_MS = 10_000;

/** Into the file `merged` of the directory. Throws no-merge-tool. */
export async function mergeLines(directory: string): Promise<{ isClean: boolean }> {
  for (const [command, args] of TOOLS) {
    const status = await run(directory, command, args);
    if (status !== undefined) return { isClean: status === 0 };
  }
  throw new CommandError(
    'no-merge-tool',
    'ENOENT',
    'lines are merged by git or by diff3 (Debian: diffutils), and neither is here; nothing was changed',
  );
}

/** The exit status; undefined: there is no such command. */
async function run(
  directory: string,
  command: string,
  args: readonly string[],
): Promise<number | undefined> {
  const output = createWriteStream(join(directory, 'merged'), { mode: 0o600 });
  const child = spawn(command, args, {
    cwd: directory,
    stdio: ['ignore', 'pipe', 'ignore'],
    timeout: LONGEST_MS,
  });
  let isMissing = false;
  child.once('error', (error: NodeJS.ErrnoException) => {
    isMissing = error.code === 'ENOENT';
  });
  const written = new Promise<boolean>((resolve) => {
    output.once('error', () => resolve(false));
    output.once('close', () => resolve(true));
  });
  const ended = new Promise<number>((resolve) => {
    child.once('close', (code) => resolve(code ?? -1));
  });
  child.stdout.pipe(output);
  const [isWritten, status] = await Promise.all([written, ended]);
  if (isMissing) return undefined;
  return isWritten ? status : -1;
}
