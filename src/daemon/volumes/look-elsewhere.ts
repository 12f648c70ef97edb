/**
 * Looks at volumes on file systems that may never answer, or whose directory
 * lies on one: in processes of their own, one for all volumes that wait for the
 * same file systems. One that is silent for too long is left behind, and its
 * other volumes are not asked for any more.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describeMount, mountThatMayHang } from '../mount/answering.js';
import type { MountRecord } from '../mount/mount-record.js';
import { MOUNT_TYPE, mountAt, type MountEntry } from '../mount/mount-table.js';
import { type ListedVolume, unseen } from './look-at-volume.js';
import type { LookRequest } from './look-process.js';
import type { VolumeEntry } from './registry.js';

/** How long a look at one volume may take. */
const SILENCE_MS = 3_000;
/** A process that starts is given more: this machine may be busy. */
const START_MS = 10_000;
const PROCESSES_MAX = 4;

/** Volumes that wait for the same file systems. */
interface Group {
  mounts: MountEntry[];
  entries: VolumeEntry[];
}

/** By the entry's id; entries that can be looked at in this process are not in it. */
export async function lookElsewhere(
  entries: readonly VolumeEntry[],
  table: readonly MountEntry[],
  records: readonly MountRecord[],
): Promise<Map<string, ListedVolume>> {
  const groups = groupsOf(entries, table);
  const found = new Map<string, ListedVolume>();
  const look = async (): Promise<void> => {
    for (let group = groups.shift(); group !== undefined; group = groups.shift()) {
      await lookAtGroup(group, table, records, (id, listed) => found.set(id, listed));
    }
  };
  await Promise.all(Array.from({ length: PROCESSES_MAX }, look));
  return found;
}

function groupsOf(entries: readonly VolumeEntry[], table: readonly MountEntry[]): Group[] {
  const groups = new Map<string, Group>();
  for (const entry of entries) {
    const mounts = new Map<number, MountEntry>();
    for (const path of placesOf(entry, table)) {
      const mount = mountThatMayHang(table, path);
      if (mount !== undefined) mounts.set(mount.mountId, mount);
    }
    if (mounts.size === 0) continue;
    const key = [...mounts.keys()].sort().join();
    const group = groups.get(key) ?? { mounts: [...mounts.values()], entries: [] };
    group.entries.push(entry);
    groups.set(key, group);
  }
  return [...groups.values()];
}

/** Where a look at the volume goes. */
function placesOf(entry: VolumeEntry, table: readonly MountEntry[]): string[] {
  const { volume, moveTo, base, disk, directoryDisk } = entry;
  // A mount in place covers the directory, and nobody looks into it.
  const isInPlace = base !== null && mountAt(table, base)?.type === MOUNT_TYPE;
  const places = [volume, moveTo, disk?.mountpoint];
  if (!isInPlace) places.push(base ?? undefined, directoryDisk?.mountpoint);
  return places.filter((path) => path !== undefined);
}

async function lookAtGroup(
  { mounts, entries }: Group,
  table: readonly MountEntry[],
  records: readonly MountRecord[],
  take: (id: string, listed: ListedVolume) => void,
): Promise<void> {
  const looker = new Looker();
  let isSilent = !(await looker.isUp());
  for (const entry of entries) {
    const listed = isSilent ? undefined : await looker.look({ entry, records });
    isSilent = listed === undefined;
    take(entry.id, listed ?? unseen(entry, problemOf(mounts), table, records));
  }
  looker.end();
}

function problemOf(mounts: readonly MountEntry[]): string {
  return `${mounts.map(describeMount).join(' or ')} does not answer`;
}

class Looker {
  readonly #child: ChildProcess;

  constructor() {
    const script = fileURLToPath(new URL('./look-process.js', import.meta.url));
    this.#child = spawn(process.execPath, [script], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    });
  }

  async isUp(): Promise<boolean> {
    return (await this.#message(START_MS)) !== undefined;
  }

  /** Undefined: no answer came in time. */
  look(request: LookRequest): Promise<ListedVolume | undefined> {
    this.#child.send(request);
    return this.#message(SILENCE_MS) as Promise<ListedVolume | undefined>;
  }

  /** Its next message; undefined: there is none in time, or never will be one. */
  #message(limitMs: number): Promise<unknown> {
    const child = this.#child;
    return new Promise((resolve) => {
      const settle = (message: unknown): void => {
        clearTimeout(timer);
        for (const event of ['message', 'exit', 'error']) child.removeAllListeners(event);
        // What it may still say or suffer concerns nobody.
        child.on('error', () => undefined);
        resolve(message);
      };
      const timer = setTimeout(settle, limitMs, undefined);
      child.once('message', settle);
      child.once('exit', () => settle(undefined));
      child.once('error', () => settle(undefined));
    });
  }

  /** One that waits for ever can't always be killed: this process ends without it. */
  end(): void {
    const child = this.#child;
    child.kill('SIGKILL');
    if (child.connected) child.disconnect();
    child.unref();
  }
}
