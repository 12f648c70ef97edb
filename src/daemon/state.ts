/** What the state files of a mounted volume show. Called in the serving thread, when one is opened. */
import type { ControlState } from '../control/control-file.js';
import type { FuseSession } from '../fuse/session.js';
import type { Tree } from '../tree/tree.js';
import type { View } from '../volume/view.js';
import type { Volume } from '../volume/volume.js';
import type { VolumeCommands } from './commands.js';
import type { MountPlan } from './mount-plan.js';

export interface MountedParts {
  plan: MountPlan;
  volume: Volume;
  commands: VolumeCommands<View>;
  tree: Tree;
  session: () => FuseSession | undefined;
}

export function mountState({ plan, volume, commands, tree, session }: MountedParts): ControlState {
  const startedMs = Date.now();
  return {
    status: () => ({
      mountpoint: plan.mountpoint,
      base: plan.base ?? null,
      volumePath: plan.volume,
      readOnly: plan.options.readOnly,
      pid: process.pid,
      log: plan.log === '' ? null : plan.log,
      controlFiles: plan.controlMount,
      startedMs,
      command: commands.progress() ?? null,
      ...volume.status(),
      latest: volume.latest()?.name ?? null,
      options: volume.options,
      nodes: tree.status(),
      kernel: session()?.negotiated ?? null,
      requestsServed: session()?.served ?? 0,
    }),
    snapshots: () => volume.snapshots(),
    history: (limit) => volume.history(limit),
    layers: (limit) => volume.core.layers.all().slice(-limit),
    result: () => commands.result,
  };
}
