import { Address } from "./address";
import { setOption, setOptionData } from "./calls";
import { Done, Errno, Result } from "./errors";

/** Groups of a socket for datagrams, and the sources from which it hears them (RFC 3678): for `UdpSocket`. */

/** `SocketOption` of syscalls.ts. */
const JOIN_GROUP: u32 = 45;
const LEAVE_GROUP: u32 = 46;
const JOIN_SOURCE: u32 = 50;
const LEAVE_SOURCE: u32 = 51;
const BLOCK_SOURCE: u32 = 52;
const UNBLOCK_SOURCE: u32 = 53;
const MULTICAST_ALL: u32 = 55;

/** Bytes of an address, and of two. */
const ADDRESS: u32 = offsetof<Address>();

const NOT_JOINED = "the socket has not joined it";

function why(errno: i32, option: u32): string {
  switch (errno) {
    case Errno.AddressInUse:
      return "the socket has joined it already";
    case Errno.AddressNotAvailable:
      if (option == LEAVE_GROUP) return NOT_JOINED;
      if (option == LEAVE_SOURCE) return "the socket does not hear it by name";
      if (option == UNBLOCK_SOURCE) return "it is not blocked";
      return "it is named already, or is of the other family";
    case Errno.Invalid:
      if (option == JOIN_GROUP) return "no group: they are 224.0.0.0/4 and ff00::/8";
      if (option == JOIN_SOURCE) return "no group, or joined from all sources but some";
      return "not joined, or the other way: from some sources, or from all but some";
    case Errno.NoBuffers:
      return "too many: a socket has 20 groups, and a group 10 sources of IPv4 or 64 of IPv6";
    default:
      return "";
  }
}

function outcome(result: i32, option: u32, what: string): Result<Done> {
  if (result >= 0) return Result.of<Done>(new Done());
  return Result.fails<Done>(-result, what, why(-result, option));
}

/** A copy of a group's address that names an interface. */
function on(group: Address, iface: u32): Address {
  const address = new Address();
  memory.copy(changetype<usize>(address), changetype<usize>(group), ADDRESS);
  address.zone = iface;
  return address;
}

function group(fd: i32, option: u32, what: string, group: Address, iface: u32): Result<Done> {
  const address = on(group, iface);
  const result = setOptionData(fd, option, changetype<usize>(address), ADDRESS);
  return outcome(result, option, what + group.host);
}

function source(
  fd: i32,
  option: u32,
  what: string,
  group: Address,
  source: Address,
  iface: u32,
): Result<Done> {
  const both = new StaticArray<u8>(2 * ADDRESS);
  const at = changetype<usize>(both);
  memory.copy(at, changetype<usize>(on(group, iface)), ADDRESS);
  memory.copy(at + ADDRESS, changetype<usize>(source), ADDRESS);
  const result = setOptionData(fd, option, at, 2 * ADDRESS);
  return outcome(result, option, what + group.host + " from " + source.host);
}

export function joinGroup(fd: i32, to: Address, iface: u32): Result<Done> {
  return group(fd, JOIN_GROUP, "join ", to, iface);
}

export function leaveGroup(fd: i32, to: Address, iface: u32): Result<Done> {
  return group(fd, LEAVE_GROUP, "leave ", to, iface);
}

export function joinSource(fd: i32, to: Address, from: Address, iface: u32): Result<Done> {
  return source(fd, JOIN_SOURCE, "join ", to, from, iface);
}

export function leaveSource(fd: i32, to: Address, from: Address, iface: u32): Result<Done> {
  return source(fd, LEAVE_SOURCE, "leave ", to, from, iface);
}

export function blockSource(fd: i32, to: Address, from: Address, iface: u32): Result<Done> {
  return source(fd, BLOCK_SOURCE, "block ", to, from, iface);
}

export function unblockSource(fd: i32, to: Address, from: Address, iface: u32): Result<Done> {
  return source(fd, UNBLOCK_SOURCE, "unblock ", to, from, iface);
}

export function hearsAllGroups(fd: i32, all: bool): void {
  setOption(fd, MULTICAST_ALL, u32(all));
}
