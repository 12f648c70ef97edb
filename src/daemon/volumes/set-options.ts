/** Changes the options of a volume that is not mounted. */
import { acquireOwner } from '../../store/owner.js';
import { changeStoredOptions, type OptionsAnswer } from '../../volume/option-commands.js';
import type { OptionChanges } from '../../format/text/volume-options.js';

/** Throws CommandError: volume-in-use, bad-option, option-fixed, volume-unusable … */
export function setOptions(volume: string, changes: OptionChanges): OptionsAnswer {
  const owner = acquireOwner(volume);
  try {
    return changeStoredOptions(volume, changes, { source: 'cli', nowMs: Date.now() });
  } finally {
    owner.release();
  }
}
