/**
 * Calls and errnos of POSIX and Linux: groups of checks run in a plain
 * directory and on mounts, as root and as an ordinary user, and every answer
 * is compared. What may differ stands in accepted.ts, and of the fuse-native
 * driver in native-answers.ts.
 */
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { isRoot } from '../as-root.js';
import { type Identity, identities, inWorld, type World } from '../mount/harness.js';
import { ACCEPTED } from './accepted.js';
import { NATIVE_ANSWERS, type NativeAnswer } from './native-answers.js';
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
async function runAll(world: World, dir: string, place: Place): Promise<Map<string, Line[]>> {
  await world.sh(`cd '${dir}' && chmod 755 . && mkdir ${GROUPS.join(' ')}`);
  const answers = new Map<string, Line[]>();
  const left = [...GROUPS];
  const env = { LACKS: place.lacks.join(' ') };
  const work = async (): Promise<void> => {
    for (let group = left.shift(); group !== undefined; group = left.shift()) {
      answers.set(group, await runGroup(world, group, `${dir}/${group}`, [], { env }));
    }
  };
  await Promise.all([work(), work(), work()]);
  return answers;
}

/** Those of native-answers.ts that were met. */
const met = new Set<NativeAnswer>();

/** The exception of a driver by which an answer differs. */
function exceptionOf(
  place: Place,
  group: string,
  [check, plain]: Line,
  here: unknown,
): string | undefined {
  const answer = NATIVE_ANSWERS.find(
    (known) =>
      place.lacks.includes(known.exception) &&
      known.group === group &&
      known.check.test(check) &&
      known.isThat(here, plain),
  );
  if (answer !== undefined) met.add(answer);
  return answer?.exception;
}

/** One assertion per group; what differs is listed. */
function compare(t: Test, place: Place, group: string, plain: Line[], got: Line[]): void {
  const lacked = ([, , needed]: Line): boolean =>
    needed !== undefined && place.lacks.includes(needed);
  const expected = plain.filter((line) => !lacked(line));
  t.same(
    got.map(([check]) => check),
    expected.map(([check]) => check),
    `${place.name}, ${group}: the same checks`,
  );
  const exceptions = plain.filter(lacked).map(([, , needed]) => String(needed));
  const differences = expected.flatMap((line, i) => {
    const [check, result] = line;
    const here = got[i]?.[1];
    if (isDeepStrictEqual(here, result)) return [];
    const isAccepted = ACCEPTED.some(
      (known) =>
        known.group === group &&
        known.check === check &&
        place.name.includes(known.place ?? '') &&
        isDeepStrictEqual(known.here, here),
    );
    if (isAccepted) return [];
    const exception = exceptionOf(place, group, line, here);
    if (exception === undefined) return [{ check, plain: result, here }];
    exceptions.push(exception);
    return [];
  });
  t.same(differences, [], `${place.name}, ${group}: ${expected.length} answers`);
  for (const name of new Set(exceptions)) {
    const count = exceptions.filter((other) => other === name).length;
    t.comment(`exception ${name}: ${count} checks of ${group} are left out or answer otherwise`);
  }
}

function asIdentity(identity: Identity): void {
  t.test(`as ${identity.name}`, async (t) => {
    const inPlace = async (place: Place): Promise<Map<string, Line[]>> => {
      let answers = new Map<string, Line[]>();
      await t.test(place.name, (t) =>
        inWorld(t, identity, async (world) => {
          answers = await runAll(world, await place.prepare(world), place);
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
    t.same(
      NATIVE_ANSWERS.filter((answer) => !met.has(answer)),
      [],
      'every exception of the fuse-native driver is seen',
    );
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
