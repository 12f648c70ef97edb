/** What the operations of one mount share: open files, paths, and the way they answer. */
import { FsError } from '../lib/errors.js';
import type { Attributes, Caller, Operations } from '../tree/operations.js';
import type { Signal } from 'fuse-native';
import { type Answer, Answering } from './answering.js';
import { InodeNumbers } from './inode-numbers.js';
import { MeasuredCalls } from './measured.js';
import { OpenFiles } from './open-files.js';
import { Paths } from './paths.js';
import { statArray } from './stat-array.js';

/** The kernel has already applied the umask. */
export const NO_UMASK = 0;

/** An answer without values. */
export const plain = (signal: Signal): Answer<unknown> => ({
  done: () => signal(0),
  failed: (errno) => signal(-errno),
});

export class NativeContext {
  readonly paths: Paths;
  readonly files: OpenFiles;
  readonly answering: Answering;
  readonly numbers = new InodeNumbers();
  readonly measured = new MeasuredCalls();
  /** Writes received, answered or not. */
  writesServed = 0;

  constructor(
    readonly ops: Operations,
    /** The caller is unknown: it is always the mount's owner. */
    readonly caller: Caller,
    log: (message: string) => void,
  ) {
    this.paths = new Paths(ops, caller);
    this.files = new OpenFiles(ops);
    this.answering = new Answering(() => ops.beginChange(), log);
  }

  close(): void {
    this.paths.close();
    this.answering.close();
  }

  stat(attr: Attributes): Uint32Array {
    return statArray(attr, this.numbers.of(attr.inoHigh, attr.inoLow));
  }

  /** The node of an open file, else of the path. */
  node(path: string, handle: number): number {
    return this.files.get(handle)?.node ?? this.paths.node(path);
  }

  /** Walks once more from the root when a remembered node is gone. */
  at<T>(path: string, use: (node: number, attr?: Attributes) => T): T {
    const { node, attr } = this.paths.find(path);
    try {
      return use(node, attr);
    } catch (error) {
      if (attr !== undefined || !(error instanceof FsError) || error.code !== 'ESTALE') throw error;
    }
    this.paths.dropTree(path);
    const again = this.paths.find(path);
    return use(again.node, again.attr);
  }
}
