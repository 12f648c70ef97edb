/**
 * The side that is asked: tells its standing, stores what downstreams need, and
 * gives out streams piece by piece. Holds at most one stream per downstream,
 * and the last few pieces of it, since an answer may get lost and questions may
 * overtake each other.
 */
import { CommandError } from '../../lib/errors.js';
import {
  compareEpochs,
  type LookAnswer,
  PIECES_AHEAD,
  PIECES_KEPT,
  type ReadAnswer,
  type Standing,
  type SyncRequest,
} from './messages.js';
import type { Outgoing, SyncVolume } from './sync-volume.js';

interface Sending {
  transfer: number;
  stream: Outgoing;
  /** Index of the next piece. */
  index: number;
  pieces: Map<number, ReadAnswer>;
  /** Pieces are read one after the other. */
  reading: Promise<unknown>;
  isOver: boolean;
}

/** The answer to a question behind the end. */
const END: ReadAnswer = { bytes: new Uint8Array(0), isLast: true };

export class Upstream {
  readonly #sending = new Map<string, Sending>();

  constructor(
    readonly volume: SyncVolume,
    readonly standing: () => Standing,
  ) {}

  look(): LookAnswer {
    return { standing: this.standing(), snapshots: this.volume.snapshots() };
  }

  /**
   * `theirs`: the standing of the downstream that wants to pull. Throws CommandError when it can't
   * pull from here.
   */
  greet(theirs: Standing): LookAnswer {
    const mine = this.standing();
    refuseStrangers(mine, theirs);
    if (theirs.role === 'primary') {
      throw new CommandError('peer-is-primary', 'EBUSY', 'only a standby can follow');
    }
    if (compareEpochs(theirs.epoch, mine.epoch) > 0) {
      throw new CommandError(
        'epoch-too-low',
        'ESTALE',
        `${mine.volume} is at role epoch ${mine.epoch.number}, behind ${theirs.epoch.number}: ` +
          'there is a newer primary',
      );
    }
    if (mine.volume === theirs.volume || mine.upstreams.includes(theirs.volume)) {
      const chain = [mine.volume, ...mine.upstreams].join(' follows ');
      throw new CommandError('peer-cycle', 'ELOOP', `this would be a cycle: ${chain}`);
    }
    return this.look();
  }

  /** A repeated question gets the same piece; throws `transfer-lost` when that is impossible. */
  async read(from: string, request: SyncRequest & { kind: 'read' }): Promise<ReadAnswer> {
    const { transfer, index } = request;
    let sending = this.#sending.get(from);
    if (sending === undefined || transfer > sending.transfer) {
      // The stream is the same each time: a question for one of the first pieces can be answered.
      if (index >= PIECES_AHEAD) throw lost();
      sending?.stream.close();
      sending = {
        transfer,
        stream: this.volume.send(request.request),
        index: 0,
        pieces: new Map(),
        reading: Promise.resolve(),
        isOver: false,
      };
      this.#sending.set(from, sending);
    }
    if (transfer < sending.transfer) throw lost();
    return this.#piece(from, sending, index);
  }

  async #piece(from: string, sending: Sending, index: number): Promise<ReadAnswer> {
    const before = sending.reading;
    const reading = before.then(async () => {
      if (index >= sending.index + PIECES_AHEAD) throw lost();
      while (sending.index <= index && !sending.isOver) await this.#readOn(from, sending);
      if (index >= sending.index) return END;
      const kept = sending.pieces.get(index);
      if (kept === undefined) throw lost();
      return kept;
    });
    sending.reading = reading.catch(() => undefined);
    return reading;
  }

  async #readOn(from: string, sending: Sending): Promise<void> {
    let bytes: Uint8Array | undefined;
    try {
      bytes = await sending.stream.next();
    } catch (error) {
      this.forget(from);
      throw error;
    }
    if (bytes === undefined) {
      sending.isOver = true;
      sending.stream.close();
      return;
    }
    sending.pieces.set(sending.index, { bytes, isLast: false });
    sending.pieces.delete(sending.index - PIECES_KEPT);
    sending.index++;
  }

  /** The downstream is gone: releases what was held for it. */
  forget(from: string): void {
    this.#sending.get(from)?.stream.close();
    this.#sending.delete(from);
  }

  close(): void {
    for (const from of [...this.#sending.keys()]) this.forget(from);
  }
}

function lost(): CommandError {
  return new CommandError('transfer-lost', 'ESTALE', 'the transfer was interrupted: go on anew');
}

/** Throws CommandError: `other-history`. */
export function refuseStrangers(mine: Standing, theirs: Standing): void {
  // A volume in which nothing has been done has no history of its own.
  if (mine.history === theirs.history || theirs.history === '' || mine.history === '') return;
  throw new CommandError(
    'other-history',
    'EINVAL',
    `${theirs.volume} is of another history (${theirs.history}) than ${mine.volume} (${mine.history})`,
  );
}
