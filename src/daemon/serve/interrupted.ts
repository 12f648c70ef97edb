/** Signals that end a mount, and what is said when one came before it could be used. */
import { CommandError } from '../../lib/errors.js';

export const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function mountInterrupted(signal: string, mountpoint: string): CommandError {
  return new CommandError(
    'mount-interrupted',
    'EINTR',
    `${signal} came while ${mountpoint} was being mounted: it is not mounted`,
  );
}
