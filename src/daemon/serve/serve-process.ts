/** Entry of the background process: gets its plan from its parent. */
import { serve } from './daemon.js';
import { log } from './log.js';
import { toPlainError } from '../calls/plain-error.js';
import type { MountPlan } from '../mount/mount-plan.js';
import type { Handshake } from './spawn.js';

function tell(handshake: Handshake): Promise<void> {
  return new Promise((resolve) => {
    if (process.send === undefined || !process.connected) resolve();
    // The parent may be gone; the mount goes on without it.
    else process.send(handshake, () => resolve());
  });
}

process.once('message', async (message) => {
  const plan = message as MountPlan;
  let isReady = false;
  try {
    const failure = await serve(plan, (volume) => {
      isReady = true;
      void tell({ kind: 'ready', volume }).then(() => {
        if (process.connected) process.disconnect();
      });
    });
    process.exit(failure === undefined ? 0 : 1);
  } catch (error) {
    log(`mount of ${plan.mountpoint} failed: ${error instanceof Error ? error.stack : error}`);
    if (!isReady) await tell({ kind: 'failed', error: toPlainError(error) });
    process.exit(1);
  }
});
