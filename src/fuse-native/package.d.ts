/**
 * The used part of the package `fuse-native` (2.2.6), internals included: its
 * public interface drops values that operations need (the size of an xattr
 * buffer, the handle in fgetattr).
 */
declare module 'fuse-native' {
  /** Answers a call: the result (0, a count, or -errno), then what the operation gives. */
  export type Signal = (result: number, ...values: unknown[]) => void;

  // biome-ignore lint/suspicious/noExplicitAny: each operation has arguments of its own
  export type Operation = (signal: Signal, ...args: any[]) => void;

  export interface Options {
    /** false: no limit to how long an operation may take. */
    timeout?: number | false;
  }

  // biome-ignore lint/style/noDefaultExport: the package has no other
  export default class Fuse {
    /** Operations missing here are unknown to libfuse as well. */
    constructor(mountpoint: string, operations: Record<string, unknown>, options: Options);
    /** By opcode; called with the memory of the request, the opcode and the arguments. */
    readonly _handlers: ((request: Buffer, opcode: number, ...args: unknown[]) => void)[];
    _fuseOptions: () => string;
    [operation: `_op_${string}`]: Operation;
    /** Called when the kernel and libfuse have agreed. */
    mount(done: (error: Error | null) => void): void;
  }
}
