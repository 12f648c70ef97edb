/**
 * How many columns of a terminal a text takes, and texts cut to fit. Pure.
 *
 * As terminals count: East Asian wide characters and emoji take two columns,
 * combining marks and joiners none.
 */

const ZERO = /^[\p{Mn}\p{Me}\p{Cf}\u{1160}-\u{11ff}]$/u;
/** Wide and full-width blocks of Unicode's EastAsianWidth.txt; emoji have a property of their own. */
const WIDE = new RegExp(
  '^[\\u{1100}-\\u{115f}\\u{2329}\\u{232a}\\u{2e80}-\\u{303e}\\u{3041}-\\u{4dbf}\\u{4e00}-\\u{a4cf}' +
    '\\u{a960}-\\u{a97f}\\u{ac00}-\\u{d7a3}\\u{f900}-\\u{faff}\\u{fe10}-\\u{fe19}\\u{fe30}-\\u{fe6f}' +
    '\\u{ff00}-\\u{ff60}\\u{ffe0}-\\u{ffe6}\\u{16fe0}-\\u{18dff}\\u{1aff0}-\\u{1b2ff}' +
    '\\u{1f200}-\\u{1f265}\\u{20000}-\\u{3fffd}]$',
  'u',
);
const EMOJI = /^(?![\u{1f1e6}-\u{1f1ff}])\p{Emoji_Presentation}$/u;
const ELLIPSIS = '…';
const graphemes = new Intl.Segmenter('en', { granularity: 'grapheme' });

function widthOfChar(char: string): number {
  if (char < '\u0300') return char === '\u00ad' ? 0 : 1;
  if (ZERO.test(char)) return 0;
  return WIDE.test(char) || EMOJI.test(char) ? 2 : 1;
}

export function displayWidth(text: string): number {
  let width = 0;
  for (const char of text) width += widthOfChar(char);
  return width;
}

/** As many whole characters of `parts` as fit into `width`. */
function fitting(parts: Iterable<string>, width: number): string[] {
  const taken: string[] = [];
  let left = width;
  for (const part of parts) {
    left -= displayWidth(part);
    if (left < 0) break;
    taken.push(part);
  }
  return taken;
}

/** The text, or its beginning and end around an ellipsis, in at most `width` columns. */
export function cutMiddle(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  // A mark stays with the character it combines with.
  const parts = [...graphemes.segment(text)].map(({ segment }) => segment);
  const room = Math.max(0, width - 1);
  const head = fitting(parts, Math.ceil(room / 2));
  const tail = fitting(
    parts.slice(head.length).reverse(),
    room - head.reduce((sum, part) => sum + displayWidth(part), 0),
  );
  return [...head, ELLIPSIS, ...tail.reverse()].join('');
}
