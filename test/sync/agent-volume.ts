/**
 * A volume for simulated agents: snapshots are sets of numbers, each number a
 * write. What is on its disk survives a stop; every change takes time and can
 * be the last before one.
 */
import type { TransferRequest } from '../../src/sync/stream/sender.js';
import { CommandError } from '../../src/lib/errors.js';
import type {
  Epoch,
  Handover,
  NeededSnapshot,
  LockOutcome,
  LockSet,
  SyncSnapshot,
} from '../../src/sync/agent/messages.js';
import type {
  Incoming,
  Outgoing,
  StoredLocks,
  StoredRole,
  SyncVolume,
} from '../../src/sync/agent/sync-volume.js';

export type Content = ReadonlySet<number>;

export interface StoredSnapshot extends SyncSnapshot {
  content: Content;
  /** Made where: `saved` by a primary, `local` on a standby. */
  kind: 'saved' | 'local' | 'received' | 'diverged';
}

/** What survives a stop. */
export class Disk {
  history: string;
  role: StoredRole;
  live = new Set<number>();
  snapshots: StoredSnapshot[] = [];
  /** By downstream: what it had locked and somebody deleted by force. */
  readonly broken = new Map<string, Set<string>>();
  readonly locks = new Map<string, { sequence: number; items: readonly NeededSnapshot[] }>();
  staging:
    | { from: string | null; to: string; base: Content; pieces: number[][]; chain: string }
    | undefined;
  /** What the volume needs of its upstream, and whose that was when it came. */
  need: { snapshot: string; from: string } | undefined;
  /** The snapshot that a standby shows. */
  shown: string | undefined;
  pullEveryMs: number | undefined;
  /** It keeps nothing of what its upstream has deleted. */
  prunes = false;
  incarnation = 0;
  made = 0;

  constructor(
    readonly uuid: string,
    isFirst: boolean,
    upstream: string | undefined,
  ) {
    this.history = isFirst ? uuid : '';
    this.role = {
      role: isFirst ? 'primary' : 'standby',
      epoch: { number: isFirst ? 1 : 0, by: isFirst ? uuid : '' },
      ...(upstream !== undefined && { upstream }),
    };
  }

  find(uuid: string | null | undefined): StoredSnapshot | undefined {
    return this.snapshots.find((snapshot) => snapshot.uuid === uuid);
  }

  /** What keeps the snapshot from a plain deletion. */
  lockOf(uuid: string): string | undefined {
    if (this.need?.snapshot === uuid) return 'needed here';
    if (this.role.handover?.snapshot === uuid) return 'handed over';
    for (const [from, { items }] of this.locks) {
      if (items.some(({ snapshot }) => snapshot === uuid)) return `needed by ${from}`;
    }
    return undefined;
  }
}

/** What the world lends to a volume. */
export interface AgentVolumeHost {
  /** Runs `effect` as one transaction, after a while; never returns when the machine stops there. */
  step<T>(name: string, effect: () => T): Promise<T>;
  nowMs(): number;
  isFull(): boolean;
  say(message: () => string): void;
  /** Every snapshot that was ever made. */
  readonly registry: Map<string, Content>;
  /** Before a snapshot goes because the upstream has deleted it. */
  pruned(snapshot: StoredSnapshot): void;
  /** Called after each change of the disk, with what was done. */
  changed(what: string): void;
}

/** In a piece there are so many writes: small, so that transfers are interrupted. */
const PIECE = 3;

function chainOf(chain: string, piece: readonly number[]): string {
  let hash = 17;
  for (const char of `${chain}/${piece.join()}`) hash = (hash * 31 + char.charCodeAt(0)) | 0;
  return String(hash);
}

/** Additions as numbers, removals as their complements. */
function pieces(from: Content, to: Content): number[][] {
  const changes = [
    ...[...to].filter((write) => !from.has(write)),
    ...[...from].filter((write) => !to.has(write)).map((write) => ~write),
  ].sort((a, b) => a - b);
  const all: number[][] = [];
  for (let i = 0; i < changes.length; i += PIECE) all.push(changes.slice(i, i + PIECE));
  return all;
}

export class AgentVolume implements SyncVolume {
  constructor(
    readonly disk: Disk,
    readonly host: AgentVolumeHost,
  ) {}

  get uuid(): string {
    return this.disk.uuid;
  }

  get history(): string {
    return this.disk.history;
  }

  role(): StoredRole {
    return this.disk.role;
  }

  snapshots(): readonly SyncSnapshot[] {
    return this.disk.snapshots
      .filter(({ kind }) => kind !== 'diverged')
      .map(({ uuid, name, createdMs }) => ({ uuid, name, createdMs }));
  }

  pullEveryMs(): number | undefined {
    return this.disk.pullEveryMs;
  }

  prunes(): boolean {
    return this.disk.prunes;
  }

  prune(absent: readonly string[]): Promise<void> {
    const { disk, host } = this;
    return this.#step('prune', () => {
      for (const snapshot of [...disk.snapshots]) {
        const { uuid, kind } = snapshot;
        const isGone = absent.includes(uuid) && kind === 'received' && disk.shown !== uuid;
        if (!isGone || disk.lockOf(uuid) !== undefined) continue;
        disk.snapshots = disk.snapshots.filter((one) => one !== snapshot);
        host.pruned(snapshot);
      }
    });
  }

  shown(): string | undefined {
    return this.disk.shown;
  }

  show(snapshot: string, epoch: Epoch): Promise<void> {
    const { disk } = this;
    return this.#step('show', () => {
      const upstream = this.#upstreamIn(epoch);
      const found = disk.find(snapshot);
      if (found === undefined) throw new CommandError('no-such-snapshot', 'ENOENT', 'it has gone');
      disk.live = new Set(found.content);
      disk.shown = snapshot;
      disk.need = { snapshot, from: upstream };
    });
  }

  /** Throws when the role has changed since. */
  #upstreamIn(epoch: Epoch): string {
    const { role, upstream, epoch: mine } = this.disk.role;
    const isSame = mine.number === epoch.number && mine.by === epoch.by;
    if (role === 'standby' && upstream !== undefined && isSame) return upstream;
    throw new CommandError('role-changed', 'ESTALE', 'the role has changed meanwhile');
  }

  locksOfDownstreams(): readonly NeededSnapshot[] {
    return [...this.disk.locks.values()].flatMap(({ items }) => items);
  }

  #step<T>(name: string, effect: () => T): Promise<T> {
    return this.host.step(name, () => {
      const result = effect();
      this.host.changed(name);
      return result;
    });
  }

  async storeLocks(from: string, { sequence, items, seen }: LockSet): Promise<StoredLocks> {
    const { disk } = this;
    const broken = disk.broken.get(from);
    for (const snapshot of seen) broken?.delete(snapshot);
    const known = disk.locks.get(from);
    const isNewer = known === undefined || known.sequence < sequence;
    const asStored = JSON.stringify(
      items.filter(({ snapshot }) => disk.find(snapshot) !== undefined),
    );
    if (
      isNewer &&
      (known !== undefined || items.length > 0) &&
      asStored !== JSON.stringify(known?.items)
    ) {
      return this.#step('locks', () => this.#storeSet(from, sequence, items));
    }
    return { outcomes: this.#outcomes(items), broken: [...(broken ?? [])], isChanged: false };
  }

  #outcomes(items: readonly NeededSnapshot[]): LockOutcome[] {
    return items.map(({ snapshot }) => {
      const isKnown = this.disk.find(snapshot) !== undefined;
      return { snapshot, outcome: isKnown ? 'kept' : 'unknown-snapshot' };
    });
  }

  #storeSet(from: string, sequence: number, items: readonly NeededSnapshot[]): StoredLocks {
    const { disk } = this;
    this.host.say(() => `${disk.uuid} locks of ${from} #${sequence}: ${JSON.stringify(items)}`);
    const known = disk.locks.get(from);
    const isNewer = known === undefined || known.sequence < sequence;
    if (isNewer) {
      const kept = items.filter(({ snapshot }) => disk.find(snapshot) !== undefined);
      disk.locks.set(from, { sequence, items: kept });
    }
    const broken = [...(disk.broken.get(from) ?? [])];
    return { outcomes: this.#outcomes(items), broken, isChanged: isNewer };
  }

  send({ from, to, resumed }: TransferRequest): Outgoing {
    const target = this.disk.find(to);
    const base = this.disk.find(from);
    if (target === undefined || (from !== null && base === undefined)) {
      throw new CommandError('no-such-snapshot', 'ENOENT', 'a snapshot has gone');
    }
    const all = pieces(base?.content ?? new Set(), target.content);
    let index = resumed?.records ?? 0;
    return {
      next: async () => {
        const piece = all[index++];
        return piece === undefined ? undefined : Buffer.from(JSON.stringify(piece));
      },
      close: () => undefined,
    };
  }

  async sizeOf({ from, to }: TransferRequest): Promise<number> {
    const target = this.disk.find(to);
    if (target === undefined) throw new CommandError('no-such-snapshot', 'ENOENT', 'it has gone');
    return pieces(this.disk.find(from)?.content ?? new Set(), target.content).flat().length;
  }

  async receive(from: string | null, to: string): Promise<Incoming> {
    const { disk } = this;
    await this.#step('receive', () => {
      if (disk.staging?.from === from && disk.staging.to === to) return;
      const base = disk.find(from)?.content;
      if (from !== null && base === undefined) {
        throw new CommandError('base-snapshot-missing', 'ENOENT', 'the base has gone here');
      }
      disk.staging = { from, to, base: base ?? new Set(), pieces: [], chain: '' };
    });
    // In memory until it is stored: a stop loses what came since.
    const start = disk.staging;
    if (start === undefined) throw new Error('nothing is staged');
    const arrived = [...start.pieces];
    let { chain } = start;
    const store = (): void => {
      if (disk.staging !== start) return;
      start.pieces = arrived;
      start.chain = chain;
    };
    return {
      resumed: arrived.length === 0 ? undefined : { records: arrived.length, chain },
      push: async (bytes) => {
        if (this.host.isFull()) throw new CommandError('disk-full', 'ENOSPC', 'no space');
        const piece = JSON.parse(Buffer.from(bytes).toString()) as number[];
        arrived.push(piece);
        chain = chainOf(chain, piece);
        if (arrived.length % 2 === 0) await this.#step('push', store);
      },
      finish: (epoch) => this.#step('adopt', () => this.#adopt(to, arrived, epoch)),
      suspend: () => this.#step('suspend', store),
      drop: () =>
        this.#step('drop', () => {
          disk.staging = undefined;
        }),
    };
  }

  #adopt(to: string, arrived: readonly number[][], epoch: Epoch): void {
    const { disk, host } = this;
    const upstream = this.#upstreamIn(epoch);
    // The staged layer lies on the base's layer, which stays when the snapshot's name goes.
    const content = new Set(disk.staging?.base ?? []);
    for (const change of arrived.flat()) {
      if (change < 0) content.delete(~change);
      else content.add(change);
    }
    const snapshot = { uuid: to, name: `received ${to}`, createdMs: host.nowMs(), content };
    disk.snapshots.push({ ...snapshot, kind: 'received' });
    disk.live = new Set(content);
    disk.staging = undefined;
    disk.shown = to;
    disk.need = { snapshot: to, from: upstream };
    // The history's name travels in the stream's header.
    if (disk.history === '') disk.history = 'm0';
  }

  save(kind: 'saved' | 'local' | 'diverged'): StoredSnapshot {
    const { disk, host } = this;
    const uuid = `${disk.uuid}-${disk.incarnation}-${++disk.made}`;
    const content = new Set(disk.live);
    host.registry.set(uuid, content);
    const snapshot: StoredSnapshot = { uuid, name: uuid, createdMs: host.nowMs(), content, kind };
    disk.snapshots.push(snapshot);
    return snapshot;
  }

  promote(epoch: Epoch): Promise<void> {
    const { disk, host } = this;
    return host.step('promote', () => {
      const { role, upstream } = disk.role;
      disk.role = { role: 'primary', epoch, ...(upstream !== undefined && { upstream }) };
      disk.staging = undefined;
      host.changed(role === 'standby' ? 'promote' : 'promote again');
      disk.shown = undefined;
    });
  }

  demote(to: string | undefined, epoch: Epoch, upstream: string): Promise<void> {
    const { disk } = this;
    return this.#step('demote', () => {
      const common = disk.find(to);
      if (to !== undefined && common === undefined) {
        throw new CommandError('no-such-snapshot', 'ENOENT', 'the common snapshot has gone');
      }
      const isUnsent = [...disk.live].some((write) => common?.content.has(write) !== true);
      if (isUnsent) this.save('diverged');
      if (common !== undefined) disk.live = new Set(common.content);
      disk.shown = to;
      disk.role = { role: 'standby', epoch, upstream };
      disk.need = to === undefined ? undefined : { snapshot: to, from: upstream };
    });
  }

  handOver(to: string, epoch: Epoch): Promise<Handover> {
    const { disk } = this;
    return this.#step('hand-over', () => {
      const { uuid } = this.save('saved');
      const handover = { to, epoch, snapshot: uuid };
      disk.shown = uuid;
      disk.role = { role: 'standby', epoch: disk.role.epoch, handover };
      return handover;
    });
  }

  follow(upstream: string, epoch: Epoch): Promise<void> {
    const { disk } = this;
    return this.#step('follow', () => {
      const { role, handover } = disk.role;
      if (role !== 'standby') throw new CommandError('role-changed', 'ESTALE', 'primary by now');
      if (handover !== undefined) disk.need = { snapshot: handover.snapshot, from: upstream };
      disk.role = { role: 'standby', epoch, upstream };
    });
  }
}
