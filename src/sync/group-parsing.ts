/**
 * Whether what a peer sent is a message of group saves: peers are trusted, but
 * may be of another version, or broken.
 */
import type { GroupMessage, Point } from './group-messages.js';

/** A key is a UUID and two counts. */
const KEY_MAX = 200;
const DIRECTORS_MAX = 100;
const REASON_MAX = 4096;

type Fields = Record<string, unknown>;

const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value.length <= max;
const isKey = (value: unknown): value is string => isText(value, KEY_MAX);
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

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
