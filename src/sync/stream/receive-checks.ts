/** Whether a stream fits the volume that is to receive it. */
import { CommandError } from '../../lib/errors.js';
import { checkSnapshotName } from '../../format/text/grammar.js';
import type { StreamHeader } from '../../format/wire/stream.js';
import { hasBase, type Snapshot } from '../../volume/catalog.js';
import type { Volume } from '../../volume/volume.js';
import { isPristine } from './receiving.js';

/** Nothing has been done in the volume, and it has no base: it can receive a full snapshot. */
export function takesAll(volume: Volume): boolean {
  return isPristine(volume) && !hasBase(volume.store);
}

/** Throws CommandError `receive-over-base`, `other-history`, `block-size-mismatch`. */
export function checkIdentity(volume: Volume, { history, blockSize, from }: StreamHeader): void {
  const { catalog } = volume;
  if (from === null && hasBase(volume.store)) {
    throw new CommandError(
      'receive-over-base',
      'EINVAL',
      'a volume with a base directory receives only what has changed since a snapshot of its own',
    );
  }
  const isNew = isPristine(volume) && from === null;
  if (history !== catalog.identity.history && !isNew) {
    throw new CommandError(
      'other-history',
      'EINVAL',
      `the stream is of another history (${history}) than the volume ` +
        `(${catalog.identity.history})`,
    );
  }
  if (blockSize !== volume.options.blockSize) {
    throw new CommandError(
      'block-size-mismatch',
      'EINVAL',
      `the stream has blocks of ${blockSize} bytes, the volume of ${volume.options.blockSize}`,
    );
  }
}

/** Throws CommandError `stream-damaged`, `snapshot-exists`. */
export function checkName(volume: Volume, name: string): void {
  const problem = checkSnapshotName(name);
  if (problem !== undefined) {
    throw new CommandError('stream-damaged', 'EIO', `the snapshot's name: ${problem}`);
  }
  const { catalog, isStandby } = volume;
  // On a standby a local snapshot is renamed; a reserved name is refused.
  if (!catalog.isTaken(name) || (isStandby && catalog.snapshots.has(name))) return;
  throw new CommandError(
    'snapshot-exists',
    'EEXIST',
    `another snapshot with the name ${name} is here already (rename or delete it)`,
    { name },
  );
}

/**
 * The snapshot from which the stream starts; undefined: a full stream. Throws CommandError
 * `base-snapshot-missing`.
 */
export function requireBase(volume: Volume, { from }: StreamHeader): Snapshot | undefined {
  if (from === null) return undefined;
  const base = volume.snapshots().find(({ uuid }) => uuid === from.uuid);
  if (base !== undefined) return base;
  const latest = volume.latest()?.name;
  throw new CommandError(
    'base-snapshot-missing',
    'ENOENT',
    `the stream starts from the snapshot ${from.name}, which is not here` +
      (latest === undefined ? '' : `; the latest here is ${latest}`),
    { name: from.name, uuid: from.uuid, latest: latest ?? null },
  );
}
