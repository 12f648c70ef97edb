/**
 * Carries out a plan of `restore-plan.ts` by ordinary calls through the mount:
 * what this user may do, this does, programs that watch see it, and open files
 * see their new content.
 *
 * What must hold: a file comes whole, under another name first, and takes its
 * place in one step; a failure of one file is told and stops no other, but a
 * full or read-only file system ends it; what was moved out of the way and can't
 * take its place is never lost, but told.
 */
import {
  accessSync,
  type BigIntStats,
  chmodSync,
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fsPath, shownName, textOfBytes } from '../../lib/byte-text.js';
import { CommandError, FsError, messageOf } from '../../lib/errors.js';
import { fixContent, giveAttributes, makeFile, statOf } from './copy.js';
import { onEndSignals } from '../end-signals.js';
import { isBelow } from './paths.js';
import type { RestorePlan } from './restore-plan.js';

export interface Failure {
  path: string;
  code: string;
  message: string;
}

/** What no other file can succeed in either. */
const ENDING = new Set(['ENOSPC', 'EDQUOT', 'EROFS', 'ENOTCONN', 'EIO', 'ESTALE']);
const ATTRIBUTES = new Set(['mode', 'owner', 'xattr', 'times', 'content']);

/** So long it works before others get their turn. */
const TURN_MS = 50;

export class FileRestore {
  /** Set by a signal: it ends before the next step. */
  isInterrupted = false;
  #turnMs = performance.now();
  readonly failures: Failure[] = [];
  /** The directory for what is moved; made when it is needed. */
  #staging: string | undefined;
  /** Where moved things are meanwhile, by the live path that they had. */
  readonly #staged = new Map<string, string>();
  /** Old paths of directories whose attributes are set at the end. */
  readonly #directories = new Set<string>();
  /** Modes of directories outside the paths, changed to get at them. */
  readonly #opened = new Map<string, number>();
  /** Snapshot inode → live path: names of one file. */
  readonly #links = new Map<bigint, string>();
  #count = 0;

  /**
   * `source` and `root`: the snapshot's and the live tree's directories. `sourceOf`: where the
   * source has what comes to a path.
   */
  constructor(
    readonly source: string,
    readonly root: string,
    readonly paths: readonly string[],
    readonly onStep: () => void,
    readonly sourceOf = (path: string): string => path,
  ) {}

  /** Throws CommandError when it can't go on; `failures` has what failed by itself. */
  async run(plan: RestorePlan): Promise<void> {
    try {
      // The deepest first: what lies in a moved directory may itself move elsewhere.
      for (const { from } of [...plan.moves].sort((a, b) => (a.from < b.from ? 1 : -1))) {
        await this.#step(from, () => this.#stage(from));
      }
      for (const { path, isTree } of plan.removals) {
        await this.#step(path, () => this.#remove(path, isTree));
      }
      for (const { from, to } of plan.moves) await this.#step(to, () => this.#unstage(from, to));
      for (const { path, details } of plan.fixes) {
        await this.#step(path, () => this.#fix(path, details));
      }
      for (const { path, isTree, linkedTo } of plan.back) {
        await this.#step(path, () => this.#bringBack(path, isTree, linkedTo));
      }
    } finally {
      this.#finish();
    }
  }

  async #step(path: string, body: () => void): Promise<void> {
    // Signals and the progress bar get their turn.
    if (performance.now() - this.#turnMs > TURN_MS) {
      await new Promise((resolve) => setImmediate(resolve));
      this.#turnMs = performance.now();
    }
    if (this.isInterrupted) {
      throw new CommandError(
        'restore-incomplete',
        'EINTR',
        `interrupted before ${shownName(path)}`,
      );
    }
    this.#try(path, body);
  }

  #try(path: string, body: () => void): void {
    try {
      body();
    } catch (error) {
      const code = codeOf(error);
      this.failures.push({ path, code, message: messageOf(error) });
      if (ENDING.has(code)) {
        throw new CommandError(
          'restore-incomplete',
          code === 'ENOSPC' || code === 'EDQUOT' || code === 'EROFS' ? code : 'EIO',
          `${shownName(path)}: ${messageOf(error)}`,
        );
      }
    }
    this.onStep();
  }

  #live(path: string): string {
    return path === '' ? this.root : join(this.root, path);
  }

  #old(path: string): string {
    return path === '' ? this.source : join(this.source, this.sourceOf(path));
  }

  /** Where a live path is now, absolute: perhaps in a directory that was moved. */
  #now(path: string): string {
    for (let at = path.lastIndexOf('/'); at > 0; at = path.lastIndexOf('/', at - 1)) {
      const moved = this.#staged.get(path.slice(0, at));
      if (moved !== undefined) return moved + path.slice(at);
    }
    return this.#live(path);
  }

  /** Makes names in a directory changeable for its owner; its mode comes back at the end. */
  #open(directory: string): void {
    try {
      accessSync(fsPath(directory), constants.W_OK | constants.X_OK);
    } catch (error) {
      const mode = Number(lstatSync(fsPath(directory)).mode) & 0o7777;
      if ((error as NodeJS.ErrnoException).code !== 'EACCES') throw error;
      chmodSync(fsPath(directory), mode | 0o700);
      if (!this.#opened.has(directory)) this.#opened.set(directory, mode);
    }
  }

  #touched(oldDirectory: string): void {
    if (isBelow(oldDirectory, this.paths)) this.#directories.add(oldDirectory);
  }

  #stage(from: string): void {
    const now = this.#now(from);
    this.#open(dirname(now));
    this.#staging ??= this.#makeStaging();
    const place = join(this.#staging, String(this.#count++));
    renameSync(fsPath(now), fsPath(place));
    this.#staged.set(from, place);
  }

  /** In a directory that neither moves nor goes. */
  #makeStaging(): string {
    const [shortest = ''] = [...this.paths].sort((a, b) => a.length - b.length);
    let parent = dirnameOf(shortest);
    while (statOf(this.#live(parent))?.isDirectory() !== true) parent = dirnameOf(parent);
    this.#open(this.#live(parent));
    const staging = join(this.#live(parent), `.shadowfs-restore-${process.pid}`);
    mkdirSync(fsPath(staging), 0o700);
    return staging;
  }

  #unstage(from: string, to: string): void {
    const place = this.#staged.get(from);
    if (place === undefined) return;
    this.#makeParents(to);
    const path = this.#live(to);
    this.#open(dirname(path));
    renameSync(fsPath(place), fsPath(path));
    this.#staged.delete(from);
    // Moving a directory changes none of its own times; the snapshot's are known anyway.
    if (statOf(path)?.isDirectory() === true) this.#touched(to);
    else this.#know(statOf(this.#old(to)), path);
  }

  #remove(path: string, isTree: boolean): void {
    const now = this.#now(path);
    const stat = statOf(now);
    if (stat === undefined) return;
    this.#open(dirname(now));
    if (!stat.isDirectory()) unlinkSync(fsPath(now));
    else if (isTree) this.#removeTree(now);
    else rmdirSync(fsPath(now));
    this.#touched(dirnameOf(path));
  }

  #removeTree(directory: string): void {
    this.#open(directory);
    for (const name of namesIn(directory)) {
      const path = join(directory, name);
      if (statOf(path)?.isDirectory() === true) this.#removeTree(path);
      else unlinkSync(fsPath(path));
    }
    rmdirSync(fsPath(directory));
    this.#opened.delete(directory);
  }

  /** The directories on the way, as they were. Throws ENOTDIR when something else is there. */
  #makeParents(path: string): void {
    const parent = dirnameOf(path);
    if (parent === path) return;
    const stat = statOf(this.#live(parent));
    if (stat?.isDirectory() === true) {
      this.#touched(parent);
      return;
    }
    if (stat !== undefined) {
      throw new FsError('ENOTDIR', 'restore', `${shownName(parent)} is no directory now`);
    }
    this.#makeParents(parent);
    this.#open(dirname(this.#live(parent)));
    mkdirSync(fsPath(this.#live(parent)), 0o700);
    this.#directories.add(parent);
  }

  #fix(path: string, details: readonly string[]): void {
    const [source, live] = [this.#old(path), this.#live(path)];
    const stat = statOf(source);
    const now = statOf(live);
    if (stat === undefined || now === undefined) throw new FsError('ENOENT', 'lstat', path);
    if (stat.isDirectory()) {
      this.#directories.add(path);
      return;
    }
    // A link's target and a device's number can't be changed in place.
    if (!stat.isFile() || !details.every((detail) => ATTRIBUTES.has(detail))) {
      this.#bringBack(path, false, undefined);
      return;
    }
    if (details.includes('content')) fixContent(source, live, Number(stat.size));
    giveAttributes(source, live, stat);
    this.#know(stat, live);
  }

  #bringBack(path: string, isTree: boolean, linkedTo: string | undefined): void {
    const source = this.#old(path);
    const stat = statOf(source);
    if (stat === undefined) throw new FsError('ENOENT', 'lstat', path);
    this.#makeParents(path);
    const live = this.#live(path);
    this.#open(dirname(live));
    if (!stat.isDirectory()) {
      this.#bringFile(source, live, linkedTo);
      return;
    }
    if (statOf(live)?.isDirectory() !== true) makeFile(source, live, stat);
    this.#directories.add(path);
    if (!isTree) return;
    for (const name of namesIn(source)) {
      const below = path === '' ? name : `${path}/${name}`;
      // What is there already was moved there.
      if (statOf(this.#live(below))?.isDirectory() === false) continue;
      this.#try(below, () => this.#bringBack(below, true, undefined));
    }
  }

  #bringFile(source: string, live: string, linkedTo: string | undefined): void {
    const stat = statOf(source);
    if (stat === undefined) throw new FsError('ENOENT', 'lstat', source);
    const fresh = join(dirname(live), `.shadowfs-restore-${process.pid}-${this.#count++}`);
    const known = this.#links.get(stat.ino) ?? this.#sameFile(linkedTo, stat);
    if (known !== undefined) linkSync(fsPath(known), fsPath(fresh));
    else {
      try {
        makeFile(source, fresh, stat);
        giveAttributes(source, fresh, stat);
      } catch (error) {
        removeQuietly(fresh);
        throw error;
      }
    }
    try {
      renameSync(fsPath(fresh), fsPath(live));
    } catch (error) {
      removeQuietly(fresh);
      throw error;
    }
    // Both names may lead to one file, and then rename does nothing.
    removeQuietly(fresh);
    this.#know(stat, live);
  }

  /** A name of a file that has several: the others become links to it. */
  #know(was: BigIntStats | undefined, live: string): void {
    if (was !== undefined && was.nlink > 1n && !this.#links.has(was.ino)) {
      this.#links.set(was.ino, live);
    }
  }

  /** Another name that the file still has, if it is there what it was. */
  #sameFile(linkedTo: string | undefined, was: BigIntStats): string | undefined {
    // A file of one name has left, and what is there now is not to change with it.
    if (linkedTo === undefined || was.nlink < 2n) return undefined;
    const path = this.#live(linkedTo);
    const now = statOf(path);
    const isSame =
      now?.isFile() === true &&
      now.size === was.size &&
      now.mtimeNs === was.mtimeNs &&
      now.mode === was.mode &&
      now.uid === was.uid &&
      now.gid === was.gid;
    return isSame ? path : undefined;
  }

  /** Modes and times of directories, the deepest first; what was moved must not stay hidden. */
  #finish(): void {
    for (const [from, place] of this.#staged) {
      const back = this.#live(from);
      if (statOf(back) !== undefined || !attempt(() => renameSync(fsPath(place), fsPath(back)))) {
        this.failures.push({ path: from, code: 'EEXIST', message: `it lies in ${place} now` });
      }
    }
    if (this.#staging !== undefined) {
      const staging = this.#staging;
      attempt(() => rmdirSync(fsPath(staging)));
    }
    for (const [directory, mode] of this.#opened) {
      attempt(() => chmodSync(fsPath(directory), mode));
    }
    for (const path of [...this.#directories].sort().reverse()) {
      const stat = statOf(this.#old(path));
      if (stat?.isDirectory() !== true || statOf(this.#live(path)) === undefined) continue;
      try {
        giveAttributes(this.#old(path), this.#live(path), stat);
      } catch (error) {
        this.failures.push({ path, code: codeOf(error), message: messageOf(error) });
      }
    }
  }
}

/** Ends cleanly at a signal. Returns what ended it early. */
export async function runToEnd(restore: FileRestore, plan: RestorePlan): Promise<unknown> {
  const stop = onEndSignals(() => {
    restore.isInterrupted = true;
  });
  try {
    await restore.run(plan);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    stop();
  }
}

function dirnameOf(path: string): string {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? '' : path.slice(0, slash);
}

function namesIn(directory: string): string[] {
  return readdirSync(fsPath(directory), { encoding: 'buffer' }).map(textOfBytes).sort();
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException).code ?? 'EIO');
}

function attempt(body: () => void): boolean {
  try {
    body();
    return true;
  } catch {
    return false;
  }
}

function removeQuietly(path: string): void {
  attempt(() => unlinkSync(fsPath(path)));
}

/** Copies what lies at `source` to a place that is not there yet, hard links among it included. */
export function copyOut(source: string, destination: string, onStep: () => void): Failure[] {
  if (statOf(destination) !== undefined) {
    throw new CommandError(
      'destination-exists',
      'EEXIST',
      `${shownName(destination)} is there already; nothing is overwritten`,
    );
  }
  const failures: Failure[] = [];
  const links = new Map<bigint, string>();
  const copy = (from: string, to: string): void => {
    try {
      const stat = statOf(from);
      if (stat === undefined) throw new FsError('ENOENT', 'lstat', from);
      const known = stat.isDirectory() ? undefined : links.get(stat.ino);
      if (known !== undefined) linkSync(fsPath(known), fsPath(to));
      else makeFile(from, to, stat);
      if (stat.isDirectory()) {
        for (const name of namesIn(from)) copy(join(from, name), join(to, name));
      } else if (stat.nlink > 1n) links.set(stat.ino, to);
      giveAttributes(from, to, stat);
    } catch (error) {
      failures.push({ path: to, code: codeOf(error), message: messageOf(error) });
    }
    onStep();
  };
  copy(source, destination);
  return failures;
}
