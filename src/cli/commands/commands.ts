/**
 * Every command of the command line, in the groups and in the order in which
 * `--help` lists them; in this folder one file for each. A file is loaded when
 * its command is given, or when all of them are shown.
 *
 * Doors inside cli/: commands, sync-words.
 */
import type { Command } from 'commander';

export type Add = (program: Command) => void;

export interface Source {
  /** The words that give it: a test compares them with its definition. */
  words: readonly string[];
  load(): Promise<Add>;
}

interface Group {
  title: string;
  sources: readonly Source[];
}

function source(load: () => Promise<Add>, ...words: string[]): Source {
  return { words, load };
}

export const COMMAND_GROUPS: readonly Group[] = [
  {
    title: 'Everyday',
    sources: [
      source(async () => (await import('../mount/mount.js')).addMount, 'mount'),
      source(async () => (await import('../mount/umount.js')).addUmount, 'umount'),
      source(async () => (await import('./status.js')).addStatus, 'status'),
      source(async () => (await import('./save.js')).addSave, 'save'),
      source(async () => (await import('./restore.js')).addRestore, 'restore'),
      source(async () => (await import('./undo.js')).addUndo, 'undo'),
      source(async () => (await import('./run.js')).addRun, 'run'),
      source(async () => (await import('./diff.js')).addDiff, 'diff'),
      source(async () => (await import('./apply.js')).addApply, 'apply'),
    ],
  },
  {
    title: 'Snapshots',
    sources: [
      source(async () => (await import('./snapshots.js')).addSnapshots, 'snapshots', 'list'),
      source(async () => (await import('./versions.js')).addVersions, 'versions'),
      source(async () => (await import('./space.js')).addSpace, 'space'),
      source(async () => (await import('./log.js')).addLog, 'log'),
      source(async () => (await import('./history.js')).addHistory, 'history'),
      source(async () => (await import('./delete.js')).addDelete, 'delete'),
      source(async () => (await import('./prune.js')).addPrune, 'prune'),
      source(async () => (await import('./rename.js')).addRename, 'rename'),
      source(async () => (await import('./locks.js')).addLock, 'lock'),
      source(async () => (await import('./locks.js')).addUnlock, 'unlock'),
      source(async () => (await import('./locks.js')).addLocks, 'locks'),
      source(async () => (await import('./schedule.js')).addSchedule, 'schedule'),
    ],
  },
  {
    title: 'Volumes',
    sources: [
      source(async () => (await import('./volumes.js')).addVolumes, 'volumes'),
      source(async () => (await import('./volume.js')).addVolume, 'volume'),
      source(async () => (await import('./options.js')).addOptions, 'options'),
      source(async () => (await import('./freeze.js')).addFreeze, 'freeze'),
      source(async () => (await import('./compact.js')).addCompact, 'compact'),
      source(async () => (await import('./send.js')).addSend, 'send'),
      source(async () => (await import('./receive.js')).addReceive, 'receive'),
    ],
  },
  {
    title: 'Branches',
    sources: [
      source(async () => (await import('./branch.js')).addBranch, 'branch'),
      source(async () => (await import('./branch.js')).addBranches, 'branches'),
      source(async () => (await import('./branch.js')).addSwitch, 'switch'),
      source(async () => (await import('./merge.js')).addMerge, 'merge'),
    ],
  },
  {
    title: 'Peers',
    sources: [
      source(async () => (await import('./peer.js')).addPeer, 'peer'),
      source(async () => (await import('./sync.js')).addSync, 'sync'),
      source(async () => (await import('./role.js')).addRole, 'role'),
      source(async () => (await import('./role.js')).addPromote, 'promote'),
      source(async () => (await import('./role.js')).addDemote, 'demote'),
      source(async () => (await import('./switchover.js')).addSwitchover, 'switchover', 'revert'),
      source(async () => (await import('./group-save.js')).addGroupSave, 'group-save'),
    ],
  },
  {
    title: 'Diagnostics',
    sources: [
      source(async () => (await import('./stats.js')).addStats, 'stats'),
      source(async () => (await import('./trace.js')).addTrace, 'trace'),
      source(async () => (await import('./check.js')).addCheck, 'check'),
      // It describes the others: all are loaded for it.
      source(async () => (await import('../completion/completion.js')).addCompletion),
    ],
  },
];
