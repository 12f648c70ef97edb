/** shadowfs itself: a checkout of it, with one of its two drivers. */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, sleepMs } from '../shell.js';
import { type Place, type System, treeBytes } from './system.js';

/** How long a server may take to store what it holds in memory. */
const SETTLE_MAX_MS = 60_000;

export interface ShadowfsSetup {
  name: string;
  /** `dist/cli/main.js` in it is run. */
  checkout: string;
  stateDirectory: string;
  driver: 'kernel' | 'fuse-native';
}

export class Shadowfs implements System {
  readonly role = 'own';
  readonly isServed = true;
  readonly name: string;
  /** libfuse 2 hands over one time twice. */
  readonly keepsTimes?: false;
  readonly #setup: ShadowfsSetup;
  readonly #used = new Set<string>();

  constructor(setup: ShadowfsSetup) {
    this.name = setup.name;
    if (setup.driver === 'fuse-native') this.keepsTimes = false;
    this.#setup = setup;
  }

  get #main(): string {
    return join(this.#setup.checkout, 'dist/cli/main.js');
  }

  cli(...args: string[]): string {
    const { SHADOWFS_BENCH_NODE_OPTIONS: nodeOptions } = process.env;
    const env = {
      SHADOWFS_STATE_DIR: this.#setup.stateDirectory,
      ...(nodeOptions !== undefined && { NODE_OPTIONS: nodeOptions }),
    };
    return run(process.execPath, [this.#main, ...args], { env });
  }

  /** The same as a line for a shell; no argument needs quotes. */
  line(...args: string[]): string {
    const { stateDirectory } = this.#setup;
    return `SHADOWFS_STATE_DIR=${stateDirectory} ${process.execPath} ${this.#main} ${args.join(' ')}`;
  }

  mount({ data, mountpoint }: Place, base?: string): string {
    mkdirSync(data, { recursive: true });
    // An older checkout knows no drivers; the kernel's is what it has.
    const driver = this.#setup.driver === 'kernel' ? [] : ['--driver', this.#setup.driver];
    const over = base === undefined ? ['--no-base'] : [base];
    const volume = join(data, 'volume');
    this.#forget(volume);
    this.cli('mount', ...driver, '--volume', volume, ...over, mountpoint);
    this.#used.add(volume);
    return mountpoint;
  }

  /** A volume that was measured and removed: its place begins anew. */
  #forget(volume: string): void {
    if (!this.#used.delete(volume) || existsSync(volume)) return;
    try {
      this.cli('volume', 'forget', volume);
    } catch {
      // An older checkout has no list of volumes.
    }
  }

  unmount({ mountpoint }: Place): void {
    this.cli('umount', mountpoint);
  }

  check({ mountpoint }: Place): void {
    this.cli('check', '-C', mountpoint);
  }

  status({ mountpoint }: Place): Record<string, unknown> {
    const text = readFileSync(join(mountpoint, '.control', 'status'), 'utf8');
    return JSON.parse(text) as Record<string, unknown>;
  }

  settle(place: Place): void {
    const start = Date.now();
    for (;;) {
      const status = this.status(place);
      if (status['openGroupBytes'] === 0 && status['isWriting'] === false) return;
      if (Date.now() - start > SETTLE_MAX_MS) throw new Error(`${this.name} does not settle`);
      sleepMs(20);
    }
  }

  /** What the volume uses; the file is larger, by what was allocated ahead. */
  storedBytes(place: Place): number {
    return Number(this.status(place)['usedBytes']);
  }

  allocatedBytes({ data }: Place): number {
    return treeBytes(data);
  }

  serverPid(place: Place): number {
    return Number(this.status(place)['pid']);
  }
}
