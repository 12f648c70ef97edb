/** Whether what a peer sent is a message of group saves. */
import { isCount, isFields, isKey, isText } from '../../lib/fields.js';
import type { GroupMessage, Point } from './group-messages.js';

const DIRECTORS_MAX = 100;
const REASON_MAX = 4096;

export function isGroupMessage(value: unknown): value is GroupMessage {
  if (!isFields(value)) return false;
  const { kind, greeting, about, incarnation } = value;
  switch (kind) {
    case 'greet':
      return isKey(greeting);
    case 'greeted':
      return isKey(greeting) && isCount(incarnation);
    case 'prepare':
      return isPoint(value['point']);
    case 'key':
      return (
        isKey(about) &&
        isKey(value['key']) &&
        isCount(incarnation) &&
        isCount(value['sequence']) &&
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
  const { key, name, initiator, selected, parkMaxMs } = value;
  return (
    isKey(key) &&
    isText(name, REASON_MAX) &&
    isKey(initiator) &&
    // Who passes messages on looks at the key only.
    key.split('/')[0] === initiator &&
    isCount(parkMaxMs) &&
    Array.isArray(selected) &&
    selected.length <= DIRECTORS_MAX &&
    selected.every(
      (pair: unknown) =>
        Array.isArray(pair) && pair.length === 2 && isKey(pair[0]) && isCount(pair[1]),
    )
  );
}
