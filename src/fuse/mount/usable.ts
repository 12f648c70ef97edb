/** Whether the kernel driver can mount on this machine, before it tries. */
import { accessSync, constants, existsSync } from 'node:fs';
import { release } from 'node:os';
import { CommandError } from '../../lib/errors.js';
import { HELPER } from './kernel-mount.js';

/** Protocol 7.31. */
const KERNEL_MIN = [5, 4] as const;

/** The checked properties of a machine. */
export interface Machine {
  /** As `uname -r` prints it. */
  kernelRelease: string;
  isRoot: boolean;
  /** Directories of PATH. */
  path: readonly string[];
}

function thisMachine(): Machine {
  return {
    kernelRelease: release(),
    isRoot: process.geteuid?.() === 0,
    path: (process.env['PATH'] ?? '').split(':').filter((name) => name !== ''),
  };
}

function isExecutable(path: string): boolean {
  if (!existsSync(path)) return false;
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Why the kernel driver can't work here; undefined when no reason is known. */
export function kernelDriverRefusal(machine = thisMachine()): CommandError | undefined {
  const [major = 0, minor = 0] = machine.kernelRelease
    .split('.')
    .map((part) => Number.parseInt(part, 10));
  if (major < KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor < KERNEL_MIN[1])) {
    return new CommandError(
      'kernel-too-old',
      'ENODEV',
      `Linux ${machine.kernelRelease} is older than ${KERNEL_MIN.join('.')}`,
    );
  }
  if (!machine.isRoot && !machine.path.some((name) => isExecutable(`${name}/${HELPER}`))) {
    return new CommandError(
      'fusermount-missing',
      'ENOENT',
      `${HELPER} is missing: install the package fuse3`,
    );
  }
  return undefined;
}
