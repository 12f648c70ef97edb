/** The few shared words through which the serving thread and the occupier communicate. */

/** 0: sleep; OCCUPY: keep the processor from looking idle. */
export const STATE = 0;
/** Number of the processor. */
export const CPU = 1;
/** Changes with every request. */
export const BEAT = 2;
export const WORDS = 3;

export const OCCUPY = 1;
