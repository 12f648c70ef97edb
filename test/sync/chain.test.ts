/**
 * Three machines A → B → C, each in a network namespace of its own, with wires
 * between them that are slow, break and fall silent: real work on A, kills,
 * cuts, a full disk, clocks two hours apart, deletions. SEED replays the order
 * of things, ROUNDS and FILES make it longer (FILES=1000000 for a long run).
 */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import t, { type Test } from 'tap';
import { decodeToken, encodeToken } from '../../src/format/wire/pairing-token.js';
import { asRoot } from '../as-root.js';
import { type Answer, inWorld, pause, ROOT, testSeed, type World } from '../mount/harness.js';
import { Random } from '../model/random.js';
import { Namespaces } from './namespaces.js';
import { Relay } from './relay.js';

const ROUNDS = Number(process.env['ROUNDS'] ?? 2);
const FILES = Number(process.env['FILES'] ?? 2_000);
/** Zero after every transaction, and never else. */
const BALANCE =
  'select cast(total(amount) + (select total(amount) from taken) as integer) from sent';
/** Of a machine that was away, and of what was missed meanwhile. */
const WAIT_MS = 150_000 + FILES;
const MB = 1_000_000;
const NAMES = ['a', 'b', 'c'] as const;
type Name = (typeof NAMES)[number];
const CLOCK_SHIFT_MS: Record<Name, number> = { a: 3_600_000, b: 0, c: -3_600_000 };
const PORT = 7433;
/** After so long a silent wire is given up; as people have it, it is 15 s. */
const SILENT_MS = 6_000;

class Chain {
  readonly relays: Relay[] = [];

  constructor(
    readonly t: Test,
    readonly world: World,
    readonly net: Namespaces,
    readonly random: Random,
  ) {}

  on(name: Name, ...words: string[]): Promise<Answer> {
    return this.world.shadowfs([...words, '-C', this.world.path(name)], { timeoutMs: WAIT_MS });
  }

  /** The state of the sync, whatever its exit code. */
  async sync(name: Name): Promise<Answer> {
    const words = ['sync', '--json', '-C', this.world.path(name)];
    return JSON.parse((await this.world.tryShadowfs(words)).out) as Answer;
  }

  async mount(name: Name): Promise<void> {
    const { world, net } = this;
    const clock = `--import=file://${world.fixture('shifted-clock.mjs')}`;
    const volume = world.path(name === 'c' ? 'disk/vc' : `v${name}`);
    const ran = await world.run([
      ...net.inside(name),
      ...['env', `NODE_OPTIONS=${clock}`, `CLOCK_SHIFT_MS=${CLOCK_SHIFT_MS[name]}`],
      ...['node', `${world.checkout}/dist/cli/main.js`, 'mount', '--no-base'],
      ...['--driver', world.driver, '--volume', volume, world.path(name)],
    ]);
    if (ran.status !== 0) throw new Error(`mount ${name}: ${ran.out}${ran.err}`);
  }

  /** `down` follows `up`, over a wire of its own. */
  async pair(up: Name, down: Name): Promise<Relay> {
    const { world, net, random } = this;
    const to = { host: net.far(up), port: PORT };
    const chance = (): number => random.below(1000) / 1000;
    const relay = await Relay.open({ host: net.near(down), port: 0 }, to, chance);
    this.relays.push(relay);
    const listen = `${to.host}:${to.port}`;
    const words = ['peer', 'invite', world.path(up), '--listen', listen, '--name', down];
    const { token } = await world.shadowfs(words);
    // Down there the wire leads to the other machine.
    const addresses = [{ host: net.near(down), port: relay.port }];
    const theirs = encodeToken({ ...decodeToken(String(token)), addresses });
    await world.shadowfs(['peer', 'join', theirs, world.path(down), '--name', up]);
    return relay;
  }

  async until(what: string, isIt: () => Promise<boolean> | boolean): Promise<void> {
    const since = Date.now();
    while (!(await isIt())) {
      if (Date.now() - since > WAIT_MS) {
        const lags = NAMES.map(async (name) => JSON.stringify(await this.sync(name)));
        throw new Error(`never: ${what}\n${(await Promise.all(lags)).join('\n')}`);
      }
      await pause(200);
    }
  }

  async has(name: Name, snapshot: string): Promise<boolean> {
    const ran = await this.world.trySh(`ls ${name}/.snapshots | grep -qxF ${snapshot}`);
    return ran.status === 0;
  }

  arrived(name: Name, snapshot: string): Promise<void> {
    return this.until(`${name} has ${snapshot}`, () => this.has(name, snapshot));
  }

  /** kill -9, and up again. */
  async kill(name: Name): Promise<void> {
    await this.world.crash(this.world.path(name));
    await this.mount(name);
  }

  /** Every stamp gets the number, and a snapshot has them all. */
  async save(snapshot: string): Promise<void> {
    await this.world.sh(`cd a/stamps; for i in $(seq 100); do echo ${snapshot} > $i; done`);
    await this.on('a', 'save', snapshot);
  }

  /** A standby shows one whole snapshot, whatever goes on. */
  async showsOne(name: Name): Promise<void> {
    // While it moves to the next one, a shell that opens file after file sees both, once.
    const ran = await this.world.trySh(
      `for i in 1 2 3; do [ "$(cat ${name}/stamps/* | sort -u | wc -l)" = 1 ] && exit; sleep 0.5; done; exit 1`,
    );
    if (ran.status !== 0) throw new Error(`${name} shows a mix: ${ran.out}${ran.err}`);
  }

  /** What programs find in the snapshot: git, sqlite, and the same as where it was made. */
  async look(name: Name, snapshot: string): Promise<void> {
    const at = `${name}/.snapshots/${snapshot}`;
    await this.world.sh(
      `git -c safe.directory='*' -C ${at}/repo fsck --full --strict --no-dangling 2>&1
       rm -rf db.copy; cp -r ${at}/db db.copy
       [ "$(sqlite3 db.copy/work.db 'pragma integrity_check')" = ok ]
       [ "$(sqlite3 db.copy/work.db "$BALANCE")" = 0 ]
       [ "$(cat ${at}/stamps/* | sort -u)" = ${snapshot} ]
       for part in repo db stamps work big; do
         same_tree a/.snapshots/${snapshot}/$part ${at}/$part
       done`,
      { timeoutMs: WAIT_MS, env: { BALANCE } },
    );
    this.t.pass(`${name} has ${snapshot} as it was made`);
  }

  async locks(name: Name): Promise<{ snapshot: string; type: string; dependent: string }[]> {
    const ran = await this.world.tryShadowfs(['locks', '--json', '-C', this.world.path(name)]);
    const lines = ran.out.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as never);
  }

  /** Nothing but the newest snapshot is held, for whoever needs it. */
  locksAreOnlyOf(snapshot: string): Promise<void> {
    return this.until(`only ${snapshot} is locked`, async () => {
      const [a, b, c] = await Promise.all(NAMES.map((name) => this.locks(name)));
      const isThat = [...(a ?? []), ...(b ?? []), ...(c ?? [])].every(
        (lock) => lock.snapshot === snapshot,
      );
      return isThat && (a?.length ?? 0) >= 1 && (b?.length ?? 0) >= 1;
    });
  }
}

const MATERIAL = `
  cd a; mkdir repo db many work big stamps
  git init -q repo
  sqlite3 db/work.db 'create table sent (amount, text); create table taken (amount)'
  python3 -c "
import os, sys
count = int(sys.argv[1])
for n in range(count):
    if n % 200 == 0: os.mkdir('many/d%d' % (n // 200))
    with open('many/d%d/f%d' % (n // 200, n), 'w') as f: f.write('file %d\\n' % n * (n % 40))
" "$1"
  head -c 20000000 /dev/urandom > big/first; truncate -s 50M big/hole; echo end >> big/hole`;

async function start(chain: Chain): Promise<void> {
  const { world, t } = chain;
  await world.sh(
    `truncate -s ${600 + Math.round(FILES / 100)}M image; mkfs.ext4 -q -m 0 image
     mkdir a b c disk; mount -o loop image disk`,
  );
  for (const name of NAMES) await chain.mount(name);
  await world.sh(`set -- ${FILES}${MATERIAL}`, { timeoutMs: WAIT_MS });
  const [ab, bc] = [await chain.pair('a', 'b'), await chain.pair('b', 'c')];
  for (const relay of [ab, bc]) relay.delayMs = 10;
  await chain.save('start');
  await chain.arrived('c', 'start');
  // Each machine dates by its own clock.
  for (const name of NAMES) {
    await chain.on(name, 'save', `clock-${name}`);
    const ran = await world.tryShadowfs(['snapshots', '--json', '-C', world.path(name)]);
    const line = ran.out.split('\n').find((text) => text.includes(`"clock-${name}"`)) ?? '{}';
    const { createdMs } = JSON.parse(line) as { createdMs: number };
    const shiftMs = createdMs - Date.now();
    t.ok(
      Math.abs(shiftMs - CLOCK_SHIFT_MS[name]) < 60_000,
      `the clock of ${name} is ${shiftMs} ms off`,
    );
  }
}

/** Cut in the middle of a snapshot: what had come down does not come again. */
async function cutsResume(chain: Chain): Promise<void> {
  const { world, relays, t } = chain;
  const [ab, bc] = relays as [Relay, Relay];
  await world.sh(`head -c ${24 * MB} /dev/urandom > a/big/cut`);
  const before = relays.map(({ bytesDown }) => bytesDown);
  ab.cutAfter(9 * MB + 1234);
  bc.cutAfter(15 * MB + 7);
  await chain.save('cut');
  await chain.arrived('c', 'cut');
  for (const [i, relay] of relays.entries()) {
    const carried = relay.bytesDown - (before[i] as number);
    t.equal(relay.cuts, 1, 'it was cut');
    const isOnce = carried > 24 * MB && carried < 24 * MB + 6 * MB;
    t.ok(isOnce, `${carried} bytes for 24 MB: it went on from where it was`);
  }
  await chain.look('c', 'cut');
}

/** What C needs through B is locked on A; plain deletions say whose it is. */
async function locksHold(chain: Chain): Promise<void> {
  const { world, t } = chain;
  await chain.on('c', 'sync', 'pause');
  for (const name of ['next', 'after']) {
    await chain.save(name);
    await chain.arrived('b', name);
  }
  const { uuid: c } = await chain.on('c', 'status');
  await chain.until('B needs only the newest', async () =>
    (await chain.locks('a')).every(
      ({ dependent, snapshot }) => dependent === c || snapshot === 'after',
    ),
  );
  const refused = await world.refused(['delete', 'cut', '-C', world.path('a')]);
  t.match(refused, {
    code: 'snapshot-locked',
    message: /needed by destination \S+ of \/ through b \(peer b, /,
    locks: [{ dependent: c, peer: 'b', type: 'destination' }],
  });
  t.match(await world.refused(['delete', 'cut', '-C', world.path('b')]), {
    code: 'snapshot-locked',
  });
  t.match((await world.trySh('rmdir a/.snapshots/cut')).err, /busy/i);
  await chain.on('c', 'sync', 'resume');
  await chain.arrived('c', 'after');
  await chain.locksAreOnlyOf('after');
  await chain.on('a', 'delete', 'cut');
  t.pass('once C had moved on, it could be deleted');
}

/** The disk of C is full: it says so, shows what it had, and goes on when there is room. */
async function diskFull(chain: Chain): Promise<void> {
  const { world, t } = chain;
  await world.sh(
    `free=$(($(stat -f -c '%a * %S' disk) / 1000000 - 8))
     [ $free -lt 1 ] || fallocate -l "$free"MB disk/filler
     # A volume takes space ahead: more than that. It counts anew after a change.
     echo poke > c/.control/save
     room=$(($(stat -f -c '%a * %S' c)))
     [ $room -lt ${300 * MB + 2000 * Math.max(0, FILES - 2_000)} ] || { echo "room for $room bytes" >&2; exit 1; }
     head -c $((room + 24000000)) /dev/urandom > a/big/full`,
    { timeoutMs: WAIT_MS },
  );
  await chain.save('full');
  await chain.arrived('b', 'full');
  let error = '';
  await chain.until('C says that its disk is full', async () => {
    error = String((await chain.sync('c'))['error']);
    return /space|ENOSPC|full/i.test(error);
  });
  t.comment(error);
  t.notOk(await chain.has('c', 'full'), 'nothing of it is seen');
  await chain.showsOne('c');
  await chain.look('c', 'after');
  await world.sh('rm disk/filler');
  await chain.arrived('c', 'full');
  await chain.look('c', 'full');
}

/** Something bad at a moment that the seed says, while a snapshot travels. */
async function trouble(chain: Chain, round: number): Promise<void> {
  const { random, relays, net, world, t } = chain;
  await world.sh(`head -c ${random.between(1, 6) * MB} /dev/urandom > a/big/r$((${round} % 4))`);
  const name = random.pick(NAMES);
  const relay = random.pick(relays);
  const what = random.pick(['kill', 'kill', 'cut', 'silence', 'link']);
  const afterMs = random.between(0, 1500);
  t.comment(`round ${round}: ${what} ${what === 'kill' || what === 'link' ? name : ''} ${afterMs}`);
  relay.delayMs = random.pick([0, 5, 40]);
  if (what === 'cut') relay.cutAfter(random.between(1, 1_500_000));
  await chain.save(`round-${round}`);
  await pause(afterMs);
  if (what === 'kill') await chain.kill(name);
  if (what === 'silence') {
    relay.silent(true);
    await pause(random.pick([2000, SILENT_MS + 2000]));
    relay.silent(false);
  }
  if (what === 'link') {
    net.setLink(name, false);
    await pause(random.between(500, 4000));
    net.setLink(name, true);
  }
  for (const standby of ['b', 'c'] as const) await chain.showsOne(standby);
  for (const standby of ['b', 'c'] as const) {
    await chain.arrived(standby, `round-${round}`);
    await chain.look(standby, `round-${round}`);
  }
}

asRoot(t, 'a chain of three machines, with work, kills, cuts and a full disk', async (t) => {
  const seed = testSeed(t);
  const random = new Random(createHash('sha256').update(seed).digest().readUInt32LE());
  await inWorld(t, ROOT, async (world) => {
    world.env = {
      SHADOWFS_PEER_SILENT_MS: String(SILENT_MS),
      SHADOWFS_PEER_PAUSE_MS: '2000',
    };
    const net = new Namespaces(NAMES);
    t.teardown(() => net.remove());
    const chain = new Chain(t, world, net, random);
    t.teardown(() => {
      for (const relay of chain.relays) relay.close();
    });
    await start(chain);
    const work = world.start(['bash', world.fixture('chain-work.sh'), world.path('a'), 'stop']);
    const ended = new Promise((resolve) => work.once('exit', resolve));
    await cutsResume(chain);
    await locksHold(chain);
    await diskFull(chain);
    for (let round = 1; round <= ROUNDS; round++) await trouble(chain, round);
    for (const name of ['b', 'c', 'a'] as const) await chain.kill(name);
    fs.writeFileSync(world.path('stop'), '');
    await ended;
    for (const relay of chain.relays) relay.delayMs = 0;
    await chain.save('end');
    for (const name of ['b', 'c'] as const) await chain.arrived(name, 'end');
    for (const name of ['b', 'c']) await world.sh(`same_tree a ${name}`, { timeoutMs: WAIT_MS });
    const commits = await world.sh("git -c safe.directory='*' -C c/repo rev-list --count HEAD");
    t.ok(Number(commits) > 5, `${commits.trim()} commits came along`);
    await chain.look('c', 'end');
    await chain.locksAreOnlyOf('end');
    t.match(await chain.sync('c'), { role: 'standby', upstream: 'b', missingCount: 0 });
  });
});
