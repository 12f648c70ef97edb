/** The kernel's names of the opcodes, for people. */
import { OPCODE_LIMIT, Opcode } from './protocol.js';

/** By opcode; the last one stands for all opcodes without a name. */
export const OPCODE_NAMES: readonly (string | undefined)[] = (() => {
  const names = new Array<string | undefined>(OPCODE_LIMIT + 1).fill(undefined);
  for (const [name, opcode] of Object.entries(Opcode)) names[opcode] = name;
  names[OPCODE_LIMIT] = 'OTHER';
  return names;
})();

/** The names alone, sorted: what a trace can select. */
export const REQUEST_KINDS: readonly string[] = OPCODE_NAMES.filter(
  (name) => name !== undefined,
).sort();
