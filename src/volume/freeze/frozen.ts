/**
 * What a volume knows of its freeze (rule A12): when it was, and which directory
 * was its base. From then on it is a volume without a base.
 */
import type { BaseDirectory } from '../../base/base-directory.js';
import type { TableReader } from '../../store/reader.js';
import { type Catalog, readMeta } from '../catalog.js';
import type { StoredBase } from '../create-volume.js';
import type { VolumeCore } from '../core.js';

export interface FrozenMeta {
  timeMs: number;
  /** Still where people look for the volume. */
  base: StoredBase | null;
}

const FROZEN_META = 'frozen';

/** Undefined: the volume was not frozen. */
export function frozenOf(reader: TableReader): FrozenMeta | undefined {
  return readMeta<FrozenMeta>(reader, FROZEN_META);
}

/** The base directory, or what was it before a freeze: the volume belongs to it. */
export function homeOf(reader: TableReader): StoredBase | undefined {
  return readMeta<StoredBase>(reader, 'base') ?? frozenOf(reader)?.base ?? undefined;
}

export class Frozen {
  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
  ) {}

  /** Ms since 1970; null: the volume was not frozen. */
  get sinceMs(): number | null {
    return frozenOf(this.core.reader)?.timeMs ?? null;
  }

  /** Nothing is read from the base any more. */
  record(source: string, details: Record<string, unknown>): void {
    const { catalog, core } = this;
    const timeMs = core.clock.nowMs();
    const base = readMeta<StoredBase>(core.reader, 'base') ?? null;
    catalog.noteApplied();
    catalog.putMeta(FROZEN_META, { timeMs, base });
    catalog.putMeta('base', undefined);
    const layer = core.main.live.top;
    catalog.addHistory({ timeMs, command: 'freeze', layer, source, outcome: 'frozen', details });
  }

  /** After a freeze: no view needs the base, and whoever opened it closes it. */
  releaseBase(): BaseDirectory | undefined {
    const { core } = this;
    const { base } = core;
    core.base = undefined;
    core.basePaths.clear();
    core.baseEpoch++;
    return base;
  }
}
