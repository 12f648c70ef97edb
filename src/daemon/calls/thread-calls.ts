/**
 * Questions and answers between two threads, over any channel that carries
 * messages both ways in order.
 *
 * Each direction is an interface, which names the questions and messages that
 * the other thread accepts:
 *
 *     interface ToStore {
 *       read: { args: { key: string }; answer: Uint8Array };
 *       // Without an answer: it is only told.
 *       progress: { args: number };
 *     }
 *
 * The compiler checks the callers and the other thread's handlers against it,
 * so a new question takes a line there, a handler, and its caller.
 *
 * What must hold: a question is answered once, or fails when the other thread
 * is lost; an error arrives with its code, errno, message and details.
 *
 * Doors inside daemon/: plain-error, thread-calls.
 */
import type { Transferable } from 'node:worker_threads';
import { Deferred } from '../../lib/deferred.js';
import { invariant } from '../../lib/invariant.js';
import { fromPlainError, type PlainError, toPlainError } from './plain-error.js';

type Direction<M> = { [K in keyof M]: { args: unknown; answer?: unknown } };
type Asked<M> = { [K in keyof M]: M[K] extends { answer: unknown } ? K : never }[keyof M];
type Told<M> = Exclude<keyof M, Asked<M>>;
type ArgsOf<M, K extends keyof M> = M[K] extends { args: infer A } ? A : never;
type AnswerOf<M, K extends keyof M> = M[K] extends { answer: infer R } ? R : never;
type NowOrLater<R> = R | Deferred<R> | Promise<R>;
/** An answer of `undefined` only says that the work is done. */
type Given<R> = [R] extends [undefined] ? NowOrLater<void> | NowOrLater<undefined> : NowOrLater<R>;

/**
 * What one thread does when it gets a question or a message. An error that a handler throws is the
 * answer, too.
 */
export type Handlers<M> = {
  [K in keyof M]: (
    args: ArgsOf<M, K>,
  ) => M[K] extends { answer: unknown } ? Given<AnswerOf<M, K>> : void;
};

export interface Asking<M> {
  /** `transfer`: memory that moves along instead of being copied. */
  call<K extends Asked<M>>(
    method: K,
    args: ArgsOf<M, K>,
    transfer?: readonly Transferable[],
  ): Deferred<AnswerOf<M, K>>;
}

type CallMessage =
  | { kind: 'asked'; id: number; method: string; args: unknown }
  | { kind: 'told'; method: string; args: unknown }
  | { kind: 'answered'; id: number; answer: unknown }
  | { kind: 'failed'; id: number; error: PlainError };

export interface ThreadCallsParts<In> {
  post(message: unknown, transfer: readonly Transferable[]): void;
  handlers: Handlers<In>;
  /** Called when this thread has answered a question, before the other thread gets the answer. */
  beforeAnswer?(method: keyof In): void;
}

/** One thread's end: `Out` is what it asks, `In` what it answers. */
export class ThreadCalls<Out extends Direction<Out>, In extends Direction<In>>
  implements Asking<Out>
{
  readonly #parts: ThreadCallsParts<In>;
  readonly #waiting = new Map<number, Deferred<unknown>>();
  #nextId = 1;
  #lost: Error | undefined;

  constructor(parts: ThreadCallsParts<In>) {
    this.#parts = parts;
  }

  call<K extends Asked<Out>>(
    method: K,
    args: ArgsOf<Out, K>,
    transfer: readonly Transferable[] = [],
  ): Deferred<AnswerOf<Out, K>> {
    const answer = new Deferred<AnswerOf<Out, K>>();
    if (this.#lost !== undefined) {
      answer.reject(this.#lost);
      return answer;
    }
    const id = this.#nextId++;
    this.#waiting.set(id, answer as Deferred<unknown>);
    this.#post({ kind: 'asked', id, method: String(method), args }, transfer);
    return answer;
  }

  /** `call`, for a thread that has an event loop. */
  promise<K extends Asked<Out>>(
    method: K,
    args: ArgsOf<Out, K>,
    transfer: readonly Transferable[] = [],
  ): Promise<AnswerOf<Out, K>> {
    const answer = this.call(method, args, transfer);
    return new Promise((resolve, reject) => answer.settled(resolve, reject));
  }

  /** Sends a message that has no answer. A lost thread does not get it. */
  tell<K extends Told<Out>>(
    method: K,
    args: ArgsOf<Out, K>,
    transfer: readonly Transferable[] = [],
  ): void {
    if (this.#lost !== undefined) return;
    this.#post({ kind: 'told', method: String(method), args }, transfer);
  }

  #post(message: CallMessage, transfer: readonly Transferable[] = []): void {
    this.#parts.post(message, transfer);
  }

  /** Call with each message from the other end. */
  receive(message: unknown): void {
    const received = message as CallMessage;
    switch (received.kind) {
      case 'asked':
        this.#answer(received.id, received.method, received.args);
        break;
      case 'told':
        this.#handle(received.method, received.args);
        break;
      case 'answered':
        this.#take(received.id)?.resolve(received.answer);
        break;
      case 'failed':
        this.#take(received.id)?.reject(fromPlainError(received.error));
        break;
    }
  }

  /** The other thread is gone: fails all waiting questions, and all later ones. */
  lost(error: Error): void {
    this.#lost ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const answer of waiting) answer.reject(error);
  }

  #take(id: number): Deferred<unknown> | undefined {
    const answer = this.#waiting.get(id);
    this.#waiting.delete(id);
    return answer;
  }

  #handle(method: string, args: unknown): unknown {
    const handlers = this.#parts.handlers as Record<string, (args: unknown) => unknown>;
    const handler = handlers[method];
    invariant(handler !== undefined, `a thread is asked for ${method}, which it does not know`);
    return handler(args);
  }

  #answer(id: number, method: string, args: unknown): void {
    const before = (): void => this.#parts.beforeAnswer?.(method as keyof In);
    const done = (answer: unknown): void => {
      before();
      this.#post({ kind: 'answered', id, answer });
    };
    const failed = (error: unknown): void => {
      before();
      this.#post({ kind: 'failed', id, error: toPlainError(error) });
    };
    let made: unknown;
    try {
      made = this.#handle(method, args);
    } catch (error) {
      failed(error);
      return;
    }
    if (made instanceof Deferred) made.settled(done, failed);
    else if (made instanceof Promise) made.then(done, failed);
    else done(made);
  }
}
