/**
 * What others do in the base while it is mounted: `ls`, `stat` and `cat` give
 * one answer, and soon the new one (decision 0012). Both directions: names that
 * appear, go, and come to lead elsewhere; looked at before, and not.
 */
import t from 'tap';
import { asRoot } from '../as-root.js';
import { identities, inWorld, isNative, NOBODY, ROOT, type World } from './harness.js';

const identity = identities().at(-1) ?? NOBODY;

/**
 * Everything has been looked at, names that do not exist too. Then `change` is made in the base;
 * `look NAME` prints what the listing, stat and cat say about a name, as one word each.
 */
const LOOK = `
look() { # DIR NAME
  local listed stated read
  listed=$(ls "$1" | grep -qx "$2" && echo yes || echo no)
  stated=$(stat -c %s "$1/$2" 2>/dev/null || echo none)
  read=$(cat "$1/$2" 2>/dev/null | head -c 20 | tr '\\n' ' ' || true)
  echo "$2 $listed $stated $read" | sed 's/ *$//'
}
# becomes DIR NAME WANTED: soon, all at once, never some of both.
becomes() {
  local i got
  for i in $(seq 60); do
    got=$(look "$1" "$2")
    [ "$got" = "$2 $3" ] && return
    sleep 0.05
  done
  echo "$1/$2: $got, not $3" >&2; return 1
}`;

/** Names in all states, in the tree and in a snapshot. */
async function compare(world: World, places: readonly string[]): Promise<void> {
  await world.sh(
    `${LOOK}
    for p in ${places.join(' ')}; do
      ls -lR $p > /dev/null; cat $p/d/* $p/top > /dev/null; cat $p/d/appears $p/appears 2> /dev/null || true
    done
    cd base
    echo new > d/appears; echo new > appears; rm d/goes; echo longer text > other; mv other d/replaced
    echo rewritten > d/written; mv d/old-name d/new-name; mkdir made; echo in > made/file
    mv moved-directory elsewhere; rm -r removed-directory; chmod 600 d/mode; ln -s top link
    cd ..
    for p in ${places.join(' ')}; do
      becomes $p/d appears 'yes 4 new'; becomes $p appears 'yes 4 new'; becomes $p/d goes 'no none'
      becomes $p/d replaced 'yes 12 longer text'; becomes $p/d written 'yes 10 rewritten'
      becomes $p/d old-name 'no none'; becomes $p/d new-name 'yes 5 name'; becomes $p/made file 'yes 3 in'
      becomes $p/elsewhere inside 'yes 7 inside'; becomes $p/moved-directory inside 'no none'
      becomes $p/removed-directory x 'no none'; becomes $p link 'yes 3 top'; becomes $p top 'yes 4 top'
      wait_for test "$(stat -c %a $p/d/mode)" = 600
    done
    # And back.
    rm base/d/appears base/appears; echo back > base/d/goes
    for p in ${places.join(' ')}; do
      becomes $p/d appears 'no none'; becomes $p appears 'no none'; becomes $p/d goes 'yes 5 back'
    done`,
    { timeoutMs: 120_000 },
  );
}

const BASE = `mkdir -p base/d base/moved-directory base/removed-directory; cd base
  echo old > d/goes; echo old > d/replaced; echo old > d/written; echo name > d/old-name; echo x > d/mode
  echo inside > moved-directory/inside; echo x > removed-directory/x; echo top > top; cd ..`;

t.test('names and contents that others change', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh(BASE);
    await world.mount(['base', 'mnt']);
    await world.on(['save', 's']);
    await compare(world, isNative ? ['mnt'] : ['mnt', 'mnt/.snapshots/s']);
    // Where the volume has a say of its own, it has the say.
    await world.sh(`${LOOK}
      cd "$MNT"; echo mine > d/goes; rm d/written; echo own > d/appears; ls d > /dev/null; cd ..
      echo theirs > base/d/goes; echo theirs > base/d/written; echo theirs > base/d/appears; echo x > base/d/marker
      becomes mnt/d marker 'yes 2 x'
      becomes mnt/d goes 'yes 5 mine'; becomes mnt/d written 'no none'; becomes mnt/d appears 'yes 4 own'`);
    t.pass('one answer, the new one');
  }),
);

t.test('below a mount in place, from a shell that stands there', (t) =>
  inWorld(t, identity, async (world) => {
    await world.sh(`${LOOK}
      cd "$MNT"; mkdir d
      node ${world.checkout}/dist/cli/main.js mount "$MNT" 2> /dev/null
      ls "$MNT" "$MNT/d" > /dev/null; cat "$MNT/d/new" 2> /dev/null || true
      echo hello > d/new
      becomes "$MNT/d" new 'yes 6 hello'; rm d/new; becomes "$MNT/d" new 'no none'`);
    t.pass('what it writes into the base shows in the mount');
  }),
);

if (!isNative) {
  t.test('a program holds a file that is rewritten underneath', (t) =>
    inWorld(t, identity, async (world) => {
      await world.sh('mkdir base; seq 20000 > base/f; seq 20000 > base/own');
      await world.mount(['base', 'mnt']);
      const seen = await world.sh(`python3 - <<'END'
import os, time
f = open('mnt/f', 'rb', buffering=0); own = open('mnt/own', 'r+b', buffering=0)
own.write(b'OWN'); os.fsync(own.fileno())
old = f.read(1 << 20)
new = old[::-1]
for name in ('f', 'own'):
    with open('base/' + name, 'wb') as b: b.write(new)
for i in range(100):
    try: data = os.pread(f.fileno(), 1 << 20, 0)
    except OSError as e: data = b'errno %d' % e.errno
    if data != old: break
    time.sleep(0.02)
print('new' if data == new else data[:20])
try: print(os.pread(own.fileno(), 1 << 20, 200000)[:10] in old)
except OSError as e: print('errno', e.errno)
END`);
      t.match(seen, /^new\n/, 'an untouched file is as it is in the base');
    }),
  );

  asRoot(t, 'where nothing tells of changes', (t) =>
    inWorld(t, ROOT, async (world) => {
      await world.sh(BASE);
      // Another FUSE file system: what changes below it is not heard of.
      await world.sh('mkdir lower; mv base/* lower; bindfs lower base');
      try {
        await world.mount(['base', 'mnt']);
        await world.sh(`${LOOK}
          ls -l mnt mnt/d > /dev/null; cat mnt/d/* mnt/top > /dev/null; cat mnt/d/appears 2> /dev/null || true
          echo new > lower/d/appears; rm lower/d/goes; echo longer text > lower/d/replaced
          becomes mnt/d appears 'yes 4 new'; becomes mnt/d goes 'no none'`);
        t.pass('it is asked for again after a moment');
      } finally {
        await world.sh('umount "$MNT"; wait_for umount base');
      }
    }),
  );
}
