/**
 * Replies to the kernel, encoded in place.
 *
 * A `Reply` owns its memory. One is reused for every request answered at once,
 * another for those answered later. Encoders write the body behind the header
 * and return its length in bytes; `finish` fills in the header. Offsets into
 * the body are bytes and divisible by 4.
 */
import { TWO_32 } from './protocol.js';
import type { Attributes, Entry, Opened, StatFs } from '../../tree/operations.js';
import {
  ATTR_OUT_BYTES,
  DIRENT_BYTES,
  ENTRY_OUT_BYTES,
  INIT_OUT_BYTES,
  OPEN_OUT_BYTES,
  OUT_HEADER_BYTES,
  PROTOCOL_MAJOR,
  STATFS_OUT_BYTES,
  STATX_MASK,
  STATX_OUT_BYTES,
} from './protocol.js';

const HEADER_WORDS = OUT_HEADER_BYTES / 4;
/** Longer than any mount lives; the kernel's own arithmetic saturates above. */
const TIMEOUT_MAX_S = 0x7fff_ffff;

export interface InitReply {
  minor: number;
  maxReadahead: number;
  flags: number;
  flags2: number;
  maxBackground: number;
  congestionThreshold: number;
  maxWriteBytes: number;
  maxPages: number;
}

export class Reply {
  bytes: Buffer;
  #words: Uint32Array;

  /** `capacity`: the largest body, in bytes. */
  constructor(capacity: number) {
    this.bytes = Buffer.from(new ArrayBuffer((OUT_HEADER_BYTES + capacity + 7) & ~7));
    this.#words = new Uint32Array(this.bytes.buffer);
  }

  get capacity(): number {
    return this.bytes.length - OUT_HEADER_BYTES;
  }

  /** Makes room for a body of `bytes` bytes; its contents are lost. */
  reserve(bytes: number): void {
    if (this.capacity >= bytes) return;
    this.bytes = Buffer.from(new ArrayBuffer((OUT_HEADER_BYTES + bytes + 7) & ~7));
    this.#words = new Uint32Array(this.bytes.buffer);
  }

  /** Fills in the header. `errno`: 0 or positive. Returns the length of the whole reply. */
  finish(uniqueLow: number, uniqueHigh: number, errno: number, bodyBytes: number): number {
    const words = this.#words;
    const length = OUT_HEADER_BYTES + bodyBytes;
    words[0] = length;
    words[1] = -errno;
    words[2] = uniqueLow;
    words[3] = uniqueHigh;
    return length;
  }

  word(at: number, value: number): void {
    this.#words[HEADER_WORDS + (at >> 2)] = value;
  }

  /** A 64-bit value, possibly negative, |value| < 2^53. */
  long(at: number, value: number): void {
    const index = HEADER_WORDS + (at >> 2);
    this.#words[index] = value;
    this.#words[index + 1] = Math.floor(value / TWO_32);
  }

  zero(from: number, to: number): void {
    this.#words.fill(0, HEADER_WORDS + (from >> 2), HEADER_WORDS + (to >> 2));
  }

  longAt(at: number): number {
    const index = HEADER_WORDS + (at >> 2);
    return (this.#words[index + 1] as number) * TWO_32 + (this.#words[index] as number);
  }

  wordAt(at: number): number {
    return this.#words[HEADER_WORDS + (at >> 2)] as number;
  }

  #timeout(secondsAt: number, nanosecondsAt: number, timeoutS: number): void {
    const bounded = timeoutS > 0 ? Math.min(timeoutS, TIMEOUT_MAX_S) : 0;
    const seconds = Math.floor(bounded);
    this.long(secondsAt, seconds);
    this.word(nanosecondsAt, Math.floor((bounded - seconds) * 1e9));
  }

  #attributes(at: number, attr: Attributes): void {
    this.word(at, attr.inoLow);
    this.word(at + 4, attr.inoHigh);
    this.long(at + 8, attr.size);
    this.long(at + 16, attr.blocks);
    this.long(at + 24, attr.atimeS);
    this.long(at + 32, attr.mtimeS);
    this.long(at + 40, attr.ctimeS);
    this.word(at + 48, attr.atimeNs);
    this.word(at + 52, attr.mtimeNs);
    this.word(at + 56, attr.ctimeNs);
    this.word(at + 60, attr.mode);
    this.word(at + 64, attr.nlink);
    this.word(at + 68, attr.uid);
    this.word(at + 72, attr.gid);
    this.word(at + 76, attr.rdev);
    this.word(at + 80, attr.blksize);
    this.word(at + 84, 0);
  }

  /** fuse_entry_out at body byte `at`. A negative entry has node id 0. */
  entry(entry: Entry, at = 0): number {
    this.long(at, entry.nodeId);
    // Node ids are never reused, so the generation is always 0.
    this.long(at + 8, 0);
    this.#timeout(at + 16, at + 32, entry.entryTimeoutS);
    this.#timeout(at + 24, at + 36, entry.attr.attrTimeoutS);
    this.#attributes(at + 40, entry.attr);
    return ENTRY_OUT_BYTES;
  }

  attributes(attr: Attributes): number {
    this.#timeout(0, 8, attr.attrTimeoutS);
    this.word(12, 0);
    this.#attributes(16, attr);
    return ATTR_OUT_BYTES;
  }

  statx(attr: Attributes): number {
    this.zero(0, STATX_OUT_BYTES);
    this.#timeout(0, 8, attr.attrTimeoutS);
    const at = 32;
    this.word(at, STATX_MASK);
    this.word(at + 4, attr.blksize);
    this.word(at + 16, attr.nlink);
    this.word(at + 20, attr.uid);
    this.word(at + 24, attr.gid);
    this.word(at + 28, attr.mode & 0xffff);
    this.word(at + 32, attr.inoLow);
    this.word(at + 36, attr.inoHigh);
    this.long(at + 40, attr.size);
    this.long(at + 48, attr.blocks);
    this.long(at + 64, attr.atimeS);
    this.word(at + 72, attr.atimeNs);
    this.long(at + 80, attr.btimeS);
    this.word(at + 88, attr.btimeNs);
    this.long(at + 96, attr.ctimeS);
    this.word(at + 104, attr.ctimeNs);
    this.long(at + 112, attr.mtimeS);
    this.word(at + 120, attr.mtimeNs);
    // The protocol's rdev is new_encode_dev: minor's low 8 bits, major, minor's rest.
    this.word(at + 128, (attr.rdev >>> 8) & 0xfff);
    this.word(at + 132, (attr.rdev & 0xff) | ((attr.rdev >>> 12) & 0xfff00));
    return STATX_OUT_BYTES;
  }

  opened(opened: Opened, at = 0): number {
    this.long(at, opened.fh);
    this.word(at + 8, opened.flags);
    this.word(at + 12, 0);
    return OPEN_OUT_BYTES;
  }

  created(entry: Entry, opened: Opened): number {
    return this.entry(entry) + this.opened(opened, ENTRY_OUT_BYTES);
  }

  /** WRITE, COPY_FILE_RANGE and the sizes of xattrs. */
  count(count: number): number {
    this.word(0, count);
    this.word(4, 0);
    return 8;
  }

  /** LSEEK and COPY_FILE_RANGE_64. */
  offset(offset: number): number {
    this.long(0, offset);
    return 8;
  }

  statfs(statfs: StatFs): number {
    this.zero(0, STATFS_OUT_BYTES);
    this.long(0, statfs.blocks);
    this.long(8, statfs.bfree);
    this.long(16, statfs.bavail);
    this.long(24, statfs.files);
    this.long(32, statfs.ffree);
    this.word(40, statfs.bsize);
    this.word(44, statfs.namelen);
    this.word(48, statfs.bsize);
    return STATFS_OUT_BYTES;
  }

  init(init: InitReply): number {
    this.zero(0, INIT_OUT_BYTES);
    this.word(0, PROTOCOL_MAJOR);
    this.word(4, init.minor);
    this.word(8, init.maxReadahead);
    this.word(12, init.flags);
    this.word(16, (init.congestionThreshold << 16) | init.maxBackground);
    this.word(20, init.maxWriteBytes);
    // The granularity of times is 1 ns.
    this.word(24, 1);
    this.word(28, init.maxPages);
    this.word(32, init.flags2);
    return INIT_OUT_BYTES;
  }

  text(text: string): number {
    return this.bytes.write(text, OUT_HEADER_BYTES, text.length, 'latin1');
  }

  data(data: Uint8Array): number {
    this.bytes.set(data, OUT_HEADER_BYTES);
    return data.length;
  }

  /**
   * A directory entry at body byte `at`, if it fits below `limit`. Returns where
   * the next one goes, or `at` when there was no room.
   */
  dirent(
    at: number,
    limit: number,
    name: string,
    inoHigh: number,
    inoLow: number,
    type: number,
    nextOffset: number,
  ): number {
    const { length } = name;
    const end = at + ((DIRENT_BYTES + length + 7) & ~7);
    if (end > limit) return at;
    // The padding behind the name: zero the last 8 bytes before the name is written.
    this.word(end - 8, 0);
    this.word(end - 4, 0);
    this.word(at, inoLow);
    this.word(at + 4, inoHigh);
    this.long(at + 8, nextOffset);
    this.word(at + 16, length);
    // DT_*: the S_IFMT bits shifted right by 12.
    this.word(at + 20, (type >>> 12) & 0xf);
    this.bytes.write(name, OUT_HEADER_BYTES + at + DIRENT_BYTES, length, 'latin1');
    return end;
  }

  /** As `dirent` for READDIRPLUS. Without an entry the kernel takes no reference. */
  direntPlus(
    at: number,
    limit: number,
    name: string,
    inoHigh: number,
    inoLow: number,
    type: number,
    nextOffset: number,
    entry: Entry | undefined,
  ): number {
    const nameAt = at + ENTRY_OUT_BYTES;
    const end = this.dirent(nameAt, limit, name, inoHigh, inoLow, type, nextOffset);
    if (end === nameAt) return at;
    if (entry === undefined) this.zero(at, nameAt);
    else this.entry(entry, at);
    return end;
  }
}
