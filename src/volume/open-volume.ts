/** Opens a volume's store, and finds everything that can be wrong with it. */
import type { Clock } from '../lib/clock.js';
import { CommandError } from '../lib/errors.js';
import { invariant } from '../lib/invariant.js';
import { logFor } from '../lib/log.js';
import { NEWEST_FORMAT } from '../format/records/volume-format.js';
import { checkVolumeFiles } from '../store/open.js';
import { StoreReader } from '../store/reader.js';
import { spaceWhenOpened } from '../store/space.js';
import type { BaseDirectory } from '../base/base-directory.js';
import { readMeta } from './catalog.js';
import type { StoredBase } from './create-volume.js';
import { frozenOf } from './freeze/frozen.js';
import type { TxgSink } from './commit/txg-sink.js';
import { InlineSink } from './commit/inline-sink.js';
import { applyLog, openToRead } from './log/log-replay.js';
import { NoSink } from './commit/no-sink.js';
import type { VolumeOptions } from './options.js';
import type { StartWriter } from './commit/start-writer.js';
import { ThreadSink } from './commit/thread-sink.js';
import { checkRevision, revisionOf, upgradeVolume } from './upgrade.js';

const log = logFor('volume');

export interface VolumeOpenOptions {
  path: string;
  /** Must be given exactly if the volume was made over a base. */
  base?: { path: string; directory: BaseDirectory };
  /** Accept a base that is a different directory from before. */
  reattach?: boolean;
  readOnly?: boolean;
  clock?: Clock;
  /** 'thread': a writer thread that signals `wakeFd`, started by `start`; 'inline': the caller's thread; 'none': read-only. */
  writer:
    | { kind: 'thread'; wakeFd: number; start?: StartWriter }
    | { kind: 'inline' }
    | { kind: 'none' };
  /** The intent log: flushed while the thread goes on, or within the fsync; absent: none. */
  log?: { flush: 'async' | 'inline'; bytes?: number };
}

export interface OpenedStore {
  reader: StoreReader;
  sink: TxgSink;
  options: VolumeOptions;
  stored: StoredBase | undefined;
  uuid: string;
  readOnly: boolean;
}

/**
 * Throws CommandError: not-a-volume, volume-damaged, volume-unusable, newer-format, base-mismatch,
 * log-not-applied.
 */
export function openStore(what: VolumeOpenOptions): OpenedStore {
  if (what.writer.kind === 'none') return openOnlyToRead(what);
  checkVolumeFiles(what.path);
  const probe = StoreReader.open(what.path);
  let about: About;
  try {
    about = readAbout(what, probe);
  } finally {
    probe.close();
  }
  applyLog(what.path, about.options.compression);
  const { compression } = about.options;
  for (const added of upgradeVolume(what.path, about.revision, { compression })) {
    log(`${what.path}: the volume is upgraded: ${added}`);
  }
  const sink = openSink(what, about);
  const reader = StoreReader.open(what.path);
  return { reader, sink, ...about, readOnly: what.readOnly === true };
}

/** Writes nothing in the volume's directory and starts no thread. */
function openOnlyToRead(what: VolumeOpenOptions): OpenedStore {
  const reader = openToRead(what.path);
  try {
    const about = readAbout(what, reader);
    const stats = reader.stats();
    const { quotaBytes } = about.options;
    const quota = quotaBytes > 0 ? quotaBytes : undefined;
    const sink = new NoSink(spaceWhenOpened(what.path, stats, quota));
    return { reader, sink, ...about, readOnly: true };
  } catch (error) {
    reader.close();
    throw error;
  }
}

type About = Pick<OpenedStore, 'options' | 'stored' | 'uuid'> & { revision: number };

function readAbout(what: VolumeOpenOptions, reader: StoreReader): About {
  checkFormat(what.path, readMeta<number>(reader, 'format'));
  checkRevision(what.path, reader);
  const options = readMeta<VolumeOptions>(reader, 'options');
  const stored = readMeta<StoredBase>(reader, 'base');
  const uuid = readMeta<string>(reader, 'uuid');
  invariant(options !== undefined && uuid !== undefined, 'a volume has options and a uuid');
  checkBase(what, stored, frozenOf(reader) !== undefined);
  return { options, stored, uuid, revision: revisionOf(reader) };
}

/** `known`: the newest format that the reader knows. */
export function checkFormat(path: string, format: number | undefined, known = NEWEST_FORMAT): void {
  if (format === undefined) {
    throw new CommandError('not-a-volume', 'EINVAL', `${path}: not a shadowfs volume`);
  }
  if (format > known) {
    throw new CommandError(
      'newer-format',
      'EINVAL',
      `${path}: the volume has format ${format}; this shadowfs knows formats up to ${known}`,
    );
  }
}

/** Rule D10: refuses a base that was replaced as a whole. */
function checkBase(
  what: VolumeOpenOptions,
  stored: StoredBase | undefined,
  isFrozen: boolean,
): void {
  const { path, base } = what;
  if (what.writer.kind === 'none' && base === undefined && what.reattach === true) return;
  // Whatever is there now, nothing is read from it.
  if (isFrozen) return;
  if (stored === undefined && base !== undefined) {
    throw new CommandError(
      'base-mismatch',
      'EINVAL',
      `${path}: the volume has no base, but ${base.path} was given`,
    );
  }
  if (stored !== undefined && base === undefined) {
    throw new CommandError(
      'base-mismatch',
      'EINVAL',
      `${path}: the volume belongs over ${stored.path}`,
    );
  }
  if (stored === undefined || base === undefined || what.reattach === true) return;
  const { hostInode, btimeS, btimeNs } = base.directory.rootStat;
  const isSame =
    stored.hostInode === hostInode && stored.btimeS === btimeS && stored.btimeNs === btimeNs;
  if (!isSame) {
    throw new CommandError(
      'base-mismatch',
      'EINVAL',
      `${path}: the volume was made over ${stored.path}, and ${base.path} is another directory ` +
        '(use -o reattach if it is the same content in a new place)',
    );
  }
}

function openSink(what: VolumeOpenOptions, { options, stored }: About): TxgSink {
  const setup = {
    path: what.path,
    compression: options.compression,
    quotaBytes: options.quotaBytes,
    blockSize: options.blockSize,
    hasBase: stored !== undefined,
  };
  return what.writer.kind === 'thread'
    ? new ThreadSink(setup, what.writer.wakeFd, what.writer.start)
    : new InlineSink(setup);
}
