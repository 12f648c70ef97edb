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
  return await new Promise((resolve) => {
    let status: number | undefined = -1;
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') status = undefined;
    });
    child.stdout.pipe(output);
    output.once('error', () => resolve(-1));
    child.once('exit', (code) => {
      status = code ?? -1;
    });
    output.once('close', () => resolve(status));
  });
}
