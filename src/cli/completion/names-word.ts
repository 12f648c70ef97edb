/** The hidden first word with which completions ask for names. */
export const NAMES_WORD = '__names';
