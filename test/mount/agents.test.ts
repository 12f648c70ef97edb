/** native-notes/agents.md: every block of commands does what it says, in a project of its own. */
import fs from 'node:fs';
import t from 'tap';
import { asUser, isNative } from './harness.js';

const NOTE = fs.readFileSync(new URL('../../native-notes/agents.md', import.meta.url), 'utf8');
const BLOCKS = NOTE.split(/^## /m).flatMap((section) => {
  const [, script] = /^```sh\n(.*?)^```$/ms.exec(section) ?? [];
  return script === undefined ? [] : [{ title: section.split('\n')[0], script }];
});

// The fuse-native driver serves one mount in a process.
if (isNative) t.pass('not with fuse-native');
else {
  asUser(t, 'the recipes for agents', async (t, world) => {
    t.equal(BLOCKS.length, NOTE.split('```sh\n').length - 1, 'each block has a title');
    await world.sh(
      `mkdir bin; printf '#!/bin/sh\\nexec node %s "$@"\\n' "$0" > bin/shadowfs
      chmod +x bin/shadowfs; mkdir -p base/src; echo old > base/old.txt; echo notes > base/notes.txt
      echo main > base/src/main.c`.replace('"$0"', `${world.checkout}/dist/cli/main.js`),
    );
    await world.mount(['base', 'mnt']);
    for (const { title, script } of BLOCKS) {
      const { status, out, err } = await world.trySh(`set -euo pipefail\n${script}`, {
        cwd: world.mnt,
        env: {
          PATH: `${world.path('bin')}:${process.env['PATH']}`,
          USER: world.path('x').slice(5).replaceAll('/', '-'),
        },
      });
      t.equal(status, 0, `${title}: ${out}${err}`);
    }
    t.equal(
      await world.sh('cat base/notes.txt; ls base; ls "$MNT"'),
      'notes\nnotes.txt\nold.txt\nsrc\nattempt-1.txt\nattempt-2.txt\nattempt-3.txt\nnotes.txt\nresult.txt\nsrc\n',
    );
  });
}
