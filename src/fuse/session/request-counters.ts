/**
 * Counts the requests of one session: which are unanswered, how many of each
 * kind there were, how long they took; and feeds a trace while one is followed.
 *
 * It runs for every request, so it reads the clock once per request (the end of
 * one is the start of the next), allocates nothing, and makes one test for the
 * trace. What must hold: `arrived` and `answered` come in pairs for each
 * request that expects an answer (quiesce depends on the counts).
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

/** The fields of a request that are needed to answer and count it. */
export type Answerable = Pick<
  Request,
  'opcode' | 'uniqueLow' | 'uniqueHigh' | 'isBarrier' | 'bodyBytes' | 'startMs'
>;

/** The part of a request that outlives its bytes. */
export function answerable(request: Request): Answerable {
  const { opcode, uniqueLow, uniqueHigh, isBarrier, bodyBytes, startMs } = request;
  return { opcode, uniqueLow, uniqueHigh, isBarrier, bodyBytes, startMs };
}

/** The current request has no answer yet. */
const PENDING = -1;

export class RequestCounters {
  /** WRITE and READ requests that were read from the descriptor and are not answered. */
  unansweredWrites = 0;
  unansweredReads = 0;
  /** Unanswered requests that make the kernel hold an inode's WRITEs back. */
  unansweredBarriers = 0;
  /** When (performance.now) such a request was last answered. */
  barrierAnsweredMs = Number.NEGATIVE_INFINITY;
  /** Requests read since the mount. */
  served = 0;
  /** Changes that had to wait until they were accepted. */
  heldBack = 0;
  readonly counts = new RequestCounts(OPCODE_NAMES);
  /** Set while a trace is followed. */
  trace: SessionTrace | undefined;
  /**
   * The thread's time is accounted for up to here (performance.now); the next
   * request's time begins here. Code that spends time on something else moves
   * it on.
   */
  clockMs = 0;
  /** The result of the current request: its errno, or PENDING; and the bytes moved. */
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

  /** The request will be answered later. Call it before the request's bytes are reused. */
  postponed(request: Request): void {
    this.trace?.begun(request);
  }

  /** The reply was sent. `isAtHand`: `end` follows for the same request. */
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

  /** The thread is done with the current request. If it was answered, `reply` holds the answer. */
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
    // A negative entry is a successful answer that means ENOENT.
    const isAbsent =
      request.opcode === Opcode.LOOKUP && this.#outcome === 0 && reply.longAt(0) === 0;
    this.trace.answered(request, isAbsent ? ERRNO.ENOENT : this.#outcome, this.#movedBytes, ms);
  }

  /**
   * Runs work on a request that had to wait, so that its time does not count
   * for another request.
   */
  resumed(opcode: number, work: () => void): void {
    const startMs = performance.now();
    work();
    const nowMs = performance.now();
    this.counts.begun(opcode, nowMs - startMs);
    this.clockMs = nowMs;
  }

  /** Resets the counts; unanswered requests stay. */
  reset(): void {
    this.heldBack = 0;
    this.counts.reset();
  }

  /** The bytes of file data (of a listing: of names) that an answered request moved. */
  #moved({ opcode, bodyBytes: sent }: Answerable, answered: number): number {
    if (opcode === Opcode.WRITE) {
      this.counts.writtenBytes += sent - WRITE_BODY_BYTES;
      return sent - WRITE_BODY_BYTES;
    }
    if (opcode === Opcode.READ) this.counts.readBytes += answered;
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
