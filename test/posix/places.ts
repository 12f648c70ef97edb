/**
 * Where the same checks run: a plain directory of this machine, whose answers
 * count, and everything that must answer as it does.
 */
import path from 'node:path';
import { EXCEPTION_NAMES, type ExceptionName } from '../mount/driver-exceptions.js';
import type { RunOptions, World } from '../mount/harness.js';

export interface Place {
  name: string;
  /** What it can't do: checks that need it are left out, others answer by native-answers.ts. */
  lacks: readonly ExceptionName[];
  /** Makes it ready in a world of its own; gives its directory. */
  prepare: (world: World) => Promise<string>;
}

/** A volume over nothing; root lets other users in, since it plays them. */
function mounted(name: string, words: string[], lacks: readonly ExceptionName[] = []): Place {
  return {
    name,
    lacks,
    prepare: async (world) => {
      const isOpen = world.identity.uid === 0 && !lacks.includes('no-other-users');
      const others = isOpen ? ['--allow-other'] : [];
      await world.shadowfs(['mount', '--no-base', ...others, ...words, 'mnt']);
      return world.mnt;
    },
  };
}

export const PLAIN: Place = {
  name: 'a plain directory',
  lacks: [],
  prepare: async (world) => {
    await world.sh('mkdir plain');
    return world.path('plain');
  },
};

/** Every way to mount; one line each. */
export const PLACES: readonly Place[] = [
  mounted('the kernel driver', ['--driver', 'kernel']),
  mounted('the kernel driver with writeback', ['--driver', 'kernel', '-o', 'writeback=on']),
  mounted('the fuse-native driver', ['--driver', 'fuse-native'], EXCEPTION_NAMES),
];

/** One check of a group: its name, what it gave, and what must not be lacking for it to run. */
export type Line = readonly [check: string, result: unknown, ...needed: ExceptionName[]];

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
