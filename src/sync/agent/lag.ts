/**
 * How far a standby is behind: the snapshots that it does not have yet, and how
 * much has to travel for them. Sizes are asked of the upstream, one after the
 * other, and only when a run is not over soon: to measure a snapshot costs it a
 * part of what to send it does.
 */
import type { Timers } from '../fabric.js';
import type { Calls } from './calls.js';
import type { SyncSnapshot } from './messages.js';
import type { PullPlan } from './needs.js';

/** Runs that are over by then are not worth a question. */
const SOON_MS = 1000;
const SIZE_MAX_MS = 60_000;

export class Lag {
  readonly #calls: Calls;
  readonly #timers: Timers;
  #pending: readonly SyncSnapshot[] = [];
  /** Bytes of the stream, by UUID of the snapshot that it brings. */
  readonly #sizes = new Map<string, number>();
  #received = 0;
  #callOff: () => void = () => undefined;
  /** Answers to an earlier plan's questions end its asking. */
  #plan = 0;

  constructor(calls: Calls, timers: Timers) {
    this.#calls = calls;
    this.#timers = timers;
  }

  /** Oldest first. */
  get pending(): readonly SyncSnapshot[] {
    return this.#pending;
  }

  /** Of the one under way. */
  get received(): number {
    return this.#received;
  }

  /** What is still to come, at most; undefined: not known yet. */
  get bytes(): number | undefined {
    let bytes = 0;
    for (const { uuid } of this.#pending) {
      const size = this.#sizes.get(uuid);
      if (size === undefined) return undefined;
      bytes += size;
    }
    return Math.max(0, bytes - this.#received);
  }

  /** `peer` was asked what it has. */
  saw(peer: string, { base, pending }: PullPlan): void {
    this.#pending = pending;
    this.#received = 0;
    const plan = ++this.#plan;
    for (const uuid of this.#sizes.keys()) {
      if (!pending.some((one) => one.uuid === uuid)) this.#sizes.delete(uuid);
    }
    this.#callOff();
    if (pending.length === 0) return;
    this.#callOff = this.#timers.after(SOON_MS, () => {
      // Without the sizes it is behind by snapshots and seconds.
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

  /** So much of the first one has come. */
  came(bytes: number): void {
    this.#received = bytes;
  }

  /** The first one is here. */
  arrived(): void {
    this.#pending = this.#pending.slice(1);
    this.#received = 0;
    if (this.#pending.length === 0) this.#callOff();
  }
}
