import t from 'tap';
import { isWithin, parentOf } from '../../../src/lib/paths.js';

t.test('what lies below a directory', async (t) => {
  t.ok(isWithin('/a', '/a'));
  t.ok(isWithin('/a/b', '/a'));
  t.notOk(isWithin('/ab', '/a'), 'a name that only begins like it');
  t.notOk(isWithin('/a', '/a/b'));
  t.ok(isWithin('/a', '/'));
  t.ok(isWithin('/', '/'));
  t.notOk(isWithin('/', '/a'));
  t.ok(isWithin('a/b', 'a'));
  t.notOk(isWithin('ab', 'a'));
  t.ok(isWithin('a', ''), 'all below a root');
  t.ok(isWithin('', ''));
  t.notOk(isWithin('', 'a'));
});

t.test('the directory above', async (t) => {
  t.equal(parentOf('a/b/c'), 'a/b');
  t.equal(parentOf('a'), '');
  t.equal(parentOf(''), '');
});
