/**
 * Every command of the command line, in the groups and in the order in which
 * `--help` lists them; in this folder one file for each.
 *
 * Doors inside cli/: commands, sync-words.
 */
import type { Command } from 'commander';
import { addCompletion } from '../completion/completion.js';
import { addApply } from './apply.js';
import { addCheck } from './check.js';
import { addDelete } from './delete.js';
import { addDiff } from './diff.js';
import { addGroupSave } from './group-save.js';
import { addHistory } from './history.js';
import { addLock, addLocks, addUnlock } from './locks.js';
import { addLog } from './log.js';
import { addMount } from '../mount/mount.js';
import { addOptions } from './options.js';
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
import { addSwitchover } from './switchover.js';
import { addSync } from './sync.js';
import { addTrace } from './trace.js';
import { addUndo } from './undo.js';
import { addUmount } from '../mount/umount.js';
import { addVersions } from './versions.js';
import { addVolume } from './volume.js';
import { addVolumes } from './volumes.js';

type Add = (program: Command) => void;

export const COMMAND_GROUPS: readonly { title: string; commands: readonly Add[] }[] = [
  {
    title: 'Everyday',
    commands: [addMount, addUmount, addStatus, addSave, addRestore, addUndo, addDiff, addApply],
  },
  {
    title: 'Snapshots',
    commands: [
      addSnapshots,
      addVersions,
      addLog,
      addHistory,
      addDelete,
      addRename,
      addLock,
      addUnlock,
      addLocks,
      addSchedule,
    ],
  },
  { title: 'Volumes', commands: [addVolumes, addVolume, addOptions, addSend, addReceive] },
  {
    title: 'Peers',
    commands: [addPeer, addSync, addRole, addPromote, addDemote, addSwitchover, addGroupSave],
  },
  { title: 'Diagnostics', commands: [addStats, addTrace, addCheck, addCompletion] },
];
