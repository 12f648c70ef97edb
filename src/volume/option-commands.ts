/**
 * Changing a volume's options after it was made. The quota and the number of
 * undo snapshots count at once. Compression and the hidden names count from the
 * next opening: what is compressed is the writer's affair from its start, and
 * the kernel and programs have the names.
 */
import { isDeepStrictEqual } from 'node:util';
import { CommandError } from '../lib/errors.js';
import type { OptionChanges } from '../format/text/volume-options.js';
import { layerKey } from '../format/records/keys.js';
import { TABLE } from '../format/records/tables.js';
import { encodeJson } from '../format/records/values.js';
import { StoreWriter } from '../store/writer.js';
import type { Catalog } from './catalog.js';
import { readMeta } from './catalog.js';
import type { VolumeCore } from './core.js';
import { applyLog } from './log/log-replay.js';
import { openStore } from './open-volume.js';
import {
  checkQuota,
  type ShownOptions,
  shownOptions,
  type VolumeOptions,
  withChanges,
} from './options.js';
import type { SnapshotCommands } from './snapshots/snapshot-commands.js';

const META = 'options';
const COMMAND = 'options';

export interface OptionsAnswer {
  options: ShownOptions;
  /** Those of the changes that count from the next mount on. */
  changedAtNextMount: string[];
}

export class OptionCommands {
  #stored: VolumeOptions;

  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly commands: SnapshotCommands,
  ) {
    this.#stored = structuredClone(core.options);
  }

  /** As the next opening finds them; null: they are those in effect. */
  get atNextMount(): ShownOptions | null {
    return isDeepStrictEqual(this.#stored, this.core.options) ? null : shownOptions(this.#stored);
  }

  /** Throws CommandError bad-option, option-fixed. */
  set(changes: OptionChanges, source: string): OptionsAnswer {
    this.commands.writable();
    refuseNothing(changes);
    const { core } = this;
    const options = withChanges(this.#stored, changes);
    if (changes.quotaBytes !== undefined) {
      checkQuota(options.quotaBytes, core.sink.space().fileBytes);
    }
    this.#stored = options;
    this.catalog.putMeta(META, options);
    core.options.keepUndo = options.keepUndo;
    if (core.options.quotaBytes !== options.quotaBytes) {
      core.options.quotaBytes = options.quotaBytes;
      core.sink.setQuota(options.quotaBytes);
    }
    this.catalog.addHistory({
      command: COMMAND,
      source,
      outcome: textOf(changes),
      details: { ...changes },
    });
    return {
      options: shownOptions(options),
      changedAtNextMount: laterNames(core.options, options),
    };
  }
}

/** Names of the options that differ. Pure. */
function laterNames(now: VolumeOptions, next: VolumeOptions): string[] {
  const pairs: [string, unknown, unknown][] = [
    ['compression', now.compression, next.compression],
    ['snapshots-name', now.hiddenNames.snapshots, next.hiddenNames.snapshots],
    ['control-name', now.hiddenNames.control, next.hiddenNames.control],
  ];
  return pairs.filter(([, a, b]) => a !== b).map(([name]) => name);
}

function refuseNothing(changes: OptionChanges): void {
  if (Object.keys(changes).length > 0) return;
  throw new CommandError('bad-option', 'EINVAL', 'no option to change was given');
}

/** For the history. Pure. */
function textOf(changes: OptionChanges): string {
  return Object.entries(changes)
    .map(([key, value]) => `${key}=${String(value)}`)
    .join(' ');
}

/**
 * As `OptionCommands.set`, for a volume that is not mounted; the caller owns it. One transaction.
 * Throws CommandError as opening does, and FsError.
 */
export function changeStoredOptions(
  path: string,
  changes: OptionChanges,
  { source, nowMs }: { source: string; nowMs: number },
): OptionsAnswer {
  refuseNothing(changes);
  const { reader, options: before } = openStore({
    path,
    writer: { kind: 'none' },
    reattach: true,
  });
  reader.close();
  const options = withChanges(before, changes);
  applyLog(path, before.compression);
  const writer = StoreWriter.open(path, { compression: before.compression });
  try {
    const { lastPage, pageBytes } = writer.stats();
    if (changes.quotaBytes !== undefined) {
      checkQuota(options.quotaBytes, (lastPage + 1) * pageBytes);
    }
    writer.transaction((tx) => {
      const sequence = readMeta<number>(tx, 'nextHistory') ?? 1;
      const record = {
        timeMs: nowMs,
        command: COMMAND,
        layer: (readMeta<number>(tx, 'nextLayer') ?? 1) - 1,
        source,
        outcome: textOf(changes),
        details: { ...changes },
      };
      tx.put(TABLE.history, layerKey(sequence), encodeJson(record));
      tx.put(TABLE.meta, Buffer.from('nextHistory'), encodeJson(sequence + 1));
      tx.put(TABLE.meta, Buffer.from('options'), encodeJson(options));
    });
  } finally {
    writer.close();
  }
  return { options: shownOptions(options), changedAtNextMount: laterNames(before, options) };
}
