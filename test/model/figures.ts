/**
 * Figs 10 and 13 (native-notes/design.md, section 10), literally: one file
 * system whose blocks are changed in place, and snapshots of shadow inodes in which every block is an
 * own disk address, a hole, or a ditto ("no address here, look further").
 *
 * Slow and plain on purpose: it shares no idea with the volume, so that both
 * being wrong in the same way is unlikely.
 */

/** What a shadow inode says of a block; absent: ditto. */
type ShadowBlock = number | 'hole';

interface ShadowInode {
  blocks: Map<number, ShadowBlock>;
  /** The source inode is gone and all it had was preserved: a ditto is a hole. */
  whole: boolean;
}

interface ShadowSnapshot {
  name: string;
  inodes: Map<number, ShadowInode>;
}

export class Figures {
  /** Disk: address → bytes of one block. */
  #disk = new Map<number, Buffer>();
  #nextAddress = 1;
  /** The file system: inode → block index → address. An absent block is a hole. */
  #source = new Map<number, Map<number, number>>();
  /** Oldest first. */
  #snapshots: ShadowSnapshot[] = [];

  clone(): Figures {
    const copy = new Figures();
    copy.#disk = new Map(this.#disk);
    copy.#nextAddress = this.#nextAddress;
    for (const [ino, blocks] of this.#source) copy.#source.set(ino, new Map(blocks));
    copy.#snapshots = this.#snapshots.map(({ name, inodes }) => ({
      name,
      inodes: new Map(
        [...inodes].map(([ino, { blocks, whole }]) => [ino, { blocks: new Map(blocks), whole }]),
      ),
    }));
    return copy;
  }

  #allocate(bytes: Buffer): number {
    const address = this.#nextAddress++;
    this.#disk.set(address, bytes);
    return address;
  }

  /** Row S1: a new snapshot is empty; it holds dittos only. */
  snapshot(name: string, files: Iterable<number>): void {
    const inodes = new Map<number, ShadowInode>();
    for (const ino of files) inodes.set(ino, { blocks: new Map(), whole: false });
    this.#snapshots.push({ name, inodes });
  }

  /** Fig 13: what the newest snapshot needs is preserved, then the source is changed in place. */
  modify(ino: number, index: number, bytes: Buffer | undefined): void {
    this.#preserve(ino, index);
    let blocks = this.#source.get(ino);
    if (blocks === undefined) {
      blocks = new Map();
      this.#source.set(ino, blocks);
    }
    const address = blocks.get(index);
    if (bytes === undefined) {
      if (address !== undefined) this.#disk.delete(address);
      blocks.delete(index);
    } else if (address === undefined) {
      blocks.set(index, this.#allocate(bytes));
    } else {
      this.#disk.set(address, bytes);
    }
  }

  #preserve(ino: number, index: number): void {
    const shadow = this.#snapshots.at(-1)?.inodes.get(ino);
    if (shadow === undefined || shadow.whole || shadow.blocks.has(index)) return;
    const address = this.#source.get(ino)?.get(index);
    // A new data block for the snapshot, and the source's bytes copied into it.
    const own = address === undefined ? 'hole' : this.#allocate(this.#disk.get(address) as Buffer);
    shadow.blocks.set(index, own);
  }

  /** The source inode goes, and its blocks with it. */
  remove(ino: number): void {
    for (const index of [...(this.#source.get(ino)?.keys() ?? [])]) {
      this.modify(ino, index, undefined);
    }
    const shadow = this.#snapshots.at(-1)?.inodes.get(ino);
    if (shadow !== undefined) shadow.whole = true;
    this.#source.delete(ino);
  }

  /** Row S6: what older snapshots see through this one is handed to the next older. */
  deleteSnapshot(name: string): void {
    const at = this.#indexOf(name);
    const [gone] = this.#snapshots.splice(at, 1);
    const older = this.#snapshots[at - 1];
    for (const [ino, { blocks, whole }] of (gone as ShadowSnapshot).inodes) {
      const heir = older?.inodes.get(ino);
      for (const [index, own] of blocks) {
        if (heir !== undefined && !heir.whole && !heir.blocks.has(index))
          heir.blocks.set(index, own);
        else if (own !== 'hole') this.#disk.delete(own);
      }
      if (heir !== undefined && whole) heir.whole = true;
    }
  }

  renameSnapshot(from: string, to: string): void {
    (this.#snapshots[this.#indexOf(from)] as ShadowSnapshot).name = to;
  }

  #indexOf(name: string): number {
    const at = this.#snapshots.findIndex((snapshot) => snapshot.name === name);
    if (at < 0) throw new Error(`the figures know no snapshot ${name}`);
    return at;
  }

  /** Blocks of the source and of the shadow inodes of a file, for the comparison. */
  indices(ino: number): Set<number> {
    const indices = new Set<number>(this.#source.get(ino)?.keys() ?? []);
    for (const { inodes } of this.#snapshots) {
      for (const index of inodes.get(ino)?.blocks.keys() ?? []) indices.add(index);
    }
    return indices;
  }

  /** Fig 10. Undefined: a hole. */
  read(name: string, ino: number, index: number): Buffer | undefined {
    let at = this.#indexOf(name);
    for (;;) {
      // 1004: access the shadow inode corresponding to the source file.
      const shadow = this.#snapshots[at]?.inodes.get(ino);
      if (shadow === undefined) throw new Error(`no shadow inode ${ino} in snapshot ${at}`);
      // 1006: disk address included?
      const own = shadow.blocks.get(index);
      if (own === 'hole' || (own === undefined && shadow.whole)) return undefined;
      // 1008: retrieve the block the snapshot addresses.
      if (own !== undefined) return this.#disk.get(own);
      // 1012, 1010: is there a more recent snapshot? Go to it.
      if (at + 1 < this.#snapshots.length) at++;
      else return this.readSource(ino, index);
    }
  }

  /** 1014: the block that the source inode addresses. */
  readSource(ino: number, index: number): Buffer | undefined {
    const address = this.#source.get(ino)?.get(index);
    return address === undefined ? undefined : this.#disk.get(address);
  }
}
