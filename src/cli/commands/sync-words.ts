/**
 * The words of `shadowfs sync [ACTION] [MOUNTPOINT]`. Pure but for the question
 * whether a word is a directory.
 */
import { nearMatches, shorten } from '../../format/text/grammar.js';
import { isDirectoryWord } from '../directory-word.js';
import { wrongUsage } from '../output.js';

export const SYNC_ACTIONS = [
  'status',
  'now',
  'pause',
  'resume',
  'every',
  'always',
  'keep',
] as const;

interface SyncWords {
  /** An action; `every` with its interval, `keep` with its rules. */
  wanted: string;
  mountpoint: string | undefined;
}

/** `every 15 minutes` and `keep 24 hourly 7 daily` take any number of words, so a directory there must look like a path. */
function isPath(word: string): boolean {
  return word.includes('/') || word === '.' || word === '..';
}

/** Throws CommandError `wrong-usage`. */
export function syncWords(words: readonly string[]): SyncWords {
  const [first = 'status', ...rest] = words;
  if (!SYNC_ACTIONS.some((action) => action === first)) {
    if (rest.length === 0 && (isPath(first) || isDirectoryWord(first)))
      return { wanted: 'status', mountpoint: first };
    const near = nearMatches(first, SYNC_ACTIONS);
    const hint = near.length === 0 ? '' : ` (did you mean ${near.join(', or ')}?)`;
    throw wrongUsage(
      `sync ${shorten(first)}: expected ${SYNC_ACTIONS.join(', ')}, or a mountpoint${hint}`,
    );
  }
  if (first === 'every' || first === 'keep') {
    const mountpoint = rest.find(isPath);
    if (mountpoint !== undefined && mountpoint !== rest.at(-1)) {
      throw wrongUsage(`sync ${first} … MOUNTPOINT: the mountpoint comes last`);
    }
    const interval = mountpoint === undefined ? rest : rest.slice(0, -1);
    return { wanted: [first, ...interval].join(' '), mountpoint };
  }
  const [mountpoint, ...more] = rest;
  if (more.length > 0) throw wrongUsage(`sync ${first}: expected at most a mountpoint behind it`);
  return { wanted: first, mountpoint };
}
