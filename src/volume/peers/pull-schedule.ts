/** How often a standby pulls, when a person has set that: kept in `meta`. */
import { formatEvery, parseEvery } from '../../format/text/schedule.js';
import type { Catalog } from '../catalog.js';
import type { SnapshotCommands } from '../snapshots/snapshot-commands.js';
import type { VolumeCore } from '../core.js';
import { SyncOption } from './sync-option.js';

const META = 'pull';
/** As soon as there is news. */
export const ALWAYS = 'always';

export class PullSchedule {
  #everyMs: number | undefined;
  readonly #option: SyncOption;

  constructor(
    core: VolumeCore,
    catalog: Catalog,
    readonly commands: SnapshotCommands,
  ) {
    this.#option = new SyncOption(core, catalog, META);
    const text = this.#option.read();
    this.#everyMs = text === undefined ? undefined : parseEvery(text);
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
    const stored = this.#everyMs === undefined ? undefined : every;
    this.#option.set(stored, { outcome: every, source });
    return { every };
  }
}
