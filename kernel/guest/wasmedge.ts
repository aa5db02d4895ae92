import { Domain, ReceiveFlag, SocketOption, SocketType } from "../../sdk/assembly/syscalls";
import * as sockets from "../socket";
import { SocketAddress } from "../socket";
import { MICROSECOND, SECOND } from "../timer";
import { NAMES } from "../features";
import { addressInfo } from "./addrinfo";
import { listAt } from "./buffers";
import { GuestCall } from "./calls";
import { DescriptorKind } from "./descriptors";
import { WasiErrno, wasiErrno } from "./errno";
import { Guest } from "./guest";
import { SocketDescription, accept, bind, connect, listen, socketMake } from "./sockets";
import { receiveList, result, sendList, wasCut } from "./transfer";

/**
 * The socket extension of WASI preview 1 that WasmEdge defines and its libraries for Rust, Go and
 * JavaScript use (WasmEdge, lib/host/wasi/wasifunc.cpp). Every call is an errno; what it finds goes to
 * where its last arguments point. Some calls came in a second version with other arguments:
 * tools/guest/imports.ts tells by the import's signature which one a program means, as WasmEdge does.
 *
 * An address is a pointer and a length: 4 bytes of IPv4, 16 of IPv6, or 128, in which a family of 16
 * bits comes first. Numbers are as the CPU has them, ports too.
 */

/** `address_family`, `sock_type`. */
const INET4: u32 = 1;
const INET6: u32 = 2;
const DATAGRAM: u32 = 1;
const STREAM: u32 = 2;

/** Bytes of each form of an address. */
const IPV4_BYTES: u32 = 4;
const IPV6_BYTES: u32 = 16;
const STORAGE_BYTES: u32 = 128;

/** Of an IPv4 address mapped into an IPv6 one, the middle (RFC 4291, 2.5.5.2). */
const MAPPED: u64 = 0xffff_0000_0000;

/** `sock_opt_level`, `sock_opt_so`: the options that there are. */
const SOL_SOCKET: u32 = 0;
const SO_REUSEADDR: u32 = 0;
const SO_TYPE: u32 = 1;
const SO_ERROR: u32 = 2;
const SO_DONTROUTE: u32 = 3;
const SO_BROADCAST: u32 = 4;
const SO_SNDBUF: u32 = 5;
const SO_RCVBUF: u32 = 6;
const SO_KEEPALIVE: u32 = 7;
const SO_OOBINLINE: u32 = 8;
const SO_LINGER: u32 = 9;
const SO_RCVLOWAT: u32 = 10;
const SO_RCVTIMEO: u32 = 11;
const SO_SNDTIMEO: u32 = 12;
const SO_ACCEPTCONN: u32 = 13;
const SO_BINDTODEVICE: u32 = 14;

/** Bytes of a flag, of `struct linger`, and of wasi-libc's `struct timeval`: seconds and µs, 64 bits each. */
const INT: u32 = 4;
const LINGER: u32 = 8;
const TIMEVAL: u32 = 16;
/** Seconds that a u64 has room for in ns. */
const SECONDS_MOST: i64 = 9_000_000_000;

/** `riflags`, `roflags`. */
const RECV_PEEK: u32 = 1;
const RECV_WAITALL: u32 = 2;
const DATA_TRUNCATED: u16 = 1;

/** The value of one option, before it is cut to the room that there is. */
const value: usize = memory.data(TIMEVAL, 8);

/** For the address of one call. */
const address = changetype<SocketAddress>(memory.data(offsetof<SocketAddress>(), 8));

/** Does a call of the extension; its errno counts unless the guest is parked. */
export function wasmedgeCall(guest: Guest, call: u32, again: bool): WasiErrno {
  const record = guest.record;
  const a0 = <u32>record.argument(0);
  const a1 = <u32>record.argument(1);
  const a2 = <u32>record.argument(2);
  if (call == GuestCall.sock_open) return sockOpen(guest, a0, a1, a2);
  if (call == GuestCall.sock_getaddrinfo) {
    return NAMES ? addressInfo(guest, again) : WasiErrno.Nosys;
  }
  const open = guest.descriptors.at(a0);
  if (open === null) return WasiErrno.Badf;
  if (open.kind != DescriptorKind.Socket) return WasiErrno.Notsock;
  const d = changetype<SocketDescription>(open);
  switch (call) {
    case GuestCall.sock_bind:
    case GuestCall.sock_connect: {
      const error = addressIn(guest, a1, a2);
      if (error) return error;
      return errnoOf(
        call == GuestCall.sock_bind ? bind(d, address) : connect(guest, d, address, again),
      );
    }
    case GuestCall.sock_listen:
      return errnoOf(listen(d, a1));
    case GuestCall.sock_accept_v1: {
      const into = guest.memory(a1, INT);
      return into ? found(guest, into, accept(guest, d, 0, 0, again)) : WasiErrno.Fault;
    }
    case GuestCall.sock_recv_from:
    case GuestCall.sock_recv_from_v2:
      return receiveFrom(guest, call, d, again);
    case GuestCall.sock_send_to:
      return sendTo(guest, d, again);
    case GuestCall.sock_getsockopt:
      return getOption(guest, d);
    case GuestCall.sock_setsockopt:
      return setOption(guest, d);
    case GuestCall.sock_getlocaladdr:
    case GuestCall.sock_getpeeraddr:
    case GuestCall.sock_getlocaladdr_v2:
    case GuestCall.sock_getpeeraddr_v2:
      return endOf(guest, call, d);
    default:
      return WasiErrno.Nosys;
  }
}


@inline function errnoOf(value: i32): WasiErrno {
  return value < 0 ? <WasiErrno>-value : WasiErrno.Success;
}

/** Writes a number that a call has found, unless it is an error or the guest is parked. */
function found(guest: Guest, into: usize, value: i32): WasiErrno {
  if (value < 0) return <WasiErrno>-value;
  if (!guest.parked) store<u32>(into, value);
  return WasiErrno.Success;
}

/** (family, type, into) */
function sockOpen(guest: Guest, family: u32, type: u32, at: u32): WasiErrno {
  const into = guest.memory(at, INT);
  if (!into) return WasiErrno.Fault;
  if (family != INET4 && family != INET6) return WasiErrno.Afnosupport;
  if (type != STREAM && type != DATAGRAM) return WasiErrno.Inval;
  const domain = family == INET4 ? Domain.Inet : Domain.Inet6;
  const kind = type == STREAM ? SocketType.Stream : SocketType.Datagram;
  return found(guest, into, socketMake(guest, kind, domain, 0));
}

// ---- Addresses -------------------------------------------------------------------------------

/** Reads the address that `at` refers to, and `port`, to `address`. */
function addressIn(guest: Guest, at: u32, port: u32): WasiErrno {
  const reference = guest.memory(at, 8);
  if (!reference) return WasiErrno.Fault;
  let length = load<u32>(reference, 4);
  let bytes = guest.memory(load<u32>(reference), length);
  if (!bytes) return WasiErrno.Fault;
  if (length == STORAGE_BYTES) {
    const family = <u32>load<u16>(bytes);
    if (family != INET4 && family != INET6) return WasiErrno.Afnosupport;
    length = family == INET6 ? IPV6_BYTES : IPV4_BYTES;
    bytes += 2;
  }
  address.set(<u16>port);
  address.zone = 0;
  if (length == IPV4_BYTES) {
    const ipv4 = <u64>bswap<u32>(load<u32>(bytes));
    address.lo = ipv4 ? MAPPED | ipv4 : 0;
  } else if (length == IPV6_BYTES) {
    address.hi = bswap<u64>(load<u64>(bytes));
    address.lo = bswap<u64>(load<u64>(bytes, 8));
  } else return WasiErrno.Inval;
  return WasiErrno.Success;
}

/**
 * Writes `address` of a socket to the `length` bytes at `bytes`, and its `address_family` to those of a
 * `storage`. 0 if they are too few, else the family.
 */
function addressOut(d: SocketDescription, bytes: usize, length: u32, storage: bool): u32 {
  const family = sockets.getOption(d.object, SocketOption.Domain) == Domain.Inet ? INET4 : INET6;
  let to = bytes;
  if (length < (family == INET4 ? IPV4_BYTES : IPV6_BYTES)) return 0;
  if (storage) {
    store<u16>(to, <u16>family);
    to += 2;
  }
  if (family == INET4) {
    store<u32>(to, bswap<u32>(<u32>address.lo));
  } else {
    store<u64>(to, bswap<u64>(address.hi));
    store<u64>(to, bswap<u64>(address.lo), 8);
  }
  return family;
}

/** (fd, address, type, port), with a type of 4 or 6; the second version has it in the address. */
function endOf(guest: Guest, call: u32, d: SocketDescription): WasiErrno {
  const record = guest.record;
  const second = call == GuestCall.sock_getlocaladdr_v2 || call == GuestCall.sock_getpeeraddr_v2;
  const reference = guest.memory(<u32>record.argument(1), 8);
  let type: usize = 0;
  if (!second) type = guest.memory(<u32>record.argument(2), INT);
  const port = guest.memory(<u32>record.argument(second ? 2 : 3), INT);
  if (!reference || !port || (!second && !type)) return WasiErrno.Fault;
  const length = load<u32>(reference, 4);
  const bytes = guest.memory(load<u32>(reference), length);
  if (!bytes) return WasiErrno.Fault;
  if (second ? length != STORAGE_BYTES : length != IPV4_BYTES && length != IPV6_BYTES) {
    return WasiErrno.Inval;
  }
  const local = call == GuestCall.sock_getlocaladdr || call == GuestCall.sock_getlocaladdr_v2;
  const error = local
    ? sockets.localAddress(d.object, address)
    : sockets.peerAddress(d.object, address);
  if (error < 0) return errnoOf(result(error));
  const family = addressOut(d, bytes, length, second);
  if (!family) return WasiErrno.Nomem;
  if (type) store<u32>(type, family == INET4 ? 4 : 6);
  store<u32>(port, address.port);
  return WasiErrno.Success;
}

// ---- Datagrams -------------------------------------------------------------------------------

/**
 * (fd, list, count, address, flags, into, roflags); the second version has where the port goes before
 * `into`, and a family in an address of 128 bytes.
 */
function receiveFrom(guest: Guest, call: u32, d: SocketDescription, again: bool): WasiErrno {
  const record = guest.record;
  const second = call == GuestCall.sock_recv_from_v2;
  const count = <u32>record.argument(2);
  const list = listAt(guest, <u32>record.argument(1), count);
  const reference = guest.memory(<u32>record.argument(3), 8);
  const port = second ? guest.memory(<u32>record.argument(5), 2) : 0;
  const into = guest.memory(<u32>record.argument(second ? 6 : 5), 4);
  const roflags = guest.memory(<u32>record.argument(second ? 7 : 6), 2);
  if (!list || !reference || !into || !roflags || (second && !port)) return WasiErrno.Fault;
  const length = load<u32>(reference, 4);
  const bytes = guest.memory(load<u32>(reference), length);
  if (!bytes) return WasiErrno.Fault;
  const storage = second && length == STORAGE_BYTES;
  if (second && !storage && length != IPV4_BYTES && length != IPV6_BYTES) return WasiErrno.Inval;

  const riflags = <u32>record.argument(4);
  if (riflags & ~(RECV_PEEK | RECV_WAITALL)) return WasiErrno.Inval;
  const flags =
    (riflags & RECV_PEEK ? ReceiveFlag.Peek : 0) |
    (riflags & RECV_WAITALL ? ReceiveFlag.WaitAll : 0);
  const taken = receiveList(guest, d, list, count, flags, address, again);
  if (taken < 0) return <WasiErrno>-taken;
  if (guest.parked) return WasiErrno.Success;
  if (!d.stream) {
    // Without room for the address it is left out: the datagram has been taken.
    addressOut(d, bytes, length, storage);
    if (port) store<u16>(port, address.port);
  }
  store<u32>(into, taken);
  store<u16>(roflags, wasCut() ? DATA_TRUNCATED : 0);
  return WasiErrno.Success;
}

/** (fd, list, count, address, port, flags, into) */
function sendTo(guest: Guest, d: SocketDescription, again: bool): WasiErrno {
  const record = guest.record;
  const count = <u32>record.argument(2);
  const list = listAt(guest, <u32>record.argument(1), count);
  const into = guest.memory(<u32>record.argument(6), 4);
  if (!list || !into) return WasiErrno.Fault;
  // `siflags` has none yet.
  if (record.argument(5)) return WasiErrno.Inval;
  const error = addressIn(guest, <u32>record.argument(3), <u32>record.argument(4));
  if (error) return error;
  return found(guest, into, sendList(guest, d, list, count, 0, address, again));
}

// ---- Options ---------------------------------------------------------------------------------

/** The kernel's number of an option whose value is an int; 0 for one that there is not. */
function optionOf(name: u32): u32 {
  switch (name) {
    case SO_REUSEADDR:
      return SocketOption.ReuseAddress;
    case SO_TYPE:
      return SocketOption.Type;
    case SO_ERROR:
      return SocketOption.Error;
    case SO_BROADCAST:
      return SocketOption.Broadcast;
    case SO_SNDBUF:
      return SocketOption.SendBuffer;
    case SO_RCVBUF:
      return SocketOption.ReceiveBuffer;
    case SO_KEEPALIVE:
      return SocketOption.KeepAlive;
    case SO_RCVLOWAT:
      return SocketOption.ReceiveLowWater;
    case SO_ACCEPTCONN:
      return SocketOption.AcceptsConnections;
    default:
      return 0;
  }
}

/** (fd, level, name, into, size): `size` is how much room there is, and then how much was written. */
function getOption(guest: Guest, d: SocketDescription): WasiErrno {
  const record = guest.record;
  const name = <u32>record.argument(2);
  const size = guest.memory(<u32>record.argument(4), 4);
  if (<u32>record.argument(1) != SOL_SOCKET) return WasiErrno.Inval;
  if (!size) return WasiErrno.Fault;
  const room = load<u32>(size);
  const into = guest.memory(<u32>record.argument(3), room);
  if (!into) return WasiErrno.Fault;
  const length = valueOf(d, name);
  if (length < 0) return <WasiErrno>-length;
  const bytes = min<u32>(length, room);
  memory.copy(into, value, bytes);
  store<u32>(size, bytes);
  return WasiErrno.Success;
}

/** Puts an option's value to `value`: its bytes, or a `WasiErrno` below zero. */
function valueOf(d: SocketDescription, name: u32): i32 {
  switch (name) {
    case SO_LINGER:
      return result(sockets.getOptionData(d.object, SocketOption.Linger, value, LINGER));
    case SO_RCVTIMEO:
    case SO_SNDTIMEO: {
      const ns = name == SO_RCVTIMEO ? d.receiveTimeout : d.sendTimeout;
      store<u64>(value, ns / SECOND);
      store<u64>(value, (ns % SECOND) / MICROSECOND, 8);
      return TIMEVAL;
    }
    case SO_DONTROUTE:
    case SO_OOBINLINE:
      // Urgent bytes stand where they were sent (RFC 6093, 6).
      store<u32>(value, u32(name == SO_OOBINLINE));
      return INT;
    case SO_BINDTODEVICE:
      return 0; // to none
    default:
  }
  const option = optionOf(name);
  if (!option) return -WasiErrno.Noprotoopt;
  let number = sockets.getOption(d.object, option);
  if (number < 0) return result(number);
  if (name == SO_ERROR) number = wasiErrno(number);
  else if (name == SO_TYPE) number = number == SocketType.Stream ? STREAM : DATAGRAM;
  store<u32>(value, number);
  return INT;
}

/** (fd, level, name, from, size) */
function setOption(guest: Guest, d: SocketDescription): WasiErrno {
  const record = guest.record;
  const name = <u32>record.argument(2);
  const length = <u32>record.argument(4);
  const from = guest.memory(<u32>record.argument(3), length);
  if (<u32>record.argument(1) != SOL_SOCKET) return WasiErrno.Inval;
  if (!from) return WasiErrno.Fault;
  switch (name) {
    case SO_LINGER:
      if (length < LINGER) return WasiErrno.Inval;
      return errnoOf(result(sockets.setOptionData(d.object, SocketOption.Linger, from, LINGER)));
    case SO_RCVTIMEO:
    case SO_SNDTIMEO:
      return setTimeout(d, name, from, length);
    case SO_BINDTODEVICE:
      return length ? WasiErrno.Noprotoopt : WasiErrno.Success;
    default:
  }
  if (length < INT) return WasiErrno.Inval;
  const number = load<u32>(from);
  // They are always so.
  if (name == SO_DONTROUTE) return number ? WasiErrno.Noprotoopt : WasiErrno.Success;
  if (name == SO_OOBINLINE) return number ? WasiErrno.Success : WasiErrno.Noprotoopt;
  const option = optionOf(name);
  if (!option) return WasiErrno.Noprotoopt;
  return errnoOf(result(sockets.setOption(d.object, option, number)));
}

/** A time below zero is over at once, as on Linux; none at all is for ever. */
function setTimeout(d: SocketDescription, name: u32, from: usize, length: u32): WasiErrno {
  if (length < TIMEVAL) return WasiErrno.Inval;
  const seconds = load<i64>(from);
  const us = load<u64>(from, 8);
  if (us > 999_999) return WasiErrno.Dom;
  const ns = <u64>min<i64>(seconds, SECONDS_MOST) * SECOND + us * MICROSECOND;
  const timeout = seconds < 0 ? 1 : ns;
  if (name == SO_RCVTIMEO) d.receiveTimeout = timeout;
  else d.sendTimeout = timeout;
  return WasiErrno.Success;
}
