/** The largest of many things, as many as are wanted, in bounded memory. */
export interface Largest {
  ino: number;
  fileset: number;
  bytes: number;
  /** The top layer of a view that shows it. */
  top: number;
}

export class LargestFiles {
  /** A heap: the smallest comes first. */
  readonly #heap: Largest[] = [];

  constructor(readonly limit: number) {}

  add(file: Largest): void {
    const heap = this.#heap;
    if (heap.length < this.limit) {
      heap.push(file);
      this.#rise(heap.length - 1);
    } else if (file.bytes > (heap[0]?.bytes ?? Number.POSITIVE_INFINITY)) {
      heap[0] = file;
      this.#sink();
    }
  }

  /** The largest first. */
  list(): Largest[] {
    return [...this.#heap].sort((a, b) => b.bytes - a.bytes || a.ino - b.ino);
  }

  #bytesAt(index: number): number {
    return this.#heap[index]?.bytes ?? Number.POSITIVE_INFINITY;
  }

  #swap(a: number, b: number): void {
    const heap = this.#heap;
    [heap[a], heap[b]] = [heap[b] as Largest, heap[a] as Largest];
  }

  #rise(index: number): void {
    for (let at = index; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#bytesAt(parent) <= this.#bytesAt(at)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #sink(): void {
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const child = this.#bytesAt(left + 1) < this.#bytesAt(left) ? left + 1 : left;
      if (this.#bytesAt(child) >= this.#bytesAt(at)) return;
      this.#swap(at, child);
      at = child;
    }
  }
}
