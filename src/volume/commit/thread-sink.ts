/**
 * The serving thread's end of the writer thread. Txgs go over as shared memory.
 * `pump` takes in the answers, since this thread never yields to its event
 * loop. When the writer has ended, `pump` says so: the txg cycle then fails all
 * who wait, every later change gets EIO (`VolumeCore.changes`), and reads go on.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { CommandError } from '../../lib/errors.js';
import { encodeTxg } from './txg-encoder.js';
import type { TxgSink, SinkEvents, SinkSpace } from './txg-sink.js';
import type { Txg } from './txg.js';
import { PromisedSpace } from './sink-space.js';
import { type HasStopped, STOPPED, type StartWriter, startWriter } from './start-writer.js';
import type { SpaceReport, WriterSetup } from './writer-host.js';
import { WriterSigns } from './writer-signs.js';
import type { FromWriter, ToWriter } from './writer-thread.js';

/** Requested beyond what is pending, so that the writer is seldom asked. */
const AHEAD_BYTES = 64 * 1024 * 1024;
const START_TIMEOUT_MS = 30_000;
const CLOSE_TIMEOUT_MS = 60_000;
/** After this long without a message, the thread is checked. */
const SILENCE_MS = 1000;

const lostError = (why: string): CommandError =>
  new CommandError('writer-lost', 'EIO', `the writer thread has ended: ${why}`);

export class ThreadSink implements TxgSink {
  readonly #port: MessagePort;
  readonly #book = new PromisedSpace();
  readonly #signs = new WriterSigns();
  #asked = false;
  #isLost = false;
  readonly #hasStopped: HasStopped | undefined;
  #closed = false;
  events: SinkEvents | undefined;
  collector: unknown;

  /**
   * `wakeFd`: an eventfd that is signalled after each message and at the writer's end; -1 for none.
   * `start`: starts the thread where this thread never yields to its event loop. Throws
   * CommandError writer-failed, writer-lost.
   */
  constructor(
    setup: WriterSetup,
    wakeFd: number,
    start: StartWriter = (data) => startWriter(data, () => undefined).hasStopped,
  ) {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#hasStopped = start({ setup, port: port2, wakeFd, signs: this.#signs.memory });
    this.#waitFor((message) => message.type === 'space', START_TIMEOUT_MS);
  }

  #waitFor(isIt: (message: FromWriter) => boolean, timeoutMs: number): void {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const seen = this.#signs.news;
      const why = this.#signs.end;
      for (let m = this.#receive(); m !== undefined; m = this.#receive()) {
        this.#handle(m);
        if (isIt(m)) return;
      }
      if (why !== undefined) throw lostError(why);
      const left = end - Date.now();
      if (left <= 0)
        throw new CommandError('writer-lost', 'EIO', 'the writer thread does not answer');
      this.#wait(seen, Math.min(left, SILENCE_MS));
    }
  }

  /**
   * The thread that started the writer learns of its end by events, and that may be this thread.
   */
  #wait(seen: number, timeoutMs: number): void {
    if (!this.#signs.wait(seen, timeoutMs) && this.#hasStopped?.()) this.#signs.ended(STOPPED);
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
      case 'looked':
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
      case 'compacting':
        this.#book.update(message.space);
        this.events?.collected();
        this.events?.compacting(message.report);
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
    // Messages from before its end come first.
    const why = this.#signs.end;
    for (let m = this.#receive(); m !== undefined; m = this.#receive()) this.#handle(m);
    if (why === undefined || this.#isLost || this.#closed) return;
    this.#isLost = true;
    this.events?.lost(lostError(why));
  }

  /** Blocks until the writer has sent a message or is gone (for a volume that is closing). */
  wait(timeoutMs: number): void {
    const seen = this.#signs.news;
    this.pump();
    this.#wait(seen, timeoutMs);
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

  compact(): void {
    this.#post({ type: 'compact' });
  }

  look(): void {
    if (this.#closed) return;
    this.#post({ type: 'look' });
  }

  setQuota(bytes: number): void {
    this.#post({ type: 'quota', bytes });
  }

  makeLog(bytes: number): void {
    this.#post({ type: 'make-log', bytes });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#signs.closes();
    try {
      if (this.#isLost) return;
      this.#post({ type: 'close' });
      this.#waitFor((message) => message.type === 'closed', CLOSE_TIMEOUT_MS);
    } finally {
      this.#port.close();
    }
  }
}
