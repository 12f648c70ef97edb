/**
 * What is known of the connection to a peer, from what is stored and from what
 * the thread of the connections has said. Pure.
 *
 * What must hold: what is shown of a peer carries the time of its last word,
 * by this machine's clock; a time that this clock has not reached yet (it was
 * set back) is shown as unknown, and never as now.
 */
import { pastTime } from '../../lib/age.js';
import type { PeerRecord } from '../../format/records/peer-record.js';
import type { PeeringError, PeerState } from '../../sync/peers/peering-messages.js';

export interface PeerView {
  connected: boolean;
  /** Null: not connected. */
  connectedSinceMs: number | null;
  /** Null: connected, or unknown. After a mount it is not before the last word that is stored. */
  disconnectedSinceMs: number | null;
  /** Null: never, or unknown since the clock was set back. */
  lastHeardMs: number | null;
  /** Why it is not connected, or was not before; null: no attempt has failed. */
  lastError: PeeringError | null;
}

/** `state`: undefined when no connection was tried since the mount. */
export function peerView(
  record: Pick<PeerRecord, 'lastHeardMs'>,
  state: PeerState | undefined,
  nowMs: number,
): PeerView {
  const stored = pastTime(record.lastHeardMs || null, nowMs);
  const lastHeardMs = state?.lastHeardMs == null ? stored : pastTime(state.lastHeardMs, nowMs);
  const connected = state?.isConnected ?? false;
  return {
    connected,
    connectedSinceMs: connected ? pastTime(state?.connectedMs ?? null, nowMs) : null,
    disconnectedSinceMs: connected
      ? null
      : (pastTime(state?.disconnectedMs ?? null, nowMs) ?? lastHeardMs),
    lastHeardMs,
    lastError: connected ? null : (state?.lastError ?? null),
  };
}
