/**
 * Maps libfuse's paths to nodes of the tree. A path is walked name by name;
 * each node on the way counts as looked up until it is forgotten here.
 *
 * Owns those lookups: of the paths it remembers (a bounded number, least
 * recently used first out) and, for a second or two, of the others. It
 * remembers only what the tree lets a kernel cache; so nothing below
 * `.snapshots`, whose names are never cached. What must hold: each remembered
 * path leads to the node that a walk would find. Callers report each removed or
 * moved name; a restore clears everything.
 */
import { FsError } from '../lib/errors.js';
import type { Attributes, Caller, Entry, Operations } from '../tree/operations.js';
import { bytesOfText, splitPath } from './names.js';

const ROOT_NODE = 1;
const REMEMBERED_MAX = 20_000;
const LINGER_MS = 1000;
const LINGER_MAX = 10_000;

export interface Found {
  node: number;
  /** Present when it was looked up just now. */
  attr?: Attributes;
}

export class Paths {
  /** In order of use: the first is the least recently used. */
  readonly #remembered = new Map<string, number>();
  /** Open files without a name, by the name libfuse gave them. */
  readonly #hidden = new Map<string, number>();
  #young: number[] = [];
  #old: number[] = [];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    readonly ops: Operations,
    readonly caller: Caller,
    readonly rememberedMax = REMEMBERED_MAX,
  ) {}

  get size(): number {
    return this.#remembered.size;
  }

  /** Throws ENOENT. */
  find(path: string): Found {
    if (path === '/') return { node: ROOT_NODE };
    const known = this.#remembered.get(path);
    if (known !== undefined) {
      this.#remembered.delete(path);
      this.#remembered.set(path, known);
      return { node: known };
    }
    const hidden = this.#hidden.get(path);
    if (hidden !== undefined) return { node: hidden };
    const entry = this.#lookup(path);
    this.keep(path, entry);
    return { node: entry.nodeId, attr: entry.attr };
  }

  node(path: string): number {
    return this.find(path).node;
  }

  /** Looks the last name up for the caller, who has to forget it. Throws ENOENT. */
  addLookup(path: string): Entry {
    return this.#lookup(path);
  }

  parent(path: string): { node: number; name: string } {
    const { directory, name } = splitPath(path);
    return { node: this.node(directory), name: bytesOfText(name) };
  }

  #lookup(path: string): Entry {
    const { node, name } = this.parent(path);
    const entry = this.ops.lookup(this.caller, node, name);
    if (entry.nodeId === 0) throw new FsError('ENOENT', 'lookup', path);
    return entry;
  }

  /** Takes over the lookup of an entry found or made at `path`. */
  keep(path: string, entry: Entry): void {
    const { directory } = splitPath(path);
    const mayRemember =
      entry.entryTimeoutS > 0 && (directory === '/' || this.#remembered.has(directory));
    if (!mayRemember) {
      this.#linger(entry.nodeId);
      return;
    }
    this.drop(path);
    this.#remembered.set(path, entry.nodeId);
    if (this.#remembered.size <= this.rememberedMax) return;
    const [oldest] = this.#remembered.keys();
    if (oldest !== undefined) this.drop(oldest);
  }

  /** The name is gone, or leads to another file. */
  drop(path: string): void {
    const node = this.#remembered.get(path);
    if (node === undefined) return;
    this.#remembered.delete(path);
    this.ops.forget(node, 1);
  }

  /** As `drop`, for a directory and everything below it. */
  dropTree(path: string): void {
    for (const known of [...this.#remembered.keys()]) {
      if (known === path || known.startsWith(`${path}/`)) this.drop(known);
    }
  }

  /** libfuse keeps an open file under its own name after the file's name was removed. */
  hide(path: string, node: number): void {
    this.#hidden.set(path, node);
  }

  hiddenNode(path: string): number | undefined {
    return this.#hidden.get(path);
  }

  /** The file is no longer open. */
  dropHidden(node: number): void {
    for (const [path, hidden] of this.#hidden) if (hidden === node) this.#hidden.delete(path);
  }

  /** All names may lead elsewhere now. */
  clear(): void {
    for (const path of [...this.#remembered.keys()]) this.drop(path);
    this.#forgetOld();
    this.#forgetOld();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #linger(node: number): void {
    this.#young.push(node);
    if (this.#young.length >= LINGER_MAX) this.#forgetOld();
    this.#timer ??= setTimeout(() => this.#tick(), LINGER_MS);
  }

  #tick(): void {
    this.#forgetOld();
    this.#timer = undefined;
    if (this.#old.length > 0) this.#timer = setTimeout(() => this.#tick(), LINGER_MS);
  }

  #forgetOld(): void {
    for (const node of this.#old) this.ops.forget(node, 1);
    this.#old = this.#young;
    this.#young = [];
  }
}
