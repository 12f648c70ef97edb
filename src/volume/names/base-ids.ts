/**
 * Inode numbers of base files (rule D10): derived from the host inode on the
 * base directory's own device; elsewhere from the `baseids` table.
 */
import { baseIdKey } from '../../format/records/keys.js';
import { ALLOCATOR, TABLE, inodeNumber } from '../../format/records/tables.js';
import type { StoreReader } from '../../store/reader.js';
import type { BaseDirectory, BaseStat } from '../../base/base-directory.js';

export class BaseIds {
  /** Numbers assigned in this process, including those not yet in LMDB. */
  readonly #given = new Map<string, number>();

  constructor(
    readonly reader: StoreReader,
    /** Undefined: there is none, or none any more. */
    readonly base: () => BaseDirectory | undefined,
    /** The base has nothing any more of the file with this number: another one may have its host inode. */
    readonly isRetired: (ino: number) => boolean,
    /** Stores with the open txg; `allocate` returns a new counter value. */
    readonly allocate: (allocator: number) => number,
    readonly put: (key: Buffer, value: Buffer) => void,
  ) {}

  /** The number that needs no look at the file; undefined: `numberOf` has to be asked. */
  derived(stat: { device: number; hostInode: number }): number | undefined {
    const derived = this.base()?.inodeNumber(stat);
    return derived === undefined || this.isRetired(derived) ? undefined : derived;
  }

  numberOf(stat: BaseStat): number {
    const derived = this.derived(stat);
    if (derived !== undefined) return derived;
    const birthNs = BigInt(stat.btimeS) * 1_000_000_000n + BigInt(stat.btimeNs);
    const key = baseIdKey(stat.device, stat.hostInode, birthNs);
    const text = key.toString('latin1');
    const given = this.#given.get(text);
    if (given !== undefined) return given;
    const stored = this.reader.get(TABLE.baseids, key);
    if (stored !== undefined) return Number(stored.readBigUInt64BE(0));
    const ino = inodeNumber(ALLOCATOR.baseids, this.allocate(ALLOCATOR.baseids));
    const value = Buffer.alloc(8);
    value.writeBigUInt64BE(BigInt(ino));
    this.put(key, value);
    this.#given.set(text, ino);
    return ino;
  }
}
