/** The sink of a read-only volume: nothing is ever submitted. */
import { FsError } from '../../lib/errors.js';
import type { TxgSink, SinkSpace } from './txg-sink.js';

export class NoSink implements TxgSink {
  /** `usedBytes`: the size of the volume's file. */
  constructor(readonly usedBytes: number) {}

  submit(): void {
    throw new FsError('EROFS', 'write', 'the volume');
  }

  space(): SinkSpace {
    return { availableBytes: 0, usedBytes: this.usedBytes, roomBytes: 0 };
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

  close(): void {}
}
