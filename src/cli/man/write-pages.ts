/**
 * `shadowfs __files DIR`: what packages and mount-scripts/install put beside the
 * program, made from its definitions: `man1/` with a page for each command,
 * and the completion scripts `shadowfs.bash`, `_shadowfs` and `shadowfs.fish`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { shapesOf } from '../completion/shapes.js';
import { zshScript } from '../completion/zsh.js';
import { makeProgram } from '../program.js';
import { manPages } from './pages.js';

export async function writePages(directory: string): Promise<void> {
  const program = await makeProgram();
  mkdirSync(join(directory, 'man1'), { recursive: true });
  for (const { file, text } of manPages(program)) {
    writeFileSync(join(directory, 'man1', file), text);
  }
  const shapes = shapesOf(program);
  writeFileSync(join(directory, 'shadowfs.bash'), bashScript(shapes));
  writeFileSync(join(directory, '_shadowfs'), zshScript(shapes));
  writeFileSync(join(directory, 'shadowfs.fish'), fishScript(shapes));
}
