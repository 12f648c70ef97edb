import t from 'tap';
import { Cookies } from '../../../src/tree/cookies.js';
import { listFrom, type NameSource } from '../../../src/tree/listing.js';

interface Name {
  name: string;
  hash: number;
}

function sourceOf(names: readonly Name[]): NameSource {
  const sorted = [...names].sort((a, b) => a.hash - b.hash || (a.name < b.name ? -1 : 1));
  return (afterHash, visit) => {
    for (const { name, hash } of sorted) {
      if (hash > afterHash && !visit(name, 1, 8, hash)) return;
    }
  };
}

/** Lists with replies of `perReply` names; `between` runs between two replies. */
function listed(source: NameSource, perReply: number, between: () => void = () => {}): string[] {
  const cookies = new Cookies();
  const names: string[] = [];
  let offset = 0;
  for (let reply = 0; reply < 1000; reply++) {
    let room = perReply;
    const take = (name: string, next: number): boolean => {
      if (room === 0) return false;
      room--;
      names.push(name);
      offset = next;
      return true;
    };
    listFrom(
      offset,
      cookies,
      take,
      source,
      (name) => name === 'hidden',
      ({ name }, next) => take(name, next),
    );
    if (room === perReply) return names;
    between();
  }
  throw new Error('the listing does not end');
}

t.test('D15: every name once, whatever the size of a reply', (t) => {
  const names = [];
  for (let i = 0; i < 60; i++) names.push({ name: `n${i}`, hash: 16 + i * 7 });
  names.push({ name: 'hidden', hash: 99 });
  // Five names of one hash, also larger than a reply.
  for (let i = 0; i < 5; i++) names.push({ name: `same${i}`, hash: 200 });
  const expected = ['.', '..', ...names.map((n) => n.name).filter((name) => name !== 'hidden')];
  for (const perReply of [1, 2, 3, 4, 7, 100]) {
    const got = listed(sourceOf(names), perReply);
    t.equal(got.length, expected.length, `${perReply} a reply`);
    t.strictSame([...got].sort(), [...expected].sort());
  }
  t.end();
});

t.test('D15: names that stay are listed once while others come and go', (t) => {
  const names: Name[] = [];
  for (let i = 0; i < 100; i++) names.push({ name: `stays${i}`, hash: 1000 + i * 10 });
  let round = 0;
  const got = listed(
    (afterHash, visit) => sourceOf(names)(afterHash, visit),
    5,
    () => {
      round++;
      const gone = names.findIndex(({ name }) => name.startsWith('passing'));
      if (gone >= 0) names.splice(gone, 1);
      names.push({ name: `passing${round}`, hash: 1000 + ((round * 37) % 1000) });
    },
  );
  const stayed = got.filter((name) => name.startsWith('stays'));
  t.equal(stayed.length, 100);
  t.equal(new Set(stayed).size, 100);
  t.end();
});
