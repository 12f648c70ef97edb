/**
 * Worlds for end-to-end tests: a temporary directory, an identity (root or an
 * ordinary user), the built command line, and what a test needs to drive
 * programs on a mount.
 *
 * What must hold: this process never touches a mount, only child processes do,
 * and each of them has a time limit; whatever happens, the teardown (or, should
 * this process be killed, a watcher) detaches every mount of the world and ends
 * its daemons; a world that ended well has
 * been checked, mounted and unmounted.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import type { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isRoot } from '../as-root.js';
import type { Test } from 'tap';

const CHECKOUT = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));
const TIMEOUT_MS = 60_000;
/** Which driver the mounts of a test run use. */
export const DRIVER = process.env['SHADOWFS_TEST_DRIVER'] ?? 'auto';
export const isNative = DRIVER === 'fuse-native';
/** How long a daemon may take to end before it is killed. */
const END_MS = 10_000;

export interface Identity {
  name: string;
  uid: number;
}

export const NOBODY: Identity = { name: 'an ordinary user', uid: 65534 };
export const ROOT: Identity = { name: 'root', uid: 0 };

/** Whom tests can be run as here: root can be anybody, others only themselves. */
export function identities(): Identity[] {
  // Half as long; the tests of the driver's limits run as root.
  if (isNative && isRoot) return [NOBODY];
  return isRoot ? [ROOT, NOBODY] : [{ name: 'an ordinary user', uid: process.getuid?.() ?? -1 }];
}

export interface Ran {
  /** Null: killed by a signal, or by the time limit. */
  status: number | null;
  out: string;
  err: string;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  timeoutMs?: number;
  input?: string;
  uid?: number;
}

/** Refusals with exit code 2: the words can't be right, whatever mount and volume are like. */
const WRONG_USAGE: ReadonlySet<string> = new Set([
  ...['wrong-usage', 'bad-option', 'bad-command-line', 'bad-schedule', 'bad-address'],
]);

/** What `shadowfs … --json` answers. */
export type Answer = Record<string, unknown> & { ok?: boolean; code?: string; message?: string };

const quoted = (word: string): string => `'${word.replaceAll("'", "'\\''")}'`;

export class World {
  /** A directory of its own, owned by the identity; everything of the test lies below. */
  readonly dir: string;
  /** More environment for every process, daemons included. */
  env: Record<string, string> = {};
  /** Mount with the writeback cache of the kernel. */
  writeback = false;
  /** `fuse-native`: what that driver can't do is in the tests as named exceptions. */
  driver = DRIVER;
  readonly checkout: string;
  readonly #children = new Set<ChildProcess>();
  readonly #watcher: Socket;

  constructor(readonly identity: Identity) {
    if (!fs.existsSync('/dev/fuse'))
      throw new Error('/dev/fuse is missing: nothing can be mounted');
    if (!fs.existsSync(path.join(CHECKOUT, 'dist/cli/main.js'))) {
      throw new Error('dist/cli/main.js is missing: build first (npm run build)');
    }
    this.dir = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'shadowfs-')));
    this.#watcher = this.#watch();
    fs.chmodSync(this.dir, 0o755);
    for (const name of ['home', 'run', 'mnt']) fs.mkdirSync(this.path(name), { mode: 0o755 });
    fs.chmodSync(this.path('run'), 0o700);
    if (isRoot) {
      for (const name of ['.', 'home', 'run', 'mnt']) {
        fs.chownSync(this.path(name), identity.uid, identity.uid);
      }
    }
    this.checkout = this.#reachableCheckout();
  }

  /** A process that takes the world away should this one be killed. */
  #watch(): Socket {
    const watcher = spawn('bash', [path.join(FIXTURES, 'clean-up.sh'), this.dir], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    watcher.unref();
    // Neither it nor the pipe to it keeps a test running.
    const pipe = watcher.stdin as Socket;
    pipe.unref();
    return pipe;
  }

  /** An ordinary user may not be let into the directories above the checkout. */
  #reachableCheckout(): string {
    if (!isRoot || this.identity.uid === 0) return CHECKOUT;
    const probe = [...this.#as(this.identity.uid), 'test', '-r', path.join(CHECKOUT, 'dist/cli')];
    if (spawnSync(probe[0] ?? '', probe.slice(1), { timeout: TIMEOUT_MS }).status === 0) {
      return CHECKOUT;
    }
    const bound = this.path('checkout');
    fs.mkdirSync(bound);
    const ran = spawnSync('mount', ['--bind', CHECKOUT, bound], { encoding: 'utf8' });
    if (ran.status !== 0) throw new Error(`the checkout can't be bound: ${ran.stderr}`);
    return bound;
  }

  path(...names: string[]): string {
    return path.join(this.dir, ...names);
  }

  /** The default mountpoint. */
  get mnt(): string {
    return this.path('mnt');
  }

  fixture(name: string): string {
    return path.join(this.checkout, path.relative(CHECKOUT, FIXTURES), name);
  }

  #environment(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '/usr/bin:/bin:/usr/sbin:/sbin',
      HOME: this.path('home'),
      XDG_STATE_HOME: this.path('home', 'state'),
      XDG_RUNTIME_DIR: this.path('run'),
      SHADOWFS_STATE_DIR: this.path('home', 'state'),
      TMPDIR: this.path('home'),
      LC_ALL: 'C.UTF-8',
      GIT_CONFIG_NOSYSTEM: '1',
      // The whole suite may run on a kernel that is made to look older.
      SHADOWFS_KERNEL: process.env['SHADOWFS_KERNEL'] ?? '',
      TOOLS: this.fixture('tools.sh'),
      MNT: this.mnt,
      WORLD: this.dir,
      ...(isNative && { TIME_DIGITS: '3' }),
      ...this.env,
    };
  }

  #as(uid: number): string[] {
    if (!isRoot || uid === 0) return [];
    return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
  }

  /** Starts a process in a group of its own; the world's end kills it. */
  start(argv: string[], options: RunOptions = {}): ChildProcess {
    // The directory may be one that only the identity can enter; the test runner's hooks stay out.
    const inside = ['env', '-u', 'NODE_OPTIONS', '-C', options.cwd ?? this.dir];
    const words = [...this.#as(options.uid ?? this.identity.uid), ...inside, ...argv];
    const child = spawn(words[0] ?? '', words.slice(1), {
      cwd: '/',
      env: { ...this.#environment(), ...options.env },
      detached: true,
      stdio: 'pipe',
    });
    this.#children.add(child);
    child.once('exit', () => this.#children.delete(child));
    child.once('error', () => this.#children.delete(child));
    child.stdin?.on('error', () => undefined);
    return child;
  }

  /** Runs a process to its end. Never rejects, never takes longer than its limit. */
  run(argv: string[], options: RunOptions = {}): Promise<Ran> {
    const child = this.start(argv, options);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout?.on('data', (data: Buffer) => out.push(data));
    child.stderr?.on('data', (data: Buffer) => err.push(data));
    child.stdin?.end(options.input ?? '');
    const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
    return new Promise((resolve) => {
      const done = (status: number | null, note = ''): void => {
        clearTimeout(timer);
        const text = (chunks: Buffer[]): string => Buffer.concat(chunks).toString();
        resolve({ status, out: text(out), err: text(err) + note });
      };
      const timer = setTimeout(() => {
        killGroup(child);
        done(null, `\n(killed after ${timeoutMs} ms: ${argv.join(' ').slice(0, 500)})`);
      }, timeoutMs);
      child.once('error', (error) => done(null, String(error)));
      child.once('close', (code) => done(code));
    });
  }

  /** A shell script with the functions of tools.sh, in the world's directory. */
  trySh(script: string, options: RunOptions = {}): Promise<Ran> {
    return this.run(['bash', '-c', `. "$TOOLS"\n${script}`], options);
  }

  /** As `trySh`, with `set -e`; throws when it fails. Gives its output. */
  async sh(script: string, options: RunOptions = {}): Promise<string> {
    const ran = await this.trySh(`set -euo pipefail\n${script}`, options);
    if (ran.status === 0) return ran.out;
    throw new Error(
      `exit ${ran.status}: ${script.trim().slice(0, 1500)}\n${ran.out.slice(-1500)}${ran.err.slice(-3000)}`,
    );
  }

  tryShadowfs(words: string[], options: RunOptions = {}): Promise<Ran> {
    return this.run(['node', path.join(this.checkout, 'dist/cli/main.js'), ...words], options);
  }

  /** A command that must succeed; its JSON answer, or the last one of several lines. */
  async shadowfs(words: string[], options: RunOptions = {}): Promise<Answer> {
    const ran = await this.tryShadowfs([...words, '--json'], options);
    if (ran.status !== 0) {
      throw new Error(`shadowfs ${words.join(' ')}: exit ${ran.status}\n${ran.out}${ran.err}`);
    }
    return JSON.parse(ran.out.trimEnd().split('\n').at(-1) || '{}') as Answer;
  }

  /** A command that must be refused; its JSON answer. */
  async refused(words: string[], options: RunOptions = {}): Promise<Answer> {
    const ran = await this.tryShadowfs([...words, '--json'], options);
    const answer = JSON.parse(ran.out.trimEnd().split('\n').at(-1) || '{}') as Answer;
    const expected = WRONG_USAGE.has(answer.code ?? '') ? 2 : 1;
    if (ran.status === expected) return answer;
    throw new Error(
      `shadowfs ${words.join(' ')}: exit ${ran.status}, not ${expected}\n${ran.out}${ran.err}`,
    );
  }

  /** `shadowfs mount`; the last word is the mountpoint. */
  async mount(words: string[], options: RunOptions = {}): Promise<Answer> {
    const cache = this.writeback ? ['-o', 'writeback=on'] : [];
    return await this.shadowfs(['mount', '--driver', this.driver, ...cache, ...words], options);
  }

  async umount(mountpoint = this.mnt): Promise<Answer> {
    return await this.shadowfs(['umount', mountpoint]);
  }

  /** A command about the default mount. */
  on(words: string[], options: RunOptions = {}): Promise<Answer> {
    return this.shadowfs([...words, '-C', this.mnt], options);
  }

  /** `shadowfs check`; throws with the findings when there are some. */
  async check(words: string[] = ['-C', this.mnt]): Promise<void> {
    const ran = await this.tryShadowfs(['check', ...words, '--json'], { timeoutMs: 180_000 });
    if (ran.status !== 0) throw new Error(`check ${words.join(' ')}: ${ran.out}${ran.err}`);
  }

  async daemonPid(mountpoint = this.mnt): Promise<number> {
    return Number((await this.shadowfs(['status', '-C', mountpoint]))['pid']);
  }

  /** kill -9 of the process that serves the mount; returns when it is gone. */
  async crash(mountpoint = this.mnt): Promise<void> {
    const pid = await this.daemonPid(mountpoint);
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      throw new Error(`the daemon had ended by itself: ${this.log()}`, { cause: error });
    }
    await processGone(pid);
  }

  /** The daemon's log. */
  log(): string {
    const directory = this.path('home', 'state', 'log');
    if (!fs.existsSync(directory)) return '';
    return fs
      .readdirSync(directory)
      .map((name) => fs.readFileSync(path.join(directory, name), 'utf8'))
      .join('');
  }

  /** Checks every mount and its volume, while mounted and after. */
  async finish(): Promise<void> {
    for (const mountpoint of mountsBelow(this.dir)) {
      await this.check(['-C', mountpoint]);
      const { volumePath } = await this.shadowfs(['status', '-C', mountpoint]);
      await this.umount(mountpoint);
      await this.check(['--volume', String(volumePath)]);
    }
  }

  /** Takes everything away, however the test ended. */
  async remove(): Promise<void> {
    for (const child of this.#children) killGroup(child);
    const daemons = this.#daemons();
    for (const mountpoint of ownMounts(this.dir)) {
      spawnSync('umount', ['-l', mountpoint], { stdio: 'ignore', timeout: TIMEOUT_MS });
      if (!isRoot) spawnSync('fusermount3', ['-uz', mountpoint], { stdio: 'ignore' });
    }
    for (const pid of daemons) {
      if (await processGone(pid)) continue;
      process.kill(pid, 'SIGKILL');
      await processGone(pid);
    }
    const left = ownMounts(this.dir);
    if (left.length > 0) throw new Error(`still mounted: ${left.join(' ')}`);
    spawnSync('rm', ['-rf', '--one-file-system', this.dir], { timeout: TIMEOUT_MS });
    this.#watcher.end();
  }

  /** Daemons by the records of their mounts, as far as they run and are ours. */
  #daemons(): number[] {
    const directory = this.path('home', 'state', 'mounts');
    if (!fs.existsSync(directory)) return [];
    return fs
      .readdirSync(directory)
      .map(
        (name) =>
          JSON.parse(fs.readFileSync(path.join(directory, name), 'utf8')) as { pid: number },
      )
      .map(({ pid }) => pid)
      .filter((pid) => commandLine(pid).includes('daemon/serve-process.js'));
  }
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

function commandLine(pid: number): string {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** False: it still runs after END_MS. */
export async function processGone(pid: number): Promise<boolean> {
  for (let waitedMs = 0; waitedMs < END_MS; waitedMs += 20) {
    // A zombie has no command line.
    if (commandLine(pid) === '') return true;
    await pause(20);
  }
  return false;
}

/** Mountpoints of volumes at or below `dir`. */
function mountsBelow(dir: string): string[] {
  const table = fs.readFileSync('/proc/self/mountinfo', 'utf8');
  return table
    .split('\n')
    .filter((line) => line.includes(' - fuse.shadowfs '))
    .map((line) => line.split(' ')[4] ?? '')
    .filter((mountpoint) => `${mountpoint}/`.startsWith(`${dir}/`));
}

/** Mounts at or below `dir`, and control mounts of such, innermost first. */
function ownMounts(dir: string): string[] {
  return fs
    .readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => {
      const dash = fields.indexOf('-');
      const source = fields[dash + 2] ?? '';
      const isOurs = fields[dash + 1]?.startsWith('fuse.shadowfs') === true;
      return (
        `${fields[4]}/`.startsWith(`${dir}/`) ||
        (isOurs && `${source}/`.startsWith(`control:${dir}/`))
      );
    })
    .map((fields) => fields[4] ?? '')
    .reverse();
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Runs a test in a world of its own, checks what it leaves and takes it away. */
export async function inWorld(
  t: Test,
  identity: Identity,
  body: (world: World) => Promise<void>,
): Promise<void> {
  const world = new World(identity);
  t.teardown(() => world.remove());
  try {
    await body(world);
    await world.finish();
  } catch (error) {
    t.comment(`the daemon's log:\n${world.log().slice(-4000)}`);
    throw error;
  }
}

/**
 * A test whose outcome does not depend on who runs it: as an ordinary user, where there is a
 * choice. `SHADOWFS_TEST_IDENTITIES=all` runs it as root, too.
 */
export function asUser(
  t: Test,
  title: string,
  body: (t: Test, world: World) => Promise<void>,
): void {
  const isAll = process.env['SHADOWFS_TEST_IDENTITIES'] === 'all';
  for (const identity of isAll ? identities() : identities().slice(-1)) {
    t.test(`${title}, as ${identity.name}`, (t) => inWorld(t, identity, (world) => body(t, world)));
  }
}

/**
 * As `eachIdentity`; and as one with the kernel's writeback cache, which knows no difference
 * between them.
 */
export function eachSetting(
  t: Test,
  title: string,
  body: (t: Test, world: World) => Promise<void>,
): void {
  eachIdentity(t, title, body);
  if (isNative) return;
  // Where there is no such cache, the one is the other.
  if (process.env['SHADOWFS_KERNEL']?.includes('writeback=off') === true) return;
  asUser(t, `${title}, writeback`, async (t, world) => {
    world.writeback = true;
    await body(t, world);
  });
}

/** A test in a world of its own for every identity that there is here. */
export function eachIdentity(
  t: Test,
  title: string,
  body: (t: Test, world: World) => Promise<void>,
): void {
  for (const identity of identities()) {
    t.test(`${title}, as ${identity.name}`, (t) => inWorld(t, identity, (world) => body(t, world)));
  }
}

/** The seed of a test's random choices: printed, and given by SEED to replay. */
export function testSeed(t: Test): string {
  const seed = process.env['SEED'] ?? randomBytes(4).toString('hex');
  t.comment(`SEED=${seed}`);
  return seed;
}

export { quoted };
