import { Resolve } from "../../sdk/assembly/syscalls";
import { resolve, resolveEnd, resolved } from "../../net/dns/resolver";
import { Errno } from "../errno";
import { mayResolve } from "./allow";
import { WasiErrno, wasiErrno } from "./errno";
import { Guest } from "./guest";

/**
 * A guest's names: (name, length, what, into, max) waits for what `Syscall.Resolve` finds, and writes it as
 * `Syscall.Resolved` does: bytes, or a `WasiErrno` below zero.
 */
export function resolveCall(guest: Guest, again: bool): i32 {
  const record = guest.record;
  const most = <u32>min<u64>(record.argument(4), i32.MAX_VALUE);
  const into = guest.memory(<u32>record.argument(3), most);
  if (!into) return -WasiErrno.Fault;
  if (!again) {
    const length = <u32>record.argument(1);
    const name = guest.memory(<u32>record.argument(0), length);
    if (!name) return -WasiErrno.Fault;
    const begun = lookUp(guest, name, length, <u32>record.argument(2));
    if (begun < 0) return begun;
  }
  return lookedUp(guest, into, most);
}

/**
 * Begins to look a name up for `lookedUp`: 0, or a `WasiErrno` below zero. Addresses as text are everybody's.
 */
export function lookUp(guest: Guest, name: usize, length: u32, what: u32): i32 {
  let number = resolve(name, length, what | Resolve.Numeric, 0, 0);
  if (number == -Errno.ENOENT && !(what & Resolve.Numeric)) {
    if (!mayResolve(guest)) return -WasiErrno.Acces;
    number = resolve(name, length, what, over.index, changetype<usize>(guest));
  }
  if (number < 0) return -(<i32>wasiErrno(-number));
  guest.lookup = number;
  return 0;
}

/** What came of it: bytes written to `into`, a `WasiErrno` below zero, or the guest is parked for it. */
export function lookedUp(guest: Guest, into: usize, most: u32): i32 {
  const length = resolved(guest.lookup, into, most);
  if (length == -Errno.EAGAIN) {
    guest.park(u64.MAX_VALUE);
    return 0;
  }
  guest.lookup = 0;
  return length < 0 ? -(<i32>wasiErrno(-length)) : length;
}

function over(token: usize): void {
  changetype<Guest>(token).wake();
}

/** Gives up what a guest that has ended waits for. */
export function namesEnd(guest: Guest): void {
  if (guest.lookup) resolveEnd(guest.lookup);
  guest.lookup = 0;
}
