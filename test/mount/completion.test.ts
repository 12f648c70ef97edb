/** Completions, in the real shells, on pseudo-terminals. */
import fs from 'node:fs';
import path from 'node:path';
import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { type Identity, identities, inWorld, type World } from './harness.js';

/** Completions that nobody tries in the shell itself are not tested. */
function needShell(shell: string): void {
  if (spawnSync('which', [shell]).status === 0) return;
  throw new Error(
    `${shell} is missing: install the package ${shell} (mount-scripts/setup --tests)`,
  );
}

const identity = identities()[0] as Identity;

/** A mount with snapshots, and `shadowfs` on the PATH. */
async function prepared(world: World): Promise<void> {
  fs.mkdirSync(world.path('bin'));
  const main = path.join(world.checkout, 'dist/cli/main.js');
  fs.writeFileSync(
    world.path('bin/shadowfs'),
    `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`,
    { mode: 0o755 },
  );
  world.env['PATH'] = `${world.path('bin')}:${process.env['PATH'] ?? ''}`;
  await world.mount(['--no-base', 'mnt']);
  for (const name of ['alpha', 'alpine', 'beta:one', 'with space', "it's", 'größe']) {
    await world.on(['save', name]);
  }
  await world.sh('cd "$MNT"; mkdir directory; echo x > file-in-it');
  await world.sh(`for s in bash zsh fish; do shadowfs completion $s > completion.$s; done`);
}

/** Types each line into an interactive shell, and completes; gives the lines that came of it. */
async function typed(world: World, shell: string, lines: string[]): Promise<string[]> {
  const key = '\u0018d';
  const input = lines.map((line) => `${line}\t${key}\u0015`).join('');
  const argv = {
    bash: `bash --noprofile --rcfile ${world.fixture('bashrc')} -i`,
    zsh: `ZDOTDIR=${world.fixture('zsh')} zsh -d -i`,
  }[shell];
  const driver = world.fixture('type-into.py');
  const { out } = await world.run(['python3', driver, argv ?? '', key], {
    cwd: world.mnt,
    input: `${input}`,
    env: { TERM: 'dumb', SCRIPT: world.path(`completion.${shell}`), COLUMNS: '1000' },
  });
  return [...out.matchAll(/<<(.*?)>>/gs)].map(([, line = '']) => line);
}

async function both(t: Test, world: World, shell: string): Promise<void> {
  const cases: [string, string][] = [
    ['shadowfs resto', 'shadowfs restore '],
    ['shadowfs restore alpha', 'shadowfs restore alpha '],
    ['shadowfs restore alp', 'shadowfs restore alp'],
    ['shadowfs restore alpi', 'shadowfs restore alpine '],
    ['shadowfs restore bet', 'shadowfs restore beta:one '],
    ['shadowfs restore beta:o', 'shadowfs restore beta:one '],
    ['shadowfs restore wi', 'shadowfs restore with\\ space '],
    ['shadowfs restore with\\ sp', 'shadowfs restore with\\ space '],
    ['shadowfs diff alpha alpi', 'shadowfs diff alpha alpine '],
    ['shadowfs delete alpha bet', 'shadowfs delete alpha beta:one '],
    ['shadowfs restore --js', 'shadowfs restore --json '],
    ['shadowfs peer inv', 'shadowfs peer invite '],
    ['shadowfs mount --driver fus', 'shadowfs mount --driver fuse-native '],
    ['shadowfs mount --driver=fus', 'shadowfs mount --driver=fuse-native '],
    ['shadowfs send --from alpi', 'shadowfs send --from alpine '],
    ['shadowfs versions file', 'shadowfs versions file-in-it '],
    ['shadowfs -C dir', 'shadowfs -C directory/'],
    ['shadowfs -C directory restore bet', 'shadowfs -C directory restore beta:one '],
    ['shadowfs -C / restore bet', 'shadowfs -C / restore bet'],
    ['shadowfs save bet', 'shadowfs save bet'],
    ['shadowfs list --vol', 'shadowfs list --volume '],
    ['shadowfs frobnicate x', 'shadowfs frobnicate x'],
    ['shadowfs help resto', 'shadowfs help restore '],
    [`shadowfs status ${world.mnt.slice(0, -1)}`, `shadowfs status ${world.mnt}`],
  ];
  const lines = await typed(
    world,
    shell,
    cases.map(([line]) => line),
  );
  for (const [at, [line, expected]] of cases.entries()) {
    const bare = (text: string): string => text.replace(/[ /]$/, '');
    t.equal(bare(lines[at] ?? ''), bare(expected), line);
  }
}

for (const shell of ['bash', 'zsh']) {
  t.test(shell, (t) =>
    inWorld(t, identity, async (world) => {
      needShell(shell);
      await prepared(world);
      await both(t, world, shell);
    }),
  );
}

t.test('fish', (t) =>
  inWorld(t, identity, async (world) => {
    needShell('fish');
    await prepared(world);
    const complete = async (line: string): Promise<string[]> => {
      const script = 'source $SCRIPT; complete -C "$argv[1]"';
      const { out } = await world.run(['fish', '--no-config', '-c', script, line], {
        cwd: world.mnt,
        env: { SCRIPT: world.path('completion.fish') },
      });
      return out.split('\n').flatMap((one) => one.split('\t')[0] || []);
    };
    const cases: [string, string[]][] = [
      ['shadowfs resto', ['restore']],
      ['shadowfs restore al', ['alpine', 'alpha']],
      ['shadowfs restore beta:', ['beta:one']],
      ['shadowfs diff alpha alpi', ['alpine']],
      ['shadowfs delete alpha bet', ['beta:one']],
      ['shadowfs restore --js', ['--json']],
      ['shadowfs peer inv', ['invite']],
      ['shadowfs mount --driver fus', ['fuse-native']],
      ['shadowfs mount --driver=fus', ['--driver=fuse-native']],
      ['shadowfs -C directory restore bet', ['beta:one']],
      ['shadowfs -C / restore bet', []],
      ['shadowfs save bet', []],
      ['shadowfs help resto', ['restore']],
    ];
    for (const [line, expected] of cases) t.same(await complete(line), expected, line);
    t.same(
      await complete('shadowfs restore '),
      [...['latest', 'größe', "it's", 'with space', 'beta:one', 'alpine', 'alpha']],
      'newest first',
    );
  }),
);
