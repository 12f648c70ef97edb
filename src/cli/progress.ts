/**
 * Progress with rate and time left, for commands that take longer than a
 * second; on a terminal only.
 */
import type { SingleBar } from 'cli-progress';
import type { ControlClient } from './control-client.js';
import { Meter, type ProgressUnit, progressText } from './progress-text.js';

const SHOW_AFTER_MS = 1000;
const POLL_MS = 250;
const BAR_COLUMNS = 24;
/** Beside the bar: label, percentage, figures. */
const COLUMNS_FOR_BAR = 80;

export class Progress {
  readonly #label: string;
  readonly #unit: ProgressUnit;
  readonly #startedMs = Date.now();
  readonly #meter = new Meter();
  #module: typeof import('cli-progress') | undefined;
  #bar: SingleBar | undefined;
  #shownMs = 0;

  constructor(label: string, unit: ProgressUnit) {
    this.#label = label;
    this.#unit = unit;
    // Loaded only when needed: commands start faster without it.
    if (process.stderr.isTTY) {
      void import('cli-progress').then(({ default: module }) => (this.#module = module));
    }
  }

  /** `total` 0: unknown, or unknown yet. */
  update(done: number, total: number): void {
    const nowMs = Date.now();
    if (!process.stderr.isTTY || nowMs - this.#shownMs < POLL_MS) return;
    this.#meter.add(done, nowMs);
    if (done <= 0 || nowMs - this.#startedMs < SHOW_AFTER_MS) return;
    if (this.#module === undefined) return;
    this.#shownMs = nowMs;
    const text = progressText(this.#unit, done, total, this.#meter.perSecond());
    this.#bar ??= this.#start(this.#module.SingleBar, total);
    this.#bar.setTotal(Math.max(total, 1));
    this.#bar.update(Math.min(done, Math.max(total, 1)), { text });
  }

  #start(Bar: typeof SingleBar, total: number): SingleBar {
    const isWide = (process.stderr as NodeJS.WriteStream).columns >= COLUMNS_FOR_BAR;
    const bar = total > 0 ? (isWide ? ' [{bar}] {percentage}%' : ' {percentage}%') : '';
    const single = new Bar({
      format: `${this.#label}${bar} {text}`,
      barsize: BAR_COLUMNS,
      clearOnComplete: true,
      hideCursor: true,
      stream: process.stderr,
    });
    single.start(Math.max(total, 1), 0, { text: '' });
    return single;
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
  unit: ProgressUnit = 'count',
): Promise<T> {
  if (!process.stderr.isTTY) return await command;
  const progress = new Progress(label, unit);
  const timer = setInterval(() => {
    control.state('status').then(
      (status) => {
        const { doneCount, totalCount, doneBytes, totalBytes } = (status['running'] ?? {}) as {
          doneCount?: number;
          totalCount?: number;
          doneBytes?: number;
          totalBytes?: number;
        };
        progress.update(doneBytes ?? doneCount ?? 0, totalBytes ?? totalCount ?? 0);
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
