/** Files that are replaced as a whole. */
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { flushDirectory, replaceFile, temporaryPath } from '../../../src/lib/durable-file.js';

const modeOf = (file: string): number => fs.statSync(file).mode & 0o7777;

t.test('a file is made and replaced, with its mode', async (t) => {
  const dir = t.testdir();
  const file = path.join(dir, 'f');
  const umask = process.umask(0o077);
  t.teardown(() => process.umask(umask));
  replaceFile(file, 'one', 0o644);
  t.equal(fs.readFileSync(file, 'utf8'), 'one');
  t.equal(modeOf(file), 0o644, 'whatever the umask');
  const before = fs.statSync(file).ino;
  const order: string[] = [];
  replaceFile(file, Buffer.alloc(3_000_000, 'x'), 0o600, () => {
    order.push(fs.readFileSync(file, 'utf8'), String(fs.statSync(temporaryPath(file)).size));
  });
  t.strictSame(order, ['one', '3000000'], 'the new content is whole before its name is there');
  t.equal(fs.statSync(file).size, 3_000_000);
  t.equal(modeOf(file), 0o600);
  t.not(fs.statSync(file).ino, before, 'another file');
  t.strictSame(fs.readdirSync(dir), ['f'], 'nothing is left beside it');
});

t.test('whatever fails, the old file stays and nothing is left', async (t) => {
  const dir = t.testdir({ f: 'old', taken: { x: '' } });
  const file = path.join(dir, 'f');
  const cutOff = (): never => {
    throw new Error('cut off');
  };
  t.throws(() => replaceFile(file, 'new', 0o600, cutOff), /cut off/);
  t.throws(() => replaceFile(file, {} as string, 0o600), 'the write fails');
  t.equal(fs.readFileSync(file, 'utf8'), 'old');
  t.throws(() => replaceFile(path.join(dir, 'taken'), 'new', 0o600), 'the rename fails');
  t.throws(() => replaceFile(path.join(dir, 'none', 'f'), 'new', 0o600), { code: 'ENOENT' });
  t.strictSame(fs.readdirSync(dir).sort(), ['f', 'taken']);
  t.throws(() => flushDirectory(path.join(dir, 'none')), { code: 'ENOENT' });
});

t.test('what a process left that was cut off is replaced, and not followed', async (t) => {
  const dir = t.testdir({ other: 'other' });
  const file = path.join(dir, 'f');
  fs.symlinkSync('other', temporaryPath(file));
  replaceFile(file, 'new', 0o600);
  t.equal(fs.readFileSync(path.join(dir, 'other'), 'utf8'), 'other');
  t.ok(fs.lstatSync(file).isFile());
  fs.writeFileSync(temporaryPath(file), 'half');
  replaceFile(file, 'newer', 0o600);
  t.equal(fs.readFileSync(file, 'utf8'), 'newer');
});
