/** What commands need of a mount, for tests that have none: each part does nothing. */
import { Deferred } from '../../../src/lib/deferred.js';
import { settledWith } from '../../../src/lib/work.js';
import type { CommandParts } from '../../../src/daemon/commands/command-parts.js';
import type { View } from '../../../src/volume/view.js';

export const idleParts: Omit<
  CommandParts<View>,
  'volume' | 'restored' | 'agent' | 'nowMs' | 'log'
> = {
  quiesce: () => settledWith<void>(undefined),
  inspect: () => settledWith({}),
  mount: () => settledWith({}),
  freeze: {
    begin: () => undefined,
    end: () => undefined,
    run: () => new Deferred(),
    stop: () => new Deferred(),
    isRunning: false,
    progress: { done: 0, total: 0 },
  },
  apply: {
    run: () => new Deferred(),
    undo: () => new Deferred(),
    progress: { done: 0, total: 0 },
  },
  merge: { run: () => new Deferred(), progress: { done: 0, total: 0 } },
  checkDemotion: () => undefined,
  random: Math.random,
  peering: () => settledWith({}),
  named: (text) => text,
};
