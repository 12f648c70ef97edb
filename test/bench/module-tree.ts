/**
 * What `node` loads: packages of ten CommonJS modules in a `node_modules`, each
 * with a package.json, found by their names from a main module, as a program
 * with many dependencies finds them. The same bytes at each run.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { randomFrom } from './random.js';
import { run } from './shell.js';

const FILES_PER_PACKAGE = 10;
const SEED = 4_112_021;

function moduleText(random: () => number, parts: readonly string[], i: number): string {
  const functions = Array.from({ length: 5 + Math.floor(random() * 25) }, (_, k) => {
    const factor = Math.floor(random() * 1000);
    return `function step${k}(value) {\n  // Part ${k} of module ${i}.\n  return value * ${factor} + ${k};\n}\n`;
  });
  const required = parts.map((part) => `require('${part}').sum`).join(' + ') || '0';
  return `'use strict';\n${functions.join('')}exports.sum = ${required} + ${i};\n`;
}

/** Makes the tree and packs it; returns what its main module prints. */
export function makeModuleTree(root: string, archive: string, modules: number): string {
  const random = randomFrom(SEED);
  const packages = Math.floor(modules / FILES_PER_PACKAGE);
  let sum = 0;
  for (let p = 0; p < packages; p++) {
    const directory = join(root, 'node_modules', `package-${p}`);
    mkdirSync(join(directory, 'lib'), { recursive: true });
    const manifest = { name: `package-${p}`, version: '1.0.0', main: './lib/part-0' };
    writeFileSync(join(directory, 'package.json'), JSON.stringify(manifest, null, 2));
    for (let k = 0; k < FILES_PER_PACKAGE; k++) {
      const i = p * FILES_PER_PACKAGE + k;
      sum += i;
      // The first part loads the others, without their extensions.
      const others = k === 0 ? [1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => `./part-${n}`) : [];
      writeFileSync(join(directory, 'lib', `part-${k}.js`), moduleText(random, others, i));
    }
  }
  const all = Array.from({ length: packages }, (_, p) => `require('package-${p}').sum`);
  writeFileSync(join(root, 'main.js'), `console.log(${all.join(' +\n  ')});\n`);
  run('tar', ['-C', root, '--sort=name', '--owner=0', '--group=0', '-cf', archive, '.']);
  return `${sum}\n`;
}
