/**
 * Runs a script of system calls on a mount and on a plain directory of the
 * machine, and finds the first operation whose results differ. The plain
 * directory is the oracle: what they don't agree on is a fault of the mount,
 * but for the differences that are listed here with their reasons.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type Identity, World } from '../mount/harness.js';
import { fixture } from './fixture.js';
import { makeScript, type Operation, type Setting } from './fuzz-script.js';

const OTHER_UID = 12345;
const RUN_MS = 600_000;

export interface Mode {
  title: string;
  identity: Identity;
  /** Over a base, which the oracle starts as a copy of. */
  overBase: boolean;
  writeback: boolean;
  maps: boolean;
  /** Of root's workers every second one is another user. */
  mixedUsers: boolean;
}

/** What one operation gave: its result, and whether mtime and ctime changed. */
interface Result {
  r: unknown;
  t?: [boolean, boolean];
}

export interface Difference {
  /** Of the operation in the script; its length for what came at the end. */
  index: number;
  text: string;
}

export function settingOf(mode: Mode): Setting {
  const asRoot = mode.identity.uid === 0;
  return { workers: 3, maps: mode.maps, gentle: !asRoot, asRoot };
}

/** From 6.13 on ext4 gives a change that follows a stat a time of its own. */
const hasFineTimes = ((): boolean => {
  const [major = 0, minor = 0] = os.release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 13);
})();

/** Differences that are meant to be; the reasons stand in native-notes/posix.md. */
function isMeant(_operation: Operation, _mount: Result, _oracle: Result): boolean {
  return false;
}

function timesAgree(mount: Result, oracle: Result, writeback: boolean): boolean {
  if (mount.t === undefined || oracle.t === undefined) return true;
  for (const i of [0, 1] as const) {
    // With its own cache the kernel's times are as coarse as its clock ticks.
    if (oracle.t[i] && !mount.t[i] && !writeback) return false;
    if (mount.t[i] && !oracle.t[i] && hasFineTimes) return false;
  }
  return true;
}

function agree(operation: Operation, mount: Result, oracle: Result, mode: Mode): boolean {
  const same = JSON.stringify(mount.r) === JSON.stringify(oracle.r);
  if (!same) return isMeant(operation, mount, oracle);
  return timesAgree(mount, oracle, mode.writeback) || isMeant(operation, mount, oracle);
}

/** Of two trees only the paths that differ are told. */
function describeResult(mine: unknown, other: unknown): string {
  if (mine === null || other === null || typeof mine !== 'object' || typeof other !== 'object') {
    return JSON.stringify(mine);
  }
  const [a, b] = [mine as Record<string, unknown>, other as Record<string, unknown>];
  const differing = Object.keys({ ...a, ...b }).filter(
    (key) => JSON.stringify(a[key]) !== JSON.stringify(b[key]),
  );
  return differing
    .slice(0, 5)
    .map((key) => `${JSON.stringify(key)}: ${describeResult(a[key] ?? 'missing', b[key])}`)
    .join('\n            ');
}

/** The same small tree for base and oracle. */
const MAKE_BASE = `mkdir -p a/b/c b d/e; seq 20000 > a/f; seq 300 > e; seq 9000 > a/b/d; ln e d/a
  ln -s a/f c; truncate -s 100000 b/a; printf x >> b/a; chmod 2755 d; touch -d @1500000000.123456789 e a b`;

/** A world in which one script is run on both sides. */
export class Differential {
  constructor(
    readonly world: World,
    readonly mode: Mode,
  ) {}

  #config(side: 'mount' | 'plain'): Record<string, unknown> {
    const { world, mode } = this;
    const { uid } = mode.identity;
    const shared = { history: world.path(`${side}-history`), times: !mode.maps };
    const uids = [0, 1, 2].map((n) => (mode.mixedUsers && n % 2 === 1 ? OTHER_UID : uid));
    if (side === 'plain') return { ...shared, uids, root: world.path('plain') };
    const cli = ['node', path.join(world.checkout, 'dist/cli/main.js')];
    return {
      ...shared,
      uids,
      root: world.mnt,
      mount: [...cli, 'mount', ...this.#mountWords()],
      umount: [...cli, 'umount', world.mnt],
    };
  }

  #mountWords(): string[] {
    const { world, mode } = this;
    return [
      ...(mode.writeback ? ['-o', 'writeback=on'] : []),
      ...(mode.mixedUsers ? ['--allow-other'] : []),
      ...(mode.overBase ? [world.path('base')] : ['--no-base']),
      world.mnt,
    ];
  }

  async #start(): Promise<void> {
    const { world, mode } = this;
    await world.sh(`mkdir base plain mount-history plain-history
      cd base; ${mode.overBase ? MAKE_BASE : ':'}
      cp -a . ../plain; chmod 755 . ../plain`);
    await world.shadowfs(['mount', ...this.#mountWords()]);
  }

  async #side(
    side: 'mount' | 'plain',
    script: string,
  ): Promise<{ results: Result[]; end: string }> {
    const { world } = this;
    const config = world.path(`${side}.json`);
    fs.writeFileSync(config, JSON.stringify(this.#config(side)));
    // The plain side's controller copies what workers have shut others out of.
    const uid = process.getuid?.() === 0 && side === 'plain' ? 0 : this.mode.identity.uid;
    const words = ['python3', fixture(world, 'side.py'), config, script];
    const ran = await world.run(words, { timeoutMs: RUN_MS, uid });
    const lines = ran.out.split('\n').slice(0, -1);
    const end = ran.status === 0 ? '' : `ended with ${ran.status}: ${ran.err.slice(-1500)}`;
    return { results: lines.map((line) => JSON.parse(line) as Result), end };
  }

  /** The first operation on which the two sides differ. */
  async run(script: readonly Operation[]): Promise<Difference | undefined> {
    const { world, mode } = this;
    await this.#start();
    const file = world.path('script');
    fs.writeFileSync(file, script.map((operation) => `${JSON.stringify(operation)}\n`).join(''));
    const [mount, plain] = await Promise.all([
      this.#side('mount', file),
      this.#side('plain', file),
    ]);
    for (const [index, operation] of script.entries()) {
      const [a, b] = [mount.results[index], plain.results[index]];
      if (a === undefined || b === undefined) {
        return { index, text: `mount: ${mount.end}\n    plain: ${plain.end}` };
      }
      if (!agree(operation, a, b, mode)) {
        const text = (mine: Result, other: Result): string =>
          `${describeResult(mine.r, other.r)} ${JSON.stringify(mine.t ?? '')}`;
        return { index, text: `mount: ${text(a, b)}\n    plain: ${text(b, a)}` };
      }
    }
    return undefined;
  }
}

/** Runs a script in a world of its own; `isChecked`: what it leaves must be sound, too. */
export async function runInWorld(
  mode: Mode,
  script: readonly Operation[],
  isChecked: boolean,
): Promise<Difference | undefined> {
  const world = new World(mode.identity);
  try {
    const difference = await new Differential(world, mode).run(script);
    if (difference === undefined && isChecked) {
      try {
        await world.finish();
      } catch (error) {
        return { index: script.length, text: String(error) };
      }
    }
    return difference;
  } finally {
    await world.remove();
  }
}

/** How many scripts may be tried, and for how long, to make a failing one shorter. */
const TRIES_MAX = 150;
const SHRINK_MS = 240_000;

/**
 * Leaves out ever smaller pieces of a failing script as long as it goes on
 * failing (in whatever way), from its end to its beginning.
 */
async function shrink(
  mode: Mode,
  script: readonly Operation[],
  found: Difference,
): Promise<{ script: readonly Operation[]; difference: Difference }> {
  const isChecked = found.index >= script.length;
  let best = { script: script.slice(0, found.index + 1), difference: found };
  let tries = 0;
  const untilMs = performance.now() + SHRINK_MS;
  for (let size = Math.ceil(best.script.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let end = best.script.length - 1; end > 0; end -= size) {
      if (tries++ >= TRIES_MAX || performance.now() > untilMs) return best;
      const shorter = best.script.filter((_, i) => i < end - size || i >= end);
      const difference = await runInWorld(mode, shorter, isChecked);
      if (difference === undefined) continue;
      best = { script: shorter.slice(0, difference.index + 1), difference };
      end = Math.min(end, best.script.length - 1 + size);
    }
  }
  return best;
}

/** Runs a random script; what to print when the sides differ, shrunk. */
export async function fuzz(
  mode: Mode,
  seed: number,
  count: number,
  isShrunk = true,
): Promise<string | undefined> {
  const script = makeScript(seed, settingOf(mode), count);
  const found = await runInWorld(mode, script, true);
  if (found === undefined) return undefined;
  const { script: shortest, difference } = isShrunk
    ? await shrink(mode, script, found)
    : { script: script.slice(Math.max(0, found.index - 3), found.index + 1), difference: found };
  const lines = shortest.map((operation) => `    ${JSON.stringify(operation)}`);
  return [
    `seed ${seed}, ${mode.title}: after ${difference.index} operations`,
    ...lines,
    `    ${difference.text}`,
  ].join('\n');
}
