/** The tests of commands, and in a long run of crashes, once more with the fuse-native driver. */
process.env['SHADOWFS_TEST_DRIVER'] = 'fuse-native';

await import('./control.test.js');
await import('./cli.test.js');
// What a crash leaves is the volume's, whatever the driver.
if (process.env['SHADOWFS_TEST_IDENTITIES'] === 'all') await import('./crash.test.js');

export {};
