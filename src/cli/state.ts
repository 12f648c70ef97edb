/** The state of a mounted volume, or of one that is not mounted, in the same form. */
import type { Answer } from '../control/command.js';
import { readVolumeState } from '../daemon/inspect.js';
import type { CommonOptions } from './options.js';
import { findTarget } from './target.js';

export async function listOf(
  options: CommonOptions,
  file: 'snapshots' | 'history',
): Promise<Answer[]> {
  const target = findTarget(options);
  if (target.kind === 'mounted') return await target.control.list(file);
  return readVolumeState(target.volume)[file];
}

export async function statusOf(options: CommonOptions): Promise<Answer> {
  const target = findTarget(options);
  if (target.kind === 'mounted') return await target.control.state('status');
  return { mountpoint: null, volumePath: target.volume, ...readVolumeState(target.volume).status };
}
