/** Which process group has a terminal. */
import { glibc, result } from './library.js';

const SIGTTOU = 22;
const SIG_DFL = 0;
const SIG_IGN = 1;

const callTcgetpgrp: (fd: number) => number = glibc.func('int tcgetpgrp(int)');
const callTcsetpgrp: (fd: number, group: number) => number = glibc.func('int tcsetpgrp(int, int)');
const callSignal: (signal: number, handler: number) => number = glibc.func(
  'intptr_t signal(int, intptr_t)',
);

/** The group in the foreground of this process's terminal, or -errno. */
export function foregroundGroup(fd: number): number {
  return result(callTcgetpgrp(fd));
}

/** Puts a group into the foreground, even from the background. 0, or -errno. */
export function putInForeground(fd: number, group: number): number {
  // The kernel would stop this process instead.
  callSignal(SIGTTOU, SIG_IGN);
  const done = result(callTcsetpgrp(fd, group));
  callSignal(SIGTTOU, SIG_DFL);
  return done;
}
