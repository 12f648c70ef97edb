/** A `compact` of the volume, as the serving thread sees it: one at a time. */
import { CommandError } from '../../lib/errors.js';
import { Deferred } from '../../lib/deferred.js';
import type { CompactReport } from './compaction.js';
import type { SinkSpace, TxgSink } from './txg-sink.js';

type CompactAnswer = Record<string, unknown> & {
  command: 'compact';
  /** What the disk has got. */
  givenBytes: number;
  usedBytes: number;
  aheadBytes: number;
  lentBytes: number;
};

export class Compacting {
  readonly #sink: TxgSink;
  #running: { done: Deferred<CompactAnswer>; report: CompactReport | undefined } | undefined;

  constructor(sink: TxgSink) {
    this.#sink = sink;
  }

  /** Settles when it is done. Throws compact-running. */
  start(): Deferred<CompactAnswer> {
    if (this.#running !== undefined) {
      throw new CommandError(
        'compact-running',
        'EBUSY',
        'a compact is running already (shadowfs status shows how far it is)',
      );
    }
    const done = new Deferred<CompactAnswer>();
    this.#running = { done, report: undefined };
    this.#sink.compact();
    return done;
  }

  /** Undefined: none runs. Bytes. */
  get progress(): { phase: string; done: number; total: number } | undefined {
    if (this.#running === undefined) return undefined;
    const { phase = 'collect', givenBytes = 0, plannedBytes = 0 } = this.#running.report ?? {};
    return { phase, done: givenBytes, total: plannedBytes };
  }

  /** The writer is so far. */
  reported(report: CompactReport, space: SinkSpace): void {
    const running = this.#running;
    if (running === undefined) return;
    running.report = report;
    if (report.phase !== 'done') return;
    this.#running = undefined;
    if (report.failure !== undefined) {
      running.done.reject(
        new CommandError(
          'cannot-punch',
          'EOPNOTSUPP',
          'the file system of the volume can not take back parts of a file (punch holes); ' +
            'what is free inside the volume is used by the next writes',
          { hostErrno: -report.failure },
        ),
      );
      return;
    }
    if (report.error !== undefined) {
      running.done.reject(
        new CommandError(
          'compact-failed',
          'EIO',
          `the volume's file could not be changed: ${report.error}; what was given back stays so`,
          { givenBytes: report.givenBytes },
        ),
      );
      return;
    }
    const { usedBytes, aheadBytes, lentBytes } = space;
    const { givenBytes } = report;
    running.done.resolve({ command: 'compact', givenBytes, usedBytes, aheadBytes, lentBytes });
  }

  /** No more reports come. What was given stays given. */
  ended(): void {
    this.#running?.done.reject(
      new CommandError('compact-ended', 'EINTR', 'the volume closes: what was given back stays so'),
    );
    this.#running = undefined;
  }
}
