/** The smallest test on a mount, to be copied: native-notes/contributing.md explains it. */
import t from 'tap';
import { eachIdentity } from './harness.js';

eachIdentity(t, 'a restore brings back what was removed', async (t, world) => {
  await world.sh('mkdir base; echo kept > base/file; manifest base > before');
  await world.mount(['base', 'mnt']);
  await world.on(['save', 'start']);
  await world.sh('rm "$MNT/file"; echo more > "$MNT/new"');
  t.match(await world.on(['restore', 'start']), { ok: true, name: 'start' });
  await world.sh('same_manifest before "$MNT"; same_manifest before base');
});
