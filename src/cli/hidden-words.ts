/** Hidden first words: what completions, and scripts that install, ask for. */
export const NAMES_WORD = '__names';
export const FILES_WORD = '__files';
