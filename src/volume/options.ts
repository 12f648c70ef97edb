/** The options of a volume, set when it is made; stored in `meta/options`. */
import { CommandError } from '../lib/errors.js';
import { DEFAULT_BLOCK_SIZE, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE } from '../format/records/tables.js';

export interface VolumeOptions {
  /** Bytes, a power of two; fixed when the volume is made. */
  blockSize: number;
  /** LZ4 for blocks; fixed when the volume is made. */
  compression: boolean;
  /** Largest size of the volume's data in bytes; 0 for no limit. */
  quotaBytes: number;
  /** How many automatic undo snapshots are kept. */
  keepUndo: number;
  hiddenNames: { snapshots: string; control: string };
}

export const DEFAULT_OPTIONS: VolumeOptions = {
  blockSize: DEFAULT_BLOCK_SIZE,
  compression: false,
  quotaBytes: 0,
  keepUndo: 10,
  hiddenNames: { snapshots: '.snapshots', control: '.control' },
};

function bad(what: string): CommandError {
  return new CommandError('bad-option', 'EINVAL', what);
}

function checkHiddenName(option: string, name: string): void {
  if (name === '' || name === '.' || name === '..' || name.length > 255 || /[/\0]/.test(name)) {
    throw bad(`${option}: expected a file name, got ${JSON.stringify(name)}`);
  }
}

/** Throws CommandError `bad-option`, which says what was expected. */
export function checkOptions(options: VolumeOptions): void {
  const { blockSize } = options;
  if (
    !Number.isInteger(Math.log2(blockSize)) ||
    blockSize < MIN_BLOCK_SIZE ||
    blockSize > MAX_BLOCK_SIZE
  ) {
    throw bad(
      `block size: expected a power of two from ${MIN_BLOCK_SIZE} to ${MAX_BLOCK_SIZE}, got ${blockSize}`,
    );
  }
  if (!Number.isSafeInteger(options.quotaBytes) || options.quotaBytes < 0) {
    throw bad(`quota: expected bytes, 0 for none, got ${options.quotaBytes}`);
  }
  if (!Number.isInteger(options.keepUndo) || options.keepUndo < 0 || options.keepUndo > 10000) {
    throw bad(`keep-undo: expected a number from 0 to 10000, got ${options.keepUndo}`);
  }
  checkHiddenName('snapshots name', options.hiddenNames.snapshots);
  checkHiddenName('control name', options.hiddenNames.control);
  if (options.hiddenNames.snapshots === options.hiddenNames.control) {
    throw bad('the hidden names must differ');
  }
}
