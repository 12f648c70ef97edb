/**
 * What the records of one inode hide of its blocks, names and attributes
 * (rules D4, D5, G1), in the order of the tour. Records that hide the same as
 * the one below them are left out: what that one does not hide was written
 * after all it speaks of.
 */
import { areSameClips } from '../../format/clips.js';
import { type Hiding, isHidden, isSameGiven } from '../../format/given.js';
import { CorruptionError } from '../../lib/errors.js';
import { decodeInode, isGivenRecord } from '../../format/records/inode-record.js';
import { Inode } from '../inode.js';

/** Where the number of clips stands in an inode record. */
const CLIP_COUNT_AT = 2;

type State = Hiding | 'gone';

interface HidingRecord {
  /** The place of its layer in the tour. */
  place: number;
  state: State;
}

export class InodeHiding {
  #records: HidingRecord[] = [];
  /** Of all clips, ascending. */
  #sizes: number[] = [];

  /** `end`: one behind the last layer that comes from a layer. */
  constructor(readonly endOf: (place: number) => number) {}

  clear(): void {
    if (this.#records.length === 0) return;
    this.#records = [];
    this.#sizes = [];
  }

  /** A record of the inode. `isReturning`: what it gave to the base still counts (rule G6). */
  add(ino: number, place: number, value: Buffer, isReturning: boolean): void {
    const isGone = value[0] === 0;
    if (!isGone && value[CLIP_COUNT_AT] === 0 && !isGivenRecord(value)) return;
    const state = stateOf(ino, value);
    if (state === undefined) return;
    this.#records.push({
      place,
      state: isReturning && state !== 'gone' ? { ...state, given: undefined } : state,
    });
  }

  /** After the last record. */
  sort(): void {
    if (this.#records.length === 0) return;
    const clips = this.#records.flatMap(({ state }) => (state === 'gone' ? [] : state.clips));
    this.#sizes = [...new Set(clips.map(({ size }) => size))].sort((a, b) => a - b);
    if (this.#records.length < 2) return;
    this.#records.sort((a, b) => a.place - b.place);
    const below: HidingRecord[] = [];
    this.#records = this.#records.filter((record) => {
      for (let last = below.at(-1); last !== undefined; last = below.at(-1)) {
        if (record.place < this.endOf(last.place)) break;
        below.pop();
      }
      const parent = below.at(-1);
      below.push(record);
      return parent === undefined || !isSame(parent.state, record.state);
    });
  }

  /** Of versions of the same layer and step at two offsets, both are hidden or none. */
  isAlike(a: number | undefined, b: number | undefined): boolean {
    if (a === undefined || b === undefined) return a === b;
    return this.#sizes.every((size) => size <= a === size <= b);
  }

  get count(): number {
    return this.#records.length;
  }

  placeAt(index: number): number {
    return (this.#records[index] as HidingRecord).place;
  }

  /** Whether a record hides a version; `offset` undefined: it is no block. */
  hides(index: number, offset: number | undefined, layer: number, step: number): boolean {
    const { state } = this.#records[index] as HidingRecord;
    if (state === 'gone') return true;
    return offset !== undefined && isHidden(state, offset, layer, step);
  }
}

function stateOf(ino: number, value: Buffer): State | undefined {
  const inode = new Inode(ino);
  try {
    if (!decodeInode(value, inode, () => `inode ${ino}`)) return 'gone';
    return { clips: inode.clips, given: inode.given };
  } catch (error) {
    // A damaged record hides nothing, for the collector either.
    if (error instanceof CorruptionError) return undefined;
    throw error;
  }
}

/** What is gone hides all from before, also what came between two such records. */
function isSame(a: State, b: State): boolean {
  if (a === 'gone' || b === 'gone') return false;
  return areSameClips(a.clips, b.clips) && isSameGiven(a.given, b.given);
}
