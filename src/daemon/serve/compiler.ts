/**
 * How V8 compiles what serves a mount. Many mounts do a few seconds of work and
 * then rest, and V8's defaults spend most of those seconds' processor time on
 * compiling: measured with 5,000 new files in a fresh mount, its threads took
 * more time than the serving thread did, on processors that the programs need.
 *
 * - Functions run as baseline code from their first call; interpreting them
 *   first costs more than compiling them that way.
 * - The optimizing compiler copies less of the called functions into the
 *   callers. Compiling takes half the time then, and the serving thread, most of
 *   whose time goes into system calls, is not slower.
 */
import { setFlagsFromString } from 'node:v8';

const FLAGS = ['--always-sparkplug', '--max-inlined-bytecode-size-cumulative=200'];

/**
 * For the whole process, from now on: to be called when the modules of all threads are loaded
 * (flags that differ make V8 refuse the compiled code that Node.js has stored of its own modules)
 * and before the first request.
 */
export function tuneCompiler(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
