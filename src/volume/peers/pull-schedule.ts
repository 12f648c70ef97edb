/** How often a standby pulls, when a person has set that: kept in `meta`. */
import { formatEvery, parseEvery } from '../../format/text/schedule.js';
import { type Catalog, readMeta } from '../catalog.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { VolumeCore } from '../core.js';

const META = 'pull';
/** As soon as there is news. */
export const ALWAYS = 'always';

export class PullSchedule {
  #everyMs: number | undefined;

  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    readonly commands: SnapshotCommands,
  ) {
    const text = readMeta<unknown>(core.reader, META);
    this.#everyMs = typeof text === 'string' ? parseEvery(text) : undefined;
  }

  /** Undefined: as soon as there is news. */
  get everyMs(): number | undefined {
    return this.#everyMs;
  }

  /** `every 10m`, or `always`. Throws CommandError `bad-schedule`. */
  set(text: string, source: string): { every: string } {
    this.commands.writable();
    this.#everyMs = text === ALWAYS ? undefined : parseEvery(text);
    const every = this.#everyMs === undefined ? ALWAYS : formatEvery(this.#everyMs);
    this.catalog.putMeta(META, this.#everyMs === undefined ? undefined : every);
    const { core } = this;
    this.catalog.addHistory({
      timeMs: core.clock.nowMs(),
      command: 'sync',
      layer: core.live.top,
      source,
      outcome: every,
    });
    return { every };
  }
}
