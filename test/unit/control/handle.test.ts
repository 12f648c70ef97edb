/** One open command file: lines in pieces, offsets, answers, bounds. */
import t from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { CommandError, FsError } from '../../../src/lib/errors.js';
import { CommandHandle } from '../../../src/control/command-handle.js';
import { CommandQueue } from '../../../src/control/command-queue.js';
import type { Answer, Commands } from '../../../src/control/command.js';
import { CONTROL_FILES } from '../../../src/control/commands/files.js';
import { saveFile } from '../../../src/control/commands/save.js';

interface Call {
  command: string;
  args: object;
  source: string;
  answer: Deferred<Answer>;
}

class FakeCommands implements Commands {
  calls: Call[] = [];
  refusals: Answer[] = [];

  run(command: string, args: object, source: string): Deferred<Answer> {
    const answer = new Deferred<Answer>();
    this.calls.push({ command, args, source, answer });
    return answer;
  }

  refused(answer: Answer): void {
    this.refusals.push(answer);
  }
}

function settled<T>(deferred: Deferred<T>): { value?: T; error?: unknown } {
  const outcome: { value?: T; error?: unknown } = {};
  deferred.settled(
    (value) => {
      outcome.value = value;
    },
    (error) => {
      outcome.error = error;
    },
  );
  return outcome;
}

const bytes = (text: string): Buffer => Buffer.from(text);

function read(handle: CommandHandle, offset: number, length = 100_000): string {
  const answer = handle.read(offset, length);
  if (!Buffer.isBuffer(answer)) throw new Error('still running');
  return answer.toString();
}

t.test('a line in two pieces runs once, and the answer is read from either offset', async (t) => {
  const commands = new FakeCommands();
  const handle = new CommandHandle(saveFile, commands);
  t.match(read(handle, 0), 'expected', 'before a command: what may be written');
  t.equal(handle.write(0, bytes('be')), 2);
  const written = handle.write(2, bytes('fore\n'));
  t.ok(written instanceof Deferred);
  t.same(commands.calls[0]?.args, { name: 'before' });
  t.equal(commands.calls[0]?.source, 'control');
  t.throws(() => handle.write(7, bytes('x\n')), { code: 'EBUSY' }, 'one at a time');
  const waiting = handle.read(7, 4);
  t.ok(waiting instanceof Deferred, 'reading waits for the answer');
  commands.calls[0]?.answer.resolve({ name: 'before' });
  t.same(settled(written as Deferred<number>), { value: 5 });
  t.equal(settled(waiting as Deferred<Buffer>).value?.toString(), '{"ok');
  const whole = read(handle, 0);
  t.same(JSON.parse(whole), { ok: true, command: 'save', name: 'before' });
  t.equal(read(handle, 7, 10), whole.slice(0, 10), 'from where the write left off');
  t.equal(read(handle, 17), whole.slice(10), 'and on');
  t.equal(read(handle, 7 + whole.length), '', 'to its end');
  t.equal(read(handle, 0, 7), whole.slice(0, 7), 'from the beginning');
  t.equal(read(handle, 7, 7), whole.slice(7, 14), 'going on there, not starting anew');
  t.equal(handle.flush(), undefined, 'nothing is left for close');
  t.equal(commands.calls.length, 1);
});

t.test('a line without a newline runs at close', async (t) => {
  const commands = new FakeCommands();
  const handle = new CommandHandle(saveFile, commands);
  handle.write(0, bytes('x by=cli'));
  const closing = handle.flush();
  t.ok(closing !== undefined);
  t.equal(commands.calls[0]?.source, 'cli');
  commands.calls[0]?.answer.reject(new CommandError('snapshot-exists', 'EEXIST', 'x exists'));
  t.match(settled(closing as Deferred<void>).error, { code: 'EEXIST' });
  t.match(JSON.parse(read(handle, 0)), { ok: false, code: 'snapshot-exists', errno: 'EEXIST' });
});

t.test('an invalid line is refused, with an answer that shows a valid one', async (t) => {
  const commands = new FakeCommands();
  for (const line of [
    '\n',
    '""\n',
    'a b\n',
    'a x=1\n',
    'a/b\n',
    'auto=no\n',
    '\xff\xfe\n',
    'a\0\n',
  ]) {
    const handle = new CommandHandle(saveFile, commands);
    const written = handle.write(0, Buffer.from(line, 'latin1'));
    t.match(settled(written as Deferred<number>).error, { code: 'EINVAL' }, JSON.stringify(line));
    const answer = JSON.parse(read(handle, 0)) as Answer;
    t.match(answer, { ok: false, errno: 'EINVAL', expected: saveFile.expected }, 'the answer');
    t.same(commands.refusals.pop(), answer, 'told as the last answer');
  }
  const handle = new CommandHandle(saveFile, commands);
  t.throws(() => handle.write(0, bytes('a\nb\n')), { code: 'EINVAL' }, 'two lines');
  t.equal(handle.flush(), undefined, 'nothing of them was kept');
  handle.write(0, bytes('half'));
  handle.truncate();
  t.equal(handle.flush(), undefined, 'truncation takes back');
  t.equal(commands.calls.length, 0);
});

t.test('a line that is too long is dropped, with its rest', async (t) => {
  const commands = new FakeCommands();
  const handle = new CommandHandle(saveFile, commands);
  const piece = Buffer.alloc(60_000, 'a');
  t.equal(handle.write(0, piece), 60_000);
  t.throws(() => handle.write(60_000, piece), { code: 'E2BIG' });
  t.match(commands.refusals, [{ ok: false, command: 'save', code: 'line-too-long' }]);
  t.throws(() => handle.write(120_000, bytes('tail')), { code: 'E2BIG' });
  t.throws(() => handle.write(120_004, bytes('end\n')), { code: 'E2BIG' });
  t.match(JSON.parse(read(handle, 0)), { ok: false, code: 'line-too-long' });
  t.equal(handle.flush(), undefined);
  t.throws(() => handle.write(0, Buffer.alloc(1 << 20, 'b')), { code: 'E2BIG' }, '1 MiB at once');
  handle.flush();
  handle.write(0, bytes('fine\n'));
  t.equal(commands.calls.length, 1, 'the next line runs');
});

t.test('commands wait for each other, and a failure does not stop the next', async (t) => {
  const queue = new CommandQueue<number>();
  const jobs: Deferred<number>[] = [];
  const start = (): Deferred<number> => {
    const job = new Deferred<number>();
    jobs.push(job);
    return job;
  };
  const first = settled(queue.run('one', start));
  const thrown = settled(
    queue.run('two', () => {
      throw new FsError('EIO');
    }),
  );
  const third = settled(queue.run('three', start));
  t.equal(jobs.length, 1, 'the second waits');
  t.equal(queue.current, 'one');
  jobs[0]?.reject(new FsError('ENOSPC'));
  t.match(first.error, { code: 'ENOSPC' });
  t.match(thrown.error, { code: 'EIO' });
  t.equal(jobs.length, 2);
  jobs[1]?.resolve(3);
  t.equal(third.value, 3);
  t.ok(queue.isIdle);
  const now = (): Deferred<number> => {
    const done = new Deferred<number>();
    done.resolve(1);
    return done;
  };
  queue.run('held', start);
  let many = 0;
  for (let i = 0; i < 300; i++) {
    queue.run('many', now).settled(
      () => many++,
      () => undefined,
    );
  }
  jobs[2]?.resolve(0);
  t.equal(many, 256, 'their number is bounded');
});

t.test('each example is a valid line for its file', async (t) => {
  for (const file of CONTROL_FILES) {
    if (file.kind !== 'command') continue;
    // As a shell takes it.
    const line = /^echo ?'?(.*?)'? > ([\w-]+)$/.exec(file.example);
    t.equal(line?.[2], file.name);
    const commands = new FakeCommands();
    new CommandHandle(file, commands).write(0, bytes(`${line?.[1]}\n`));
    t.equal(commands.calls.length, 1, file.example);
  }
});
