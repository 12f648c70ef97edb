/**
 * Receiving: takes the events of one stream and fills a staging layer. When
 * everything has arrived and is right, one transaction makes it a snapshot and
 * moves the live tree to it (native-notes/design.md, section 7 and row S11).
 *
 * What must hold: until then the volume shows what it showed before, whatever
 * happens; how far a stream has come is stored in the same transaction as what
 * came, whoever closes the group, so that it goes on from there after a crash;
 * memory is bounded by the groups of the volume. All is done in pieces that
 * take well under a millisecond, since the volume may be mounted.
 *
 * Doors: receive-checks, receive-context, receive-stream, receiver, receiving,
 *   sender.
 */
import { CommandError, FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Work } from '../../lib/work.js';
import type { StreamHeader, StreamPosition } from '../../format/wire/stream.js';
import type { StreamRecord } from '../../format/wire/stream-records.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import type { Snapshot } from '../../volume/catalog.js';
import { checkStaged } from '../../check/staged.js';
import { drawAllocator, mergeAllocators } from '../../volume/peers/identity.js';
import type { AdoptAnswer, LiveMove, RoleMove } from '../../volume/peers/role-commands.js';
import { Staging } from '../../volume/peers/staging.js';
import type { Volume } from '../../volume/volume.js';
import { checkIdentity, checkName, requireBase } from './receive-checks.js';
import { type ReceiveContext, unmountedContext } from './receive-context.js';
import {
  blockBytes,
  isPristine,
  putReceiving,
  readReceiving,
  type Receiving,
  resumeToken,
  sliceOf,
} from './receiving.js';

export interface ReceiveOptions {
  /** Changes of the live tree don't cause a refusal: they become an undo snapshot. */
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
  recordCount: number;
  layer: number;
  /** The live tree shows it now. */
  isLive: boolean;
  undo?: string;
}

export class Receiver {
  #header: StreamHeader | undefined;
  #staging: Staging | undefined;
  #present: Snapshot | undefined;
  #base: Snapshot | undefined;
  #position: StreamPosition = { records: 0, chain: '' };
  #ahead = 0;
  /** Data has arrived since the position was last noted. */
  #isBehind = false;
  #letGo: (() => void) | undefined;

  constructor(
    readonly volume: Volume,
    readonly options: ReceiveOptions,
    readonly context: ReceiveContext = unmountedContext(volume),
  ) {}

  /** Throws CommandError when the stream can't be received here; then nothing has changed. */
  *begin(header: StreamHeader): Work<void> {
    const { volume } = this;
    this.#header = header;
    yield volume.whenCommitted(volume.commit());
    checkIdentity(volume, header);
    this.#present = volume.snapshots().find(({ uuid }) => uuid === header.to.uuid);
    if (this.#present !== undefined) return;
    checkName(volume, header.to.name);
    this.#base = requireBase(volume, header);
    if (!this.options.force && volume.roles.current.role === 'none') this.#refuseMovedOn(header);
    const parent = this.#parent;
    const stored = readReceiving(volume);
    if (header.resumed !== undefined) {
      this.#resume(header, stored, parent);
      this.#hold(parent);
      return;
    }
    if (stored !== undefined) this.#dropLayer(stored.layer);
    this.#meet(header);
    this.#staging = Staging.begin(volume, parent);
    this.#hold(parent);
    yield* this.#store();
  }

  get #parent(): number {
    return this.#base?.layer ?? BASE_LAYER;
  }

  /**
   * Until the stream ends here, its position is stored with every txg, and the layer below it is
   * kept.
   */
  #hold(parent: number): void {
    const { volume } = this;
    const removeListener = volume.txgs.onClose(() => {
      if (this.#isBehind) this.#note();
    });
    volume.pin(parent);
    this.#letGo = () => {
      removeListener();
      volume.unpin(parent);
      this.#letGo = undefined;
    };
  }

  #refuseMovedOn(header: StreamHeader): void {
    if (!this.#hasMovedOn()) return;
    const base = this.#base;
    const since = base === undefined ? 'a history of its own' : `changes since ${base.name}`;
    throw new CommandError(
      'volume-moved-on',
      'EBUSY',
      `the volume has ${since}; with --force they stay as an undo snapshot and ` +
        `the tree becomes ${header.to.name}`,
      { base: base?.name ?? null },
    );
  }

  /** The live tree has changes, compared with the base snapshot or with an empty volume. */
  #hasMovedOn(): boolean {
    const { volume } = this;
    if (this.#base === undefined) return !isPristine(volume);
    if (!volume.openLayerIsEmpty()) return true;
    return !volume.changes(volume.viewAt(this.#parent), volume.live).next().done;
  }

  /** What the new snapshot does to the live tree: a standby follows it, a primary does not. */
  #move(): LiveMove {
    switch (this.volume.roles.current.role) {
      case 'standby':
        return 'move';
      case 'primary':
        return 'stay';
      case 'none':
        if (!this.#hasMovedOn()) return 'move';
        // A program has changed the tree since the stream began.
        return this.options.force ? 'move-keep-undo' : 'stay';
    }
  }

  #resume(header: StreamHeader, stored: Receiving | undefined, parent: number): void {
    const { resumed, from, to } = header;
    const isOurs =
      stored !== undefined &&
      stored.to === to.uuid &&
      stored.from === (from?.uuid ?? null) &&
      stored.position.records === resumed?.records &&
      stored.position.chain === resumed.chain &&
      this.volume.layers.has(stored.layer) &&
      this.volume.layers.get(stored.layer).parent === parent;
    if (!isOurs) {
      throw new CommandError(
        'nothing-to-resume',
        'EINVAL',
        'the stream goes on from where none was interrupted here; send it from its start',
        { token: resumeToken(this.volume) ?? null },
      );
    }
    this.#position = stored.position;
    this.#ahead = stored.ahead ?? 0;
    this.#staging = new Staging(this.volume, this.volume.layers.get(stored.layer));
    this.#staging.goOn(stored.ino);
  }

  #dropLayer(number: number): void {
    const { layers } = this.volume;
    if (!layers.has(number)) return;
    const layer = layers.get(number);
    if (layer.state === 'staging') new Staging(this.volume, layer).drop();
  }

  /** The volume becomes part of the history, and learns of the other volumes in it (rule D6). */
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

  /** Applies one frame. */
  *apply(records: readonly StreamRecord[], position: StreamPosition): Work<void> {
    const staging = this.#staging;
    if (staging === undefined) return;
    while (this.#ahead < records.length) {
      yield* this.#room();
      const slice = sliceOf(records, this.#ahead);
      const bytes = slice.reduce((sum, record) => sum + blockBytes(record), 0);
      // Admitted as a whole, so that it is taken or refused as a whole (ENOSPC).
      this.volume.admit(2 * slice.length, 400 * slice.length, bytes);
      try {
        this.volume.withReserve(() => {
          for (const record of slice) staging.apply(record);
        });
      } catch (error) {
        yield* this.#abandon(staging);
        throw error;
      }
      this.#ahead += slice.length;
      this.#isBehind = true;
      yield undefined;
    }
    this.#ahead -= records.length;
    this.#position = position;
    this.#isBehind = true;
  }

  /** Waits until the writer is not behind. Each txg reserves a share for programs' changes. */
  *#room(): Work<void> {
    const { volume } = this;
    const { txgBytes, txgRecords } = this.context;
    while (volume.failure === undefined) {
      const { bytes, records } = volume.txgs.load;
      if (bytes >= txgBytes || records >= txgRecords) yield* this.#handOn();
      else if (volume.beginChange()) return;
      else yield this.context.pause();
    }
    throw new FsError('EIO', 'receive', 'the volume');
  }

  /** Fills one txg while the previous one is stored: it waits only for that one. */
  *#handOn(): Work<void> {
    const { volume } = this;
    const { storing } = volume.txgs.load;
    if (storing === undefined) {
      volume.commit();
      this.#forgetDecoded();
      return;
    }
    yield volume.whenCommitted(storing);
    failpoint('receive:stored');
  }

  *#abandon(staging: Staging): Work<void> {
    const { volume } = this;
    this.#letGo?.();
    staging.drop();
    putReceiving(volume, undefined);
    this.#staging = undefined;
    yield volume.whenCommitted(volume.commit());
  }

  /** Puts the position in the stream into the open txg. */
  #note(): void {
    const header = this.#header;
    const staging = this.#staging;
    if (header === undefined || staging === undefined) return;
    const receiving: Receiving = {
      layer: staging.layer.number,
      from: header.from?.uuid ?? null,
      to: header.to.uuid,
      position: this.#position,
      ahead: this.#ahead,
      ino: staging.currentIno,
    };
    this.#isBehind = false;
    putReceiving(this.volume, receiving);
  }

  /** Stores what has arrived, together with the position, durably. */
  *#store(): Work<void> {
    const { volume } = this;
    if (this.#staging === undefined) return;
    this.#note();
    yield volume.whenCommitted(volume.commit());
    failpoint('receive:stored');
    this.#forgetDecoded();
  }

  /** Only changed records are read again: decoded inodes are not needed. */
  #forgetDecoded(): void {
    this.#staging?.goOn(this.#staging.currentIno);
  }

  /**
   * The stream has ended too early: keeps what has arrived, to resume from there. Returns the
   * token.
   */
  *suspend(): Work<string | undefined> {
    if (this.#staging !== undefined) yield* this.#store();
    this.#letGo?.();
    return resumeToken(this.volume);
  }

  /** The whole stream has arrived. */
  *finish(): Work<ReceiveAnswer> {
    const header = this.#header as StreamHeader;
    const { name, uuid } = header.to;
    const from = header.from?.name ?? null;
    const answer = { command: 'receive' as const, name, uuid, from };
    const { records } = this.#position;
    if (this.#present !== undefined) {
      const { layer } = this.#present;
      const here = this.#present.name;
      const known = { name: here, outcome: 'already-there' as const, layer, isLive: false };
      return { ...answer, ...known, recordCount: records };
    }
    const staging = this.#staging as Staging;
    yield* this.#store();
    const wrong = yield* checkStaged(this.volume, staging.layer);
    if (wrong !== undefined) {
      yield* this.#abandon(staging);
      throw new CommandError(
        'stream-damaged',
        'EIO',
        `the stream does not fit together: ${wrong.where}: ${wrong.what}`,
      );
    }
    failpoint('receive:verified');
    const adopted = yield* answerOf(this.context.adopt(() => this.#adopt(header, staging)));
    this.#letGo?.();
    failpoint('receive:adopted');
    const { layer, isLive, undo } = adopted;
    return {
      ...answer,
      outcome: 'received',
      recordCount: records,
      layer,
      isLive,
      ...(undo !== undefined && { undo }),
    };
  }

  /** Checks that the stream still fits, whatever happened to the volume meanwhile. */
  #adopt(header: StreamHeader, staging: Staging): RoleMove<AdoptAnswer> {
    const { volume } = this;
    const { name, uuid, createdMs, isAuto, note } = header.to;
    checkName(volume, name);
    const move = this.#move();
    this.#isBehind = false;
    putReceiving(volume, undefined);
    const { source } = this.options;
    const adopted = volume.roles.adopt(
      staging.layer.number,
      {
        name,
        uuid,
        createdMs,
        kind: isAuto === true ? 'auto' : 'user',
        ...(note !== undefined && { note }),
      },
      source,
      move,
    );
    this.#staging = undefined;
    return adopted;
  }
}
