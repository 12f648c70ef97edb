/**
 * Group saves of one mount: starts them (as the *initiator*), decides their
 * outcome, and makes sure that every director learns it. The protocol is in
 * group-messages.ts.
 *
 * What must hold: a point is committed only after every director has stored its
 * tentative snapshot, and only by a commit record that is on disk; a point
 * without a record was dropped, whatever happened to whoever asked for it.
 *
 * Doors: group-messages, group-saves.
 * Doors inside sync/: group-parsing.
 */
import type { Incarnation } from './barrier.js';
import type { Fabric, Timers } from '../fabric.js';
import { GroupDirector, RESEND_MS } from './group-director.js';
import type {
  CommitRecords,
  GroupAnswer,
  GroupMessage,
  GroupVolume,
  Outcome,
  Point,
} from './group-messages.js';

/** How often a commit is sent to directors that have not confirmed it. */
const TELL_MS = 500;

export interface GroupSavesSetup {
  name: string;
  incarnation: Incarnation;
  fabric: Fabric<GroupMessage>;
  timers: Timers;
  volume: GroupVolume;
  records: CommitRecords;
}

export interface GroupLimits {
  /** Longest time for a director's first answer. Nothing is parked meanwhile. */
  greetMaxMs: number;
  /** Longest time for which changes may be parked. */
  parkMaxMs: number;
  /** Longest time for storing the snapshots after that. */
  saveMaxMs: number;
}

interface Asked {
  saved: Set<string>;
  refused: Map<string, string>;
  /** Checks whether the point is decided. */
  look: () => void;
}

export class GroupSaves {
  readonly director: GroupDirector;
  readonly #setup: GroupSavesSetup;
  /** The directors that answered a greeting. */
  readonly #greeted = new Map<string, Map<string, Incarnation>>();
  readonly #untold = new Map<string, Set<string>>();
  /** Undecided points, by key. */
  readonly #asked = new Map<string, Asked>();
  #count = 0;

  constructor(setup: GroupSavesSetup) {
    this.#setup = setup;
    const { fabric, records } = setup;
    this.director = new GroupDirector({
      ...setup,
      onChange: (key) => this.#asked.get(key)?.look(),
    });
    fabric.receive((from, message) => this.#receive(from, message));
    for (const { key, directors } of records.all()) this.#tell(key, directors);
  }

  /**
   * Saves this mount and the peers under one name at one point, or none of them. The name must be
   * free everywhere: a director that has such a snapshot refuses.
   */
  async save(
    name: string,
    peers: readonly string[],
    limits: GroupLimits,
    note?: string,
  ): Promise<GroupAnswer> {
    const key = `${this.#setup.name}/${this.#setup.incarnation}/${++this.#count}`;
    const others = [...new Set(peers)].filter((peer) => peer !== this.#setup.name);
    const incarnations = await this.#greet(key, others, limits.greetMaxMs);
    const silent = others.filter((peer) => !incarnations.has(peer));
    if (silent.length > 0) {
      const missing = Object.fromEntries(silent.map((peer) => [peer, 'does not answer']));
      return { outcome: 'dropped', key, missing };
    }
    const point: Point = {
      key,
      name,
      ...(note !== undefined && { note }),
      initiator: this.#setup.name,
      selected: [[this.#setup.name, this.#setup.incarnation], ...incarnations],
      parkMaxMs: limits.parkMaxMs,
    };
    const unsaved = await this.#toBeSaved(point, limits);
    const outcome = unsaved.length === 0 ? await this.#commit(point) : 'dropped';
    const missing = this.#blamedFor(point, unsaved);
    this.#asked.delete(key);
    await this.director.settle(key, outcome);
    if (outcome === 'dropped')
      this.#setup.fabric.send(others, { kind: 'outcome', about: key, outcome });
    return { outcome, key, missing };
  }

  #greet(
    greeting: string,
    peers: readonly string[],
    maxMs: number,
  ): Promise<ReadonlyMap<string, Incarnation>> {
    const { fabric, timers } = this.#setup;
    const answers = new Map<string, Incarnation>();
    this.#greeted.set(greeting, answers);
    const endMs = timers.nowMs() + maxMs;
    return new Promise((resolve) => {
      const again = (): void => {
        const silent = peers.filter((peer) => !answers.has(peer));
        if (silent.length === 0 || timers.nowMs() >= endMs) {
          this.#greeted.delete(greeting);
          resolve(answers);
          return;
        }
        fabric.send(silent, { kind: 'greet', greeting });
        timers.after(Math.min(RESEND_MS, endMs - timers.nowMs()), again);
      };
      again();
    });
  }

  /** Resolves with the directors that did not save in time; empty: all did. */
  #toBeSaved(point: Point, { parkMaxMs, saveMaxMs }: GroupLimits): Promise<string[]> {
    const { fabric, timers, name } = this.#setup;
    const selected = new Map(point.selected);
    const others = [...selected.keys()].filter((peer) => peer !== name);
    return new Promise((resolve) => {
      let isOver = false;
      const notSaved = (): string[] =>
        [...selected.keys()].filter((peer) => !asked.saved.has(peer));
      const end = (): void => {
        if (isOver) return;
        isOver = true;
        resolve(notSaved());
      };
      const asked: Asked = {
        saved: new Set(),
        refused: new Map(),
        look: () => {
          const hasFailed = asked.refused.size > 0 || this.director.hasFailed(point.key);
          const refused = Object.fromEntries(asked.refused);
          if (asked.refused.size > 0) this.director.callOff(point.key, refused);
          if (hasFailed || notSaved().length === 0) end();
        },
      };
      this.#asked.set(point.key, asked);
      timers.after(parkMaxMs + saveMaxMs, end);
      const prepareAgain = (): void => {
        if (isOver) return;
        const absent = this.director.table.missing(selected, point.key);
        const silent = others.filter((peer) => absent.includes(peer) && !asked.saved.has(peer));
        if (silent.length > 0) fabric.send(silent, { kind: 'prepare', point });
        timers.after(RESEND_MS, prepareAgain);
      };
      this.director.prepare(name, point);
      prepareAgain();
    });
  }

  async #commit(point: Point): Promise<Outcome> {
    // This director is told as the others are: it may stop before it learns the outcome.
    const directors = point.selected.map(([director]) => director);
    await this.#setup.records.add(point.key, directors);
    this.#tell(point.key, directors);
    return 'committed';
  }

  /** Tells all directors repeatedly, until each has confirmed. */
  #tell(key: string, directors: readonly string[]): void {
    const { fabric, timers, records } = this.#setup;
    const untold = new Set(directors);
    this.#untold.set(key, untold);
    const again = (): void => {
      if (untold.size === 0) {
        this.#untold.delete(key);
        // A record that stays is sent again after the next start.
        records.remove(key).catch(() => undefined);
        return;
      }
      fabric.send([...untold], { kind: 'outcome', about: key, outcome: 'committed' });
      timers.after(TELL_MS, again);
    };
    again();
  }

  /** The directors to blame, as far as known; otherwise all that have not saved. */
  #blamedFor(point: Point, unsaved: readonly string[]): Record<string, string> {
    if (unsaved.length === 0) return {};
    const refused = Object.fromEntries(this.#asked.get(point.key)?.refused ?? []);
    const blamed = { ...this.director.blamed(point.key), ...refused };
    if (Object.keys(blamed).length > 0) return blamed;
    return Object.fromEntries(unsaved.map((peer) => [peer, 'did not save in time']));
  }

  #receive(from: string, message: GroupMessage): void {
    const { fabric, name, records } = this.#setup;
    switch (message.kind) {
      case 'greeted':
        this.#greeted.get(message.greeting)?.set(from, message.incarnation);
        return;
      case 'refuse':
      case 'saved': {
        const asked = this.#asked.get(message.about);
        if (asked === undefined) return;
        if (message.kind === 'saved') asked.saved.add(from);
        else asked.refused.set(from, message.reason);
        asked.look();
        return;
      }
      case 'ask':
        if (!message.about.startsWith(`${name}/`)) break;
        // Undecided: no answer. Decided and no record: dropped, also by an earlier incarnation.
        if (this.#asked.has(message.about)) return;
        fabric.send([from], {
          kind: 'outcome',
          about: message.about,
          outcome: records.has(message.about) ? 'committed' : 'dropped',
        });
        return;
      case 'outcome': {
        const { about, outcome } = message;
        this.director.settle(about, outcome).then(
          (isSettled) => {
            if (isSettled && outcome === 'committed')
              fabric.send([from], { kind: 'settled', about });
          },
          // The initiator repeats the outcome, and this tries again.
          () => undefined,
        );
        return;
      }
      case 'settled':
        this.#untold.get(message.about)?.delete(from);
        return;
      default:
    }
    this.director.receive(from, message);
  }
}
