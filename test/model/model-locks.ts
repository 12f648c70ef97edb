/** Soft locks as plain sets, and the random operations on them (format.md, rules K1–K3). */
import assert from 'node:assert/strict';
import type { LockItem } from '../../src/volume/locks/lock-table.js';
import type { Random } from './random.js';
import type { VolumeRun } from './volume-run.js';

const ORIGINS = ['peer-b', 'peer-c'];
const TEXTS = ['x', 'y'];
const LOCAL = 'local';
const UNKNOWN = '00000000-0000-0000-0000-000000000000';

/** Each lock is the text `origin uuid text`. */
export class ModelLocks {
  held = new Set<string>();
  broken = new Set<string>();
  sequences = new Map<string, number>();

  copy(): ModelLocks {
    const copy = new ModelLocks();
    copy.held = new Set(this.held);
    copy.broken = new Set(this.broken);
    copy.sequences = new Map(this.sequences);
    return copy;
  }

  isLocked(uuid: string): boolean {
    return [...this.held].some((lock) => lock.split(' ')[1] === uuid);
  }

  drop(where: (origin: string, uuid: string) => boolean): void {
    for (const lock of this.held) {
      const [origin = '', uuid = ''] = lock.split(' ');
      if (where(origin, uuid)) this.held.delete(lock);
    }
  }

  /** The snapshot goes by force. */
  breakOf(uuid: string): void {
    for (const lock of this.held) {
      const [origin, of] = lock.split(' ');
      if (of !== uuid) continue;
      this.held.delete(lock);
      if (origin !== LOCAL) this.broken.add(lock);
    }
  }
}

export function compareLocks({ volume, model }: VolumeRun): void {
  const all = volume.locks.all();
  const told = (isBroken: boolean): string[] =>
    all
      .filter((lock) => lock.isBroken === isBroken)
      .map(({ origin, snapshot, text }) => `${origin} ${snapshot} ${text}`)
      .sort();
  assert.deepEqual(told(false), [...model.locks.held].sort(), 'soft locks');
  assert.deepEqual(told(true), [...model.locks.broken].sort(), 'broken soft locks');
  for (const { name, uuid } of volume.snapshots()) {
    assert.equal(volume.locks.isLocked(uuid), model.locks.isLocked(uuid), `${name} is locked`);
  }
  for (const origin of ORIGINS) {
    const expected = model.locks.sequences.get(origin);
    assert.equal(volume.locks.sequenceOf(origin), expected, `the sequence of ${origin}`);
  }
}

export class LockOperations {
  constructor(
    readonly run: VolumeRun,
    readonly random: Random,
  ) {}

  any(): void {
    const how = this.random.weighted<() => void>([
      [3, () => this.#set()],
      [2, () => this.#lock()],
      [1, () => this.#unlock()],
      [0.5, () => this.#release()],
      [1, () => this.#acknowledge()],
    ]);
    how();
  }

  #snapshot(): { name: string; uuid: string } | undefined {
    const snapshots = this.run.volume.snapshots();
    return snapshots.length === 0 ? undefined : this.random.pick(snapshots);
  }

  #set(): void {
    const { run, random } = this;
    const { volume } = run;
    const origin = random.pick(ORIGINS);
    const stored = run.model.locks.sequences.get(origin);
    const sequence = Math.max(0, (stored ?? 0) + random.between(-2, 4));
    const items: LockItem[] = [];
    for (let n = random.below(5); n > 0; n--) {
      const snapshot = random.chance(0.1) ? UNKNOWN : (this.#snapshot()?.uuid ?? UNKNOWN);
      items.push({ snapshot, type: 'owner', text: random.pick(TEXTS), dataset: '', dependent: '' });
    }
    const known = new Set(volume.snapshots().map(({ uuid }) => uuid));
    run.change(
      `soft locks of ${origin}, set ${sequence}`,
      ({ locks }) => {
        run.real();
        if (stored !== undefined && sequence <= stored) return;
        locks.drop((of) => of === origin);
        locks.sequences.set(origin, sequence);
        for (const { snapshot, text } of items) {
          const lock = `${origin} ${snapshot} ${text}`;
          if (!known.has(snapshot)) continue;
          locks.held.add(lock);
          locks.broken.delete(lock);
        }
      },
      () => volume.locks.set(origin, sequence, items),
    );
  }

  #lock(): void {
    const { run, random } = this;
    const snapshot = this.#snapshot();
    if (snapshot === undefined) return;
    const { name, uuid } = snapshot;
    const reason = random.pick(TEXTS);
    run.change(
      `lock ${name} for ${reason}`,
      ({ locks }) => {
        run.real();
        locks.held.add(`${LOCAL} ${uuid} ${reason}`);
      },
      () => run.volume.lockSnapshot(name, reason, 'model'),
    );
  }

  #unlock(): void {
    const { run } = this;
    const own = [...run.model.locks.held].filter((lock) => lock.startsWith(LOCAL));
    if (own.length === 0) return;
    const [, uuid] = this.random.pick(own).split(' ');
    const name = run.volume.snapshots().find((snapshot) => snapshot.uuid === uuid)?.name ?? '';
    run.change(
      `unlock ${name}`,
      ({ locks }) => {
        run.real();
        locks.drop((origin, of) => origin === LOCAL && of === uuid);
      },
      () => run.volume.unlockSnapshot(name, undefined, 'model'),
    );
  }

  #release(): void {
    const { run } = this;
    const origin = this.random.pick(ORIGINS);
    if (!run.model.locks.sequences.has(origin)) return;
    run.change(
      `release ${origin}`,
      ({ locks }) => {
        run.real();
        locks.drop((of) => of === origin);
      },
      () => run.volume.locks.release(origin, 'model'),
    );
  }

  #acknowledge(): void {
    const { run } = this;
    const origin = this.random.pick(ORIGINS);
    const told = run.volume.locks.broken(origin).map(({ snapshot }) => snapshot);
    run.change(
      `acknowledge ${told.length} broken locks of ${origin}`,
      ({ locks }) => {
        run.real();
        for (const lock of locks.broken) if (lock.startsWith(origin)) locks.broken.delete(lock);
      },
      () => run.volume.locks.acknowledgeBroken(origin, told),
    );
  }
}
