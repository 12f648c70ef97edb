/** What becomes of a branch: asked on the terminal when the command has ended. */
import { askLine } from '../ask-line.js';

export type Wish = 'keep' | 'discard' | 'merge' | 'apply';

interface Choice {
  key: string;
  text: string;
  wish: Wish | 'diff';
}

const CHOICES: readonly Choice[] = [
  { key: 'd', text: 'show the differences', wish: 'diff' },
  { key: 'k', text: 'keep it as a branch', wish: 'keep' },
  { key: 'm', text: 'bring it into the tree', wish: 'merge' },
  {
    key: 'a',
    text: 'bring it into the tree, and all of that into the directory below',
    wish: 'apply',
  },
  { key: 'x', text: 'drop it', wish: 'discard' },
];

/** Ctrl-C, Ctrl-D and an empty answer keep the branch. `hasBase`: there is a directory below. */
export async function askWish(
  branch: string,
  hasBase: boolean,
  showDiff: () => Promise<void>,
): Promise<Wish> {
  const choices = CHOICES.filter(({ wish }) => hasBase || wish !== 'apply');
  const keys = choices.map(({ key }) => key).join('/');
  for (;;) {
    const text = choices.map((one) => `  ${one.key}  ${one.text}\n`).join('');
    const typed = await askLine(`${text}what becomes of ${branch}? [${keys}, Enter: k] `);
    const key = typed?.trim().toLowerCase() ?? '';
    const chosen =
      key === '' ? 'keep' : choices.find((one) => key === one.key || key === one.wish)?.wish;
    if (chosen === 'diff') await showDiff();
    else if (chosen !== undefined) return chosen;
  }
}
