/** What the list of volumes needs to know of one, read from it; writes nothing. */
import { CommandError } from '../../lib/errors.js';
import { TABLE } from '../../format/records/tables.js';
import { decodeJson } from '../../format/records/values.js';
import { readMeta, type Snapshot } from '../../volume/catalog.js';
import type { StoredBase } from '../../volume/create-volume.js';
import { frozenOf, homeOf } from '../../volume/freeze/frozen.js';
import { openToRead } from '../../volume/log/log-replay.js';
import type { VolumeEntry } from './registry.js';

export interface VolumeFacts {
  uuid: string;
  /** Absent: the volume has no base, and never had one. */
  base: StoredBase | undefined;
  /** Nothing is read from the base any more. */
  isFrozen: boolean;
  snapshots: number;
  createdMs: number | null;
}

const FIRST = Buffer.of(0);
const END = Buffer.alloc(40, 0xff);

/** Throws CommandError: not-a-volume, volume-damaged, volume-unusable, newer-format … */
export function readFacts(volume: string): VolumeFacts {
  const reader = openToRead(volume);
  try {
    let snapshots = 0;
    for (const { key, value } of reader.range(TABLE.snapshots, FIRST, END, {})) {
      const { kind } = decodeJson<Pick<Snapshot, 'kind'> | { kind: 'tentative' }>(
        value,
        `snapshot ${key.toString()}`,
      );
      if (kind !== 'tentative') snapshots++;
    }
    return {
      uuid: readMeta<string>(reader, 'uuid') ?? '',
      base: homeOf(reader),
      isFrozen: frozenOf(reader) !== undefined,
      snapshots,
      createdMs: readMeta<number>(reader, 'created') ?? null,
    };
  } finally {
    reader.close();
  }
}

/** The UUID of the volume in `path`, which must be the entry's. Throws CommandError. */
export function requireSame({ uuid, volume }: VolumeEntry, path: string): string {
  const facts = readFacts(path);
  if (uuid === null || uuid === facts.uuid) return facts.uuid;
  throw new CommandError(
    'volume-replaced',
    'EINVAL',
    `${path} has another volume (${facts.uuid}) than the one that was used in ${volume} (${uuid})`,
    { volumePath: path, uuid: facts.uuid, expected: uuid },
  );
}
