/** What the main thread and the serving thread of a mount say to each other. */
import type { Answer } from '../../control/command.js';
import type { PlainError } from '../calls/plain-error.js';
import type { HelperPorts } from '../../fuse/helpers/helper-client.js';
import type { MessagePort } from 'node:worker_threads';
import type { WriterData } from '../../volume/commit/start-writer.js';
import type { InspectRequest } from '../commands/commands.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { ConnectionsLoss, ConnectionsStart } from '../peers/connections-calls.js';
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
  /** The FUSE descriptors of the two mounts. */
  | { kind: 'mounted'; fd: number; controlFd: number }
  /** fuse-native mounts in the thread that serves. */
  | { kind: 'mount' }
  /** SIGUSR2: save under a name made from the time. */
  | { kind: 'save' }
  /** End, whether the mount is gone or not. */
  | { kind: 'stop' }
  /** Of the calls between the two threads. */
  | { kind: 'call'; message: unknown };

export type FromServer =
  /** The volume and its base are open: now the mounts may cover the base. */
  | { kind: 'opened' }
  /** The kernel and the volume's mount have agreed. */
  | { kind: 'ready' }
  | { kind: 'failed'; error: PlainError }
  /** The volume's writer thread is wanted, in a thread that hears of its end. */
  | { kind: 'start-writer'; data: WriterData }
  /** Of the calls between the two threads. */
  | { kind: 'call'; message: unknown }
  /** The mount is gone and everything is stored, or `error` says why not. */
  | { kind: 'ended'; error?: PlainError };

/** What the serving thread asks of the main thread. */
export interface ToMainThread {
  inspect: { args: InspectRequest; answer: Answer };
  startConnections: { args: ConnectionsStart };
  /** With what the peers are to hear before they go. */
  endConnections: { args: PeeringConfig };
}

/** What the main thread asks of the serving thread. */
export interface ToServingThread {
  /** Store everything that programs have written, for an unmount. */
  store: { args: undefined; answer: undefined };
  inspectProgress: { args: { done: number; total: number } };
  connectionsLost: { args: ConnectionsLoss };
}
