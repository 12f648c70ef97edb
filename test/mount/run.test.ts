/** `shadowfs run`: a command in a branch of its own, at the same path. */
import fs from 'node:fs';
import t from 'tap';
import {
  type Answer,
  asUser,
  eachIdentity,
  isNative,
  pause,
  quoted,
  type Ran,
  type RunOptions,
  type World,
} from './harness.js';

// The fuse-native driver serves one mount in a process.
if (isNative) t.pass('not with fuse-native');

const MAIN = 'dist/cli/main.js';

async function run(world: World, words: string[], options: RunOptions = {}): Promise<Ran> {
  return await world.tryShadowfs(['run', ...words], { cwd: world.mnt, ...options });
}

/** `run --json`, whatever the command's exit code. */
async function runJson(world: World, words: string[], options: RunOptions = {}): Promise<Answer> {
  const { out, err } = await run(world, ['--json', ...words], options);
  if (out === '') throw new Error(`no JSON: ${err}`);
  return JSON.parse(out) as Answer;
}

async function branches(world: World): Promise<string> {
  return await world.sh(
    `node ${quoted(world.checkout)}/${MAIN} branches "$MNT" | awk '{print $1}'`,
  );
}

/** Files of runs that are not over, and mountpoints out of sight. */
function traces(world: World): string[] {
  const list = (...names: string[]): string[] => {
    const at = world.path(...names);
    return fs.existsSync(at) ? fs.readdirSync(at).filter((name) => !name.startsWith('.')) : [];
  };
  const runtime = ['run', 'shadowfs'];
  return [
    ...list('home', 'state', 'runs'),
    ...list(...runtime, 'worlds'),
    ...list(...runtime, 'trees'),
  ];
}

if (!isNative) {
  eachIdentity(t, 'a command has a world of its own at the same path', async (t, world) => {
    await world.sh('mkdir -p base/sub base/old; echo one > base/f; seq 1000 > base/old/gone');
    await world.mount(['base', 'mnt']);
    await world.sh('echo written > "$MNT/recent"; manifest "$MNT" > before');
    const script =
      'pwd; id -u; cat; cat ../f ../recent; echo two >> ../f; rm -r ../old; mkdir ../d; echo new > ../d/x; exit 3';
    const { status, out, err } = await run(world, ['--branch', 'try', '--', 'sh', '-c', script], {
      cwd: `${world.mnt}/sub`,
      input: 'typed\n',
    });
    t.equal(status, 3, 'the exit code is the own one of the command');
    t.equal(out, `${world.mnt}/sub\n${world.identity.uid}\ntyped\none\nwritten\n`);
    t.match(err, /^branch try of .*mnt: 2 added \(4\), 1 changed, 2 removed \(3.8K\)\n/);
    t.match(
      err,
      / {2}- old\/ \(and 1 name below\), 3.8K\n {2}\+ d\/ .*\n {2}M f .*4 bytes -> 8 bytes\n/,
    );
    t.match(err, /\nkept as branch try:\n/);
    await world.sh('same_manifest before "$MNT"');
    t.equal(await branches(world), 'NAME\nmain\ntry\n');
    t.match(
      await runJson(world, ['--discard', '.', '--', 'sh', '-c', 'echo out; touch x; kill -9 $$']),
      {
        ok: true,
        exitCode: 137,
        signal: 'SIGKILL',
        outcome: 'dropped',
        isSamePath: true,
        changes: [{ kind: 'added', path: 'x', sizeBytes: 0 }],
        leftProcesses: [],
      },
    );
    t.equal(await branches(world), 'NAME\nmain\ntry\n');
    t.same(traces(world), [], 'nothing is left out of sight');
  });

  asUser(
    t,
    'words, streams and refusals are those of a program that runs programs',
    async (t, world) => {
      await world.sh(`mkdir base; echo 'echo "$0" "$@"' > base/script; chmod +x base/script`);
      await world.mount(['base', 'mnt']);
      t.equal((await run(world, ['--', 'no-such-program'])).status, 127);
      t.equal((await run(world, ['--branch', 'a/b', '--', 'true'])).status, 125);
      t.equal(await branches(world), 'NAME\nmain\n', 'and nothing is made for it');
      // A program without a first line for the kernel; words and variables of any bytes.
      const words = await world.sh(
        `cd "$MNT"; export ODD=$'\\xff\\n'; node ${quoted(world.checkout)}/${MAIN} run --json-file ../result -- \\
        sh -c 'printf %s "$ODD" | od -An -tx1; ./script "$@"' sh $'a\\xff\\n' "it's" ''`,
      );
      t.match(words, /^ ff 0a\n\.\/script a.\n it's \n$/);
      t.match(JSON.parse(await world.sh('cat result')), { ok: true, outcome: 'unchanged' });
      t.equal(await branches(world), 'NAME\nmain\n', 'what changed nothing leaves no branch');
    },
  );

  asUser(t, 'ten at once', async (t, world) => {
    await world.sh('mkdir base; echo one > base/f');
    await world.mount(['base', 'mnt']);
    const numbers = Array.from({ length: 10 }, (_, i) => i);
    const answers = await Promise.all(
      numbers.map((i) => {
        const script = `for n in $(seq 50); do echo ${i} >> f; done; echo ${i} > new; echo $(sort -u f) >> ../seen`;
        return runJson(world, ['--', 'sh', '-c', script]);
      }),
    );
    t.equal(new Set(answers.map(({ branch }) => branch)).size, 10);
    for (const { changes } of answers) {
      t.match(changes, [
        { kind: 'changed', path: 'f', sizeBytes: 104, oldSizeBytes: 4 },
        { kind: 'added', path: 'new', sizeBytes: 2 },
      ]);
    }
    t.same(
      (await world.sh('sort seen')).split('\n'),
      [...numbers.map((i) => `${i} one`), ''],
      'each saw what it wrote alone',
    );
    t.equal(await world.sh('cat "$MNT/f"; ls "$MNT"'), 'one\nf\n');
    t.same(traces(world), []);
  });

  asUser(t, 'what a command did is brought home', async (t, world) => {
    await world.sh('mkdir base; echo one > base/f; echo old > base/gone');
    await world.mount(['base', 'mnt']);
    const failed = await runJson(world, ['--merge', '--', 'sh', '-c', 'rm f; exit 1']);
    t.match(failed, { ok: true, exitCode: 1, outcome: 'kept' }, 'nothing of a failure');
    const merged = await run(world, ['--merge', '--', 'sh', '-c', 'rm gone; echo two > g']);
    t.match(merged, {
      status: 0,
      err: /\nbrought into the tree; to take it back: shadowfs undo\n/,
    });
    t.equal(await world.sh('ls base; echo; ls "$MNT"'), 'f\ngone\n\nf\ng\n');
    const script = 'echo branch > f; touch ../ready; while [ ! -e ../go ]; do sleep 0.05; done';
    const [both] = await Promise.all([
      run(world, ['--apply', '--branch', 'both', '--json', '--', 'sh', '-c', script]),
      world.sh('wait_for test -e ready; echo main > "$MNT/f"; touch go'),
    ]);
    t.equal(both.status, 125, 'a conflict is not the success that the command was');
    t.match(JSON.parse(both.out), {
      ...{ ok: false, code: 'merge-conflicts', exitCode: 0, outcome: 'kept' },
      conflicts: [{ oursPath: 'f', branchPath: 'f' }],
    });
    t.equal(await world.sh('cat "$MNT/f" base/f'), 'main\none\n', 'and nothing is changed');
    t.match(await runJson(world, ['--apply', '--', 'sh', '-c', 'echo three > h']), {
      ...{ ok: true, outcome: 'applied', exitCode: 0 },
    });
    t.equal(await world.sh('cat base/f base/h; ls base'), 'one\nthree\nf\ngone\nh\n', 'only that');
    t.match(
      await branches(world),
      /^NAME\nmain\nboth\nrun-.*\n$/,
      'what was brought home is no branch',
    );
  });

  asUser(t, 'a directory under no history', async (t, world) => {
    await world.sh('mkdir dir nouns; echo one > dir/f; manifest dir > before');
    await world.sh(
      'printf "#!/bin/sh\\necho not permitted >&2; exit 1\\n" > nouns/unshare; chmod +x nouns/unshare',
    );
    const cwd = world.path('dir');
    const volumes = async (): Promise<string> =>
      (await world.tryShadowfs(['volumes', '--json'])).out;
    const first = await run(world, ['--discard', '--', 'sh', '-c', 'echo two > f; rm f; pwd'], {
      cwd,
    });
    t.match(first, { status: 0, out: `${cwd}\n`, err: /under no history: it gets a volume/ });
    t.equal(await volumes(), '', 'what nothing was kept in is gone');
    const PATH = `${world.path('nouns')}:${process.env['PATH']}`;
    const forbidden = await run(world, ['--branch', 'x', '--', 'sh', '-c', 'pwd; echo two > f'], {
      cwd,
      env: { PATH },
    });
    t.match(forbidden.err, /no namespace can be made here \(not permitted\): the command runs in/);
    t.match(forbidden.out, /\/worlds\/[^/]+\n$/);
    await world.sh('same_manifest before dir');
    t.same(traces(world), []);
    const diff = await world.tryShadowfs(['diff', '--branch', 'x', '-C', cwd]);
    t.equal(diff.out, 'M f (content, times)\n', 'what was kept is there without a mount');
    await world.mount(['dir', 'mnt']);
    await world.sh('echo main > "$MNT/f"');
    await world.umount();
    const hidden = await run(world, ['--', 'true'], { cwd });
    t.match(hidden, { status: 125, err: /holds work that the directory does not show/ });
    t.match(await run(world, ['/', '--', 'true']), { status: 125, err: /a directory below it/ });
    const state = await run(world, [world.path('home'), '--', 'true']);
    t.match(state, { status: 125, err: /keeps volumes and mounts, lies in/ });
    t.same(traces(world), []);
  });

  asUser(t, 'processes that stay, and a run that is killed', async (t, world) => {
    await world.sh('mkdir base');
    await world.mount(['base', 'mnt']);
    const waiting = 'while [ ! -e ../go ]; do sleep 0.1; done';
    const script = `echo made > f; (${waiting}; echo late > g) > /dev/null 2>&1 &`;
    const left = await runJson(world, ['--discard', '--branch', 'left', '--', 'sh', '-c', script]);
    t.match(left, { outcome: 'kept', leftProcesses: [{ pid: Number, command: /sleep|sh/ }] });
    const killed = world.start(
      [
        'node',
        `${world.checkout}/${MAIN}`,
        'run',
        '--branch',
        'killed',
        '--',
        'sh',
        '-c',
        `echo made > f; echo ready; ${waiting}`,
      ],
      { cwd: world.mnt },
    );
    await new Promise((resolve) => killed.stdout?.once('data', resolve));
    killed.kill('SIGKILL');
    await world.sh('touch go');
    await pause(1000);
    const { err } = await world.tryShadowfs(['status', '-C', world.mnt]);
    t.match(err, /the run of sh -c .* did not come to its end; what it did is in branch killed of/);
    t.match(err, /the processes that sh -c .* had left in branch left of .* have ended/);
    const diff = async (branch: string): Promise<string> =>
      (await world.tryShadowfs(['diff', '--branch', branch, '-C', world.mnt])).out;
    t.equal(await diff('killed'), '+ f\n');
    t.equal(await diff('left'), '+ f\n+ g\n');
    t.same(traces(world), []);
    const asked = world.start(
      [
        'node',
        `${world.checkout}/${MAIN}`,
        'run',
        '--branch',
        'asked',
        '--',
        'sh',
        '-c',
        'echo made > f; echo ready; exec sleep 60',
      ],
      { cwd: world.mnt },
    );
    await new Promise((resolve) => asked.stdout?.once('data', resolve));
    asked.kill('SIGTERM');
    t.equal(await new Promise((resolve) => asked.once('exit', resolve)), 143);
    t.equal(await diff('asked'), '+ f\n', 'what a command did that was ended is kept');
  });

  eachIdentity(t, 'a run within a run, and mounts of others', async (t, world) => {
    await world.sh('mkdir -p base/in other; echo one > base/f; echo other > other/g; mkdir mnt2');
    await world.mount(['base', 'mnt']);
    await world.mount(['other', 'mnt2']);
    const isRoot = world.identity.uid === 0;
    const shadowfs = `node ${quoted(world.checkout)}/${MAIN}`;
    // The third one has two around it; each sees what those around it have written, and no more.
    const inmost = 'echo 3 >> f; echo "third $(id -u) $PWD"; cat f; cat "$WORLD/mnt2/g"';
    const middle = `echo 2 >> f; ${shadowfs} run --json-file "$WORLD/third" --discard -- sh -c '${inmost}'; echo $?; cat f
      echo saved > g; ${shadowfs} save of-middle`;
    await world.sh(`cat > middle <<'END'\n${middle}\nEND`);
    const outer = `echo 1 >> f; ${shadowfs} run --merge --branch inner -- sh "$WORLD/middle"; echo $?; cat f; ls`;
    const ran = await run(world, ['--branch', 'outer', '--', 'sh', '-c', outer], {});
    const { uid } = world.identity;
    t.match(
      ran.out,
      new RegExp(
        `^third ${uid} .*mnt\none\n1\n2\n3\nother\n0\none\n1\n2\n.*of-middle.*\n0\none\n1\n2\nf\ng\nin\n$`,
        's',
      ),
      ran.err,
    );
    t.match(JSON.parse(await world.sh('cat third')), { ok: true, isSamePath: true });
    t.equal(await world.sh('cat "$MNT/f"; ls "$MNT"'), 'one\nf\nin\n');
    t.equal(await branches(world), 'NAME\nmain\nouter\n');
    t.same(traces(world), []);
    if (isRoot) {
      await world.sh('mount -t tmpfs none "$MNT/in"');
      const inside = await run(world, ['--keep', '--', 'sh', '-c', 'echo x > in/x; echo x > y']);
      t.match(inside, { status: 0, err: /mounts inside .* for everybody: in\n.*1 added/s });
      t.equal(await world.sh('cat "$MNT/in/x"; ls "$MNT"'), 'x\nf\nin\n');
      const there = await run(world, ['--', 'true'], { cwd: `${world.mnt}/in` });
      t.match(there, { status: 125, err: /tmpfs\) is mounted inside .*no part of its tree/ });
      await world.sh('umount "$MNT/in"');
    }
    // The run's namespace has a copy of the other mount, which must not outlive it there.
    const waits = 'touch "$WORLD/began"; while [ ! -e "$WORLD/go" ]; do sleep 0.05; done';
    const during = async (script: string, work: () => Promise<void>): Promise<Ran> => {
      await world.sh('rm -f began go');
      const words = [world.mnt, '--keep', '--', 'sh', '-c', script];
      const done = run(world, words, { cwd: '/' });
      await world.sh('wait_for test -e began');
      await work();
      await world.sh('touch go');
      return await done;
    };
    await during(`exec 3< "$WORLD/mnt2/g"; ${waits}`, async () => {
      const busy = await world.refused(['umount', world.path('mnt2')]);
      t.match(busy, { code: 'mount-busy', message: /open file .*mnt2\/g/ });
      t.match(await world.refused(['umount', world.mnt]), {
        ...{ code: 'mount-busy', message: /run of .*in branch run-/s, runs: [{ pid: Number }] },
      });
    });
    const cut = await during(`${waits}; touch made`, async () => {
      await world.umount(world.path('mnt2'));
      t.match(await world.shadowfs(['umount', '-l', world.mnt]), { ended: true });
    });
    t.match(cut, {
      status: 125,
      err: /was unmounted while the command ran.* exit code 0.* branch run-/,
    });
    await world.mount(['base', 'mnt']);
    const name = /branch (run-\S+)/.exec(cut.err)?.[1] ?? '';
    const diff = await world.tryShadowfs(['diff', '--branch', name, '-C', world.mnt]);
    t.match(diff, { out: '+ made\n', err: '' });
  });

  asUser(t, 'on a terminal it asks', async (t, world) => {
    await world.sh('mkdir base; echo one > base/f');
    await world.mount(['base', 'mnt']);
    const onTerminal = async (
      branch: string,
      answers: string[],
      script: string,
    ): Promise<string> => {
      const words = [
        'node',
        `${world.checkout}/${MAIN}`,
        'run',
        '--branch',
        branch,
        '--',
        'sh',
        '-c',
        script,
      ];
      const { out, err } = await world.run(['python3', world.fixture('on-terminal.py'), ...words], {
        cwd: world.mnt,
        env: { PAGER: 'cat', TERM: 'dumb' },
        input: `${answers.join('\n')}\n`,
      });
      return (out + err).replaceAll('\r', '');
    };
    const question = 'what becomes of';
    const shown = await onTerminal(
      'a',
      [`${question}\td\\n`, `${question}\tx\\n`],
      'tty; echo two > f',
    );
    t.match(
      shown,
      /^\/dev\/pts\/.*\nbranch a .*1 changed\n.*\n-one\n\+two\n.*dropped branch a.*\nexit 0; steps left: 0\n$/s,
    );
    t.match(
      await onTerminal('b', [`${question}\t\\x04`], 'touch g; exit 4'),
      /kept as branch b.*\nexit 4; steps left: 0\n$/s,
    );
    const typed = ['name?\tme\\n', 'go\t\\x03', `${question}\tk\\n`];
    const stopped = await onTerminal(
      'c',
      typed,
      'touch g; echo "name?"; read n; echo "hi $n"; echo go; sleep 20',
    );
    t.match(stopped, /hi me\n.*kept as branch c.*\nexit 130; steps left: 0\n$/s);
    t.equal(await branches(world), 'NAME\nmain\nb\nc\n');
    // Job control: of the shell outside, and of one inside that suspends itself and is killed.
    const steps = [
      `shell> \tnode ${world.checkout}/${MAIN} run --branch d -- bash --norc --noprofile -i\\n`,
      'shell> \techo inside; suspend\\n',
      'Stopped\tjobs; fg\\n',
      ' -i\t\\n',
      'shell> \ttouch made; kill -9 $$\\n',
      `${question}\tk\\n`,
      'kept as\ttty; exit 7\\n',
    ];
    const shell = ['bash', '--norc', '--noprofile', '-i'];
    const controlled = await world.run(['python3', world.fixture('on-terminal.py'), ...shell], {
      cwd: world.mnt,
      env: { TERM: 'dumb', PS1: 'shell> ' },
      input: `${steps.join('\n')}\n`,
    });
    t.match(
      controlled.out.replaceAll('\r', ''),
      /inside\n.*Stopped .*run --branch d.*branch d of .*: 1 added\n.*\/dev\/pts\/.*\nexit 7; steps left: 0\n$/s,
      controlled.err,
    );
  });
}
