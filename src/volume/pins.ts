/** Layers that are kept although no snapshot names them: views of them are open. */
import type { TxgSink } from './commit/txg-sink.js';

export class Pins {
  /** Layer → how many keep it. */
  readonly #counts = new Map<number, number>();

  constructor(readonly sink: TxgSink) {}

  pin(layer: number): void {
    const count = this.#counts.get(layer) ?? 0;
    this.#counts.set(layer, count + 1);
    if (count === 0) this.sink.pin([...this.#counts.keys()]);
  }

  unpin(layer: number): void {
    const count = (this.#counts.get(layer) ?? 0) - 1;
    if (count > 0) {
      this.#counts.set(layer, count);
      return;
    }
    this.#counts.delete(layer);
    this.sink.pin([...this.#counts.keys()]);
  }
}
