/**
 * Checks one inode in one view: its fields, its clips (rule D4), its blocks
 * against its size, and its base reference (rule D10).
 */
import { clipFaults } from '../format/clips.js';
import { type Given, isGiven, isHidden } from '../format/given.js';
import { blockIndexOf, blockKey, layerOf, placeOf, stepOf } from '../format/records/keys.js';
import {
  isBaseNumber,
  MAX_CLIPS,
  MAX_FILE_SIZE,
  MAX_LAYER,
  MAX_STEP,
  TABLE,
} from '../format/records/tables.js';
import { BLOCK_HEADER_LENGTH, BLOCK_HOLE } from '../format/records/values.js';
import { type BaseStat, isStatOf } from '../base/base-stat.js';
import { messageOf } from '../lib/errors.js';
import { type CheckState, shownBytes } from './report.js';
import type { BaseReference } from '../base/base-reference.js';
import {
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from '../lib/file-mode.js';
import { hasBase } from '../volume/catalog.js';
import { frozenOf } from '../volume/freeze/frozen.js';
import type { Inode } from '../volume/inode.js';
import type { ReadableVolume } from '../volume/readable-volume.js';
import type { View } from '../volume/view.js';

const TYPES = new Set([S_IFSOCK, S_IFLNK, S_IFREG, S_IFBLK, S_IFDIR, S_IFCHR, S_IFIFO]);
const MAX_NS = 999_999_999;
/** An allocation larger than the blocks of the file's size by more than this is impossible. */
const SLACK_BYTES = 2 ** 20;

/** A version of a block that a view reads. */
interface SeenBlock {
  layer: number;
  step: number;
  /** Bytes of data; undefined for a hole. */
  length: number | undefined;
}

export class CheckInodes {
  /** Base references already compared with the base directory. */
  readonly #compared = new Set<string>();

  constructor(
    readonly volume: ReadableVolume,
    readonly state: CheckState,
  ) {}

  check(view: View, inode: Inode, where: () => string): void {
    this.#fields(inode, where);
    this.#layers(view, inode, where);
    this.#clips(view, inode, where);
    this.#blocks(view, inode, where);
    if (inode.given !== undefined) this.#given(view, inode, inode.given, where);
    if (inode.bytesInBase !== undefined) this.#base(inode, inode.bytesInBase, where);
  }

  #fields(inode: Inode, where: () => string): void {
    const bad = (what: string): void => this.state.add('format', what, where());
    if (!TYPES.has(inode.mode & S_IFMT)) bad(`the mode ${inode.mode.toString(8)} has no file type`);
    if (inode.size > MAX_FILE_SIZE) bad(`the size ${inode.size} is too large`);
    const ns = Math.max(inode.atimeNs, inode.mtimeNs, inode.ctimeNs, inode.btimeNs);
    if (ns > MAX_NS) bad(`a time has ${ns} nanoseconds`);
    if (inode.isSymlink !== (inode.target !== undefined)) {
      bad(inode.isSymlink ? 'a symbolic link has no target' : 'it has a target and is no link');
    } else if (inode.target !== undefined && inode.base === undefined) {
      if (inode.target.length !== inode.size) bad('the size is not the length of the target');
    }
    const { blockSize } = this.volume.options;
    const most = Math.ceil(inode.size / blockSize) * blockSize + SLACK_BYTES;
    if (inode.base === undefined && !(inode.allocated <= most)) {
      bad(`${inode.allocated} bytes are allocated for ${inode.size}`);
    }
  }

  /** Layers named in the inode lie on the view's path, or were folded away. */
  #layers(view: View, inode: Inode, where: () => string): void {
    const { layers } = this.volume;
    for (const [name, layer] of [
      ['birth', inode.birthLayer],
      ['data', inode.dataLayer],
    ] as const) {
      const isForeign = layer > inode.layer || (layers.has(layer) && !view.includes(layer));
      if (layer !== 0 && isForeign) {
        this.state.add('F1', `the ${name} layer ${layer} is not below the inode`, where());
      }
    }
  }

  #clips(view: View, inode: Inode, where: () => string): void {
    const { layers } = this.volume;
    const bad = (what: string): void => this.state.add('D4', what, where());
    for (const fault of clipFaults(inode.clips)) bad(fault);
    for (const { layer } of inode.clips) {
      if (layer > inode.layer || (layers.has(layer) && !view.includes(layer))) {
        bad(`the layer ${layer} of a clip is not below the inode`);
      }
    }
  }

  #given(view: View, inode: Inode, { layer, ref }: Given, where: () => string): void {
    const bad = (rule: string, what: string): void => this.state.add(rule, what, where());
    const { layers } = this.volume;
    if (!inode.isRegular || isBaseNumber(inode.ino) || inode.base !== undefined) {
      bad('G1', 'only a file that the tree made can have given its bytes to the base');
    }
    if (layer > inode.layer || (layers.has(layer) && !view.includes(layer))) {
      bad('G1', `the layer ${layer} that was given is not below the inode`);
    }
    if (inode.clips.some((clip) => isGiven(inode.given, clip.layer, clip.step))) {
      bad('G2', 'a clip is older than what was given');
    }
    if (inode.clips.length >= MAX_CLIPS) bad('G2', 'there is no room for one more clip');
    if (!ref.path.split('/').every((name) => !['', '.', '..'].includes(name))) {
      bad('G1', 'its path leads out of the base');
    }
    if (!this.volume.catalog.mayHaveGiven) {
      bad('G7', 'the format does not say that bytes were given to the base');
    }
    // A frozen volume has lost what the base had lost before (rule G5).
    const { store } = this.volume;
    if (!hasBase(store) && frozenOf(store) === undefined) {
      bad('G1', 'its bytes are in the base, and there is none');
    }
  }

  /** Nothing is read from beyond the end, and no block exists where no read looks. */
  #blocks(view: View, inode: Inode, where: () => string): void {
    const { blockSize } = this.volume.options;
    const partial = inode.isRegular ? inode.size % blockSize : 0;
    const lastIndex = Math.floor(inode.size / blockSize);
    const end = inode.isRegular ? Math.ceil(inode.size / blockSize) : 0;
    if (inode.dataLayer !== 0 && this.#endIsPlain(view, inode, end, partial)) return;
    // Reads skip a file without a data layer.
    const first = this.#isWithoutBlocks(inode) ? 0 : end;
    for (const index of this.#indices(view, inode.ino, first)) {
      const block = this.#seen(view, inode, index);
      if (block?.length === undefined) continue;
      if (index >= end) {
        this.state.add('D4', `block ${index} lies beyond the end, ${inode.size}`, where());
      } else {
        this.state.add('V1', `block ${index} is there, and the inode has no data layer`, where());
      }
      break;
    }
    const last = partial === 0 ? undefined : this.#seen(view, inode, lastIndex);
    if (last?.length !== undefined && last.length > partial) {
      const what = `block ${lastIndex} has ${last.length} bytes, the file ends after ${partial}`;
      this.state.add('D4', what, where());
    }
    if (last !== undefined && last.layer === inode.layer && last.step > inode.step) {
      this.state.add('D4', `block ${lastIndex} has step ${last.step} of ${inode.step}`, where());
    }
  }

  /** Reads look for no block; the base layer may have some of a base file (rule F10). */
  #isWithoutBlocks({ dataLayer, base }: Inode): boolean {
    return dataLayer === 0 && (base === undefined || !this.volume.hasBaseRecords);
  }

  /**
   * Answers with one seek: no block lies beyond the end, and the last block has
   * one version, which fits.
   */
  #endIsPlain(view: View, inode: Inode, end: number, partial: number): boolean {
    const { fileset } = view;
    const { ino, clips, given, layer, step } = inode;
    if (clips.length > 0 || given !== undefined) return false;
    const first = partial === 0 ? end : end - 1;
    const start = blockKey(fileset, ino, first, MAX_LAYER, MAX_STEP);
    const stop = blockKey(fileset, ino + 1, 0, MAX_LAYER, MAX_STEP);
    let isPlain = true;
    let found = 0;
    const reader = this.volume.store;
    reader.visit(
      TABLE.blocks,
      start,
      stop,
      ({ keyBytes, keyStart, keyEnd, value, valueLength }) => {
        const key = keyBytes.subarray(keyStart, keyEnd);
        const own = layerOf(TABLE.blocks, key);
        const length = value[0] === BLOCK_HOLE ? 0 : valueLength - BLOCK_HEADER_LENGTH;
        isPlain =
          ++found === 1 &&
          blockIndexOf(key) < end &&
          view.includes(own) &&
          length <= partial &&
          (own !== layer || stepOf(key) <= step);
        return isPlain;
      },
    );
    return isPlain;
  }

  /** Indices from `first` on that have a version in any layer. */
  *#indices(view: View, ino: number, first: number): Generator<number> {
    const start = blockKey(view.fileset, ino, first, MAX_LAYER, MAX_STEP);
    const end = blockKey(view.fileset, ino + 1, 0, MAX_LAYER, MAX_STEP);
    let last = -1;
    const range = this.volume.store.range(TABLE.blocks, start, end, { keysOnly: true });
    for (const { key } of range) {
      const index = blockIndexOf(key);
      if (index !== last) yield index;
      last = index;
    }
  }

  /** The visible version at an index; undefined: none, or cut off by a clip. */
  #seen(view: View, inode: Inode, index: number): SeenBlock | undefined {
    const key = blockKey(view.fileset, inode.ino, index, 0, 0);
    const found = this.volume.newest(TABLE.blocks, placeOf(TABLE.blocks, key), view);
    if (found === undefined) return undefined;
    const step = stepOf(found.key);
    const layer = layerOf(TABLE.blocks, found.key);
    if (isHidden(inode, index * this.volume.options.blockSize, layer, step)) return undefined;
    if (!inode.readsLayer(layer)) return undefined;
    const isHole = found.value[0] === BLOCK_HOLE;
    return { layer, step, length: isHole ? undefined : found.value.length - BLOCK_HEADER_LENGTH };
  }

  /** Compares each reference once with its base file. */
  #base(inode: Inode, reference: BaseReference, where: () => string): void {
    const { base } = this.volume;
    if (base === undefined || inode.nlink === 0 || reference.isStored) return;
    const isDirectory = inode.isDirectory;
    if (!isDirectory && this.volume.blocks.baseEnd(inode) === 0) return;
    const key = `${reference.ctimeS}.${reference.ctimeNs}.${reference.size}/${reference.path}`;
    if (this.#compared.has(key)) return;
    this.#compared.add(key);
    const bad = (what: string): void =>
      this.state.add(
        'D10',
        what,
        `${where()}, base path ${shownBytes(reference.path) || '.'}`,
        'base',
      );
    let stat: BaseStat | undefined;
    try {
      stat = base.lstat(reference.path);
    } catch (error) {
      bad(messageOf(error));
      return;
    }
    if (stat === undefined) bad('the base file is not there any more');
    else if (isDirectory) {
      if ((stat.mode & S_IFMT) !== S_IFDIR) bad('the base has no directory there any more');
    } else if (!isStatOf(stat, reference, base.rootStat.device)) bad('the base file has changed');
  }
}
