/** What keeps a freeze from its end, in words for people. Pure. */
import { shownName, textOfByteString } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import type { Obstacle } from './base-records.js';
import type { Survey } from './survey.js';

const LINES = 20;

const REASONS: Record<Obstacle['reason'], string> = {
  changed: 'it was changed in the base since the volume saw it',
  vanished: 'the base does not have it any more',
  unreadable: "it can't be read",
};

export function shownObstacle(one: Obstacle): Obstacle {
  return { ...one, path: shown(one.path) };
}

function shown(path: string): string {
  return path === '' ? '.' : textOfByteString(path);
}

type Obstacles = Pick<Survey, 'obstacles' | 'obstacleCount'>;

/** As answers show it. */
export function shownSurvey(survey: Survey): object {
  const { obstacles, obstacleCount, files, directories, bytes } = survey;
  return {
    fileCount: files,
    directoryCount: directories,
    neededBytes: bytes,
    obstacles: obstacles.map(shownObstacle),
    obstacleCount,
  };
}

/** `state`: what became of the rest. */
export function refuseObstacles({ obstacles, obstacleCount }: Obstacles, state: string): void {
  if (obstacleCount === 0) return;
  const told = obstacles.slice(0, LINES).map(({ path, reason, errno }) => {
    const why = errno === undefined ? REASONS[reason] : `${REASONS[reason]} (${errno})`;
    return `  ${shownName(shown(path))}: ${why}`;
  });
  if (obstacleCount > told.length) told.push(`  and ${obstacleCount - told.length} more`);
  const hint = obstacles.some(({ reason }) => reason === 'unreadable')
    ? 'a user who may read them (root) can copy what can not be read'
    : 'shadowfs freeze --force copies everything else: what the volume has of these files stays, ' +
      'and reading the rest of them fails (EIO)';
  throw new CommandError(
    'freeze-refused',
    obstacles.some(({ reason }) => reason !== 'unreadable') ? 'EBUSY' : 'EACCES',
    ["some of the base can't be copied into the volume:", ...told, state, hint].join('\n'),
    { obstacles: obstacles.map(shownObstacle), obstacleCount },
  );
}

/** A compressed volume may need less: it is tried. */
export function refuseFull(neededBytes: number, availableBytes: number, isPacked: boolean): void {
  if (isPacked || neededBytes <= availableBytes) return;
  throw new CommandError(
    'freeze-full',
    'ENOSPC',
    `the volume has room for ${availableBytes} bytes, and up to ${neededBytes} are still only in ` +
      'the base; nothing was copied',
    { availableBytes, neededBytes },
  );
}

/** Not EINTR: programs write again when a write ends with that. */
export function interrupted(storedBytes: number, totalBytes: number): CommandError {
  return new CommandError(
    'freeze-stopped',
    'ECANCELED',
    `stopped: ${storedBytes} of ${totalBytes} bytes are copied; shadowfs freeze goes on from there`,
    { storedBytes, totalBytes },
  );
}
