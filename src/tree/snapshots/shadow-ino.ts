/**
 * st_ino outside the live tree: a 64-bit hash of (layer, inode) with the top
 * bit set, in two halves. Live inode numbers stay below 2^52, so the two never
 * meet. Hard links inside one snapshot agree, because they are one inode.
 */

export interface Ino64 {
  high: number;
  low: number;
}

/**
 * Not layers (those start at 1 and fit in 48 bits): spaces for nodes without an
 * inode of their own.
 */
export const SNAPSHOT_DIRECTORY_SPACE = 0;
export const LATEST_LINK_SPACE = 2 ** 48;
export const CONTROL_LINK_SPACE = 2 ** 48 + 1;

function mix(hash: number): number {
  let h = hash;
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** `space`: a snapshot's layer or one of the constants above. */
export function shadowIno(space: number, ino: number): Ino64 {
  const inoLow = ino >>> 0;
  const inoHigh = Math.floor(ino / 2 ** 32) >>> 0;
  const layerLow = space >>> 0;
  const layerHigh = Math.floor(space / 2 ** 32) >>> 0;
  let a = 0x9747b28c;
  let b = 0x1b873593;
  for (const word of [inoLow, inoHigh, layerLow, layerHigh]) {
    a = mix(Math.imul(a ^ word, 0xcc9e2d51) + 0x27d4eb2f);
    b = mix(Math.imul(b, 0x5bd1e995) ^ word);
  }
  return { high: (a | 0x80000000) >>> 0, low: b };
}

/** A live inode number as two halves. */
export function liveIno(ino: number): Ino64 {
  return { high: Math.floor(ino / 2 ** 32), low: ino >>> 0 };
}
