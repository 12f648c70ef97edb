/** The control files of a mount, in the order they are listed. */
import { checkFile } from './commands/check.js';
import type { ControlFile } from './control-file.js';
import { deleteFile } from './commands/delete.js';
import { demoteFile } from './commands/demote.js';
import { diffFile } from './commands/diff.js';
import { eventsFile } from './state/events.js';
import { lagFile } from './state/lag.js';
import { groupSaveFile } from './commands/group-save.js';
import { historyFile, layersFile, locksFile, peersFile, snapshotsFile } from './state/lists.js';
import { lockFile } from './commands/lock.js';
import { peerInviteFile } from './commands/peer-invite.js';
import { peerJoinFile } from './commands/peer-join.js';
import { peerRemoveFile } from './commands/peer-remove.js';
import { promoteFile } from './commands/promote.js';
import { receiveFile } from './commands/receive.js';
import { renameFile } from './commands/rename.js';
import { restoreFile } from './commands/restore.js';
import { revertFile } from './commands/revert.js';
import { resultFile } from './state/result.js';
import { roleFile } from './state/role.js';
import { saveFile } from './commands/save.js';
import { scheduleFile } from './commands/schedule.js';
import { statsFile } from './state/stats.js';
import { statusFile } from './state/status.js';
import { syncFile } from './commands/sync.js';
import { traceFile } from './state/trace.js';
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
  statusFile,
  roleFile,
  lagFile,
  statsFile,
  snapshotsFile,
  historyFile,
  layersFile,
  locksFile,
  peersFile,
  resultFile,
  eventsFile,
  traceFile,
];
