/**
 * The control files of a mount, in the order they are listed; in this folder
 * one file for each that takes a command.
 *
 * A new command is added to
 * 1. `../command.ts`: its name, and the arguments that no other command has;
 * 2. `NAME.ts` here: what its line looks like;
 * 3. the list below;
 * 4. `src/daemon/commands/commands.ts`: what carries it out;
 * 5. `src/cli/commands/NAME.ts` and the list in `commands.ts` beside it: how the
 *    command line asks for it;
 * 6. `EVENTS` in `../streams/event-stream.ts`, when it changes the tree or its
 *    snapshots: followers hear of it;
 * 7. the tables of control files and of errors in native-notes/reference.md.
 * One that the sync agent carries out is a name of `AgentCommand`, too
 * (`src/daemon/peers/agent-messages.ts`), and a case of `AgentRunner.command`
 * (`agent-runner.ts` beside it);
 * another question to the thread of the connections is a line of
 * `src/daemon/peers/connections-calls.ts`, its handler, and its caller.
 * A new state file is a line of `../state-files.ts`; what it shows is an entry of
 * `ControlState` (`../control-file.ts`), which `src/daemon/serve/state.ts` makes.
 *
 * Doors inside control/: files.
 */
import { applyFile } from './apply.js';
import { mergeFile } from './merge.js';
import { branchDeleteFile, branchFile, branchRenameFile, switchFile } from './branch.js';
import { checkFile } from './check.js';
import type { ControlFile } from '../control-file.js';
import { compactFile } from './compact.js';
import { deleteFile } from './delete.js';
import { demoteFile } from './demote.js';
import { diffFile } from './diff.js';
import { freezeFile } from './freeze.js';
import { freezeStopFile } from './freeze-stop.js';
import { groupSaveFile } from './group-save.js';
import { lockFile } from './lock.js';
import { logFile } from './log.js';
import { mountFile } from './mount.js';
import { optionsFile } from './options.js';
import { peerInviteFile } from './peer-invite.js';
import { peerJoinFile } from './peer-join.js';
import { peerRemoveFile } from './peer-remove.js';
import { promoteFile } from './promote.js';
import { receiveFile } from './receive.js';
import { pruneFile } from './prune.js';
import { renameFile } from './rename.js';
import { restoreFile } from './restore.js';
import { restoreFilesFile } from './restore-files.js';
import { saveFile } from './save.js';
import { scheduleFile } from './schedule.js';
import { revertFile, switchoverFile } from './switchover.js';
import { spaceFile } from './space.js';
import { STATE_FILES, STREAM_FILES } from '../state-files.js';
import { syncFile } from './sync.js';
import { undoFile } from './undo.js';
import { unlockFile } from './unlock.js';
import { versionsFile } from './versions.js';

export const CONTROL_FILES: readonly ControlFile[] = [
  saveFile,
  groupSaveFile,
  restoreFile,
  restoreFilesFile,
  undoFile,
  deleteFile,
  pruneFile,
  renameFile,
  branchFile,
  branchDeleteFile,
  branchRenameFile,
  switchFile,
  mergeFile,
  mountFile,
  lockFile,
  unlockFile,
  scheduleFile,
  optionsFile,
  applyFile,
  freezeFile,
  freezeStopFile,
  compactFile,
  checkFile,
  diffFile,
  logFile,
  versionsFile,
  spaceFile,
  promoteFile,
  demoteFile,
  switchoverFile,
  revertFile,
  syncFile,
  receiveFile,
  peerInviteFile,
  peerJoinFile,
  peerRemoveFile,
  ...STATE_FILES,
  ...STREAM_FILES,
];
