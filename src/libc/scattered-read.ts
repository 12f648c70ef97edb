/** One read(2) into several places in memory (preadv2). */
import { ERRNO } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import { addressOf, glibc, result } from './library.js';

type Preadv2 = (fd: number, iov: Uint8Array, n: number, offset: number, flags: number) => number;
const callPreadv2: Preadv2 = glibc.func('int64_t preadv2(int, void *, int, int64_t, int)');

const RWF_NOWAIT = 8;
/** UIO_MAXIOV. */
const PARTS_MAX = 1024;
/**
 * Memory areas of one read whose addresses are cached: getting an address takes
 * longer than the rest.
 */
const KNOWN_MAX = 4;

export class ScatteredRead {
  readonly #iovecBytes = new Uint8Array(PARTS_MAX * 16);
  readonly #iovec = new BigUint64Array(this.#iovecBytes.buffer);
  readonly #known = new Map<Uint8Array, bigint>();
  #parts = 0;

  /** Forgets the places. */
  begin(): void {
    this.#parts = 0;
    // The cache keeps its memory areas alive.
    this.#known.clear();
  }

  /** The next `length` bytes go to `memory[at…]`. At most PARTS_MAX places. */
  into(memory: Uint8Array, at: number, length: number): void {
    invariant(at >= 0 && at + length <= memory.length, 'a place within its memory');
    invariant(this.#parts < PARTS_MAX, 'not too many places');
    let address = this.#known.get(memory);
    if (address === undefined) {
      address = addressOf(memory);
      invariant(this.#known.size < KNOWN_MAX, 'places in few memories');
      this.#known.set(memory, address);
    }
    this.#iovec[2 * this.#parts] = address + BigInt(at);
    this.#iovec[2 * this.#parts + 1] = BigInt(length);
    this.#parts++;
  }

  /** Reads from `offset` on. The count, which may be short; or -errno. */
  read(fd: number, offset: number): number {
    return result(callPreadv2(fd, this.#iovecBytes, this.#parts, offset, 0));
  }

  /** As `read`, but never waits for a disk: -EAGAIN, or the bytes the page cache has. */
  readNowait(fd: number, offset: number): number {
    const count = result(callPreadv2(fd, this.#iovecBytes, this.#parts, offset, RWF_NOWAIT));
    return count === -ERRNO.EOPNOTSUPP ? this.read(fd, offset) : count;
  }
}
