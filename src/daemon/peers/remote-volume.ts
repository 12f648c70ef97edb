/**
 * The agent's volume as seen from the thread of the connections: changes are
 * requests to the serving thread; snapshots to send are read from the store
 * here.
 */
import { setImmediate } from 'node:timers/promises';
import { KEEP_ALL } from '../../format/text/keep-pruned.js';
import { MAX_FRAME_BYTES } from '../../format/wire/stream.js';
import {
  type Epoch,
  type Handover,
  type NeededSnapshot,
  type LockSet,
  PIECES_AHEAD,
  PIECES_KEPT,
  type SyncSnapshot,
} from '../../sync/agent/messages.js';
import type {
  Incoming,
  Outgoing,
  StoredLocks,
  StoredRole,
  SyncVolume,
} from '../../sync/agent/sync-volume.js';
import {
  estimates,
  requestOf,
  sendStream,
  type TransferRequest,
} from '../../sync/stream/sender.js';
import type { AgentState } from './agent-messages.js';
import type { CallsToVolume } from './connections-calls.js';
import { LARGE_BYTES, payloadRooms } from '../../sync/transport/payload-rooms.js';
import { openForSending, type SendSource } from '../transfer/sending.js';

/**
 * Least bytes of a piece of a stream; it may have up to one frame more. Frames of records are as
 * large: each is a piece.
 */
const PIECE_BYTES = 768 * 1024;

export interface RemoteVolumeParts {
  uuid: string;
  place: SendSource;
  state: AgentState;
  calls: CallsToVolume;
}

export class RemoteVolume implements SyncVolume {
  readonly #parts: RemoteVolumeParts;
  #state: AgentState;

  constructor(parts: RemoteVolumeParts) {
    this.#parts = parts;
    this.#state = parts.state;
  }

  /** Called by the serving thread before it answers the request that changed the state. */
  update(state: AgentState): void {
    this.#state = state;
  }

  get uuid(): string {
    return this.#parts.uuid;
  }

  get history(): string {
    return this.#state.history;
  }

  role(): StoredRole {
    return this.#state.role;
  }

  snapshots(): readonly SyncSnapshot[] {
    return this.#state.snapshots;
  }

  shown(): string | undefined {
    return this.#state.shown ?? undefined;
  }

  locksOfDownstreams(): readonly NeededSnapshot[] {
    return this.#state.locks;
  }

  pullEveryMs(): number | undefined {
    return this.#state.pullEveryMs ?? undefined;
  }

  prunes(): boolean {
    return this.#state.keeps !== KEEP_ALL;
  }

  prune(absent: readonly string[]): Promise<void> {
    return this.#parts.calls.promise('prune', { absent });
  }

  storeLocks(from: string, { sequence, items, seen }: LockSet): Promise<StoredLocks> {
    return this.#parts.calls.promise('storeLocks', { from, set: { sequence, items, seen } });
  }

  send(request: TransferRequest): Outgoing {
    const volume = openForSending(this.#parts.place);
    let frames: Generator<Buffer, void>;
    try {
      const room = roomsInTurn(PIECES_KEPT + PIECES_AHEAD + 1);
      frames = sendStream(volume, requestOf(volume, request), PIECE_BYTES, room);
    } catch (error) {
      volume.close();
      throw error;
    }
    let isClosed = false;
    return {
      next: async () => nextPiece(frames),
      close() {
        if (isClosed) return;
        isClosed = true;
        volume.close();
      },
    };
  }

  async sizeOf(request: TransferRequest): Promise<number> {
    const volume = openForSending(this.#parts.place);
    try {
      let last = 0;
      for (const { bytes } of estimates(volume, requestOf(volume, request))) {
        last = bytes;
        await setImmediate();
      }
      return last;
    } finally {
      volume.close();
    }
  }

  async receive(from: string | null, to: string): Promise<Incoming> {
    const { calls } = this.#parts;
    const { resumed } = await calls.promise('receive', { from, to });
    // The last piece adopts the snapshot, so each piece is kept until it is known not to be the
    // last.
    let held: Uint8Array | undefined;
    const send = async (): Promise<void> => {
      const bytes = held;
      held = undefined;
      if (bytes === undefined) return;
      const moved = movable(bytes);
      await calls.promise('push', { bytes: moved }, buffersOf(moved));
      payloadRooms.giveBack(bytes);
    };
    const suspend = async (): Promise<void> => {
      held = undefined;
      await calls.promise('suspend', undefined);
    };
    return {
      resumed: resumed ?? undefined,
      push: async (bytes) => {
        await send();
        held = bytes;
      },
      finish: async (epoch) => {
        const bytes = movable(held ?? new Uint8Array(0));
        await calls.promise('adopt', { snapshot: to, bytes, epoch }, buffersOf(bytes));
        payloadRooms.giveBack(bytes);
        held = undefined;
      },
      suspend,
      // A stream that does not fit was dropped when that was found.
      drop: suspend,
    };
  }

  show(snapshot: string, epoch: Epoch): Promise<void> {
    return this.#parts.calls.promise('show', { snapshot, epoch });
  }

  promote(epoch: Epoch): Promise<void> {
    return this.#parts.calls.promise('promote', { epoch });
  }

  demote(to: string | undefined, epoch: Epoch, upstream: string): Promise<void> {
    return this.#parts.calls.promise('demote', { to: to ?? null, epoch, upstream });
  }

  handOver(to: string, epoch: Epoch): Promise<Handover> {
    return this.#parts.calls.promise('handOver', { to, epoch });
  }

  follow(upstream: string, epoch: Epoch): Promise<void> {
    return this.#parts.calls.promise('follow', { upstream, epoch });
  }
}

/** Bytes that another thread may have: in shared memory, or in a buffer that holds nothing else. */
function movable(bytes: Uint8Array): Uint8Array {
  const { buffer } = bytes;
  const isAlone = buffer instanceof SharedArrayBuffer || buffer.byteLength === bytes.byteLength;
  return isAlone ? bytes : bytes.slice();
}

/** The buffers that move to the other thread: they are no longer usable here. */
function buffersOf({ buffer }: Uint8Array): ArrayBuffer[] {
  return buffer instanceof ArrayBuffer ? [buffer] : [];
}

/**
 * Memory for frames, reused after `count` frames: new memory for each would make V8 collect garbage
 * every few frames. A question for a piece shows that all pieces more than PIECES_AHEAD older have
 * arrived, second answers included, since a connection keeps the order.
 */
function roomsInTurn(count: number): (length: number) => Buffer {
  const rooms: Buffer[] = [];
  let next = 0;
  return (length) => {
    if (length < LARGE_BYTES || length > MAX_FRAME_BYTES) return Buffer.allocUnsafe(length);
    const at = next++ % count;
    const room = rooms[at] ?? Buffer.allocUnsafeSlow(MAX_FRAME_BYTES);
    rooms[at] = room;
    return room.subarray(0, length);
  };
}

/** Several frames together: each piece takes a question to the other side. */
function nextPiece(frames: Generator<Buffer, void>): Uint8Array | undefined {
  const piece: Buffer[] = [];
  for (let bytes = 0; bytes < PIECE_BYTES; ) {
    const { value } = frames.next();
    if (value === undefined) break;
    piece.push(value);
    bytes += value.length;
  }
  return piece.length > 1 ? Buffer.concat(piece) : piece[0];
}
