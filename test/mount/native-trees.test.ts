/** The tests of trees, once more with the fuse-native driver. */
process.env['SHADOWFS_TEST_DRIVER'] = 'fuse-native';

await import('./main.test.js');
await import('./snapshots-dir.test.js');
await import('./in-place.test.js');
await import('./programs.test.js');

export {};
