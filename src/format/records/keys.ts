/**
 * Key codecs of the versioned tables (native-notes/format.md). Pure.
 *
 * Every key is place + version. The complement of the layer (and step) makes
 * LMDB's ascending order "newest first" within one place.
 *
 * Doors: every file.
 */
import { uint32At, uint48At } from '../big-endian.js';
import { MAX_LAYER, MAX_STEP, TABLE, type TableNumber, versionLength } from './tables.js';

export const PLACE_INODE_LENGTH = 12;
export const PLACE_BLOCK_LENGTH = 18;
/** Offset of the name in an entry's place; fileset, directory and hash come before it. */
export const ENTRY_NAME_AT = 20;

function writeUint64(buffer: Buffer, value: number, offset: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), offset);
  buffer.writeUInt32BE(value >>> 0, offset + 4);
}

function readUint64(buffer: Buffer, offset: number): number {
  return buffer.readUInt32BE(offset) * 2 ** 32 + buffer.readUInt32BE(offset + 4);
}

function writeLayer(buffer: Buffer, layer: number, offset: number): void {
  buffer.writeUIntBE(MAX_LAYER - layer, offset, 6);
}

/** Also the place of an orphan. */
export function inodePlace(fileset: number, inode: number): Buffer {
  const place = Buffer.allocUnsafe(PLACE_INODE_LENGTH);
  place.writeUInt32BE(fileset, 0);
  writeUint64(place, inode, 4);
  return place;
}

export const INODE_KEY_LENGTH = PLACE_INODE_LENGTH + 6;

/** Writes `inodeKey` into `key` at byte `at`. */
export function putInodeKey(
  key: Buffer,
  at: number,
  fileset: number,
  inode: number,
  layer: number,
): void {
  key.writeUInt32BE(fileset, at);
  writeUint64(key, inode, at + 4);
  writeLayer(key, layer, at + PLACE_INODE_LENGTH);
}

export function inodeKey(fileset: number, inode: number, layer: number): Buffer {
  const key = Buffer.allocUnsafe(INODE_KEY_LENGTH);
  putInodeKey(key, 0, fileset, inode, layer);
  return key;
}

/** Start of all entries of one directory, or with `hash`, of that hash and above. */
export function directoryPrefix(fileset: number, directory: number, hash = 0): Buffer {
  const key = Buffer.allocUnsafe(20);
  key.writeUInt32BE(fileset, 0);
  writeUint64(key, directory, 4);
  writeUint64(key, hash, 12);
  return key;
}

/** Length of an entry's key without its name. */
export const ENTRY_KEY_LENGTH = 20 + 7;

/** Writes `entryKey` into `key` at byte `at`. */
export function putEntryKey(
  key: Buffer,
  at: number,
  fileset: number,
  directory: number,
  hash: number,
  name: string,
  layer: number,
): void {
  const { length } = name;
  key.writeUInt32BE(fileset, at);
  writeUint64(key, directory, at + 4);
  writeUint64(key, hash, at + 12);
  for (let i = 0; i < length; i++) key[at + 20 + i] = name.charCodeAt(i);
  key[at + 20 + length] = 0;
  writeLayer(key, layer, at + 21 + length);
}

export function entryKey(
  fileset: number,
  directory: number,
  hash: number,
  name: string,
  layer: number,
): Buffer {
  const key = Buffer.allocUnsafe(ENTRY_KEY_LENGTH + name.length);
  putEntryKey(key, 0, fileset, directory, hash, name, layer);
  return key;
}

export function blockKey(
  fileset: number,
  inode: number,
  index: number,
  layer: number,
  step: number,
): Buffer {
  const key = Buffer.allocUnsafe(PLACE_BLOCK_LENGTH + 10);
  key.writeUInt32BE(fileset, 0);
  writeUint64(key, inode, 4);
  key.writeUIntBE(index, 12, 6);
  writeLayer(key, layer, PLACE_BLOCK_LENGTH);
  key.writeUInt32BE(MAX_STEP - step, PLACE_BLOCK_LENGTH + 6);
  return key;
}

export function xattrKey(fileset: number, inode: number, name: string, layer: number): Buffer {
  const key = Buffer.allocUnsafe(PLACE_INODE_LENGTH + name.length + 7);
  key.writeUInt32BE(fileset, 0);
  writeUint64(key, inode, 4);
  key.write(name, PLACE_INODE_LENGTH, 'latin1');
  key[PLACE_INODE_LENGTH + name.length] = 0;
  writeLayer(key, layer, PLACE_INODE_LENGTH + name.length + 1);
  return key;
}

export function reapKey(fileset: number, inode: number, layer: number): Buffer {
  const key = Buffer.allocUnsafe(PLACE_INODE_LENGTH + 6);
  key.writeUInt32BE(fileset, 0);
  writeUint64(key, inode, 4);
  key.writeUIntBE(layer, PLACE_INODE_LENGTH, 6);
  return key;
}

export function baseIdKey(device: number, hostInode: number, birthNs: bigint): Buffer {
  const key = Buffer.allocUnsafe(24);
  writeUint64(key, device, 0);
  writeUint64(key, hostInode, 8);
  key.writeBigUInt64BE(BigInt.asUintN(64, birthNs), 16);
  return key;
}

export function layerKey(layer: number): Buffer {
  const key = Buffer.allocUnsafe(6);
  key.writeUIntBE(layer, 0, 6);
  return key;
}

export function uint32Key(value: number): Buffer {
  const key = Buffer.allocUnsafe(4);
  key.writeUInt32BE(value, 0);
  return key;
}

/** The first key after every key that starts with `prefix`. */
export function prefixEnd(prefix: Uint8Array): Buffer {
  const end = Buffer.from(prefix);
  for (let i = end.length - 1; i >= 0; i--) {
    if (end[i] !== 0xff) {
      end[i] = (end[i] as number) + 1;
      return end.subarray(0, i + 1);
    }
  }
  return Buffer.alloc(64, 0xff);
}

/** The place part of a versioned table's key (a view, not a copy). */
export function placeOf(table: TableNumber, key: Buffer): Buffer {
  return key.subarray(0, key.length - versionLength(table));
}

export function layerOf(table: TableNumber, key: Buffer): number {
  return MAX_LAYER - key.readUIntBE(key.length - versionLength(table), 6);
}

/** The layer of the key at keys[at], where its complement is stored. */
export function keyLayerAt(keys: Uint8Array, at: number): number {
  return MAX_LAYER - uint48At(keys, at);
}

export function stepOf(key: Buffer): number {
  return MAX_STEP - key.readUInt32BE(key.length - 4);
}

/** The step of a block's key that ends before keys[end]. */
export function keyStepAt(keys: Uint8Array, end: number): number {
  return MAX_STEP - uint32At(keys, end - 4);
}

/** (layer, table, place): the key of a versioned record's entry in the delta map. */
export function deltaKey(layer: number, table: TableNumber, place: Uint8Array): Buffer {
  const key = Buffer.allocUnsafe(7 + place.length);
  key.writeUIntBE(layer, 0, 6);
  key[6] = table;
  key.set(place, 7);
  return key;
}

export function deltaPrefix(layer: number, table?: TableNumber): Buffer {
  const key = Buffer.allocUnsafe(table === undefined ? 6 : 7);
  key.writeUIntBE(layer, 0, 6);
  if (table !== undefined) key[6] = table;
  return key;
}

export interface DeltaPlace {
  layer: number;
  table: TableNumber;
  place: Buffer;
}

export function decodeDeltaKey(key: Buffer): DeltaPlace {
  return {
    layer: key.readUIntBE(0, 6),
    table: key[6] as TableNumber,
    place: key.subarray(7),
  };
}

/** A place plus a version: the key of one record. */
export function versionedKey(
  table: TableNumber,
  place: Uint8Array,
  layer: number,
  step = 0,
): Buffer {
  const length = versionLength(table);
  const key = Buffer.allocUnsafe(place.length + length);
  key.set(place, 0);
  writeLayer(key, layer, place.length);
  if (table === TABLE.blocks) key.writeUInt32BE(MAX_STEP - step, place.length + 6);
  return key;
}

/** The first key after `key`. For a key of layer 0 (step 0) it is the first of another place. */
export function afterKey(key: Uint8Array): Buffer {
  const after = Buffer.alloc(key.length + 1);
  after.set(key);
  return after;
}

export function filesetOf(place: Buffer): number {
  return place.readUInt32BE(0);
}

/** The inode (for entries: the directory) of a versioned place. */
export function inodeOf(place: Buffer): number {
  return readUint64(place, 4);
}

/** Name hash of an entry place. */
export function entryHashOf(place: Buffer): number {
  return readUint64(place, 12);
}

/** Name of an entry place, as a byte string. */
export function entryNameOf(place: Buffer): string {
  return place.toString('latin1', 20, place.length - 1);
}

export function blockIndexOf(place: Buffer): number {
  return place.readUIntBE(12, 6);
}

/** Name in an xattr's place, as a byte string. */
export function xattrNameOf(place: Buffer): string {
  return place.toString('latin1', PLACE_INODE_LENGTH, place.length - 1);
}
