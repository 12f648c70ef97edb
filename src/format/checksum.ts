/**
 * CRC-32 (as in zlib) of the short records that each lookup reads. A call of
 * zlib costs more than summing 12 to 200 bytes here, and needs a view of
 * exactly those bytes. Pure.
 */

/** Four tables of 256: table k advances a byte that has k more bytes behind it. */
const TABLES = ((): Int32Array => {
  const tables = new Int32Array(1024);
  for (let byte = 0; byte < 256; byte++) {
    let sum = byte;
    for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ 0xedb88320 : sum >>> 1;
    tables[byte] = sum;
  }
  for (let at = 256; at < 1024; at++) {
    const before = tables[at - 256] as number;
    tables[at] = (tables[before & 0xff] as number) ^ (before >>> 8);
  }
  return tables;
})();

/** Of bytes[start … end - 1]. */
export function checksum(bytes: Uint8Array, start: number, end: number): number {
  let sum = -1;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    sum ^= wordLE(bytes, at);
    sum =
      (TABLES[768 + (sum & 0xff)] as number) ^
      (TABLES[512 + ((sum >>> 8) & 0xff)] as number) ^
      (TABLES[256 + ((sum >>> 16) & 0xff)] as number) ^
      (TABLES[sum >>> 24] as number);
  }
  for (; at < end; at++) {
    sum = (TABLES[(sum ^ (bytes[at] as number)) & 0xff] as number) ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}

function wordLE(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}
