/**
 * A module's static data as one stream of bytes. AssemblyScript makes a segment or two of every string, and
 * a C compiler copies each with instructions that are longer than it is. Stored, for each run of bytes:
 *
 *     gap, length << 1 | wide, bytes
 *
 * `gap` counts from the end of the run before. A wide run is text in UTF-16 that fits in bytes: a zero
 * follows each of them. Numbers are LEB128, the gap's sign zigzag. `wasm_memory_unpack` reads it.
 */
import { type Module } from "./module.ts";

/** Characters from which on a run is worth its own two bytes or more. */
const WIDE_MIN = 6;

/** Where a segment goes if that is known when the module is translated. */
function constantOffset({ offset }: Module["datas"][number]): number | undefined {
  const [first] = offset;
  return offset.length === 1 && first!.k === "const"
    ? Number(BigInt.asUintN(32, first.bits))
    : undefined;
}

/** Characters of a wide run at `at`. */
function wideAt(bytes: Uint8Array, at: number): number {
  let count = 0;
  while (at + 2 * count + 1 < bytes.length && bytes[at + 2 * count + 1] === 0) count++;
  return count;
}

/**
 * The stream of all active segments, in their order; undefined if where they go is not known, or not known to
 * lie within the memory, for then each has to be checked when it is its turn.
 */
export function packData({ memories, datas }: Module): Uint8Array | undefined {
  const size = (memories[0]?.min ?? 0) * 65536;
  const out: number[] = [];
  const unsigned = (value: number): void => {
    for (; value >= 0x80; value = Math.floor(value / 128)) out.push((value % 128) | 0x80);
    out.push(value);
  };
  let end = 0;
  for (const data of datas) {
    if (data.mode !== "active") continue;
    const { bytes } = data;
    const to = constantOffset(data);
    if (to === undefined || to + bytes.length > size) return undefined;
    const run = (from: number, length: number, wide: boolean): void => {
      if (length === 0) return;
      const gap = to + from - end;
      unsigned(gap < 0 ? -2 * gap - 1 : 2 * gap);
      unsigned(length * 2 + (wide ? 1 : 0));
      for (let i = 0; i < length; i++) out.push(bytes[from + (wide ? 2 * i : i)]!);
      end = to + from + (wide ? 2 * length : length);
    };
    let plain = 0; // where the plain run before `at` begins
    for (let at = 0; at < bytes.length;) {
      const characters = wideAt(bytes, at);
      if (characters < WIDE_MIN) {
        at++;
        continue;
      }
      run(plain, at - plain, false);
      run(at, characters, true);
      plain = at += 2 * characters;
    }
    run(plain, bytes.length - plain, false);
  }
  return Uint8Array.from(out);
}
