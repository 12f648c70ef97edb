/**
 * Big-endian numbers in stored bytes, read in place. Reading past the end gives
 * a wrong number (even NaN) instead of an error: use it on records whose length
 * or checksum was checked before.
 *
 * A number that fits into 32 bits is not computed by multiplication: in code
 * that is not compiled yet the result of a multiplication is a heap number, and
 * a field that once held a heap number allocates one for every later value.
 *
 * Doors: every file.
 */

const TWO_32 = 2 ** 32;

export function uint16At(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

export function uint32At(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) |
      ((bytes[at + 1] as number) << 16) |
      ((bytes[at + 2] as number) << 8) |
      (bytes[at + 3] as number)) >>>
    0
  );
}

/** Below 2^53. */
export function uint64At(bytes: Uint8Array, at: number): number {
  const high = uint32At(bytes, at);
  const low = uint32At(bytes, at + 4);
  return high === 0 ? low : high * TWO_32 + low;
}

export function int64At(bytes: Uint8Array, at: number): number {
  const high = uint32At(bytes, at) | 0;
  const low = uint32At(bytes, at + 4);
  return high === 0 ? low : high * TWO_32 + low;
}

export function uint48At(bytes: Uint8Array, at: number): number {
  const high = uint16At(bytes, at);
  const low = uint32At(bytes, at + 2);
  return high === 0 ? low : high * TWO_32 + low;
}
