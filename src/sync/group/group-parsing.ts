/** Whether a peer's message is a message of group saves. */
import { isCount, isFields, isKey, isText } from '../../lib/fields.js';
import { noteObjection } from '../../format/text/note.js';
import type { GroupMessage, Point } from './group-messages.js';

const DIRECTORS_MAX = 100;
const REASON_MAX = 4096;
/** No real count is higher; such a number, once accepted, would keep out all that come after it. */
const NUMBER_MAX = 2 ** 52;
/** A director that waits for one point takes part in no other. */
const PARK_MAX_MS = 60_000;

const isNumber = (value: unknown): boolean => isCount(value) && value <= NUMBER_MAX;

export function isGroupMessage(value: unknown): value is GroupMessage {
  if (!isFields(value)) return false;
  const { kind, greeting, about, incarnation } = value;
  switch (kind) {
    case 'greet':
      return isKey(greeting);
    case 'greeted':
      return isKey(greeting) && isNumber(incarnation);
    case 'prepare':
      return isPoint(value['point']);
    case 'key':
      return (
        isKey(about) &&
        isKey(value['key']) &&
        isNumber(incarnation) &&
        isNumber(value['sequence']) &&
        typeof value['isWaiting'] === 'boolean' &&
        isFields(value['blamed']) &&
        Object.values(value['blamed']).every((reason) => isText(reason, REASON_MAX))
      );
    case 'refuse':
      return isKey(about) && isText(value['reason'], REASON_MAX);
    case 'saved':
    case 'ask':
    case 'settled':
      return isKey(about);
    case 'outcome':
      return isKey(about) && (value['outcome'] === 'committed' || value['outcome'] === 'dropped');
    default:
      return false;
  }
}

function isPoint(value: unknown): value is Point {
  if (!isFields(value)) return false;
  const { key, name, note, initiator, selected, parkMaxMs } = value;
  return (
    isKey(key) &&
    isText(name, REASON_MAX) &&
    (note === undefined || (typeof note === 'string' && noteObjection(note) === undefined)) &&
    isKey(initiator) &&
    // A peer that passes messages on checks the key only.
    key.split('/')[0] === initiator &&
    isCount(parkMaxMs) &&
    parkMaxMs <= PARK_MAX_MS &&
    Array.isArray(selected) &&
    selected.length <= DIRECTORS_MAX &&
    selected.every(
      (pair: unknown) =>
        Array.isArray(pair) && pair.length === 2 && isKey(pair[0]) && isNumber(pair[1]),
    )
  );
}
