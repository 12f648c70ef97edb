/**
 * The tree that is unpacked, copied and searched: 14,400 files of 0.2 to 20 KiB
 * of source-like text in 1,500 directories, and symbolic links; 16,000 entries.
 * The same bytes at each run: everything comes from one seed.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from './random.js';
import { run } from './shell.js';

const WORDS = (
  'const let return function export import from class extends async await value index buffer ' +
  'offset length inode block layer entry name path error result option size count table record ' +
  'reader writer cursor version snapshot group commit flush range lookup create remove rename'
).split(' ');
const MTIME_S = 1_700_000_000;
const SEED = 20_231_114;

export interface TreeSize {
  directories: number;
  files: number;
  links: number;
}

export const FULL_TREE: TreeSize = { directories: 1500, files: 14_400, links: 100 };
export const SMALL_TREE: TreeSize = { directories: 150, files: 1440, links: 10 };

function sourceText(random: () => number, bytes: number): string {
  const word = (): string => WORDS[Math.floor(random() * WORDS.length)] ?? '';
  let text = `/** ${createHash('md5').update(String(random())).digest('hex')} */\n`;
  while (text.length < bytes) {
    const depth = 1 + Math.floor(random() * 3);
    text += `${'  '.repeat(depth)}${word()} ${word()}_${word()} = ${word()}(${word()}, ${word()});\n`;
  }
  return text.slice(0, bytes);
}

/** Most files are small, as in a source tree: 0.2 to 20 KiB, 4 KiB on average. */
function fileBytes(random: () => number): number {
  return Math.round(205 + 20_275 * random() ** 4);
}

/** Makes the tree in `root` and packs it into `archive`. */
export function makeTree(root: string, archive: string, size: TreeSize): void {
  const random = randomFrom(SEED);
  const directories = [root];
  mkdirSync(root, { recursive: true });
  for (let i = 1; i <= size.directories; i++) {
    const parent = directories[Math.floor(random() * Math.min(directories.length, i / 3 + 1))];
    const path = join(parent ?? root, `directory-${i}`);
    mkdirSync(path);
    directories.push(path);
  }
  for (let i = 0; i < size.files; i++) {
    const parent = directories[i % directories.length] ?? root;
    const path = join(parent, `module-${i}.${i % 3 === 0 ? 'd.ts' : 'ts'}`);
    writeFileSync(path, sourceText(random, fileBytes(random)), {
      mode: i % 50 === 0 ? 0o755 : 0o644,
    });
    utimesSync(path, MTIME_S + i, MTIME_S + i);
  }
  for (let i = 0; i < size.links; i++) {
    symlinkSync(`module-${i}.ts`, join(directories[i % directories.length] ?? root, `link-${i}`));
  }
  for (const path of directories) utimesSync(path, MTIME_S, MTIME_S);
  run('tar', ['-C', root, '--sort=name', '--owner=0', '--group=0', '-cf', archive, '.']);
}
