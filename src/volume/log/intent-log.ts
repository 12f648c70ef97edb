/**
 * The intent log (native-notes/intent-log.md) makes an fsync durable with one
 * flush, while the open txg goes on gathering and reaches LMDB later. Owns the
 * ring in the file and the running flush; `txgs.ts` knows the callers that
 * wait.
 *
 * What must hold: a record has everything that its group has changed since the
 * record before, in an order that leaves nothing out; a group that is closed
 * with changes that no record has takes a sequence number itself, so that no
 * later record is applied without it. LMDB's own transaction says where the
 * records begin that it does not cover. A record alone promises nothing: an
 * answer waits for a flush that began after it was written.
 *
 * Doors: log-replay.
 * Doors inside volume/: changed-since, intent-log, open-log.
 */
import { randomBytes } from 'node:crypto';
import { closeSync } from 'node:fs';
import { invariant } from '../../lib/invariant.js';
import { logFor } from '../../lib/log.js';
import { failpoint } from '../../lib/failpoints.js';
import {
  LOG_FORMAT,
  LOG_PAGE_BYTES,
  type LogIdentity,
  type LogPosition,
  LogRecordBuilder,
  logIdentity,
} from '../../format/records/log-record.js';
import { pwrite } from '../../libc/libc.js';
import { LOG_BYTES, openLogFile } from '../../store/log-file.js';
import type { VolumeCore } from '../core.js';
import { encodeForLog } from './log-encoder.js';
import type { LogFlush } from './log-flush.js';
import type { Txg } from '../commit/txg.js';

/** Changes above this size go to LMDB at once: LMDB has to write them anyway. */
const RECORD_BYTES = 1024 * 1024;

export interface IntentLogSetup {
  path: string;
  uuid: string;
  flush: LogFlush;
  /**
   * Moves records that are in memory but not in the txg's maps into those maps, before the log
   * reads them.
   */
  storeCounters: () => void;
  putMeta: (position: LogPosition) => void;
  /** Bytes of the ring; smaller in tests. */
  bytes?: number;
}

/**
 * unused: no fsync yet · making: the writer makes the file · made: the next txg that closes tells
 * LMDB about the log · begun: that txg is on its way · ready · paused: a write or a flush has
 * failed; ends when LMDB has what was to be logged · off: for good.
 */
type State = 'unused' | 'making' | 'made' | 'begun' | 'ready' | 'paused' | 'off';

const log = logFor('intent-log');

export class IntentLog {
  readonly #builder = new LogRecordBuilder(RECORD_BYTES);
  readonly #bytes: number;
  #state: State = 'unused';
  #fd = -1;
  #epoch = '';
  #identity: LogIdentity | undefined;
  /** Sequence number of the next record. */
  #sequence = 1;
  /** Bytes of the ring ever allocated, including those skipped at its end; and bytes given back. */
  #written = 0;
  #freed = 0;
  /** From this txg on, LMDB knows the log, or has what could not be logged. */
  #fromGroup = 0;
  #isFlushing = false;
  #hasUnflushed = false;

  constructor(
    readonly core: VolumeCore,
    readonly setup: IntentLogSetup,
  ) {
    this.#bytes = setup.bytes ?? LOG_BYTES;
  }

  get isReady(): boolean {
    return this.#state === 'ready';
  }

  get isFlushing(): boolean {
    return this.#isFlushing;
  }

  /** There is a record for which no flush has begun yet. */
  get hasUnflushed(): boolean {
    return this.#hasUnflushed;
  }

  /** The other half takes new records while LMDB stores what this one has. */
  get isHalfFull(): boolean {
    return this.#written - this.#freed > this.#bytes / 2;
  }

  /** A program calls fsync: the log is worth making. */
  wanted(): void {
    if (this.#state !== 'unused') return;
    this.#state = 'making';
    this.core.sink.makeLog(this.#bytes);
  }

  /** The file exists (false: it could not be made). */
  made(isMade: boolean): void {
    if (this.#state !== 'making') return;
    this.#state = 'off';
    if (!isMade) return;
    try {
      this.#fd = openLogFile(this.setup.path);
    } catch (error) {
      log(`not used: ${String(error)}`);
      return;
    }
    this.#epoch = randomBytes(8).toString('hex');
    this.#identity = logIdentity(this.setup.uuid, this.#epoch);
    this.#state = 'made';
  }

  #putPosition(): void {
    this.setup.putMeta({
      format: LOG_FORMAT,
      epoch: this.#epoch,
      sequence: this.#sequence,
      offset: this.#written % this.#bytes,
    });
  }

  /** The open txg is about to close: it tells LMDB what it covers. */
  closing(txg: Txg): void {
    if (this.#state === 'made') {
      this.#state = 'begun';
      this.#fromGroup = txg.id;
    } else if (this.#state === 'ready' || this.#state === 'paused') {
      // A program that calls fsync now and then will do so again: then it need not wait for LMDB to
      // store the rest.
      if (this.isReady && txg.systemSince !== undefined && !txg.isLogged) this.#append(txg);
      txg.isUnlogged = !txg.isLogged;
      if (txg.isUnlogged) this.#sequence++;
    } else if (this.#state !== 'begun') return;
    txg.logEnd = this.#written;
    this.#putPosition();
  }

  /** LMDB has the txg. */
  committed(txg: Txg): void {
    if (this.#state === 'begun' && txg.id >= this.#fromGroup) this.#state = 'ready';
    else if (this.#state === 'paused' && txg.id >= this.#fromGroup) this.#state = 'ready';
    this.#freed = Math.max(this.#freed, txg.logEnd);
    if (this.#written === txg.logEnd) this.#hasUnflushed = false;
  }

  /**
   * Writes what the log lacks of the open txg, and begins to flush it. False: there is too much, or
   * there is no room, or the disk refuses; the txg has to go to LMDB.
   */
  write(txg: Txg): boolean {
    invariant(!this.#isFlushing && this.isReady, 'one flush of a ready log at a time');
    if (!txg.isLogged && !this.#append(txg)) return false;
    const answer = this.setup.flush.submit(this.#fd);
    if (answer !== 0) {
      this.#failed(`a flush: ${answer}`);
      return false;
    }
    this.#hasUnflushed = false;
    this.#isFlushing = true;
    return true;
  }

  /** Writes a record of what the log lacks of the open txg. False: as for `write`. */
  #append(txg: Txg): boolean {
    if (txg.isUnloggable || this.#isLargeAtFirst(txg)) return false;
    this.setup.storeCounters();
    const builder = this.#builder;
    builder.begin();
    encodeForLog(builder, txg, this.core.fileset);
    if (builder.isTooLarge) return false;
    const record = builder.finish(this.#identity as LogIdentity, this.#sequence);
    const at = this.#place(record.length);
    if (at < 0) return false;
    failpoint('log:before-write');
    const count = pwrite(this.#fd, record, record.length, at);
    failpoint('log:after-write');
    if (count !== record.length) {
      this.#failed(`record ${this.#sequence}: ${count}`);
      return false;
    }
    this.#sequence++;
    this.#hasUnflushed = true;
    txg.logged();
    return true;
  }

  /** Nothing of the txg is logged yet: the size of its record is known without encoding it. */
  #isLargeAtFirst(txg: Txg): boolean {
    return txg.systemSince === undefined && txg.bytes > RECORD_BYTES;
  }

  /** Allocates room in the ring; returns its position, or -1. */
  #place(bytes: number): number {
    const at = this.#written % this.#bytes;
    const skipped = at + bytes > this.#bytes ? this.#bytes - at : 0;
    if (this.#written + skipped + bytes - this.#freed > this.#bytes) return -1;
    if (skipped > 0) failpoint('log:wrap');
    this.#written += skipped + bytes;
    return skipped > 0 ? 0 : at;
  }

  /**
   * What was to be logged may be in the file or not: the txgs' transactions cover it either way.
   * Each txg that closes from now on tells LMDB the next sequence number.
   */
  #failed(what: string): void {
    log(`not written: ${what}`);
    this.#state = 'paused';
    this.#fromGroup = this.core.open.id;
    this.#sequence++;
    this.#hasUnflushed = false;
  }

  /** The outcome of the flush: true: it is durable; undefined: it still runs. */
  take(waits = false): boolean | undefined {
    const answer = this.setup.flush.take(waits);
    if (answer === undefined) return undefined;
    this.#isFlushing = false;
    failpoint('log:after-flush');
    if (answer === 0) return true;
    this.#failed(`a flush: ${answer}`);
    return false;
  }

  /** The last txg tells LMDB that the log is empty. True: that has to be stored. */
  end(): boolean {
    const isKnown = this.#state === 'begun' || this.#state === 'ready' || this.#state === 'paused';
    this.#state = 'off';
    return isKnown;
  }

  close(): void {
    this.setup.flush.close();
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

invariant(LOG_BYTES % LOG_PAGE_BYTES === 0, 'the ring has whole pages');
