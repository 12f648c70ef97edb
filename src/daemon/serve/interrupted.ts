/**
 * The signals that end a mount, and the error for a signal that came before the
 * mount was ready.
 */
import { CommandError } from '../../lib/errors.js';

export const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function mountInterrupted(signal: string, mountpoint: string): CommandError {
  return new CommandError(
    'mount-interrupted',
    'EINTR',
    `${signal} came while ${mountpoint} was being mounted: it is not mounted`,
  );
}
