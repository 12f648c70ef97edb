/** An option of the sync that a person sets: a text in `meta`, and a line of the history. */
import { type Catalog, readMeta } from '../catalog.js';
import type { VolumeCore } from '../core.js';

export class SyncOption {
  constructor(
    readonly core: VolumeCore,
    readonly catalog: Catalog,
    /** The key of `meta`. */
    readonly key: string,
  ) {}

  /** Undefined: nobody has set it. */
  read(): string | undefined {
    const text = readMeta<unknown>(this.core.reader, this.key);
    return typeof text === 'string' ? text : undefined;
  }

  /** `text` undefined: it is as if nobody had set it. Durable with the next commit. */
  set(text: string | undefined, { outcome, source }: { outcome: string; source: string }): void {
    const { core, catalog } = this;
    catalog.putMeta(this.key, text);
    catalog.addHistory({
      timeMs: core.clock.nowMs(),
      command: 'sync',
      layer: core.main.live.top,
      source,
      outcome,
    });
  }
}
