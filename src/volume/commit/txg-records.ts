/**
 * What becomes of a change in memory: the value of its record, or undefined when
 * the record goes. The batch for LMDB (txg-encoder.ts) and the intent log
 * (log/log-encoder.ts) must say the same, so both ask here. Pure.
 */
import { encodeGoneInode, encodeInode } from '../../format/records/inode-record.js';
import {
  BLOCK_HEADER_LENGTH,
  BLOCK_RAW,
  encodeAttribute,
  encodeEntry,
  encodeOrphan,
  holeBlock,
} from '../../format/records/values.js';
import type { Inode } from '../inode.js';
import type { BlockChange, EntryChange, LayerChanges } from './txg.js';

/** An inode that was born in this layer and is gone leaves no record (rule F2). */
export function inodeValue(
  { droppedInodes, goneMs }: LayerChanges,
  ino: number,
  inode: Inode | null,
): Uint8Array | undefined {
  if (inode !== null) return encodeInode(inode);
  return droppedInodes.has(ino) ? undefined : encodeGoneInode(goneMs.get(ino));
}

/** A name that is gone is hidden by a whiteout, unless nothing below has it. */
export function entryValue(entry: EntryChange): Uint8Array | undefined {
  return entry.ino === 0 && entry.fresh ? undefined : encodeEntry(entry);
}

/** Without its checksum, which is computed where it is stored. A view of the block's memory. */
export function blockValue({ hole, room, length }: BlockChange): Uint8Array {
  if (hole) return holeBlock();
  room[0] = BLOCK_RAW;
  return room.subarray(0, BLOCK_HEADER_LENGTH + length);
}

export function xattrValue(value: Buffer | null): Uint8Array {
  return encodeAttribute(value ?? undefined);
}

export function orphanValue(alive: boolean | null): Uint8Array | undefined {
  return alive === null ? undefined : encodeOrphan(alive);
}
