/**
 * Sending: one snapshot, in full or as a difference to another one, as the
 * frames of a stream (native-notes/stream.md). Reads one committed state of a
 * volume that another process may have mounted; writes nothing.
 */
import { CommandError } from '../../lib/errors.js';
import {
  isPosition,
  StreamEncoder,
  type StreamHeader,
  type StreamPosition,
} from '../../format/wire/stream.js';
import type { Snapshot } from '../../volume/catalog.js';
import type { ReadableVolume } from '../../volume/readable-volume.js';
import { FullPlan } from './full-plan.js';
import { IncrementalPlan } from './incremental-plan.js';
import { isTold, plannedSize, type PlannedRecord, readPlanned } from './plan-records.js';

export interface SendRequest {
  to: Snapshot;
  /** Send only the differences to this snapshot. */
  from?: Snapshot;
  resumed?: StreamPosition;
}

/** Size of the stream, at most. */
export interface SendEstimate {
  records: number;
  bytes: number;
}

/** A receiver prints it when a stream was interrupted, and `send --resume` takes it. */
export interface ResumeToken extends StreamPosition {
  from: string | null;
  to: string;
}

const SUM_EVERY = 500;

export function encodeToken(token: ResumeToken): string {
  return Buffer.from(JSON.stringify(token)).toString('base64url');
}

/** Throws CommandError `bad-token`. */
export function decodeToken(text: string): ResumeToken {
  try {
    const token = JSON.parse(Buffer.from(text, 'base64url').toString()) as ResumeToken;
    const isUuid = (value: unknown): boolean => typeof value === 'string' && value.length === 36;
    if (isPosition(token) && isUuid(token.to) && (token.from === null || isUuid(token.from))) {
      return token;
    }
  } catch {
    // The error is thrown below.
  }
  throw new CommandError('bad-token', 'EINVAL', 'this is not a token of shadowfs receive');
}

/** Throws CommandError `no-such-snapshot`. */
export function snapshotOfUuid(volume: ReadableVolume, uuid: string): Snapshot {
  const found = volume.snapshots().find((snapshot) => snapshot.uuid === uuid);
  if (found !== undefined) return found;
  throw new CommandError('no-such-snapshot', 'ENOENT', `the snapshot ${uuid} is not here any more`);
}

/** A transfer from one snapshot to another, by their UUIDs, possibly resumed. */
export interface TransferRequest {
  from: string | null;
  to: string;
  resumed?: ResumeToken;
}

/** Throws CommandError `no-such-snapshot`. */
export function requestOf(
  volume: ReadableVolume,
  { from, to, resumed }: TransferRequest,
): SendRequest {
  return {
    to: snapshotOfUuid(volume, to),
    ...(from !== null && { from: snapshotOfUuid(volume, from) }),
    ...(resumed !== undefined && {
      resumed: { records: resumed.records, chain: resumed.chain },
    }),
  };
}

/** The rest of the interrupted stream. Throws CommandError `no-such-snapshot`. */
export function requestOfToken(volume: ReadableVolume, token: ResumeToken): SendRequest {
  return requestOf(volume, { from: token.from, to: token.to, resumed: token });
}

function planOf(
  volume: ReadableVolume,
  { to, from }: SendRequest,
  isEstimate = false,
): Generator<PlannedRecord> {
  const view = volume.viewOf(to);
  if (from === undefined) return new FullPlan(volume, view, isEstimate).records();
  return new IncrementalPlan(volume, volume.viewOf(from), view, isEstimate).records();
}

/** Measures what would be sent, without reading content. */
export function estimate(volume: ReadableVolume, request: SendRequest): SendEstimate {
  let last: SendEstimate = { records: 0, bytes: 0 };
  for (const sum of estimates(volume, request)) last = sum;
  return last;
}

/**
 * The same, yielding a sum after every few records, for a thread that has other work in between.
 */
export function* estimates(
  volume: ReadableVolume,
  request: SendRequest,
): Generator<SendEstimate, void> {
  const skipped = request.resumed?.records ?? 0;
  let passed = 0;
  let records = 0;
  let bytes = 0;
  let looked = 0;
  // Skipped records have to be counted one by one.
  for (const plan of planOf(volume, request, skipped === 0)) {
    if (passed < skipped) {
      if (isTold(plan)) passed++;
    } else {
      const size = plannedSize(volume, plan);
      records += size.records;
      bytes += size.bytes;
    }
    if (++looked % SUM_EVERY === 0) yield { records, bytes };
  }
  yield { records, bytes };
}

export function headerOf(volume: ReadableVolume, { to, from, resumed }: SendRequest): StreamHeader {
  const { history, allocators } = volume.catalog.identity;
  const { blockSize, compression } = volume.options;
  return {
    volume: volume.uuid,
    history,
    from: from === undefined ? null : { uuid: from.uuid, name: from.name },
    to: {
      uuid: to.uuid,
      name: to.name,
      createdMs: to.createdMs,
      ...(to.kind === 'auto' && { isAuto: true as const }),
      ...(to.note !== undefined && { note: to.note }),
    },
    blockSize,
    compression,
    allocators,
    ...(resumed !== undefined && { resumed }),
  };
}

/** A name that only a restore gives can't be used at the other end. */
function refuseUndo({ to }: SendRequest): void {
  if (to.kind !== 'undo') return;
  throw new CommandError(
    'undo-snapshot',
    'EINVAL',
    `${to.name} was made by a restore: give it a name of its own to send it (shadowfs rename)`,
  );
}

/**
 * The stream, frame by frame. Holds one frame at most; the caller may take its time between two
 * frames; `room` gives the memory of each. Throws CorruptionError or EIO when something can't be
 * read: then there is no trailer, and the receiver adopts nothing.
 */
export function* sendStream(
  volume: ReadableVolume,
  request: SendRequest,
  frameBytes?: number,
  room?: (length: number) => Buffer,
): Generator<Buffer, void> {
  refuseUndo(request);
  const encoder = new StreamEncoder(headerOf(volume, request), frameBytes, room);
  yield encoder.start();
  const view = volume.viewOf(request.to);
  const skipped = request.resumed?.records ?? 0;
  let passed = 0;
  for (const plan of planOf(volume, request)) {
    if (passed < skipped) {
      if (isTold(plan)) passed++;
      continue;
    }
    const record = readPlanned(volume, view, plan);
    const frame = record === undefined ? undefined : encoder.add(record);
    if (frame !== undefined) yield frame;
  }
  if (passed < skipped) {
    throw new CommandError(
      'bad-token',
      'EINVAL',
      `the token is ${skipped} records into a stream that has ${passed}`,
    );
  }
  const last = encoder.flush();
  if (last !== undefined) yield last;
  yield encoder.finish();
}
