/** What a volume knows besides its files, as plain data: for golden volumes. */
import type { Volume } from '../../src/volume/volume.js';

export function factsOf(volume: Volume): unknown {
  const { role, epoch } = volume.roles.current;
  return {
    uuid: volume.uuid,
    role,
    epoch,
    schedule: volume.schedules.text,
    locks: volume.locks
      .all()
      .map(({ heardMs, ...lock }) => ({ ...lock, wasHeard: heardMs !== undefined })),
    peers: [...volume.peers.peers.values()],
    invitations: [...volume.peers.invitations.values()],
    listen: volume.peers.listen,
    identity: volume.catalog.identity,
  };
}
