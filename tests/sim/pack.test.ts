/**
 * The file pack: what tools/pack writes, kernel/pack.ts reads. The reader is compiled on its own
 * and given packs whole, damaged, and damaged with a right checksum.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import asc from "assemblyscript/asc";
import { HEADER_BYTES, buildPack, fnv1a, type PackEntry } from "../../tools/pack/pack.ts";

interface Reader {
  packOpen(at: number, length: number): number;
  packCount(): number;
  packFind(path: number, length: number): number;
  packEntry(index: number): number;
}

/** Where packs and paths are put; the reader's own data is far below. */
const PACK_AT = 0x20000;
const PATH_AT = 0x10000;

const memory = new WebAssembly.Memory({ initial: 64 });
const bytes = new Uint8Array(memory.buffer);
const view = new DataView(memory.buffer);
let reader: Reader;
let reported = "";

const entries: PackEntry[] = [
  { path: "/index.html", body: Buffer.from("<p>home"), modified: 1_000_000_000 },
  { path: "/docs/index.html", body: Buffer.from("<p>docs") },
  { path: "/a b/é.txt", body: Buffer.from("text"), type: "text/x-mine" },
  { path: "/large.bin", body: Buffer.alloc(10_000, 7) },
  { path: "/copy.bin", body: Buffer.alloc(10_000, 7) },
  { path: "/empty.json", body: new Uint8Array() },
];

before(async () => {
  const outFile = "build/sim/pack.wasm";
  const options = ["--runtime", "stub", "--importMemory", "--memoryBase", "4096", "-O"];
  const { error, stderr } = await asc.main(
    ["kernel/pack.ts", ...options, "--use", "abort=kernel/panic/abort", "-o", outFile],
    {},
  );
  assert.equal(error, null, stderr.toString());
  const module = new WebAssembly.Module(readFileSync(outFile));
  const consoleWrite = (at: number, length: number): void => {
    reported += Buffer.from(memory.buffer, at, length).toString("latin1");
  };
  const panic = (at: number, length: number): void => {
    throw new Error(Buffer.from(memory.buffer, at, length).toString("latin1"));
  };
  const host: Record<string, CallableFunction> = { consoleWrite, panic, monotonic: () => 0n };
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from === "host") host[name] ??= () => assert.fail(`the reader called ${name}`);
  }
  const instance = new WebAssembly.Instance(module, { env: { memory }, host });
  reader = instance.exports as unknown as Reader;
});

function open(pack: Uint8Array): boolean {
  bytes.set(pack, PACK_AT);
  return reader.packOpen(PACK_AT, pack.length) !== 0;
}

function find(path: string): number {
  const encoded = Buffer.from(path, "utf8");
  bytes.set(encoded, PATH_AT);
  return reader.packFind(PATH_AT, encoded.length);
}

/** The fields of an entry as the reader sees them, checked to lie within the pack. */
function entryAt(index: number, length: number): { body: Buffer; type: string; tag: string } {
  const at = reader.packEntry(index);
  const slice = (offset: number, size: number): Buffer => {
    assert.ok(offset + size <= length, `a field ends at ${offset + size} of ${length}`);
    return Buffer.from(memory.buffer, PACK_AT + offset, size);
  };
  return {
    body: slice(view.getUint32(at + 12, true), view.getUint32(at + 16, true)),
    type: slice(view.getUint32(at + 20, true), view.getUint16(at + 24, true)).toString("latin1"),
    tag: slice(view.getUint32(at + 28, true), view.getUint16(at + 26, true)).toString("latin1"),
  };
}

test("every path is found with its body, type and tag, and nothing else is", () => {
  const pack = buildPack(entries);
  assert.ok(open(pack));
  assert.equal(reader.packCount(), entries.length + 3);
  for (const { path, body } of entries) {
    const index = find(path);
    assert.ok(index >= 0, path);
    const entry = entryAt(index, pack.length);
    assert.deepEqual(entry.body, Buffer.from(body), path);
    assert.match(entry.tag, /^"[\w-]{22}"$/);
    const at = view.getUint32(reader.packEntry(index) + 12, true);
    assert.equal(at % (body.length >= 4096 ? 4096 : 64), 0, `${path} is aligned`);
  }
  assert.equal(entryAt(find("/"), pack.length).body.toString(), "<p>home");
  assert.equal(entryAt(find("/docs"), pack.length).body.toString(), "/docs/");
  assert.equal(entryAt(find("/index.html"), pack.length).type, "text/html;charset=utf-8");
  assert.equal(entryAt(find("/a b/é.txt"), pack.length).type, "text/x-mine");
  for (const path of ["", "/a", "/index.htm", "/index.html/", "/INDEX.html", "/docs/x"]) {
    assert.equal(find(path), -1, path);
  }
});

test("files of the same content share one body and one tag", () => {
  const pack = buildPack(entries);
  open(pack);
  const [one, two] = [find("/large.bin"), find("/copy.bin")].map((index) =>
    view.getUint32(reader.packEntry(index) + 12, true),
  );
  assert.equal(one, two);
  assert.ok(pack.length < 25_000);
});

test("a thousand files are all found", () => {
  const many = Array.from({ length: 1000 }, (_, i) => ({
    path: `/files/${i}`,
    body: Buffer.from(String(i)),
  }));
  const pack = buildPack(many);
  assert.ok(open(pack));
  for (const { path, body } of many) {
    assert.deepEqual(entryAt(find(path), pack.length).body, body, path);
  }
});

test("an empty pack is sound and finds nothing", () => {
  assert.ok(open(buildPack([])));
  assert.equal(find("/"), -1);
});

test("paths that nobody could ask for are refused", () => {
  const body = new Uint8Array();
  for (const path of ["a", "/../a", "/a/./b", "/a/..", "/a\0b"]) {
    assert.throws(() => buildPack([{ path, body }]), /file pack/, path);
  }
  assert.throws(
    () =>
      buildPack([
        { path: "/a", body },
        { path: "/a", body },
      ]),
    /two files/,
  );
});

test("a damaged index is named on the console and serves nothing", () => {
  const pack = buildPack(entries);
  const bodies = new DataView(pack.buffer, pack.byteOffset).getUint32(36, true);
  for (let at = 0; at < bodies; at++) {
    const damaged = Buffer.from(pack);
    damaged[at]! ^= 0x55;
    reported = "";
    assert.equal(open(damaged), false, `byte ${at}`);
    assert.match(reported, /file pack is refused: /);
    assert.equal(find("/"), -1);
  }
  for (const length of [0, 1, HEADER_BYTES - 1, HEADER_BYTES, pack.length - 1]) {
    assert.equal(open(pack.subarray(0, length)), false, `${length} bytes`);
  }
});

test("an index that lies, its checksum right, never leads out of the pack", () => {
  const pack = buildPack(entries);
  const strings = new DataView(pack.buffer, pack.byteOffset).getUint32(32, true);
  let accepted = 0;
  for (let at = 8; at < strings; at++) {
    for (const value of [0, 1, 0x7f, 0xff]) {
      const lying = Buffer.from(pack);
      lying[at] = value;
      const bodiesAt = lying.readUInt32LE(36);
      if (bodiesAt >= 16 && bodiesAt <= lying.length) {
        lying.writeUInt32LE(fnv1a(lying.subarray(16, bodiesAt)), 12);
      }
      if (!open(lying)) continue;
      accepted++;
      for (let index = 0; index < reader.packCount(); index++) entryAt(index, lying.length);
      for (const path of ["/", "/docs", "/none", ...entries.map((entry) => entry.path)]) {
        assert.ok(find(path) < reader.packCount());
      }
    }
  }
  assert.ok(accepted > 0 && accepted < (strings - 8) * 4, `${accepted} accepted`);
});
