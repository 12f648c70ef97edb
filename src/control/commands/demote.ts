/** `demote`: `NAME` of the newest snapshot on the other side, or `latest`; or `peer=NAME`. */
import { LATEST_NAME, refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { epochOf, peerNameOf, snapshotNameOf } from './parse-name.js';

export const demoteFile: CommandFile = {
  kind: 'command',
  name: 'demote',
  expected:
    'NAME of the newest snapshot on the other side, or latest; epoch=N if the other side reported it; or peer=NAME of the peer to follow',
  example: 'echo latest > demote',
  parse(line) {
    refuseUnknownOptions(line, ['epoch', 'peer']);
    const peer = line.options.get('peer');
    if (peer !== undefined) return { peerName: peerNameOf(peer) };
    const epoch = epochOf(line);
    if (line.name === LATEST_NAME) return epoch;
    return { name: snapshotNameOf(line.name, 'the name of the snapshot', 'existing'), ...epoch };
  },
};
