/**
 * statx(2) into a buffer that is reused: the fields are read in place as plain
 * numbers, so a stat of a base file allocates nothing.
 */
import { glibc, result, scratchPath } from './library.js';

/** STATX_BASIC_STATS, STATX_BTIME, STATX_MNT_ID. */
const WANTED = 0x7ff | 0x800 | 0x1000;

const callStatx: (
  dirfd: number,
  name: Uint8Array,
  flags: number,
  mask: number,
  out: Uint8Array,
) => number = glibc.func('int statx(int, void *, int, uint32_t, void *)');

/** The file can't be changed, can't lose its name, or is where something is mounted. */
export const STATX_ATTR_IMMUTABLE = 0x10;
export const STATX_ATTR_APPEND = 0x20;
export const STATX_ATTR_MOUNT_ROOT = 0x2000;

/** struct statx. 64-bit fields come as numbers, exact below 2^53. Times are signed seconds + ns. */
export class StatxBuffer {
  readonly bytes = new Uint8Array(256);
  readonly #words = new Uint32Array(this.bytes.buffer);
  readonly #signed = new Int32Array(this.bytes.buffer);
  readonly #halves = new Uint16Array(this.bytes.buffer);

  #u32(offset: number): number {
    return this.#words[offset >> 2] as number;
  }

  #u64(offset: number): number {
    return this.#u32(offset) + this.#u32(offset + 4) * 2 ** 32;
  }

  #s64(offset: number): number {
    return this.#u32(offset) + (this.#signed[(offset + 4) >> 2] as number) * 2 ** 32;
  }

  get blksize(): number {
    return this.#u32(4);
  }
  /** STATX_ATTR_*. */
  get attributes(): number {
    return this.#u32(8);
  }
  get nlink(): number {
    return this.#u32(16);
  }
  get uid(): number {
    return this.#u32(20);
  }
  get gid(): number {
    return this.#u32(24);
  }
  /** Type and permission bits. */
  get mode(): number {
    return this.#halves[14] as number;
  }
  get ino(): number {
    return this.#u64(32);
  }
  get size(): number {
    return this.#u64(40);
  }
  /** 512-byte units. */
  get blocks(): number {
    return this.#u64(48);
  }
  get atimeS(): number {
    return this.#s64(64);
  }
  get atimeNs(): number {
    return this.#u32(72);
  }
  /** The birth time is 0 where the file system keeps none. */
  get btimeS(): number {
    return this.#s64(80);
  }
  get btimeNs(): number {
    return this.#u32(88);
  }
  get ctimeS(): number {
    return this.#s64(96);
  }
  get ctimeNs(): number {
    return this.#u32(104);
  }
  get mtimeS(): number {
    return this.#s64(112);
  }
  get mtimeNs(): number {
    return this.#u32(120);
  }
  get rdevMajor(): number {
    return this.#u32(128);
  }
  get rdevMinor(): number {
    return this.#u32(132);
  }
  get devMajor(): number {
    return this.#u32(136);
  }
  get devMinor(): number {
    return this.#u32(140);
  }
  /** 0 before Linux 5.8. */
  get mountId(): number {
    return this.#u64(144);
  }
}

/**
 * Stats `name` (a byte string) below `dirfd`; with AT_EMPTY_PATH and an empty
 * name, the descriptor itself. 0 or -errno.
 */
export function statx(dirfd: number, name: string, flags: number, out: StatxBuffer): number {
  const bad = scratchPath.set(name);
  if (bad !== 0) return bad;
  return result(callStatx(dirfd, scratchPath.bytes, flags, WANTED, out.bytes));
}
