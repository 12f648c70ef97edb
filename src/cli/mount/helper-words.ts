/** How mount(8) and umount(8) call: told from ordinary commands before anything else is loaded. Pure. */

const MOUNT_HELPER = 'mount.shadowfs';
export const UMOUNT_HELPER = 'umount.shadowfs';

/** The words after the name `shadowfs`, or undefined when they are an ordinary command. */
export function helperWords(
  argv: readonly string[],
): { name: string; words: string[] } | undefined {
  const [first, ...rest] = argv;
  if (first === MOUNT_HELPER || first === UMOUNT_HELPER) return { name: first, words: rest };
  // No command starts with `/` or is `none`. A single word is a user's mistake.
  const isSpec = first?.startsWith('/') === true || first === 'none';
  return isSpec && rest.length > 0 ? { name: MOUNT_HELPER, words: [...argv] } : undefined;
}
