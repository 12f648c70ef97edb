/**
 * The control files of a mount, in the order they are listed.
 *
 * A new command is added to
 * 1. `command.ts`: its name, and the arguments that no other command has;
 * 2. `commands/NAME.ts`: what its line looks like;
 * 3. the list below;
 * 4. `src/daemon/commands/commands.ts`: what carries it out;
 * 5. `src/cli/commands/`: how the command line asks for it;
 * 6. the README's tables of control files and of errors.
 * One that the sync agent carries out is a name of `AgentCommand`, too
 * (`src/daemon/peers/agent-messages.ts`), and a case of `AgentRunner.command`;
 * another question to the thread of the connections is a line of
 * `src/daemon/peers/connections-calls.ts`, its handler, and its caller.
 * A new state file is a line of `state-files.ts`, and what it shows an entry of
 * `ControlState` (`control-file.ts`).
 */
import { checkFile } from './commands/check.js';
import type { ControlFile } from './control-file.js';
import { deleteFile } from './commands/delete.js';
import { demoteFile } from './commands/demote.js';
import { diffFile } from './commands/diff.js';
import { groupSaveFile } from './commands/group-save.js';
import { lockFile } from './commands/lock.js';
import { peerInviteFile } from './commands/peer-invite.js';
import { peerJoinFile } from './commands/peer-join.js';
import { peerRemoveFile } from './commands/peer-remove.js';
import { promoteFile } from './commands/promote.js';
import { receiveFile } from './commands/receive.js';
import { renameFile } from './commands/rename.js';
import { restoreFile } from './commands/restore.js';
import { revertFile } from './commands/revert.js';
import { saveFile } from './commands/save.js';
import { scheduleFile } from './commands/schedule.js';
import { STATE_FILES, STREAM_FILES } from './state-files.js';
import { syncFile } from './commands/sync.js';
import { unlockFile } from './commands/unlock.js';
import { versionsFile } from './commands/versions.js';

export const CONTROL_FILES: readonly ControlFile[] = [
  saveFile,
  groupSaveFile,
  restoreFile,
  deleteFile,
  renameFile,
  lockFile,
  unlockFile,
  scheduleFile,
  checkFile,
  diffFile,
  versionsFile,
  promoteFile,
  demoteFile,
  revertFile,
  syncFile,
  receiveFile,
  peerInviteFile,
  peerJoinFile,
  peerRemoveFile,
  ...STATE_FILES,
  ...STREAM_FILES,
];
