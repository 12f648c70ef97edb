/**
 * Feeds a trace with one session's requests. It exists only while a trace is
 * followed; a session without one pays a single test per request.
 *
 * Owns the details of requests that wait for their answer, because a request's
 * bytes are reused before that.
 */
import { InvariantError } from '../../lib/invariant.js';
import type { TraceEntry, TraceSink } from '../../measure/trace-entry.js';
import { CREATE_NAME_AT } from '../protocol/bodies.js';
import { OPCODE_NAMES } from '../protocol/opcode-names.js';
import { Opcode } from '../protocol/protocol.js';
import type { Request } from '../protocol/request.js';

/** Where a request holds a name beside its node. */
const NAME_AT: ReadonlyMap<number, number> = new Map([
  [Opcode.LOOKUP, 0],
  [Opcode.UNLINK, 0],
  [Opcode.RMDIR, 0],
  [Opcode.SYMLINK, 0],
  [Opcode.MKDIR, 8],
  [Opcode.LINK, 8],
  [Opcode.MKNOD, 16],
  [Opcode.CREATE, CREATE_NAME_AT],
  [Opcode.RENAME, 8],
  [Opcode.RENAME2, 16],
]);

const WITH_BYTES: ReadonlySet<number> = new Set<number>([
  Opcode.READ,
  Opcode.WRITE,
  Opcode.READDIR,
  Opcode.READDIRPLUS,
]);

type Known = Pick<TraceEntry, 'op' | 'path' | 'newPath' | 'pid'> & { opcode: number };

/** Fewer requests than this ever wait at a time; requests beyond are not traced. */
const WAITING_MAX = 4096;

export class SessionTrace {
  readonly #waiting = new Map<string, Known>();

  constructor(
    readonly sink: TraceSink,
    /** The path of a node, below the mountpoint. */
    readonly pathOf: (node: number) => string,
  ) {}

  /** Answered at once; `request` still has its bytes. `bytes`: read, written or listed. */
  answered(request: Request, errno: number, bytes: number, ms: number): void {
    const { opcode } = request;
    if (!this.sink.wants(nameOf(opcode), ms, errno)) return;
    this.#note(this.#known(request), errno, bytes, ms);
  }

  /** Will be answered later. */
  begun(request: Request): void {
    if (this.#waiting.size >= WAITING_MAX) return;
    this.#waiting.set(keyOf(request.uniqueLow, request.uniqueHigh), this.#known(request));
  }

  late(uniqueLow: number, uniqueHigh: number, errno: number, bytes: number, ms: number): void {
    const key = keyOf(uniqueLow, uniqueHigh);
    const known = this.#waiting.get(key);
    if (known === undefined) return;
    this.#waiting.delete(key);
    if (this.sink.wants(known.op, ms, errno)) this.#note(known, errno, bytes, ms);
  }

  #note({ opcode, ...known }: Known, errno: number, sizeBytes: number, tookMs: number): void {
    const hasBytes = errno === 0 && WITH_BYTES.has(opcode);
    this.sink.note({ timeMs: Date.now(), ...known, errno, tookMs, ...(hasBytes && { sizeBytes }) });
  }

  #known(request: Request): Known {
    const { opcode } = request;
    const known = { opcode, op: nameOf(opcode), pid: request.caller().pid };
    try {
      return { ...known, ...this.#places(request) };
    } catch (error) {
      // A malformed request, or one about an unreadable node, is traced nevertheless.
      if (error instanceof InvariantError) throw error;
      return { ...known, path: '?' };
    }
  }

  #places(request: Request): { path: string; newPath?: string } {
    const { opcode } = request;
    if (opcode === Opcode.BATCH_FORGET) return { path: '' };
    const node = this.pathOf(request.node);
    const nameAt = NAME_AT.get(opcode);
    if (nameAt === undefined) return { path: node };
    const name = request.string(nameAt);
    const path = below(node, name);
    if (opcode === Opcode.RENAME || opcode === Opcode.RENAME2) {
      const newName = request.string(nameAt + name.length + 1);
      return { path, newPath: below(this.pathOf(request.long(0)), newName) };
    }
    if (opcode === Opcode.LINK) return { path: this.pathOf(request.long(0)), newPath: path };
    return { path };
  }
}

function nameOf(opcode: number): string {
  return OPCODE_NAMES[opcode] ?? `OPCODE-${opcode}`;
}

function keyOf(low: number, high: number): string {
  return `${high}:${low}`;
}

function below(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}
