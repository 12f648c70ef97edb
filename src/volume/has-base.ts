/** Whether a volume has a base: the checks and whoever receives ask what is stored, since the directory may not be at hand. */
import { TABLE } from '../format/records/tables.js';
import type { TableReader } from '../store/reader.js';

/** The volume was made over a directory, whether that is at hand or not. */
export function hasBase(reader: TableReader): boolean {
  return reader.has(TABLE.meta, Buffer.from('base'));
}
