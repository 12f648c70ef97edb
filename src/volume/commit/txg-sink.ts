/**
 * Where closed txgs go: the writer thread in a daemon, a writer in the same
 * thread in tools and tests. Also tells how much more space may be promised.
 */
import type { SpaceState } from '../../store/space.js';
import type { CompactReport } from './compaction.js';
import type { Txg } from './txg.js';

/** What changes and `df` ask of the store's space. */
export interface SinkSpace
  extends Pick<
    SpaceState,
    | 'usedBytes'
    | 'roomBytes'
    | 'fileBytes'
    | 'aheadBytes'
    | 'lentBytes'
    | 'reserveBytes'
    | 'diskFreeBytes'
    | 'diskBytes'
  > {
  /** Bytes that may still be promised to txgs. */
  availableBytes: number;
}

export interface TxgSink {
  /** Stores the txg in one transaction; `committed` or `failed` follows. */
  submit(txg: Txg, fileset: number): void;
  space(): SinkSpace;
  /** True while asking the disk can still give more room. */
  canGrow(): boolean;
  /** True when there is room for `cost` bytes; if not, asks for it, and changes wait meanwhile. */
  ready(cost: number): boolean;
  /** Worst case of what so many records add to the file: bytes of metadata, bytes of blocks. */
  cost(records: number, metaBytes: number, blockBytes: number): number;
  /** Takes in the messages that the writer has sent since the last call. */
  pump(): void;
  /** Layers that must stay although no snapshot names them. */
  pin(layers: readonly number[]): void;
  /** Has the writer make the intent log's file; `logMade` follows. */
  makeLog(bytes: number): void;
  /** Gives free pages to the disk; reports follow. */
  compact(): void;
  /** Asks for a new report of the space, which others take or free, too. */
  look(): void;
  /** The most that the volume's file may grow to; 0: no limit. */
  setQuota(bytes: number): void;
  close(): void;
}

/** What it cost to store a txg. */
export interface CommitCost {
  operations: number;
  valueBytes: number;
  elapsedMs: number;
}

/** What a sink tells the volume. */
export interface SinkEvents {
  committed(id: number, took: CommitCost): void;
  failed(id: number, error: Error): void;
  /** Nothing will be stored any more. Called once; a submitted txg may be stored or not. */
  lost(error: Error): void;
  /** The collector has emptied a layer: its record may be removed. */
  emptied(layer: number): void;
  /** The collector has committed: its pages become free once no reader holds the old state. */
  collected(): void;
  /** A `compact` is so far. */
  compacting(report: CompactReport): void;
  /** The intent log's file exists, or there is no room for it. */
  logMade(isMade: boolean): void;
}
