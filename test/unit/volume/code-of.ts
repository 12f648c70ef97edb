import { CommandError } from '../../../src/lib/errors.js';

/** The code with which a command is refused; `none`: it is not. */
export function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof CommandError) return error.code;
    throw error;
  }
  return 'none';
}
