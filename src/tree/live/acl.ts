/**
 * POSIX ACLs as bytes and as rules. The kernel checks access by them; the file
 * system applies them when a file is made, changed or given another mode. Pure.
 * The rules are those of the kernel's own file systems.
 *
 * What must hold: an inode with an access ACL has the permission bits of the
 * ACL (the group bits are those of the mask); an ACL that the mode can express
 * fully is not stored.
 */
import { FsError } from '../../lib/errors.js';

export const ACCESS_ACL = 'system.posix_acl_access';
export const DEFAULT_ACL = 'system.posix_acl_default';

/** One entry: its subject (`tag`, and `id` for a named user or group), and rwx bits. */
export interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

export type Acl = readonly AclEntry[];

const VERSION = 2;
const HEADER_BYTES = 4;
const ENTRY_BYTES = 8;
/** The id in entries that name no user or group. */
const NOBODY_NAMED = 0xffff_ffff;

const USER_OBJ = 0x01;
const USER = 0x02;
const GROUP_OBJ = 0x04;
const GROUP = 0x08;
const MASK = 0x10;
const OTHER = 0x20;

/** The order of entries; entries of named users and groups may repeat. */
const ORDER: readonly number[] = [USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER];

const isNamed = (tag: number): boolean => tag === USER || tag === GROUP;

export function isAclName(name: string): boolean {
  return name === ACCESS_ACL || name === DEFAULT_ACL;
}

/**
 * An ACL in the form of the xattr: u32 version, then (u16 tag, u16 permissions,
 * u32 id) each, little-endian. Without entries it means that there is no ACL.
 * Throws EOPNOTSUPP for another version, EINVAL for bytes that are not an ACL.
 */
export function decodeAcl(value: Uint8Array): Acl {
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  if (bytes.length < HEADER_BYTES || (bytes.length - HEADER_BYTES) % ENTRY_BYTES !== 0) {
    throw new FsError('EINVAL', 'acl');
  }
  if (bytes.readUInt32LE(0) !== VERSION) throw new FsError('EOPNOTSUPP', 'acl');
  const acl: AclEntry[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    const tag = bytes.readUInt16LE(at);
    const id = isNamed(tag) ? bytes.readUInt32LE(at + 4) : NOBODY_NAMED;
    acl.push({ tag, permissions: bytes.readUInt16LE(at + 2), id });
  }
  checkAcl(acl);
  return acl;
}

/** Checks the order and the required entries: an ACL with named entries needs a mask. */
function checkAcl(acl: Acl): void {
  if (acl.length === 0) return;
  let place = 0;
  for (const { tag, permissions, id } of acl) {
    const found = ORDER.indexOf(tag);
    const isRepeated = found === place - 1 && isNamed(tag);
    const isBad = found < 0 || (found < place && !isRepeated) || permissions > 7;
    if (isBad || (isNamed(tag) && id === NOBODY_NAMED)) throw new FsError('EINVAL', 'acl');
    place = found + 1;
  }
  const has = (tag: number): boolean => acl.some((entry) => entry.tag === tag);
  const needed = [USER_OBJ, GROUP_OBJ, OTHER];
  if (has(USER) || has(GROUP)) needed.push(MASK);
  if (!needed.every(has)) throw new FsError('EINVAL', 'acl');
}

export function encodeAcl(acl: Acl): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + acl.length * ENTRY_BYTES);
  bytes.writeUInt32LE(VERSION, 0);
  for (const [n, { tag, permissions, id }] of acl.entries()) {
    const at = HEADER_BYTES + n * ENTRY_BYTES;
    bytes.writeUInt16LE(tag, at);
    bytes.writeUInt16LE(permissions, at + 2);
    bytes.writeUInt32LE(id, at + 4);
  }
  return bytes;
}

/** Permissions of the one entry with this tag; undefined when there is none. */
function permissionsOf(acl: Acl, tag: number): number | undefined {
  return acl.find((entry) => entry.tag === tag)?.permissions;
}

/** The permission bits of an access ACL. */
export function permissionBits(acl: Acl): number {
  const owner = permissionsOf(acl, USER_OBJ) ?? 0;
  const group = permissionsOf(acl, MASK) ?? permissionsOf(acl, GROUP_OBJ) ?? 0;
  return (owner << 6) | (group << 3) | (permissionsOf(acl, OTHER) ?? 0);
}

/** Whether the permission bits express the whole ACL. */
export function isMinimal(acl: Acl): boolean {
  return acl.every(({ tag }) => tag === USER_OBJ || tag === GROUP_OBJ || tag === OTHER);
}

/**
 * The ACL with `change` applied to each class of the mode; the group class is
 * the mask, if there is one.
 */
function changeClasses(acl: Acl, change: (permissions: number, shift: number) => number): Acl {
  const groupTag = permissionsOf(acl, MASK) === undefined ? GROUP_OBJ : MASK;
  const shifts = new Map([
    [USER_OBJ, 6],
    [groupTag, 3],
    [OTHER, 0],
  ]);
  return acl.map((entry) => {
    const shift = shifts.get(entry.tag);
    if (shift === undefined) return entry;
    return { ...entry, permissions: change(entry.permissions, shift) };
  });
}

/** An access ACL after chmod. */
export function withMode(acl: Acl, mode: number): Acl {
  return changeClasses(acl, (_permissions, shift) => (mode >> shift) & 7);
}

/**
 * What a file made with `mode` gets in a directory with the default ACL `acl`:
 * its own access ACL (undefined: the mode expresses it) and its mode.
 */
export function inheritAcl(acl: Acl, mode: number): { mode: number; access: Acl | undefined } {
  const access = changeClasses(acl, (permissions, shift) => permissions & (mode >> shift));
  return {
    mode: (mode & ~0o777) | permissionBits(access),
    access: isMinimal(access) ? undefined : access,
  };
}
