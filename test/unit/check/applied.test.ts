/** `check` after an apply: what it leaves is sound, and each damage of it has a finding. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import t, { type Test } from 'tap';
import {
  decodeInode,
  encodeGoneInode,
  encodeInode,
} from '../../../src/format/records/inode-record.js';
import { blockKey, entryKey, inodeKey, xattrKey } from '../../../src/format/records/keys.js';
import { nameHash } from '../../../src/format/records/name-hash.js';
import { ROOT_INODE, TABLE } from '../../../src/format/records/tables.js';
import {
  BLOCK_HEADER_LENGTH,
  encodeAttribute,
  encodeEntry,
  encodeJson,
  encodeOrphan,
} from '../../../src/format/records/values.js';
import type { WriteTransaction } from '../../../src/store/write-transaction.js';
import { Inode } from '../../../src/volume/inode.js';
import {
  journalState,
  type OpenJournal,
  openJournal,
} from '../../../src/volume/apply/journal-file.js';
import { applyAll, applying } from '../volume/apply-fixture.js';
import { VolumeFixture } from '../volume/volume-fixture.js';

const BASE = 1;
const JOURNAL = 'apply.journal';

function based(t: Test): VolumeFixture {
  const fixture = new VolumeFixture(t, {}, (path) => {
    mkdirSync(join(path, 'd'));
    writeFileSync(join(path, 'd/f'), 'f'.repeat(9000));
    writeFileSync(join(path, 'gone'), 'gone');
    writeFileSync(join(path, 'kept'), 'kept');
  });
  fixture.write('d/f', 'changed', 5000);
  fixture.unlink('gone');
  fixture.write('new', 'new');
  fixture.rename('kept', 'moved');
  fixture.save('one');
  return fixture;
}

function shown(fixture: VolumeFixture): string[] {
  const { findings } = fixture.check();
  return findings.map(({ kind, rule, what, where }) => `${kind} ${rule} ${what} @ ${where}`);
}

interface Known {
  /** The file that was made anew, one that the tree made, and one that is no base file's number. */
  f: number;
  made: number;
  open: number;
  one: number;
}

function change(tx: WriteTransaction, ino: number, body: (inode: Inode) => void): void {
  const key = inodeKey(1, ino, BASE);
  const inode = new Inode(ino);
  decodeInode(Buffer.from(tx.get(TABLE.inodes, key) as Buffer), inode, () => 'test');
  body(inode);
  tx.put(TABLE.inodes, key, encodeInode(inode));
}

const meta = (name: string): Buffer => Buffer.from(name);

const DAMAGES: [string, (tx: WriteTransaction, known: Known) => void, RegExp][] = [
  [
    'A7: the format of before',
    (tx) => tx.put(TABLE.meta, meta('format'), encodeJson(1)),
    /damage A7 the format does not say/,
  ],
  [
    'A8: a layer that does not exist',
    (tx) => tx.put(TABLE.meta, meta('applied'), encodeJson([{ path: '', layer: 99 }])),
    /damage A8 the layer 99 does not exist @ meta\/applied/,
  ],
  [
    'A8: an open layer',
    (tx, { open }) => tx.put(TABLE.meta, meta('applied'), encodeJson([{ path: '', layer: open }])),
    /damage A8 the layer \d+ is open/,
  ],
  [
    'A8: a path out of the tree',
    (tx, { one }) =>
      tx.put(TABLE.meta, meta('applied'), encodeJson([{ path: '../x', layer: one }])),
    /damage A8 it is not a list of paths and layers/,
  ],
  [
    'A8: the whole tree in the middle',
    (tx, { one }) =>
      tx.put(
        TABLE.meta,
        meta('applied'),
        encodeJson([
          { path: 'd', layer: one },
          { path: '', layer: one },
        ]),
      ),
    /damage A8 the whole tree comes after a part/,
  ],
  [
    'A9: a file of the tree',
    (tx, { made }) => {
      const inode = new Inode(made);
      inode.mode = 0o100644;
      inode.nlink = 1;
      inode.birthLayer = BASE;
      tx.put(TABLE.inodes, inodeKey(1, made, BASE), encodeInode(inode));
    },
    /damage A9 the number is not that of a base file @ inodes inode \d+ layer 1/,
  ],
  [
    'A9: no reference',
    (tx, { f }) => change(tx, f, (inode) => (inode.base = undefined)),
    /damage A9 it does not say where the base has it/,
  ],
  [
    'A9: a clip',
    (tx, { f }) => change(tx, f, (inode) => (inode.clips = [{ layer: 1, step: 1, size: 5 }])),
    /damage A9 it was written to/,
  ],
  [
    'A9: a path out of the base',
    (tx) =>
      change(tx, ROOT_INODE, (inode) => {
        if (inode.base !== undefined) inode.base = { ...inode.base, path: 'a/../..' };
      }),
    /damage A9 its path leads out of the base/,
  ],
  [
    'A9: gone in the base layer',
    (tx, { f }) => tx.put(TABLE.inodes, inodeKey(1, f, BASE), encodeGoneInode()),
    /damage A9 the base has nothing that is gone/,
  ],
  [
    'A9: a name in a directory that the base layer does not have',
    (tx, { f }) => {
      const value = encodeEntry({ ino: f, type: 8, fresh: false });
      tx.put(TABLE.entries, entryKey(1, 77, nameHash('x'), 'x', BASE), value);
    },
    /damage A9 its inode has no record in the base layer @ entries directory 77/,
  ],
  [
    'A9: an xattr of a file that the base layer does not have',
    (tx, { made }) =>
      tx.put(
        TABLE.attributes,
        xattrKey(1, made, 'user.a', BASE),
        encodeAttribute(Buffer.from('1')),
      ),
    /damage A9 its inode has no record in the base layer @ attributes/,
  ],
  [
    'A9: a hole',
    (tx, { f }) =>
      tx.put(TABLE.blocks, blockKey(1, f, 0, BASE, 1), Buffer.alloc(BLOCK_HEADER_LENGTH)),
    /damage A9 it is a hole @ blocks inode \d+ block 0 layer 1/,
  ],
  [
    'A9: an orphan',
    (tx, { f }) => tx.put(TABLE.orphans, inodeKey(1, f, BASE), encodeOrphan(true)),
    /damage A9 the base has no orphans/,
  ],
  [
    'A9: a layer says that the base has nothing of a file',
    (tx, { one, made }) => {
      const key = inodeKey(1, made, one);
      const inode = new Inode(made);
      decodeInode(Buffer.from(tx.get(TABLE.inodes, key) as Buffer), inode, () => 'test');
      const none = { device: 0, hostInode: 1, size: 0, isStored: true };
      inode.base = { path: 'new', mtimeS: 0, mtimeNs: 0, ctimeS: 0, ctimeNs: 0, ...none };
      tx.put(TABLE.inodes, key, encodeInode(inode));
    },
    /damage A9 it says that the base has nothing of it, and the base layer does not/,
  ],
];

t.test('what an apply leaves is sound', (t) => {
  const fixture = based(t);
  applyAll(fixture);
  t.strictSame(shown(fixture), []);
  fixture.write('d/f', 'again');
  fixture.unlink('moved');
  applyAll(fixture);
  t.strictSame(shown(fixture), []);
  fixture.collect();
  t.strictSame(shown(fixture), []);
  t.end();
});

for (const [title, damage, expected] of DAMAGES) {
  t.test(title, (t) => {
    const fixture = based(t);
    applyAll(fixture);
    const known: Known = {
      f: fixture.at('d/f').ino,
      made: fixture.at('new').ino,
      open: fixture.volume.live.top,
      one: fixture.view('one').top,
    };
    fixture.damage((tx) => damage(tx, known));
    t.match(shown(fixture).join('\n'), expected);
    t.end();
  });
}

/** The journal of an apply that was cut off, as versions before had it: one object. */
function cutOff(t: Test): { fixture: VolumeFixture; journal: Record<string, unknown> } {
  const fixture = based(t);
  const work = applying(fixture);
  for (let turns = 0; turns < 1000; turns++) {
    work.next();
    fixture.flush();
    if (journalState(fixture.path) !== 'switching') continue;
    const open = openJournal(fixture.path) as OpenJournal;
    const journal = { ...(open.head as object), steps: [...open.steps()] };
    open.close();
    return { fixture, journal };
  }
  throw new Error('there was no journal');
}

function writeJournal(fixture: VolumeFixture, journal: unknown): void {
  const body = JSON.stringify(journal);
  const sum = crc32(Buffer.from(body)).toString(16).padStart(8, '0');
  writeFileSync(join(fixture.path, JOURNAL), `${sum}\n${body}`);
}

type Steps = Record<string, unknown>[];

const JOURNALS: [string, (journal: Record<string, unknown>) => unknown, RegExp][] = [
  ['its state', (journal) => ({ ...journal, state: 'done' }), /A10 its state is done/],
  [
    'of another volume',
    (journal) => ({ ...journal, staging: '.shadowfs-apply-00000000' }),
    /A10 it is not this volume's/,
  ],
  ['its layer', (journal) => ({ ...journal, layer: 1 }), /A10 the layer 1 that is applied/],
  [
    'what it remembers',
    (journal) => ({ ...journal, applied: [{ path: '', layer: 99 }] }),
    /A10 the layer 99 does not exist/,
  ],
  ['no steps', ({ steps: _steps, ...journal }) => journal, /A10 steps of an apply/],
  [
    'steps before anything was to be done',
    (journal) => ({ ...journal, state: 'staging' }),
    /A10 nothing may have been done, and it has steps/,
  ],
  [
    'a step of another kind',
    (journal) => ({ ...journal, steps: [{ do: 'format' }] }),
    /A10 step 1: nobody knows what to do/,
  ],
  [
    'a step out of the base',
    (journal) => ({ ...journal, steps: [{ do: 'drop', path: '../x', host: 1, trash: 't' }] }),
    /A10 step 1: a path leads out of the base/,
  ],
  [
    'a step about a file that the base layer does not have',
    (journal) => ({
      ...journal,
      steps: (journal['steps'] as Steps).map((step) => ({
        ...step,
        finals: [{ ino: 77, path: '' }],
      })),
    }),
    /A10 step 1: the base layer has no record of inode 77/,
  ],
  ['no object', () => 7, /A10 it is not an object/],
];

t.test('A10: a journal that was cut off is sound', (t) => {
  const { fixture, journal } = cutOff(t);
  fixture.close();
  t.strictSame(
    shown(fixture).filter((text) => !text.startsWith('base')),
    [],
  );
  writeJournal(fixture, journal);
  t.strictSame(
    shown(fixture).filter((text) => !text.startsWith('base')),
    [],
  );
  writeFileSync(join(fixture.path, JOURNAL), 'torn');
  t.match(shown(fixture).join('\n'), /damage A10 .*journal of an apply/);
  t.end();
});

for (const [title, damage, expected] of JOURNALS) {
  t.test(`A10: ${title}`, (t) => {
    const { fixture, journal } = cutOff(t);
    fixture.close();
    writeJournal(fixture, damage(journal));
    t.match(shown(fixture).join('\n'), expected);
    t.end();
  });
}
