/**
 * Checks what a staging layer changes over the snapshot below it, with all
 * that `check` asks of a view: names, links, sizes, blocks. Costs what the
 * layer holds.
 */
import { CheckState, type Finding } from './check-report.js';
import { ViewCheck } from './check-views.js';
import type { Layer } from './lineage.js';
import type { ReadableVolume } from './readable-volume.js';

/** Of the committed state; nothing is wrong with the layer's parent. */
export function checkStaged(volume: ReadableVolume, layer: Layer): Finding[] {
  const state = new CheckState(undefined);
  const check = new ViewCheck(volume, state);
  check.assume(layer.parent);
  check.run([layer.number]);
  return state.report().findings;
}
