/**
 * The options of a volume as text, as `mount`, `options` and the control file
 * take them: `quota=10G`, `compression=on`. Pure. A new one is a field and a line
 * here, a field of `VolumeOptions` (`src/volume/options.ts`), and its use.
 */
import { CommandError } from '../../lib/errors.js';

/** Absent: the default, or as it is. */
export interface OptionChanges {
  blockSize?: number;
  compression?: boolean;
  quotaBytes?: number;
  keepUndo?: number;
  snapshotsName?: string;
  controlName?: string;
}

const SIZE_UNITS: Record<string, number> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

export function badOption(message: string): CommandError {
  return new CommandError('bad-option', 'EINVAL', message);
}

/** Bytes of `4096`, `32K`, `10G` … */
export function parseSize(key: string, text: string): number {
  const match = /^(\d{1,15})([KMGT]?)(?:i?B)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (SIZE_UNITS[(match?.[2] ?? '').toUpperCase()] ?? 1);
  if (match === null || !Number.isSafeInteger(bytes)) {
    throw badOption(`${key}=${text}: expected a size such as 32K or 10G`);
  }
  return bytes;
}

export function parseSwitch(key: string, text: string): boolean {
  if (text === 'on' || text === 'yes' || text === '') return true;
  if (text === 'off' || text === 'no') return false;
  throw badOption(`${key}=${text}: expected on or off`);
}

function parseCount(key: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw badOption(`${key}=${text}: expected a number`);
  return Number(text);
}

type Setter = (changes: OptionChanges, key: string, value: string) => void;

const SETTERS: Record<string, Setter> = {
  'block-size': (o, key, value) => (o.blockSize = parseSize(key, value)),
  compression: (o, key, value) => (o.compression = parseSwitch(key, value)),
  quota: (o, key, value) => (o.quotaBytes = value === 'none' ? 0 : parseSize(key, value)),
  'keep-undo': (o, key, value) => (o.keepUndo = parseCount(key, value)),
  'snapshots-name': (o, _key, value) => (o.snapshotsName = value),
  'control-name': (o, _key, value) => (o.controlName = value),
};

export const VOLUME_OPTION_KEYS = Object.keys(SETTERS);

/** False: the volume has no such option. Throws CommandError `bad-option`. */
export function setVolumeOption(changes: OptionChanges, key: string, value: string): boolean {
  const set = Object.hasOwn(SETTERS, key) ? SETTERS[key] : undefined;
  set?.(changes, key, value);
  return set !== undefined;
}

/** All of `key=value`. Throws CommandError `bad-option`. */
export function parseVolumeOptions(pairs: Iterable<readonly [string, string]>): OptionChanges {
  const changes: OptionChanges = {};
  for (const [key, value] of pairs) {
    if (setVolumeOption(changes, key, value)) continue;
    throw badOption(`a volume has no option ${key}; it has ${VOLUME_OPTION_KEYS.join(' ')}`);
  }
  return changes;
}
