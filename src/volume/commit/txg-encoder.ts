/**
 * Turns a txg (transaction group) into the batch that the writer stores. The
 * blocks' checksums are missing: the writer adds them (seal-blocks.ts).
 */
import {
  xattrKey,
  blockKey,
  ENTRY_KEY_LENGTH,
  INODE_KEY_LENGTH,
  inodeKey,
  putEntryKey,
  putInodeKey,
} from '../../format/records/keys.js';
import { TABLE } from '../../format/records/tables.js';
import { BatchBuilder, type WriteBatch } from '../../store/batch.js';
import type { Txg, LayerChanges } from './txg.js';
import { blockValue, entryValue, inodeValue, orphanValue, xattrValue } from './txg-records.js';

function encodeLayer(builder: BatchBuilder, fileset: number, changes: LayerChanges): void {
  const layer = changes.layer;
  for (const [ino, inode] of changes.inodes) {
    const at = builder.key(TABLE.inodes, INODE_KEY_LENGTH);
    putInodeKey(builder.bytes, at, fileset, ino, layer);
    const value = inodeValue(changes, ino, inode);
    if (value !== undefined) builder.value(value);
  }
  for (const [directory, names] of changes.directories) {
    for (const entry of names.names.values()) {
      const { hash, name } = entry;
      const at = builder.key(TABLE.entries, ENTRY_KEY_LENGTH + name.length);
      putEntryKey(builder.bytes, at, fileset, directory, hash, name, layer);
      const value = entryValue(entry);
      if (value !== undefined) builder.value(value);
    }
  }
  for (const [ino, blocks] of changes.files) {
    for (const [index, block] of blocks) {
      const key = blockKey(fileset, ino, index, layer, block.step);
      builder.put(TABLE.blocks, key, blockValue(block));
    }
  }
  for (const [ino, attributes] of changes.xattrs) {
    for (const [name, value] of attributes) {
      builder.put(TABLE.attributes, xattrKey(fileset, ino, name, layer), xattrValue(value));
    }
  }
  for (const [ino, alive] of changes.orphans) {
    const key = inodeKey(fileset, ino, layer);
    const value = orphanValue(alive);
    if (value === undefined) builder.del(TABLE.orphans, key);
    else builder.put(TABLE.orphans, key, value);
  }
}

export function encodeTxg(txg: Txg, fileset: number): WriteBatch {
  const builder = new BatchBuilder(txg.arena);
  for (const changes of txg.layers.values()) encodeLayer(builder, fileset, changes);
  for (const { table, key, value } of txg.system.values()) {
    if (value === undefined) builder.del(table, key);
    else builder.put(table, key, value);
  }
  return builder.finish(txg.id);
}
