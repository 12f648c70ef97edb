/** Shells and programs that stand in the directory that a mount covers, and how they learn of it. */
import t from 'tap';
import { asRoot } from '../as-root.js';
import { type Answer, identities, inWorld, NOBODY, ROOT } from './harness.js';

const identity = identities().at(-1) ?? NOBODY;

t.test('a shell mounts the directory in which it stands', (t) =>
  inWorld(t, identity, async (world) => {
    const cli = `node ${world.checkout}/dist/cli/main.js`;
    await world.sh('mkdir mnt/d; echo old > mnt/f');
    const { out, err } = await world.trySh(`cd "$MNT"
      sleep 60 < f & other=$!
      (cd d; exec sleep 60) & inside=$!
      sleep 0.3
      ${cli} mount . 2> ../told; cat ../told
      echo into-the-base > new
      for words in "save one" "diff one" status "snapshots" "restore one"; do
        ${cli} $words --json > ../answer 2> ../warned || echo "failed: $words"
        echo "$words: $(grep -c 'cd .' ../warned) $(grep -c uncovered-directory ../answer)"
      done
      echo "base $(cat new) mount $(ls "$MNT")"
      # A directory that the mount has no more.
      mkdir only; rm -r "$MNT/only"; cd only; ${cli} save two 2>&1; cd ..
      cd .; ls; ${cli} save three 2>&1
      ${cli} umount . 2>&1; echo "pids $other $inside"
      cd /; ${cli} umount "$MNT" 2>&1; kill $other $inside`);
    const [, other, inside] = /pids (\d+) (\d+)/.exec(out) ?? [];
    t.match(out, new RegExp(`sleep \\(pid ${other}\\): open file ${world.mnt}/f`), out + err);
    t.match(out, new RegExp(`sleep \\(pid ${inside}\\): working directory ${world.mnt}/d`));
    t.match(
      out,
      /:\n {2}bash \(pid \d+, this shell\): working directory/,
      'the own shell comes first',
    );
    const told = out.slice(0, out.indexOf('save one'));
    t.match(
      told.trim().split('\n').at(-1),
      /this shell stands there itself.* cd \.$/,
      'and is told last',
    );
    t.match(out, /save one: 1 1\ndiff one: 1 1\nstatus: 1 1\nsnapshots: 1 0\nrestore one: 1 1\n/);
    t.match(
      out,
      /base into-the-base mount d\nf\nnew\n/,
      'what it wrote went into the base, and shows',
    );
    t.match(out, /cd \.\nsaved .* as two/);
    t.match(
      out.slice(out.indexOf('as two')),
      /\nd\nf\nnew\nsaved .* as three/,
      'after cd . nothing is warned of',
    );
    t.match(
      out,
      /is in use:\n {2}bash \(pid \d+, this shell\): working directory .*\nthis shell stands in it itself: leave it/,
    );
    t.match(out, /unmounted .*everything is stored/);
  }),
);

t.test('over another base, in JSON, and who is not there', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh('mkdir base; echo 1 > base/f');
    const cli = `node ${world.checkout}/dist/cli/main.js`;
    const out = await world.sh(
      `cd "$MNT"; ${cli} mount ../base . --json; cd /; ${cli} umount "$MNT"`,
    );
    const answer = JSON.parse(out.split('\n')[0] ?? '') as Answer;
    t.match(answer, {
      ok: true,
      usesBelow: [{ command: 'bash', how: 'working directory', path: world.mnt, isOwnShell: true }],
      warnings: [
        { code: 'uncovered-directory' },
        { code: 'uncovered-directory', message: /cd \./ },
      ],
    });
    const quiet = await world.mount(['mnt']);
    t.same(quiet['usesBelow'], []);
    t.notOk('warnings' in quiet);
    // Inside a mount that lies in the mount, and by an absolute path, nobody is misled.
    const inside = await world.sh(
      `cd "$MNT"; mkdir deep; cd deep; ${cli} save a --json; cd /; ${cli} save b --json -C "$MNT"`,
    );
    t.notMatch(inside, /warnings/);
  }),
);

asRoot(t, "root's mount names the processes of others, by mount(8), too", (t) =>
  inWorld(t, ROOT, async (world) => {
    await world.sh('chmod 755 "$WORLD" "$MNT"');
    const ran =
      await world.sh(`(cd "$MNT"; exec setpriv --reuid=65534 --clear-groups sleep 60) & other=$!
      sleep 0.3; node ${world.checkout}/dist/cli/main.js mount.shadowfs "$MNT" "$MNT" 2>&1; kill $other; echo "pid $other"`);
    const [, pid] = /pid (\d+)\n$/.exec(ran) ?? [];
    t.match(
      ran,
      new RegExp(
        `mount.shadowfs: these processes.*\\n {2}sleep \\(pid ${pid}\\): working directory`,
      ),
      ran,
    );
  }),
);
