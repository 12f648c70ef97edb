/**
 * Which snapshots a person means: names, patterns, ranges. Pure.
 *
 * - A name that exists is that snapshot, whatever characters it has; `latest`
 *   is the newest saved one (where things are deleted only as the end of a range).
 * - `A..B`: from A to the newer B, both included, as ZFS' `destroy pool@a%b`;
 *   `A..` and `..B` are open at one end. The other way round it is no range.
 * - A pattern has `*`, `?` or `[…]`; a backslash makes the next character plain.
 *
 * What must hold where things are deleted: only those of the kinds `user` and
 * `auto` are chosen by a pattern or lie in a range. What a command left behind
 * (`undo-…`, `diverged-…`) is chosen by its name, as an end of a range, or by a
 * pattern that begins with that word.
 */
import { CommandError } from '../../lib/errors.js';
import { LATEST_NAME, nearHint, nearMatches, shorten } from './grammar.js';

export interface Choosable {
  readonly name: string;
  readonly kind: string;
}

export interface Chosen<S> {
  /** In the order of the list. */
  chosen: S[];
  /** Words that mean no snapshot. */
  unknown: string[];
}

const SAVED = new Set(['user', 'auto']);
const LEFT_BEHIND = /^(undo-|diverged-)/;

/** `all`: oldest first. `of`: which kinds a pattern or range may choose. */
export function chooseSnapshots<S extends Choosable>(
  words: readonly string[],
  all: readonly S[],
  of: 'saved' | 'every kind',
): Chosen<S> {
  const chosen = new Set<S>();
  const unknown: string[] = [];
  for (const word of words) {
    const found = foundBy(word, all, of);
    if (found.length === 0) unknown.push(word);
    for (const one of found) chosen.add(one);
  }
  return { chosen: all.filter((one) => chosen.has(one)), unknown };
}

/** Why a word means no snapshot, for people: near names, or that a range is the wrong way round. */
export function unknownSnapshot(word: string, all: readonly Choosable[]): CommandError {
  const shown = JSON.stringify(shorten(word, 300));
  const ends = endsOf(word, all).find(([from, to]) => from > to);
  if (ends !== undefined) {
    const [newer, older] = ends.map((place) => all[place]?.name ?? '');
    const what = `no snapshot matches ${shown}: ${newer} is newer than ${older} (${older}..${newer})`;
    return new CommandError('no-such-snapshot', 'ENOENT', what, { name: word, near: [] });
  }
  const near = isPattern(word) ? [] : nearOf(word, all);
  const what = mayBeSeveral(word) ? `no snapshot matches ${shown}` : `no snapshot ${shown}`;
  return new CommandError('no-such-snapshot', 'ENOENT', what + nearHint(near), {
    name: word,
    near,
  });
}

/** A snapshot of a set that can't be deleted, and why. */
export interface Refused {
  name: string;
  code: string;
  message: string;
}

/** `count`: of all that were to be deleted. */
export function notAllDeleted(refused: readonly Refused[], count: number): CommandError {
  const isLocked = refused.some(({ code }) => code === 'snapshot-locked');
  const reasons = refused.map(({ message }) => message).join('\n');
  return new CommandError(
    'not-all-deleted',
    isLocked ? 'EBUSY' : 'ENOENT',
    `nothing was deleted, since ${refused.length} of ${count} can't be:\n${reasons}`,
    { deleted: [], refused },
  );
}

/** Of a range: names near the end that is not there. */
function nearOf(word: string, all: readonly Choosable[]): string[] {
  const names = all.map(({ name }) => name);
  const cut = word.indexOf('..');
  if (cut < 0) return nearMatches(word, names);
  return [word.slice(0, cut), word.slice(cut + 2)]
    .filter((end) => end !== '' && placeOf(end, all) < 0)
    .flatMap((end) => nearMatches(end, names));
}

/** The word may mean several snapshots. */
export function mayBeSeveral(word: string): boolean {
  return isPattern(word) || word.includes('..');
}

function foundBy<S extends Choosable>(
  word: string,
  all: readonly S[],
  of: 'saved' | 'every kind',
): S[] {
  const exact = all.find(({ name }) => name === word);
  if (exact !== undefined) return [exact];
  if (word === LATEST_NAME && of === 'every kind') return all.filter(isSaved).slice(-1);
  const range = rangeOf(word, all);
  if (range !== undefined) {
    const [from, to] = range;
    return all.filter((one, index) => {
      if (index < from || index > to) return false;
      return of === 'every kind' || isSaved(one) || index === from || index === to;
    });
  }
  if (!isPattern(word)) return [];
  const pattern = patternOf(word);
  const takesAll = of === 'every kind' || LEFT_BEHIND.test(word);
  return all.filter((one) => pattern.test(one.name) && (takesAll || isSaved(one)));
}

function isSaved({ kind }: Choosable): boolean {
  return SAVED.has(kind);
}

/** Places in the list. Undefined: no range of it. */
function rangeOf(word: string, all: readonly Choosable[]): [number, number] | undefined {
  return endsOf(word, all).find(([from, to]) => from <= to);
}

/** Every way to read the word as two ends, which may be the wrong way round. */
function endsOf(word: string, all: readonly Choosable[]): [number, number][] {
  const found: [number, number][] = [];
  for (let cut = word.indexOf('..'); cut >= 0; cut = word.indexOf('..', cut + 1)) {
    const left = word.slice(0, cut);
    const right = word.slice(cut + 2);
    if (left === '' && right === '') continue;
    const from = left === '' ? 0 : placeOf(left, all);
    const to = right === '' ? all.length - 1 : placeOf(right, all);
    if (from >= 0 && to >= 0) found.push([from, to]);
  }
  return found;
}

function placeOf(name: string, all: readonly Choosable[]): number {
  if (name !== LATEST_NAME) return all.findIndex((one) => one.name === name);
  return all.findLastIndex(isSaved);
}

/** It has a wildcard. */
function isPattern(word: string): boolean {
  return /(^|[^\\])[*?[]/.test(word);
}

/** As in a shell: the pattern has to match the whole name. */
function patternOf(word: string): RegExp {
  const source = word.replace(
    /\\(.)|\[(!?)(\]?[^\]]*)\]|([*?])|([\s\S])/gu,
    (
      _all: string,
      escaped: string | undefined,
      not: string | undefined,
      inside: string | undefined,
      wild: string | undefined,
      plain: string | undefined,
    ) => {
      if (escaped !== undefined) return quoted(escaped);
      if (inside !== undefined && inside !== '') {
        return `[${not === '!' ? '^' : ''}${inside.replace(/[\\\]^[]/g, '\\$&')}]`;
      }
      if (wild !== undefined) return wild === '*' ? '.*' : '.';
      return quoted(plain ?? _all);
    },
  );
  try {
    return new RegExp(`^(?:${source})$`, 'su');
  } catch {
    // `[z-a]`: no name is in it.
    return /(?!)/;
  }
}

function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/gu, (char) => (char === '-' ? '-' : `\\${char}`));
}
