/**
 * Entry of a helper thread: does work of the serving loop that may wait for the
 * kernel or a disk. Tasks of one thread run in sequence, except for warm-ups,
 * which are reads in Node's pool. Ends when its port is closed.
 */
import fs from 'node:fs';
import { ERRNO } from '../../lib/errors.js';
import { threadData } from '../../lib/threads.js';
import { close, fdatasync, sync, syncfs, write } from '../../libc/libc.js';
import { eventfdSignal } from '../../libc/poll.js';
import type { HelperAnswer, HelperData, HelperRequest, NotifyResult } from './helper-messages.js';
import { openMounted } from '../mount/mount-info.js';
import { alignMessage } from '../protocol/notifications.js';

const { port, wakeFd } = threadData() as HelperData;

/** Largest piece of a file that one warm-up reads. */
const WARM_BYTES_MAX = 1024 * 1024;
const spareScratch: Buffer[] = [];

function answer(reply: HelperAnswer): void {
  port.postMessage(reply);
  eventfdSignal(wakeFd);
}

/**
 * The result of `syncfs` is ignored: it has tried every dirty page, and it
 * reports any page that ever failed, such as a store through a shared mmap of a
 * snapshot's file. That error belongs to an fsync of the file, and must not
 * stop all later saves.
 *
 * The descriptor is opened each time: one that is kept would keep the mount
 * busy. Where no path leads to the mount (it is covered, or detached and still
 * in use), all file systems are written out, and this one with them.
 */
function syncMount(path: string, device: string): void {
  const fd = openMounted(path, device);
  if (fd < 0) {
    sync();
    return;
  }
  syncfs(fd);
  fs.closeSync(fd);
}

function notify(fd: number, block: Uint8Array): NotifyResult {
  const lengths = new DataView(block.buffer, block.byteOffset, block.byteLength);
  let [sent, failed, at] = [0, 0, 0];
  while (at < block.byteLength) {
    const bytes = lengths.getUint32(at, true);
    const written = write(fd, block.subarray(at, at + bytes), bytes);
    // ENOENT: the kernel has nothing under that name or number, so there is nothing to do.
    if (written >= 0 || written === -ERRNO.ENOENT) sent += 1;
    else failed += 1;
    at += alignMessage(bytes);
  }
  return { sent, failed };
}

/** The bytes are discarded: the purpose is that the page cache then has them. */
function warm(id: number, fd: number, offset: number, length: number): void {
  const scratch = spareScratch.pop() ?? Buffer.allocUnsafeSlow(WARM_BYTES_MAX);
  fs.read(fd, scratch, 0, Math.min(length, WARM_BYTES_MAX), offset, (error) => {
    spareScratch.push(scratch);
    answer({ id, errno: error === null ? 0 : Math.abs(error.errno ?? ERRNO.EIO) });
  });
}

port.on('message', ({ id, task }: HelperRequest) => {
  switch (task.kind) {
    case 'syncfs':
      syncMount(task.path, task.device);
      answer({ id, errno: 0 });
      break;
    case 'flush':
      answer({ id, errno: -Math.min(0, syncfs(task.fd)) });
      break;
    case 'flush-file':
      answer({ id, errno: -Math.min(0, fdatasync(task.fd)) });
      break;
    case 'close':
      answer({ id, errno: -Math.min(0, close(task.fd)) });
      break;
    case 'notify':
      answer({ id, errno: 0, result: notify(task.fd, task.block) });
      break;
    case 'warm':
      warm(id, task.fd, task.offset, task.length);
      break;
  }
});
