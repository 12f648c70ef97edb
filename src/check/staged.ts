/**
 * Checks the changes of a staging layer against the snapshot below it, with all
 * checks of a view: names, links, sizes, blocks. The cost is proportional to
 * the layer.
 */
import type { Work } from '../lib/work.js';
import { CheckState, type Finding } from './report.js';
import { ViewCheck } from './views.js';
import type { Layer } from '../volume/lineage.js';
import type { ReadableVolume } from '../volume/readable-volume.js';

/**
 * The first problem in the committed state; waits for nothing. Assumes that the
 * layer's parent is sound.
 */
export function* checkStaged(volume: ReadableVolume, layer: Layer): Work<Finding | undefined> {
  const state = new CheckState(undefined);
  const check = new ViewCheck(volume, state);
  check.assume(layer.parent);
  yield* check.run([layer.number]);
  return state.report().findings[0];
}
