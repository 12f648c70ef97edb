/** Makes a new volume: its first records, in one transaction. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../lib/clock.js';
import { encodeInode } from '../format/records/inode-record.js';
import { inodeKey, layerKey, uint32Key } from '../format/records/keys.js';
import { FIRST_USE, formatOf } from '../format/records/volume-format.js';
import { BASE_LAYER, ROOT_FILESET, ROOT_INODE, TABLE } from '../format/records/tables.js';
import { encodeJson } from '../format/records/values.js';
import { createVolumeFiles } from '../store/open.js';
import { StoreWriter } from '../store/writer.js';
import type { BaseDirectory } from '../base/base-directory.js';
import { S_IFDIR } from '../lib/file-mode.js';
import { Inode } from './inode.js';
import { checkOptions, type VolumeOptions } from './options.js';
import { putRevision } from './upgrade.js';

/** What a volume remembers about its base. */
export interface StoredBase {
  path: string;
  device: number;
  hostInode: number;
  btimeS: number;
  btimeNs: number;
}

export interface NewVolume {
  path: string;
  options: VolumeOptions;
  clock: Clock;
  /** Absolute path and descriptor of the base; absent: a volume without a base. */
  base?: { path: string; directory: BaseDirectory };
  /** Owner of the root directory of a volume without a base. */
  uid: number;
  gid: number;
}

export function storedBase(path: string, directory: BaseDirectory): StoredBase {
  const { device, hostInode, btimeS, btimeNs } = directory.rootStat;
  return { path, device, hostInode, btimeS, btimeNs };
}

/** Throws CommandError when the place is taken or the options are wrong. */
export function createVolume(what: NewVolume): void {
  checkOptions(what.options);
  const { compression } = what.options;
  createVolumeFiles(what.path, { compression }, (path) => putFirstRecords(path, what));
}

function putFirstRecords(path: string, what: NewVolume): void {
  const writer = StoreWriter.open(path, { compression: what.options.compression });
  const nowMs = what.clock.nowMs();
  const openLayer = BASE_LAYER + 1;
  writer.transaction((tx) => {
    const meta = (name: string, value: unknown): void =>
      tx.put(TABLE.meta, Buffer.from(name), encodeJson(value));
    meta('format', formatOf(FIRST_USE));
    putRevision(tx);
    meta('uuid', randomUUID());
    meta('options', what.options);
    meta('nextLayer', openLayer + 1);
    meta('nextInode', {});
    meta('nextHistory', 1);
    meta('created', nowMs);
    if (what.base !== undefined) meta('base', storedBase(what.base.path, what.base.directory));
    const layer = { fileset: ROOT_FILESET, branch: 'main', createdMs: nowMs };
    tx.put(TABLE.layers, layerKey(BASE_LAYER), encodeJson({ ...layer, parent: 0, state: 'base' }));
    tx.put(
      TABLE.layers,
      layerKey(openLayer),
      encodeJson({ ...layer, parent: BASE_LAYER, state: 'open' }),
    );
    tx.put(
      TABLE.filesets,
      uint32Key(ROOT_FILESET),
      encodeJson({ name: 'root', rootInode: ROOT_INODE, openLayer }),
    );
    if (what.base === undefined) {
      const root = rootDirectory(what, openLayer);
      tx.put(TABLE.inodes, inodeKey(ROOT_FILESET, ROOT_INODE, openLayer), encodeInode(root));
    }
  });
  writer.close();
}

function rootDirectory(what: NewVolume, layer: number): Inode {
  const now = what.clock.now();
  const root = new Inode(ROOT_INODE);
  root.mode = S_IFDIR | 0o755;
  root.uid = what.uid;
  root.gid = what.gid;
  root.nlink = 2;
  root.birthLayer = layer;
  root.atimeS = root.mtimeS = root.ctimeS = root.btimeS = now.s;
  root.atimeNs = root.mtimeNs = root.ctimeNs = root.btimeNs = now.ns;
  return root;
}
