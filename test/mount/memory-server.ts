/**
 * A process that serves a `MemoryOps` mount: mounts in its main thread, starts
 * the helper threads and the serving thread. The test that forked it sends
 * `{ id, command, … }` and gets `{ id, result }`.
 *
 * Arguments: mountpoint, JSON of `ServerOptions`.
 */
import fs from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import { eventfd, eventfdSignal } from '../../src/libc/poll.js';
import { startHelpers } from '../../src/fuse/helpers/helper-client.js';
import { mountFuse } from '../../src/fuse/mount/kernel-mount.js';
import type { KernelOverride } from '../../src/fuse/protocol/kernel-override.js';

export interface ServerOptions {
  allowOther?: boolean;
  readOnly?: boolean;
  busyPollUs?: number;
  pretence?: KernelOverride;
  source?: string;
}

const [mountpoint = '', text = '{}'] = process.argv.slice(2);
const options = JSON.parse(text) as ServerOptions;

let fd: number;
try {
  fd = mountFuse(mountpoint, {
    source: options.source ?? 'memory',
    allowOther: options.allowOther === true,
    readOnly: options.readOnly === true,
  });
} catch (error) {
  const { message, code } = error as Error & { code?: string };
  process.send?.({ failure: { message, code } });
  process.exit(1);
}
const wakeFd = eventfd();
const helpers = startHelpers(wakeFd);
const { port1, port2 } = new MessageChannel();
const loop = new Worker(new URL('./memory-loop.js', import.meta.url), {
  workerData: { fd, wakeFd, mountpoint, options, port: port2, ports: helpers.ports },
  transferList: [port2, helpers.ports.kernel, helpers.ports.reader],
});
loop.on('error', (error) => {
  fs.writeSync(2, `serving thread: ${error.stack}\n`);
  process.exit(3);
});
loop.on('exit', () => process.exit(0));
port1.on('message', (message) => process.send?.(message));
process.on('message', (message) => {
  port1.postMessage(message);
  eventfdSignal(wakeFd);
});
process.send?.({ ready: true });
