/**
 * Whether a volume has a base. The checks and receivers ask the stored record,
 * since the directory may be unavailable.
 */
import { TABLE } from '../format/records/tables.js';
import type { TableReader } from '../store/reader.js';

/** The volume was made over a directory, whether that is available or not. */
export function hasBase(reader: TableReader): boolean {
  return reader.has(TABLE.meta, Buffer.from('base'));
}
