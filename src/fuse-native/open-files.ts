/**
 * The open files of programs: a 31-bit handle for each open, and one lookup of
 * the node while any of its handles is open.
 */
import type { Operations } from '../tree/operations.js';

const HANDLE_MAX = 2 ** 31 - 1;

export interface OpenFile {
  node: number;
  /** The handle of the operations below. */
  fh: number;
}

export class OpenFiles {
  readonly #files = new Map<number, OpenFile>();
  readonly #counts = new Map<number, number>();
  #next = 1;

  constructor(readonly ops: Operations) {}

  get size(): number {
    return this.#files.size;
  }

  isOpen(node: number): boolean {
    return this.#counts.has(node);
  }

  /** `looked`: the caller has already counted a lookup of the node and passes it on. */
  add(node: number, fh: number, looked: boolean): number {
    while (this.#files.has(this.#next)) this.#advance();
    const handle = this.#next;
    this.#advance();
    const count = this.#counts.get(node) ?? 0;
    this.#counts.set(node, count + 1);
    if (count > 0 && looked) this.ops.forget(node, 1);
    this.#files.set(handle, { node, fh });
    return handle;
  }

  #advance(): void {
    this.#next = this.#next === HANDLE_MAX ? 1 : this.#next + 1;
  }

  get(handle: number): OpenFile | undefined {
    return this.#files.get(handle);
  }

  /** `closed` is called before the last handle of a node forgets the node. */
  remove(handle: number, closed: (node: number) => void): void {
    const file = this.#files.get(handle);
    if (file === undefined) return;
    this.#files.delete(handle);
    this.ops.release(file.node, file.fh);
    const count = (this.#counts.get(file.node) ?? 1) - 1;
    if (count > 0) {
      this.#counts.set(file.node, count);
      return;
    }
    this.#counts.delete(file.node);
    closed(file.node);
    this.ops.forget(file.node, 1);
  }
}
