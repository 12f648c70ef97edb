/** The serving thread of `memory-server.ts`. */
import fs from 'node:fs';
import { type MessagePort, workerData } from 'node:worker_threads';
import {
  HelperClient,
  type HelperPorts,
  SessionNotifier,
} from '../../src/fuse/helpers/helper-client.js';
import { type MountedAt, quiesce } from '../../src/fuse/loop/quiesce.js';
import { ServeLoop } from '../../src/fuse/loop/serve-loop.js';
import { mountAt, readMountTable } from '../../src/fuse/mount/mount-info.js';
import { FuseSession } from '../../src/fuse/session/session.js';
import type { Notification } from '../../src/tree/coherence/notification.js';
import { type Behaviour, MemoryOps } from './memory-ops.js';
import type { ServerOptions } from './memory-server.js';

interface Data {
  fd: number;
  wakeFd: number;
  mountpoint: string;
  options: ServerOptions;
  port: MessagePort;
  ports: HelperPorts;
}

export interface ServerCommand {
  id: number;
  command:
    | 'behave'
    | 'state'
    | 'quiesce'
    | 'hold'
    | 'release'
    | 'syncfs'
    | 'notify'
    | 'job'
    | 'done';
  behaviour?: Partial<Behaviour>;
  batch?: Notification[];
}

const { fd, wakeFd, mountpoint, options, port, ports } = workerData as Data;
const { busyPollUs, pretence } = options;
const log = (message: string): void => {
  fs.writeSync(2, `${message}\n`);
};
const loop = new ServeLoop({ wakeFd, ...(busyPollUs === undefined ? {} : { busyPollUs }) });
const helpers = new HelperClient(loop, ports);
const coldFd = fs.openSync('/proc/self/exe', 'r');
const ops = new MemoryOps(
  (delayMs, run) => loop.addTimer(delayMs, run),
  coldFd,
  process.getuid?.() ?? 0,
);
const session = new FuseSession(fd, ops, {
  name: 'memory',
  warmer: helpers,
  waits: ops.waits,
  ...(pretence === undefined ? {} : { kernelOverride: pretence }),
  log,
});
const notifier = new SessionNotifier(helpers, session, log);

function* steps() {
  const endMs = performance.now() + 300;
  while (performance.now() < endMs) {
    const stepEndMs = performance.now() + 0.2;
    while (performance.now() < stepEndMs);
    yield;
  }
}

function mountedAt(): MountedAt {
  return { path: mountpoint, device: mountAt(readMountTable(), mountpoint)?.device ?? '' };
}

loop.onPort(port, (message) => {
  const { id, command, behaviour, batch } = message as ServerCommand;
  const answer = (result: unknown): void => port.postMessage({ id, result });
  const failed = (error: unknown): void => answer(`failed: ${String(error)}`);
  switch (command) {
    case 'behave':
      Object.assign(ops.behaviour, behaviour);
      answer('ok');
      break;
    case 'state':
      answer({
        negotiated: session.negotiated,
        writesTaken: ops.writesTaken,
        unansweredWrites: session.book.unansweredWrites,
        waiting: session.waitingMutations,
        served: session.book.served,
        nodes: ops.nodeCount,
        cpuUs: process.cpuUsage(),
        canIncEpoch: notifier.canIncEpoch,
      });
      break;
    case 'done':
      answer(ops.done.splice(0));
      break;
    case 'quiesce':
      quiesce(loop, session, helpers, mountedAt()).settled(() => answer(ops.writesTaken), failed);
      break;
    case 'syncfs':
      helpers.syncfs(mountedAt()).settled(() => answer(ops.writesTaken), failed);
      break;
    case 'hold':
      session.holdMutations();
      answer('ok');
      break;
    case 'release':
      session.releaseMutations();
      answer('ok');
      break;
    case 'notify':
      helpers.notify(fd, batch ?? []).settled(answer, failed);
      break;
    case 'job':
      loop.addJob(steps());
      answer('ok');
      break;
  }
});
loop.addSession(session, (ended) => {
  log(`ended: ${ended.ended}`);
  loop.stop();
});
loop.run();
helpers.close();
session.close();
port.close();
