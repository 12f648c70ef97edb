/**
 * The serving thread's end of the writer thread. Groups go over as shared
 * memory; answers are taken in by `pump`, since this thread never yields to
 * its event loop.
 */
import {
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import { CommandError } from '../../lib/errors.js';
import { WRITING_LIMITS } from '../../lib/thread-limits.js';
import { encodeTxg } from './txg-encoder.js';
import type { TxgSink, SinkEvents, SinkSpace } from './txg-sink.js';
import type { Txg } from './txg.js';
import { PromisedSpace } from './sink-space.js';
import type { SpaceReport, WriterSetup } from './writer-host.js';
import type { FromWriter, ToWriter } from './writer-thread.js';

/** Asked for beyond what is pending, so that the writer is asked seldom. */
const AHEAD_BYTES = 64 * 1024 * 1024;
const START_TIMEOUT_MS = 30_000;

export class ThreadSink implements TxgSink {
  readonly #port: MessagePort;
  readonly #worker: Worker;
  readonly #book = new PromisedSpace();
  /** Int32: bumped by the writer with every message, so that this thread can wait. */
  readonly #signal = new Int32Array(new SharedArrayBuffer(4));
  #asked = false;
  #closed = false;
  events: SinkEvents | undefined;
  collector: unknown;

  /** `wakeFd`: an eventfd that the writer signals after each message; -1 for none. */
  constructor(setup: WriterSetup, wakeFd: number) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(new URL('./writer-thread.js', import.meta.url), {
      workerData: { setup, port: port2, wakeFd, signal: this.#signal },
      transferList: [port2],
      resourceLimits: WRITING_LIMITS,
    });
    this.#worker.unref();
    this.#waitFor((message) => message.type === 'space', START_TIMEOUT_MS);
  }

  #waitFor(isIt: (message: FromWriter) => boolean, timeoutMs: number): void {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const seen = Atomics.load(this.#signal, 0);
      for (let m = this.#receive(); m !== undefined; m = this.#receive()) {
        this.#handle(m);
        if (isIt(m)) return;
      }
      const left = end - Date.now();
      if (left <= 0)
        throw new CommandError('writer-lost', 'EIO', 'the writer thread does not answer');
      Atomics.wait(this.#signal, 0, seen, Math.min(left, 1000));
    }
  }

  #receive(): FromWriter | undefined {
    return receiveMessageOnPort(this.#port)?.message as FromWriter | undefined;
  }

  #handle(message: FromWriter): void {
    switch (message.type) {
      case 'space':
        this.#asked = false;
        this.#book.update(message.space);
        break;
      case 'committed':
        this.#book.update(message.space);
        this.events?.committed(message.id, message.took);
        break;
      case 'failed':
        if (message.id === 0) throw new CommandError('writer-failed', 'EIO', message.message);
        this.events?.failed(message.id, new Error(message.message));
        break;
      case 'emptied':
        this.events?.emptied(message.layer);
        break;
      case 'collected':
        this.#book.update(message.space);
        this.collector = message.stats;
        this.events?.collected();
        break;
      case 'log-made':
        this.events?.logMade(message.isMade);
        break;
      case 'closed':
        break;
    }
  }

  #post(message: ToWriter): void {
    this.#port.postMessage(message);
  }

  submit(txg: Txg, fileset: number): void {
    this.#post({ type: 'batch', batch: encodeTxg(txg, fileset) });
  }

  pump(): void {
    for (let m = this.#receive(); m !== undefined; m = this.#receive()) this.#handle(m);
  }

  /** Blocks until the writer has said something (for a volume that is closing). */
  wait(timeoutMs: number): void {
    const seen = Atomics.load(this.#signal, 0);
    this.pump();
    if (seen === Atomics.load(this.#signal, 0)) Atomics.wait(this.#signal, 0, seen, timeoutMs);
    this.pump();
  }

  space(): SinkSpace {
    return this.#book.space();
  }

  get report(): SpaceReport | undefined {
    return this.#book.report;
  }

  canGrow(): boolean {
    return this.#book.report?.canGrow ?? false;
  }

  ready(cost: number): boolean {
    const report = this.#book.report;
    if (report === undefined) return false;
    if (cost + AHEAD_BYTES / 2 <= report.availableBytes) return true;
    if (this.#asked) return cost <= report.availableBytes;
    if (report.canGrow) {
      this.#asked = true;
      this.#post({ type: 'ensure', bytes: cost + AHEAD_BYTES });
      return cost <= report.availableBytes;
    }
    return true;
  }

  cost(records: number, metaBytes: number, blockBytes: number): number {
    return this.#book.cost(records, metaBytes, blockBytes);
  }

  pin(layers: readonly number[]): void {
    this.#post({ type: 'pin', layers: [...layers] });
  }

  makeLog(bytes: number): void {
    this.#post({ type: 'make-log', bytes });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#post({ type: 'close' });
    this.#waitFor((message) => message.type === 'closed', 60_000);
    this.#port.close();
  }
}
