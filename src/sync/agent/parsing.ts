/**
 * Whether a peer's message is a question of the sync, and whether an answer has
 * the requested form.
 */
import { type Fields, isCount, isFields, isKey, isListOf, isText } from '../../lib/fields.js';
import type { CallMessage } from './calls.js';
import type { SyncAnswers, SyncRequest } from './messages.js';

const NAME_MAX = 1024;
/** Longest text; paths are among the texts. */
const TEXT_MAX = 16_384;

/** A call whose question or answer still has to be checked. */
export function isCallMessage(value: unknown): value is CallMessage {
  if (!isFields(value) || !isCount(value['incarnation']) || !isCount(value['call'])) return false;
  if ('request' in value) return isFields(value['request']) && isKey(value['request']['kind']);
  if ('answer' in value) return true;
  const { refusal } = value;
  return (
    isFields(refusal) &&
    isText(refusal['code'], NAME_MAX) &&
    isText(refusal['errno'], NAME_MAX) &&
    isText(refusal['message'], TEXT_MAX)
  );
}

const REQUESTS: Record<SyncRequest['kind'], (request: Fields) => boolean> = {
  look: ({ standing }) => isStanding(standing),
  greet: ({ standing }) => isStanding(standing),
  locks: ({ sequence, items, seen, has }) =>
    isCount(sequence) &&
    isListOf(items, isLockItem) &&
    isListOf(seen, isKey) &&
    (has === undefined || has === null || isKey(has)),
  read: ({ transfer, index, request }) =>
    isCount(transfer) && isCount(index) && isTransfer(request),
  size: ({ request }) => isTransfer(request),
  'hand-over': ({ epoch }) => isEpoch(epoch),
  news: () => true,
};

/** False for a known kind of question that lacks a field; the server refuses unknown kinds. */
export function isWhole(request: SyncRequest): boolean {
  const { kind } = request;
  return !Object.hasOwn(REQUESTS, kind) || REQUESTS[kind](request as unknown as Fields);
}

const ANSWERS: Record<keyof SyncAnswers, (answer: unknown) => boolean> = {
  look: isLookAnswer,
  greet: isLookAnswer,
  locks: (answer) =>
    isFields(answer) &&
    isCount(answer['sequence']) &&
    isListOf(answer['items'], isOutcome) &&
    isListOf(answer['broken'], isKey),
  read: (answer) =>
    isFields(answer) &&
    answer['bytes'] instanceof Uint8Array &&
    typeof answer['isLast'] === 'boolean',
  size: (answer) => isFields(answer) && isCount(answer['bytes']),
  'hand-over': isHandover,
  news: (answer) => answer === null,
};

export function isAnswerTo<K extends keyof SyncAnswers>(
  kind: K,
  answer: unknown,
): answer is SyncAnswers[K] {
  return ANSWERS[kind](answer);
}

function isEpoch(value: unknown): boolean {
  return isFields(value) && isCount(value['number']) && isKey(value['by']);
}

function isHandover(value: unknown): boolean {
  return (
    isFields(value) && isKey(value['to']) && isEpoch(value['epoch']) && isKey(value['snapshot'])
  );
}

function isStanding(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { volume, history, role, epoch, handover, upstreams } = value;
  return (
    isKey(volume) &&
    isKey(history) &&
    (role === 'primary' || role === 'standby') &&
    isEpoch(epoch) &&
    (handover === undefined || isHandover(handover)) &&
    isListOf(upstreams, isKey)
  );
}

function isLookAnswer(value: unknown): boolean {
  return (
    isFields(value) && isStanding(value['standing']) && isListOf(value['snapshots'], isSnapshot)
  );
}

function isSnapshot(value: unknown): boolean {
  return (
    isFields(value) &&
    isKey(value['uuid']) &&
    isText(value['name'], NAME_MAX) &&
    Number.isFinite(value['createdMs'])
  );
}

function isLockItem(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { snapshot, type, text, origin, dataset } = value;
  return (
    isKey(snapshot) &&
    (type === 'owner' || type === 'destination' || type === 'fileset') &&
    isText(text, TEXT_MAX) &&
    isKey(origin) &&
    isText(dataset, TEXT_MAX)
  );
}

function isOutcome(value: unknown): boolean {
  return (
    isFields(value) &&
    isKey(value['snapshot']) &&
    (value['outcome'] === 'kept' || value['outcome'] === 'unknown-snapshot')
  );
}

function isTransfer(value: unknown): boolean {
  if (!isFields(value)) return false;
  const { from, to, resumed } = value;
  const isStart = (one: unknown): boolean => one === null || isKey(one);
  if (!isStart(from) || !isKey(to)) return false;
  return resumed === undefined || (isFields(resumed) && isCount(resumed['records']));
}
