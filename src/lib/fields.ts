/**
 * Reads JSON field by field: messages of peers, which may be broken or of
 * another version, and stored records.
 */

export type Fields = Record<string, unknown>;

/** UUIDs, and keys made of one and two counts. */
const KEY_MAX = 200;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null;
export const isText = (value: unknown, max: number): value is string =>
  typeof value === 'string' && value.length <= max;
export const isKey = (value: unknown): value is string => isText(value, KEY_MAX);
export const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0;
export const isListOf = (value: unknown, isOne: (one: unknown) => boolean): boolean =>
  Array.isArray(value) && value.every(isOne);
export const isUuid = (value: unknown): value is string =>
  typeof value === 'string' && UUID.test(value);
