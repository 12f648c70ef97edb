/**
 * Entry of the two processes that bring mounts into another mount namespace (`hand-over.ts` says
 * how). `take PATH…`, where the mounts are: sends a copy of each over descriptor 3. `put PATH…`,
 * where they are to be: attaches the descriptors from 3 on. Paths are in base64: their bytes would
 * not survive otherwise.
 */
import { sendFd } from '../../libc/fd-passing.js';
import { fsError } from '../../libc/library.js';
import { attachMount, copyMount } from '../../libc/mount-trees.js';

const FIRST_FD = 3;

function required(done: number, call: string, path: string): number {
  if (done < 0) throw fsError(done, call, path);
  return done;
}

const [verb, ...encoded] = process.argv.slice(2);
const paths = encoded.map((text) => Buffer.from(text, 'base64').toString('latin1'));
try {
  for (const [index, path] of paths.entries()) {
    if (verb === 'put') required(attachMount(FIRST_FD + index, path), 'move_mount', path);
    else required(sendFd(FIRST_FD, required(copyMount(path), 'open_tree', path)), 'sendmsg', path);
  }
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`);
  process.exitCode = 1;
}
