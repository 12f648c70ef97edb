#!/usr/bin/env node
/** The command line: `shadowfs COMMAND …`. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addCheck } from './commands/check.js';
import { addDelete } from './commands/delete.js';
import { addDiff } from './commands/diff.js';
import { addGroupSave } from './commands/group-save.js';
import { addHistory } from './commands/history.js';
import { addLock, addLocks, addUnlock } from './commands/locks.js';
import { addMount } from './mount/mount.js';
import { helperWords, runHelper } from './mount/mount-helper.js';
import { EXIT_USAGE } from './output.js';
import { addPeer } from './commands/peer.js';
import { addReceive } from './commands/receive.js';
import { addRename } from './commands/rename.js';
import { addRestore } from './commands/restore.js';
import { addDemote, addPromote, addRole } from './commands/role.js';
import { addSave } from './commands/save.js';
import { addSchedule } from './commands/schedule.js';
import { addSend } from './commands/send.js';
import { addSnapshots } from './commands/snapshots.js';
import { addStats } from './commands/stats.js';
import { addStatus } from './commands/status.js';
import { addRevert, addSync } from './commands/sync.js';
import { addTrace } from './commands/trace.js';
import { addUmount } from './mount/umount.js';
import { addVersions } from './commands/versions.js';

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

const program = new Command('shadowfs')
  .description('Instant, undoable history over any directory.')
  .version(packageVersion())
  .exitOverride()
  .showHelpAfterError('(shadowfs COMMAND --help shows what a command takes)');

for (const add of [
  addMount,
  addUmount,
  addSave,
  addGroupSave,
  addRestore,
  addSnapshots,
  addDelete,
  addRename,
  addHistory,
  addStatus,
  addStats,
  addTrace,
  addDiff,
  addVersions,
  addLock,
  addUnlock,
  addLocks,
  addSchedule,
  addSend,
  addReceive,
  addRole,
  addPromote,
  addDemote,
  addRevert,
  addSync,
  addPeer,
  addCheck,
]) {
  add(program);
}
for (const command of program.commands) {
  command.exitOverride();
  for (const below of command.commands) below.exitOverride();
}

// `shadowfs snapshots | head` closes our output early, which is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const helper = helperWords(process.argv.slice(2));
try {
  if (helper !== undefined) process.exitCode = await runHelper(helper.name, helper.words);
  else await program.parseAsync();
} catch (error) {
  // Commander has printed the error; help and version end without a failure.
  if (!(error instanceof CommanderError)) throw error;
  process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
}
