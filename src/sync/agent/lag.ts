/**
 * How far a standby is behind: the snapshots that it lacks, and how much has to
 * travel for them. It asks the upstream for sizes, one after the other, and
 * only during a run that takes long: measuring a snapshot costs the upstream a
 * part of what sending it does.
 */
import type { Timers } from '../fabric.js';
import type { Calls } from './calls.js';
import type { SyncSnapshot } from './messages.js';
import type { PullPlan } from './needs.js';

/** Shorter runs are not worth a question. */
const SOON_MS = 1000;
const SIZE_MAX_MS = 60_000;

export class Lag {
  readonly #calls: Calls;
  readonly #timers: Timers;
  #pending: readonly SyncSnapshot[] = [];
  /** Bytes of the stream, by UUID of the snapshot that it brings. */
  readonly #sizes = new Map<string, number>();
  #received = 0;
  #seenMs: number | undefined;
  /** Nothing has happened since that may have made `#pending` wrong. */
  #isCurrent = false;
  #callOff: () => void = () => undefined;
  /** Number of the current plan: answers to an earlier plan's questions end its asking. */
  #plan = 0;

  constructor(calls: Calls, timers: Timers) {
    this.#calls = calls;
    this.#timers = timers;
  }

  /** When the upstream has said last which snapshots it has, by the timers' clock. */
  get seenMs(): number | undefined {
    return this.#seenMs;
  }

  /** All of the upstream's snapshots are here, as far as it has said until now. */
  get isLevel(): boolean {
    return this.#isCurrent && this.#pending.length === 0;
  }

  /** The upstream may have more than it has said. */
  doubt(): void {
    this.#isCurrent = false;
  }

  /** Oldest first. */
  get pending(): readonly SyncSnapshot[] {
    return this.#pending;
  }

  /** Bytes received of the current transfer. */
  get received(): number {
    return this.#received;
  }

  /** Bytes still to come, at most; undefined: not known yet. */
  get bytes(): number | undefined {
    let bytes = 0;
    for (const { uuid } of this.#pending) {
      const size = this.#sizes.get(uuid);
      if (size === undefined) return undefined;
      bytes += size;
    }
    return Math.max(0, bytes - this.#received);
  }

  /** `peer` has answered which snapshots it has. */
  saw(peer: string, { base, pending }: PullPlan): void {
    this.#pending = pending;
    this.#received = 0;
    this.#seenMs = this.#timers.nowMs();
    this.#isCurrent = true;
    const plan = ++this.#plan;
    for (const uuid of this.#sizes.keys()) {
      if (!pending.some((one) => one.uuid === uuid)) this.#sizes.delete(uuid);
    }
    this.#callOff();
    if (pending.length === 0) return;
    this.#callOff = this.#timers.after(SOON_MS, () => {
      // Without the sizes, the lag is shown in snapshots and seconds only.
      this.#ask(plan, peer, base).catch(() => undefined);
    });
  }

  async #ask(plan: number, peer: string, base: SyncSnapshot | undefined): Promise<void> {
    let from = base?.uuid ?? null;
    for (const { uuid } of [...this.#pending]) {
      if (!this.#sizes.has(uuid)) {
        const request = { from, to: uuid };
        const { bytes } = await this.#calls.call(peer, { kind: 'size', request }, SIZE_MAX_MS);
        if (plan !== this.#plan) return;
        this.#sizes.set(uuid, bytes);
      }
      from = uuid;
    }
  }

  /** This many bytes of the first pending snapshot have come. */
  came(bytes: number): void {
    this.#received = bytes;
  }

  /** The first pending snapshot is here. */
  arrived(): void {
    this.#pending = this.#pending.slice(1);
    this.#received = 0;
    if (this.#pending.length === 0) this.#callOff();
  }
}
