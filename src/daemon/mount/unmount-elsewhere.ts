/** Unmounts in a separate thread or process, for a process that serves the mount itself. */
import { spawn } from 'node:child_process';
import { startThread } from '../../lib/threads.js';
import { HELPER } from '../../fuse/mount/kernel-mount.js';
import { commandAbout } from '../../fuse/mount/path-command.js';
import type { UnmountReport, UnmountTask } from './unmount-thread.js';

export function unmountElsewhere(task: UnmountTask): Promise<UnmountReport> {
  const worker = startThread(new URL('./unmount-thread.js', import.meta.url), { data: task });
  return new Promise((resolve) => {
    worker.once('message', resolve);
    const lost = (why: string): void => resolve({ wasBusy: true, lines: [`unmounting: ${why}`] });
    worker.once('error', (error) => lost(error.stack ?? error.message));
    worker.once('exit', () => lost('the thread has ended without a word'));
  });
}

/** Detaches the mount at once, even while programs use it; does not wait for that. */
export function detachLater(mountpoint: string): void {
  const words = process.geteuid?.() === 0 ? ['umount', '-l'] : [HELPER, '-uz'];
  const { command, args, input } = commandAbout([...words, '--'], mountpoint);
  const stdin = input === undefined ? 'ignore' : 'pipe';
  const child = spawn(command, args, { detached: true, stdio: [stdin, 'ignore', 'ignore'] });
  child.once('error', () => undefined);
  child.stdin?.end(input);
  child.unref();
}
