/**
 * Every command of the command line, in the order in which `--help` lists them;
 * in this folder one file for each.
 *
 * Doors inside cli/: commands.
 */
import type { Command } from 'commander';
import { addCheck } from './check.js';
import { addDelete } from './delete.js';
import { addDiff } from './diff.js';
import { addGroupSave } from './group-save.js';
import { addHistory } from './history.js';
import { addLock, addLocks, addUnlock } from './locks.js';
import { addMount } from '../mount/mount.js';
import { addPeer } from './peer.js';
import { addReceive } from './receive.js';
import { addRename } from './rename.js';
import { addRestore } from './restore.js';
import { addDemote, addPromote, addRole } from './role.js';
import { addSave } from './save.js';
import { addSchedule } from './schedule.js';
import { addSend } from './send.js';
import { addSnapshots } from './snapshots.js';
import { addStats } from './stats.js';
import { addStatus } from './status.js';
import { addRevert, addSync } from './sync.js';
import { addTrace } from './trace.js';
import { addUmount } from '../mount/umount.js';
import { addVersions } from './versions.js';

export const COMMANDS: readonly ((program: Command) => void)[] = [
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
];
