/** A progress bar for commands that take longer than a second, on a terminal only. */
import { SingleBar } from 'cli-progress';
import type { ControlClient } from './control-client.js';

const SHOW_AFTER_MS = 1000;
const POLL_MS = 250;

export class Progress {
  readonly #label: string;
  readonly #startedMs = Date.now();
  #bar: SingleBar | undefined;

  constructor(label: string) {
    this.#label = label;
  }

  /** `total` 0: unknown yet. */
  update(done: number, total: number): void {
    if (!process.stderr.isTTY || total <= 0 || Date.now() - this.#startedMs < SHOW_AFTER_MS) return;
    if (this.#bar === undefined) {
      this.#bar = new SingleBar({
        format: `${this.#label} [{bar}] {percentage}% {value}/{total}`,
        clearOnComplete: true,
        hideCursor: true,
        stream: process.stderr,
      });
      this.#bar.start(total, done);
    }
    this.#bar.setTotal(total);
    this.#bar.update(Math.min(done, total));
  }

  stop(): void {
    this.#bar?.stop();
  }
}

/** Shows the progress of a mount's command by its `status` while `command` runs. */
export async function withProgress<T>(
  label: string,
  control: ControlClient,
  command: Promise<T>,
): Promise<T> {
  if (!process.stderr.isTTY) return await command;
  const progress = new Progress(label);
  const timer = setInterval(() => {
    control.state('status').then(
      (status) => {
        const { done, total } = (status['command'] ?? {}) as { done?: number; total?: number };
        progress.update(done ?? 0, total ?? 0);
      },
      () => undefined,
    );
  }, POLL_MS);
  try {
    return await command;
  } finally {
    clearInterval(timer);
    progress.stop();
  }
}
