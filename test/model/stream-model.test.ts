/**
 * Random histories, sent in full and in chains of incremental streams: what is
 * received is what was sent, place by place, and sound; also when every stream
 * is interrupted again and again, and across restores.
 */
import { mkdirSync, writeFileSync, linkSync, symlinkSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { sendStream, decodeToken, estimate, requestOfToken } from '../../src/sync/stream/sender.js';
import { StreamReceiver } from '../../src/sync/stream/receive-stream.js';
import { RandomHistory } from '../unit/volume/random-history.js';
import {
  assertSame,
  pushCut,
  receive,
  receiverOf,
  requestOf,
  shownOf,
  streamOf,
} from '../unit/sync/stream-trees.js';
import { VolumeFixture } from '../unit/volume/volume-fixture.js';

const SEED = Number(process.env['SEED'] ?? Date.now() % 2 ** 31);
const HISTORIES = Number(process.env['HISTORIES'] ?? 12);
const STEPS = 250;
/** Preamble, header, trailer and the framing of a few frames. */
const FRAMING_BYTES = 1500;

function fillBase(path: string): void {
  mkdirSync(join(path, 'a/b'), { recursive: true });
  mkdirSync(join(path, 'c'));
  writeFileSync(join(path, 'a/c'), 'x'.repeat(10_000));
  writeFileSync(join(path, 'a/b/d'), 'deep');
  writeFileSync(join(path, 'e'), 'y'.repeat(5000));
  linkSync(join(path, 'e'), join(path, 'c/f'));
  linkSync(join(path, 'e'), join(path, 'c/h'));
  symlinkSync('a/c', join(path, 'g'));
  writeFileSync(join(path, 'c/d'), '');
  truncateSync(join(path, 'c/d'), 30_000);
}

function sound(fixture: VolumeFixture): void {
  const damage = fixture.check().findings.filter(({ kind }) => kind === 'damage');
  if (damage.length > 0) throw new Error(JSON.stringify(damage.slice(0, 3)));
}

/** Receives with an interruption after each frame, each time with a new receiver. */
function receiveInPieces(
  source: VolumeFixture,
  target: VolumeFixture,
  to: string,
  from?: string,
): void {
  let request = requestOf(source, to, from);
  for (let round = 0; ; round++) {
    const receiver = new StreamReceiver(receiverOf(target));
    let frames = 0;
    for (const frame of sendStream(source.volume, request, 600)) {
      if (frames++ === 2 + (round % 3)) break;
      if (pushCut(receiver, frame).length > 0) return;
    }
    const token = receiver.suspend();
    if (round % 4 === 3) target.close();
    if (token !== undefined) request = requestOfToken(source.volume, decodeToken(token));
  }
}

/** A stream says what two snapshots show, whatever the collector has done since it was made. */
class Streams {
  readonly #known: { to: string; from: string | undefined; bytes: Buffer }[] = [];

  constructor(readonly source: VolumeFixture) {}

  note(to: string, from?: string): void {
    const { source } = this;
    const bytes = Buffer.concat(streamOf(source, to, from));
    this.#known.push({ to, from, bytes });
    const most = estimate(source.volume, requestOf(source, to, from)).bytes + FRAMING_BYTES;
    if (bytes.length > most) throw new Error(`${to} has ${bytes.length} bytes, at most ${most}`);
  }

  compare(): void {
    const { source } = this;
    source.collect();
    for (const { to, from, bytes } of this.#known.splice(0)) {
      const isThere = (name: string | undefined): boolean =>
        name === undefined || source.volume.snapshot(name) !== undefined;
      if (!isThere(to) || !isThere(from)) continue;
      const again = Buffer.concat(streamOf(source, to, from));
      if (!again.equals(bytes)) throw new Error(`another stream of ${to} from ${from}`);
    }
  }
}

function history(t: { teardown(body: () => void): unknown }, seed: number, hasBase: boolean): void {
  const source = new VolumeFixture(t, {}, hasBase ? fillBase : undefined);
  const run = new RandomHistory(source, seed);
  const target = new VolumeFixture(t);
  const inPieces = new VolumeFixture(t);
  let last: string | undefined;
  let sent = 0;
  const streams = new Streams(source);
  for (let i = 0; i < STEPS; i++) {
    run.step();
    if (run.random(12) !== 0) continue;
    const name = `sent-${sent++}`;
    source.save(name);
    const present = last !== undefined && source.volume.snapshot(last) !== undefined;
    if (last !== undefined && !present) break;
    receive(target, streamOf(source, name, last));
    assertSame(shownOf(source, name), shownOf(target, name));
    receiveInPieces(source, inPieces, name, last);
    assertSame(shownOf(source, name), shownOf(inPieces, name));
    if (run.random(3) === 0) target.collect();
    if (run.random(4) === 0) sound(target);
    streams.note(name, last);
    streams.note(name);
    if (run.random(3) === 0) streams.compare();
    last = name;
  }
  if (last === undefined) return;
  sound(source);
  sound(target);
  sound(inPieces);
  // What was received is sent on, in full.
  const third = new VolumeFixture(t);
  receive(third, streamOf(target, last));
  assertSame(shownOf(target, last), shownOf(third, last));
  sound(third);
  for (const fixture of [source, target, inPieces, third]) fixture.close();
}

for (const hasBase of [false, true]) {
  t.test(hasBase ? 'over a base' : 'without a base', async (t) => {
    for (let i = 0; i < HISTORIES; i++) {
      const seed = (SEED + i) % 2 ** 31;
      try {
        history(t, seed, hasBase);
      } catch (error) {
        t.comment(`SEED=${seed} HISTORIES=1`);
        throw error;
      }
    }
    t.pass(`${HISTORIES} histories`);
  });
}
