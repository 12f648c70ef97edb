/**
 * What was not understood, or was no stream, says so: on the descriptor, in
 * `result` and by the exit code, and never looks like the success before it.
 */
import t from 'tap';
import { type Answer, identities, inWorld, isNative, NOBODY, pause, quoted } from './harness.js';

const identity = identities().at(-1) ?? NOBODY;

const LINES: readonly (readonly [string, string])[] = [
  ['save', 'a b c'],
  ['save', 'what=x'],
  ['restore', '""'],
  ['delete', 'a/b'],
  ['rename', 'only-one'],
  ['lock', '"open'],
  ['unlock', ''],
  ['schedule', 'sometimes'],
  ['check', 'x y'],
  ['diff', 'a b limit=x'],
  ['versions', ''],
  ['space', 'files=3'],
  ['promote', 'epoch=x'],
  ['demote', 'a b'],
  ['revert', 'x'],
  ['sync', 'dance'],
  ['group-save', 'a b'],
  ['peer-invite', 'valid=long'],
  ['peer-join', 'no-token'],
  ['peer-remove', ''],
  ['stats', 'what'],
  ['trace', 'op=BOGUS'],
  ['receive', 'force=yes what=x'],
  ['receive', 'no stream at all'],
];

t.test('a line that is not understood is the last result', (t) =>
  inWorld(t, identity, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    const tried = LINES.map(
      ([file, line], at) => `echo s${at} > save; grep -q '"ok":true' result
        if echo '${line}' > ${file}; then echo accepted; else cat result; fi`,
    );
    const out = await world.sh(`cd "$MNT/.control"; ${tried.join('\n')}
      echo last > save
      if python3 -c "print('a' * 70000)" | dd bs=80000 iflag=fullblock of=save; then echo accepted; fi
      cat receive save status > /dev/null; cat result`);
    const results = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Answer);
    for (const [at, [file, line]] of LINES.entries()) {
      t.match(results[at], { ok: false, command: file, code: String }, `${file}: ${line}`);
    }
    t.match(results.at(-1), { ok: false, command: 'save', code: 'line-too-long' });
    t.equal(results.length, LINES.length + 1);
  }),
);

t.test('a trace of requests that do not exist is wrong usage', (t) =>
  inWorld(t, identity, async (world) => {
    await world.mount(['--no-base', 'mnt']);
    const ran = await world.tryShadowfs(['trace', world.mnt, '--op', 'LOOKUP,BOGUS'], {
      timeoutMs: 10_000,
    });
    t.equal(ran.status, 2, ran.err);
    t.match(ran.err, /BOGUS; known: .*GETATTR.*LOOKUP/);
  }),
);

t.test('no stream, or part of one, is an error', (t) =>
  inWorld(t, identity, async (world) => {
    const cli = `node ${world.checkout}/dist/cli/main.js`;
    await world.mount(['--no-base', 'mnt']);
    await world.sh('head -c 3000000 /dev/urandom > "$MNT/f"');
    await world.on(['save', 'one']);
    await world.sh(
      `${cli} send one -C "$MNT" > stream; head -c 20 stream > short; head -c 2000000 stream > part`,
    );
    await world.sh('mkdir copy');
    await world.mount(['--no-base', 'copy']);
    const incomplete = { ok: false, code: 'stream-incomplete', errno: 'EIO' };
    for (const [target, input] of [
      ['new.volume', '/dev/null'],
      ['new.volume', 'short'],
      ['new.volume', 'part'],
      ['copy', '/dev/null'],
      ['copy', 'part'],
    ]) {
      const ran = await world.trySh(`${cli} receive ${target} --json < ${input}`);
      t.equal(ran.status, 1, `${target} < ${input}`);
      t.match(JSON.parse(ran.out), incomplete, `${target} < ${input}`);
      if (input === 'part') t.match(ran.err, /send --resume \S+ \| shadowfs receive \//);
    }
    for (const input of ['/dev/null', 'short', 'part']) {
      const ran = await world.trySh(`cat ${input} > copy/.control/receive`);
      t.not(ran.status, 0, `who writes ${input} learns of it`);
      const result = JSON.parse(await world.sh('cat copy/.control/result')) as Answer;
      t.match(result, { ...incomplete, command: 'receive' }, `${input}: result`);
    }
    t.equal((await world.shadowfs(['status', '-C', world.path('copy')]))['snapshotCount'], 0);
    const token = await world.shadowfs(['receive', '--token', 'copy']);
    await world.sh(
      `${cli} send --resume ${String(token['resumeToken'])} -C "$MNT" > copy/.control/receive`,
    );
    t.match(JSON.parse(await world.sh('cat copy/.control/result')), {
      ok: true,
      command: 'receive',
    });
    await world.sh('cmp "$MNT/f" copy/f');
  }),
);

if (!isNative) {
  for (const mounted of [false, true]) {
    t.test(`Ctrl-C in send | receive, ${mounted ? 'mounted' : 'not mounted'}`, (t) =>
      inWorld(t, identity, async (world) => {
        await world.mount(['--no-base', 'mnt']);
        await world.sh('head -c 20000000 /dev/urandom > "$MNT/f"; mkdir copy');
        await world.on(['save', 'one']);
        if (mounted) await world.mount(['--no-base', 'copy']);
        const target = mounted ? world.path('copy') : world.path("it's new");
        const cli = `node ${world.checkout}/dist/cli/main.js`;
        // A slow way between them, so that the signal comes in the middle, to all of the group.
        const pipeline = world.start(
          [
            'bash',
            '-c',
            `${cli} send one -C "$MNT" | (head -c 12000000; sleep 60; cat) | ${cli} receive "$TARGET"; echo "status \${PIPESTATUS[2]}"`,
          ],
          { env: { TARGET: target } },
        );
        let [err, out] = ['', ''];
        pipeline.stderr?.on('data', (data: Buffer) => (err += data.toString()));
        pipeline.stdout?.on('data', (data: Buffer) => (out += data.toString()));
        const receiver = async (): Promise<string> =>
          (await world.trySh(`pgrep -g ${pipeline.pid} -f 'cli/main.js receive'`)).out.trim();
        const came = mounted
          ? `grep -qE '"receivedBytes": [0-9]{7}' copy/.control/status`
          : `[ "$(stat -c %b "it's new/data.mdb")" -gt 12000 ]`;
        await world.sh(`wait_for bash -c ${quoted(came)}`);
        // Blocks that are allocated ahead hold nothing yet.
        if (!mounted) await pause(2000);
        process.kill(-(pipeline.pid ?? 0), 'SIGINT');
        for (let i = 0; i < 100 && (await receiver()) !== ''; i++) await pause(50);
        t.equal(await receiver(), '', 'it ends');
        t.match(err, /what came is kept/, err);
        const command = /shadowfs (send --resume \S+) \| shadowfs (receive .*)/.exec(err);
        t.ok(command !== null, `the command that goes on is told: ${err}${out}`);
        await world.sh(`${cli} ${command?.[1]} -C "$MNT" | ${cli} ${command?.[2]}`);
        if (!mounted) {
          await world.mount(['--no-base', '--volume', target, 'copy']);
        }
        await world.sh('cmp "$MNT/f" copy/f');
      }),
    );
  }
}
