/**
 * Flushing a file without waiting for it: fdatasync through Linux AIO; an event
 * counter signals its end. Owns one AIO context, in which one flush runs at a
 * time.
 */
import { ERRNO } from '../lib/errors.js';
import { addressOf, glibc, result } from './library.js';

/** System call numbers; other processors are not listed and answer -ENOSYS. */
const CALLS: Record<string, { setup: number; destroy: number; submit: number; events: number }> = {
  x64: { setup: 206, destroy: 207, submit: 209, events: 208 },
  arm64: { setup: 0, destroy: 1, submit: 2, events: 4 },
};
const IOCB_CMD_FDSYNC = 3;
const IOCB_FLAG_RESFD = 1;
/** struct iocb, struct io_event. */
const IOCB_BYTES = 64;
const EVENT_BYTES = 32;

const callSetup: (call: number, events: number, context: Uint8Array) => number = glibc.func(
  'int64_t syscall(int64_t, uint64_t, void *)',
);
const callDestroy: (call: number, context: bigint) => number = glibc.func(
  'int64_t syscall(int64_t, uint64_t)',
);
const callSubmit: (call: number, context: bigint, count: number, list: Uint8Array) => number =
  glibc.func('int64_t syscall(int64_t, uint64_t, int64_t, void *)');
const callEvents: (
  call: number,
  context: bigint,
  least: number,
  most: number,
  events: Uint8Array,
  timeout: Uint8Array | null,
) => number = glibc.func('int64_t syscall(int64_t, uint64_t, int64_t, int64_t, void *, void *)');

const NO_TIME = new Uint8Array(16);

export class AsyncFlush {
  readonly #calls: { setup: number; destroy: number; submit: number; events: number };
  readonly #context: bigint;
  readonly #iocb = Buffer.alloc(IOCB_BYTES);
  readonly #listBytes = new Uint8Array(8);
  readonly #list = new BigUint64Array(this.#listBytes.buffer);
  readonly #event = Buffer.alloc(EVENT_BYTES);

  private constructor(calls: (typeof CALLS)[string], context: bigint) {
    this.#calls = calls;
    this.#context = context;
    this.#list[0] = addressOf(this.#iocb);
  }

  /** -errno where the kernel has no AIO or a seccomp filter refuses it. */
  static open(): AsyncFlush | number {
    const calls = CALLS[process.arch];
    if (calls === undefined) return -ERRNO.ENOSYS;
    const bytes = new Uint8Array(8);
    const answer = result(callSetup(calls.setup, 4, bytes));
    if (answer < 0) return answer;
    return new AsyncFlush(calls, new BigUint64Array(bytes.buffer)[0] as bigint);
  }

  /** Begins to flush the file's data; `eventFd` is signalled at the end. 0, or -errno. */
  submit(fd: number, eventFd: number): number {
    const iocb = this.#iocb;
    iocb.fill(0);
    iocb.writeUInt16LE(IOCB_CMD_FDSYNC, 16);
    iocb.writeInt32LE(fd, 20);
    if (eventFd >= 0) {
      iocb.writeUInt32LE(IOCB_FLAG_RESFD, 56);
      iocb.writeInt32LE(eventFd, 60);
    }
    const count = result(callSubmit(this.#calls.submit, this.#context, 1, this.#listBytes));
    return count < 0 ? count : 0;
  }

  /**
   * The flush's result, 0 or -errno; undefined while it runs. `waits`: block
   * this thread until it is done.
   */
  poll(waits = false): number | undefined {
    const timeout = waits ? null : NO_TIME;
    const least = waits ? 1 : 0;
    for (;;) {
      const { events } = this.#calls;
      const count = result(callEvents(events, this.#context, least, 1, this.#event, timeout));
      if (count === -ERRNO.EINTR && waits) continue;
      if (count < 0) return count === -ERRNO.EINTR ? undefined : count;
      return count === 0 ? undefined : Number(this.#event.readBigInt64LE(16));
    }
  }

  close(): void {
    callDestroy(this.#calls.destroy, this.#context);
  }
}
