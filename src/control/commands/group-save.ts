/** `group-save`: `NAME peers=PEER,PEER… [note=TEXT]`. */
import { CommandError } from '../../lib/errors.js';
import { refuseUnknownOptions } from '../../format/text/grammar.js';
import type { CommandFile } from '../control-file.js';
import { noteIn, peerNameOf, snapshotNameOf } from './parse-name.js';

export const groupSaveFile: CommandFile = {
  kind: 'command',
  name: 'group-save',
  expected: 'NAME peers=PEER,PEER… [note=TEXT, or note-json="a JSON string" for several lines]',
  example: 'echo nightly peers=mail,web > group-save',
  parse(line) {
    refuseUnknownOptions(line, ['peers', 'note', 'note-json']);
    const name = snapshotNameOf(line.name, 'the name of the snapshot', 'target');
    const peers = line.options.get('peers');
    if (peers !== undefined) {
      return { name, peers: peers.split(',').map(peerNameOf), ...noteIn(line) };
    }
    throw new CommandError('bad-command-line', 'EINVAL', 'peers=PEER,PEER… is missing');
  },
};
