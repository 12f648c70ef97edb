/** Which machine this is: a state directory may be shared, copied or restored elsewhere. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Machine {
  /** Derived from the machine's id, which itself is nobody else's business (machine-id(5)). */
  id: string;
  host: string;
}

const PLACES = ['/etc/machine-id', '/var/lib/dbus/machine-id'];
const ID_LENGTH = 32;

let here: Machine | undefined;

export function thisMachine(): Machine {
  here ??= machineOf(storedId() ?? '', hostname());
  return here;
}

/** Without a stored id the host's name has to do. Pure. */
export function machineOf(storedId: string, host: string): Machine {
  const own = storedId.trim() === '' ? `host:${host}` : storedId.trim();
  const id = createHash('sha256').update(`shadowfs machine ${own}`).digest('hex');
  return { id: id.slice(0, ID_LENGTH), host };
}

function storedId(): string | undefined {
  for (const path of PLACES) {
    try {
      const id = readFileSync(path, 'latin1');
      if (id.trim() !== '') return id;
    } catch {
      // Not every machine has one, and not in each place.
    }
  }
  return undefined;
}
