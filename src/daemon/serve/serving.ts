/**
 * What the thread that answers the kernel gives to the parts that serve a
 * volume and its mounts. Each driver has its own: they wait and run differently.
 */
import type { MessagePort, Transferable } from 'node:worker_threads';
import type { Deferred } from '../../lib/deferred.js';
import type { TraceSink } from '../../measure/trace-entry.js';
import type { FromServer } from './messages.js';
import type { Connection } from './state.js';

/** For all mounts of the volume. */
export interface VolumeThread {
  /** Writes out everything of the file system that a descriptor is on. */
  flushFileSystem(fd: number): Deferred<void>;
  /** Writes out one file, or one directory. */
  flushFile(fd: number): Deferred<void>;
  /** The base is about to be closed: nothing is heard of it any more. */
  forgetBase(): void;
  /** Runs `next` in the thread's spare time until it returns true. */
  addJob(next: () => boolean): void;
  /** Runs a function once, in this thread. */
  later(delayMs: number, run: () => void): void;
  post(message: FromServer, transfer?: readonly Transferable[]): void;
  /** Handles the messages of a port in this thread. Returns a function that stops this. */
  onPort(port: MessagePort, handle: (message: unknown) => void): () => void;
}

/** For one mount. */
export interface MountThread {
  /** Settles when every write that had returned to its program has reached the volume. */
  quiesce(): Deferred<void>;
  /** Programs' changes wait until `letGo`. Not allowed during a quiesce. */
  holdChanges(): void;
  letGo(): void;
  /** What is known about the connection to the kernel. */
  connection(): Connection | undefined;
  /** As that of the volume's thread, for as long as the mount is there. */
  later(delayMs: number, run: () => void): void;
  /** Reports each request to the sink from now on; undefined: stops that. */
  trace(sink: TraceSink | undefined): void;
}
