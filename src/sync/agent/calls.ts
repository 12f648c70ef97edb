/**
 * Questions and answers over a fabric that loses, doubles and reorders
 * messages: a question is repeated until it is answered or its time is over. So
 * a question may be served more than once, and its server must allow for that.
 */
import { CommandError, ERRNO, type ErrnoName, messageOf } from '../../lib/errors.js';
import type { Fabric, Timers } from '../fabric.js';
import type { SyncAnswer, SyncAnswers, SyncRequest } from './messages.js';
import { isAnswerTo, isCallMessage, isWhole } from './parsing.js';

export interface Refusal {
  code: string;
  errno: ErrnoName;
  message: string;
}

/** `incarnation`: the asker's, so that answers to an earlier run of it are recognised. */
export type CallMessage = { incarnation: number; call: number } & (
  | { request: SyncRequest }
  | { answer: SyncAnswer }
  | { refusal: Refusal }
);

/** A connection loses no messages unless it ends: repeats are for that case. */
const AGAIN_MIN_MS = 1000;
const AGAIN_MAX_MS = 8000;

export interface CallsSetup {
  incarnation: number;
  fabric: Fabric<CallMessage>;
  timers: Timers;
  /**
   * Throws CommandError for a well-formed message whose values are impossible; then it is ignored.
   */
  check: (from: string, said: SyncRequest | SyncAnswer) => void;
  serve: (from: string, request: SyncRequest) => Promise<SyncAnswer>;
}

interface Waiting {
  peer: string;
  kind: SyncRequest['kind'];
  resolve: (answer: SyncAnswer) => void;
  reject: (error: Error) => void;
}

export class Calls {
  readonly #setup: CallsSetup;
  readonly #waiting = new Map<number, Waiting>();
  /** Questions being served: a repeat of one is not served in parallel. */
  readonly #serving = new Set<string>();
  #count = 0;

  constructor(setup: CallsSetup) {
    this.#setup = setup;
    setup.fabric.receive((from, message) => this.#receive(from, message));
  }

  /**
   * Throws CommandError: what the peer refuses with, or `peer-silent` after `maxMs`.
   */
  async call<K extends SyncRequest['kind']>(
    peer: string,
    request: SyncRequest & { kind: K },
    maxMs: number,
  ): Promise<SyncAnswers[K]> {
    const { fabric, timers, incarnation } = this.#setup;
    const call = ++this.#count;
    const endMs = timers.nowMs() + maxMs;
    let isOver = false;
    try {
      return await new Promise<SyncAnswers[K]>((resolve, reject) => {
        this.#waiting.set(call, {
          peer,
          kind: request.kind,
          resolve: (answer) => resolve(answer as SyncAnswers[K]),
          reject,
        });
        let pauseMs = AGAIN_MIN_MS;
        const ask = (): void => {
          if (isOver) return;
          const leftMs = endMs - timers.nowMs();
          if (leftMs <= 0) {
            const message = `the peer ${peer} has not answered for ${maxMs / 1000} s`;
            reject(new CommandError('peer-silent', 'ETIMEDOUT', message));
            return;
          }
          fabric.send([peer], { incarnation, call, request });
          timers.after(Math.min(pauseMs, leftMs), ask);
          pauseMs = Math.min(2 * pauseMs, AGAIN_MAX_MS);
        };
        ask();
      });
    } finally {
      isOver = true;
      this.#waiting.delete(call);
    }
  }

  /** Sends a message that needs no answer and may get lost. */
  tell(peers: readonly string[], request: SyncRequest): void {
    const { fabric, incarnation } = this.#setup;
    if (peers.length > 0) fabric.send(peers, { incarnation, call: 0, request });
  }

  #receive(from: string, message: unknown): void {
    // There is no call number, so no answer can be sent.
    if (!isCallMessage(message)) return;
    if ('request' in message) {
      void this.#serve(from, message.incarnation, message.call, message.request);
      return;
    }
    if (message.incarnation !== this.#setup.incarnation) return;
    const waiting = this.#waiting.get(message.call);
    if (waiting?.peer !== from) return;
    if ('answer' in message) {
      this.#answered(from, waiting, message.answer);
    } else {
      const { code, errno, message: text } = message.refusal;
      waiting.reject(new CommandError(code, Object.hasOwn(ERRNO, errno) ? errno : 'EIO', text));
    }
  }

  #answered(from: string, { kind, resolve, reject }: Waiting, answer: SyncAnswer): void {
    try {
      if (!isAnswerTo(kind, answer)) throw badAnswer(from, kind);
      this.#setup.check(from, answer);
      resolve(answer);
    } catch (error) {
      reject(error as Error);
    }
  }

  async #serve(
    from: string,
    incarnation: number,
    call: number,
    request: SyncRequest,
  ): Promise<void> {
    const key = `${from} ${incarnation} ${call}`;
    if (call !== 0 && this.#serving.has(key)) return;
    this.#serving.add(key);
    try {
      if (!isWhole(request)) throw badQuestion(request.kind);
      this.#setup.check(from, request);
      const answer = await this.#setup.serve(from, request);
      if (call !== 0) this.#setup.fabric.send([from], { incarnation, call, answer });
    } catch (error) {
      if (call === 0) return;
      const refusal = refusalOf(error);
      this.#setup.fabric.send([from], { incarnation, call, refusal });
    } finally {
      this.#serving.delete(key);
    }
  }
}

function badAnswer(peer: string, kind: string): CommandError {
  const message = `what ${peer} has answered to ${kind} is not understood: it is broken, or of another version`;
  return new CommandError('bad-answer', 'EIO', message);
}

function badQuestion(kind: string): CommandError {
  return new CommandError('bad-question', 'EINVAL', `the question ${kind} lacks something`);
}

function refusalOf(error: unknown): Refusal {
  if (error instanceof CommandError) {
    return { code: error.code, errno: error.errno, message: error.message };
  }
  return { code: 'peer-failed', errno: 'EIO', message: messageOf(error) };
}

/** A newer version may ask a question that this one does not know. */
export function unknownQuestion(request: never): CommandError {
  const { kind } = request as { kind: unknown };
  const message = `the question ${JSON.stringify(kind)} is not known here: update this side`;
  return new CommandError('unknown-question', 'EOPNOTSUPP', message);
}
