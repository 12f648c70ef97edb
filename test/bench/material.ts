/**
 * What the workloads work with, each part made when the first one asks for it:
 * archives, bases, what must be found afterwards. Owns its files on the ext4
 * image. `Unavailable` says that a workload can't be run here, and why.
 */
import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Image } from './image.js';
import { makeModuleTree } from './module-tree.js';
import { child, run } from './shell.js';
import { FULL_TREE, makeTree, SMALL_TREE } from './source-tree.js';

export class Unavailable extends Error {}

const FULL_SIZES = {
  files: 5000,
  sequentialMiB: 512,
  randomMiB: 64,
  randomCount: 4096,
  appends: 200,
  modules: 3000,
  sqliteRows: 100_000,
  sqliteTransactions: 200,
  appendedFiles: 1000,
  largeMiB: 1024,
};

export type Sizes = typeof FULL_SIZES;

const QUICK_SIZES: Sizes = {
  files: 500,
  sequentialMiB: 32,
  randomMiB: 16,
  randomCount: 512,
  appends: 40,
  modules: 300,
  sqliteRows: 5000,
  sqliteTransactions: 20,
  appendedFiles: 100,
  largeMiB: 64,
};

export interface TreeArchive {
  archive: string;
  files: number;
  bytes: number;
  /** Of the unpacked tree: with the files' times, and without. */
  digest: string;
  digestWithoutTimes: string;
}

export class Material {
  readonly sizes: Sizes;
  readonly #made = new Map<string, unknown>();
  readonly #directory: string;

  constructor(
    image: Image,
    /** The project's package.json and its lock file are what `npm ci` installs. */
    readonly checkout: string,
    readonly isQuick: boolean,
  ) {
    this.sizes = isQuick ? QUICK_SIZES : FULL_SIZES;
    this.#directory = join(image.disk, 'material');
  }

  #once<T>(name: string, make: (path: string) => T): T {
    if (!this.#made.has(name)) {
      mkdirSync(this.#directory, { recursive: true });
      this.#made.set(name, make(join(this.#directory, name)));
    }
    return this.#made.get(name) as T;
  }

  get tree(): TreeArchive {
    return this.#once('tree', (path) => {
      const archive = `${path}.tar`;
      makeTree(path, archive, this.isQuick ? SMALL_TREE : FULL_TREE);
      const { digest, files, bytes } = child('tree-digest', path, 'times');
      const { digest: digestWithoutTimes } = child('tree-digest', path);
      rmSync(path, { recursive: true });
      return {
        archive,
        files: Number(files),
        bytes: Number(bytes),
        digest: String(digest),
        digestWithoutTimes: String(digestWithoutTimes),
      };
    });
  }

  get modules(): { archive: string; printed: string } {
    return this.#once('modules', (path) => {
      const archive = `${path}.tar`;
      const printed = makeModuleTree(path, archive, this.sizes.modules);
      rmSync(path, { recursive: true });
      return { archive, printed };
    });
  }

  /** A directory with the unpacked tree in it. */
  get treeBase(): string {
    const { archive } = this.tree;
    return this.#once('tree-base', (path) => {
      mkdirSync(join(path, 'tree'), { recursive: true });
      run('tar', ['-C', join(path, 'tree'), '-xf', archive]);
      return path;
    });
  }

  /** A directory with one large file and a small one. */
  get largeBase(): string {
    return this.#once('large-base', (path) => {
      mkdirSync(path);
      child('write-sequentially', join(path, 'large'), this.sizes.largeMiB);
      child('write-sequentially', join(path, 'small'), 1);
      return path;
    });
  }

  /** Of the file that `write-sequentially` makes, after so many random writes. */
  fileDigest(mib: number, writes: number): string {
    return this.#once(`digest-${mib}-${writes}`, () =>
      String(child('expected-digest', mib, writes)['digest']),
    );
  }

  /** A script for the sqlite3 program. */
  sqlScript(name: string, text: () => string): string {
    return this.#once(`${name}.sql`, (path) => {
      writeFileSync(path, text());
      return path;
    });
  }

  /** The options of an `npm ci` that needs no network; the digest of what it installs. */
  get npm(): { options: string[]; digest: string } {
    return this.#once('npm', (path) => {
      const cache = `${path}-cache`;
      const fixed = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
      if (this.isQuick) fixed.push('--omit=dev');
      // The cache of this checkout's own installation, if it is there, else the registry.
      this.copyPackage(path);
      const cached = run('npm', ['config', 'get', 'cache', '--loglevel=error']).trim();
      try {
        run('cp', ['-a', cached, cache]);
      } catch {
        // Nothing was installed with npm here.
      }
      try {
        const args = ['ci', '--prefer-offline', '--cache', cache, ...fixed];
        run('npm', args, { cwd: path });
      } catch (error) {
        throw new Unavailable(
          `no registry is reachable, and npm's cache lacks packages: ${String(error).slice(0, 200)}`,
        );
      }
      const { digest } = child('tree-digest', path);
      rmSync(path, { recursive: true });
      return { options: ['ci', '--offline', '--cache', cache, ...fixed], digest: String(digest) };
    });
  }

  copyPackage(directory: string): void {
    mkdirSync(directory);
    for (const name of ['package.json', 'package-lock.json']) {
      copyFileSync(join(this.checkout, name), join(directory, name));
    }
  }
}
