/** An error as data, for threads and processes. */
import { CommandError, ERRNO, type ErrnoName, FsError, messageOf } from '../../lib/errors.js';

export interface PlainError {
  code: string;
  errno: string;
  message: string;
  details: Record<string, unknown>;
}

export function toPlainError(error: unknown): PlainError {
  if (error instanceof CommandError) {
    const { code, errno, message, details } = error;
    return { code, errno, message, details };
  }
  if (error instanceof FsError) {
    return { code: 'file-system-error', errno: error.code, message: error.message, details: {} };
  }
  const message = messageOf(error);
  return { code: 'internal-error', errno: 'EIO', message, details: {} };
}

export function fromPlainError({ code, errno, message, details }: PlainError): CommandError {
  const known = Object.hasOwn(ERRNO, errno) ? (errno as ErrnoName) : 'EIO';
  return new CommandError(code, known, message, details);
}
