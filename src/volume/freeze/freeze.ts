/**
 * Freeze: what views still read from the base is stored in the base layer, so
 * that the base may change or go (rules A11, A12 in native-notes/format.md).
 * Work in pieces, in the thread that owns the volume, which serves on.
 *
 * What must hold: no view reads anything differently at any time; a file counts
 * as stored only when everything of it is on the disk, so a freeze that is cut
 * off anywhere is carried on by the next one; memory does not grow with the
 * base.
 *
 * Doors: freeze, frozen, refusals, survey.
 * Doors inside volume/: frozen.
 */
import type { Deferred } from '../../lib/deferred.js';
import { CommandError, FsError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { answerOf, type Work } from '../../lib/work.js';
import type { BaseDirectory } from '../../base/base-directory.js';
import { BaseLayer } from '../apply/base-layer.js';
import { eachGiven, givenOf } from '../apply/given-records.js';
import { requireBase } from '../apply/planning.js';
import { TakingBack } from '../apply/take-back.js';
import type { Inode, LinkName } from '../inode.js';
import type { Volume } from '../volume.js';
import {
  eachBaseInode,
  isOnlyInBaseLayer,
  isUnchanged,
  type Obstacle,
  obstacleTo,
  referringTo,
  unreadable,
} from './base-records.js';
import { BaseWalk, isInBase, type Met } from './base-walk.js';
import { giveUp } from './give-up.js';
import { interrupted, refuseFull, refuseObstacles, shownObstacle } from './refusals.js';
import { OBSTACLES_MAX, type Reader, surveyBase } from './survey.js';

export interface FreezeHost {
  /** Settles after a little while. */
  pause(): Deferred<void>;
  /** Bytes. */
  onProgress(done: number, total: number): void;
  /** Somebody wants it to end. */
  isStopped(): boolean;
  reader: Reader;
  source: string;
  /** What the base does not have any more is given up. */
  isForced: boolean;
}

export interface FreezeOutcome {
  /** What was given up, as far as it is named; the count is of all. */
  lost: Obstacle[];
  lostCount: number;
  files: number;
  directories: number;
  storedBytes: number;
  /** Nothing needs it any more: whoever opened it closes it. */
  base: BaseDirectory | undefined;
}

/** Lost files that the history names. */
const LOST_IN_HISTORY = 100;
/** Files marked as stored at a time. */
const MARKS_MAX = 1024;
/** How often a file or directory that changes meanwhile is taken anew. */
const TRIES_MAX = 5;

/** Everything of it will be stored with the next commit. */
interface Mark {
  met: Met;
  /** Of a directory: the base's times when its names were read. */
  seen?: string;
}

/** Throws CommandError: no-base, freeze-refused, freeze-full, freeze-incomplete, freeze-stopped. */
export function* freezeBase(volume: Volume, host: FreezeHost): Work<FreezeOutcome> {
  requireBase(volume);
  const survey = yield* surveyBase(volume, host.reader);
  if (!host.isForced || survey.unreadableCount > 0) refuseObstacles(survey, 'nothing was copied');
  refuseFull(survey.bytes, volume.space().freeBytes, volume.options.compression);
  const freezing = new Freezing(volume, host, survey.bytes);
  yield* freezing.run();
  const base = yield* freezing.finish();
  const { files, directories, lost, lostCount } = freezing;
  return { files, directories, lost, lostCount, storedBytes: freezing.layer.storedBytes, base };
}

class Freezing {
  readonly layer: BaseLayer;
  files = 0;
  directories = 0;
  readonly lost: Obstacle[] = [];
  lostCount = 0;
  readonly #walk: BaseWalk;
  #marks: Mark[] = [];
  #doneBytes = 0;
  /** Every name is stored: files that have several may be marked. */
  #isPastNames = false;
  /** Directories that got names after they were read. */
  #again: { met: Met; tries: number }[] = [];
  readonly #tries = new Map<number, number>();
  readonly #lostInos = new Set<number>();
  readonly #obstacles: Obstacle[] = [];
  #obstacleCount = 0;
  /** Directories on the way of which something is not stored: they stay the base's. */
  readonly #incomplete = new Set<number>();
  /** Times of the directories on the way, from before their names were read. */
  readonly #seen = new Map<number, string>();

  constructor(
    readonly volume: Volume,
    readonly host: FreezeHost,
    readonly totalBytes: number,
  ) {
    this.layer = new BaseLayer(volume, () => host.pause());
    this.#walk = new BaseWalk(volume, this.layer.view, {
      enter: (met) => this.#enter(met),
      file: (met) => this.#file(met),
      leave: (met) => this.#leave(met),
    });
  }

  *run(): Work<void> {
    try {
      yield* this.#walk.run();
      yield* this.#settleAll();
      this.#isPastNames = true;
      yield* eachBaseInode(this.volume, (ino) => this.#stray(ino));
      yield* this.#settleAll();
      yield* this.#takeBack();
    } catch (error) {
      // What is whole until here need not be copied again.
      if (this.volume.failure === undefined) yield* this.#settle();
      throw error instanceof FsError && error.code === 'ENOSPC'
        ? refuseFullNow(this.#doneBytes)
        : error;
    }
  }

  /** Files that the tree made, and whose bytes only the base has since an apply. */
  *#takeBack(): Work<void> {
    const { volume, layer, host } = this;
    const takingBack = new TakingBack(volume, () => host.pause());
    const pauseOrStop = this.#pauseOrStop.bind(this);
    let files: number[] = [];
    yield* eachGiven(volume, function* (ino): Work<void> {
      yield* pauseOrStop();
      files.push(ino);
      if (files.length < MARKS_MAX) return;
      yield* takingBack.run(files);
      files = [];
    });
    yield* takingBack.run(files);
    layer.storedBytes += takingBack.storedBytes;
  }

  /** Nothing reads from the base any more: the volume knows that it is frozen. */
  *finish(): Work<BaseDirectory | undefined> {
    const { volume } = this;
    yield* answerOf(volume.whenCommitted(volume.commit()));
    if (this.#obstacleCount === 0) {
      yield* eachBaseInode(volume, (ino) => this.#unstored(ino));
      yield* eachGiven(volume, (ino) => this.#lostGiven(ino));
    }
    const survey = { obstacles: this.#obstacles, obstacleCount: this.#obstacleCount };
    refuseObstacles(survey, 'everything else is copied; shadowfs freeze goes on from there');
    failpoint('freeze:copied');
    const { files, directories, lost, lostCount } = this;
    volume.frozen.record(this.host.source, {
      files,
      directories,
      storedBytes: this.layer.storedBytes,
      ...(lostCount > 0 && { lostCount, lost: lost.slice(0, LOST_IN_HISTORY).map(shownObstacle) }),
    });
    yield* answerOf(volume.whenCommitted(volume.commit()));
    failpoint('freeze:recorded');
    return volume.frozen.releaseBase();
  }

  *#unstored(ino: number): Work<void> {
    const records = referringTo(this.volume, ino);
    const [newest] = records;
    if (newest?.base === undefined) return;
    const obstacle = obstacleTo(this.volume, ino, records);
    const { path } = newest.base;
    if (!this.host.isForced) this.#obstructed(obstacle ?? { path, reason: 'changed' });
    else {
      // Of a file that was removed before its bytes were, nothing is missed.
      if (obstacle !== undefined) this.#noteLost(ino, obstacle);
      yield* giveUp(this.volume, records.at(-1) ?? newest, () => this.#pause());
    }
    yield undefined;
  }

  *#pause(): Work<void> {
    yield this.host.pause();
  }

  /** Once: under each of its names it is met again. */
  #noteLost(ino: number, obstacle: Obstacle): void {
    if (this.#lostInos.has(ino)) return;
    this.#lostInos.add(ino);
    this.lostCount++;
    if (this.lost.length < OBSTACLES_MAX) this.lost.push(obstacle);
  }

  #isGivenUp({ reason }: Obstacle): boolean {
    return this.host.isForced && reason !== 'unreadable';
  }

  /** The base does not have what it was given: without it the record has nothing (rule G5). */
  *#lostGiven(ino: number): Work<void> {
    for (const { given } of givenOf(this.volume, ino)) {
      const obstacle: Obstacle = { path: given.ref.path, reason: 'changed' };
      if (this.#isGivenUp(obstacle)) this.#noteLost(ino, obstacle);
      else this.#obstructed(obstacle);
    }
    yield undefined;
  }

  #obstructed(obstacle: Obstacle): void {
    this.#obstacleCount++;
    if (this.#obstacles.length < OBSTACLES_MAX) this.#obstacles.push(obstacle);
  }

  /** Something below is not stored. What is lost is given up at the end. */
  #skip(met: Met, obstacle: Obstacle): void {
    if (this.#isGivenUp(obstacle)) {
      this.#noteLost(met.inode.ino, obstacle);
      return;
    }
    this.#obstructed(obstacle);
    this.#incomplete.add(met.inode.ino);
    if (met.link !== undefined) this.#incomplete.add(met.link.parent);
  }

  *#pauseOrStop(): Work<void> {
    if (this.host.isStopped()) throw interrupted(this.#doneBytes, this.totalBytes);
    yield undefined;
  }

  /** Its record and its name in the directory above; undefined: it can't be stored. */
  *#kept(met: Met): Work<Inode | undefined> {
    const { volume, layer } = this;
    const { inode, path, link } = met;
    yield* this.#pauseOrStop();
    try {
      const obstacle = obstacleTo(volume, inode.ino, [...referringTo(volume, inode.ino), inode]);
      if (obstacle !== undefined) {
        this.#skip(met, obstacle);
        // What the base has now is stored beside what records of another state refer to.
        if (!this.#isGivenUp(obstacle)) return undefined;
      }
      const kept = yield* this.#keptInode(inode.ino, path, link);
      if (kept === undefined) return undefined;
      if (link !== undefined) {
        const above = volume.inode(layer.view, link.parent);
        if (above !== undefined) yield* layer.keepEntry(above, link.name);
        layer.addName(kept, link);
      }
      yield* layer.keepXattrs(kept);
      return kept;
    } catch (error) {
      if (isFull(error)) throw error;
      this.#skip(met, unreadable(path, error));
      return undefined;
    }
  }

  /** The volume goes on knowing the places that others ask for; no others. */
  *#keptInode(ino: number, path: string, link?: LinkName): Work<Inode | undefined> {
    const { basePaths } = this.volume.core;
    const wasKnown = basePaths.has(ino);
    const kept = yield* this.layer.keepInode(ino, path, link);
    if (!wasKnown) basePaths.delete(ino);
    return kept;
  }

  *#enter(met: Met): Work<boolean> {
    const kept = yield* this.#kept(met);
    if (kept === undefined) return false;
    const seen = this.#timesOf(met.path);
    try {
      requireBase(this.volume).list(met.path);
      this.#seen.set(kept.ino, seen);
    } catch (error) {
      this.#skip(met, unreadable(met.path, error));
      return false;
    }
    return true;
  }

  #timesOf(path: string): string {
    const stat = this.volume.base?.lstat(path);
    return `${stat?.mtimeS}.${stat?.mtimeNs} ${stat?.ctimeS}.${stat?.ctimeNs}`;
  }

  *#file(met: Met): Work<void> {
    const kept = yield* this.#kept(met);
    if (kept === undefined) return;
    if (kept.isRegular && !(yield* this.#blocks(met, kept))) return;
    // Once it is marked, its other names in the base no longer lead to it.
    if (kept.nlink === 1 || this.#isPastNames) yield* this.#mark({ met });
  }

  /** False: they can't be stored. */
  *#blocks(met: Met, inode: Inode): Work<boolean> {
    const { volume, layer, host, totalBytes } = this;
    let kept = inode;
    for (let tries = 0; ; tries++) {
      try {
        yield* layer.keepBlocks(kept, tries > 0, (bytes) => {
          this.#doneBytes = Math.min(this.#doneBytes + bytes, totalBytes);
          host.onProgress(this.#doneBytes, totalBytes);
          if (host.isStopped()) throw interrupted(this.#doneBytes, totalBytes);
        });
        return true;
      } catch (error) {
        if (isFull(error) || error instanceof CommandError) throw error;
        const stat = volume.base?.lstat(met.path);
        const ref = kept.base;
        const isOther = stat === undefined || ref === undefined || !isUnchanged(ref, stat);
        // Somebody writes to it: it is taken as it is now, unless a snapshot knows it otherwise.
        const mayTake = isOther && tries < TRIES_MAX && isOnlyInBaseLayer(volume, kept.ino);
        const anew = mayTake ? yield* layer.keepAnew(kept, met.path) : undefined;
        if (anew === undefined) {
          const { path } = met;
          const gone: Obstacle = { path, reason: stat === undefined ? 'vanished' : 'changed' };
          this.#skip(met, isOther ? gone : unreadable(path, error));
          return false;
        }
        kept = anew;
      }
    }
  }

  *#leave(met: Met): Work<void> {
    const { ino } = met.inode;
    const seen = this.#seen.get(ino) ?? '';
    this.#seen.delete(ino);
    if (this.#incomplete.delete(ino)) {
      // What is in it is reached through it, the next time.
      if (met.link !== undefined) this.#incomplete.add(met.link.parent);
      return;
    }
    yield* this.#mark({ met, seen });
  }

  *#mark(mark: Mark): Work<void> {
    this.#marks.push(mark);
    if (this.#marks.length >= MARKS_MAX) yield* this.#settle();
  }

  /** What is whole is on the disk, and the views read it from there. */
  *#settle(): Work<void> {
    const marks = this.#marks;
    if (marks.length === 0) return;
    this.#marks = [];
    yield* answerOf(this.volume.whenCommitted(this.volume.commit()));
    failpoint('freeze:stored');
    // No pause from here: between the look at a directory and its mark nothing may come into it.
    const whole = marks.filter(
      ({ met, seen }) => seen === undefined || !this.#hasChanged(met, seen),
    );
    this.layer.finish(
      whole.map(({ met }) => ({ ino: met.inode.ino })),
      undefined,
    );
    const directories = whole.filter(({ met }) => met.inode.isDirectory).length;
    this.directories += directories;
    this.files += whole.length - directories;
  }

  *#settleAll(): Work<void> {
    yield* this.#settle();
    while (this.#again.length > 0) yield* this.#takeAgain();
  }

  /** A directory in which names came or went while it was copied is gone through again. */
  #hasChanged(met: Met, seen: string): boolean {
    if (this.#timesOf(met.path) === seen) return false;
    const { ino } = met.inode;
    const tries = (this.#tries.get(ino) ?? 0) + 1;
    this.#tries.set(ino, tries);
    this.#again.push({ met, tries });
    return true;
  }

  *#takeAgain(): Work<void> {
    for (const { met, tries } of this.#again.splice(0)) {
      const inode = this.volume.inode(this.layer.view, met.inode.ino);
      if (inode === undefined || !isInBase(inode)) continue;
      if (tries > TRIES_MAX) this.#obstructed({ path: met.path, reason: 'changed' });
      else yield* this.#walk.below({ ...met, inode });
    }
    yield* this.#settle();
  }

  /** Has several names, or none in the base layer's view. */
  *#stray(ino: number): Work<void> {
    yield undefined;
    const [record] = referringTo(this.volume, ino);
    const { base: ref, links } = record ?? {};
    if (record === undefined || ref === undefined) return;
    if (this.#obstacles.some(({ path }) => path === ref.path)) return;
    const kept = yield* this.#keptInode(ino, ref.path, links?.[0]);
    const met: Met = { inode: kept ?? record, path: ref.path };
    if (kept === undefined) {
      if (!this.host.isForced) this.#obstructed({ path: ref.path, reason: 'vanished' });
    } else if (kept.isDirectory) {
      yield* this.#walk.below(met);
    } else {
      yield* this.#file(met);
    }
  }
}

function isFull(error: unknown): boolean {
  return error instanceof FsError && error.code === 'ENOSPC';
}

function refuseFullNow(storedBytes: number): CommandError {
  return new CommandError(
    'freeze-full',
    'ENOSPC',
    'the volume has no room for the rest of the base; what is copied stays: ' +
      'make room, and shadowfs freeze goes on from there',
    { storedBytes },
  );
}
