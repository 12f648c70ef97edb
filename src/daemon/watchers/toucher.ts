/**
 * The main thread's part in telling watching programs of a restore: finds what
 * they watch, and runs the toucher process for as long as there is something to
 * touch.
 *
 * Doors inside daemon/: restore-events, toucher, toucher-messages, watches.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { byteStringOfText } from '../../lib/byte-text.js';
import type { MountPlace } from '../mount/mount-place.js';
import type { TouchBatch, TouchReport } from './toucher-messages.js';
import { findWatches, type WatchesFound } from './watches.js';

const NOTHING: WatchesFound = { inodes: [], everything: false, programs: 0 };

export class Toucher {
  #child: ChildProcess | undefined;

  constructor(readonly place: MountPlace) {}

  /** What programs watch of the mount now. */
  async watched(): Promise<WatchesFound> {
    const mount = this.place.entry();
    return mount === undefined ? NOTHING : await findWatches(mount);
  }

  /** Settles when the process has made all calls, or rejects when it failed. */
  touch(batch: Omit<TouchBatch, 'mountpoint'>): Promise<TouchReport> {
    const mount = this.place.entry();
    if (mount === undefined) return Promise.reject(new Error('it is not mounted any more'));
    const child = this.#running();
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        child.off('message', answered);
        child.off('exit', exited);
        child.off('error', failed);
      };
      const answered = (report: unknown): void => {
        stop();
        resolve(report as TouchReport);
      };
      const failed = (error: Error): void => {
        stop();
        if (this.#child === child) this.#child = undefined;
        reject(error);
      };
      const exited = (code: number | null, signal: string | null): void =>
        failed(new Error(`the toucher process ended with ${signal ?? code}`));
      child.on('message', answered);
      child.on('exit', exited);
      child.on('error', failed);
      child.send({ ...batch, mountpoint: byteStringOfText(mount.mountpoint) } satisfies TouchBatch);
    });
  }

  #running(): ChildProcess {
    const running = this.#child;
    if (running?.connected === true) return running;
    const script = fileURLToPath(new URL('./toucher-process.js', import.meta.url));
    const child = spawn(process.execPath, ['--max-old-space-size=64', script], {
      cwd: '/',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      serialization: 'advanced',
    });
    this.#child = child;
    return child;
  }

  /** There is nothing to touch for now. */
  end(): void {
    const child = this.#child;
    this.#child = undefined;
    if (child?.connected === true) child.disconnect();
  }
}
