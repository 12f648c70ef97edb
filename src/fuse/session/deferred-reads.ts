/**
 * Reads that wait while the kernel fetches their data and other requests are
 * served. They run when no request is waiting, oldest first, and after at most
 * `TURNS` requests.
 */
import type { Request } from '../protocol/request.js';

export const TURNS = 32;

export class DeferredReads {
  readonly #requests: Request[] = [];
  /** Requests served since a read was deferred or had its turn. */
  #turns = 0;

  get isEmpty(): boolean {
    return this.#requests.length === 0;
  }

  /** `request` must own its bytes. */
  push(request: Request): void {
    this.#requests.push(request);
  }

  /** The oldest read, when no request is waiting. */
  next(): Request | undefined {
    this.#turns = 0;
    return this.#requests.shift();
  }

  /** Call before another request is served: the read that has waited long enough. */
  overdue(): Request | undefined {
    if (this.isEmpty || ++this.#turns <= TURNS) return undefined;
    return this.next();
  }
}
