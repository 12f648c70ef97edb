/**
 * shadowfs as people get it: a Debian package, installed, used and purged in a mount
 * name space where /usr, /etc and /var are laid over (the machine's stay as they are);
 * and an npm package, installed into an empty prefix where no compiler is found.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { asRoot } from '../as-root.js';
import { inWorld, ROOT, type World } from './harness.js';

const LONG = { timeoutMs: 180_000 };
const has = (command: string): boolean => spawnSync('which', [command]).status === 0;

/** A script in a mount name space of its own. */
async function apart(world: World, script: string): Promise<string> {
  fs.writeFileSync(
    world.path('script'),
    `set -euo pipefail
    mkdir -p "$WORLD/over"; mount -t tmpfs tmpfs "$WORLD/over"
    for name in usr etc var; do
      mkdir -p "$WORLD/over/$name/upper" "$WORLD/over/$name/work"
      mount -t overlay overlay -o "lowerdir=/$name,upperdir=$WORLD/over/$name/upper,workdir=$WORLD/over/$name/work" "/$name"
    done
    ${script}`,
  );
  const words = ['unshare', '-m', '--propagation', 'private', 'bash', world.path('script')];
  const ran = await world.run(words, LONG);
  if (ran.status !== 0) throw new Error(`exit ${ran.status}\n${ran.out}${ran.err}`);
  return ran.out;
}

asRoot(t, 'the Debian package is installed, used, and purged', async (t) => {
  if (!has('dpkg-deb')) {
    t.comment('not run: there is no dpkg here');
    return;
  }
  await inWorld(t, ROOT, async (world) => {
    const make = path.join(world.checkout, 'mount-scripts/make-deb');
    const made = await world.run([make, world.dir], LONG);
    t.equal(made.status, 0, made.err);
    const file = made.out.trim();
    t.match(path.basename(file), /^shadowfs_\d+\.\d+\.\d+_\w+\.deb$/);
    const listed = await world.sh(`dpkg-deb -c '${file}'`);
    t.notMatch(listed, /typescript|\/tap\/|biome/, 'nothing that only developing needs');
    const said = await apart(
      world,
      `
      # Node.js may come from elsewhere than a package here.
      dpkg --force-depends -i '${file}' >/dev/null
      hash -r
      test "$(command -v shadowfs)" = /usr/bin/shadowfs
      shadowfs --version
      mkdir "$WORLD/base" "$WORLD/view"; echo hello >"$WORLD/base/f"
      mount -t fuse.shadowfs "$WORLD/base" "$WORLD/view"
      shadowfs -C "$WORLD/view" save first
      echo changed >"$WORLD/view/f"
      shadowfs -C "$WORLD/view" restore first
      cat "$WORLD/view/f"
      shadowfs umount "$WORLD/view"
      MANPAGER=cat man shadowfs-save 2>/dev/null | grep -c 'save the tree' || test ! -e /usr/bin/man
      dpkg -V shadowfs
      bash -c '. /usr/share/bash-completion/completions/shadowfs; complete -p shadowfs'
      test -s /usr/share/doc/shadowfs/copyright
      zcat /usr/share/doc/shadowfs/changelog.gz | grep -q Changelog
      grep -q '^ExecStart=/usr/sbin/mount.shadowfs ' /usr/lib/systemd/system/shadowfs@.service
      dpkg --purge shadowfs
      ! dpkg -s shadowfs >/dev/null 2>&1
      find /usr /etc -name '*shadowfs*' | grep -v "$WORLD" >"$WORLD/left" || :
      find "$HOME" -name data.mdb`,
    );
    t.match(said, /^\d+\.\d+\.\d+\n/);
    t.match(said, /saved .*view as first/);
    t.match(said, /\nhello\n/, 'a mount by mount(8) was saved and restored');
    t.match(said, /complete .*_shadowfs shadowfs/);
    t.equal(fs.readFileSync(world.path('left'), 'utf8'), '', 'a purge leaves nothing');
    t.match(said, /data\.mdb\n$/, 'but the volumes');
  });
});

/** What npm needs to reach its registry from here; and its cache, which saves most of that. */
function networkEnvironment(): Record<string, string> {
  const kept = Object.entries(process.env).filter(([name]) =>
    /^(NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|(https?|no)_proxy)$/i.test(name),
  );
  const cache = spawnSync('npm', ['config', 'get', 'cache'], { encoding: 'utf8' }).stdout.trim();
  return { ...(Object.fromEntries(kept) as Record<string, string>), npm_config_cache: cache };
}

asRoot(t, 'npm install -g, where no compiler is found', async (t) => {
  const reached = spawnSync('npm', ['view', 'koffi', 'version'], { timeout: 60_000 });
  if (reached.status !== 0) {
    t.comment('not run: the npm registry is not reached');
    return;
  }
  await inWorld(t, ROOT, async (world) => {
    // What `prepack` builds would change this checkout while other tests use it.
    await world.sh(
      `
      cp -R '${world.checkout}/dist' '${world.checkout}/mount-scripts' '${world.checkout}/native-notes' .
      cp '${world.checkout}'/{package.json,README.md,LICENSE} .
      node '${world.checkout}/dist/cli/main.js' __files share
      npm pack --silent --ignore-scripts >packed
      mkdir tools prefix
      for file in /bin/* /usr/bin/*; do
        case \${file##*/} in
          cc | c++ | gcc* | g++* | clang* | make | gmake | python* | *-gcc* | *-g++* | ld | as) ;;
          *) ln -sf "$file" tools/ ;;
        esac
      done
      ln -sf "$(command -v node)" tools/node`,
      LONG,
    );
    const packed = await world.sh('tar -tzf "$(cat packed)"');
    for (const name of ['dist/cli/main.js', 'share/man1/shadowfs.1', 'mount-scripts/install']) {
      t.match(packed, `package/${name}\n`);
    }
    t.notMatch(packed, /tsbuildinfo|package\/(test|src)\//);
    const env = { ...networkEnvironment(), PATH: world.path('tools') };
    await world.sh('! command -v gcc && ! command -v make && ! command -v python3', { env });
    await world.sh(
      'npm install --global --prefix "$WORLD/prefix" --prefer-offline --no-audit --no-fund "./$(cat packed)" >installed 2>&1 || { cat installed >&2; exit 1; }',
      { env, ...LONG },
    );
    const shadowfs = world.path('prefix/bin/shadowfs');
    t.match((await world.run([shadowfs, '--version'], { env })).out, /^\d+\.\d+\.\d+\n$/);
    await world.sh(
      `mkdir base; echo hello > base/f
      '${shadowfs}' mount base mnt; '${shadowfs}' -C mnt save first
      echo changed > mnt/f; '${shadowfs}' restore first -C mnt; grep -q hello mnt/f
      '${shadowfs}' umount mnt`,
      { env },
    );
    // On processors for which fuse-native has no ready-made program it can't be built.
    fs.rmSync(world.path('prefix/lib/node_modules/shadowfs/node_modules/fuse-native'), {
      recursive: true,
      force: true,
    });
    const without = await world.run([shadowfs, 'mount', '--driver', 'fuse-native', 'base', 'mnt'], {
      env,
    });
    t.match([without.status, without.err], [1, /fuse-native/]);
    t.match((await world.run([shadowfs, 'mount', 'base', 'mnt'], { env })).out, /^mounted /);
    await world.sh(`'${shadowfs}' umount mnt`, { env });
  });
});
