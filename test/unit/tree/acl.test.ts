/** ACLs as bytes, the kernel's rules for them, and what the live tree does with them. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import {
  ACCESS_ACL,
  type Acl,
  DEFAULT_ACL,
  decodeAcl,
  encodeAcl,
  inheritAcl,
  isMinimal,
  permissionBits,
  withMode,
} from '../../../src/tree/live/acl.js';
import { S_IFDIR } from '../../../src/lib/file-mode.js';
import { errnoOf, makeRig, OTHER, ROOT, USER } from '../fixtures/simulated-kernel.js';

const TAGS: Record<string, number> = { u: 1, 'u:': 2, g: 4, 'g:': 8, m: 16, o: 32 };
const NO_ID = 0xffff_ffff;

/** `u:rwx u7:r-- g:r-x g8:--- m:rwx o:---` without anything that checks it. */
function acl(text: string): Acl {
  return text.split(' ').map((entry) => {
    const [who = '', bits = ''] = entry.split(':');
    const id = who.slice(1);
    const permissions = [...bits].reduce((sum, c, n) => sum | (c === '-' ? 0 : 4 >> n), 0);
    const tag = TAGS[id === '' ? who : `${who[0]}:`] ?? 0;
    return { tag, permissions, id: id === '' ? NO_ID : Number(id) };
  });
}

const decoded = (text: string): string => errnoOf(() => decodeAcl(encodeAcl(acl(text))));
const bytes = (text: string): Buffer => encodeAcl(acl(text));

t.test('an ACL is valid exactly if the kernel accepts it', (t) => {
  t.equal(decoded('u:rwx g:r-x o:---'), 'no error');
  t.equal(decoded('u:rwx u7:r-- u8:rw- g:r-x g8:--- g9:r-- m:rwx o:---'), 'no error');
  for (const text of [
    'u:rwx g:r-x', // nobody else
    'u:rwx u7:r-- g:r-x o:---', // no mask
    'u:rwx g7:r-- o:---',
    'u:rwx u:rwx g:r-x o:---',
    'u:rwx o:--- g:r-x',
    'u:rwx g:r-x u7:r-- m:rwx o:---',
    'u:rwx g:r-x m:rwx m:rwx o:---',
    `u:rwx u${NO_ID}:r-- g:r-x m:rwx o:---`,
    'x:rwx g:r-x o:---',
  ]) {
    t.equal(decoded(text), 'EINVAL', text);
  }
  const good = bytes('u:rwx g:r-x o:---');
  t.equal(
    errnoOf(() => decodeAcl(good.subarray(0, 27))),
    'EINVAL',
    'cut',
  );
  t.equal(
    errnoOf(() => decodeAcl(Buffer.alloc(0))),
    'EINVAL',
  );
  t.same(decodeAcl(good.subarray(0, 4)), [], 'no entries: none');
  const version = Buffer.from(good);
  version.writeUInt32LE(1, 0);
  t.equal(
    errnoOf(() => decodeAcl(version)),
    'EOPNOTSUPP',
  );
  const permissions = Buffer.from(good);
  permissions.writeUInt16LE(8, 6);
  t.equal(
    errnoOf(() => decodeAcl(permissions)),
    'EINVAL',
  );
  t.end();
});

t.test('any bytes are an ACL or are refused', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.boolean(), (data, withVersion) => {
      const value = withVersion ? Buffer.concat([Buffer.from([2, 0, 0, 0]), data]) : data;
      t.ok(['no error', 'EINVAL', 'EOPNOTSUPP'].includes(errnoOf(() => decodeAcl(value))));
    }),
    { numRuns: 200 },
  );
  t.end();
});

t.test('from an ACL to its mode, and back', (t) => {
  const named = acl('u:rwx u7:r-- g:r-x m:rw- o:--x');
  t.equal(permissionBits(named), 0o761, "the group's bits are the mask's");
  t.notOk(isMinimal(named));
  t.ok(isMinimal(acl('u:rwx g:r-x o:---')));
  t.notOk(isMinimal(acl('u:rwx g:r-x m:rwx o:---')), 'a mask says more');
  t.same(withMode(named, 0o4640), acl('u:rw- u7:r-- g:r-x m:r-- o:---'));
  t.same(withMode(acl('u:rwx g:r-x o:---'), 0o124), acl('u:--x g:-w- o:r--'));
  const anyAcl = fc.constantFrom('u:rwx u7:r-- g:r-x m:rw- o:--x', 'u:r-- g:r-x o:-w-').map(acl);
  fc.assert(
    fc.property(anyAcl, fc.integer({ min: 0, max: 0o7777 }), (start, mode) => {
      t.equal(permissionBits(withMode(start, mode)), mode & 0o777);
      const { mode: left, access } = inheritAcl(start, mode);
      t.equal(left & ~mode, 0, 'never more than what was asked for');
      t.equal(left & 0o7000, mode & 0o7000);
      if (access !== undefined) t.equal(permissionBits(access), left & 0o777);
    }),
    { numRuns: 100 },
  );
  t.end();
});

t.test('what a default ACL passes on', (t) => {
  t.same(inheritAcl(acl('u:rwx g:r-x o:---'), 0o100666), { mode: 0o100640, access: undefined });
  t.same(inheritAcl(acl('u:rwx u7:rwx g:r-x m:rwx o:r-x'), 0o100666), {
    mode: 0o100664,
    access: acl('u:rw- u7:rwx g:r-x m:rw- o:r--'),
  });
  t.end();
});

/** A rig whose kernel checks access by ACLs. */
function aclRig(options: Parameters<typeof makeRig>[0] = {}) {
  const rig = makeRig(options);
  rig.tree.acls = true;
  const { tree, kernel } = rig;
  const modeOf = (node: number): string => (tree.getattr(ROOT, node).mode & 0o7777).toString(8);
  const aclOf = (node: number, name = ACCESS_ACL): Acl | string => {
    let value: Uint8Array = Buffer.alloc(0);
    const error = errnoOf(() => (value = tree.getxattr(ROOT, node, name)));
    return error === 'no error' ? decodeAcl(value) : error;
  };
  return { ...rig, tree, kernel, modeOf, aclOf };
}

const NAMED = 'u:rwx u7:rwx g:r-x m:rwx o:---';

t.test('an access ACL and the mode go together', (t) => {
  const { tree, kernel, modeOf, aclOf, close } = aclRig();
  const f = kernel.create('f', 'x', 0o2644);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0, false);
  t.equal(modeOf(f), '2770');
  t.same(aclOf(f), acl(NAMED));
  tree.setattr(USER, f, { mode: 0o2640 });
  t.same(aclOf(f), acl('u:rw- u7:rwx g:r-x m:r-- o:---'), 'chmod is the mask');
  tree.setattr(USER, f, { uid: 5, gid: 6 });
  t.equal(modeOf(f), '2640', 'set-group-id without execution for the group is no such right');
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0, true);
  t.equal(modeOf(f), '770', 'set-group-id goes when the kernel says so');
  tree.setxattr(USER, f, ACCESS_ACL, bytes('u:rw- g:r-- o:r--'), 0, false);
  t.equal(modeOf(f), '644');
  t.equal(aclOf(f), 'ENODATA', 'the mode says it all');
  t.same(tree.listxattr(USER, f), []);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0, false);
  tree.removexattr(USER, f, ACCESS_ACL);
  t.equal(modeOf(f), '770', 'removing it leaves the mode');
  tree.removexattr(USER, f, ACCESS_ACL);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0, false);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED).subarray(0, 4), 0, false);
  t.equal(aclOf(f), 'ENODATA', 'an ACL of no entries is none');
  t.equal(
    errnoOf(() => tree.setxattr(USER, f, DEFAULT_ACL, bytes(NAMED), 0, false)),
    'EACCES',
  );
  t.equal(
    errnoOf(() => tree.setxattr(USER, f, ACCESS_ACL, Buffer.from('x'), 0)),
    'EINVAL',
  );
  const link = kernel.symlink('link', 'f');
  t.equal(
    errnoOf(() => tree.setxattr(USER, link, ACCESS_ACL, bytes(NAMED), 0)),
    'EOPNOTSUPP',
  );
  close();
  t.end();
});

t.test('a kernel that does not report set-group-id', (t) => {
  const { tree, kernel, modeOf, close } = aclRig();
  const f = kernel.create('f', 'x', 0o2644);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0);
  t.equal(modeOf(f), '2770', 'the group is the own one');
  tree.setxattr(OTHER, f, ACCESS_ACL, bytes(NAMED), 0);
  t.equal(modeOf(f), '770');
  close();
  t.end();
});

t.test('a default ACL instead of the umask', (t) => {
  const { tree, kernel, modeOf, aclOf, save, restore, close } = aclRig();
  const d = kernel.mkdir('d');
  const make = (name: string, mode: number): number =>
    tree.create(USER, d, name, mode, 0, 0o077).entry.nodeId;
  t.equal(modeOf(make('before', 0o666)), '600', 'the umask');
  save('s');
  tree.setxattr(USER, d, DEFAULT_ACL, bytes(NAMED), 0, false);
  const f = make('f', 0o666);
  t.equal(modeOf(f), '660');
  t.same(aclOf(f), acl('u:rw- u7:rwx g:r-x m:rw- o:---'));
  t.equal(aclOf(f, DEFAULT_ACL), 'ENODATA');
  const sub = tree.mkdir(USER, d, 'sub', 0o755, 0o077);
  if (!('nodeId' in sub)) return t.fail('later');
  t.equal(modeOf(sub.nodeId), '750');
  t.same(aclOf(sub.nodeId), acl('u:rwx u7:rwx g:r-x m:r-x o:---'));
  t.same(aclOf(sub.nodeId, DEFAULT_ACL), acl(NAMED), 'a directory hands it on');
  const unnamed = tree.tmpfile(USER, d, 0o600, 0, 0).entry.nodeId;
  t.same(aclOf(unnamed), acl('u:rw- u7:rwx g:r-x m:--- o:---'));
  const fifo = tree.mknod(USER, d, 'fifo', 0o10666, 0, 0o777).nodeId;
  t.equal(modeOf(fifo), '660');
  const link = tree.symlink(USER, d, 'link', 'f').nodeId;
  t.equal(modeOf(link), '777');
  t.equal(aclOf(link), 'ENODATA', 'symbolic links have none');
  const where = tree.mkdir(USER, d, 'plain', S_IFDIR | 0o755, 0).valueOf() as { nodeId: number };
  tree.setxattr(USER, where.nodeId, DEFAULT_ACL, bytes('u:rwx g:r-x o:---'), 0, false);
  const simple = tree.create(USER, where.nodeId, 'f', 0o666, 0, 0o777).entry.nodeId;
  t.equal(modeOf(simple), '640');
  t.equal(aclOf(simple), 'ENODATA');
  save('with');
  restore('s');
  t.equal(modeOf(make('after', 0o666)), '600', 'the restored directory has none');
  restore('with');
  t.equal(modeOf(make('again', 0o666)), '660');
  tree.removexattr(USER, d, DEFAULT_ACL);
  t.equal(modeOf(make('removed', 0o666)), '600');
  close();
  return t.end();
});

t.test('a kernel that checks no ACLs', (t) => {
  const { tree, kernel, modeOf, close } = aclRig();
  const d = kernel.mkdir('d');
  const f = kernel.create('f');
  tree.setxattr(USER, d, DEFAULT_ACL, bytes(NAMED), 0, false);
  tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0, false);
  tree.acls = false;
  t.equal(
    errnoOf(() => tree.setxattr(USER, f, ACCESS_ACL, bytes(NAMED), 0)),
    'EOPNOTSUPP',
  );
  t.equal(
    errnoOf(() => tree.removexattr(USER, f, ACCESS_ACL)),
    'EOPNOTSUPP',
  );
  t.equal(modeOf(tree.create(USER, d, 'f', 0o640, 0, 0o027).entry.nodeId), '640');
  tree.setattr(USER, f, { mode: 0o700 });
  tree.acls = true;
  t.same(
    decodeAcl(tree.getxattr(USER, f, ACCESS_ACL)),
    acl('u:rwx u7:rwx g:r-x m:--- o:---'),
    'but what is stored stays right',
  );
  close();
  t.end();
});

t.test('ACLs of the base and in snapshots', (t) => {
  const base = mkdtempSync(path.join(tmpdir(), 'acl-base-'));
  t.teardown(() => rmSync(base, { recursive: true, force: true }));
  writeFileSync(path.join(base, 'f'), 'x', { mode: 0o640 });
  execFileSync('setfacl', ['-m', 'u:7:rw', path.join(base, 'f')]);
  execFileSync('setfacl', ['-d', '-m', 'u:7:rw', base]);
  const { tree, kernel, modeOf, aclOf, save, close } = aclRig({ base });
  const f = kernel.walk('f');
  t.same(aclOf(f), acl('u:rw- u7:rw- g:r-- m:rw- o:---'));
  save('s');
  tree.setattr(USER, f, { mode: 0o600 });
  t.same(aclOf(f), acl('u:rw- u7:rw- g:r-- m:--- o:---'));
  const made = tree.create(USER, 1, 'made', 0o666, 0, 0o777).entry.nodeId;
  t.equal(modeOf(made), '660');
  t.match(aclOf(made), [{}, { tag: 2, id: 7 }]);
  tree.setxattr(USER, f, ACCESS_ACL, bytes('u:rw- g:r-- o:---'), 0, false);
  t.equal(aclOf(f), 'ENODATA', "the base's is hidden");
  t.same(aclOf(kernel.walk('.snapshots/s/f')), acl('u:rw- u7:rw- g:r-- m:rw- o:---'));
  t.equal(
    execFileSync('getfacl', ['-cpn', path.join(base, 'f')], { encoding: 'utf8' }),
    'user::rw-\nuser:7:rw-\ngroup::r--\nmask::rw-\nother::---\n\n',
    'and untouched',
  );
  close();
  t.end();
});
