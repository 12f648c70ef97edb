/**
 * Checksums of the blocks in a batch. The writer computes them, so that no
 * request waits for them: checking a byte of file data costs as much as copying
 * it. Between `submit` and the commit the serving thread reads the bytes of
 * these blocks but never their headers, so the writer may fill in the headers.
 */
import { TABLE } from '../../format/records/tables.js';
import { BLOCK_HEADER_LENGTH, BLOCK_RAW, sealBlock } from '../../format/records/values.js';
import { OPERATION, type WriteBatch } from '../../store/batch.js';

export function sealBlocks(batch: WriteBatch): void {
  const words = new Int32Array(batch.operations);
  const slabs = batch.slabs.map((slab) => Buffer.from(slab));
  const end = batch.count * OPERATION.words;
  for (let at = 0; at < end; at += OPERATION.words) {
    const slab = slabs[words[at + OPERATION.valueSlab] as number];
    if (words[at + OPERATION.table] !== TABLE.blocks || slab === undefined) continue;
    const offset = words[at + OPERATION.valueOffset] as number;
    const length = words[at + OPERATION.valueLength] as number;
    if (slab[offset] !== BLOCK_RAW) continue;
    sealBlock(slab.subarray(offset, offset + length), length - BLOCK_HEADER_LENGTH);
  }
}
