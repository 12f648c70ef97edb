/**
 * Receiving: takes the events of one stream and fills a staging layer; when
 * all is there and right, one transaction makes it a snapshot and moves the
 * live tree to it (design section 7, S11).
 *
 * What must hold: until then the volume shows what it showed before, whatever
 * happens; how far a stream has come is stored in the same transaction as what
 * came, so that it goes on from there after a crash; memory is bounded by the
 * groups of the volume.
 */
import { CommandError } from '../base/errors.js';
import { step } from '../base/steps.js';
import { checkSnapshotName } from '../format/grammar.js';
import type { StreamHeader, StreamPosition } from '../format/stream.js';
import type { StreamRecord } from '../format/stream-records.js';
import { BASE_LAYER, TABLE } from '../format/tables.js';
import { decodeJson, encodeJson } from '../format/values.js';
import type { Snapshot } from '../volume/catalog.js';
import { checkStaged } from '../volume/check-staged.js';
import { GROUP_BYTES, GROUP_RECORDS } from '../volume/core.js';
import { drawAllocator, mergeAllocators } from '../volume/identity.js';
import { Staging } from '../volume/staging.js';
import type { Volume } from '../volume/volume.js';
import { encodeToken } from './sender.js';

const RECEIVING_KEY = Buffer.from('receiving');

/** Stored with every group: what is being received, and how far it has come. */
interface Receiving {
  layer: number;
  from: string | null;
  to: string;
  position: StreamPosition;
  /** The inode that the next record may belong to. */
  ino: number;
}

export interface ReceiveOptions {
  /** Changes of the live tree are no reason to refuse: they become an undo snapshot. */
  force: boolean;
  /** Numbers in [0, 1). */
  random: () => number;
  source: string;
}

export interface ReceiveAnswer {
  command: 'receive';
  name: string;
  uuid: string;
  from: string | null;
  outcome: 'received' | 'already-there';
  records: number;
  layer: number;
  undo?: string;
}

function readReceiving(volume: Volume): Receiving | undefined {
  const value = volume.core.reader.get(TABLE.peers, RECEIVING_KEY);
  return value === undefined ? undefined : decodeJson<Receiving>(value, 'peers/receiving');
}

/** Of the stream that was interrupted last; undefined: there is none. */
export function resumeToken(volume: Volume): string | undefined {
  const receiving = readReceiving(volume);
  if (receiving === undefined || receiving.position.records === 0) return undefined;
  const { from, to, position } = receiving;
  return encodeToken({ from, to, ...position });
}

/** Nothing has been done in it yet. */
function isPristine({ catalog, live, core }: Volume): boolean {
  const { nextHistory, nextInode } = catalog.counters;
  return (
    catalog.snapshots.size === 0 &&
    nextHistory === 1 &&
    Object.keys(nextInode).length === 0 &&
    core.layers.get(live.top).parent === BASE_LAYER
  );
}

export class Receiver {
  #header: StreamHeader | undefined;
  #staging: Staging | undefined;
  #present: Snapshot | undefined;
  #position: StreamPosition | undefined;

  constructor(
    readonly volume: Volume,
    readonly options: ReceiveOptions,
  ) {}

  /** Throws CommandError when the stream can't be received here; nothing is changed then. */
  begin(header: StreamHeader): void {
    const { volume } = this;
    this.#header = header;
    volume.flush();
    this.#checkIdentity(header);
    this.#present = volume.snapshots().find(({ uuid }) => uuid === header.to.uuid);
    if (this.#present !== undefined) return;
    this.#checkName(header.to.name);
    const base = this.#base(header);
    if (!this.options.force) this.#refuseMovedOn(header, base);
    const parent = base?.layer ?? BASE_LAYER;
    const stored = readReceiving(volume);
    if (header.resumed !== undefined) {
      this.#resume(header, stored, parent);
      return;
    }
    if (stored !== undefined) this.#dropLayer(stored.layer);
    this.#meet(header);
    this.#staging = Staging.begin(volume, parent);
    this.#position = { records: 0, chain: '' };
    this.#store();
  }

  #checkIdentity({ history, blockSize, from }: StreamHeader): void {
    const { volume } = this;
    const { core, catalog } = volume;
    if (core.reader.has(TABLE.meta, Buffer.from('base'))) {
      throw new CommandError(
        'receive-over-base',
        'EINVAL',
        'a volume with a base directory receives nothing',
      );
    }
    const isNew = isPristine(volume) && from === null;
    if (history !== catalog.identity.history && !isNew) {
      throw new CommandError(
        'other-history',
        'EINVAL',
        `the stream is of another history (${history}) than the volume ` +
          `(${catalog.identity.history})`,
      );
    }
    if (blockSize !== volume.options.blockSize) {
      throw new CommandError(
        'block-size-mismatch',
        'EINVAL',
        `the stream has blocks of ${blockSize} bytes, the volume of ${volume.options.blockSize}`,
      );
    }
  }

  #checkName(name: string): void {
    const problem = checkSnapshotName(name);
    if (problem !== undefined) {
      throw new CommandError('stream-damaged', 'EIO', `the snapshot's name: ${problem}`);
    }
    if (!this.volume.catalog.snapshots.has(name)) return;
    throw new CommandError(
      'snapshot-exists',
      'EEXIST',
      `another snapshot with the name ${name} is here already (rename or delete it)`,
      { name },
    );
  }

  #base({ from }: StreamHeader): Snapshot | undefined {
    if (from === null) return undefined;
    const base = this.volume.snapshots().find(({ uuid }) => uuid === from.uuid);
    if (base !== undefined) return base;
    const latest = this.volume.latest()?.name;
    throw new CommandError(
      'base-snapshot-missing',
      'ENOENT',
      `the stream starts from the snapshot ${from.name}, which is not here` +
        (latest === undefined ? '' : `; the latest here is ${latest}`),
      { name: from.name, uuid: from.uuid, latest: latest ?? null },
    );
  }

  #refuseMovedOn(header: StreamHeader, base: Snapshot | undefined): void {
    if (!this.#hasMovedOn(base)) return;
    const since = base === undefined ? 'a history of its own' : `changes since ${base.name}`;
    throw new CommandError(
      'volume-moved-on',
      'EBUSY',
      `the volume has ${since}; with --force they stay as an undo snapshot and ` +
        `the tree becomes ${header.to.name}`,
      { base: base?.name ?? null },
    );
  }

  /** The live tree has something that neither the base snapshot has nor an empty volume. */
  #hasMovedOn(base: Snapshot | undefined): boolean {
    const { volume } = this;
    if (base === undefined) return !isPristine(volume);
    return !volume.changes(volume.viewOf(base), volume.live).next().done;
  }

  #resume(header: StreamHeader, stored: Receiving | undefined, parent: number): void {
    const { resumed, from, to } = header;
    const isOurs =
      stored !== undefined &&
      stored.to === to.uuid &&
      stored.from === (from?.uuid ?? null) &&
      stored.position.records === resumed?.records &&
      stored.position.chain === resumed.chain &&
      this.volume.core.layers.has(stored.layer) &&
      this.volume.core.layers.get(stored.layer).parent === parent;
    if (!isOurs) {
      throw new CommandError(
        'nothing-to-resume',
        'EINVAL',
        'the stream goes on from where none was interrupted here; send it from its start',
        { token: resumeToken(this.volume) ?? null },
      );
    }
    this.#position = stored.position;
    this.#staging = new Staging(this.volume, this.volume.core.layers.get(stored.layer));
    this.#staging.goOn(stored.ino);
  }

  #dropLayer(number: number): void {
    const { core } = this.volume;
    if (!core.layers.has(number)) return;
    const layer = core.layers.get(number);
    if (layer.state === 'staging') new Staging(this.volume, layer).drop();
  }

  /** The volume becomes part of the history, and hears of the other volumes that are (rule D6). */
  #meet({ history, allocators }: StreamHeader): void {
    const { catalog, uuid } = this.volume;
    const { random } = this.options;
    const { identity } = catalog;
    if (identity.history === history) {
      catalog.putIdentity(mergeAllocators(identity, uuid, allocators, random));
      return;
    }
    const allocator = drawAllocator(allocators, random);
    catalog.putIdentity({
      history,
      allocator,
      allocators: { ...allocators, [allocator]: uuid },
    });
  }

  /** One frame. On an error nothing of it is kept. */
  apply(records: readonly StreamRecord[], position: StreamPosition): void {
    const { volume } = this;
    const staging = this.#staging;
    if (staging === undefined) return;
    const { core } = volume;
    if (core.open.bytes >= GROUP_BYTES || core.open.records >= GROUP_RECORDS) this.#store();
    const blockBytes = records.reduce(
      (sum, record) => sum + (record.kind === 'block' ? record.bytes.length : 0),
      0,
    );
    // All at once, so that it is taken whole or refused whole (ENOSPC).
    core.admit(2 * records.length, 400 * records.length, blockBytes);
    try {
      core.withReserve(() => {
        for (const record of records) staging.apply(record);
      });
    } catch (error) {
      this.#abandon(staging);
      throw error;
    }
    this.#position = position;
  }

  #abandon(staging: Staging): void {
    staging.drop();
    this.volume.core.putSystem(TABLE.peers, RECEIVING_KEY, undefined);
    this.#staging = undefined;
    this.volume.flush();
  }

  /** What came so far, durably, and how far that is. */
  #store(): void {
    const { volume } = this;
    const header = this.#header;
    if (header === undefined || this.#staging === undefined || this.#position === undefined) return;
    const receiving: Receiving = {
      layer: this.#staging.layer.number,
      from: header.from?.uuid ?? null,
      to: header.to.uuid,
      position: this.#position,
      ino: this.#staging.currentIno,
    };
    volume.core.putSystem(TABLE.peers, RECEIVING_KEY, encodeJson(receiving));
    volume.flush();
    step('receive:stored');
    // Only changed records are looked at again: what is decoded is not needed.
    this.#staging.goOn(receiving.ino);
  }

  /** The stream has ended too early: what came is kept, to go on from there. The token. */
  suspend(): string | undefined {
    this.#store();
    return resumeToken(this.volume);
  }

  /** The stream is there as a whole. */
  finish(): ReceiveAnswer {
    const header = this.#header as StreamHeader;
    const { name, uuid, createdMs } = header.to;
    const from = header.from?.name ?? null;
    const answer = { command: 'receive' as const, name, uuid, from };
    const records = this.#position?.records ?? 0;
    if (this.#present !== undefined) {
      const { layer } = this.#present;
      return { ...answer, name: this.#present.name, outcome: 'already-there', records, layer };
    }
    const staging = this.#staging as Staging;
    this.#store();
    const [wrong] = checkStaged(this.volume, staging.layer);
    if (wrong !== undefined) {
      this.#abandon(staging);
      throw new CommandError(
        'stream-damaged',
        'EIO',
        `the stream does not fit together: ${wrong.where}: ${wrong.what}`,
      );
    }
    step('receive:verified');
    const base = this.#base(header);
    const keepLive = this.#hasMovedOn(base);
    this.volume.core.putSystem(TABLE.peers, RECEIVING_KEY, undefined);
    const { source } = this.options;
    const { layer, undo } = this.volume.adopt(
      staging.layer.number,
      { name, uuid, createdMs },
      source,
      keepLive,
    );
    step('receive:adopted');
    this.#staging = undefined;
    return {
      ...answer,
      outcome: 'received',
      records,
      layer,
      ...(undo !== undefined && { undo }),
    };
  }
}
