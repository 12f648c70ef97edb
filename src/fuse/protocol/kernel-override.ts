/**
 * Makes this kernel look like one that offers less. For tests: code for other
 * kernels then runs on the only kernel at hand. Pure.
 *
 * The daemon reads the environment variable `SHADOWFS_KERNEL`, such as
 * `minor=31,noOpen=off,maxWrite=16384`: the highest protocol version, the
 * largest WRITE in bytes, and features to leave unused. `log=off` stands for a
 * kernel without asynchronous flushes. `nodesMax=N` sets a low limit for nodes.
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
  /** Highest minor version that the kernel is treated as having. */
  minor?: number;
  maxWriteBytes?: number;
  /** The kernel is asked to forget nodes above this number. */
  nodesMax?: number;
  /** Flushes can't be asynchronous: no intent log. */
  log?: false;
};

function bad(item: string): CommandError {
  const known = `minor=N, maxWrite=BYTES, nodesMax=N, log=off, ${FEATURES.map((name) => `${name}=off`).join(', ')}`;
  return new CommandError('bad-option', 'EINVAL', `SHADOWFS_KERNEL: ${item}: known: ${known}`);
}

/** Throws CommandError `bad-option`. For undefined and '' every feature is used. */
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
