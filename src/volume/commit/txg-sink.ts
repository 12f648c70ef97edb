/**
 * Where closed groups go: the writer thread in a daemon, a writer in the same
 * thread in tools and tests. Also answers how much more may be promised.
 */
import type { Txg } from './txg.js';

export interface SinkSpace {
  /** Bytes that may still be promised to groups. */
  availableBytes: number;
  usedBytes: number;
  /** What is left for users on the disk and below the quota, as `df` shows it. */
  roomBytes: number;
}

export interface TxgSink {
  /** Stores the group in one transaction; `committed` or `failed` follows. */
  submit(txg: Txg, fileset: number): void;
  space(): SinkSpace;
  /** More room can still be had by asking the disk. */
  canGrow(): boolean;
  /** Room for `cost` bytes is there (asks for it if not; changes wait meanwhile). */
  ready(cost: number): boolean;
  /** Worst case of what so many records add to the file: bytes of metadata, bytes of blocks. */
  cost(records: number, metaBytes: number, blockBytes: number): number;
  /** Takes in what the writer has said since. */
  pump(): void;
  /** Layers that must stay although no snapshot names them. */
  pin(layers: readonly number[]): void;
  /** Has the intent log's file made; `logMade` follows. */
  makeLog(bytes: number): void;
  close(): void;
}

/** What storing a group took. */
export interface CommitCost {
  operations: number;
  valueBytes: number;
  elapsedMs: number;
}

/** What a sink tells the volume. */
export interface SinkEvents {
  committed(id: number, took: CommitCost): void;
  failed(id: number, error: Error): void;
  /** Nothing will be stored any more. Comes once; what was submitted may be stored or not. */
  lost(error: Error): void;
  /** The collector has emptied a layer: its record may go. */
  emptied(layer: number): void;
  /** The collector has committed: pages are free once no reader holds the old state. */
  collected(): void;
  /** The intent log's file is there, or there is no room for it. */
  logMade(isMade: boolean): void;
}
