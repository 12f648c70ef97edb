/**
 * Log channels, all named `shadowfs:…`. Switched on by the DEBUG variable
 * (`DEBUG=shadowfs:*`); written to standard error. A channel that is off costs
 * one comparison, so callers need not ask first.
 *
 * Channels hold no file contents, only names, numbers and counts.
 */
import debug from 'debug';

/** As `console.log`: a format (%s %d %o %j) and its values. */
export interface Log {
  (format: string, ...values: unknown[]): void;
  readonly enabled: boolean;
}

/** The channel `shadowfs:<channel>`. Call it once per file, not per message. */
export function logFor(channel: string): Log {
  return debug(`shadowfs:${channel}`);
}
