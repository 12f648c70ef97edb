/** Options of a volume that are changed later, and the sizes that df shows; without a mount. */
import t from 'tap';
import { parseVolumeOptions } from '../../../src/format/text/volume-options.js';
import { statFsOf } from '../../../src/tree/live/space.js';
import { checkQuota, DEFAULT_OPTIONS, withChanges } from '../../../src/volume/options.js';

t.test('options as text', async (t) => {
  const changes = parseVolumeOptions([
    ['quota', '2G'],
    ['compression', 'on'],
    ['keep-undo', '3'],
    ['snapshots-name', '.past'],
  ]);
  t.same(changes, {
    quotaBytes: 2 ** 31,
    compression: true,
    keepUndo: 3,
    snapshotsName: '.past',
  });
  t.same(parseVolumeOptions([['quota', 'none']]), { quotaBytes: 0 });
  for (const [key, value] of [
    ['colour', 'blue'],
    ['quota', 'lots'],
    ['compression', 'maybe'],
    ['keep-undo', '-1'],
    ['__proto__', 'x'],
  ] as const) {
    t.throws(() => parseVolumeOptions([[key, value]]), { code: 'bad-option' }, key);
  }
});

t.test('what may change', async (t) => {
  const changed = withChanges(DEFAULT_OPTIONS, { keepUndo: 3, controlName: '.ctl' });
  t.same(changed, {
    ...DEFAULT_OPTIONS,
    keepUndo: 3,
    hiddenNames: { snapshots: '.snapshots', control: '.ctl' },
  });
  t.same(withChanges(DEFAULT_OPTIONS, { blockSize: DEFAULT_OPTIONS.blockSize }), DEFAULT_OPTIONS);
  t.throws(() => withChanges(DEFAULT_OPTIONS, { blockSize: 4096 }), { code: 'option-fixed' });
  t.throws(() => withChanges(DEFAULT_OPTIONS, { keepUndo: 20_000 }), { code: 'bad-option' });
  t.throws(() => withChanges(DEFAULT_OPTIONS, { snapshotsName: '.control' }), /must differ/);
  checkQuota(0, 100);
  checkQuota(100, 100);
  t.throws(() => checkQuota(99, 100), /has 100 bytes already, and never shrinks/);
});

t.test('under a quota the size is the quota', async (t) => {
  const unit = 4096;
  const shown = (used: number, free: number, quota: number): number[] => {
    const { blocks, bfree, bavail } = statFsOf({
      usedBytes: used * unit,
      freeBytes: free * unit,
      quotaBytes: quota * unit,
    });
    return [blocks, bfree, bavail];
  };
  t.same(shown(10, 80, 100), [100, 90, 80], 'a reserve is free and not available');
  t.same(shown(60, 30, 100), [100, 40, 30]);
  t.same(shown(10, 5, 100), [100, 90, 5], 'a fuller disk');
  t.same(shown(10, 80, 0), [90, 80, 80], 'without a quota the disk decides');
});
