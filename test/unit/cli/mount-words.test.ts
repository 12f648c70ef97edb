/** The words of mount(8) and umount(8) for their helpers, and its options. */
import t from 'tap';
import {
  parseMountWords,
  parseUmountWords,
  splitOptions,
} from '../../../src/cli/mount/mount-words.js';
import { helperWords } from '../../../src/cli/mount/helper-words.js';
import { parseMountOptions } from '../../../src/daemon/mount/mount-options.js';

const refused = { code: 'bad-option' };

t.test('what mount(8) passes', async (t) => {
  const options =
    'ro,noatime,volume="/a,b/c",allow_other,nofail,_netdev,user=bob,exec,suid,dev,x-y=z';
  const words = parseMountWords([
    '/base',
    '/mnt',
    '-sv',
    '-n',
    '-t',
    'fuse.shadowfs',
    '-o',
    options,
  ]);
  t.match(words, {
    spec: '/base',
    directory: '/mnt',
    volume: '/a,b/c',
    remount: false,
    fake: false,
    verbose: true,
  });
  t.same(words.options, ['ro', 'noatime', 'allow_other', 'exec', 'suid', 'dev']);
  t.match(parseMountOptions(words.options), { readOnly: true, allowOther: true, nosuid: false });
});

t.test('options of mount(8) for other programs are accepted', async (t) => {
  const ignored =
    'defaults,auto,noauto,nofail,_netdev,user,users,nouser,owner,group,x-systemd.automount,' +
    'x-gvfs-hide,X-mount.mkdir=0755,comment=text,atime,relatime,strictatime,lazytime,' +
    'diratime,nodiratime,async,silent,loud,nomand,iversion'.replace(',iversion', ',noiversion');
  const words = parseMountWords(['none', '/mnt', '-o', ignored]);
  t.same(words.options, []);
  t.same(
    words.notes.map((note) => note.replace(/: reads never change.*/, '')),
    ['atime', 'relatime', 'strictatime', 'diratime'],
    'what can not be had is said',
  );
});

t.test('flags in any place and form', async (t) => {
  t.match(parseMountWords(['-o', 'ro', 'none', '-f', '/mnt']), { spec: 'none', fake: true });
  t.same(parseMountWords(['none', '/mnt', '-r']).options, ['ro']);
  t.equal(parseMountWords(['none', '/mnt']).driver, 'auto');
  t.equal(parseMountWords(['none', '/mnt', '-o', 'driver=kernel']).driver, 'kernel');
  t.same(parseMountWords(['none', '/mnt', '-oro', '-w']).options, ['ro', 'rw']);
  t.equal(parseMountOptions(['ro', 'rw']).readOnly, false, 'the last one counts');
  t.match(parseMountOptions(['nosuid,nodev,noexec,suid']), {
    nosuid: false,
    nodev: true,
    noexec: true,
  });
});

t.test("a remount accepts the options of the kernel's table", async (t) => {
  const words = parseMountWords([
    '/base',
    '/mnt',
    '-o',
    'ro,remount,nosuid,relatime,user_id=0,group_id=0,default_permissions,max_read=1048576',
  ]);
  t.equal(words.remount, true);
  t.same(words.options, ['ro', 'nosuid']);
  t.throws(() => parseMountWords(['/base', '/mnt', '-o', 'user_id=0']), refused);
});

t.test('invalid words are refused', async (t) => {
  for (const argv of [
    [],
    ['/base'],
    ['/base', '/mnt', '/more'],
    ['/base', '/mnt', '-o'],
    ['/base', '/mnt', '-z'],
    ['/base', '/mnt', '-N', '/proc/1/ns/mnt'],
    ['/base', '/mnt', '-o', 'what'],
    ['/base', '/mnt', '-o', 'volume=relative'],
    ['/base', '/mnt', '-o', 'volume'],
    ['/base', '/mnt', '-o', 'driver=other'],
    ['/base', '/dev/fd/5'],
  ]) {
    t.throws(() => parseMountWords(argv), refused, argv.join(' '));
  }
  t.same(parseMountWords(['/b', '/m', '-s', '-o', 'what,ro']).options, ['ro'], 'sloppy');
});

t.test('umount', async (t) => {
  t.match(parseUmountWords(['/mnt', '-l', '-n', '-v', '-t', 'fuse.shadowfs']), {
    directory: '/mnt',
    lazy: true,
    force: false,
    verbose: true,
  });
  t.match(parseUmountWords(['-fr', '/mnt']), { force: true, readOnlyWhenBusy: true });
  t.throws(() => parseUmountWords([]), refused);
  t.throws(() => parseUmountWords(['/a', '/b']), refused);
});

t.test('splitting', async (t) => {
  t.same(splitOptions('a,b="x,y",,c="",d'), ['a', 'b=x,y', 'c=', 'd']);
  t.same(splitOptions(''), []);
  // An open quote protects nothing.
  t.same(splitOptions('a="x,b'), ['a=', 'x', 'b']);
});

t.test('which words belong to the helper', async (t) => {
  t.match(helperWords(['mount.shadowfs', 'a', 'b']), { name: 'mount.shadowfs', words: ['a', 'b'] });
  t.match(helperWords(['umount.shadowfs', 'b']), { name: 'umount.shadowfs', words: ['b'] });
  t.match(helperWords(['/base', '/mnt', '-o', 'ro']), { words: ['/base', '/mnt', '-o', 'ro'] });
  t.match(helperWords(['none', '/mnt']), { name: 'mount.shadowfs', words: ['none', '/mnt'] });
  t.equal(helperWords(['mount', '/base']), undefined);
  t.equal(helperWords(['--help']), undefined);
  t.equal(helperWords(['/base']), undefined);
  t.equal(helperWords([]), undefined);
});
