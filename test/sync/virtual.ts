/**
 * A world in one process for what runs on several machines: virtual time, a
 * network that loses, doubles, delays, reorders and cuts, machines that stop and
 * start again with what they had on disk. Everything is drawn from one seed.
 */
import type { Fabric, Timers } from '../../src/sync/fabric.js';
import type { Random } from '../model/random.js';

interface Due {
  atMs: number;
  order: number;
  action: () => void;
}

/** Runs what is due, one after the other, in the order of virtual time. */
export class VirtualTime {
  /** Node's timers take a millisecond at least. */
  shortestTimerMs = 0;
  #nowMs = 0;
  #order = 0;
  /** A binary heap by (atMs, order). */
  readonly #heap: Due[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): () => void {
    const due: Due = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, action };
    this.#push(due);
    return () => {
      due.action = () => undefined;
    };
  }

  /** Runs until `untilMs`, or until nothing is due. */
  async run(untilMs: number): Promise<void> {
    for (;;) {
      // All that follows from what was done, without time passing: a tick comes after every promise.
      await new Promise<void>((resolve) => process.nextTick(resolve));
      const due = this.#heap[0];
      if (due === undefined || due.atMs > untilMs) break;
      this.#pop();
      this.#nowMs = due.atMs;
      due.action();
    }
    this.#nowMs = untilMs;
  }

  #isBefore(a: Due, b: Due): boolean {
    return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
  }

  #push(due: Due): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up] as Due;
      if (this.#isBefore(parent, due)) break;
      heap[at] = parent;
      heap[up] = due;
      at = up;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= heap.length) break;
      const right = heap[down + 1];
      if (right !== undefined && this.#isBefore(right, heap[down] as Due)) down++;
      const child = heap[down] as Due;
      if (this.#isBefore(last, child)) break;
      heap[at] = child;
      at = down;
    }
    heap[at] = last;
  }
}

export interface Weather {
  /** Of a hundred messages so many get lost, so many come twice. */
  lost: number;
  doubled: number;
  delayMinMs: number;
  delayMaxMs: number;
}

export const FAIR: Weather = { lost: 0, doubled: 0, delayMinMs: 1, delayMaxMs: 3 };

/** The network between machines that are known by name. */
export class VirtualNetwork<Message> {
  weather: Weather = FAIR;
  /** Pairs that do not hear each other: `a b`, both ways. */
  readonly cut = new Set<string>();
  readonly #handlers = new Map<string, (from: string, message: Message) => void>();
  sent = 0;

  constructor(
    readonly time: VirtualTime,
    readonly random: Random,
  ) {}

  /** What a machine that runs uses; it is deaf and dumb once it is stopped. */
  connect(name: string, isRunning: () => boolean): Fabric<Message> {
    return {
      send: (to, message) => {
        if (!isRunning()) return;
        for (const other of to) this.#send(name, other, copy(message));
      },
      receive: (handler) => {
        this.#handlers.set(name, (from, message) => {
          if (isRunning()) handler(from, message);
        });
      },
    };
  }

  disconnect(name: string): void {
    this.#handlers.delete(name);
  }

  isCut(a: string, b: string): boolean {
    return this.cut.has(`${a} ${b}`) || this.cut.has(`${b} ${a}`);
  }

  #send(from: string, to: string, message: Message): void {
    this.sent++;
    const { lost, doubled, delayMinMs, delayMaxMs } = this.weather;
    const copies = this.random.below(100) < doubled ? 2 : 1;
    for (let i = 0; i < copies; i++) {
      if (from !== to && this.random.below(100) < lost) continue;
      const delayMs =
        from === to ? 0 : delayMinMs + this.random.below(100 * (delayMaxMs - delayMinMs) + 1) / 100;
      this.time.after(delayMs, () => {
        if (from === to || !this.isCut(from, to)) this.#handlers.get(to)?.(from, message);
      });
    }
  }
}

/** As from another machine: plain data, of which nothing is shared but bytes. */
function copy<T>(value: T): T {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((one: unknown) => copy(one)) as T;
  const copied: Record<string, unknown> = {};
  for (const key in value) copied[key] = copy(value[key]);
  return copied as T;
}

/** Timers of a machine: what it set before it was stopped does not go off. */
export function timersOf(time: VirtualTime, isRunning: () => boolean): Timers {
  return {
    nowMs: () => time.nowMs,
    after: (delayMs, action) =>
      time.after(Math.max(time.shortestTimerMs, delayMs), () => {
        if (isRunning()) action();
      }),
  };
}
