/**
 * `-C DIR`, as git has it: the command works as if it had been started in DIR,
 * so that all relative paths count from there. Several add up.
 *
 * What must hold: a directory that nobody can enter (a dead mount, another
 * user's mount) can be named all the same, since commands can tell about it.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { currentDirectory } from '../lib/byte-paths.js';
import { fsPath, hasRawBytes } from '../lib/byte-text.js';
import { CommandError } from '../lib/errors.js';

let unenterable: string | undefined;

/** Where the command works, absolute. */
export function workingDirectory(): string {
  return unenterable ?? currentDirectory();
}

/** Node's chdir takes no other bytes than UTF-8. */
function changeDirectory(path: string): void {
  if (!hasRawBytes(path)) {
    process.chdir(path);
    return;
  }
  const fd = openSync(fsPath(path), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    process.chdir(`/proc/self/fd/${fd}`);
  } finally {
    closeSync(fd);
  }
}

function enter(directory: string): void {
  const path = resolve(workingDirectory(), directory);
  try {
    changeDirectory(path);
    unenterable = undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') {
      throw new CommandError('directory-missing', 'ENOENT', `${path} does not exist`);
    }
    if (code === 'ENOTDIR') {
      throw new CommandError('directory-missing', 'ENOTDIR', `${path} is not a directory`);
    }
    unenterable = path;
  }
}

export interface DirectoryOption {
  directory?: string[];
}

/** Enters what was given before the command, then what was given after it. */
export function enterDirectories(command: Command): void {
  if (command.parent !== null) enterDirectories(command.parent);
  const { directory = [] } = command.opts<DirectoryOption>();
  // The command itself has nothing to do with them any more.
  command.setOptionValue('directory', undefined);
  for (const path of directory) enter(path);
}
