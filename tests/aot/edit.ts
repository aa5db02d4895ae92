/** Small edits of module binaries, to see inside. */
import { Module } from "../../tools/aot/module.ts";
import { Reader } from "../../tools/aot/reader.ts";

export function leb(value: number): number[] {
  const bytes: number[] = [];
  do {
    bytes.push((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** A section: id, size, content. */
export const section = (id: number, content: readonly number[]): number[] => [
  id,
  ...leb(content.length),
  ...content,
];

/** The module with its memory and its globals exported as well. */
export function exportAll(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = new Module(bytes);
  const entry = (name: string, kind: number, index: number) => [
    ...leb(name.length),
    ...new TextEncoder().encode(name),
    kind,
    ...leb(index),
  ];
  const added = [
    ...module.memories.map((_, i) => entry(`all:memory${i}`, 2, i)),
    ...module.globals.flatMap(({ imported }, i) =>
      imported ? [] : [entry(`all:global${i}`, 3, i)],
    ),
  ];
  const r = new Reader(bytes, 8);
  const out: number[] = [...bytes.subarray(0, 8)];
  let done = false;
  const write = (old: Uint8Array, count: number) => {
    out.push(...section(7, [...leb(count + added.length), ...old, ...added.flat()]));
    done = true;
  };
  while (!r.done) {
    const start = r.pos;
    const id = r.byte();
    const content = r.section(r.u32());
    if (id > 7 && !done) write(new Uint8Array(), 0);
    if (id === 7) {
      const count = content.u32();
      write(bytes.subarray(content.pos, content.end), count);
    } else {
      for (const byte of bytes.subarray(start, content.end)) out.push(byte);
    }
  }
  if (!done) write(new Uint8Array(), 0);
  return new Uint8Array(out);
}
