/**
 * Keeps dialling one peer, at one of its addresses after the other, with longer
 * and longer pauses while that fails.
 */
import type { PeerAddress } from '../../format/text/peer-address.js';
import type { Timers } from '../fabric.js';
import type { Connection, EndReason, Transport } from './link.js';

const FIRST_PAUSE_MS = 500;
/** The longest pause, unless the caller says else. */
export const MAX_PAUSE_MS = 10_000;
/** A connection that lasted this long proves that the peer works: the pauses are short again. */
const PROVEN_MS = 2_000;

/** Before attempt number `failures` + 1: a random time between half and all of a doubling pause. */
export function pauseBefore(failures: number, random: () => number, maxMs: number): number {
  const longest = Math.min(maxMs, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 20));
  return longest * (0.5 + random() / 2);
}

export interface DialerParts {
  transport: Transport;
  timers: Timers;
  /** In [0, 1). */
  random: () => number;
  pauseMaxMs: number;
  onConnection(connection: Connection): void;
  onFailure(reason: EndReason): void;
}

export class PeerDialer {
  readonly #parts: DialerParts;
  #addresses: readonly PeerAddress[];
  readonly #fingerprint: string;
  #next = 0;
  #failures = 0;
  #connectedMs = 0;
  #cancel: () => void = () => undefined;
  #isStopped = false;

  constructor(parts: DialerParts, addresses: readonly PeerAddress[], fingerprint: string) {
    this.#parts = parts;
    this.#addresses = addresses;
    this.#fingerprint = fingerprint;
    this.#dial();
  }

  set addresses(addresses: readonly PeerAddress[]) {
    this.#addresses = addresses;
  }

  /** The current connection has ended: another one is wanted. */
  lost(): void {
    if (this.#isStopped) return;
    const { timers } = this.#parts;
    if (timers.nowMs() - this.#connectedMs >= PROVEN_MS) this.#failures = 0;
    this.#later();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancel();
  }

  #later(): void {
    const { timers, random, pauseMaxMs } = this.#parts;
    this.#failures++;
    this.#cancel = timers.after(pauseBefore(this.#failures, random, pauseMaxMs), () =>
      this.#dial(),
    );
  }

  #dial(): void {
    const { transport, timers, onConnection, onFailure } = this.#parts;
    const address = this.#addresses[this.#next++ % this.#addresses.length];
    if (address === undefined) return;
    this.#cancel = transport.dial(address, this.#fingerprint, {
      onConnection: (connection) => {
        // The next attempt starts with the address that answered.
        this.#next--;
        this.#connectedMs = timers.nowMs();
        onConnection(connection);
      },
      onFailure: (reason) => {
        this.#later();
        onFailure(reason);
      },
    });
  }
}
