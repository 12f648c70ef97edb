/**
 * What one session knows of the requests it has taken: which are unanswered,
 * how many of each kind there were, how long they took; and, while somebody
 * follows, a trace of them.
 *
 * On the path of every request, so: one look at the clock per request (its end
 * is where the next one begins), no allocation, one test for the trace. What
 * must hold: `arrived` and `answered` come in pairs for each request that
 * expects an answer (quiesce depends on the counts).
 */
import { performance } from 'node:perf_hooks';
import { ERRNO } from '../../lib/errors.js';
import { invariant } from '../../lib/invariant.js';
import { RequestCounts } from '../../measure/request-counts.js';
import { WRITE_BODY_BYTES } from '../protocol/bodies.js';
import { OPCODE_NAMES } from '../protocol/opcode-names.js';
import { Opcode } from '../protocol/protocol.js';
import type { Reply } from '../protocol/reply.js';
import type { Request } from '../protocol/request.js';
import type { SessionTrace } from './session-trace.js';

/** What is needed of a request to answer it and to enter that here. */
export type Answerable = Pick<
  Request,
  'opcode' | 'uniqueLow' | 'uniqueHigh' | 'isBarrier' | 'bodyBytes' | 'startMs'
>;

/** A request's part that outlives its bytes. */
export function answerable(request: Request): Answerable {
  const { opcode, uniqueLow, uniqueHigh, isBarrier, bodyBytes, startMs } = request;
  return { opcode, uniqueLow, uniqueHigh, isBarrier, bodyBytes, startMs };
}

/** The request at hand has no answer yet. */
const PENDING = -1;

export class RequestCounters {
  /** WRITE and READ requests that were read from the descriptor and are not answered. */
  unansweredWrites = 0;
  unansweredReads = 0;
  /** Unanswered requests behind which the kernel keeps an inode's WRITEs back. */
  unansweredBarriers = 0;
  /** When (performance.now) such a request was answered last. */
  barrierAnsweredMs = Number.NEGATIVE_INFINITY;
  /** Requests that were read since the mount. */
  served = 0;
  /** Changes that had to wait until they were accepted. */
  heldBack = 0;
  readonly counts = new RequestCounts(OPCODE_NAMES);
  /** Set while somebody follows the requests. */
  trace: SessionTrace | undefined;
  /**
   * Up to when the thread's time is accounted for (performance.now): where the
   * next request's begins. Who spent it on something else moves it on.
   */
  clockMs = 0;
  /** How the request at hand was answered: its errno, or PENDING; and the bytes moved. */
  #outcome = 0;
  #movedBytes = 0;

  /** A request was read, which may need no answer. */
  begin(request: Request): void {
    this.served += 1;
    request.startMs = this.clockMs;
    this.#outcome = 0;
    this.#movedBytes = 0;
  }

  /** The request expects an answer. */
  arrived(request: Request): void {
    this.#count(request, 1);
    this.#outcome = PENDING;
  }

  /** Before its bytes are used again: the request will be answered later. */
  postponed(request: Request): void {
    this.trace?.begun(request);
  }

  /** The reply is sent. `isAtHand`: `end` follows for the same request. */
  answered(request: Answerable, isAtHand: boolean, errno: number, bodyBytes: number): void {
    this.#count(request, -1);
    invariant(this.unansweredWrites >= 0, 'no WRITE is answered twice');
    const movedBytes = errno === 0 ? this.#moved(request, bodyBytes) : 0;
    if (isAtHand) {
      this.#outcome = errno;
      this.#movedBytes = movedBytes;
      return;
    }
    const { opcode, uniqueLow, uniqueHigh, startMs } = request;
    const ms = performance.now() - startMs;
    this.counts.late(opcode, errno !== 0, ms);
    this.trace?.late(uniqueLow, uniqueHigh, errno, movedBytes, ms);
  }

  /** The thread is done with the request at hand, answered (then by `reply`) or not. */
  end(request: Request, reply: Reply): void {
    const nowMs = performance.now();
    const ms = nowMs - this.clockMs;
    this.clockMs = nowMs;
    if (this.#outcome === PENDING) {
      this.counts.begun(request.opcode, ms);
      return;
    }
    this.counts.served(request.opcode, this.#outcome > 0, ms);
    if (this.trace === undefined) return;
    // A negative entry is a good answer, but says that nothing is there.
    const isAbsent =
      request.opcode === Opcode.LOOKUP && this.#outcome === 0 && reply.longAt(0) === 0;
    this.trace.answered(request, isAbsent ? ERRNO.ENOENT : this.#outcome, this.#movedBytes, ms);
  }

  /** Work on a request that had to wait: it is no part of another's time. */
  resumed(opcode: number, work: () => void): void {
    const startMs = performance.now();
    work();
    const nowMs = performance.now();
    this.counts.begun(opcode, nowMs - startMs);
    this.clockMs = nowMs;
  }

  /** Counts from nothing again; what is unanswered stays. */
  reset(): void {
    this.heldBack = 0;
    this.counts.reset();
  }

  /** The bytes of file data (of a listing: of names) that an answered request moved. */
  #moved({ opcode, bodyBytes: sent }: Answerable, answered: number): number {
    if (opcode === Opcode.WRITE) {
      this.counts.bytesWritten += sent - WRITE_BODY_BYTES;
      return sent - WRITE_BODY_BYTES;
    }
    if (opcode === Opcode.READ) this.counts.bytesRead += answered;
    return answered;
  }

  #count({ opcode, isBarrier }: Answerable, by: 1 | -1): void {
    if (opcode === Opcode.WRITE) this.unansweredWrites += by;
    else if (opcode === Opcode.READ) this.unansweredReads += by;
    else if (isBarrier) {
      this.unansweredBarriers += by;
      if (by === -1) this.barrierAnsweredMs = performance.now();
    }
  }
}
