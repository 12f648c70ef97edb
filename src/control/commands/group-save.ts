/** `group-save`: `NAME peers=PEER,PEER…`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { peerNameOf, snapshotNameOf } from './parse-name.js';

export const groupSaveFile: CommandFile = {
  kind: 'command',
  name: 'group-save',
  expected: 'NAME peers=PEER,PEER…',
  example: 'echo nightly peers=mail,web > group-save',
  parse(line) {
    refuseUnknownOptions(line, ['peers']);
    const name = snapshotNameOf(line.name, 'the name of the snapshot', 'target');
    const peers = line.options.get('peers');
    if (peers !== undefined) return { name, peers: peers.split(',').map(peerNameOf) };
    throw new CommandError('bad-command-line', 'EINVAL', 'peers=PEER,PEER… is missing');
  },
};
