/**
 * Names in place of UUIDs. Volumes tell each other who they mean by UUID, which
 * is the same everywhere; people know a peer by the name that it has here. So
 * names are put in at the last moment, where a text is shown. Pure.
 */

const UUIDS = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** `nameOf`: the name of a volume for the people here; undefined: it is not known. */
export function withNames(text: string, nameOf: (uuid: string) => string | undefined): string {
  return text.replace(UUIDS, (uuid) => nameOf(uuid) ?? uuid);
}
