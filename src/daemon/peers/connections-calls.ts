/**
 * The calls between the serving thread and the thread of the peers'
 * connections, a line each. Handlers of ToConnections: connections-thread.ts,
 * which hands those of the sync agent to agent-runner.ts; handlers of ToVolume:
 * peering.ts, agent-requests.ts, group-member.ts and mount-server.ts. What goes
 * on to a peer is a message of its own (src/sync/agent/messages.ts).
 *
 * What must hold: the volume answers when the change is durable, and after it
 * has sent the state that resulted.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Answer } from '../../control/command.js';
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { Epoch, Handover, LockSet } from '../../sync/agent/messages.js';
import type { StoredLocks } from '../../sync/agent/sync-volume.js';
import type { GroupAnswer, Point } from '../../sync/group/group-messages.js';
import type {
  AcceptRequest,
  JoinAnswer,
  ListenAnswer,
  PeeringConfig,
  PeeringState,
} from '../../sync/peers/peering-messages.js';
import type { ThreadCalls } from '../calls/thread-calls.js';
import type {
  AgentOrder,
  AgentReceiving,
  AgentReport,
  AgentStarted,
  AgentState,
  GroupOrder,
} from './agent-messages.js';

/** Questions and messages to the thread of the connections. */
export interface ToConnections {
  config: { args: PeeringConfig };
  /** Listen for a joining volume. */
  listen: { args: { address: PeerAddress | null }; answer: ListenAnswer };
  join: { args: { token: string }; answer: JoinAnswer };
  volumeState: { args: AgentState };
  command: { args: AgentOrder; answer: Answer };
  groupSave: { args: GroupOrder; answer: GroupAnswer };
}

/** Questions and messages to the volume, in the serving thread. */
export interface ToVolume extends PeeringToVolume, AgentToVolume, GroupToVolume {
  report: { args: AgentReport };
}

export interface PeeringToVolume {
  accept: { args: AcceptRequest; answer: undefined };
  upstreams: { args: { volume: string; upstreams: string[] } };
  peeringState: { args: PeeringState };
}

export interface AgentToVolume {
  /** Called once, before all others. */
  start: { args: undefined; answer: AgentStarted };
  storeLocks: { args: { from: string; set: LockSet }; answer: StoredLocks };
  receive: { args: { from: string | null; to: string }; answer: AgentReceiving };
  /**
   * `bytes` here and in `adopt`: shared memory, which must not change until the answer, or a buffer
   * of its own, which is transferred.
   */
  push: { args: { bytes: Uint8Array }; answer: undefined };
  adopt: { args: { snapshot: string; bytes: Uint8Array; epoch: Epoch }; answer: undefined };
  suspend: { args: undefined; answer: undefined };
  show: { args: { snapshot: string; epoch: Epoch }; answer: undefined };
  /** `absent`: UUIDs of snapshots that the upstream does not have. */
  prune: { args: { absent: readonly string[] }; answer: undefined };
  promote: { args: { epoch: Epoch }; answer: undefined };
  demote: { args: { to: string | null; epoch: Epoch; upstream: string }; answer: undefined };
  handOver: { args: { to: string; epoch: Epoch }; answer: Handover };
  follow: { args: { upstream: string; epoch: Epoch }; answer: undefined };
}

export interface GroupToVolume {
  /** From the answer on, changes wait until the point is saved or given up, or its time is over. */
  groupPark: { args: { point: Point }; answer: undefined };
  groupUnpark: { args: undefined; answer: undefined };
  groupSave: { args: { point: Point }; answer: undefined };
  groupKeep: { args: { key: string }; answer: undefined };
  groupDrop: { args: { key: string }; answer: undefined };
  groupCommit: { args: { key: string; directors: readonly string[] }; answer: undefined };
  groupForget: { args: { key: string }; answer: undefined };
}

/** The serving thread's end. */
export type CallsToConnections = ThreadCalls<ToConnections, ToVolume>;
/** The end of the thread of the connections. */
export type CallsToVolume = ThreadCalls<ToVolume, ToConnections>;

/** The serving thread needs a thread of connections. */
export interface ConnectionsStart {
  /** Counts the started threads. */
  number: number;
  config: PeeringConfig;
  /** Its end of the calls. */
  port: MessagePort;
}

/** The thread ended unexpectedly. */
export interface ConnectionsLoss {
  number: number;
  message: string;
}

/** `workerData` of the thread. */
export interface ConnectionsData {
  /** The directory with the volume's key. */
  directory: string;
  mountpoint: string;
  /** The mount covers its base. */
  inPlace: boolean;
  config: PeeringConfig;
  port: MessagePort;
  /** Signalled after each message to the serving thread. */
  wakeFd: number;
}

/**
 * The main thread ends the thread. `config`: the last one, if it has changed. The thread sends
 * `stopped` when its connections are closed.
 */
export interface ConnectionsEnd {
  config: PeeringConfig | undefined;
}
