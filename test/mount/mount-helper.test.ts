/**
 * mount(8), umount(8), fstab and the programs that show mounts; and the script
 * that installs the helpers. What needs /sbin runs in a mount name space of its
 * own, where /sbin shows the helpers too: the machine's stays as it is.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { asRoot } from '../as-root.js';
import { inWorld, NOBODY, identities, ROOT, type World } from './harness.js';

const as = identities()[0] ?? NOBODY;
const sbin = fs.realpathSync('/sbin');

function isOverlayPossible(): boolean {
  const script = `over=$(mktemp -d)
    mount -t overlay overlay -o "lowerdir=$over:${sbin}" ${sbin}; status=$?
    rmdir "$over"; exit $status`;
  return (
    spawnSync('unshare', ['-m', '--propagation', 'private', 'bash', '-c', script]).status === 0
  );
}

async function install(world: World, ...words: string[]): Promise<string> {
  const script = path.join(world.checkout, 'mount-scripts/install');
  const ran = await world.run([script, '--prefix', world.path('prefix'), ...words]);
  if (ran.status !== 0) throw new Error(`install: ${ran.out}${ran.err}`);
  return ran.out;
}

/** A shell script in a name space where mount(8) finds the helpers. `same WHAT EXPECTED FOUND`. */
async function withHelpers(world: World, script: string): Promise<string> {
  fs.writeFileSync(
    world.path('script'),
    `. "$TOOLS"
    set -euo pipefail
    mount -t overlay overlay -o "lowerdir=$WORLD/prefix/sbin:${sbin}" ${sbin}
    same() { [ "$2" = "$3" ] || { echo "$1: expected $2, found $3" >&2; exit 1; }; }
    # exits CODE COMMAND...
    exits() { local want=$1 got=0; shift; "$@" 2>"$WORLD/err" || got=$?; same "exit code of $*: $(cat "$WORLD/err")" "$want" "$got"; }
    says() { grep -q -- "$1" "$WORLD/err" || { echo "expected $1, said: $(cat "$WORLD/err")" >&2; exit 1; }; }
    gone() { ! findmnt "$1" >/dev/null || { echo "$1 is still mounted" >&2; exit 1; }; }
    flags() { findmnt -n -o VFS-OPTIONS "$1"; }
    B=$WORLD/base M=$MNT V=$WORLD/volume
    mkdir -p "$B"; echo hello >"$B/f"
    ${script}`,
  );
  const words = ['unshare', '-m', '--propagation', 'private', 'bash', world.path('script')];
  const ran = await world.run(words, { timeoutMs: 120_000 });
  if (ran.status !== 0) throw new Error(`exit ${ran.status}\n${ran.out}${ran.err}`);
  return ran.out;
}

/** A test that needs root and the overlay; else it says so. */
function helperTest(title: string, body: (t: Test, world: World) => Promise<void>): void {
  asRoot(t, title, async (t) => {
    if (!isOverlayPossible()) {
      t.comment(`not run: ${title} needs an overlay over ${sbin}`);
      return;
    }
    await inWorld(t, ROOT, async (world) => {
      await install(world);
      await body(t, world);
      t.pass(title);
    });
  });
}

t.test('install is repeatable, says what it did and is undone', (t) =>
  inWorld(t, as, async (world) => {
    const first = await install(world);
    const listed = (): string[] =>
      (fs.readdirSync(world.path('prefix'), { recursive: true }) as string[])
        .filter((name) => !/^lib\/shadowfs\/|\/man1\/shadowfs-/.test(name))
        .sort();
    const names = listed();
    t.same(names, [
      'bin',
      'bin/shadowfs',
      'lib',
      'lib/shadowfs',
      'lib/systemd',
      'lib/systemd/system',
      'lib/systemd/system-generators',
      'lib/systemd/system-generators/shadowfs-generator',
      'lib/systemd/system/shadowfs@.service',
      'sbin',
      'sbin/mount.fuse.shadowfs',
      'sbin/mount.shadowfs',
      'sbin/umount.fuse.shadowfs',
      'sbin/umount.shadowfs',
      'share',
      'share/bash-completion',
      'share/bash-completion/completions',
      'share/bash-completion/completions/shadowfs',
      'share/fish',
      'share/fish/vendor_completions.d',
      'share/fish/vendor_completions.d/shadowfs.fish',
      'share/man',
      'share/man/man1',
      'share/man/man1/shadowfs.1',
      'share/zsh',
      'share/zsh/site-functions',
      'share/zsh/site-functions/_shadowfs',
    ]);
    const page = world.path('prefix/share/man/man1/shadowfs-save.1');
    t.ok(fs.existsSync(page), 'a page for each command');
    t.match(
      fs.readFileSync(world.path('prefix/share/zsh/site-functions/_shadowfs'), 'utf8'),
      /^#compdef shadowfs\n/,
    );
    fs.copyFileSync(page, world.path('prefix/share/man/man1/shadowfs-gone.1'));
    for (const name of names.filter((name) => /shadowfs/.test(name))) {
      t.ok(first.includes(`put ${world.path('prefix', name)}`), `it says ${name}`);
    }
    await install(world);
    t.same(listed(), names, 'a second time changes nothing');
    t.notOk(
      fs.existsSync(world.path('prefix/share/man/man1/shadowfs-gone.1')),
      'pages of an earlier version go',
    );
    t.notOk(fs.existsSync(world.path('prefix/lib/shadowfs/node_modules/tap')), 'no test packages');
    const command = world.path('prefix/bin/shadowfs');
    t.match((await world.run([command, '--version'])).out, /^\d+\.\d+\.\d+\n$/);
    t.match((await world.run([command, 'mount', '--no-base', world.mnt])).out, /^mounted /);
    await world.sh(`echo hi > "$MNT/f"; ${command} umount "$MNT"`);
    const unit = world.path('prefix/lib/systemd/system/shadowfs@.service');
    const verify = await world.run(['systemd-analyze', 'verify', unit]);
    if (/ENOENT|No such file/.test(verify.err)) t.comment('there is no systemd-analyze here');
    else t.same([verify.status, verify.err], [0, ''], 'systemd finds nothing wrong with the unit');
    t.match(await install(world, '--uninstall'), /removed .*sbin\/mount\.shadowfs\n/);
    t.same(listed(), [], 'nothing is left');
    t.match(await install(world, '--uninstall'), /nothing of shadowfs is installed/);
    await world.sh('mkdir -p prefix/sbin; echo other > prefix/sbin/mount.shadowfs');
    await t.rejects(install(world), /is there already and is not ours/);
    await install(world, '--uninstall');
    t.equal(fs.readFileSync(world.path('prefix/sbin/mount.shadowfs'), 'utf8'), 'other\n');
  }),
);

t.test('install refuses what it does not understand', (t) =>
  inWorld(t, as, async (world) => {
    const run = (...words: string[]) =>
      world.run([path.join(world.checkout, 'mount-scripts/install'), ...words]);
    t.equal((await run('--what')).status, 2);
    t.equal((await run('--prefix')).status, 2);
    t.equal((await run('--prefix', 'relative')).status, 1);
    t.equal((await run('--prefix', '/')).status, 1);
  }),
);

t.test('the helper by itself: codes and messages', (t) =>
  inWorld(t, as, async (world) => {
    const helper = (...words: string[]) => world.tryShadowfs(words);
    await world.sh('mkdir base; echo hello > base/f');
    for (const [status, message, ...words] of [
      [1, /usage: mount\.shadowfs/, 'mount.shadowfs'],
      [1, /unknown option what; known: volume/, world.path('base'), world.mnt, '-o', 'what'],
      [32, /base .* does not exist/, world.path('no'), world.mnt],
      [32, /mountpoint .* does not exist/, 'none', world.path('no')],
      [1, /usage: umount\.shadowfs/, 'umount.shadowfs'],
      [32, /no volume is mounted on/, 'umount.shadowfs', world.mnt],
      [32, /no volume is mounted on/, 'none', world.mnt, '-o', 'remount,ro'],
    ] as [number, RegExp, ...string[]][]) {
      const ran = await helper(...words);
      t.equal(ran.status, status, words.join(' '));
      t.match(ran.err, message);
      t.match(ran.err, /^u?mount\.shadowfs: /);
    }
    const { status, out } = await helper(world.path('base'), world.mnt, '-f', '-o', 'rw');
    t.same([status, out], [0, ''], 'a fake mount checks and is silent');
    t.equal((await world.sh('ls "$MNT"')).trim(), '', 'and mounts nothing');
    // What mount.fuse3 runs.
    t.equal((await helper(world.path('base'), world.mnt, '-o', 'ro,dev,suid')).status, 0);
    t.equal(await world.sh('cat "$MNT/f"'), 'hello\n');
    t.match((await world.trySh('echo x > "$MNT/f"')).err, /Read-only/);
    const twice = await helper(world.path('base'), world.mnt);
    t.same([twice.status, /is mounted already/.test(twice.err)], [32, true]);
    t.equal((await helper('umount.shadowfs', '-v', world.mnt)).status, 0);
  }),
);

helperTest('mount, and what the usual programs show', async (t, world) => {
  const shown = await withHelpers(
    world,
    `mount -t fuse.shadowfs "$B" "$M" -o "volume=$V,allow_other,nosuid,nodev,noexec,noatime,nofail,_netdev,x-systemd.automount,user=somebody"
    same findmnt "$B $M fuse.shadowfs" "$(findmnt -n -o SOURCE,TARGET,FSTYPE "$M" | tr -s ' ')"
    flags "$M"
    same df "$B fuse.shadowfs $M" "$(df -h --output=source,fstype,target "$M" | tail -n 1 | tr -s ' ')"
    [ "$(df -k --output=avail "$M" | tail -n 1)" -gt 1000 ]
    cp /bin/true "$M/program"
    exits 126 "$M/program"
    sleep 100 <"$M/f" &
    same fuser "$!" "$(fuser -m "$M" 2>/dev/null | tr -d ' ')"
    same lsof "$!" "$(lsof -t "$M" 2>/dev/null)"
    exits 32 umount "$M"
    says "sleep (pid $!)"
    kill %1; wait %1 2>/dev/null || true
    umount "$M"; gone "$M"; gone "$B"
    same 'the base' 1 "$(ls -A "$B" | wc -l)"
    mount -t shadowfs none "$M" -o ro
    same 'no base' 'none fuse.shadowfs' "$(findmnt -n -o SOURCE,FSTYPE "$M" | tr -s ' ')"
    exits 1 touch "$M/x"; says 'Read-only'
    fusermount3 -u "$M"; gone "$M"
    mount -t fuse.shadowfs "$B" "$M" -o "volume=$V"
    same 'the volume is the same' yes "$([ -x "$M/program" ] && echo yes)"
    cd "$M"; exits 32 umount "$M"; umount -l "$M"; cd /; gone "$M"
    wait_for sh -c 'cd "$WORLD"; ! fuser -s "$1/data.mdb"' - "$V"
    mount -v -t fuse.shadowfs "$B" "$M" -o "volume=$V" 2>"$WORLD/err"; says 'mounted on'
    umount -f "$M"; gone "$M"`,
  );
  t.match(shown, /^rw,nosuid,nodev,noexec,noatime/);
  await world.check(['--volume', world.path('volume')]);
});

helperTest("mount's exit codes are its own", async (_t, world) => {
  await withHelpers(
    world,
    `exits 32 mount -t fuse.shadowfs "$B/no" "$M"; says 'does not exist'
    exits 32 mount -t fuse.shadowfs "$B" "$M/no"; says 'not exist'
    exits 1 mount -t fuse.shadowfs "$B" "$M" -o what=x; says 'unknown option what'
    exits 32 mount -t fuse.shadowfs "$B/f" "$M"; says 'not a directory'
    mount -s -t fuse.shadowfs "$B" "$M" -o "volume=$V,what=x"
    exits 32 mount -t fuse.shadowfs none "$M"; says 'mounted already'
    mkdir "$WORLD/second"
    exits 32 mount -t fuse.shadowfs "$B" "$WORLD/second" -o "volume=$V"; says 'process'
    umount "$M"`,
  );
});

helperTest('remount', async (_t, world) => {
  await withHelpers(
    world,
    `mount -t fuse.shadowfs "$B" "$M" -o "volume=$V,nosuid,nodev"
    mount -o remount,ro "$M"
    same 'read-only' ro,nosuid,nodev,noatime "$(flags "$M")"
    exits 1 touch "$M/x"; says 'Read-only'
    echo still >"$M/.control/save"
    mount -o remount,rw,noexec "$M"
    same 'writable' rw,nosuid,nodev,noexec,noatime "$(flags "$M")"
    mount -o remount,strictatime,exec "$M" 2>"$WORLD/err"; says 'strictatime: reads never change access times'
    same 'access times' rw,nosuid,nodev,noatime "$(flags "$M")"
    exec 5>"$M/x"
    exits 32 mount -o remount,ro "$M"; says 'open for writing'
    exec 5>&-
    umount "$M"
    mount -t fuse.shadowfs "$B" "$M" -o "volume=$V,ro"
    exits 32 mount -o remount,rw "$M"; says 'was mounted read-only'
    umount "$M"`,
  );
  await world.check(['--volume', world.path('volume')]);
});

helperTest('fstab', async (_t, world) => {
  await withHelpers(
    world,
    `cd "$WORLD"; mkdir m2 m3 m4 'with space' u user .data data; chown 65534 u user; chmod 700 user
    cat >fstab <<END
$B $M fuse.shadowfs volume=$V,defaults,noatime,nofail,_netdev 0 0
none $WORLD/m2 shadowfs allow_other,relatime 0 0
$WORLD/m3 $WORLD/m3 fuse.shadowfs x-systemd.mount-timeout=30 0 0
none $WORLD/with\\\\040space fuse.shadowfs noexec 0 0
none $WORLD/m4 shadowfs noauto 0 0
none $WORLD/u fuse.shadowfs noauto,user 0 0
tmpfs $WORLD/.data tmpfs defaults 0 0
$WORLD/.data $WORLD/data fuse.shadowfs x-systemd.requires-mounts-for=$WORLD/.data 0 0
END
    mount -T fstab -a 2>err; says 'relatime: reads never change access times'
    same 'whatever is asked for' rw,noatime "$(flags m2)"
    same 'all are there' 5 "$(findmnt -n -l -t fuse.shadowfs -o TARGET | grep -c "^$WORLD")"
    mount -T fstab -a
    same 'a second time adds none' 5 "$(findmnt -n -l -t fuse.shadowfs -o TARGET | grep -c "^$WORLD")"
    echo x >m3/kept; echo y >'with space/y'
    touch .data/on-the-disk; same 'over a disk of fstab' on-the-disk "$(ls data)"; echo z >data/kept
    umount "$M" m2 m3 'with space' data; wait_for umount .data
    same 'in place' 0 "$(ls m3 | wc -l)"
    wait_for mount -T fstab m3 # The last one may be storing still.
    same 'in place, again' x "$(cat m3/kept)"
    umount m3
    mount --bind fstab /etc/fstab
    mount "$WORLD/m4"; umount "$WORLD/m4"
    as() { SHADOWFS_STATE_DIR=$WORLD/user/state XDG_RUNTIME_DIR=$WORLD/user setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    as mount "$WORLD/u"
    same 'a user may' rw,nosuid,nodev,noexec,noatime "$(flags u)"
    as umount "$WORLD/u"; gone "$WORLD/u"`,
  );
});

helperTest('mount.fuse3', async (_t, world) => {
  await withHelpers(
    world,
    `export PATH=$WORLD/prefix/bin:$PATH
    mount.fuse3 "shadowfs#$B" "$M" -o "volume=$V,nofail,ro"
    same 'the old way to write it' "$B fuse.shadowfs" "$(findmnt -n -o SOURCE,FSTYPE "$M" | tr -s ' ')"
    umount "$M"
    wait_for mount.fuse3 "$B" "$M" -t fuse.shadowfs -o "volume=$V"
    umount "$M"
    exits 1 mount.fuse3 "$B" "$M" -t fuse.shadowfs -o drop_privileges; says drop_privileges`,
  );
});
