/** The sink of a read-only volume: nothing is ever submitted. */
import { FsError } from '../../lib/errors.js';
import type { TxgSink, SinkSpace } from './txg-sink.js';

export class NoSink implements TxgSink {
  /** What the volume uses, and what it could take if it were opened to be written. */
  constructor(readonly known: Omit<SinkSpace, 'availableBytes'>) {}

  submit(): void {
    throw new FsError('EROFS', 'write', 'the volume');
  }

  space(): SinkSpace {
    return { availableBytes: 0, ...this.known };
  }

  canGrow(): boolean {
    return false;
  }

  ready(): boolean {
    return true;
  }

  cost(): number {
    return 0;
  }

  pump(): void {}

  pin(): void {}

  makeLog(): void {}

  compact(): void {}

  look(): void {}

  setQuota(): void {}

  close(): void {}
}
