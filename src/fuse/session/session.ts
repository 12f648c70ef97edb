/**
 * One mount's conversation with the kernel: reads requests from the FUSE
 * descriptor, hands them to the operations and writes the replies.
 *
 * Owns the request buffer, the two reply buffers and the parked requests; not
 * the descriptor's mount. Everything runs in the thread of the serving loop and
 * never waits, but for disks that the `WaitPolicy` allows to wait for. What must hold:
 * - Each request that expects an answer gets exactly one.
 * - Mutating requests that had to wait run in order of arrival.
 * - The counters record every request that expects an answer when it is read
 *   and when it is answered, parked ones included (quiesce depends on it).
 * - A lookup whose reply the kernel did not take is forgotten again.
 *
 * Doors: session, session-trace.
 * Doors inside fuse/: session-options.
 */
import type { Deferred } from '../../lib/deferred.js';
import { BaseReadBlocks, ERRNO, errnoOf, messageOf, WouldWait } from '../../lib/errors.js';
import { InvariantError } from '../../lib/invariant.js';
import { WaitPolicy } from '../../lib/wait-policy.js';
import { close, read, write } from '../../libc/libc.js';
import { PollSet } from '../../libc/poll.js';
import type { Operations } from '../../tree/operations.js';
import { answerInit } from '../protocol/answer-init.js';
import { decodeBatchForget, decodeForget, decodeInterrupt } from '../protocol/bodies.js';
import { HANDLERS, type HandlerContext, LATER } from './handlers.js';
import { DEFAULT_WISHES, isSentBy, type Negotiated } from '../protocol/negotiate.js';
import { MutationQueue } from './mutation-queue.js';
import { OPCODE_LIMIT, Opcode, OUT_HEADER_BYTES } from '../protocol/protocol.js';
import { DeferredReads } from './deferred-reads.js';
import { Reply } from '../protocol/reply.js';
import { Request } from '../protocol/request.js';
import { type Answerable, answerable, RequestCounters } from './request-counters.js';
import type { EndReason, SessionOptions } from './session-options.js';
import { undoLookups } from './undo-lookups.js';

const ECONNABORTED = 103;
const EPROTO = 71;
const HEADROOM_BYTES = 64 * 1024;
/** After this many warm-ups that did not help, the operation may wait. */
const TRIES_MAX = 3;
const LATE_REPLY_BYTES = 64 * 1024;

/** Results of `serveOne`. */
export const EMPTY = 0;
export const SERVED = 1;
export const ENDED = 2;

/** The fields of a request that are needed to send its answer. */
type Numbered = Pick<Answerable, 'opcode' | 'uniqueLow' | 'uniqueHigh'>;

export class FuseSession implements HandlerContext {
  readonly fd: number;
  readonly ops: Operations;
  readonly reply: Reply;
  readonly options: SessionOptions;
  negotiated: Negotiated | undefined;
  /** Why the session ended; undefined while it is active. */
  ended: EndReason | undefined;
  /** The thread that waits for the latest request (0: none). */
  callerPid = 0;
  readonly book = new RequestCounters();

  readonly #request: Request;
  readonly #lateReply = new Reply(LATE_REPLY_BYTES);
  readonly #mutations: MutationQueue;
  /** Requests that wait for an event: how to cancel the wait. */
  readonly #cancellable = new Map<string, () => void>();
  readonly #log: (message: string) => void;
  readonly #waits: WaitPolicy;
  readonly #requests: PollSet;
  readonly #deferredReads = new DeferredReads();
  /** Called whenever the descriptor gave EAGAIN, and at the end. */
  #drainWatchers = new Set<() => void>();

  constructor(fd: number, ops: Operations, options: SessionOptions) {
    this.fd = fd;
    this.#requests = new PollSet([fd]);
    this.ops = ops;
    this.options = options;
    this.#waits = options.waits ?? new WaitPolicy('yield');
    this.#log = (message) => options.log(`${options.name}: ${message}`);
    const maxWriteBytes = options.maxWriteBytes ?? DEFAULT_WISHES.maxWriteBytes;
    this.#request = new Request(Buffer.from(new ArrayBuffer(maxWriteBytes + HEADROOM_BYTES)));
    this.reply = new Reply(maxWriteBytes + HEADROOM_BYTES);
    this.#mutations = new MutationQueue(() => ops.beginChange());
  }

  get setxattrExtended(): boolean {
    return this.negotiated?.setxattrExtended ?? false;
  }

  get noOpen(): boolean {
    return this.negotiated?.noOpen ?? false;
  }

  get writeback(): boolean {
    return this.negotiated?.writeback ?? false;
  }

  get noOpendir(): boolean {
    return this.negotiated?.noOpendir ?? false;
  }

  /** Mutating requests that wait. */
  get waitingMutations(): number {
    return this.#mutations.size;
  }

  /** Reads and handles one request: SERVED, EMPTY (none was there) or ENDED. */
  serveOne(): number {
    if (this.ended !== undefined) return ENDED;
    this.#serveDeferredRead(this.#deferredReads.overdue());
    const request = this.#request;
    const received = read(this.fd, request.bytes, request.bytes.length);
    if (received < 0) return this.#nothingRead(-received);
    const wrong = request.load(received);
    if (wrong !== undefined) {
      this.#log(`dropped: ${wrong}`);
      return SERVED;
    }
    this.callerPid = request.callerPid;
    this.book.begin(request);
    this.#dispatch(request);
    this.book.end(request, this.reply);
    return this.ended === undefined ? SERVED : ENDED;
  }

  #nothingRead(errno: number): number {
    switch (errno) {
      case ERRNO.EAGAIN:
        for (const watcher of this.#drainWatchers) watcher();
        return this.#serveDeferredRead(this.#deferredReads.next()) ? SERVED : EMPTY;
      case ERRNO.EINTR:
      case ERRNO.ENOENT: // The request was withdrawn before it was read.
        return SERVED;
      case ERRNO.ENODEV:
        return this.#end('unmounted');
      case ECONNABORTED:
        return this.#end('aborted');
      default:
        this.#log(`reading requests failed with errno ${errno}`);
        return this.#end('failed');
    }
  }

  #end(reason: EndReason): number {
    this.ended ??= reason;
    for (const watcher of this.#drainWatchers) watcher();
    return ENDED;
  }

  /**
   * Runs `watcher` whenever the kernel has no more requests, and when the
   * session ends. Returns a function that stops it.
   */
  watchDrained(watcher: () => void): () => void {
    this.#drainWatchers.add(watcher);
    return () => this.#drainWatchers.delete(watcher);
  }

  get hasDrainWatchers(): boolean {
    return this.#drainWatchers.size > 0;
  }

  /**
   * Parks mutating requests that arrive from now on. Call it only after a
   * quiesce has settled: a quiesce waits for WRITEs, and parked ones would
   * never be answered.
   */
  holdMutations(): void {
    this.#mutations.isHeld = true;
  }

  /** Parked requests run in the loop's next turn, not inside this call. */
  releaseMutations(): void {
    this.#mutations.isHeld = false;
  }

  /** Runs parked mutating requests as far as they are accepted now. Called by the loop. */
  retryWaiting(): void {
    let request = this.#mutations.next();
    while (request !== undefined) {
      const waited = request;
      this.book.resumed(waited.opcode, () => this.#execute(waited));
      request = this.#mutations.next();
    }
  }

  /** Nothing is read or answered any more; the descriptor stays open. */
  stop(): void {
    this.#end('aborted');
  }

  /** Closes the descriptor: the kernel then fails every unanswered request. */
  close(): void {
    this.#end('aborted');
    close(this.fd);
  }

  #dispatch(request: Request): void {
    switch (request.opcode) {
      case Opcode.FORGET:
      case Opcode.BATCH_FORGET:
        this.#forget(request);
        return;
      case Opcode.INTERRUPT:
        this.#interrupt(request);
        return;
      case Opcode.NOTIFY_REPLY:
        return;
      case Opcode.INIT:
        this.#init(request);
        return;
      case Opcode.DESTROY:
        this.#send(request, 0, 0);
        this.#end('unmounted');
        return;
      default:
        this.book.arrived(request);
        this.#admit(request);
    }
  }

  /** Runs the request, or queues it behind the other waiting mutations. */
  #admit(request: Request): void {
    if (!this.#mutations.mustWait(request.opcode)) {
      this.#execute(request);
      return;
    }
    this.book.heldBack += 1;
    this.#mutations.push(this.#keep(request));
  }

  #keep(request: Request): Request {
    if (request !== this.#request) return request;
    this.book.postponed(request);
    return request.detach();
  }

  #execute(request: Request): void {
    const { opcode } = request;
    const handler = opcode < OPCODE_LIMIT ? HANDLERS[opcode] : undefined;
    if (handler === undefined || !isSentBy(this.negotiated?.minor ?? 0, opcode)) {
      this.#answer(request, ERRNO.ENOSYS, 0);
      return;
    }
    let bodyBytes: number;
    try {
      bodyBytes = handler(this, request);
    } catch (error) {
      if (error instanceof WouldWait) this.#again(this.#keep(request), error);
      else this.#answer(request, this.#errnoOf(error, opcode), 0);
      return;
    }
    if (bodyBytes !== LATER) this.#answer(request, 0, bodyBytes);
  }

  /** The errno to answer. Rethrows errors that must stop the process. */
  #errnoOf(error: unknown, opcode: number): number {
    const expected = errnoOf(error);
    if (expected !== undefined) return expected;
    if (error instanceof InvariantError) throw error;
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#log(`request ${opcode} failed: ${text}`);
    return ERRNO.EIO;
  }

  /** The operation has done nothing yet: it runs again when it need not wait, or may. */
  #again(kept: Request, cause: WouldWait): void {
    if (cause instanceof BaseReadBlocks) this.#warm(kept, cause);
    else this.#deferredReads.push(kept);
  }

  #warm(kept: Request, cause: BaseReadBlocks): void {
    const { warmer } = this.options;
    kept.tries += 1;
    if (warmer === undefined || kept.tries > TRIES_MAX) {
      if (this.#waits.mode === 'wait') {
        this.#log(`request ${kept.opcode} would not wait although it may`);
        this.#answer(kept, ERRNO.EIO, 0);
        return;
      }
      this.#executeWaiting(kept);
      return;
    }
    const again = (): void => this.book.resumed(kept.opcode, () => this.#admit(kept));
    // If the disk can't be read, the operation gets the error when it reads.
    warmer.warm(cause.fd, cause.offset, cause.length).settled(again, again);
  }

  /** True when requests wait to be read, or for their turn. */
  get othersWait(): boolean {
    return !this.#deferredReads.isEmpty || this.#requests.wait(0) > 0;
  }

  /** True when there was a request. */
  #serveDeferredRead(request: Request | undefined): boolean {
    if (request === undefined) return false;
    this.book.resumed(request.opcode, () => this.#executeWaiting(request));
    return true;
  }

  #executeWaiting(request: Request): void {
    this.#waits.patiently(() => this.#execute(request));
  }

  later<T>(
    request: Request,
    result: Deferred<T>,
    encode: (reply: Reply, value: T) => number,
  ): number {
    const late = this.#lateReply;
    // The request's memory is reused before the answer is known.
    const header = answerable(request);
    if (request === this.#request) this.book.postponed(request);
    const { opcode, uniqueLow, uniqueHigh } = header;
    const key = `${uniqueHigh}:${uniqueLow}`;
    if (result.cancel !== undefined) this.#cancellable.set(key, result.cancel);
    const done = (errno: number, bodyBytes: number): void => {
      this.#cancellable.delete(key);
      this.#answer(header, errno, bodyBytes, late);
    };
    result.settled(
      (value) => done(0, encode(late, value)),
      (error) => done(this.#errnoOf(error, opcode), 0),
    );
    return LATER;
  }

  #answer(request: Answerable, errno: number, bodyBytes: number, reply = this.reply): void {
    this.book.answered(request, request === this.#request, errno, bodyBytes);
    this.#send(request, errno, bodyBytes, reply);
  }

  #send(request: Numbered, errno: number, bodyBytes: number, reply = this.reply): void {
    if (this.ended !== undefined) return;
    const length = reply.finish(request.uniqueLow, request.uniqueHigh, errno, bodyBytes);
    const sent = write(this.fd, reply.bytes, length);
    if (sent === length) return;
    if (errno === 0) undoLookups(this.ops, request.opcode, reply, bodyBytes);
    if (sent === -ERRNO.ENOENT) return; // No process waits for it any more.
    if (sent === -ERRNO.ENODEV || sent === -ECONNABORTED) return; // The next read reports it.
    this.#log(`reply to request ${request.opcode} of ${length} bytes failed: ${sent}`);
    if (errno !== 0) return;
    reply.finish(request.uniqueLow, request.uniqueHigh, ERRNO.EIO, 0);
    write(this.fd, reply.bytes, OUT_HEADER_BYTES);
  }

  #forget(request: Request): void {
    try {
      if (request.opcode === Opcode.FORGET) {
        this.ops.forget(request.node, decodeForget(request));
      } else {
        decodeBatchForget(request, (node, count) => this.ops.forget(node, count));
      }
    } catch (error) {
      if (error instanceof InvariantError) throw error;
      this.#log(`forget: ${messageOf(error)}`);
    }
  }

  /**
   * A request that still waits for its turn or for an event has had no effect
   * yet and can be answered EINTR. Every other request runs to its end.
   */
  #interrupt(request: Request): void {
    if (request.bodyBytes < 8) return;
    const { low, high } = decodeInterrupt(request);
    const found = this.#mutations.withdraw(low, high);
    if (found !== undefined) this.#answer(found, ERRNO.EINTR, 0);
    else this.#cancellable.get(`${high}:${low}`)?.();
  }

  #init(request: Request): void {
    let answer: ReturnType<typeof answerInit>;
    try {
      answer = answerInit(request, this.reply, this.options);
    } catch (error) {
      this.#send(request, this.#errnoOf(error, Opcode.INIT), 0);
      return;
    }
    if (answer === 'too-old') {
      this.#log('this kernel speaks a FUSE protocol older than 7.31 (Linux 5.4)');
      this.#send(request, EPROTO, 0);
      this.#end('failed');
      return;
    }
    if (answer.negotiated !== undefined) {
      this.negotiated = answer.negotiated;
      this.options.onInit?.(answer.negotiated);
    }
    this.#send(request, 0, answer.bodyBytes);
  }
}
