/**
 * readdir offsets. A name's cookie is its hash (rule D15), so a listing can be
 * continued without an open handle. Where several names of one directory share
 * a hash, the hash alone would skip some of them. So all but the last name of
 * such a hash group get cookies from a table; these are above all hashes and
 * stand for hash and name.
 */
import { LAST_HASH } from '../format/records/name-hash.js';

export const DOT_COOKIE = 1;
export const DOT_DOT_COOKIE = 2;

const FIRST_TABLE_COOKIE = LAST_HASH + 1;
/**
 * Hash groups are too rare to reach this by chance; a hostile directory only
 * invalidates old cookies.
 */
const MAX_TABLE_COOKIES = 65_536;

/** Where a listing continues: after all names of `hash`, or after `name` of the next hash group. */
export interface Position {
  afterHash: number;
  /** Names of hash `afterHash + 1` up to and including this one were listed. */
  afterName: string | undefined;
}

export class Cookies {
  readonly #byCookie = new Map<number, { hash: number; name: string }>();
  readonly #byName = new Map<string, number>();
  #next = FIRST_TABLE_COOKIE;

  /** Cookie of a name that is followed by others of the same hash. */
  withinGroup(hash: number, name: string): number {
    const key = `${hash}/${name}`;
    const known = this.#byName.get(key);
    if (known !== undefined) return known;
    const cookie = this.#next++;
    this.#byName.set(key, cookie);
    this.#byCookie.set(cookie, { hash, name });
    if (this.#byCookie.size > MAX_TABLE_COOKIES) {
      for (const [oldest, place] of this.#byCookie) {
        this.#byCookie.delete(oldest);
        this.#byName.delete(`${place.hash}/${place.name}`);
        break;
      }
    }
    return cookie;
  }

  /** An unknown table cookie means the end of the listing. */
  position(cookie: number): Position {
    if (cookie < FIRST_TABLE_COOKIE) return { afterHash: cookie, afterName: undefined };
    const place = this.#byCookie.get(cookie);
    if (place === undefined) return { afterHash: LAST_HASH, afterName: undefined };
    return { afterHash: place.hash - 1, afterName: place.name };
  }
}
