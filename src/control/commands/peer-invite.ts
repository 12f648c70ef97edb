/** `peer-invite`: `[NAME] [listen=HOST:PORT] [valid=1h]`. */
import { CommandError } from '../../lib/errors.js';
import { parseDuration } from '../../format/text/duration.js';
import { refuseUnknownOptions, shorten } from '../../format/text/grammar.js';
import { parseAddress } from '../../format/text/peer-address.js';
import type { CommandFile } from '../control-file.js';
import { peerNameOf } from './parse-name.js';

const VALID_MAX_MS = 30 * 86_400_000;

export const peerInviteFile: CommandFile = {
  kind: 'command',
  name: 'peer-invite',
  expected: '[NAME] [listen=HOST:PORT] [valid=1h]',
  example: 'echo office valid=1h > peer-invite',
  parse(line) {
    refuseUnknownOptions(line, ['listen', 'valid']);
    const listen = line.options.get('listen');
    const valid = line.options.get('valid');
    return {
      ...(line.name !== undefined && { peerName: peerNameOf(line.name) }),
      ...(listen !== undefined && { listen: parseAddress(listen) }),
      ...(valid !== undefined && { validMs: validOf(valid) }),
    };
  },
};

function validOf(text: string): number {
  const validMs = parseDuration(text);
  if (validMs !== undefined && validMs > 0 && validMs <= VALID_MAX_MS) return validMs;
  throw new CommandError(
    'bad-command-line',
    'EINVAL',
    `valid=${shorten(text)}: a time up to 30d is expected, such as 15m, 1h, 7d`,
  );
}
