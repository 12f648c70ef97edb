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
import { encodeGoneInode, encodeInode } from '../../format/records/inode-record.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_RAW,
  encodeAttribute,
  encodeEntry,
  encodeOrphan,
  holeBlock,
} from '../../format/records/values.js';
import { BatchBuilder, type WriteBatch } from '../../store/batch.js';
import type { Txg, LayerChanges } from './txg.js';

function encodeLayer(builder: BatchBuilder, fileset: number, changes: LayerChanges): void {
  const layer = changes.layer;
  for (const [ino, inode] of changes.inodes) {
    const at = builder.key(TABLE.inodes, INODE_KEY_LENGTH);
    putInodeKey(builder.bytes, at, fileset, ino, layer);
    if (inode !== null) builder.value(encodeInode(inode));
    else if (!changes.droppedInodes.has(ino)) builder.value(encodeGoneInode());
  }
  for (const [directory, names] of changes.directories) {
    for (const entry of names.names.values()) {
      const { hash, name } = entry;
      const at = builder.key(TABLE.entries, ENTRY_KEY_LENGTH + name.length);
      putEntryKey(builder.bytes, at, fileset, directory, hash, name, layer);
      if (entry.ino !== 0 || !entry.fresh) builder.value(encodeEntry(entry));
    }
  }
  for (const [ino, blocks] of changes.files) {
    for (const [index, block] of blocks) {
      const key = blockKey(fileset, ino, index, layer, block.step);
      if (block.hole) {
        builder.put(TABLE.blocks, key, holeBlock());
      } else {
        block.room[0] = BLOCK_RAW;
        builder.put(TABLE.blocks, key, block.room.subarray(0, BLOCK_HEADER_LENGTH + block.length));
      }
    }
  }
  for (const [ino, attributes] of changes.xattrs) {
    for (const [name, value] of attributes) {
      builder.put(
        TABLE.attributes,
        xattrKey(fileset, ino, name, layer),
        encodeAttribute(value ?? undefined),
      );
    }
  }
  for (const [ino, alive] of changes.orphans) {
    const key = inodeKey(fileset, ino, layer);
    if (alive === null) builder.del(TABLE.orphans, key);
    else builder.put(TABLE.orphans, key, encodeOrphan(alive));
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
