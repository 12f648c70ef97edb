/** Programs that watch files with inotify hear what a restore changed. */
import t from 'tap';
import { EXCEPTIONS } from './driver-exceptions.js';
import { eachIdentity, identities, inWorld, isNative, pause, type World } from './harness.js';

interface Last {
  programCount: number;
  watchedCount: number;
  told: number;
  failedCount: number;
}

/** Settles when `status` says of the watchers what is wanted. */
async function watchers(world: World, wanted: (last: Last) => boolean): Promise<Last> {
  for (let i = 0; i < 200; i++) {
    const status = (await world.on(['status'])) as unknown as { watchers: { last: Last | null } };
    const { last } = status.watchers;
    if (last !== null && wanted(last)) return last;
    await pause(50);
  }
  throw new Error('status never said so');
}

const EVENTS = `
watch() { # LOG OPTION...: runs inotifywait, and returns when it watches
  local log=$1; shift
  : > "$log"
  inotifywait -m -o "$log" --format '%e %w%f' "$@" > /dev/null 2> "$log.said" & echo $! >> watchers
  wait_for grep -q established "$log.said"
}
saw() { # LOG LINE
  wait_for grep -qxF -- "$2" "$1" || { cat "$1"; return 1; }
}
times() { find "$MNT" -printf '%P %C@ %T@ %m %n %s\\n' | sort; }
m=$MNT/src
`;

const MAKE = `mkdir -p base/src/sub; cd base/src; echo old > changed; echo g > gone
  echo m > sub/moved; echo s > same; touch -d 2001-01-01 *`;

const CHANGE = `
cd "$MNT/src"; echo other > changed; rm gone; echo new > added; mkdir made; echo x > made/x
ln -s changed link; mv sub/moved moved; chmod 700 sub`;

/** From the restore's answer on, whoever looks must see the restored tree, and nothing else. */
const RESTORE_AND_LOOK = `${EVENTS}
echo start > "$MNT/.control/restore"
look() {
  [ -e "$m/gone" ] || echo gone is not there
  [ -e "$m/added" ] && echo added is there
  [ -d "$m/made" ] && echo made is there
  [ "$(cat "$m/changed")" = old ] || echo changed is other
  [ -z "$(ls -A "$m" | grep -vxE 'changed|gone|same|sub')" ] || ls -A "$m"
}
for i in $(seq 600); do
  look
  grep -qxF "CREATE $m/sub/moved" dirs.log && grep -qxF "ATTRIB,ISDIR $m/sub" dirs.log && break
done > seen || true
look >> seen || true
[ ! -s seen ] || { sort seen | uniq -c; exit 1; }
`;

const skip = isNative && `NOT RUN: no-watchers: ${EXCEPTIONS['no-watchers']}`;

t.test('events of a restore', { skip }, (t) => {
  eachIdentity(t, 'every change has its event, and nothing else changes', async (t, world) => {
    await world.sh(MAKE);
    await world.mount(['base', 'mnt']);
    await world.on(['save', 'start']);
    await world.sh(CHANGE);
    await world.sh(`${EVENTS} times > changed.times
      watch dirs.log -r "$m"; watch files.log "$m/changed" "$m/same"`);
    await world.sh(RESTORE_AND_LOOK);
    await world.sh(`${EVENTS}
      saw dirs.log "MODIFY $m/changed"; saw dirs.log "CLOSE_WRITE,CLOSE $m/changed"
      saw dirs.log "CREATE $m/gone"; saw dirs.log "CLOSE_WRITE,CLOSE $m/gone"
      saw dirs.log "DELETE $m/added"; saw dirs.log "DELETE $m/link"; saw dirs.log "DELETE $m/moved"
      saw dirs.log "DELETE,ISDIR $m/made"; saw dirs.log "DELETE_SELF $m/made/"
      saw dirs.log "CREATE $m/sub/moved"; saw dirs.log "ATTRIB,ISDIR $m/sub"
      saw files.log "DELETE_SELF $m/changed"
      ! grep -E "[.]shadowfs-|(CREATE|DELETE) $m/(changed|same)$|(MODIFY|ATTRIB) $m/same" dirs.log`);
    t.match(await watchers(world, () => true), { programCount: 2, failedCount: 0 });
    t.match(await world.on(['diff', 'start']), { changes: [] }, 'the tree is as it was saved');
    await world.sh(`${EVENTS} ls -d "$MNT"/.snapshots/undo-* | sed 's,.*/,,' > undo
      : > dirs.log; cat undo > "$MNT/.control/restore"
      saw dirs.log "DELETE $m/gone"; saw dirs.log "CREATE $m/added"; saw dirs.log "CREATE $m/link"
      saw dirs.log "CREATE,ISDIR $m/made"; saw dirs.log "DELETE $m/sub/moved"
      saw dirs.log "MODIFY $m/changed"; saw dirs.log "MODIFY $m/added"
      times | diff changed.times -; kill $(cat watchers)`);
  });

  const [first] = identities();
  if (first === undefined) throw new Error('nobody to be');

  t.test('nobody watches, or notify=off: nothing is done', (t) =>
    inWorld(t, first, async (world) => {
      await world.sh(MAKE);
      await world.mount(['base', 'mnt']);
      await world.on(['save', 'start']);
      await world.sh(`${EVENTS} watch other.log base/src`);
      await world.sh(CHANGE);
      await world.on(['restore', 'start']);
      // The next command is answered after the look for watchers has begun; it takes no longer.
      await pause(500);
      t.match(await world.on(['status']), { watchers: { last: null } });
      await world.umount();
      await world.mount(['-o', 'notify=off', 'base', 'mnt']);
      await world.sh(CHANGE);
      await world.sh(`${EVENTS} watch dirs.log -r "$m"`);
      await world.on(['restore', 'start']);
      await pause(500);
      t.match(await world.on(['status']), { watchers: null });
      await world.sh('kill $(cat watchers); ! grep -E "CREATE|MODIFY|DELETE " dirs.log');
    }),
  );

  t.test('programs of developers: fs.watch, tsc --watch; then an unmount at once', (t) =>
    inWorld(t, first, async (world) => {
      await world.sh('mkdir -p base/src; echo "export const a: number = 1;" > base/src/a.ts');
      await world.mount(['base', 'mnt']);
      await world.on(['save', 'start']);
      await world.sh(`echo 'export const a: number = "x";' > "$MNT/src/a.ts"
        cat > watch.cjs <<'.'
        const fs = require('node:fs');
        for (const path of ['src', 'src/a.ts']) {
          fs.watch(process.env.MNT + '/' + path, (event, name) => console.log(path, event, name));
        }
        console.log('watching');
.
        node watch.cjs > fs.log 2>&1 & echo $! >> watchers
        node "${world.checkout}/node_modules/typescript/bin/tsc" --watch --noEmit --strict "$MNT/src/a.ts" > tsc.log 2>&1 & echo $! >> watchers
        wait_for grep -q 'Found 1 error' tsc.log || cat tsc.log; wait_for grep -q watching fs.log`);
      await world.on(['restore', 'start']);
      await world.sh(`wait_for grep -q 'Found 0 errors' tsc.log
        wait_for grep -qxF 'src change a.ts' fs.log; wait_for grep -qxF 'src/a.ts rename a.ts' fs.log
        echo 'export const a: number = "y";' > "$MNT/src/a.ts"
        wait_for grep -qF '"y"' tsc.log || wait_for test "$(grep -c 'Found 1 error' tsc.log)" = 2`);
      await world.on(['restore', 'start']);
      await world.umount();
      await world.sh('kill $(cat watchers)');
    }),
  );

  t.test('chokidar: a restore, and the undo of it', (t) =>
    inWorld(t, first, async (world) => {
      const { version } = JSON.parse(
        await world.sh(`cat "${world.checkout}/node_modules/chokidar/package.json"`),
      ) as { version: string };
      await world.sh(`${MAKE}; mkdir tree; echo i > tree/in`);
      await world.mount(['base', 'mnt']);
      await world.on(['save', 'start']);
      await world.sh(`cd "$MNT/src"; echo other > changed; rm gone; echo new > added
        mv sub/moved moved; mv tree grown`);
      await world.sh(`node "${world.fixture('chokidar-log.mjs')}" "$MNT/src" >> chokidar.log 2>&1 &
        echo $! >> watchers; wait_for grep -qx ready chokidar.log; : > chokidar.log`);
      const events = (lines: string[]): string =>
        `${EVENTS}\n${lines.map((line) => `saw chokidar.log "${line}"`).join('\n')}
        ! grep -vxF -e ${lines.map((line) => `"${line}"`).join(' -e ')} chokidar.log; : > chokidar.log`;
      await world.on(['restore', 'start']);
      await world.sh(
        events([
          ...['change changed', 'add gone', 'unlink added', 'unlink moved', 'add sub/moved'],
          ...['unlinkDir grown', 'unlink grown/in', 'addDir tree', 'add tree/in'],
        ]),
      );
      await world.on(['undo']);
      await world.sh(
        events([
          ...['change changed', 'unlink gone', 'add added', 'add moved', 'unlink sub/moved'],
          ...['addDir grown', 'add grown/in', 'unlinkDir tree', 'unlink tree/in'],
        ]),
      );
      t.pass(`chokidar ${version} said what changed, and nothing else`);
      await world.sh('kill $(cat watchers)');
    }),
  );

  t.test('what the kernel refuses is said, and nothing but the mount is touched', (t) =>
    inWorld(t, first, async (world) => {
      await world.sh(
        `${MAKE}; mkdir locked; echo l > locked/l; chmod 500 locked; cd ../..; mkdir over`,
      );
      await world.mount(['base', 'mnt']);
      await world.on(['save', 'start']);
      await world.sh('cd "$MNT/src"; chmod 700 locked; echo x > locked/new; rm locked/l; rm gone');
      const isRoot = first.uid === 0;
      // Another file system over a directory that changes: its files have the same names.
      if (isRoot) await world.sh('mount --bind over "$MNT/src/locked"; echo mine > over/new');
      await world.sh(`${EVENTS} watch dirs.log -r "$m"`);
      if (isRoot) await world.sh('umount "$MNT/src/locked"');
      await world.sh(`${EVENTS} watch more.log "$m/locked"`);
      if (isRoot) await world.sh('mount --bind over "$MNT/src/locked"');
      await world.on(['restore', 'start']);
      const last = await watchers(world, () => true);
      t.ok(last.failedCount >= 2, 'no way into that directory');
      t.match(world.log(), /not of \d+ \(.*(EXDEV|EACCES)/);
      if (isRoot) await world.sh('test "$(cat over/new)" = mine; umount "$MNT/src/locked"');
      await world.sh(`${EVENTS} saw dirs.log "CREATE $m/gone"; kill $(cat watchers)`);
    }),
  );
  t.end();
});
