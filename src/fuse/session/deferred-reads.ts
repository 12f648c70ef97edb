/**
 * Reads that wait until the kernel has fetched what they need, while others
 * are served. They have their turn when no request is there, the oldest first,
 * and after `TURNS` requests at most.
 */
import type { Request } from '../protocol/request.js';

export const TURNS = 32;

export class DeferredReads {
  readonly #requests: Request[] = [];
  /** Requests served since one was put off, or had its turn. */
  #turns = 0;

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  /** `request` keeps its own memory. */
  push(request: Request): void {
    this.#requests.push(request);
  }

  /** The one whose turn it is, since nothing else is there. */
  next(): Request | undefined {
    this.#turns = 0;
    return this.#requests.shift();
  }

  /** Before another request is served: the one that has waited for long enough. */
  overdue(): Request | undefined {
    if (this.isEmpty || ++this.#turns <= TURNS) return undefined;
    return this.next();
  }
}
