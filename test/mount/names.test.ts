/**
 * Names of any bytes: in arguments, in JSON, on the control files and in what
 * people read, and mountpoints with such names.
 */
import t from 'tap';
import { eachIdentity, type Identity, identities, inWorld, type World } from './harness.js';

/** No second identity is needed for what concerns names alone. */
const user = identities().at(-1) as Identity;

/** bash's words for names: not UTF-8; a backslash that looks like it; a line feed and quotes. */
const NAMES = ["$'raw\\xff'", "'raw\\xff'", '$\'two\\nlines "x"\'', "$'\\xed\\xb3\\xbf'"];
const SHOWN = ['"raw\\xff"', '"raw\\\\xff"', '"two\\x0alines \\"x\\""', '"\\xed\\xb3\\xbf"'];

/** Runs the command line from bash, where words can hold any bytes. */
const line = (world: World, words: string): Promise<string> =>
  world.sh(`node ${world.checkout}/dist/cli/main.js ${words}`, { cwd: world.mnt });

t.test('any name comes back from arguments and JSON', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh(`cd mnt; for n in ${NAMES.join(' ')}; do echo one > "$n"; done`);
    await world.on(['save', 'one']);
    for (const [i, name] of NAMES.entries()) {
      const text = await line(world, `versions ${name}`);
      t.ok(text.includes(` ${SHOWN[i]} `), `${SHOWN[i]} is shown`);
    }
    await world.sh(`cd mnt; for n in ${NAMES.join(' ')}; do echo two > "$n"; done`);
    const listed = (await line(world, 'diff one'))
      .split('\n')
      .filter((text) => text.startsWith('M'));
    t.same(
      listed.map((text) => text.slice(2, text.lastIndexOf(' ('))).sort(),
      [...SHOWN].sort(),
      'each is shown in its own way',
    );
    // A program takes pathBase64 where it is given, and has every name.
    const names = await world.sh(
      `cd mnt; node ${world.checkout}/dist/cli/main.js diff one --json > ../changes
     python3 -c '
import base64, json, os, sys
for change in json.load(open("../changes"))["changes"]:
    name = change.get("pathBase64")
    path = base64.b64decode(name) if name else os.fsencode(change["path"])
    if path: print(open(path).read().strip())
'`,
    );
    t.equal(names, 'two\n'.repeat(NAMES.length));
  }),
);

t.test('control files take bytes, and what is shown', (t) =>
  inWorld(t, user, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    await world.sh(`echo x > $'mnt/raw\\xff'; echo y > 'mnt/raw\\xff'`);
    await world.on(['save', 'one']);
    const ask = (text: string): Promise<string> =>
      world.sh(`exec 3<>mnt/.control/versions; printf '${text}\\n' >&3; cat <&3`);
    t.match(await ask('raw\\377'), /"pathBase64":"cmF3\/w=="/, 'the byte itself');
    t.match(await ask('"raw\\\\xff"'), /"pathBase64":"cmF3\/w=="/, 'as it is shown');
    t.match(await ask('"raw\\\\\\\\xff"'), /"path":"raw\\\\xff","versions"/, 'a backslash');
    const missing = await world.refused(['versions', 'none', '-C', world.mnt]);
    t.match(missing, { code: 'no-such-file' });
    const bad = await world.trySh(`mkdir $'mnt/.snapshots/s\\xff'`);
    t.not(bad.status, 0, "a snapshot's name is text");
    t.match(
      await world.sh(`cd mnt; node ${world.checkout}/dist/cli/main.js save $'s\\xff' 2>&1 || :`),
      /not valid Unicode/,
    );
  }),
);

eachIdentity(t, 'a mountpoint of any name', async (t, world) => {
  const shadowfs = `node ${world.checkout}/dist/cli/main.js`;
  await world.sh(`
    mkdir $'at\\xff'; cd $'at\\xff'; echo old > f
    ${shadowfs} mount . > ../said; cd .
    ${shadowfs} save one; echo new > f; ${shadowfs} restore one
    test "$(cat f)" = old
    cd ..
    ${shadowfs} save two -C $'at\\xff'
    ${shadowfs} status --json -C $'at\\xff' > status
    ${shadowfs} check -C $'at\\xff'
    sleep 60 < $'at\\xff/f' & echo $! > pid
    ! ${shadowfs} umount $'at\\xff' 2> busy
    kill $(cat pid)
    wait $(cat pid) || :
    ${shadowfs} umount $'at\\xff'
    test "$(cat $'at\\xff/f')" = old
  `);
  t.match(await world.sh('cat status'), /"mountpointBase64":/);
  t.match(await world.sh('cat busy'), /at\\xff/, 'who keeps it busy is said');
  const there = await world.trySh(`${shadowfs} mount --no-base mnt --volume $'v\\xff'`);
  t.equal(there.status, 2);
  t.match(there.err, /"\/.*v\\xff": its path must be UTF-8/);
});
