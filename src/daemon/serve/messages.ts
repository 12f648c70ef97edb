/** Messages between the main thread and the serving thread of a mount. */
import type { Answer } from '../../control/command.js';
import type { PlainError } from '../calls/plain-error.js';
import type { HelperPorts } from '../../fuse/helpers/helper-client.js';
import type { MessagePort } from 'node:worker_threads';
import type { WriterData } from '../../volume/commit/start-writer.js';
import type { InspectRequest } from '../commands/commands.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { ConnectionsLoss, ConnectionsStart } from '../peers/connections-calls.js';
import type { TouchBatch, TouchReport } from '../watchers/toucher-messages.js';
import type { WatchesFound } from '../watchers/watches.js';
import type { PeeringConfig } from '../../sync/peers/peering-messages.js';

/** `workerData` of the serving thread. */
export interface ServeData {
  plan: MountPlan;
  port: MessagePort;
  helpers: HelperPorts;
  /** Signalled after each message to the serving thread, which sleeps in poll(2). */
  wakeFd: number;
  uid: number;
  gid: number;
}

export type ToServer =
  /** The FUSE descriptors of the two mounts, and the volume's device. */
  | { kind: 'mounted'; fd: number; controlFd: number; device: string | undefined }
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
  /** The kernel and the volume's mount have negotiated. */
  | { kind: 'ready' }
  | { kind: 'failed'; error: PlainError }
  /** The volume's writer thread is needed, started by a thread that learns of its end. */
  | { kind: 'start-writer'; data: WriterData }
  /** A message of the calls between the two threads. */
  | { kind: 'call'; message: unknown }
  /** Somebody has unmounted it: from now on its device number may be another mount's. */
  | { kind: 'unmounted' }
  /** The mount is gone and everything is stored, or `error` says why not. */
  | { kind: 'ended'; snapshots?: number; error?: PlainError };

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
  startConnections: { args: ConnectionsStart };
  /** `args`: what the peers must learn before the connections end. */
  endConnections: { args: PeeringConfig };
  /** What programs watch of the mount. */
  watched: { args: undefined; answer: WatchesFound };
  touch: { args: Omit<TouchBatch, 'mountpoint'>; answer: TouchReport };
  /** Merges the lines of the files `base`, `ours` and `theirs` there into `merged`. */
  mergeText: { args: { directory: string }; answer: { isClean: boolean } };
  /** Nothing more to touch for now. */
  touched: { args: undefined };
}

/** The main thread's questions to the serving thread. */
export interface ToServingThread {
  /** Store everything that programs have written, for an unmount. */
  store: { args: undefined; answer: undefined };
  inspectProgress: { args: { done: number; total: number } };
  connectionsLost: { args: ConnectionsLoss };
}
