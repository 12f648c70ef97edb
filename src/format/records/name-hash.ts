/**
 * Directory order (rules D15, F4): a 52-bit hash of the name's bytes, which is
 * also the readdir cookie. It is part of the stored format and never changes.
 */

/** Cookies below this are for `.`, `..` and the start of a listing. */
export const FIRST_HASH = 16;

/** Largest hash: also the cookie "after everything". */
export const LAST_HASH = 2 ** 52 - 1;

function mix(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** Hash of a byte string (latin1), an integer in [FIRST_HASH, LAST_HASH]. */
export function nameHash(name: string): number {
  let a = 0x9747b28c;
  let b = 0x1b873593;
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    a = Math.imul(a ^ c, 0x01000193);
    a = (a << 5) | (a >>> 27);
    b = Math.imul(b, 0x5bd1e995) ^ c;
    b = (b << 13) | (b >>> 19);
  }
  const high = mix(a ^ name.length) & 0xfffff;
  const low = mix(b ^ Math.imul(name.length, 0x27d4eb2f));
  const hash = high * 2 ** 32 + low;
  return hash < FIRST_HASH ? hash + FIRST_HASH : hash;
}
