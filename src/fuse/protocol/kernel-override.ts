/**
 * Making this kernel look like one that offers less. For tests: the code for
 * other kernels runs where only one kernel is at hand. Pure.
 *
 * The daemon reads the environment variable `SHADOWFS_KERNEL`, such as
 * `minor=31,noOpen=off,maxWrite=16384`: a protocol version at most, a largest
 * WRITE in bytes, and features to leave unused; `log=off` for a kernel without asynchronous
 * flushes. `nodesMax=N` has few nodes count as too many.
 */
import { CommandError } from '../../lib/errors.js';

export const FEATURES = [
  'writeback',
  'noOpen',
  'noOpendir',
  'readdirplus',
  'parallelDirops',
  'symlinkCache',
  'killPriv',
  'setxattrExtended',
  'posixAcl',
  'expireOnly',
  'incEpoch',
  'prune',
] as const;

export type Feature = (typeof FEATURES)[number];

/** Features to leave unused although the kernel offers them. */
export type KernelOverride = {
  [feature in Feature]?: false;
} & {
  /** The kernel's minor version is taken to be at most this. */
  minor?: number;
  maxWriteBytes?: number;
  /** The kernel is asked to forget nodes above this many. */
  nodesMax?: number;
  /** Flushes can't be had without waiting for them: no intent log. */
  log?: false;
};

function bad(item: string): CommandError {
  const known = `minor=N, maxWrite=BYTES, nodesMax=N, log=off, ${FEATURES.map((name) => `${name}=off`).join(', ')}`;
  return new CommandError('bad-option', 'EINVAL', `SHADOWFS_KERNEL: ${item}: known: ${known}`);
}

/** Throws CommandError `bad-option`. Nothing is left unused for undefined and ''. */
export function parseKernelOverride(text: string | undefined): KernelOverride {
  const kernelOverride: KernelOverride = {};
  for (const item of (text ?? '').split(',')) {
    if (item === '') continue;
    const [key = '', value = ''] = item.split('=');
    const isNumber = /^\d{1,9}$/.test(value);
    const feature = FEATURES.find((name) => name === key);
    if (key === 'minor' && isNumber) kernelOverride.minor = Number(value);
    else if (key === 'maxWrite' && isNumber) kernelOverride.maxWriteBytes = Number(value);
    else if (key === 'nodesMax' && isNumber) kernelOverride.nodesMax = Number(value);
    else if (key === 'log' && value === 'off') kernelOverride.log = false;
    else if (feature !== undefined && value === 'off') kernelOverride[feature] = false;
    else throw bad(item);
  }
  return kernelOverride;
}
