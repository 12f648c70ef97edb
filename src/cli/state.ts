/** The state of a mounted volume, or of one that is not mounted, in the same form. */
import type { Answer } from '../control/command.js';
import type { VolumeState } from '../daemon/commands/inspect.js';
import type { CommonOptions } from './options.js';
import { requireAnswer } from './answering.js';
import { findTarget } from './target.js';

export async function listOf(
  options: CommonOptions,
  file: 'snapshots' | 'branches' | 'history' | 'locks' | 'peers',
): Promise<Answer[]> {
  await requireAnswer(options);
  const target = await findTarget(options);
  if (target.kind === 'mounted') return await target.control.list(file);
  return (await stateOf(target.volume))[file];
}

export async function statusOf(options: CommonOptions): Promise<Answer> {
  await requireAnswer(options);
  const target = await findTarget(options);
  if (target.kind === 'mounted') return await target.control.state('status');
  return { mountpoint: null, volumePath: target.volume, ...(await stateOf(target.volume)).status };
}

/** The store is loaded only when needed: it is most of a command's start-up time. */
async function stateOf(volume: string): Promise<VolumeState> {
  const { readVolumeState } = await import('../daemon/commands/inspect.js');
  return readVolumeState(volume);
}
