/** What a guest's file descriptors stand for. The lowest free number is given out, as POSIX says. */

export const enum DescriptorKind {
  Free = 0,
  /** A standard stream. */
  Console = 1,
  Socket = 2,
}

/** 8 bytes. */
@unmanaged
export class Descriptor {
  /** Number in the kernel's table of sockets. */
  socket: u32;
  kind: u8;
  /** `FDFLAGS_NONBLOCK`: a call that would wait fails with EAGAIN. */
  nonBlocking: bool;
  private spare: u16;
}

/** Descriptors of one guest. */
export const DESCRIPTORS: u32 = 256;
export const DESCRIPTORS_BYTES: u32 = 256 * 8;

/** Standard input, output and error. */
const STANDARD: u32 = 3;

/** Makes the table at `table`, zeroed, one with the standard streams. */
export function descriptorsInit(table: usize): void {
  for (let fd: u32 = 0; fd < STANDARD; fd++) {
    changetype<Descriptor>(table + (fd << 3)).kind = <u8>DescriptorKind.Console;
  }
}

/** What `fd` stands for, or null. */
@inline export function descriptorAt(table: usize, fd: u32): Descriptor | null {
  if (fd >= DESCRIPTORS) return null;
  const descriptor = changetype<Descriptor>(table + (fd << 3));
  return descriptor.kind == DescriptorKind.Free ? null : descriptor;
}

/** The lowest free descriptor, or `DESCRIPTORS`. Cost: those below it. */
export function descriptorFree(table: usize): u32 {
  let fd: u32 = 0;
  while (fd < DESCRIPTORS && changetype<Descriptor>(table + (fd << 3)).kind != DescriptorKind.Free)
    fd++;
  return fd;
}

/** Makes `fd` stand for a socket. */
export function descriptorSet(table: usize, fd: u32, socket: u32, nonBlocking: bool): void {
  const descriptor = changetype<Descriptor>(table + (fd << 3));
  descriptor.kind = <u8>DescriptorKind.Socket;
  descriptor.socket = socket;
  descriptor.nonBlocking = nonBlocking;
}
