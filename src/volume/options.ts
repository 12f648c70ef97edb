/** The options of a volume, given when it is made; stored in `meta/options`. */
import { CommandError } from '../lib/errors.js';
import type { OptionChanges } from '../format/text/volume-options.js';
import { DEFAULT_BLOCK_SIZE, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE } from '../format/records/tables.js';

export interface VolumeOptions {
  /** Bytes, a power of two; never changes. */
  blockSize: number;
  /** LZ4 for blocks that are written from the next opening on. */
  compression: boolean;
  /** Largest size of the volume's data in bytes; 0 for no limit. */
  quotaBytes: number;
  /** How many automatic undo snapshots are kept. */
  keepUndo: number;
  hiddenNames: { snapshots: string; control: string };
}

/** As JSON shows them. */
export interface ShownOptions {
  blockSizeBytes: number;
  compression: boolean;
  quotaBytes: number;
  keepUndoCount: number;
  snapshotsName: string;
  controlName: string;
}

/** Pure. */
export function shownOptions(options: VolumeOptions): ShownOptions {
  const { blockSize, compression, quotaBytes, keepUndo, hiddenNames } = options;
  return {
    blockSizeBytes: blockSize,
    compression,
    quotaBytes,
    keepUndoCount: keepUndo,
    snapshotsName: hiddenNames.snapshots,
    controlName: hiddenNames.control,
  };
}

export const DEFAULT_OPTIONS: VolumeOptions = {
  blockSize: DEFAULT_BLOCK_SIZE,
  compression: false,
  quotaBytes: 0,
  keepUndo: 10,
  hiddenNames: { snapshots: '.snapshots', control: '.control' },
};

/**
 * The options with changes. Throws CommandError `bad-option`, `option-fixed`. Pure.
 */
export function withChanges(options: VolumeOptions, changes: OptionChanges): VolumeOptions {
  const { blockSize = options.blockSize } = changes;
  if (blockSize !== options.blockSize) {
    throw new CommandError(
      'option-fixed',
      'EINVAL',
      `block-size: the blocks that are stored have ${options.blockSize} bytes, and what refers to ` +
        'them counts in these; only a new volume can have another size',
    );
  }
  const changed = {
    blockSize,
    compression: changes.compression ?? options.compression,
    quotaBytes: changes.quotaBytes ?? options.quotaBytes,
    keepUndo: changes.keepUndo ?? options.keepUndo,
    hiddenNames: {
      snapshots: changes.snapshotsName ?? options.hiddenNames.snapshots,
      control: changes.controlName ?? options.hiddenNames.control,
    },
  };
  checkOptions(changed);
  return changed;
}

/** The volume's file only grows. Throws CommandError `bad-option`. Pure. */
export function checkQuota(quotaBytes: number, fileBytes: number): void {
  if (quotaBytes === 0 || quotaBytes >= fileBytes) return;
  throw bad(
    `quota=${quotaBytes}: the volume's file has ${fileBytes} bytes already, and never shrinks ` +
      '(what is deleted makes room inside it)',
  );
}

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
