/** What a command loads before it does its work: a shell's user waits for that each time. */
import fs from 'node:fs';
import t from 'tap';
import { eachIdentity, type World } from './harness.js';

/** Modules of this project, and packages, that a command has loaded. */
async function loads(
  world: World,
  words: string[],
): Promise<{ modules: number; packages: string[] }> {
  await world.sh('rm -rf coverage');
  const env = { NODE_V8_COVERAGE: world.path('coverage') };
  const ran = await world.tryShadowfs(words, { env });
  if (ran.status !== 0) throw new Error(`${words.join(' ')}: ${ran.err}`);
  const [file = ''] = fs.readdirSync(world.path('coverage'));
  const { result } = JSON.parse(fs.readFileSync(world.path('coverage', file), 'utf8')) as {
    result: { url: string }[];
  };
  const urls = result.map(({ url }) => url).filter((url) => url.startsWith('file:'));
  const packages = urls.map((url) => /\/node_modules\/([^/]+)/.exec(url)?.[1]);
  return {
    modules: urls.filter((url) => url.includes('/dist/')).length,
    packages: [...new Set(packages.filter((name) => name !== undefined))].sort(),
  };
}

eachIdentity(t, 'a command loads little', async (t, world) => {
  await world.sh('mkdir base; echo 1 > base/f');
  await world.mount(['base', 'mnt']);
  const cases: [number, string[]][] = [
    [52, ['save', 'one', '-C', 'mnt']],
    [52, ['status', 'mnt']],
    [52, ['snapshots', 'mnt']],
    [52, ['diff', 'one', '-C', 'mnt']],
    [52, ['restore', 'one', '-C', 'mnt']],
    [52, ['undo', '-n', '-C', 'mnt', '--back']],
    [52, ['save', '--help']],
  ];
  await world.sh('echo 2 > "$MNT/f"');
  for (const [most, words] of cases) {
    if (words[0] === 'undo')
      await world.sh('echo 3 > "$MNT/f"; echo one > "$MNT/.control/restore"');
    const { modules, packages } = await loads(world, words);
    t.same(packages, ['commander'], words.join(' '));
    t.ok(modules < most, `${words.join(' ')}: ${modules} modules`);
  }
  // All commands are shown, so all of their definitions are loaded; nothing that does their work.
  t.same((await loads(world, ['--help'])).packages, ['commander']);
});
