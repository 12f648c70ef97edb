/** What programs see through the kernel driver, over a file system in memory. */
import fs from 'node:fs';
import t from 'tap';
import { asRoot } from '../as-root.js';
import { mountMemory } from './memory-mount.js';

interface State {
  negotiated: { minor: number; writeback: boolean; noOpen: boolean };
  writesTaken: number;
  unansweredWrites: number;
  waiting: number;
  served: number;
  nodes: number;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

asRoot(t, 'ordinary work as root', async (t) => {
  const mount = await mountMemory(t);
  const ok = async (script: string, out: string, what: string): Promise<void> => {
    const ran = await mount.sh(script);
    t.same({ status: ran.status, out: ran.out, err: ran.err }, { status: 0, out, err: '' }, what);
  };
  await ok('echo hello > a && cat a && stat -c %s a', 'hello\n6\n', 'write and read');
  await ok('echo more >> a && cat a', 'hello\nmore\n', 'append');
  await ok('echo hi > a && cat a', 'hi\n', 'overwrite by a shorter one');
  await ok('mv a b && ls && mkdir d && mv b d/c && ls d && cat d/c', 'b\nc\nhi\n', 'rename');
  await ok('ln -s d/c l && readlink l && cat l', 'd/c\nhi\n', 'symlink');
  await ok('ln d/c h && stat -c %h d/c && rm h && stat -c %h d/c', '2\n1\n', 'hard link');
  await ok('cp d/c e && truncate -s 1 e && cat e && rm e', 'h', 'truncate');
  await ok('umask 027; touch u; mkdir ud; stat -c %a u ud; rm u; rmdir ud', '640\n750\n', 'umask');
  await ok('mkfifo f && test -p f && rm f', '', 'fifo');
  await ok(
    'touch -d @-5.5 -h l && stat -c %y l',
    '1969-12-31 23:59:54.500000000 +0000\n',
    'old time',
  );
  await ok(
    'touch -d @99999999999.25 d/c && stat -c %.Y d/c',
    '99999999999.25\n'.replace('.25', '.250000000'),
    'far time',
  );
  await ok(
    "touch $'\\xff\\xfe' && ls -b && rm $'\\xff\\xfe'",
    'd\nl\n\\377\\376\n',
    'names are bytes',
  );
  await ok(
    'for i in $(seq 3000); do : > d/n$i; done; ls d | wc -l; rm d/n*; ls d',
    '3001\nc\n',
    'a long listing',
  );
  await ok('head -c 5000000 /dev/urandom > r && cp r s && cmp r s && rm s', '', 'large files');
  await ok('dd if=r of=s bs=777k conv=fsync 2>/dev/null && cmp r s && rm r s', '', 'fsync');
  await ok(
    `python3 -c "
import os
os.setxattr('d/c', 'user.x', b'1\\0 2'); print(os.getxattr('d/c','user.x'), os.listxattr('d/c'))
os.removexattr('d/c','user.x'); print(os.listxattr('d/c'))
try: os.rename('d','d/c/e')
except OSError as e: print(e.errno)
f=os.open('.', os.O_TMPFILE|os.O_RDWR); os.write(f,b'tmp'); print(os.pread(f,9,0)); os.close(f)
f=os.open('gone', os.O_CREAT|os.O_RDWR); os.write(f,b'kept'); os.unlink('gone'); print(os.pread(f,9,0), os.fstat(f).st_nlink)
os.close(f); os.posix_fallocate(os.open('fa', os.O_CREAT|os.O_RDWR), 0, 12345); print(os.stat('fa').st_size); os.unlink('fa')
"`,
    "b'1\\x00 2' ['user.x']\n[]\n20\nb'tmp'\nb'kept' 0\n12345\n",
    'extended attributes, unnamed and unlinked files, fallocate',
  );
  await ok('df --output=size,iavail . | tail -n 1 | tr -s " "', ' 4000000 1000000\n', 'statfs');
  await ok('stat -c %w d/c | grep -c "^20"', '1\n', 'birth time by statx');
  const bug = await mount.sh('cat bug');
  t.match(bug, { status: 1, err: /Input\/output error/ }, 'a mistake is EIO');
  t.match(mount.errors, /a mistake in the operations\n\s+at /, 'and logged with its place');
  const missing = await mount.sh('cat nothing; cat d; rmdir d; mkdir d; ls l/x');
  t.match(missing.err, /No such file.*Is a directory.*not empty.*File exists.*Not a directory/s);
  await mount.sh('rm -rf d l');
  fs.writeFileSync('/proc/sys/vm/drop_caches', '2');
  await new Promise((resolve) => setTimeout(resolve, 200));
  const state = await mount.ask<State>('state');
  t.equal(state.nodes, 1, 'everything was forgotten but the root');
  t.match(state.negotiated, { writeback: true, noOpen: true, noOpendir: true, readdirplus: true });
  mount.unmount();
  t.equal(await mount.ended, 0, 'the server ends cleanly at unmount');
  t.match(mount.errors, /ended: unmounted/);
});

asRoot(t, 'requests that wait', async (t) => {
  const mount = await mountMemory(t);

  await mount.sh('echo cold > cold1');
  fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
  await mount.ask('done');
  t.equal((await mount.sh('cat cold1')).out, 'cold\n');
  const done = await mount.ask<string[]>('done');
  t.same(done.slice(0, 3), ['cold cold1', 'cold cold1', 'read cold1 yield'], 'warmed up twice');

  await mount.behave({ coldTries: 100 });
  await mount.sh('echo cold > cold2');
  fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
  await mount.ask('done');
  t.equal((await mount.sh('cat cold2')).out, 'cold\n');
  const stubborn = await mount.ask<string[]>('done');
  t.same(stubborn.slice(3, 5), ['cold cold2', 'read cold2 wait'], 'then it may wait');

  await mount.sh('for i in 1 2 3; do echo $i > late$i; done');
  fs.writeFileSync('/proc/sys/vm/drop_caches', '1');
  await mount.ask('done');
  const lates = await mount.sh('for i in 1 2 3; do cat late$i & done | sort; wait');
  t.equal(lates.out, '1\n2\n3\n');
  const putOff = await mount.ask<string[]>('done');
  for (const i of [1, 2, 3]) {
    const [before, after] = [putOff.indexOf(`put off late${i}`), putOff.indexOf(`read late${i}`)];
    t.ok(before >= 0 && before < after, 'put off, then it may block');
  }

  // One directory each: the kernel locks the directory while a name in it is made.
  await mount.sh('mkdir a b c d e; touch c/p3 e/x');
  await mount.ask('done');
  await mount.behave({ acceptsWrites: false });
  const makers = mount.sh(
    'mkdir a/p1 & sleep 0.1; mkdir b/p2 & sleep 0.1; mv c/p3 c/p4 & sleep 0.1; touch d/p5 & wait',
  );
  await pause(600);
  t.equal((await mount.sh('cat cold1; ls e')).out, 'cold\nx\n', 'reading goes on');
  t.equal((await mount.ask<State>('state')).waiting, 4);
  const killed = mount.sh('timeout -s KILL 0.3 mkdir e/never; true');
  t.equal((await killed).status, 0, 'a process that waits can be killed');
  t.equal((await mount.ask<State>('state')).waiting, 4, 'and its request is withdrawn');
  await mount.behave({ acceptsWrites: true });
  t.equal((await makers).status, 0);
  t.same(
    (await mount.ask<string[]>('done')).filter((what) => / p/.test(what)),
    ['make p1', 'make p2', 'rename p3 p4', 'make p5'],
    'they ran in the order in which they came',
  );

  await mount.ask('hold');
  const held = mount.sh('mkdir e/h1');
  await pause(200);
  t.equal((await mount.ask<State>('state')).waiting, 1, 'held back');
  await mount.ask('release');
  t.equal((await held).status, 0);

  await mount.ask('job');
  const during = await mount.sh('for i in $(seq 50); do mkdir j; rmdir j; done');
  t.equal(during.status, 0, 'requests are served while a job runs');

  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});

asRoot(t, 'quiesce waits for WRITEs that are held back', async (t) => {
  const mount = await mountMemory(t);
  const pages = 150;
  await mount.behave({ holdWritesMs: 2000 });
  // Closing the file would write it out: the process keeps it open.
  const holder = mount.sh(`exec python3 -c "
import os, time
f = os.open('q', os.O_CREAT|os.O_RDWR)
for i in range(${pages}): os.pwrite(f, b'x'*4096, i*8192)
os.mkdir('ready')
while os.path.exists('ready'): time.sleep(0.05)
"`);
  while (!(await mount.sh('ls')).out.includes('ready')) await pause(50);
  t.equal((await mount.ask<State>('state')).writesTaken, 0, 'nothing was written yet');
  const bare = await mount.ask<number>('syncfs');
  t.ok(bare < pages, `syncfs alone returned with ${bare} of ${pages} WRITEs answered`);
  const startMs = Date.now();
  const taken = await mount.ask<number>('quiesce');
  t.ok(Date.now() - startMs > 1000, 'quiesce waited');
  t.ok(taken >= pages, `quiesce returned with ${taken} of ${pages}`);
  t.equal((await mount.ask<State>('state')).unansweredWrites, 0);
  const emptyMs = Date.now();
  await mount.ask<number>('quiesce');
  t.ok(Date.now() - emptyMs < 500, 'nothing to wait for');
  await mount.behave({ holdWritesMs: 0 });
  const again = mount.ask<string>('quiesce');
  t.type(await again, 'number');
  await mount.sh('rmdir ready');
  t.equal((await holder).status, 0);
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});

asRoot(t, 'quiesce waits for WRITEs that the kernel keeps behind a truncation', async (t) => {
  const mount = await mountMemory(t);
  await mount.behave({ holdTruncatesMs: 1000 });
  const pages = 20;
  const holder = mount.sh(`exec python3 -c "
import os, threading, time
f = os.open('q', os.O_CREAT|os.O_RDWR)
for i in range(${pages}): os.pwrite(f, b'x'*4096, i*8192)
threading.Thread(target=lambda: os.ftruncate(f, 1000000)).start()
time.sleep(0.1)
os.mkdir('ready')
while os.path.exists('ready'): time.sleep(0.05)
"`);
  while (!(await mount.sh('ls')).out.includes('ready')) await pause(20);
  t.equal((await mount.ask<State>('state')).writesTaken, 0, 'nothing was written yet');
  t.equal(await mount.ask<number>('quiesce'), pages);
  await mount.sh('rmdir ready');
  t.equal((await holder).status, 0);
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});

asRoot(t, 'kernels that offer less', async (t) => {
  const mount = await mountMemory(t, {
    pretence: {
      minor: 31,
      writeback: false,
      noOpen: false,
      noOpendir: false,
      readdirplus: false,
      maxWriteBytes: 16384,
    },
  });
  const ran = await mount.sh(
    'head -c 300000 /dev/urandom > a; cp a b; cmp a b; mkdir d; mv b d; ls d; chmod 4755 a; cat d/b > a; stat -c %a a; rm -r d a; ls',
  );
  t.same(ran, { status: 0, out: 'b\n4755\n', err: '' });
  t.match((await mount.ask<State>('state')).negotiated, {
    minor: 31,
    writeback: false,
    noOpen: false,
    acls: false,
    setxattrExtended: false,
    maxWriteBytes: 16384,
  });
  mount.unmount();
  t.equal(await mount.ended, 0, mount.errors);
});
