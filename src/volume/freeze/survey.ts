/**
 * What a freeze would store, and what keeps it from storing some of it. Changes
 * nothing; what was stored before is left out.
 */
import type { Work } from '../../lib/work.js';
import { BASE_LAYER } from '../../format/records/tables.js';
import { requireBase } from '../apply/planning.js';
import { eachGiven, givenOf, isThere } from '../apply/given-records.js';
import type { Inode } from '../inode.js';
import type { ReadableVolume } from '../readable-volume.js';
import { BaseWalk, type Met } from './base-walk.js';
import {
  eachBaseInode,
  type Obstacle,
  obstacleTo,
  referringTo,
  unreadable,
} from './base-records.js';

/** Obstacles that are named; the count is of all. */
export const OBSTACLES_MAX = 1000;

/** Who this process is. */
export interface Reader {
  uid: number;
  groups: ReadonlySet<number>;
}

export interface Survey {
  files: number;
  directories: number;
  /** Bytes of files that the volume does not have, as far as the base has blocks for them. */
  bytes: number;
  obstacles: Obstacle[];
  obstacleCount: number;
  /** Of them: others than those that the base does not have any more. */
  unreadableCount: number;
}

export function* surveyBase(volume: ReadableVolume, reader: Reader): Work<Survey> {
  const found: Survey = {
    files: 0,
    directories: 0,
    bytes: 0,
    obstacles: [],
    obstacleCount: 0,
    unreadableCount: 0,
  };
  const obstructed = (obstacle: Obstacle): void => {
    found.obstacleCount++;
    if (obstacle.reason === 'unreadable') found.unreadableCount++;
    if (found.obstacles.length < OBSTACLES_MAX) found.obstacles.push(obstacle);
  };
  yield* eachBaseInode(volume, function* (ino): Work<void> {
    const obstacle = obstacleTo(volume, ino, referringTo(volume, ino));
    if (obstacle !== undefined) obstructed(obstacle);
    yield undefined;
  });
  yield* eachGiven(volume, function* (ino): Work<void> {
    for (const { given, allocated } of givenOf(volume, ino)) {
      if (isThere(volume, given)) found.bytes += Math.min(given.ref.size, allocated);
      else obstructed({ path: given.ref.path, reason: 'changed' });
    }
    yield undefined;
  });
  /** A file with several names has its bytes once. */
  const linked = new Set<number>();
  const walk = new BaseWalk(volume, volume.viewAt(BASE_LAYER), {
    *enter({ inode, path }): Work<boolean> {
      found.directories++;
      const obstacle = mayRead(inode, reader, 0o5)
        ? undefined
        : trial(path, () => requireBase(volume).list(path));
      if (obstacle !== undefined) obstructed(obstacle);
      yield undefined;
      return obstacle === undefined;
    },
    *file(met): Work<void> {
      const { inode } = met;
      if (inode.nlink > 1) {
        if (linked.has(inode.ino)) return;
        linked.add(inode.ino);
      }
      found.files++;
      const obstacle = fileObstacle(volume, met, reader);
      if (obstacle !== undefined) obstructed(obstacle);
      else found.bytes += bytesLeft(volume, inode);
      yield undefined;
    },
    *leave(): Work<void> {
      yield undefined;
    },
  });
  yield* walk.run();
  return found;
}

/** Of a file that an earlier freeze has begun with, this is a bound. */
function bytesLeft(volume: ReadableVolume, inode: Inode): number {
  return Math.min(volume.blocks.baseEnd(inode), inode.allocated);
}

function fileObstacle(
  volume: ReadableVolume,
  { inode, path }: Met,
  reader: Reader,
): Obstacle | undefined {
  const { base: ref } = inode;
  if (ref === undefined || volume.blocks.baseEnd(inode) === 0) return undefined;
  if (mayRead(inode, reader, 0o4)) return undefined;
  return trial(path, () => {
    const byte = Buffer.alloc(1);
    const { waits } = volume.core;
    waits.patiently(() => requireBase(volume).read(ref, 0, 1, byte, 0, waits));
  });
}

/** As far as the mode tells; an ACL may say something else. */
function mayRead({ mode, uid, gid }: Inode, reader: Reader, wanted: number): boolean {
  if (reader.uid === 0) return true;
  const shift = uid === reader.uid ? 6 : reader.groups.has(gid) ? 3 : 0;
  return ((mode >> shift) & wanted) === wanted;
}

function trial(path: string, look: () => unknown): Obstacle | undefined {
  try {
    look();
    return undefined;
  } catch (error) {
    return unreadable(path, error);
  }
}
