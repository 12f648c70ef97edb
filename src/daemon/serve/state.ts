/**
 * The content of a mounted volume's state files. Called in the serving thread,
 * when one is opened.
 */
import type { Answer } from '../../control/command.js';
import type { ControlState } from '../../control/control-file.js';
import type { LoopCounts } from '../../fuse/loop/loop-counts.js';
import type { Negotiated } from '../../fuse/protocol/negotiate.js';
import type { RequestCounts } from '../../measure/request-counts.js';
import type { Tree } from '../../tree/tree.js';
import type { View } from '../../volume/view.js';
import type { Volume } from '../../volume/volume.js';
import type { VolumeCommands } from '../commands/commands.js';
import type { IncomingStreams } from '../transfer/incoming.js';
import type { MountPlace } from '../mount/mount-place.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { SaveSchedule } from '../commands/save-schedule.js';
import { problemsOf } from '../commands/problems.js';
import { shownBranches } from '../../volume/branches/shown-branches.js';
import { shownOptions } from '../../volume/options.js';
import { sinceSnapshot } from '../../volume/snapshots/since-snapshot.js';
import type { RestoreEventsStatus } from '../watchers/restore-events.js';
import { MountStats } from './mount-stats.js';
import type { RemoteAgent } from '../peers/remote-agent.js';
import type { Peering } from '../peers/peering.js';
import type { Problem } from '../peers/sync-state.js';

/** What is known about the connection to the kernel. */
export interface Connection {
  /** Absent: the driver does not report it. */
  readonly negotiated: Negotiated | undefined;
  /** Requests since the mount. */
  readonly served: number;
  readonly counts: RequestCounts;
  /** Null: this driver does not count. */
  readonly loop: LoopCounts | null;
  readonly heldBack: number | null;
  reset(): void;
}

export interface MountedParts {
  plan: MountPlan;
  place: MountPlace;
  volume: Volume;
  commands: VolumeCommands<View>;
  tree: Tree;
  incoming: IncomingStreams;
  schedule: SaveSchedule;
  peering: Peering;
  agent: RemoteAgent;
  spaceProblems: () => Problem[];
  /** All mounts of the volume, this one included. */
  mounts: () => { mountpoint: string; branch: string; readOnly: boolean }[];
  /** A mount in place covers the base. */
  isCovered: () => boolean;
  /** Calls the listener with what becomes of each command, given here or at another mount. */
  watch(listener: (answer: Answer) => void): void;
  connection: () => Connection | undefined;
  /** Undefined: programs that watch are not told of a restore. */
  watchers: () => { last: RestoreEventsStatus | null } | undefined;
}

export function mountState(parts: MountedParts): ControlState {
  const { plan, place, volume, commands, tree, incoming, schedule, peering, agent, connection } =
    parts;
  const startedMs = Date.now();
  const stats = new MountStats(parts, startedMs);
  return {
    status: () => ({
      mountpoint: place.mountpoint,
      device: place.device ?? null,
      // What was the base of a frozen volume is only where it is mounted.
      base: volume.frozen.sinceMs === null ? (plan.base ?? null) : null,
      // A mount in place covers its base; this process has it open.
      baseSeenAt: seenAt(parts),
      inPlace: plan.inPlace,
      driver: plan.driver,
      driverReason: plan.driverReason ?? null,
      volumePath: plan.volume,
      readOnly: plan.options.readOnly,
      pid: process.pid,
      log: plan.log === '' ? null : plan.log,
      controlFiles: plan.controlMount,
      mounts: parts.mounts(),
      startedMs,
      running: commands.progress() ?? null,
      ...volume.status(),
      ...incoming.state(),
      latest: volume.latest()?.name ?? null,
      ...sinceSnapshot(volume),
      schedule: schedule.status(),
      undoSteps: volume.undoSteps(),
      options: shownOptions(volume.options),
      optionsAtNextMount: volume.optionCommands.atNextMount,
      nodes: tree.status(),
      peering: peering.status(),
      lag: agent.syncState(),
      problems: problemsOf({
        volume,
        space: parts.spaceProblems(),
        ...schedule.health(),
        sync: agent.syncState().problems,
      }),
      watchers: parts.watchers() ?? null,
      kernel: connection()?.negotiated ?? null,
      requestCount: connection()?.served ?? 0,
    }),
    lag: () => agent.syncState(),
    role: () => agent.shownRole(),
    snapshots: () => volume.shownSnapshots(),
    branches: () => branchesShown(parts),
    history: (limit) => volume.history(limit),
    layers: (limit) => volume.layers.all().slice(-limit),
    locks: () => peering.withLinks(volume.shownLocks()),
    peers: () => peering.list(agent.syncState().standbys),
    result: () => commands.result,
    watch: (listener) => parts.watch(listener),
    stats: () => stats.report(),
    resetStats: () => stats.reset(),
  };
}

/** Where programs can look at the base. */
function seenAt({ volume: { base }, plan, isCovered }: MountedParts): string | null {
  if (base === undefined) return null;
  return isCovered() ? `/proc/${process.pid}/fd/${base.rootFd}` : (plan.base ?? null);
}

/** Each branch, with where it is mounted. */
function branchesShown({ volume }: MountedParts): object[] {
  return shownBranches(volume).map(({ isMounted: _there, ...branch }) => ({
    ...branch,
    mountpoint: volume.branches.whereMounted(branch.name) ?? null,
  }));
}
