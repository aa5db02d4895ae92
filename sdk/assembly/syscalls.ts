/**
 * The system calls: one table, shared by the kernel, guests and the Node host (plain TypeScript
 * and AssemblyScript both read this file).
 *
 * Every call returns a number: 0 or more on success, `-Errno` (kernel/errno.ts, Linux's numbers)
 * on failure. Nothing blocks: what cannot be done now is `-EAGAIN`, and `Poll` says when to try
 * again. Pointers are addresses in the caller's memory; the kernel checks each with its length
 * before it touches a byte, and answers `-EFAULT` for what is not the caller's.
 */
export const enum Syscall {
  /** (SocketType) → number */
  Socket = 1,
  /** (number, address) */
  Bind = 2,
  /** (number, backlog) */
  Listen = 3,
  /** (number, address or 0) → number of the new connection */
  Accept = 4,
  /** (number, address) → -EINPROGRESS for TCP; Writable or Error follows */
  Connect = 5,
  /** (number, from, length) → bytes taken */
  Send = 6,
  /** (number, into, length, ReceiveFlag) → bytes, 0 at the end of the stream */
  Receive = 7,
  /** (number, from, length, address) → length */
  SendTo = 8,
  /** (number, into, length, address or 0) → bytes of the datagram, cut to `length` */
  ReceiveFrom = 9,
  /** (number, Shutdown) */
  Shutdown = 10,
  /** (number) */
  Close = 11,
  /** (number, address) */
  LocalAddress = 12,
  /** (number, address) */
  PeerAddress = 13,
  /** (number, SocketOption, value) */
  SetOption = 14,
  /** (number, SocketOption) → value */
  GetOption = 15,
  /** (into, count) → how many `ReadyEntry` were written: sockets with news since they were last named */
  Poll = 16,
  /** (Statistics, into, length) → bytes of the structure, cut to `length` */
  Statistics = 17,
}

export const enum SocketType {
  Stream = 1,
  Datagram = 2,
}

/** Bits. */
export const enum ReceiveFlag {
  None = 0,
  /** Leaves the bytes in the queue. */
  Peek = 1,
}

export const enum Shutdown {
  Read = 0,
  Write = 1,
  Both = 2,
}

export const enum SocketOption {
  /** Sends small segments at once. 0 or 1. */
  NoDelay = 1,
  /** Probes an idle connection. 0 or 1. */
  KeepAlive = 2,
  /** Binds though an old connection still holds the port. 0 or 1. */
  ReuseAddress = 3,
  /** The pending error as a positive errno, cleared by reading. */
  Error = 4,
  /** Bytes that may be received before they are read. */
  ReceiveBuffer = 5,
  /** Bytes that may be sent before they are acknowledged. */
  SendBuffer = 6,
  /** Sends datagrams to broadcast addresses. 0 or 1. */
  Broadcast = 7,
}

/** Bits of `ReadyEntry`'s events; the same as net/endpoint.ts. */
export const enum SocketEvent {
  Readable = 1,
  Writable = 4,
  Error = 8,
  Hangup = 16,
}

/** What `Syscall.Statistics` copies. */
export const enum Statistics {
  /** Each pool in turn: slots, bytes of a slot, refused, lowest free, then packets by `Owner`; all u32. */
  Pools = 1,
  /** The class `TcpStats` of net/tcp/stats.ts. */
  Tcp = 2,
  /** Sockets open, sockets in all: two u32. */
  Sockets = 3,
  /** The classes `IpStats`, `IcmpStats`, `UdpStats`, `ArpStats`, `NeighbourStats`, `DhcpStats` of net/. */
  Ip = 4,
  Icmp = 5,
  Udp = 6,
  Arp = 7,
  Neighbours = 8,
  Dhcp = 9,
  /** The counters of the first interface: those of the class `Interface` of net/interface.ts. */
  Link = 10,
}

/** Sizes, in bytes, of what calls read and write. */
export const enum Layout {
  /** An address: two u64 (the IPv6 or IPv4-mapped address, high half first), the port as a u16, 0. */
  Address = 24,
  /** What `Poll` writes of a socket: its number, then its events, both u32. */
  Ready = 8,
  /** Statistics of one pool. */
  Pool = 40,
}
