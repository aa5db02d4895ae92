import { Domain, Layout, SocketEvent, SocketOption, SocketType } from "../../sdk/assembly/syscalls";
import { Protocol } from "../../net/wire/ipv4";
import { Errno } from "../errno";
import { PIPES } from "../features";
import * as sockets from "../socket";
import { SocketAddress } from "../socket";
import { mayBind, mayConnect, mayMark, mayRaw } from "./allow";
import { Description, DescriptorKind } from "./descriptors";
import { WasiErrno, wasiErrno } from "./errno";
import { Guest } from "./guest";
import { isPair, pairShutdown } from "./pipes";
import { result, waiting } from "./transfer";

/**
 * A guest's sockets: Berkeley's calls over those of kernel/socket.ts, which never wait. Here what would
 * have to parks the guest until its socket has news; the call is then made again.
 *
 * Results are 0 or more, or a `WasiErrno` below zero; those of WASI's own calls an errno above.
 */

/** Flags of `accept`; the first is WASI's `fdflags`. */
const NONBLOCK: u32 = 4;
const CLOEXEC: u32 = 2;

/** Options that are the guest's own and not the socket's: how long calls wait, a u64 in ns, 0 for ever. */
const RECEIVE_TIMEOUT: u32 = 256;
const SEND_TIMEOUT: u32 = 257;

const own = changetype<SocketAddress>(memory.data(offsetof<SocketAddress>(), 8));

/** A description of a socket. */
@unmanaged
export class SocketDescription extends Description {
  /** How long a call that receives, accepts, or sends and connects waits, ns; 0 for ever. */
  receiveTimeout: u64;
  sendTimeout: u64;
  domain: u16;
  /** `SocketType`; raw for ICMP's echo, too. */
  type: u8;


  @inline get stream(): bool {
    return this.type == SocketType.Stream;
  }

  /** Says in an address that the guest gets whether the socket is one of IPv6's. */
  @inline sign(address: SocketAddress): void {
    address.domain = this.domain;
  }
}

/** `socket` (type, domain or 0 for IPv4, protocol or 0 for the one that the type has): a descriptor. */
export function socketMake(guest: Guest, type: u32, domain: u32, protocol: u32): i32 {
  // ICMP's echo is no connection to a port either.
  const raw =
    type == SocketType.Raw ||
    (type == SocketType.Datagram && protocol != 0 && protocol != Protocol.UDP);
  if (raw && !mayRaw(guest)) return -WasiErrno.Acces;
  if (!guest.descriptors.hasRoom()) return -WasiErrno.Mfile;
  const made = sockets.socket(type, domain ? domain : Domain.Inet, protocol);
  if (made < 0) return result(made);
  const fd = open(guest, made, 0);
  if (raw) changetype<SocketDescription>(guest.descriptors.at(fd)).type = <u8>SocketType.Raw;
  return fd;
}

/** Gives a new socket a descriptor; there is room for it. */
function open(guest: Guest, socket: u32, flags: u32): i32 {
  const descriptors = guest.descriptors;
  const fd = descriptors.open(DescriptorKind.Socket, socket, (flags & NONBLOCK) != 0);
  descriptors.setClosesOnExec(fd, (flags & CLOEXEC) != 0);
  const d = changetype<SocketDescription>(descriptors.at(fd));
  d.domain = <u16>sockets.getOption(socket, SocketOption.Domain);
  d.type = <u8>sockets.getOption(socket, SocketOption.Type);
  sockets.setGuest(socket, changetype<usize>(d));
  return fd;
}

/** `accept` (fd, address or 0, flags): a descriptor. */
export function accept(
  guest: Guest,
  d: SocketDescription,
  into: u32,
  flags: u32,
  again: bool,
): i32 {
  const address = into ? guest.memory(into, Layout.Address) : 0;
  if (into && !address) return -WasiErrno.Fault;
  if (flags & ~(NONBLOCK | CLOEXEC)) return -WasiErrno.Inval;
  if (!d.stream) return -WasiErrno.Notsup;
  // Not only to close it again.
  if (!guest.descriptors.hasRoom()) return -WasiErrno.Mfile;
  const accepted = sockets.accept(d.object);
  if (accepted == -Errno.EAGAIN) return waiting(guest, d, SocketEvent.Readable, 0, false, again);
  if (accepted < 0) return result(accepted);
  const fd = open(guest, accepted, flags);
  const made = changetype<SocketDescription>(guest.descriptors.at(fd));
  made.receiveTimeout = d.receiveTimeout;
  made.sendTimeout = d.sendTimeout;
  if (address) {
    const peer = changetype<SocketAddress>(address);
    sockets.peerAddress(accepted, peer);
    made.sign(peer);
  }
  return fd;
}

/** `bind` (fd, address). */
export function bind(d: SocketDescription, address: SocketAddress): i32 {
  if (!mayBind(d.guest, d.type, address)) return -WasiErrno.Acces;
  return result(sockets.bind(d.object, address));
}

/** `listen` (fd, backlog): one that is bound to nothing is bound to a free port, which is asked for, too. */
export function listen(d: SocketDescription, backlog: u32): i32 {
  if (d.guest.spec.restricted) {
    sockets.localAddress(d.object, own);
    if (!own.port && !mayBind(d.guest, d.type, own)) return -WasiErrno.Acces;
  }
  return result(sockets.listen(d.object, backlog));
}

/** `connect` (fd, address). */
export function connect(
  guest: Guest,
  d: SocketDescription,
  address: SocketAddress,
  again: bool,
): i32 {
  if (!again && !mayConnect(guest, d.type, address)) return -WasiErrno.Acces;
  const connected = sockets.connect(d.object, address);
  const under = connected == -Errno.EINPROGRESS || connected == -Errno.EALREADY;
  if (!under || d.nonBlocking) return result(connected);
  const waited = waiting(guest, d, SocketEvent.Writable, 0, false, again);
  return waited == -WasiErrno.Again ? -WasiErrno.Inprogress : waited;
}

/** `local_address` (fd, address). */
export function localAddress(guest: Guest, d: SocketDescription, at: u32): i32 {
  const into = guest.memory(at, Layout.Address);
  if (!into) return -WasiErrno.Fault;
  const address = changetype<SocketAddress>(into);
  const told = sockets.localAddress(d.object, address);
  d.sign(address);
  return result(told);
}

/** `peer_address` (fd, address): -ENOTCONN leaves what was there. */
export function peerAddress(guest: Guest, d: SocketDescription, at: u32): i32 {
  const into = guest.memory(at, Layout.Address);
  if (!into) return -WasiErrno.Fault;
  const address = changetype<SocketAddress>(into);
  const told = sockets.peerAddress(d.object, address);
  if (told >= 0) d.sign(address);
  return result(told);
}

// ---- Options ---------------------------------------------------------------------------------

/** `set_option` (fd, option, value). */
export function setOption(guest: Guest, d: SocketDescription, option: u32, value: u32): i32 {
  if (option == SocketOption.Mark && !mayMark(guest)) return -WasiErrno.Perm;
  return result(sockets.setOption(d.object, option, value));
}

/** `get_option` (fd, option): the value; the pending error as a `WasiErrno`. */
export function getOption(d: SocketDescription, option: u32): i32 {
  const value = sockets.getOption(d.object, option);
  return option == SocketOption.Error && value > 0 ? wasiErrno(value) : result(value);
}

/** `set_option_data` (fd, option, from, length). */
export function setOptionData(
  guest: Guest,
  d: SocketDescription,
  option: u32,
  at: u32,
  length: u32,
): i32 {
  const from = guest.memory(at, length);
  if (!from) return -WasiErrno.Fault;
  if (option == RECEIVE_TIMEOUT || option == SEND_TIMEOUT) {
    if (length != 8) return -WasiErrno.Inval;
    if (option == RECEIVE_TIMEOUT) d.receiveTimeout = load<u64>(from);
    else d.sendTimeout = load<u64>(from);
    return 0;
  }
  if (option == SocketOption.Mark && !mayMark(guest)) return -WasiErrno.Perm;
  return result(sockets.setOptionData(d.object, option, from, length));
}

/** `get_option_data` (fd, option, into, length): bytes of the value, cut to `length`. */
export function getOptionData(
  guest: Guest,
  d: SocketDescription,
  option: u32,
  at: u32,
  length: u32,
): i32 {
  const into = guest.memory(at, length);
  if (!into) return -WasiErrno.Fault;
  if (option == RECEIVE_TIMEOUT || option == SEND_TIMEOUT) {
    if (length != 8) return -WasiErrno.Inval;
    store<u64>(into, option == RECEIVE_TIMEOUT ? d.receiveTimeout : d.sendTimeout);
    return 8;
  }
  return result(sockets.getOptionData(d.object, option, into, length));
}

// ---- WASI's own ------------------------------------------------------------------------------

/** `sock_accept` (fd, flags, into). */
export function sockAccept(guest: Guest, again: bool): WasiErrno {
  const record = guest.record;
  const d = guest.descriptors.at(<u32>record.argument(0));
  if (d === null) return WasiErrno.Badf;
  if (d.kind != <u8>DescriptorKind.Socket) return WasiErrno.Notsock;
  const listener = changetype<SocketDescription>(d);
  const into = guest.memory(<u32>record.argument(2), 4);
  if (!into) return WasiErrno.Fault;
  const accepted = accept(guest, listener, 0, (<u32>record.argument(1)) & NONBLOCK, again);
  if (accepted < 0) return <WasiErrno>-accepted;
  if (!guest.parked) store<u32>(into, accepted);
  return WasiErrno.Success;
}

/** `sock_shutdown` (fd, 1 reading, 2 writing, 3 both). */
export function sockShutdown(guest: Guest): WasiErrno {
  const d = guest.descriptors.at(<u32>guest.record.argument(0));
  if (d === null) return WasiErrno.Badf;
  const pair = PIPES && isPair(d);
  if (d.kind != <u8>DescriptorKind.Socket && !pair) return WasiErrno.Notsock;
  const how = <u32>guest.record.argument(1);
  if (how - 1 > 2) return WasiErrno.Inval;
  if (pair) {
    pairShutdown(d, how);
    return WasiErrno.Success;
  }
  return <WasiErrno>-result(sockets.shutdown(d.object, how - 1));
}
