import { WasiErrno } from "./errno";
import { Guest } from "./guest";
import { Strings } from "./spec";

/** A guest's arguments and environment, as WASI's calls and C's `main` want them. */

/** `args_sizes_get`, `environ_sizes_get`: how many, and their bytes with the zeros. */
export function stringsSizes(
  guest: Guest,
  strings: Strings,
  countAt: u32,
  bytesAt: u32,
): WasiErrno {
  const count = guest.memory(countAt, 4);
  const bytes = guest.memory(bytesAt, 4);
  if (!count || !bytes) return WasiErrno.Fault;
  store<u32>(count, strings.count);
  store<u32>(bytes, strings.length);
  return WasiErrno.Success;
}

/** `args_get`, `environ_get`: the strings, and a pointer to each. */
export function stringsGet(
  guest: Guest,
  strings: Strings,
  pointersAt: u32,
  textAt: u32,
): WasiErrno {
  if (!strings.count) return WasiErrno.Success;
  const pointers = guest.memory(pointersAt, strings.count << 2);
  const text = guest.memory(textAt, strings.length);
  if (!pointers || !text) return WasiErrno.Fault;
  memory.copy(text, strings.at, strings.length);
  let start: u32 = 0;
  let index: u32 = 0;
  for (let i: u32 = 0; i < strings.length; i++) {
    if (load<u8>(strings.at + i)) continue;
    store<u32>(pointers + ((<usize>index) << 2), textAt + start);
    index++;
    start = i + 1;
  }
  return WasiErrno.Success;
}
