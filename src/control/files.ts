/** The control files of a mount, in the order they are listed. */
import { checkFile } from './check.js';
import type { ControlFile } from './control-file.js';
import { deleteFile } from './delete.js';
import { demoteFile } from './demote.js';
import { diffFile } from './diff.js';
import { eventsFile } from './events.js';
import { lagFile } from './lag.js';
import { groupSaveFile } from './group-save.js';
import { historyFile, layersFile, locksFile, peersFile, snapshotsFile } from './lists.js';
import { lockFile } from './lock.js';
import { peerInviteFile } from './peer-invite.js';
import { peerJoinFile } from './peer-join.js';
import { peerRemoveFile } from './peer-remove.js';
import { promoteFile } from './promote.js';
import { receiveFile } from './receive.js';
import { renameFile } from './rename.js';
import { restoreFile } from './restore.js';
import { revertFile } from './revert.js';
import { resultFile } from './result.js';
import { roleFile } from './role.js';
import { saveFile } from './save.js';
import { scheduleFile } from './schedule.js';
import { statsFile } from './stats.js';
import { statusFile } from './status.js';
import { syncFile } from './sync.js';
import { traceFile } from './trace.js';
import { unlockFile } from './unlock.js';
import { versionsFile } from './versions.js';

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
