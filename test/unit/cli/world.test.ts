/** The parts of `run` that need no mount: words, programs, the script between, and what it says. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { operandsOf } from '../../../src/cli/commands/run.js';
import { changeLines, totalsOf, totalsText } from '../../../src/cli/world/changes.js';
import { requireProgram } from '../../../src/cli/world/find-program.js';
import { inNamespace, withoutNamespace } from '../../../src/cli/world/shell-script.js';
import type { DiffChange } from '../../../src/daemon/commands/inspect.js';
import { textOfBytes } from '../../../src/lib/byte-text.js';

t.test('the command stands behind --', async (t) => {
  const of = (...words: string[]) =>
    operandsOf(
      words.filter((word) => word !== '--'),
      ['run', ...words],
    );
  t.same(of('--', 'make'), { directory: undefined, command: ['make'] });
  t.same(of('dir', '--', 'make', '-j'), { directory: 'dir', command: ['make', '-j'] });
  t.same(operandsOf(['d', 'npm', '--', 'x'], ['run', 'd', '--', 'npm', '--', 'x']), {
    directory: 'd',
    command: ['npm', '--', 'x'],
  });
  for (const words of [['make'], ['--'], ['a', 'b', '--', 'make']]) {
    t.throws(() => of(...words), { code: 'wrong-usage' }, words.join(' '));
  }
});

t.test('a program is found as a shell finds it', async (t) => {
  const dir = t.testdir({ bin: { tool: '', plain: '', sub: {} }, other: { plain: '' } });
  fs.chmodSync(path.join(dir, 'bin/tool'), 0o755);
  fs.chmodSync(path.join(dir, 'other/plain'), 0o755);
  const find = (name: string, searched = 'missing:bin'): string => {
    try {
      requireProgram(name, dir, searched);
      return 'found';
    } catch (error) {
      return String((error as { code?: string }).code);
    }
  };
  t.equal(find('tool'), 'found');
  t.equal(find('bin/tool'), 'found');
  t.equal(find('plain'), 'not-executable');
  t.equal(find('plain', 'bin:other'), 'found', 'a later place counts');
  t.equal(find('tool', ''), 'no-such-command');
  t.equal(find('sub'), 'no-such-command', 'a directory is no program');
  t.equal(find('bin/sub'), 'not-executable');
  t.equal(find('bin/tool/x'), 'no-such-command');
  t.equal(find('nothing'), 'no-such-command');
});

t.test('words, variables and the place arrive as they are', async (t) => {
  const dir = path.join(fs.realpathSync(t.testdir({})), "it's $(here) \n");
  fs.mkdirSync(dir);
  const odd = textOfBytes(Buffer.from([0x61, 0xff, 0x27, 0x0a, 0x0a]));
  const { file, args } = withoutNamespace({
    command: [
      'sh',
      '-c',
      `pwd; printf "[%s]" "$@" "$ODD" "\${OLDPWD-none}"`,
      'sh',
      odd,
      "it's",
      '',
      '-x',
    ],
    cwd: dir,
    variables: new Map([['ODD', Buffer.from([0xfe, 0x0a])]]),
    oldPwd: undefined,
  });
  const ran = spawnSync(file, args, {
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    env: { ...process.env, OLDPWD: '/' },
  });
  const expected = `${dir}\n[a\xff'\n\n][it's][][-x][\xfe\n][none]`;
  t.equal(ran.stdout.toString('latin1'), expected);
  t.equal(ran.stderr.toString(), '');
  t.match(ran.output[3]?.toString(), /^ready mnt:\[\d+\]\n$/);
});

t.test('what goes wrong before the command begins is not in its output', async (t) => {
  const { file, args } = withoutNamespace({
    command: ['echo', 'never'],
    cwd: path.join(t.testdir({}), 'missing'),
    variables: new Map(),
    oldPwd: '/tmp',
  });
  const ran = spawnSync(file, args, { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  t.equal(`${ran.stdout}${ran.stderr}`, '');
  t.match(ran.output[3]?.toString(), /missing/);
});

t.test('root needs no user namespace; a branch that is not there yet is waited for', async (t) => {
  const where = { source: '/w', directory: '/d', inner: ['m'], isBrought: false };
  const start = { command: ['true'], cwd: '/d', variables: new Map(), oldPwd: undefined };
  const root = inNamespace(where, start, { uid: 0, gid: 0 }).args.join(' ');
  t.notMatch(root, /--user/);
  t.match(root, /mount --rbind -- '\/d\/m' '\/w\/m'.*mount --rbind -- '\/w' '\/d'/s);
  t.notMatch(root, /waiting/);
  const user = inNamespace({ ...where, isBrought: true }, start, { uid: 7, gid: 8 }).args.join(' ');
  t.match(user, /--user --map-root-user --mount .*--user --map-user=7 --map-group=8/s);
  t.match(user, /'waiting .*read -r _ <&4\nexec 4<&-\nmount --rbind/s);
});

t.test('what a command did is added up, and removals are never cut off silently', async (t) => {
  const change = (kind: DiffChange['kind'], name: string, more: Partial<DiffChange> = {}) => ({
    ...{ kind, path: name, type: 'file' as const },
    ...more,
  });
  const changes = [
    change('added', 'a', { sizeBytes: 2000 }),
    change('added', 'link', { sizeBytes: 5, details: ['link'] }),
    change('changed', 'c', { sizeBytes: 1, oldSizeBytes: 3, details: ['content'] }),
    change('removed', 'd', { type: 'directory', belowCount: 7, oldSizeBytes: 4096 }),
  ];
  t.equal(totalsText(totalsOf(changes)), '2 added (2.0K), 1 changed, 8 removed (4.0K)');
  t.equal(totalsText(totalsOf([])), 'nothing changed');
  t.same(changeLines(changes), [
    '  - d/ (and 7 names below), 4.0K',
    '  + a, 2.0K',
    '  + link (link), 5 bytes',
    '  M c (content), 3 bytes -> 1 byte',
  ]);
  const many = Array.from({ length: 300 }, (_, i) =>
    change('removed', `f${i}`, { oldSizeBytes: 1 }),
  );
  const lines = changeLines([...many, ...many.map((one) => ({ ...one, kind: 'added' as const }))]);
  t.equal(lines.length, 200 + 1 + 40 + 1);
  t.equal(lines[200], '  and 100 removed (100)');
  t.equal(lines.at(-1), '  and 260 added');
});
