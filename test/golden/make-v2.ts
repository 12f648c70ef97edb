/**
 * Made the volume in v2/: format 2, as a process left it that was killed (its
 * intent log has what LMDB has not), revision 0, with a record of every kind
 * that came after v1: soft locks, a peer, an invitation, an address, a role, a
 * schedule, a pull schedule, a history of commands. Every later version must
 * open it, also after an upgrade (src/volume/upgrade.ts). It is kept to say what
 * the volume holds; run again it would write what the format is *now*:
 *
 *   node --import @tapjs/typescript/import test/golden/make-v2.ts --anew && npm run format
 */
import type { VolumeFixture } from '../unit/volume/volume-fixture.js';
import { keepAsKilled, syncIntoLog } from './killed.js';

const PEER = '11111111-2222-3333-4444-555555555555';
const LOG_BYTES = 256 * 1024;

function make(fixture: VolumeFixture): void {
  fixture.logBytes = LOG_BYTES;
  const { volume } = fixture;
  fixture.write('kept', 'kept '.repeat(3000));
  fixture.mkdir('directory');
  fixture.write('directory/file', 'file');
  fixture.save('first');
  fixture.write('kept', 'changed', 4096);
  fixture.save('second');
  volume.lockSnapshot('first', 'needed by hand', 'test');
  volume.schedules.set('every 10m, keep 6 all, 24 hourly', 'test');
  volume.peers.setListen({ host: '127.0.0.1', port: 7433 });
  volume.peers.putPeer({
    name: 'other',
    volume: PEER,
    fingerprint: 'ab'.repeat(32),
    direction: 'downstream',
    addresses: [{ host: '127.0.0.1', port: 7434 }],
    upstreams: [],
    sinceMs: fixture.clock.nowMs(),
    lastHeardMs: fixture.clock.nowMs(),
  });
  volume.peers.putInvitation({
    id: 'cd'.repeat(8),
    secret: 'ef'.repeat(16),
    name: 'guest',
    createdMs: fixture.clock.nowMs(),
    expiresMs: fixture.clock.nowMs() + 3_600_000,
  });
  volume.roles.promote('test', () => 0.5, 3, volume.uuid);
  fixture.flush();
  syncIntoLog(fixture, (word) => fixture.write('fsynced', word));
}

if (process.argv.includes('--anew')) keepAsKilled('v2', make);
