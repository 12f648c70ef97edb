/**
 * Turns what the intent log lacks of the open txg into operations on the
 * store's records: those that the txg's batch would have for it now
 * (txg-encoder.ts), and deletes for what the log has and the batch would not.
 */
import { xattrKey, blockKey, entryKey, inodeKey } from '../../format/records/keys.js';
import type { LogRecordBuilder } from '../../format/records/log-record.js';
import { nameHash } from '../../format/records/name-hash.js';
import { TABLE, type TableNumber } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH } from '../../format/records/values.js';
import type { BlockTouch, ChangedSince } from './changed-since.js';
import {
  blockValue,
  entryValue,
  inodeValue,
  orphanValue,
  xattrValue,
} from '../commit/txg-records.js';
import type { BlockChange, Txg, LayerChanges } from '../commit/txg.js';

class LayerLog {
  constructor(
    readonly builder: LogRecordBuilder,
    readonly fileset: number,
    readonly changes: LayerChanges,
  ) {}

  all(): void {
    const { inodes, directories, files, xattrs: attributes, orphans } = this.changes;
    for (const ino of inodes.keys()) this.#inode(ino);
    for (const [directory, { names }] of directories) {
      for (const name of names.keys()) this.#name(directory, name);
    }
    for (const [ino, blocks] of files) {
      for (const [index, block] of blocks) this.#wholeBlock(ino, index, block);
    }
    for (const [ino, own] of attributes) {
      for (const name of own.keys()) this.#attribute(ino, name);
    }
    for (const ino of orphans.keys()) this.#orphan(ino);
  }

  since(since: ChangedSince): void {
    for (const ino of since.inodes) this.#inode(ino);
    for (const [directory, names] of since.names) {
      for (const name of names) this.#name(directory, name);
    }
    for (const [ino, touches] of since.blocks) {
      const blocks = this.changes.files.get(ino);
      for (const [index, touch] of touches) this.#block(ino, index, touch, blocks?.get(index));
    }
    for (const [ino, names] of since.attributes) {
      for (const name of names) this.#attribute(ino, name);
    }
    for (const ino of since.orphans) this.#orphan(ino);
  }

  #put(table: TableNumber, key: Buffer, value: Uint8Array | undefined): void {
    if (value === undefined) this.builder.del(table, key);
    else this.builder.put(table, key, value);
  }

  #inode(ino: number): void {
    const { layer, inodes } = this.changes;
    const inode = inodes.get(ino);
    if (inode === undefined) return;
    const value = inodeValue(this.changes, ino, inode);
    this.#put(TABLE.inodes, inodeKey(this.fileset, ino, layer), value);
  }

  #name(directory: number, name: string): void {
    const entry = this.changes.directories.get(directory)?.get(name);
    const hash = entry?.hash ?? nameHash(name);
    const key = entryKey(this.fileset, directory, hash, name, this.changes.layer);
    this.#put(TABLE.entries, key, entry && entryValue(entry));
  }

  #blockKey(ino: number, index: number, step: number): Buffer {
    return blockKey(this.fileset, ino, index, this.changes.layer, step);
  }

  #wholeBlock(ino: number, index: number, block: BlockChange): void {
    this.#put(TABLE.blocks, this.#blockKey(ino, index, block.step), blockValue(block));
  }

  #block(ino: number, index: number, touch: BlockTouch, block: BlockChange | undefined): void {
    const isLogged = touch.step >= 0;
    // A clip hides what is gone where it was stored, too, so a delete never removes too much.
    if (isLogged && touch.step !== block?.step) {
      this.builder.del(TABLE.blocks, this.#blockKey(ino, index, touch.step));
    }
    if (block === undefined) return;
    if (!isLogged || touch.isWhole || touch.step !== block.step || block.hole) {
      this.#wholeBlock(ino, index, block);
      return;
    }
    const from = BLOCK_HEADER_LENGTH + touch.from;
    const end = BLOCK_HEADER_LENGTH + touch.to;
    const key = this.#blockKey(ino, index, block.step);
    const length = BLOCK_HEADER_LENGTH + block.length;
    this.builder.patch(TABLE.blocks, key, from, length, block.room.subarray(from, end));
  }

  #attribute(ino: number, name: string): void {
    const value = this.changes.xattrs.get(ino)?.get(name);
    const key = xattrKey(this.fileset, ino, name, this.changes.layer);
    this.#put(TABLE.attributes, key, value === undefined ? undefined : xattrValue(value));
  }

  #orphan(ino: number): void {
    const alive = this.changes.orphans.get(ino);
    if (alive === undefined) return;
    const key = inodeKey(this.fileset, ino, this.changes.layer);
    this.#put(TABLE.orphans, key, orphanValue(alive));
  }
}

export function encodeForLog(builder: LogRecordBuilder, txg: Txg, fileset: number): void {
  for (const changes of txg.layers.values()) {
    const log = new LayerLog(builder, fileset, changes);
    if (changes.since === undefined) log.all();
    else log.since(changes.since);
    if (builder.isTooLarge) return;
  }
  for (const id of txg.systemSince ?? txg.system.keys()) {
    const change = txg.system.get(id);
    if (change === undefined) continue;
    const { table, key, value } = change;
    if (value === undefined) builder.del(table, key);
    else builder.put(table, key, value);
  }
}
