import { reserve } from "../memory";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";
import { IOVEC, IOVECS_MOST } from "./wasi/layout";

/**
 * Lists of buffers in a guest's memory (`struct iovec`), whose pointers and lengths are checked before anything
 * happens, and copying between a list and a run of bytes of the kernel's.
 */

/** The list of the call that is being made. */
let copied: usize = 0;

/** Start-up only. */
export function buffersInit(): void {
  copied = reserve(IOVECS_MOST * IOVEC, 64);
}

/**
 * A copy of the list of `count` buffers at the guest's `list`, until the next call; 0 if there is no such list:
 * `listFault` says why. A copy, because what a call puts into the buffers may come to lie on the list itself,
 * after it was found to be sound. Its buffers are yet to be `checked`.
 */
export function listAt(guest: Guest, list: u32, count: u32): usize {
  const at = count <= IOVECS_MOST ? guest.memory(list, count * IOVEC) : 0;
  if (!at) return 0;
  // Short, mostly, and a word each.
  for (let i: usize = 0; i < count * IOVEC; i += IOVEC) store<u64>(copied + i, load<u64>(at + i));
  return copied;
}

/** A list of one buffer, likewise. */
@inline export function listOf(address: u32, length: u32): usize {
  store<u32>(copied, address);
  store<u32>(copied, length, 4);
  return copied;
}

/** Why there is no such list, or not all that was given beside it. */
@inline export function listFault(count: u32): WasiErrno {
  return count > IOVECS_MOST ? WasiErrno.Inval : WasiErrno.Fault;
}


@inline export function lengthAt(list: usize, index: u32): u32 {
  return load<u32>(list + index * IOVEC, 4);
}

/** The kernel's address of byte `offset` of a buffer of a checked list. */
@inline export function bufferAt(guest: Guest, list: usize, index: u32, offset: u32): usize {
  return guest.record.memory + load<u32>(list + index * IOVEC) + offset;
}

/** Bytes of all buffers of a list, or a `WasiErrno` below 0. */
export function checked(guest: Guest, list: usize, count: u32): i32 {
  let total: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const length = lengthAt(list, i);
    if (length && !guest.memory(load<u32>(list + i * IOVEC), length)) return -WasiErrno.Fault;
    total += length;
  }
  return total > <u64>i32.MAX_VALUE ? -WasiErrno.Inval : <i32>total;
}

/** Copies a run of `length` bytes into a checked list that has room for it behind its first `skip` bytes. */
export function scatter(guest: Guest, list: usize, skip: u32, from: usize, length: u32): void {
  for (let i: u32 = 0; length; i++) {
    const room = lengthAt(list, i);
    if (skip >= room) {
      skip -= room;
      continue;
    }
    const part = min<u32>(room - skip, length);
    memory.copy(bufferAt(guest, list, i, skip), from, part);
    from += part;
    length -= part;
    skip = 0;
  }
}

/** Copies `length` bytes of a checked list, which has them behind its first `skip`, to a run. */
export function gather(guest: Guest, list: usize, skip: u32, into: usize, length: u32): void {
  for (let i: u32 = 0; length; i++) {
    const there = lengthAt(list, i);
    if (skip >= there) {
      skip -= there;
      continue;
    }
    const part = min<u32>(there - skip, length);
    memory.copy(into, bufferAt(guest, list, i, skip), part);
    into += part;
    length -= part;
    skip = 0;
  }
}
