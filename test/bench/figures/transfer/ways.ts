/**
 * Ways to bring a tree to another disk, and its changes after it: each works on
 * a tree of its own, from one disk to another. What arrives is stored when a
 * run ends.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Image, MKFS_EXT4 } from '../../image.js';
import { run, timed } from '../../shell.js';
import type { Shadowfs } from '../../systems/shadowfs.js';
import { anonymousBytes, type Place } from '../../systems/system.js';
import { command } from '../control.js';

export interface Way {
  name: string;
  /** Makes an empty tree to work on; returns where. */
  open(): Promise<string>;
  /** What is there now: ms until the other side has it. The first time everything travels. */
  transfer(): Promise<number>;
  /** Forgets what arrived: everything travels again next time. */
  startAgain(): Promise<void>;
  /** Where the other side's tree is to be seen. */
  arrived(): string;
  close(): void;
}

const POLL_MS = 5;
const ARRIVE_MAX_MS = 600_000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Two disks of ext4: the common one, and one for what arrives. */
export function secondDisk(image: Image): string {
  const disk = join(image.directory, 'second');
  return existsSync(disk) ? disk : image.addDisk('second', MKFS_EXT4, 'loop');
}

export function rsync(image: Image): Way {
  const from = join(image.disk, 'transfer-rsync');
  const to = join(secondDisk(image), 'transfer-rsync');
  return {
    name: 'rsync -a',
    open: async () => {
      for (const path of [from, to]) mkdirSync(path);
      return from;
    },
    transfer: async () =>
      timed('bash', ['-c', `rsync -a --delete ${from}/ ${to}/ && sync -f ${to}`]),
    startAgain: async () => {
      rmSync(to, { recursive: true });
      mkdirSync(to);
    },
    arrived: () => to,
    close() {
      for (const path of [from, to]) rmSync(path, { recursive: true, force: true });
    },
  };
}

/** Throws when there is no Btrfs on this machine. */
export function btrfs(image: Image): Way {
  const disk = (name: string): string =>
    image.addDisk(name, ['mkfs.btrfs', '-q', '-f'], 'loop,nodiscard');
  const [source, target] = [disk('btrfs-from'), disk('btrfs-to')];
  const from = join(source, 'tree');
  // Snapshots of one chain arrive in one directory: after `startAgain` in another one.
  let chain = 0;
  let snapshots = 0;
  let last: string | undefined;
  const to = (): string => join(target, `chain-${chain}`);
  return {
    name: 'btrfs send | receive',
    open: async () => {
      run('btrfs', ['subvolume', 'create', from]);
      mkdirSync(to());
      return from;
    },
    transfer: async () => {
      const next = join(source, `snapshot-${++snapshots}`);
      const parent = last === undefined ? '' : `-p ${last}`;
      last = next;
      return timed('bash', [
        '-c',
        `set -o pipefail
         btrfs -q subvolume snapshot -r ${from} ${next}
         btrfs -q send ${parent} ${next} | btrfs -q receive ${to()}
         sync -f ${target}`,
      ]);
    },
    startAgain: async () => {
      last = undefined;
      chain++;
      mkdirSync(to());
    },
    arrived: () => join(to(), `snapshot-${snapshots}`),
    close() {
      for (const one of [source, target]) run('umount', [one]);
      for (const name of ['btrfs-from', 'btrfs-to']) {
        rmSync(join(image.directory, name), { recursive: true });
        rmSync(join(image.directory, `${name}.image`));
      }
    },
  };
}

/** `send` into a pipe and `receive` out of it, into a volume that is not mounted. */
export function pipe(image: Image, system: Shadowfs): Way {
  const place = (disk: string, name: string): Place => {
    const mountpoint = join(image.directory, 'mounts', name);
    mkdirSync(mountpoint, { recursive: true });
    return { data: join(disk, name), mountpoint };
  };
  const from = place(image.disk, 'transfer-from');
  const to = place(secondDisk(image), 'transfer-to');
  let saves = 0;
  let last: string | undefined;
  let isSeen = false;
  const unsee = (): void => {
    if (isSeen) system.unmount(to);
    isSeen = false;
  };
  return {
    name: 'shadowfs send | receive',
    open: async () => {
      mkdirSync(to.data);
      return system.mount(from);
    },
    transfer: async () => {
      unsee();
      const next = `s${++saves}`;
      const words = [...(last === undefined ? [] : ['-i', last]), next];
      last = next;
      return timed('bash', [
        '-c',
        `set -o pipefail
         ${system.line('save', next, '-C', from.mountpoint)} > /dev/null
         ${system.line('send', ...words, '-C', from.mountpoint)} |
           ${system.line('receive', join(to.data, 'volume'))} > /dev/null`,
      ]);
    },
    startAgain: async () => {
      unsee();
      last = undefined;
      rmSync(join(to.data, 'volume'), { recursive: true });
    },
    arrived: () => {
      system.mount(to);
      isSeen = true;
      return join(to.mountpoint, '.snapshots', `s${saves}`);
    },
    close() {
      unsee();
      system.check(from);
      system.unmount(from);
      for (const { data } of [from, to]) rmSync(data, { recursive: true });
    },
  };
}

/** Two mounts that are paired: from the `save` on one to when the other shows it. */
export class Agents implements Way {
  readonly name = 'shadowfs, a standby';
  readonly #image: Image;
  readonly #system: Shadowfs;
  readonly from: Place;
  #standbys = 0;
  #saves = 0;
  #peakBytes = { primary: 0, standby: 0 };

  constructor(image: Image, system: Shadowfs) {
    this.#image = image;
    this.#system = system;
    this.from = this.#place(image.disk, 'transfer-primary');
  }

  #place(disk: string, name: string): Place {
    return { data: join(disk, name), mountpoint: join(this.#image.directory, 'mounts', name) };
  }

  get #to(): Place {
    return this.#place(secondDisk(this.#image), `transfer-standby-${this.#standbys}`);
  }

  async open(): Promise<string> {
    mkdirSync(this.from.mountpoint, { recursive: true });
    this.#system.mount(this.from);
    await this.#addStandby();
    return this.from.mountpoint;
  }

  /** Paired; follows from now on. */
  async #addStandby(): Promise<void> {
    this.#standbys++;
    const system = this.#system;
    const to = this.#to;
    mkdirSync(to.mountpoint, { recursive: true });
    system.mount(to);
    const name = `standby-${this.#standbys}`;
    const invited = system.cli(
      ...['peer', 'invite', this.from.mountpoint, '--listen', '127.0.0.1:0'],
      ...['--name', name, '--json'],
    );
    const { token } = JSON.parse(invited) as { token: string };
    system.cli('peer', 'join', token, to.mountpoint, '--name', 'primary');
    await this.#until('it is a standby', () => lagOf(to).role === 'standby');
  }

  async #until(what: string, isIt: () => boolean): Promise<void> {
    for (let waitedMs = 0; !isIt(); waitedMs += POLL_MS) {
      if (waitedMs > ARRIVE_MAX_MS) throw new Error(`never: ${what}`);
      await pause(POLL_MS);
    }
  }

  async transfer(): Promise<number> {
    const name = `s${++this.#saves}`;
    const place = join(this.#to.mountpoint, '.snapshots', name);
    const pids = [this.from, this.#to].map((one) => this.#system.serverPid(one));
    const start = performance.now();
    command(this.from.mountpoint, 'save', name);
    let looks = 0;
    await this.#until(name, () => {
      if (looks++ % 20 === 0) this.#notePeak(pids);
      return existsSync(place);
    });
    return performance.now() - start;
  }

  #notePeak([primary = 0, standby = 0]: number[]): void {
    const peak = this.#peakBytes;
    peak.primary = Math.max(peak.primary, anonymousBytes(primary));
    peak.standby = Math.max(peak.standby, anonymousBytes(standby));
  }

  /** The most that either process had during a transfer since this was asked last. */
  takePeakBytes(): { primary: number; standby: number } {
    const peak = this.#peakBytes;
    this.#peakBytes = { primary: 0, standby: 0 };
    return peak;
  }

  memory(): { primary: number; standby: number } {
    const of = (place: Place): number => anonymousBytes(this.#system.serverPid(place));
    return { primary: of(this.from), standby: of(this.#to) };
  }

  /** Low priority for the standby's process, which stands for another machine. */
  stepBack(): void {
    const pid = this.#system.serverPid(this.#to);
    for (const thread of readdirSync(`/proc/${pid}/task`))
      run('renice', ['-n', '19', '-p', thread]);
  }

  #removeStandby(): void {
    const to = this.#to;
    const words = ['peer', 'remove', `standby-${this.#standbys}`, this.from.mountpoint, '--force'];
    this.#system.cli(...words);
    this.#system.check(to);
    this.#system.unmount(to);
    rmSync(to.data, { recursive: true });
  }

  async startAgain(): Promise<void> {
    this.#removeStandby();
    await this.#addStandby();
  }

  arrived(): string {
    return this.#to.mountpoint;
  }

  close(): void {
    this.#removeStandby();
    this.#system.check(this.from);
    this.#system.unmount(this.from);
    rmSync(this.from.data, { recursive: true });
  }
}

function lagOf({ mountpoint }: Place): { role: string } {
  return JSON.parse(readFileSync(join(mountpoint, '.control/lag'), 'utf8')) as { role: string };
}
