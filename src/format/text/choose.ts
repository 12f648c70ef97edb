/**
 * Which snapshots a person means: names, patterns, ranges. Pure.
 *
 * - A name that exists is that snapshot, whatever characters it has; `latest`
 *   is the newest saved one (where things are deleted only as the end of a range).
 * - `A..B`: from A to B in the order of the list, both included, as ZFS'
 *   `destroy pool@a%b`; `A..` and `..B` are open at one end.
 * - A pattern has `*`, `?` or `[…]`; a backslash makes the next character plain.
 *
 * What must hold where things are deleted: only those of the kinds `user` and
 * `auto` are chosen by a pattern or lie in a range. What a command left behind
 * (`undo-…`, `diverged-…`) is chosen by its name, as an end of a range, or by a
 * pattern that begins with that word.
 */
import { LATEST_NAME } from './grammar.js';

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

/** Places in the list; the ends may be given in either order. Undefined: no range of it. */
function rangeOf(word: string, all: readonly Choosable[]): [number, number] | undefined {
  for (let cut = word.indexOf('..'); cut >= 0; cut = word.indexOf('..', cut + 1)) {
    const left = word.slice(0, cut);
    const right = word.slice(cut + 2);
    if (left === '' && right === '') continue;
    const from = left === '' ? 0 : placeOf(left, all);
    const to = right === '' ? all.length - 1 : placeOf(right, all);
    if (from >= 0 && to >= 0) return from <= to ? [from, to] : [to, from];
  }
  return undefined;
}

function placeOf(name: string, all: readonly Choosable[]): number {
  if (name !== LATEST_NAME) return all.findIndex((one) => one.name === name);
  return all.findLastIndex(isSaved);
}

/** The word may mean several snapshots. */
export function isPattern(word: string): boolean {
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
