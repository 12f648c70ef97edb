/** The tests of commands and of crashes, once more with the fuse-native driver. */
process.env['SHADOWFS_TEST_DRIVER'] = 'fuse-native';

await import('./control.test.js');
await import('./cli.test.js');
await import('./crash.test.js');

export {};
