/**
 * Waiting for descriptors, and the event counters that wake a waiter.
 *
 * A `PollSet` belongs to one thread; an event counter's descriptor may be
 * signalled from any thread.
 */
import { ERRNO } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import { POLLIN } from './constants.js';
import { read, write } from './libc.js';
import { glibc, result } from './library.js';

const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const callPoll: (set: Uint8Array, count: number, timeoutMs: number) => number = glibc.func(
  'int poll(void *, uint64_t, int)',
);
const callEventfd: (initial: number, flags: number) => number = glibc.func(
  'int eventfd(uint32_t, int)',
);

/** A fixed list of descriptors to wait for. A wait allocates nothing. */
export class PollSet {
  readonly #bytes: Uint8Array;
  readonly #fds: Int32Array;
  /** Four halves per descriptor: fd (two), events, revents. */
  readonly #halves: Int16Array;
  readonly #count: number;

  /** Waits for POLLIN on each descriptor; `set` changes that. */
  constructor(fds: readonly number[]) {
    this.#count = fds.length;
    const memory = new ArrayBuffer(8 * fds.length);
    this.#bytes = new Uint8Array(memory);
    this.#fds = new Int32Array(memory);
    this.#halves = new Int16Array(memory);
    for (const [i, fd] of fds.entries()) this.set(i, fd, POLLIN);
  }

  /** Puts another descriptor or other events at index `i`; `wait` ignores fd -1. */
  set(i: number, fd: number, events: number): void {
    invariant(i >= 0 && i < this.#count, 'the index is in the poll set');
    this.#fds[2 * i] = fd;
    this.#halves[4 * i + 2] = events;
    this.#halves[4 * i + 3] = 0;
  }

  /**
   * Waits until a descriptor is ready; -1 ms waits for ever, 0 only polls.
   * Returns the number of ready descriptors, 0 also when a signal came first,
   * or -errno.
   */
  wait(timeoutMs: number): number {
    const ready = result(callPoll(this.#bytes, this.#count, timeoutMs));
    if (ready >= 0) return ready;
    // A failed poll leaves the old results in place.
    for (let i = 0; i < this.#count; i++) this.#halves[4 * i + 3] = 0;
    return ready === -ERRNO.EINTR ? 0 : ready;
  }

  /** The POLL* events that the last `wait` found at index `i`; 0: none. */
  ready(i: number): number {
    return this.#halves[4 * i + 3] ?? 0;
  }
}

const counter = new Uint8Array(8);
const one = new Uint8Array(new BigUint64Array([1n]).buffer);

/** A new event counter: readable after `eventfdSignal` until `eventfdClear`. The fd, or -errno. */
export function eventfd(): number {
  return result(callEventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

export function eventfdSignal(fd: number): number {
  return write(fd, one, 8);
}

/** 0, or -errno: -EAGAIN when nothing was signalled. */
export function eventfdClear(fd: number): number {
  return read(fd, counter, 8);
}
