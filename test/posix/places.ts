/**
 * Where the same checks run: a plain directory of this machine, whose answers
 * count, and everything that must answer as it does.
 */
import path from 'node:path';
import type { RunOptions, World } from '../mount/harness.js';

export interface Place {
  name: string;
  /** Makes it ready in a world of its own; gives its directory. */
  prepare: (world: World) => Promise<string>;
}

/** A volume over nothing; root lets other users in, since it plays them. */
function mounted(name: string, words: string[]): Place {
  return {
    name,
    prepare: async (world) => {
      const others = world.identity.uid === 0 ? ['--allow-other'] : [];
      await world.shadowfs(['mount', '--no-base', ...others, ...words, 'mnt']);
      return world.mnt;
    },
  };
}

export const PLAIN: Place = {
  name: 'a plain directory',
  prepare: async (world) => {
    await world.sh('mkdir plain');
    return world.path('plain');
  },
};

/** Every way to mount; one line each. */
export const PLACES: readonly Place[] = [
  mounted('the kernel driver', ['--driver', 'kernel']),
  mounted('the kernel driver with writeback', ['--driver', 'kernel', '-o', 'writeback=on']),
];

/** One check of a group: its name and what it gave. */
export type Line = readonly [check: string, result: unknown];

/** Runs a group of checks in `cwd`; throws when it does not come to its end. */
export async function runGroup(
  world: World,
  group: string,
  cwd: string,
  words: string[] = [],
  options: RunOptions = {},
): Promise<Line[]> {
  const script = path.join(world.checkout, 'test/posix/fixtures', `${group}.py`);
  const env = { PYTHONDONTWRITEBYTECODE: '1', ...options.env };
  const ran = await world.run(['python3', script, ...words], {
    timeoutMs: 110_000,
    ...options,
    cwd,
    env,
  });
  if (ran.status !== 0) {
    const last = ran.out.trimEnd().split('\n').at(-1);
    throw new Error(`${group} in ${cwd}: exit ${ran.status} after ${last}\n${ran.err}`);
  }
  return ran.out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
}
