/** What the serving thread and the thread of the peers' connections say to each other. */
import type { PeerAddress } from '../../format/text/peer-address.js';
import type {
  AcceptRequest,
  JoinAnswer,
  ListenAnswer,
  PeeringConfig,
  PeeringState,
} from '../../sync/peers/peering-messages.js';
import type { AgentCommand, AgentReport, AgentRequest, AgentState } from './agent-messages.js';
import type { GroupCommand } from './group-requests.js';
import type { PlainError } from '../serve/messages.js';

/** `workerData` of the thread. */
export interface ConnectionsData {
  /** Where the volume keeps its key. */
  directory: string;
  mountpoint: string;
  config: PeeringConfig;
}

export type ToSync =
  /** `isNeeded`: there are peers or open invitations; without them the thread ends. */
  | { kind: 'config'; config: PeeringConfig; isNeeded: boolean }
  /** Be ready for somebody who joins; answered with ListenAnswer. */
  | { kind: 'listen'; id: number; address: PeerAddress | null; config: PeeringConfig }
  /** Answered with JoinAnswer. */
  | { kind: 'join'; id: number; token: string; config: PeeringConfig }
  | { kind: 'accepted'; id: number; error?: PlainError }
  | { kind: 'agent-state'; state: AgentState }
  | { kind: 'agent-answer'; id: number; answer?: unknown; error?: PlainError }
  /** `peer`: a UUID, or ''. Answered with agent-commanded. */
  | { kind: 'agent-command'; id: number; command: AgentCommand; peer: string; force: boolean }
  /** Answered with agent-commanded. */
  | { kind: 'agent-group-save'; id: number; command: GroupCommand }
  | { kind: 'stop' };

export type FromSync =
  | { kind: 'listening'; id: number; answer: ListenAnswer }
  | { kind: 'joined'; id: number; answer: JoinAnswer }
  | { kind: 'failed'; id: number; error: PlainError }
  | { kind: 'accept'; id: number; request: AcceptRequest }
  | { kind: 'upstreams'; volume: string; upstreams: string[] }
  | { kind: 'state'; state: PeeringState }
  | { kind: 'agent-request'; id: number; request: AgentRequest }
  | { kind: 'agent-commanded'; id: number; answer: Record<string, unknown>; error?: PlainError }
  | { kind: 'agent-report'; report: AgentReport }
  /** The thread is gone, and was not meant to. */
  | { kind: 'lost'; message: string }
  /** All connections are closed: the thread may go. */
  | { kind: 'stopped' };

/** What moves with the message to another thread, instead of being copied: the sender has it no longer. */
export function buffersOf(message: FromSync): ArrayBuffer[] {
  if (message.kind !== 'agent-request' || !('bytes' in message.request)) return [];
  const { buffer } = message.request.bytes;
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}
