/**
 * The framing of a stream: preamble, header, records, trailer
 * (native-notes/stream.md). Pure: bytes in, events out.
 *
 * What must hold: nothing is used before its frame's checksum is verified; the
 * checksums form a chain, so that a changed, missing, repeated or misplaced
 * frame is found at that frame; at most one frame is held.
 *
 * Doors: every file.
 */
import { createHash } from 'node:crypto';
import { CommandError } from '../../lib/errors.js';
import { isCount, isUuid } from '../../lib/fields.js';
import { decodeRecord, encodeRecord, recordRoom, type StreamRecord } from './stream-records.js';
import { noteObjection } from '../text/note.js';
import { MAX_ALLOCATOR, MAX_BLOCK_SIZE, MIN_BLOCK_SIZE } from '../records/tables.js';

export const STREAM_VERSION = 1;
const MAGIC = Buffer.from('SFSTREAM', 'latin1');
const PREAMBLE_LENGTH = 16;
const LENGTH_BYTES = 4;
const CHECK_BYTES = 16;
const CHAIN_BYTES = 32;
/** A records frame is sent when it has at least this many bytes. */
const FRAME_BYTES = 256 * 1024;
/** No frame is larger: a length above it is damage. */
export const MAX_FRAME_BYTES = 1024 * 1024;
const FRAME = { header: 1, records: 2, trailer: 3 } as const;
const CHAIN = /^[0-9a-f]{64}$/;

/** The snapshot that a stream makes, and the one it builds on. */
export interface StreamSnapshot {
  uuid: string;
  name: string;
  createdMs: number;
  /** What the one who saved it says about it. */
  note?: string;
  /** A schedule made it: the schedule on the receiving side may delete it. */
  isAuto?: true;
}

/** Where a stream continues, or how far a receiver has come. */
export interface StreamPosition {
  records: number;
  /** The chain after the last whole frame, in hexadecimal. */
  chain: string;
}

export interface StreamHeader {
  /** The volume that sends. */
  volume: string;
  /** The history it belongs to: the volume in which the history began. */
  history: string;
  from: { uuid: string; name: string } | null;
  to: StreamSnapshot;
  blockSize: number;
  compression: boolean;
  /** Allocator → the volume that takes inode numbers from it (rule D6). */
  allocators: Record<string, string>;
  /** This stream is the rest of one that was interrupted. */
  resumed?: StreamPosition;
}

export type StreamEvent =
  | { kind: 'header'; header: StreamHeader }
  | { kind: 'records'; records: StreamRecord[]; position: StreamPosition }
  | { kind: 'end'; records: number };

function damaged(why: string, at: number): CommandError {
  return new CommandError('stream-damaged', 'EIO', `the stream is damaged: ${why}, at byte ${at}`, {
    offset: at,
  });
}

function link(chain: Uint8Array, frame: Uint8Array): Buffer {
  return createHash('sha256').update(chain).update(frame).digest();
}

function preamble(): Buffer {
  const bytes = Buffer.alloc(PREAMBLE_LENGTH);
  MAGIC.copy(bytes);
  bytes.writeUInt32BE(STREAM_VERSION, MAGIC.length);
  return bytes;
}

/** Makes the bytes of one stream; each frame is in memory that it gets from `room`. */
export class StreamEncoder {
  #chain: Buffer;
  #records: number;
  #room = Buffer.allocUnsafe(FRAME_BYTES * 2);
  #used = LENGTH_BYTES + 1;

  constructor(
    readonly header: StreamHeader,
    readonly frameBytes = FRAME_BYTES,
    readonly room: (length: number) => Buffer = (length) => Buffer.allocUnsafe(length),
  ) {
    this.#chain = Buffer.alloc(CHAIN_BYTES);
    this.#records = header.resumed?.records ?? 0;
  }

  /** Preamble and header; call it first. */
  start(): Buffer {
    const first = preamble();
    this.#chain = createHash('sha256').update(first).digest();
    const frame = this.#frame(FRAME.header, Buffer.from(JSON.stringify(this.header)));
    const { resumed } = this.header;
    if (resumed !== undefined) this.#chain = Buffer.from(resumed.chain, 'hex');
    return Buffer.concat([first, frame]);
  }

  /** Adds a record; returns a frame when one is full. */
  add(record: StreamRecord): Buffer | undefined {
    const needed = this.#used + recordRoom(record);
    if (needed > this.#room.length) {
      const room = Buffer.allocUnsafe(needed * 2);
      this.#room.copy(room, 0, 0, this.#used);
      this.#room = room;
    }
    this.#used = encodeRecord(record, this.#room, this.#used);
    this.#records++;
    return this.#used >= this.frameBytes ? this.flush() : undefined;
  }

  /** Records added since the last frame, as a frame. */
  flush(): Buffer | undefined {
    if (this.#used === LENGTH_BYTES + 1) return undefined;
    const payload = this.#room.subarray(LENGTH_BYTES + 1, this.#used);
    this.#used = LENGTH_BYTES + 1;
    return this.#frame(FRAME.records, payload);
  }

  /** The trailer; call `flush` before. */
  finish(): Buffer {
    const body = Buffer.alloc(6 + CHAIN_BYTES);
    body.writeUIntBE(this.#records, 0, 6);
    this.#chain.copy(body, 6);
    return this.#frame(FRAME.trailer, body);
  }

  #frame(type: number, payload: Buffer): Buffer {
    const frame = this.room(LENGTH_BYTES + 1 + payload.length + CHECK_BYTES);
    frame.writeUInt32BE(1 + payload.length, 0);
    frame[LENGTH_BYTES] = type;
    payload.copy(frame, LENGTH_BYTES + 1);
    const end = LENGTH_BYTES + 1 + payload.length;
    this.#chain = link(this.#chain, frame.subarray(0, end));
    this.#chain.copy(frame, end, 0, CHECK_BYTES);
    return frame;
  }
}

/**
 * Decodes a stream from pieces of any size. Throws CommandError `not-a-stream`,
 * `newer-stream` or `stream-damaged`; the decoder can't be used after that.
 */
export class StreamDecoder {
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #offset = 0;
  #chain: Buffer | undefined;
  #header: StreamHeader | undefined;
  #records = 0;
  #isDone = false;

  /** True when the trailer was read and verified. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** Copies the unread part of the last chunk: the chunk's memory may then be reused. */
  keep(): void {
    const last = this.#pending.pop();
    if (last !== undefined) this.#pending.push(Buffer.from(last));
  }

  /** Bytes after the trailer that were handed in. */
  rest(): Buffer {
    return Buffer.concat(this.#pending);
  }

  *push(chunk: Buffer): Generator<StreamEvent> {
    this.#pending.push(chunk);
    this.#pendingBytes += chunk.length;
    if (this.#chain === undefined && !this.#isDone) this.#preamble();
    while (this.#chain !== undefined && !this.#isDone) {
      const frame = this.#takeFrame(this.#chain);
      if (frame === undefined) return;
      yield this.#event(frame);
    }
  }

  /** The first `length` bytes, without consuming them; undefined when fewer are there. */
  #peek(length: number): Buffer | undefined {
    if (this.#pendingBytes < length) return undefined;
    const [first] = this.#pending;
    if (first !== undefined && first.length >= length) return first.subarray(0, length);
    const all = Buffer.concat(this.#pending);
    this.#pending = [all];
    return all.subarray(0, length);
  }

  #drop(length: number): void {
    const [first] = this.#pending as [Buffer];
    if (first.length === length) this.#pending.shift();
    else this.#pending[0] = first.subarray(length);
    this.#pendingBytes -= length;
    this.#offset += length;
  }

  #preamble(): void {
    const start = this.#peek(Math.min(MAGIC.length, this.#pendingBytes));
    if (start !== undefined && !start.equals(MAGIC.subarray(0, start.length))) {
      throw new CommandError('not-a-stream', 'EINVAL', 'this is not a stream of shadowfs send');
    }
    const bytes = this.#peek(PREAMBLE_LENGTH);
    if (bytes === undefined) return;
    const version = bytes.readUInt32BE(MAGIC.length);
    if (version > STREAM_VERSION) {
      throw new CommandError(
        'newer-stream',
        'EINVAL',
        `the stream has version ${version}; this shadowfs knows versions up to ${STREAM_VERSION}`,
      );
    }
    if (!bytes.equals(preamble())) throw damaged('the preamble is wrong', 0);
    this.#chain = createHash('sha256').update(bytes).digest();
    this.#drop(PREAMBLE_LENGTH);
  }

  /** Type and payload of the next frame, with its checksum verified. */
  #takeFrame(chain: Buffer): Buffer | undefined {
    const head = this.#peek(LENGTH_BYTES);
    if (head === undefined) return undefined;
    const length = head.readUInt32BE(0);
    if (length < 1 || length > MAX_FRAME_BYTES) {
      throw damaged(`a frame says that it has ${length} bytes`, this.#offset);
    }
    const end = LENGTH_BYTES + length;
    const frame = this.#peek(end + CHECK_BYTES);
    if (frame === undefined) return undefined;
    const next = link(chain, frame.subarray(0, end));
    if (next.compare(frame, end, end + CHECK_BYTES, 0, CHECK_BYTES) !== 0) {
      throw damaged('a checksum is wrong', this.#offset);
    }
    const payload = frame.subarray(LENGTH_BYTES, end);
    if (payload[0] === FRAME.trailer) this.#checkTrailer(payload.subarray(1), chain);
    this.#drop(end + CHECK_BYTES);
    this.#chain = next;
    return payload;
  }

  #checkTrailer(body: Buffer, chain: Buffer): void {
    const isRight =
      body.length === 6 + CHAIN_BYTES &&
      body.readUIntBE(0, 6) === this.#records &&
      body.subarray(6).equals(chain);
    if (!isRight) throw damaged('the trailer belongs to another stream', this.#offset);
  }

  #event(payload: Buffer): StreamEvent {
    const body = payload.subarray(1);
    const isFirst = this.#header === undefined;
    if (isFirst !== (payload[0] === FRAME.header)) {
      throw damaged('a frame is not where it belongs', this.#offset);
    }
    switch (payload[0]) {
      case FRAME.header: {
        const header = decodeHeader(body, this.#offset);
        this.#header = header;
        this.#records = header.resumed?.records ?? 0;
        if (header.resumed !== undefined) this.#chain = Buffer.from(header.resumed.chain, 'hex');
        return { kind: 'header', header };
      }
      case FRAME.records: {
        const records = this.#decodeRecords(body);
        this.#records += records.length;
        const chain = (this.#chain as Buffer).toString('hex');
        return { kind: 'records', records, position: { records: this.#records, chain } };
      }
      case FRAME.trailer:
        this.#isDone = true;
        return { kind: 'end', records: this.#records };
      default:
        throw damaged(`a frame has the type ${payload[0]}`, this.#offset);
    }
  }

  #decodeRecords(body: Buffer): StreamRecord[] {
    const records: StreamRecord[] = [];
    try {
      for (let at = 0; at < body.length; ) {
        const { record, end } = decodeRecord(body, at);
        records.push(record);
        at = end;
      }
    } catch (error) {
      if (error instanceof RangeError) throw damaged(error.message, this.#offset);
      throw error;
    }
    return records;
  }
}

function decodeHeader(body: Buffer, offset: number): StreamHeader {
  let header: StreamHeader;
  try {
    header = JSON.parse(body.toString()) as StreamHeader;
  } catch {
    throw damaged('the header is no JSON', offset);
  }
  if (!isHeader(header)) throw damaged('the header lacks something', offset);
  return header;
}

const isAllocator = (id: string): boolean => /^\d{1,4}$/.test(id) && Number(id) <= MAX_ALLOCATOR;

export function isPosition(value: unknown): value is StreamPosition {
  if (typeof value !== 'object' || value === null) return false;
  const { records, chain } = value as Partial<StreamPosition>;
  return isCount(records) && typeof chain === 'string' && CHAIN.test(chain);
}

function isHeader(value: unknown): value is StreamHeader {
  if (typeof value !== 'object' || value === null) return false;
  const { volume, history, from, to, blockSize, allocators, resumed } =
    value as Partial<StreamHeader>;
  return (
    isUuid(volume) &&
    isUuid(history) &&
    (from === null || isUuid(from?.uuid)) &&
    isUuid(to?.uuid) &&
    typeof to?.name === 'string' &&
    isCount(to.createdMs) &&
    (to.isAuto === undefined || to.isAuto === true) &&
    (to.note === undefined ||
      (typeof to.note === 'string' && noteObjection(to.note) === undefined)) &&
    isCount(blockSize) &&
    blockSize >= MIN_BLOCK_SIZE &&
    blockSize <= MAX_BLOCK_SIZE &&
    Number.isInteger(Math.log2(blockSize)) &&
    typeof allocators === 'object' &&
    allocators !== null &&
    Object.entries(allocators).every(([id, who]) => isAllocator(id) && isUuid(who)) &&
    (resumed === undefined || isPosition(resumed))
  );
}
