/**
 * Makes a file pack: a directory of static files as one read-only blob with an index by path, for
 * a boot loader to put into memory and a program to serve in place. The kernel's reader is
 * kernel/pack.ts. All numbers are little-endian, all offsets from the first byte of the pack.
 *
 *     0   header, 64 bytes
 *           0  u32 magic "SKPK"         4  u32 version, 1
 *           8  u32 bytes of the pack    12 u32 FNV-1a of all from byte 16 to `bodies`
 *           16 u32 entries              20 u32 slots of the hash table, a power of two
 *           24 u32 offset of the table  28 u32 offset of the entries
 *           32 u32 offset of strings    36 u32 offset of bodies
 *     table    a u32 a slot: 1 + index of the entry, 0 for none. An entry's slot is its path's
 *              FNV-1a hash modulo the slots, or the next free one after it
 *     entries  48 bytes each
 *           0  u32 hash of the path     4  u32 offset, 8 u16 length of the path
 *           10 u16 flags: 1 redirect    12 u32 offset, 16 u32 length of the body
 *           20 u32 offset, 24 u16 length of the media type
 *           26 u16 length, 28 u32 offset of the entity tag, quotes included
 *           32 u64 time of last change, seconds since 1970
 *           40 u64 zero
 *     strings  paths, types and tags, each once
 *     bodies   each on a 64-byte boundary, one of a page or more on a page boundary, so that a
 *              NIC reads them where they are
 *
 * A path begins with "/", is not percent-encoded and has no dot segments. A directory's index.html
 * also stands under the directory's path with its "/", and without it as a redirect, whose body is
 * the location.
 */
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { lookup } from "mrmime";

export const PACK_MAGIC = 0x4b504b53;
export const PACK_VERSION = 1;
export const HEADER_BYTES = 64;
export const ENTRY_BYTES = 48;
const REDIRECT = 1;
const LINE = 64;
const PAGE = 4096;
/** The kernel keeps offsets in 32 bits, and the pack shares the machine's RAM below 4 GiB. */
const PACK_MAX = 0x4000_0000;
/** What fits the request line that a server accepts. */
const PATH_MAX = 4096;

/** One file of a pack. */
export interface PackEntry {
  /** As in a URL, decoded: "/css/main.css". */
  path: string;
  body: Uint8Array;
  /** Media type; by the path's extension if left out. */
  type?: string;
  /** Seconds since 1970; 0 if left out. */
  modified?: number;
}

interface Row {
  path: Buffer;
  flags: number;
  body: Uint8Array;
  type: Buffer;
  tag: Buffer;
  modified: number;
}

/** FNV-1a, 32 bits. */
export function fnv1a(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Files of `directory` and below, by path. Names that begin with a dot are left out. */
export function packEntries(directory: string): PackEntry[] {
  const entries: PackEntry[] = [];
  const walk = (folder: string, prefix: string): void => {
    for (const item of readdirSync(folder, { withFileTypes: true })) {
      if (item.name.startsWith(".")) continue;
      const path = join(folder, item.name);
      // A link is followed: what it names is what the image serves.
      const state = statSync(path);
      if (state.isDirectory()) {
        walk(path, `${prefix}${item.name}/`);
      } else if (state.isFile()) {
        entries.push({
          path: prefix + item.name,
          body: readFileSync(path),
          modified: Math.floor(state.mtimeMs / 1000),
        });
      }
    }
  };
  walk(directory, "/");
  return entries;
}

function mediaType(path: string): string {
  const type = lookup(path) ?? "application/octet-stream";
  return /^text\/|\/javascript$|\/json$|\+xml$/.test(type) ? `${type};charset=utf-8` : type;
}

function strongTag(body: Uint8Array): string {
  return `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`;
}

function rows(entries: readonly PackEntry[]): Row[] {
  const byPath = new Map<string, Row>();
  const add = (path: string, row: Omit<Row, "path">): void => {
    const bytes = Buffer.from(path, "utf8");
    if (!path.startsWith("/") || path.includes("\0") || /\/\.{1,2}(\/|$)/.test(path)) {
      throw new Error(`file pack: "${path}" is not an absolute path without dot segments`);
    }
    if (bytes.length > PATH_MAX) {
      throw new Error(`file pack: a path may have ${PATH_MAX} bytes: ${path.slice(0, 80)}…`);
    }
    if (byPath.has(path)) throw new Error(`file pack: two files are called "${path}"`);
    byPath.set(path, { path: bytes, ...row });
  };
  for (const { path, body, type, modified } of entries) {
    const row = {
      flags: 0,
      body,
      type: Buffer.from(type ?? mediaType(path), "latin1"),
      tag: Buffer.from(strongTag(body), "latin1"),
      modified: modified ?? 0,
    };
    add(path, row);
    if (!path.endsWith("/index.html")) continue;
    const directory = path.slice(0, -"index.html".length);
    add(directory, row);
    if (directory === "/") continue;
    const location = directory.split("/").map(encodeURIComponent).join("/");
    const redirect = { flags: REDIRECT, type: Buffer.alloc(0), tag: Buffer.alloc(0), modified: 0 };
    add(directory.slice(0, -1), { ...redirect, body: Buffer.from(location, "latin1") });
  }
  return [...byPath.values()].sort((a, b) => Buffer.compare(a.path, b.path));
}

/** Lays byte runs behind each other, each distinct one once. */
class Area {
  private readonly known = new Map<string, number>();
  readonly parts: { at: number; bytes: Uint8Array }[] = [];

  constructor(private cursor: number) {}

  get end(): number {
    return this.cursor;
  }

  place(bytes: Uint8Array, align: number, key: string): number {
    const before = this.known.get(key);
    if (before !== undefined) return before;
    const at = Math.ceil(this.cursor / align) * align;
    this.parts.push({ at, bytes });
    this.known.set(key, at);
    this.cursor = at + bytes.length;
    return at;
  }
}

/** Packs a directory, or the entries given. Throws on a path that cannot be served. */
export function buildPack(source: string | readonly PackEntry[]): Uint8Array {
  const list = rows(typeof source === "string" ? packEntries(source) : source);
  let slots = 8;
  while (slots < list.length * 2) slots *= 2;
  const tableAt = HEADER_BYTES;
  const entriesAt = tableAt + slots * 4;
  const stringsAt = entriesAt + list.length * ENTRY_BYTES;

  const strings = new Area(stringsAt);
  const string = (bytes: Buffer): number => strings.place(bytes, 1, bytes.toString("latin1"));
  const named = list.map((row) => ({
    row,
    path: string(row.path),
    type: string(row.type),
    tag: string(row.tag),
  }));

  const bodiesAt = Math.ceil(strings.end / LINE) * LINE;
  const bodies = new Area(bodiesAt);
  const placed = named.map((item) => {
    const { body, tag, flags, path } = item.row;
    const key = flags & REDIRECT ? `redirect ${path.toString("latin1")}` : tag.toString("latin1");
    return { ...item, body: bodies.place(body, body.length >= PAGE ? PAGE : LINE, key) };
  });
  if (bodies.end > PACK_MAX) {
    throw new Error(`file pack: ${bodies.end} bytes; at most ${PACK_MAX} fit an image`);
  }

  const pack = Buffer.alloc(bodies.end);
  placed.forEach(({ row, path, type, tag, body }, index) => {
    const hash = fnv1a(row.path);
    let slot = hash & (slots - 1);
    while (pack.readUInt32LE(tableAt + slot * 4)) slot = (slot + 1) & (slots - 1);
    pack.writeUInt32LE(index + 1, tableAt + slot * 4);
    const at = entriesAt + index * ENTRY_BYTES;
    pack.writeUInt32LE(hash, at);
    pack.writeUInt32LE(path, at + 4);
    pack.writeUInt16LE(row.path.length, at + 8);
    pack.writeUInt16LE(row.flags, at + 10);
    pack.writeUInt32LE(body, at + 12);
    pack.writeUInt32LE(row.body.length, at + 16);
    pack.writeUInt32LE(type, at + 20);
    pack.writeUInt16LE(row.type.length, at + 24);
    pack.writeUInt16LE(row.tag.length, at + 26);
    pack.writeUInt32LE(tag, at + 28);
    pack.writeBigUInt64LE(BigInt(row.modified), at + 32);
  });
  for (const { at, bytes } of [...strings.parts, ...bodies.parts]) pack.set(bytes, at);
  const header = [PACK_MAGIC, PACK_VERSION, pack.length, 0, list.length, slots];
  [...header, tableAt, entriesAt, stringsAt, bodiesAt].forEach((value, index) => {
    pack.writeUInt32LE(value, index * 4);
  });
  pack.writeUInt32LE(fnv1a(pack.subarray(16, bodiesAt)), 12);
  return pack;
}
