/**
 * How the intent log is flushed: without waiting where a loop serves,
 * synchronously in tools and tests.
 */
import { AsyncFlush } from '../../libc/aio.js';
import { fdatasync } from '../../libc/libc.js';

export interface LogFlush {
  /** Begins a flush; returns 0 or -errno. */
  submit(fd: number): number;
  /**
   * 0 or -errno when the flush is done, undefined while it runs. `waits`: blocks this thread until
   * it is done.
   */
  take(waits?: boolean): number | undefined;
  close(): void;
}

/**
 * Undefined where the kernel has no AIO or refuses it. `wakeFd` is signalled at the end of each
 * flush.
 */
export function asyncFlush(wakeFd: number): LogFlush | undefined {
  const aio = AsyncFlush.open();
  if (typeof aio === 'number') return undefined;
  return {
    submit: (fd) => aio.submit(fd, wakeFd),
    take: (waits) => aio.poll(waits),
    close: () => aio.close(),
  };
}

/** Flushes within `submit`. */
export class InlineFlush implements LogFlush {
  #answer: number | undefined;

  submit(fd: number): number {
    this.#answer = fdatasync(fd);
    return 0;
  }

  take(): number | undefined {
    const answer = this.#answer;
    this.#answer = undefined;
    return answer;
  }

  close(): void {}
}
