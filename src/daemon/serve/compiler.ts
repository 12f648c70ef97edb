/**
 * How V8 compiles the code that serves a mount. Many mounts work for a few
 * seconds and then rest, and V8's defaults spend most of that processor time on
 * compiling. Measured with 5,000 new files in a fresh mount: V8's threads took
 * more time than the serving thread, on processors that the programs need.
 *
 * - Functions run as baseline code from their first call; interpreting them
 *   first costs more than compiling them that way.
 * - The optimizing compiler inlines fewer functions. Compiling then takes half
 *   the time, and the serving thread, which spends most of its time in system
 *   calls, is not slower.
 */
import { setFlagsFromString } from 'node:v8';

const FLAGS = ['--always-sparkplug', '--max-inlined-bytecode-size-cumulative=200'];

/**
 * For the whole process, from now on. Call it when the modules of all threads are loaded (with
 * different flags V8 refuses the compiled code that Node.js has stored of its own modules) and
 * before the first request.
 */
export function tuneCompiler(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
