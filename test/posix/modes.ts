/** The settings in which the differential fuzzer runs. */
import { identities } from '../mount/harness.js';
import type { Mode } from './differential.js';

/** For every identity: over nothing and over a base, without and with the writeback cache. */
export function fuzzModes(): Mode[] {
  return identities().flatMap((identity) =>
    [false, true].flatMap((overBase) =>
      [false, true].map((writeback): Mode => {
        const maps = overBase !== writeback;
        const mixedUsers = identity.uid === 0 && !writeback;
        const title = [
          overBase ? 'over a base' : 'over nothing',
          writeback ? 'writeback' : 'write-through',
          ...(maps ? ['maps'] : []),
          `as ${identity.name}${mixedUsers ? ' and others' : ''}`,
        ].join(', ');
        return { title, identity, overBase, writeback, maps, mixedUsers };
      }),
    ),
  );
}
