/**
 * What TCP, UDP and raw endpoints tell whoever owns one of their endpoints. The layer above sets the sink once;
 * each endpoint carries the number by which its owner knows it, 0 for none.
 */

/** Bits: an edge, not a state. The owner asks the endpoint how things stand. */
export const enum EndpointEvent {
  /** Data, a datagram or a connection to accept has arrived, or the peer has ended its stream. */
  Readable = 1,
  /** Room to send again, or the connection stands. */
  Writable = 4,
  /** The endpoint has an error to report. */
  Error = 8,
  /** Both directions are over. */
  Hangup = 16,
  /** The peer has ended its stream, or the program reading. */
  ReadHangup = 0x2000,
}

/** What a program may set of an endpoint; the numbers are its own interface's. */
export const enum EndpointOption {
  /** TCP: sends small segments at once. 0 or 1. */
  NoDelay = 1,
  /** TCP: probes an idle connection. 0 or 1. */
  KeepAlive = 2,
  /** Binds though another, that does too and does not listen, has the port. 0 or 1. */
  ReuseAddress = 3,
  /** The pending error as a positive errno, cleared by reading. */
  Error = 4,
  /** Bytes that may be received before they are read. */
  ReceiveBuffer = 5,
  /** Bytes that may be sent before they are acknowledged. */
  SendBuffer = 6,
  /** UDP and raw: sends to broadcast addresses. 0 or 1. */
  Broadcast = 7,
  /** Bytes that must wait to be read before the socket counts as readable. */
  ReceiveLowWater = 8,
  /** TCP: what `close` does with unsent data (`struct linger`, as data). */
  Linger = 9,
  /** TCP: sends only full segments, for 200 ms at most. 0 or 1. */
  Cork = 10,
  /** TCP: acknowledges every segment at once. 0 or 1. */
  QuickAck = 11,
  /** TCP: seconds of silence before the first keepalive probe, and between probes; how many. */
  KeepIdle = 12,
  KeepInterval = 13,
  KeepCount = 14,
  /** TCP: milliseconds without progress before the connection is given up; 0 for the default. */
  UserTimeout = 15,
  /** TCP: times that a SYN is sent again. */
  SynCount = 16,
  /** TCP: seconds that a closed socket's connection stays in FIN-WAIT-2; below 0: none. */
  FinWait2 = 17,
  /** TCP: largest segment to announce and to send. */
  MaxSegment = 18,
  /** TCP: largest window to advertise. */
  WindowClamp = 19,
  /** TCP: bytes given and not sent beyond which no more are taken. */
  NotSentLowWater = 20,
  /** TCP, listening: seconds to wait for data before a connection is shown. */
  DeferAccept = 21,
  /** TCP, listening: Fast Open requests that may be pending. */
  FastOpen = 22,
  /** TCP: `connect` waits for the first data, to send it with the SYN. 0 or 1. */
  FastOpenConnect = 23,
  /** TCP: bytes a second at most; as data 4 or 8 bytes. */
  MaxPacingRate = 24,
  /** TCP: the congestion control's name (as data). */
  Congestion = 25,
  /** TCP: the connection's state in Linux's `struct tcp_info` (as data). */
  Info = 26,
  /** IPv4 type of service, and time to live. */
  TypeOfService = 27,
  TimeToLive = 28,
  /** TCP, before the connection is opened: an `EcnMode`. */
  Ecn = 33,
  /** Binds though others that do have the port; what comes is dealt out among them. 0 or 1. */
  ReusePort = 34,
  /** What rules of routing know its packets by. */
  Mark = 36,
  /** Raw, IPv4: what is sent begins with an IP header. 0 or 1. */
  HeaderIncluded = 40,
  /** Raw: a bit for each ICMP type not to be heard; as data, 4 bytes or, of ICMPv6, 32. */
  IcmpFilter = 41,
  /** Raw, IPv6: where the kernel puts and checks a checksum; -1: nowhere. */
  ChecksumOffset = 42,
  /** UDP and raw: a `MtuDiscovery` (net/datagram.ts). */
  MtuDiscovery = 43,
  /** UDP and raw, connected: bytes of an IP packet that the path carries. */
  PathMtu = 44,
  /** UDP and raw: joins or leaves a group (as data, an address). */
  JoinGroup = 45,
  LeaveGroup = 46,
  /** UDP and raw, of what is sent to groups: hops; whether it comes back, 0 or 1; an interface's number or 0. */
  MulticastHops = 47,
  MulticastLoop = 48,
  MulticastInterface = 49,
  /** UDP and raw: names a source of a group to hear or not, or no longer (as data, two addresses). */
  JoinSource = 50,
  LeaveSource = 51,
  BlockSource = 52,
  UnblockSource = 53,
  /** UDP and raw: a group's whole filter (as data). */
  GroupFilter = 54,
  /** UDP and raw: hears groups that others here have joined, too. 0 or 1. */
  MulticastAll = 55,
}

/**
 * An owner with this bit is a client inside the stack: the other bits are the table index of a function
 * `() => void` that hears that there is news.
 */
export const INSIDE: u32 = 1 << 31;

let sink: u32 = 0;
let warned: u32 = 0;

/**
 * Sets who is told, and who is told that the owner of a TCP connection may be told of something soon, to have
 * his memory at hand; before the first endpoint opens.
 */
export function setEndpointSink(
  tell: (owner: u32, events: u32) => void,
  warn: (connection: u32) => void,
): void {
  sink = tell.index;
  warned = warn.index;
}

/** There may soon be news for who owns the connection of this index, if anybody does. */
@inline export function foresee(connection: u32): void {
  call_indirect<void>(warned, connection);
}

/** Tells `owner` of `events`. The sink only marks: it never calls back into the stack. */
@inline export function notify(owner: u32, events: u32): void {
  if (owner) call_indirect<void>(sink, owner, events);
}
