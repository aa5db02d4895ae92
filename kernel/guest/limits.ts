import { warn } from "../log";
import { where } from "./allow";
import { Guest } from "./guest";

/** What bounds a guest's linear memory. */
export const enum MemoryLimit {
  /** Nothing is said: what it begins with and a bit. */
  Default = 0,
  /** Its spec. */
  Spec = 1,
  /** Its module's own maximum. */
  Module = 2,
  /** What the machine has left for it. */
  Machine = 3,
}

/** Pages of 64 KiB that no guest can have. */
const PAGES_BEYOND: u32 = 65536;
const PAGE_KIB: u32 = 64;

/** Says, once in each run of a guest, that memory.grow has failed, why, and what to do about it. */
export function memoryRefused(guest: Guest): void {
  const pages = guest.record.refused;
  guest.record.refused = 0;
  if (guest.memoryReported) return;
  guest.memoryReported = true;
  const line = guest
    .nameIn(warn("guest"))
    .text(" may have ")
    .number(guest.memoryMost >> 10)
    .text(" KiB of memory and wants ");
  if (pages >= PAGES_BEYOND) return line.text("more than any guest can have").end();
  const wanted = pages * PAGE_KIB;
  line.number(wanted);
  switch (guest.memoryLimit) {
    case MemoryLimit.Module:
      return line.text(": its module says so, link it with a larger maximum").end();
    case MemoryLimit.Machine:
      return line.text(": give the machine more RAM (MEM=)").end();
    case MemoryLimit.Spec:
      return where(guest, line.text(": raise memory"));
    default:
      return where(guest, line.text(': add memory = "').number(wanted).text('KiB"'), " to");
  }
}
