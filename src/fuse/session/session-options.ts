/** What a session needs, and how it ends. */
import type { Deferred } from '../../lib/deferred.js';
import type { WaitPolicy } from '../../lib/wait-policy.js';
import type { Negotiated, Wishes } from '../protocol/negotiate.js';

/** Reads bytes of a file in another thread, so that they are in the page cache. */
export interface PageWarmer {
  /** The descriptor must stay open until the answer settles. */
  warm(fd: number, offset: number, length: number): Deferred<void>;
}

export interface SessionOptions extends Partial<Wishes> {
  /** For log lines. */
  name: string;
  /** Without one, operations that would wait for a base file are told to wait. */
  warmer?: PageWarmer;
  /** By which the operations decide whether they wait for a disk. */
  waits?: WaitPolicy;
  /** Called once, before the kernel sends anything else. */
  onInit?: (negotiated: Negotiated) => void;
  log: (message: string) => void;
}

export type EndReason = 'unmounted' | 'aborted' | 'failed';
