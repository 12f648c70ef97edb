/**
 * Mutating requests that wait, because the file system accepts no writes at the
 * moment or because they are held back. They run in order of arrival; a waiting
 * request has had no effect yet.
 */
import { MUTATING, OPCODE_LIMIT } from '../protocol/protocol.js';
import type { Request } from '../protocol/request.js';

export class MutationQueue {
  readonly #isMutating = new Uint8Array(OPCODE_LIMIT);
  readonly #beginChange: () => boolean;
  #waiting: Request[] = [];
  isHeld = false;

  constructor(beginChange: () => boolean) {
    this.#beginChange = beginChange;
    for (const opcode of MUTATING) this.#isMutating[opcode] = 1;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** Whether a request of this kind has to wait now. */
  mustWait(opcode: number): boolean {
    if (this.#isMutating[opcode] !== 1) return false;
    return this.isHeld || this.#waiting.length > 0 || !this.#beginChange();
  }

  /** `request` must own its bytes. */
  push(request: Request): void {
    this.#waiting.push(request);
  }

  /** The oldest request, if it may run now. */
  next(): Request | undefined {
    if (this.#waiting.length === 0 || this.isHeld || !this.#beginChange()) return undefined;
    return this.#waiting.shift();
  }

  /** Removes a request by its number. */
  withdraw(uniqueLow: number, uniqueHigh: number): Request | undefined {
    const at = this.#waiting.findIndex(
      (request) => request.uniqueLow === uniqueLow && request.uniqueHigh === uniqueHigh,
    );
    return at < 0 ? undefined : this.#waiting.splice(at, 1)[0];
  }
}
