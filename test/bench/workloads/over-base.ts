/**
 * What the first change of something below costs: the peers have the base as
 * their lower directory, ext4 and bindfs a copy of it, Btrfs and XFS a clone.
 * Each stage finds the base as it was, and leaves it so.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Material } from '../material.js';
import { child, childMs, run, timed } from '../shell.js';
import { type Seat, type Stage, same, timing } from './workload.js';

const tree = ({ root }: Seat): string => join(root, 'tree');
const renamed = ({ root }: Seat): string => join(root, 'renamed');

/** The names are known to the kernel, and the base's bytes are in memory, as on a machine at work. */
function warm(seat: Seat, { treeBase }: Material): void {
  run('grep', ['-rc', 'not in any of these files', join(treeBase, 'tree')], { codes: [1] });
  run('find', [tree(seat), '-size', '+1M']);
}

function sameBase({ treeBase, tree: { digest } }: Material): void {
  same('the base', child('tree-digest', join(treeBase, 'tree'), 'times')['digest'], digest);
}

const append = timing({
  name: 'base-append',
  title: ({ sizes }) => `over a base: append to ${sizes.appendedFiles.toLocaleString('en')} files`,
  ratio: 4,
  prepare: warm,
  run: (seat, { treeBase, sizes }) =>
    childMs('append-each', tree(seat), join(treeBase, 'tree'), sizes.appendedFiles),
  verify: (seat, material) => {
    const { treeBase, sizes } = material;
    child('check-appended', tree(seat), join(treeBase, 'tree'), sizes.appendedFiles);
    sameBase(material);
  },
});

const rename = timing({
  name: 'base-rename',
  title: 'over a base: mv of its top directory',
  ratio: 2,
  prepare: warm,
  // By `mv`, since some refuse to rename it: then it is copied, and removed.
  run: (seat) => timed('mv', [tree(seat), renamed(seat)]),
  verify: (seat, material) => {
    const { digest } = child('tree-digest', renamed(seat), seat.keepsTimes ? 'times' : '');
    const { digest: whole, digestWithoutTimes } = material.tree;
    same('the renamed tree', digest, seat.keepsTimes ? whole : digestWithoutTimes);
    if (existsSync(tree(seat))) throw new Error('the old name is still there');
    sameBase(material);
  },
});

const remove = timing({
  name: 'base-rm',
  title: 'over a base: rm -rf of it',
  ratio: 1.3,
  prepare: warm,
  run: (seat) => timed('rm', ['-rf', tree(seat)]),
  verify: (seat, material) => {
    if (existsSync(tree(seat))) throw new Error('what was removed is back');
    sameBase(material);
  },
});

const offsetIn = (material: Material): number => material.sizes.largeMiB * 2 ** 19 + 12_345;
/** One block, in pages of the store with the header of the first. */
const BLOCK_BYTES = 36 * 1024;

export const baseStages: readonly Stage[] = [
  ...[append, rename, remove].map(
    (workload): Stage => ({
      name: workload.name,
      base: ({ treeBase }) => treeBase,
      needs: ({ treeBase }) => void treeBase,
      workloads: [workload],
    }),
  ),
  {
    name: 'base-first-write',
    base: ({ largeBase }) => largeBase,
    needs: ({ largeBase }) => void largeBase,
    workloads: [
      {
        name: 'base-first-write',
        rows: [
          {
            name: 'base-first-write',
            title: ({ sizes }) => `over a base: 1 byte into a file of ${sizes.largeMiB} MiB`,
            unit: 'ms',
            target: { atMost: () => 1 },
          },
          {
            name: 'base-first-write-bytes',
            title: () => 'the same: bytes stored',
            unit: 'bytes',
            target: { atMost: () => BLOCK_BYTES },
          },
        ],
        // The server has written before: what it needs once is not what is measured.
        prepare: ({ root }) => void child('write-byte', join(root, 'small'), 12_345),
        run: (seat, material) => {
          const before = seat.storedBytes();
          const { ms } = child('write-byte', join(seat.root, 'large'), offsetIn(material));
          return {
            'base-first-write': Number(ms),
            'base-first-write-bytes': seat.storedBytes() - before,
          };
        },
        verify: (seat, material) => {
          const at = offsetIn(material);
          const { byte } = child('read-byte', join(seat.root, 'large'), at);
          same('the written byte', byte, '!');
          const { digest } = child('file-digest', join(material.largeBase, 'large'));
          same('the base file', digest, material.fileDigest(material.sizes.largeMiB, 0));
        },
      },
    ],
  },
];
