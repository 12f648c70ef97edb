/** Watches, as the kernel's text about a descriptor names them. */
import t from 'tap';
import { parseWatches } from '../../../src/daemon/watchers/watches.js';

const MOUNT = { device: '0:53', mountId: 0x2a };

t.test('inotify and fanotify watches of the mount, and of nothing else', (t) => {
  const text = [
    'pos:\t0',
    'flags:\t02000000',
    'inotify wd:2 ino:10 sdev:35 mask:fce ignored_mask:0 fhandle-bytes:c fhandle-type:81 f_handle:10',
    'inotify wd:1 ino:11 sdev:800035 mask:fce ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:11',
    'inotify wd:3 ino:10000000000001 sdev:35 mask:fce ignored_mask:0',
    'inotify wd:4 ino:fffffffffffff sdev:35 mask:fce ignored_mask:0',
    'fanotify flags:0 event-flags:8000',
    'fanotify ino:20 sdev:35 mflags:0 mask:1 ignored_mask:0 fhandle-bytes:c',
    'fanotify mnt_id:2b mflags:0 mask:1 ignored_mask:0',
    'fanotify sdev:36 mflags:0 mask:1 ignored_mask:0',
    '',
  ].join('\n');
  t.strictSame(parseWatches(text, MOUNT), {
    inodes: [0x10, 0xfffffffffffff, 0x20],
    everything: false,
  });
  t.end();
});

t.test('marks of the whole mount or file system', (t) => {
  for (const line of ['mnt_id:2a mflags:0 mask:1', 'sdev:35 mflags:0 mask:1']) {
    t.match(parseWatches(`fanotify ${line} ignored_mask:0\n`, MOUNT), { everything: true });
  }
  t.match(parseWatches('inotify wd:1 ino:1 sdev:800035 mask:1 ', { device: '8:53', mountId: 1 }), {
    inodes: [1],
  });
  t.end();
});
