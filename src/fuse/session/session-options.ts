/** What a session is given, and how it ends. */
import type { Deferred } from '../../lib/deferred.js';
import type { Negotiated, Wishes } from '../protocol/negotiate.js';

/** Reads bytes of a file in another thread, so that they are in the page cache. */
export interface PageWarmer {
  /** The descriptor must stay open until the answer settles. */
  warm(fd: number, offset: number, length: number): Deferred<void>;
}

export interface SessionOptions extends Partial<Wishes> {
  /** For log lines. */
  name: string;
  /** Without one, operations that would block are told to block. */
  warmer?: PageWarmer;
  /** Called with true before, and false after, a call of the operations that may block. */
  setMayBlock?: (mayBlock: boolean) => void;
  /** Called once, before the kernel sends anything else. */
  onInit?: (negotiated: Negotiated) => void;
  log: (message: string) => void;
}

export type EndReason = 'unmounted' | 'aborted' | 'failed';
