/**
 * One of the mounts that a process serves, as the main thread sees it: made,
 * noted down, unmounted. Its control files are a mount of their own.
 *
 * What must hold: no mount is left behind that nobody serves; the record says
 * how it ended only when everything is stored.
 */
import { rmdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Transferable } from 'node:worker_threads';
import { mountFuse } from '../../fuse/mount/kernel-mount.js';
import { raiseReadahead } from '../../fuse/mount/mount-info.js';
import { close } from '../../libc/libc.js';
import { fsPath } from '../../lib/byte-text.js';
import { CommandError } from '../../lib/errors.js';
import { failpoint } from '../../lib/failpoints.js';
import { makeDirectory } from '../../lib/make-directory.js';
import type { PlainError } from '../calls/plain-error.js';
import { refuseDetached } from '../mount/detached.js';
import { MountCopies } from '../mount/hand-over.js';
import { MountPlace } from '../mount/mount-place.js';
import { cleanControlMount, type MountPlan } from '../mount/mount-plan.js';
import { type MountRecord, startTicksOf, writeMountRecord } from '../mount/mount-record.js';
import {
  CONTROL_SUBTYPE,
  mountAt,
  type MountEntry,
  MOUNT_TYPE,
  readMountTable,
} from '../mount/mount-table.js';
import { ensurePrivateDirectory } from '../mount/paths.js';
import { detachLater, unmountElsewhere } from '../mount/unmount-elsewhere.js';
import { unmountOrDetach, type UnmountReport, type UnmountTask } from '../mount/unmount-thread.js';
import { Toucher } from '../watchers/toucher.js';
import { log } from './log.js';
import type { ToServer } from './messages.js';

const READAHEAD_BYTES = 1024 * 1024;

export type PostToServer = (message: ToServer, transfer?: readonly Transferable[]) => void;

export class ServedMount {
  readonly place: MountPlace;
  readonly toucher: Toucher;
  #record: MountRecord | undefined;
  #hasMount = false;
  #hasControlMount = false;

  constructor(
    /** By which the two threads name it. */
    readonly id: number,
    readonly plan: MountPlan,
    readonly post: PostToServer,
  ) {
    this.place = new MountPlace(plan.mountpoint);
    this.toucher = new Toucher(this.place);
  }

  /** The mount has been made, and nobody has unmounted it. */
  get hasMount(): boolean {
    return this.#hasMount;
  }

  get record(): MountRecord | undefined {
    return this.#record;
  }

  get #servesItself(): boolean {
    return this.plan.driver === 'fuse-native';
  }

  /** Throws CommandError when something is in the way. */
  prepareDirectories(): void {
    const { paths, controlMount } = this.plan;
    const uid = process.getuid?.() ?? 0;
    ensurePrivateDirectory(paths.stateDirectory, uid);
    ensurePrivateDirectory(paths.runtimeDirectory, uid);
    cleanControlMount(controlMount);
    refuseDetached(this.plan);
    if (mountAt(readMountTable(), controlMount) !== undefined) {
      throw new CommandError(
        'mountpoint-in-use',
        'EBUSY',
        `something is mounted on ${controlMount}`,
      );
    }
    makeDirectory(controlMount);
  }

  mount(): void {
    if (this.#servesItself) {
      this.#hasControlMount = true;
      this.#hasMount = true;
      this.post({ kind: 'mount' });
      return;
    }
    const { mountpoint, controlMount, source, options } = this.plan;
    const controlFd = mountFuse(controlMount, {
      // Not the bare path: `findmnt MOUNTPOINT` would show this mount instead.
      source: `control:${mountpoint}`,
      subtype: CONTROL_SUBTYPE,
      nosuid: true,
      nodev: true,
    });
    this.#hasControlMount = true;
    failpoint('mount:control-mounted');
    let fd: number;
    try {
      fd = mountFuse(mountpoint, {
        source,
        readOnly: options.readOnly,
        allowOther: options.allowOther,
        nosuid: options.nosuid,
        nodev: options.nodev,
        noexec: options.noexec,
      });
    } catch (error) {
      close(controlFd);
      throw error;
    }
    this.#hasMount = true;
    this.place.learn();
    const { device } = this.place;
    this.post({ kind: 'mounted', mount: this.id, fd, controlFd, device });
  }

  /** Settles with the first answer through the mount: from here on it can be used. */
  async answers(): Promise<void> {
    await stat(fsPath(this.plan.mountpoint));
    raiseReadahead(this.plan.mountpoint, READAHEAD_BYTES);
    failpoint('mount:answered');
  }

  /** Programs can use it: note down where it is. */
  serving(): void {
    const { plan, place } = this;
    // fuse-native has mounted by itself.
    if (place.device === undefined) place.learn();
    const mount = place.entry();
    this.#record = {
      pid: process.pid,
      startTicks: startTicksOf(process.pid) ?? 0,
      mountpoint: plan.mountpoint,
      controlMount: plan.controlMount,
      volume: plan.volume,
      base: plan.base ?? null,
      log: plan.log === '' ? null : plan.log,
      ...(mount !== undefined && { device: mount.device, mountId: mount.mountId }),
      startedMs: Date.now(),
      state: 'serving',
    };
    writeMountRecord(plan.paths, this.#record);
    log(`serving ${plan.mountpoint} (volume ${plan.volume})`);
  }

  /** From here into another mount namespace, `PID:NAME`. Throws CommandError. */
  async moveInto(into: string): Promise<void> {
    const { mountpoint, controlMount } = this.plan;
    const [, pid, name = ''] = /^(\d+):(.*)$/.exec(into) ?? [];
    const copies = await MountCopies.of([mountpoint, controlMount]);
    try {
      unmountOrDetach({ mountpoint, lazy: true });
      await copies.attach({ pid: Number(pid), name });
    } finally {
      copies.close();
    }
  }

  /** Somebody has unmounted it: from now on its device number may be another mount's. */
  unmounted(): void {
    this.#hasMount = false;
  }

  /**
   * The mount, wherever it is now. Only while it is known to be there: the kernel gives the device
   * number of one that is gone to the next mount, which may be anybody's.
   */
  mounted(): MountEntry | undefined {
    if (!this.#hasMount) return undefined;
    if (this.place.device !== undefined) return this.place.entry();
    const top = mountAt(readMountTable(), this.plan.mountpoint);
    return top?.type === MOUNT_TYPE ? top : undefined;
  }

  /**
   * Unmounts it, or detaches it from the programs that use it. True: the latter, or it was detached
   * before; one of a run is in the run's namespace alone.
   */
  async end(): Promise<boolean> {
    const mount = this.mounted();
    if (mount === undefined) return this.#hasMount;
    const { wasBusy } = await this.#unmount({ mountpoint: mount.mountpoint, lazy: false });
    return wasBusy;
  }

  /** The thread that serves the mount must not wait for it. */
  async #unmount(task: UnmountTask): Promise<UnmountReport> {
    // An unmount that is not lazy writes dirty pages out: meanwhile this thread must learn of
    // failures.
    const isElsewhere = this.#servesItself || !task.lazy;
    const report = isElsewhere ? await unmountElsewhere(task) : unmountOrDetach(task);
    for (const line of report.lines) log(line);
    return report;
  }

  /** Removes what is mounted of it, which this process can't serve any more. */
  async remove(): Promise<void> {
    const mount = this.mounted();
    if (mount !== undefined) await this.#unmount({ mountpoint: mount.mountpoint, lazy: true });
    this.toucher.end();
    if (!this.#hasControlMount) return;
    this.#hasControlMount = false;
    const { controlMount } = this.plan;
    if (mountAt(readMountTable(), controlMount) !== undefined) {
      await this.#unmount({ mountpoint: controlMount, lazy: true });
    }
    try {
      rmdirSync(controlMount);
    } catch {
      // The next mount reuses it.
    }
  }

  /** Everything is stored, or `failure` says why not. */
  tellEnd(failure: PlainError | undefined): void {
    if (this.#record === undefined) return;
    writeMountRecord(this.plan.paths, {
      ...this.#record,
      state: failure === undefined ? 'stored' : 'failed',
      ...(failure !== undefined && { failure: failure.message }),
    });
  }

  /** This process ends at once: separate processes do it, which may have to wait for that. */
  detach(): void {
    const { controlMount } = this.plan;
    const mount = this.mounted();
    if (mount !== undefined) detachLater(mount.mountpoint);
    if (this.#hasControlMount && mountAt(readMountTable(), controlMount) !== undefined) {
      detachLater(controlMount);
    }
  }
}
