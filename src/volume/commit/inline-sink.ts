/** A writer in the caller's own thread, for tools and tests. `pump` stores the txg. */
import { MAX_RESERVE_BYTES } from '../../store/space.js';
import { encodeTxg } from './txg-encoder.js';
import type { TxgSink, SinkEvents, SinkSpace } from './txg-sink.js';
import type { Txg } from './txg.js';
import { PromisedSpace } from './sink-space.js';
import { WriterHost, type WriterSetup } from './writer-host.js';

export class InlineSink implements TxgSink {
  readonly #host: WriterHost;
  readonly #book = new PromisedSpace();
  #waiting: { txg: Txg; fileset: number } | undefined;
  events: SinkEvents | undefined;

  constructor(setup: WriterSetup) {
    this.#host = new WriterHost(setup, (layer) => this.events?.emptied(layer));
    this.#book.update(this.#host.ensure(MAX_RESERVE_BYTES));
  }

  submit(txg: Txg, fileset: number): void {
    this.#waiting = { txg: txg, fileset };
  }

  pump(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    try {
      const took = this.#host.apply(encodeTxg(waiting.txg, waiting.fileset));
      this.#book.update(this.#host.ensure(MAX_RESERVE_BYTES));
      this.events?.committed(waiting.txg.id, took);
    } catch (error) {
      this.events?.failed(waiting.txg.id, error as Error);
    }
  }

  /** Runs the collector until it has nothing left (or `slices` are used up). */
  collect(slices = Number.POSITIVE_INFINITY): number {
    let done = 0;
    while (done < slices && this.#host.collect()) done++;
    while (this.#host.takeBackWhenGrown());
    if (done > 0) this.events?.collected();
    this.#book.update(this.#host.ensure(MAX_RESERVE_BYTES));
    return done;
  }

  space(): SinkSpace {
    return this.#book.space();
  }

  canGrow(): boolean {
    return this.#book.report?.canGrow ?? false;
  }

  ready(): boolean {
    return true;
  }

  cost(records: number, metaBytes: number, blockBytes: number): number {
    return this.#book.cost(records, metaBytes, blockBytes);
  }

  pin(layers: readonly number[]): void {
    this.#host.collector.pin(layers);
  }

  compact(): void {
    this.collect();
    for (let report = this.#host.compact(); ; report = this.#host.compactSlice()) {
      this.#book.update(this.#host.ensure(MAX_RESERVE_BYTES));
      this.events?.compacting(report);
      this.events?.collected();
      if (report.phase === 'done') return;
    }
  }

  look(): void {
    this.#book.update(this.#host.look());
  }

  setQuota(bytes: number): void {
    this.#host.setQuota(bytes);
    this.#book.update(this.#host.ensure(MAX_RESERVE_BYTES));
  }

  makeLog(bytes: number): void {
    this.events?.logMade(this.#host.makeLog(bytes));
  }

  close(): void {
    this.#host.close();
  }
}
