/** Messages between the serving loop and its helper threads. */

export type HelperTask =
  /** Writes out the file system `device`, which was mounted at `path`. */
  | { kind: 'syncfs'; path: string; device: string }
  /** Writes out the file system that a descriptor is on; its errors count. */
  | { kind: 'flush'; fd: number }
  /** Writes out one file, or one directory; its errors count. */
  | { kind: 'flush-file'; fd: number }
  /** Writes a block of notifications (see `notifications.ts`) to a FUSE descriptor. */
  | { kind: 'notify'; fd: number; block: Uint8Array }
  /** Closes a FUSE descriptor, after what was to be done with it before. */
  | { kind: 'close'; fd: number }
  /** Reads a range of a file, so that it is in the page cache. */
  | { kind: 'warm'; fd: number; offset: number; length: number };

export interface HelperRequest {
  id: number;
  task: HelperTask;
}

export interface NotifyResult {
  /** Messages that the kernel took or did not need (nothing cached under that name). */
  sent: number;
  failed: number;
}

export interface HelperAnswer {
  id: number;
  /** 0, or the errno of the failure. */
  errno: number;
  result?: NotifyResult;
}

/** `workerData` of a helper thread. */
export interface HelperData {
  /** Tasks come from here, answers go there. */
  port: import('node:worker_threads').MessagePort;
  /** Signalled after each answer. */
  wakeFd: number;
}
