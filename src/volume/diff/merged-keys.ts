/**
 * The places of one table that any of some layers wrote, in key order, each
 * once (native-notes/design.md, row S14): the delta maps of the layers, merged.
 * Memory grows with the number of layers, not with what they hold.
 */
import { decodeDeltaKey, deltaPrefix, inodeOf, prefixEnd } from '../../format/records/keys.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import type { TableReader } from '../../store/reader.js';

interface Source {
  place: Buffer;
  next: Iterator<{ key: Buffer }>;
}

export class MergedKeys {
  /** A heap: the smallest place comes first. */
  readonly #heap: Source[] = [];

  constructor(reader: TableReader, table: TableNumber, layers: readonly number[]) {
    for (const layer of layers) {
      const prefix = deltaPrefix(layer, table);
      const next = reader.range(TABLE.delta, prefix, prefixEnd(prefix), { keysOnly: true });
      this.#push(next);
    }
  }

  #push(next: Iterator<{ key: Buffer }>): void {
    const { value, done } = next.next();
    if (done) return;
    const source = { place: decodeDeltaKey(value.key).place, next };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(source);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if ((heap[above] as Source).place.compare(source.place) <= 0) break;
      heap[at] = heap[above] as Source;
      at = above;
    }
    heap[at] = source;
  }

  #pop(): Source | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.place.compare((heap[child] as Source).place) < 0) child++;
      if ((heap[child] as Source).place.compare(last.place) >= 0) break;
      heap[at] = heap[child] as Source;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  peek(): Buffer | undefined {
    return this.#heap[0]?.place;
  }

  take(): Buffer | undefined {
    const place = this.peek();
    if (place === undefined) return undefined;
    while (this.peek()?.equals(place) === true) {
      const source = this.#pop();
      if (source !== undefined) this.#push(source.next);
    }
    return place;
  }

  /** The places of one inode (or directory); places of smaller numbers are skipped. */
  *ofInode(ino: number): Generator<Buffer> {
    for (let place = this.peek(); place !== undefined; place = this.peek()) {
      const found = inodeOf(place);
      if (found > ino) return;
      this.take();
      if (found === ino) yield place;
    }
  }
}
