/**
 * Big-endian numbers in stored bytes, read where they lie. Bytes that aren't
 * there make a wrong number (even NaN) rather than an error: for records whose
 * length or checksum was looked at before.
 *
 * What fits into 32 bits is not multiplied up: the result of a multiplication
 * is a floating-point object of its own in code that is not compiled yet, and
 * fields that once held one take such an object for each number ever after.
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
