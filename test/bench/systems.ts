/** The file systems compared: how each is mounted over a directory of the same disk. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, sleepMs } from './shell.js';

/** How long a server may take to store what it holds in memory. */
const SETTLE_MAX_MS = 10_000;

export interface System {
  name: string;
  /** What it is compared as. */
  role: 'disk' | 'peer' | 'own';
  /**
   * Mounts on `mountpoint`, with everything that is kept below `data`; returns
   * where to work. Called again after `unmount` it shows what was stored.
   */
  mount(data: string, mountpoint: string): string;
  unmount(mountpoint: string): void;
  /**
   * False: a time that is set alone (as tar sets a file's mtime) is lost, as libfuse 2 does it; so
   * times are not verified.
   */
  keepsTimes?: false;
  /** Waits until nothing that was written is still on its way to the disk. */
  settle?(mountpoint: string): void;
}

function directories(data: string, ...names: string[]): string[] {
  return names.map((name) => {
    const path = join(data, name);
    mkdirSync(path, { recursive: true });
    return path;
  });
}

const umount = (mountpoint: string): void => void run('umount', [mountpoint]);

const ext4: System = {
  name: 'ext4',
  role: 'disk',
  mount: (data) => directories(data, 'files')[0] ?? data,
  unmount: () => undefined,
};

const bindfs: System = {
  name: 'bindfs',
  role: 'peer',
  keepsTimes: false,
  mount: (data, mountpoint) => {
    run('bindfs', [...directories(data, 'files'), mountpoint]);
    return mountpoint;
  },
  unmount: umount,
};

const fuseOverlayfs: System = {
  name: 'fuse-overlayfs',
  role: 'peer',
  mount: (data, mountpoint) => {
    const [lower, upper, work] = directories(data, 'lower', 'upper', 'work');
    run('fuse-overlayfs', [
      '-o',
      `lowerdir=${lower},upperdir=${upper},workdir=${work}`,
      mountpoint,
    ]);
    return mountpoint;
  },
  unmount: umount,
};

const unionfsFuse: System = {
  name: 'unionfs-fuse',
  role: 'peer',
  keepsTimes: false,
  mount: (data, mountpoint) => {
    const [lower, upper] = directories(data, 'lower', 'upper');
    run('unionfs', ['-o', 'cow', `${upper}=RW:${lower}=RO`, mountpoint]);
    return mountpoint;
  },
  unmount: umount,
};

/** A checkout of shadowfs: `dist/cli/main.js` in it is run. */
export class Shadowfs implements System {
  readonly role = 'own';

  constructor(
    readonly name: string,
    readonly checkout: string,
    readonly stateDirectory: string,
  ) {}

  #env(): Record<string, string> {
    const { SHADOWFS_BENCH_NODE_OPTIONS: options } = process.env;
    return {
      SHADOWFS_STATE_DIR: this.stateDirectory,
      ...(options !== undefined && { NODE_OPTIONS: options }),
    };
  }

  cli(...args: string[]): string {
    const script = join(this.checkout, 'dist/cli/main.js');
    return run(process.execPath, [script, ...args], { env: this.#env() });
  }

  mount(data: string, mountpoint: string): string {
    mkdirSync(data, { recursive: true });
    this.cli('mount', '--no-base', '--volume', join(data, 'volume'), mountpoint);
    return mountpoint;
  }

  mountOver(base: string, volume: string, mountpoint: string): void {
    this.cli('mount', '--volume', volume, base, mountpoint);
  }

  unmount(mountpoint: string): void {
    this.cli('umount', mountpoint);
  }

  check(mountpoint: string): void {
    this.cli('check', '-C', mountpoint);
  }

  status(mountpoint: string): Record<string, unknown> {
    const text = readFileSync(join(mountpoint, '.control', 'status'), 'utf8');
    return JSON.parse(text) as Record<string, unknown>;
  }

  settle(mountpoint: string): void {
    const start = Date.now();
    for (;;) {
      const status = this.status(mountpoint);
      if (status['openGroupBytes'] === 0 && status['writing'] === false) return;
      if (Date.now() - start > SETTLE_MAX_MS) throw new Error(`${this.name} does not settle`);
      sleepMs(50);
    }
  }
}

export const PEERS: readonly System[] = [ext4, bindfs, fuseOverlayfs, unionfsFuse];
