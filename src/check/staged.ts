/**
 * Checks what a staging layer changes over the snapshot below it, with all
 * that `check` asks of a view: names, links, sizes, blocks. Costs what the
 * layer holds.
 */
import type { Work } from '../lib/work.js';
import { CheckState, type Finding } from './report.js';
import { ViewCheck } from './views.js';
import type { Layer } from '../volume/lineage.js';
import type { ReadableVolume } from '../volume/readable-volume.js';

/** The first thing that is wrong, in the committed state; waits for nothing. Nothing is wrong with the layer's parent. */
export function* checkStaged(volume: ReadableVolume, layer: Layer): Work<Finding | undefined> {
  const state = new CheckState(undefined);
  const check = new ViewCheck(volume, state);
  check.assume(layer.parent);
  yield* check.run([layer.number]);
  return state.report().findings[0];
}
