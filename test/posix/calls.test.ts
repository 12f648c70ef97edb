/**
 * Calls and errnos of POSIX and Linux: groups of checks run in a plain
 * directory and on mounts, as root and as an ordinary user, and every answer
 * is compared. What may differ stands in accepted.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { isRoot } from '../as-root.js';
import { type Identity, identities, inWorld, type World } from '../mount/harness.js';
import { ACCEPTED } from './accepted.js';
import { type Line, PLACES, PLAIN, type Place, runGroup } from './places.js';

const GROUPS = [
  'links',
  'special',
  'permissions',
  'times',
  'rename',
  'files',
  'holes',
  'maps',
  'locks',
  'xattrs',
  'directories',
  'watches',
];

/** The answers of all groups, each in a directory of its own. */
async function runAll(world: World, dir: string): Promise<Map<string, Line[]>> {
  await world.sh(`cd '${dir}' && chmod 755 . && mkdir ${GROUPS.join(' ')}`);
  const answers = new Map<string, Line[]>();
  const left = [...GROUPS];
  const work = async (): Promise<void> => {
    for (let group = left.shift(); group !== undefined; group = left.shift()) {
      answers.set(group, await runGroup(world, group, `${dir}/${group}`));
    }
  };
  await Promise.all([work(), work(), work()]);
  return answers;
}

/** One assertion per group; what differs is listed. */
function compare(t: Test, place: Place, group: string, expected: Line[], got: Line[]): void {
  t.same(
    got.map(([check]) => check),
    expected.map(([check]) => check),
    `${place.name}, ${group}: the same checks`,
  );
  const differences = expected.flatMap(([check, result], i) => {
    const here = got[i]?.[1];
    if (isDeepStrictEqual(here, result)) return [];
    const isAccepted = ACCEPTED.some(
      (known) =>
        known.group === group &&
        known.check === check &&
        place.name.includes(known.place ?? '') &&
        isDeepStrictEqual(known.here, here),
    );
    return isAccepted ? [] : [{ check, plain: result, here }];
  });
  t.same(differences, [], `${place.name}, ${group}: ${expected.length} answers`);
}

function asIdentity(identity: Identity): void {
  t.test(`as ${identity.name}`, async (t) => {
    const inPlace = async (place: Place): Promise<Map<string, Line[]>> => {
      let answers = new Map<string, Line[]>();
      await t.test(place.name, (t) =>
        inWorld(t, identity, async (world) => {
          answers = await runAll(world, await place.prepare(world));
        }),
      );
      return answers;
    };
    const plain = await inPlace(PLAIN);
    for (const place of PLACES) {
      const answers = await inPlace(place);
      for (const group of answers.keys()) {
        compare(t, place, group, plain.get(group) ?? [], answers.get(group) ?? []);
      }
    }
    if (identity.uid !== 0) return;
    const known = (group: string, check: string): boolean =>
      plain.get(group)?.some(([name]) => name === check) === true;
    t.same(
      ACCEPTED.filter(({ group, check }) => !known(group, check)),
      [],
      'every accepted difference is of a check that there is',
    );
  });
}

if (!isRoot) t.comment('not run as root, with its devices and other users');
for (const identity of identities()) asIdentity(identity);
