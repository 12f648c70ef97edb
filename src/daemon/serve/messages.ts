/** Messages between the main thread and the serving thread of a mount. */
import type { Answer, CommandArguments } from '../../control/command.js';
import type { PlainError } from '../calls/plain-error.js';
import type { HelperPorts } from '../../fuse/helpers/helper-client.js';
import type { MessagePort } from 'node:worker_threads';
import type { WriterData } from '../../volume/commit/start-writer.js';
import type { InspectRequest } from '../commands/command-parts.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { ConnectionsLoss, ConnectionsStart } from '../peers/connections-calls.js';
import type { TouchBatch, TouchReport } from '../watchers/toucher-messages.js';
import type { WatchesFound } from '../watchers/watches.js';
import type { PeeringConfig } from '../../sync/peers/peering-messages.js';

/** The two threads' name of the mount with which the process begins. */
export const FIRST_MOUNT = 0;

/** `workerData` of the serving thread. */
export interface ServeData {
  /** Of the first mount. */
  plan: MountPlan;
  port: MessagePort;
  helpers: HelperPorts;
  /** Signalled after each message to the serving thread, which sleeps in poll(2). */
  wakeFd: number;
  uid: number;
  gid: number;
}

export type ToServer =
  /** The FUSE descriptors of a mount and of its control files, and the mount's device. */
  | {
      kind: 'mounted';
      mount: number;
      fd: number;
      controlFd: number;
      device: string | undefined;
    }
  /** fuse-native mounts in the serving thread. */
  | { kind: 'mount' }
  /** SIGUSR2: save under a name derived from the time. */
  | { kind: 'save' }
  /** End, whether the mount is gone or not. */
  | { kind: 'stop' }
  /** A message of the calls between the two threads. */
  | { kind: 'call'; message: unknown };

export type FromServer =
  /** The volume and its base are open: now the mounts may cover the base. */
  | { kind: 'opened'; volume: OpenedFacts }
  /** The kernel and a mount have negotiated. */
  | { kind: 'ready'; mount: number }
  | { kind: 'failed'; error: PlainError }
  /** The volume's writer thread is needed, started by a thread that learns of its end. */
  | { kind: 'start-writer'; data: WriterData }
  /** A message of the calls between the two threads. */
  | { kind: 'call'; message: unknown }
  /** Somebody has unmounted it: from now on its device number may be another mount's. */
  | { kind: 'unmounted'; mount: number }
  /** The mount is gone and everything of it is stored, or `error` says why not; others go on. */
  | { kind: 'mount-ended'; mount: number; error?: PlainError }
  /** The last mount is gone and everything is stored, or `error` says why not. */
  | { kind: 'ended'; snapshots?: number; error?: PlainError };

/** What a control file of one mount asks for: another mount beside it. */
export type MountBeside = NonNullable<CommandArguments['mount']> & { mountpoint: string };

/** What the main thread learns of the volume when it is open. */
export interface OpenedFacts {
  uuid: string;
  isNew: boolean;
  snapshots: number;
  /** The branch whose tree is shown. */
  branch: string;
  /** What became of an apply that had been cut off. */
  recovered?: 'completed' | 'undone';
}

/** The serving thread's questions to the main thread. */
export interface ToMainThread {
  inspect: { args: InspectRequest; answer: Answer };
  /** One more mount of the volume; settles when programs can use it. */
  mount: { args: MountBeside; answer: Answer };
  startConnections: { args: ConnectionsStart };
  /** `args`: what the peers must learn before the connections end. */
  endConnections: { args: PeeringConfig };
  /** What programs watch of the mount. */
  watched: { args: { mount: number }; answer: WatchesFound };
  touch: { args: { mount: number; batch: Omit<TouchBatch, 'mountpoint'> }; answer: TouchReport };
  /** Merges the lines of the files `base`, `ours` and `theirs` there into `merged`. */
  mergeText: { args: { directory: string }; answer: { isClean: boolean } };
  /** Nothing more to touch for now. */
  touched: { args: { mount: number } };
}

/** The main thread's questions to the serving thread. */
export interface ToServingThread {
  /** Makes everything ready for one more mount; throws when its branch can't be shown there. */
  open: { args: { mount: number; plan: MountPlan }; answer: OpenedFacts };
  /** That mount could not be made. */
  drop: { args: { mount: number }; answer: undefined };
  /** Store everything that programs have written, for an unmount. */
  store: { args: { mount: number }; answer: undefined };
  inspectProgress: { args: { done: number; total: number } };
  connectionsLost: { args: ConnectionsLoss };
}
