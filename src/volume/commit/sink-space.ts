/** What both sinks know about space: the writer's last report, and costs derived from it. */
import { EMPTY_SHAPE, LARGE_VALUE_BYTES, worstCaseBytes } from '../../store/worst-case.js';
import type { SinkSpace } from './txg-sink.js';
import type { SpaceReport } from './writer-host.js';

/** Mean bytes of a key, for estimates. */
const KEY_BYTES = 48;
/** Below this many bytes per record, an exact cost is not worth computing. */
const ROUGH_RECORD_BYTES = 64 * 1024;
const ROUGH_FACTOR = 2;

const NOT_KNOWN: SinkSpace = {
  availableBytes: 0,
  usedBytes: 0,
  roomBytes: 0,
  fileBytes: 0,
  aheadBytes: 0,
  lentBytes: 0,
  reserveBytes: 0,
  diskFreeBytes: 0,
  diskBytes: 0,
};

export class PromisedSpace {
  #report: SpaceReport | undefined;

  update(report: SpaceReport): void {
    this.#report = report;
  }

  get report(): SpaceReport | undefined {
    return this.#report;
  }

  space(): SinkSpace {
    return this.#report ?? NOT_KNOWN;
  }

  /** Upper bound of what records of so many bytes add to the file. */
  cost(records: number, metaBytes: number, blockBytes: number): number {
    if (records === 0 || this.#report === undefined) return 0;
    const rough = records * ROUGH_RECORD_BYTES + (metaBytes + blockBytes) * ROUGH_FACTOR;
    if (rough * 2 < this.#report.availableBytes) return rough;
    return worstCaseBytes(
      {
        ...EMPTY_SHAPE,
        records,
        keyBytes: records * KEY_BYTES,
        inlineBytes: metaBytes,
        largeValues: Math.min(records, Math.ceil(blockBytes / LARGE_VALUE_BYTES)),
        largeBytes: blockBytes,
      },
      this.#report.stats,
    );
  }
}
