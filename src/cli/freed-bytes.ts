/** What deleting snapshots together gives back: asked of `space`, for those who want to know before. */
import { CommandError } from '../lib/errors.js';
import { formatBytes } from '../lib/size-text.js';
import type { ControlClient } from './control-client.js';
import { inLines } from './lines-of-names.js';
import { withProgress } from './progress.js';

/** Undefined: nothing is deleted, or there are too many to ask for. */
export async function freedBytes(
  control: ControlClient,
  names: readonly string[],
): Promise<number | undefined> {
  const [line, more] = inLines(names);
  if (line === undefined || more !== undefined) return undefined;
  try {
    const asked = control.run('space', undefined, { names: line });
    const { together } = await withProgress('space', control, asked);
    return (together as { freedBytes: number }).freedBytes;
  } catch (error) {
    // One was deleted meanwhile, say: the plan counts without the figure.
    if (error instanceof CommandError) return undefined;
    throw error;
  }
}

/** The end of a line that says what would be deleted. Pure. */
export function freedText(bytes: number | undefined): string {
  return bytes === undefined ? '' : `; ${formatBytes(bytes)} would come free`;
}
