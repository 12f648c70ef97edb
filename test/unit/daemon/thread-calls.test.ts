/** Questions between threads: a thread with an event loop, and one that only looks for messages. */
import { MessageChannel, receiveMessageOnPort, Worker } from 'node:worker_threads';
import t from 'tap';
import { Deferred } from '../../../src/lib/deferred.js';
import { CommandError, FsError } from '../../../src/lib/errors.js';
import { ThreadCalls } from '../../../src/daemon/calls/thread-calls.js';
import { Connections } from '../../../src/daemon/peers/connections.js';
import type { ToVolume } from '../../../src/daemon/peers/connections-calls.js';
import type { ToMainThread, ToServingThread } from '../../../src/daemon/serve/messages.js';

interface ToLoop {
  double: { args: { of: number }; answer: number };
  fail: { args: { how: string }; answer: undefined };
  fill: { args: { bytes: Uint8Array }; answer: Uint8Array };
  never: { args: undefined; answer: number };
}

interface ToServer {
  save: { args: { name: string }; answer: undefined };
  state: { args: string };
}

/** `server` handles messages only when `look` is called. */
class Pair {
  readonly told: string[] = [];
  readonly saved = new Map<string, Deferred<undefined>>();
  readonly server: ThreadCalls<ToLoop, ToServer>;
  readonly loop: ThreadCalls<ToServer, ToLoop>;
  readonly #ports = new MessageChannel();

  constructor() {
    const { port1, port2 } = this.#ports;
    this.server = new ThreadCalls<ToLoop, ToServer>({
      post: (message, transfer) => port1.postMessage(message, transfer),
      handlers: {
        save: ({ name }) => {
          const saved = new Deferred<undefined>();
          this.saved.set(name, saved);
          return saved;
        },
        state: (state) => this.told.push(state),
      },
      beforeAnswer: (method) => this.told.push(`before ${method}`),
    });
    this.loop = new ThreadCalls<ToServer, ToLoop>({
      post: (message, transfer) => port2.postMessage(message, transfer),
      handlers: {
        double: async ({ of }) => 2 * of,
        fail: ({ how }) => {
          if (how === 'now') throw new CommandError('no-such-peer', 'ENOENT', how, { near: ['a'] });
          if (how === 'errno') throw new FsError('ENOSPC', 'write');
          return Promise.reject(new Error(how));
        },
        fill: ({ bytes }) => bytes.fill(7),
        never: () => new Deferred<number>(),
      },
    });
    port2.on('message', (message) => this.loop.receive(message));
  }

  /** As the serving loop does it, when it is woken. */
  look(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#ports.port1);
      if (received === undefined) return;
      this.server.receive(received.message);
    }
  }

  async settled<T>(answer: Deferred<T>): Promise<{ value?: T; error?: unknown }> {
    const outcome: { value?: T; error?: unknown } = {};
    answer.settled(
      (value) => Object.assign(outcome, { value }),
      (error) => Object.assign(outcome, { error }),
    );
    for (let turn = 0; turn < 1000 && Object.keys(outcome).length === 0; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      this.look();
    }
    return outcome;
  }

  close(): void {
    this.#ports.port1.close();
  }
}

t.test('answers and errors', async (t) => {
  const pair = new Pair();
  const [six, eight] = [3, 4].map((of) => pair.server.call('double', { of }));
  t.same(await pair.settled(eight as Deferred<number>), { value: 8 });
  t.same(await pair.settled(six as Deferred<number>), { value: 6 });
  const fail = (how: string) => pair.settled(pair.server.call('fail', { how }));
  t.match((await fail('now')).error, {
    code: 'no-such-peer',
    errno: 'ENOENT',
    message: 'now',
    details: { near: ['a'] },
  });
  t.match((await fail('errno')).error, { code: 'file-system-error', errno: 'ENOSPC' });
  t.match((await fail('later')).error, { code: 'internal-error', errno: 'EIO', message: 'later' });
  pair.close();
});

t.test('what is told comes in its order, and the state before the answer', async (t) => {
  const pair = new Pair();
  pair.loop.tell('state', 'one');
  const saved = pair.loop.promise('save', { name: 's' });
  pair.loop.tell('state', 'two');
  while (!pair.told.includes('two')) {
    await new Promise((resolve) => setImmediate(resolve));
    pair.look();
  }
  t.same(pair.told, ['one', 'two'], 'a question that takes its time holds nothing up');
  pair.saved.get('s')?.resolve(undefined);
  t.same(pair.told, ['one', 'two', 'before save']);
  t.equal(await saved, undefined);
  const failed = pair.loop.promise('save', { name: 'x' });
  while (!pair.saved.has('x')) {
    await new Promise((resolve) => setImmediate(resolve));
    pair.look();
  }
  pair.saved.get('x')?.reject(new CommandError('snapshot-exists', 'EEXIST', 'x is there'));
  await t.rejects(failed, { code: 'snapshot-exists', errno: 'EEXIST' });
  t.equal(pair.told.at(-1), 'before save', 'a failure is an answer, too');
  pair.close();
});

t.test('memory moves along', async (t) => {
  const pair = new Pair();
  const bytes = new Uint8Array(3);
  const filled = pair.server.call('fill', { bytes }, [bytes.buffer]);
  t.equal(bytes.length, 0, 'it is not here any longer');
  t.same(await pair.settled(filled), { value: new Uint8Array([7, 7, 7]) });
  pair.close();
});

t.test('a thread that is lost', async (t) => {
  const pair = new Pair();
  const waiting = pair.server.call('never', undefined);
  const error = new CommandError('internal-error', 'EIO', 'gone');
  pair.server.lost(error);
  t.same(await pair.settled(waiting), { error });
  t.same(await pair.settled(pair.server.call('double', { of: 1 })), { error }, 'from now on');
  pair.server.lost(new Error('once more'));
  t.same(await pair.settled(pair.server.call('double', { of: 1 })), { error });
  pair.close();
});

/** The serving thread's end of the connections, with the main thread played. */
class Serving {
  readonly started: ToMainThread['startConnections']['args'][] = [];
  readonly said: string[] = [];
  readonly connections: Connections;
  #handled: (() => void)[] = [];

  constructor() {
    const main = new ThreadCalls<ToMainThread, ToServingThread>({
      post: (message) => {
        const { method, args } = message as { method: string; args: unknown };
        this.said.push(method);
        if (method === 'startConnections') this.started.push(args as never);
      },
      handlers: {
        open: () => ({ uuid: '', isNew: false, snapshots: 0, branch: 'main' }),
        drop: () => undefined,
        store: () => undefined,
        inspectProgress: () => undefined,
        connectionsLost: () => undefined,
      },
    });
    const handlers = new Proxy({} as never, {
      get: (_target, method: keyof ToVolume) => () => this.said.push(method),
    });
    this.connections = new Connections({
      main,
      handlers,
      onPort: (port, handle) => {
        const look = (): void => {
          const received = receiveMessageOnPort(port);
          if (received === undefined) return;
          handle(received.message);
          look();
        };
        this.#handled.push(look);
        return () => {
          this.#handled = this.#handled.filter((other) => other !== look);
        };
      },
      beforeAnswer: () => undefined,
      ended: (failure) => this.said.push(`ended: ${failure ?? 'meant to'}`),
    });
  }

  look(): void {
    for (const look of this.#handled) look();
  }
}

const CONFIG = {
  self: { volume: 'v', name: 'n', epoch: 0 },
  listen: null,
  peers: [],
  invitations: [],
};

t.test('the connections: each thread has a line of its own', async (t) => {
  const serving = new Serving();
  const { connections } = serving;
  const failure = (call = connections.call('listen', { address: null })): unknown => {
    let failed: unknown = 'none';
    call.settled(
      () => undefined,
      (error) => {
        failed = error;
      },
    );
    return failed;
  };
  t.match(failure(), { code: 'sync-starting', errno: 'EAGAIN' }, 'nobody answers: not for ever');
  connections.configure(CONFIG, false);
  t.same(serving.said, [], 'what does not run is not ended');
  connections.configure(CONFIG, true);
  connections.start(CONFIG);
  t.same(serving.said.splice(0), ['startConnections'], 'once');
  const [first] = serving.started;
  first?.port.postMessage({ kind: 'told', method: 'report', args: {} });
  serving.look();
  t.same(serving.said.splice(0), ['report']);
  t.match(receiveMessageOnPort(first?.port as never)?.message, { method: 'config' });

  const asked = connections.call('listen', { address: null });
  t.equal(failure(asked), 'none');
  connections.configure(CONFIG, false);
  t.same(serving.said.splice(0), ['endConnections', 'ended: meant to']);
  t.match(failure(asked), { code: 'internal-error' }, 'who waits hears of it');

  connections.start(CONFIG);
  connections.lost({ number: 1, message: 'an old one' });
  t.same(serving.said.splice(0), ['startConnections'], 'the loss of an old thread is no news');
  serving.started[1]?.port.postMessage({ kind: 'told', method: 'report', args: {} });
  connections.lost({ number: 2, message: 'out of memory' });
  serving.look();
  t.same(serving.said, ['ended: out of memory'], 'nothing is heard of a lost thread');
  t.match(failure(), { code: 'sync-starting' });
  for (const { port } of serving.started) port.close();
});

t.test('an inspection thread ends when it has answered', async (t) => {
  const url = new URL('../../../dist/daemon/commands/inspect-thread.js', import.meta.url);
  // As startThread does it, but without this process's loader.
  const workerData = { state: new Int32Array(new SharedArrayBuffer(4)), data: undefined };
  const worker = new Worker(url, { execArgv: [], workerData });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const answered = new Promise((resolve) => worker.once('message', resolve));
  const args = { target: { volume: '/nowhere' }, request: { command: 'check', args: {} } };
  worker.postMessage({ kind: 'asked', id: 1, method: 'inspect', args });
  t.match(await answered, { kind: 'failed', id: 1, error: { code: 'not-a-volume' } });
  t.equal(await ended, 0);
});
