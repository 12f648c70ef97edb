/**
 * `shadowfs __names KIND [DIR…]`: names for a shell that completes, one a line.
 *
 * What must hold: it loads little (a person waits for it at the keyboard), says
 * nothing about errors, and never gives a name that a line can't hold.
 *
 * Doors inside cli/: bash, completion, fish, names, shapes, zsh.
 */
import { resolve } from 'node:path';
import { hasRawBytes } from '../../lib/byte-text.js';
import { MOUNT_TYPE, readMountTable } from '../../daemon/mount/mount-table.js';
import { hasVolume, presentPath, readRegistry } from '../../daemon/volumes/registry.js';
import { listOf } from '../state.js';
import { currentPaths } from '../target.js';

const LATEST = 'latest';

async function stateNames(
  directory: string,
  file: 'snapshots' | 'branches' | 'peers',
): Promise<string[]> {
  return (await listOf({ directory }, file)).map(({ name }) => String(name));
}

function mountpoints(): string[] {
  const mounts = readMountTable().filter(({ type }) => type === MOUNT_TYPE);
  return mounts.map(({ mountpoint }) => mountpoint);
}

/** Volumes that this user's state knows. */
function volumes(): string[] {
  const known = readRegistry(currentPaths()).filter(({ isForgotten }) => isForgotten !== true);
  return known.map(presentPath).filter(hasVolume);
}

async function namesOf(kind: string, directory: string): Promise<string[]> {
  switch (kind) {
    case 'snapshots': {
      // Newest first: what one wants is rarely old.
      const names = (await stateNames(directory, kind)).reverse();
      return names.length === 0 ? [] : [LATEST, ...names];
    }
    case 'branches':
    case 'peers':
      return await stateNames(directory, kind);
    case 'mountpoints':
      return mountpoints();
    case 'volumes':
      return volumes();
    default:
      return [];
  }
}

export async function printNames([kind = '', ...directories]: readonly string[]): Promise<void> {
  try {
    const names = await namesOf(
      kind,
      directories.reduce((at, next) => resolve(at, next), '.'),
    );
    const lines = [...new Set(names)].filter((name) => !/\p{Cc}/u.test(name) && !hasRawBytes(name));
    process.stdout.write(lines.map((name) => `${name}\n`).join(''));
  } catch {
    // There is nothing to complete.
  }
}
