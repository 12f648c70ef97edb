/** Sends between fixtures, and compares what two volumes show, place by place. */
import assert from 'node:assert/strict';
import type { StreamHeader } from '../../../src/format/wire/stream.js';
import { ROOT_INODE } from '../../../src/format/records/tables.js';
import { type ReceiveAnswer, Receiver } from '../../../src/sync/stream/receiver.js';
import { StreamReceiver } from '../../../src/sync/stream/receive-stream.js';
import { type SendRequest, sendStream } from '../../../src/sync/stream/sender.js';
import type { Inode } from '../../../src/volume/inode.js';
import { isData } from '../../../src/volume/files/block-map.js';
import type { View } from '../../../src/volume/view.js';
import type { Volume } from '../../../src/volume/volume.js';
import type { VolumeFixture } from '../volume/volume-fixture.js';

/** A sequence that is the same in every run. */
function counter(): () => number {
  let next = 0.1;
  return () => {
    next = (next * 7 + 0.13) % 1;
    return next;
  };
}

export function requestOf(fixture: VolumeFixture, to: string, from?: string): SendRequest {
  fixture.flush();
  const { volume } = fixture;
  return {
    to: volume.requireSnapshot(to),
    ...(from !== undefined && { from: volume.requireSnapshot(from) }),
  };
}

export function streamOf(fixture: VolumeFixture, to: string, from?: string): Buffer[] {
  return [...sendStream(fixture.volume, requestOf(fixture, to, from))];
}

export function receiverOf(fixture: VolumeFixture, force = false): (h: StreamHeader) => Receiver {
  return () => new Receiver(fixture.volume, { force, random: counter(), source: 'test' });
}

/** In two pieces, whose memory serves for something else once they are taken. */
export function pushCut(receiver: StreamReceiver, frame: Buffer): ReceiveAnswer[] {
  const middle = Math.floor(frame.length / 3);
  return [frame.subarray(0, middle), frame.subarray(middle)].flatMap((part) => {
    const piece = Buffer.from(part);
    const answers = receiver.push(piece);
    piece.fill(0xff);
    return answers;
  });
}

/** Takes whole streams. Returns the answers, one for each. */
export function receive(
  fixture: VolumeFixture,
  frames: Iterable<Buffer>,
  force = false,
): ReceiveAnswer[] {
  const receiver = new StreamReceiver(receiverOf(fixture, force));
  const answers: ReceiveAnswer[] = [];
  for (const frame of frames) answers.push(...pushCut(receiver, frame));
  receiver.end();
  return answers;
}

export interface Shown {
  volume: Volume;
  view: View;
}

export function shownOf(fixture: VolumeFixture, name: string): Shown {
  return { volume: fixture.volume, view: fixture.view(name) };
}

function fields(inode: Inode, isFromBase: boolean): unknown {
  const { ino, mode, uid, gid, rdev, nlink, size, target } = inode;
  const { atimeS, atimeNs, mtimeS, mtimeNs, ctimeS, ctimeNs, btimeS, btimeNs } = inode;
  return {
    ...{ ino, mode, uid, gid, rdev, size, target },
    ...{ mtimeS, mtimeNs, ctimeS, ctimeNs, btimeS, btimeNs },
    // The host counts names that lie outside, what it has set aside, and who reads there.
    ...(!isFromBase && { nlink, allocated: inode.allocated, atimeS, atimeNs }),
  };
}

/** Data and holes, block by block, and the bytes. */
function content({ volume, view }: Shown, inode: Inode): { bytes: Buffer; holes: number[] } {
  const bytes = Buffer.alloc(inode.size);
  volume.read(view, inode, 0, inode.size, bytes, 0);
  const { blockSize } = volume.options;
  const holes: number[] = [];
  for (let index = 0; index * blockSize < inode.size; index++) {
    const source = volume.blocks.source(view, inode, index);
    if (!isData(source)) holes.push(index);
  }
  return { bytes, holes };
}

/** Throws at the first difference. Returns the number of inodes. */
export function assertSame(sent: Shown, received: Shown): number {
  const seen = new Set<number>();
  const compare = (path: string, a: Inode | undefined, b: Inode | undefined): void => {
    assert.ok(a !== undefined && b !== undefined, `${path} is on both sides`);
    const isFromBase = a.base !== undefined;
    assert.deepEqual(fields(b, isFromBase), fields(a, isFromBase), path);
    assert.equal(b.base, undefined, `${path} is whole`);
    if (seen.has(a.ino)) return;
    seen.add(a.ino);
    const names = sent.volume.listAttributes(sent.view, a).sort();
    assert.deepEqual(received.volume.listAttributes(received.view, b).sort(), names, path);
    for (const name of names) {
      const value = sent.volume.readAttribute(sent.view, a, name);
      const other = received.volume.readAttribute(received.view, b, name);
      assert.deepEqual(Buffer.from(other ?? []), Buffer.from(value ?? []), `${path}: ${name}`);
    }
    if (a.isRegular) {
      const [left, right] = [content(sent, a), content(received, b)];
      assert.ok(left.bytes.equals(right.bytes), `the bytes of ${path}`);
      if (!isFromBase) assert.deepEqual(right.holes, left.holes, `the holes of ${path}`);
    }
    if (a.isDirectory) walk(path, a, b);
  };
  const walk = (path: string, a: Inode, b: Inode): void => {
    const [left, right] = [listed(sent, a), listed(received, b)];
    assert.deepEqual(right, left, `the names in ${path}`);
    for (const [name] of left) {
      compare(
        `${path}/${name}`,
        sent.volume.lookup(sent.view, a, name),
        received.volume.lookup(received.view, b, name),
      );
    }
  };
  compare(
    '',
    sent.volume.inode(sent.view, ROOT_INODE),
    received.volume.inode(received.view, ROOT_INODE),
  );
  return seen.size;
}

function listed({ volume, view }: Shown, directory: Inode): [string, number, number][] {
  const names: [string, number, number][] = [];
  volume.list(view, directory, 0, (name, ino, type) => {
    names.push([name, ino, type]);
    return true;
  });
  return names;
}
