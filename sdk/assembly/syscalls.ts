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
  /** (SocketType, Domain or 0, protocol) → number; without a domain it is IPv4's. See `SocketType` */
  Socket = 1,
  /** (number, address) */
  Bind = 2,
  /** (number, backlog) */
  Listen = 3,
  /** (number, address or 0) → number of the new connection */
  Accept = 4,
  /**
   * (number, address) → -EINPROGRESS for TCP; Writable or Error follows. Called again it says how
   * that went: -EALREADY, 0 once when it stands and then -EISCONN, or why it failed
   */
  Connect = 5,
  /** (number, from, length, SendFlag) → bytes taken */
  Send = 6,
  /** (number, into, length, ReceiveFlag) → bytes, 0 at the end of the stream */
  Receive = 7,
  /** (number, from, length, address, SendFlag) → length; for a stream see `SendFlag.FastOpen` */
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
  /**
   * (Statistics, into, length, index) → bytes of the structure, cut to `length`. `index` counts for
   * `Statistics.Device` alone, -ENODEV where there is none.
   */
  Statistics = 17,
  /** (number) → `SocketEvent` bits that hold now: what Linux's `poll` would report */
  Events = 18,
  /** (number, SocketOption, from, length): an option whose value is a structure; or a number of 4 bytes */
  SetOptionData = 19,
  /** (number, SocketOption, into, length) → bytes of the value, cut to `length` */
  GetOptionData = 20,
  /**
   * (number, into) → bytes of the first run of unread bytes of a stream, or of the oldest datagram, which is the
   * program's to read where it lies until `Release`; writes the lease's number, the run's address and its
   * length, three u32. Several may be out at a time. 0 is the end of the stream or a datagram of nothing, -EAGAIN
   * nothing yet, -ENOBUFS too many are out: `Receive` still works. The connection's window, or the queue of
   * datagrams, is charged while a lease is out, and `Close` ends those of its socket.
   */
  Lease = 21,
  /** (lease): in any order. -EINVAL for one that is out no longer */
  Release = 22,
  /**
   * (number, lease, address or 0) → bytes taken, all of them, to be sent from where they lie, by a stream or as a
   * datagram of UDP; ends the lease. Whether it is a stream's or a datagram's does not matter. What fails leaves it out
   */
  SendLease = 23,
  /** () → devices in the table: NICs, whether they run or not, and the loopback. They never move */
  DeviceCount = 24,
  /** (index, into): writes `Layout.Device` bytes. -ENODEV for an index that is none */
  DeviceInfo = 25,
  /** (index, DeviceCommand, value). -ENODEV likewise, -EOPNOTSUPP for what is no hardware */
  DeviceControl = 26,
  /**
   * () → how many devices began or ceased to run: looks at the buses again, starts what is new, has come
   * back or had failed, and gives up what is there no more. What was unloaded stays unloaded
   */
  DeviceRescan = 27,
  /**
   * (name, length, what) → number of the lookup, which goes on by itself. `what` is a type of record, or 0
   * for addresses, with `Resolve` bits. -EINVAL for what is no name, -ENOBUFS when too many are under way
   */
  Resolve = 28,
  /**
   * (lookup, into, length) → bytes of `Layout.Record`s; then the lookup is over, as it is after any error but
   * -EAGAIN, which asks to come again when the program has its next turn. -ENOENT: there is no such name; a
   * name without what is asked for has one record, its own. -ETIMEDOUT, -ECONNREFUSED, -ENETUNREACH, -EIO: no
   * server answered, could be reached, is known, or could say. -EBADMSG: by DNSSEC it is bogus, and the console
   * says why. -EMSGSIZE: `length` is too little, 8,192 is enough
   */
  Resolved = 29,
  /** (lookup): gives it up */
  ResolveEnd = 30,
  /** (number): resets a stream's connection, whatever it has still to send, and gives the number back */
  Abort = 31,
}

export const enum DeviceCommand {
  /**
   * Starts a device that does not run. -EALREADY if it does; -ENXIO if nothing answers at its place:
   * plug it in again; -EIO if its driver could not start it: the console says why.
   */
  Load = 1,
  /** Stops it until it is loaded: its link goes down, its addresses stay. -EALREADY if it is. */
  Unload = 2,
  /** Back to a working device; what was on its way out is lost. -ENETDOWN if it does not run: load it. */
  Reset = 3,
  /** Receives every frame, or every group's. `value` 0 or 1, else -EINVAL. Outlives resets and unloading. */
  Promiscuous = 4,
  AllMulticast = 5,
}

/** What `DeviceInfo` says of a device's state; the same as drivers/device.ts. */
export const enum DeviceStatus {
  Unloaded = 0,
  Running = 1,
  Failed = 2,
  Gone = 3,
}

/** Bits of `DeviceInfo`'s flags. */
export const enum DeviceFlag {
  Link = 1,
  FullDuplex = 2,
  Promiscuous = 4,
  AllMulticast = 8,
  Loopback = 16,
}

/** With the protocols that each may name; -EPROTONOSUPPORT for others. */
export const enum SocketType {
  /** 0, or 6: TCP. */
  Stream = 1,
  /**
   * 0, or 17: UDP. 1, or 58 of `Domain.Inet6`: echo of ICMP. Such a socket sends echo requests, with their
   * header, and receives the replies. The kernel fills in the checksum and the identifier, which is the
   * socket's port; a port of 0 binds to a free one.
   */
  Datagram = 2,
  /**
   * 1 to 255, a protocol of IP (IANA, "Protocol Numbers"). Each packet of it that comes for this machine is
   * received: with its IP header of IPv4, without one of IPv6. `bind` and `connect` choose by address. What is
   * sent begins behind the IP header, but see `SocketOption.HeaderIncluded`, which 255 has on from the start.
   * `Domain.Inet6` has nothing to do with IPv4 here. The kernel goes on with whatever it does of the protocol.
   */
  Raw = 3,
}

/** Linux's numbers. */
export const enum Domain {
  /** IPv4 alone (AF_INET). */
  Inet = 2,
  /** IPv6, and IPv4 by its mapped addresses unless `SocketOption.V6Only` is set (AF_INET6). */
  Inet6 = 10,
}

/** Bits. Unknown ones are -EOPNOTSUPP. */
export const enum ReceiveFlag {
  None = 0,
  /** Leaves the bytes in the queue. */
  Peek = 1,
  /** Streams: takes the bytes without copying them anywhere. */
  Truncate = 0x20,
  /** No effect, since nothing ever waits. */
  DontWait = 0x40,
  /** No effect without waiting: as with MSG_DONTWAIT, what is there is all there is. */
  WaitAll = 0x100,
}

/** Bits. Unknown ones are -EOPNOTSUPP. */
export const enum SendFlag {
  None = 0,
  /** No effect, since nothing ever waits. */
  DontWait = 0x40,
  /** No effect, since there are no signals. */
  NoSignal = 0x4000,
  /** Streams: more follows, so what does not fill a segment waits for it, 200 ms at most. */
  More = 0x8000,
  /**
   * Streams, with `SendTo`: connects, and if the server has given a cookie earlier sends what fits with
   * the SYN (RFC 7413). Without one nothing is taken, and the call is a `Connect`.
   */
  FastOpen = 0x2000_0000,
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
  /**
   * Binds though another socket has the port, if that has the option, too, and does not listen. Old
   * connections of the port are no obstacle in any case. 0 or 1.
   */
  ReuseAddress = 3,
  /** The pending error as a positive errno, cleared by reading. */
  Error = 4,
  /** Bytes that may be received before they are read. */
  ReceiveBuffer = 5,
  /** Bytes that may be sent before they are acknowledged. */
  SendBuffer = 6,
  /** Sends datagrams and raw packets to broadcast addresses. 0 or 1. */
  Broadcast = 7,
  /** Bytes that must wait to be read before the socket counts as readable (SO_RCVLOWAT). */
  ReceiveLowWater = 8,
  /**
   * What `Close` does with data not yet acknowledged; two u32, on and seconds (`struct linger`, by
   * SetOptionData). Off: it is sent in the background. On: after that many seconds, at once for 0, a
   * reset takes its place. `Close` never waits.
   */
  Linger = 9,
  /** Sends only full segments; 200 ms at most are waited for one (TCP_CORK). 0 or 1. */
  Cork = 10,
  /** Acknowledges every segment at once (TCP_QUICKACK); unlike Linux's, it stays on. 0 or 1. */
  QuickAck = 11,
  /** Seconds of silence before the first keepalive probe, 1 to 32,767 (TCP_KEEPIDLE). */
  KeepIdle = 12,
  /** Seconds between probes, likewise (TCP_KEEPINTVL). */
  KeepInterval = 13,
  /** Probes without an answer after which the connection is given up, 1 to 127 (TCP_KEEPCNT). */
  KeepCount = 14,
  /** Milliseconds without progress before the connection is given up; 0: two minutes (TCP_USER_TIMEOUT). */
  UserTimeout = 15,
  /** Times that a SYN is sent again, 1 to 127 (TCP_SYNCNT). */
  SynCount = 16,
  /** Seconds that a closed socket's connection stays in FIN-WAIT-2; below 0: none (TCP_LINGER2). */
  FinWait2 = 17,
  /** Largest segment to announce and to send, 88 to 32,767 bytes (TCP_MAXSEG). Reading: that in use. */
  MaxSegment = 18,
  /** Largest window to advertise, bytes (TCP_WINDOW_CLAMP). */
  WindowClamp = 19,
  /** Bytes given and not sent beyond which `Send` takes no more; 0: no limit (TCP_NOTSENT_LOWAT). */
  NotSentLowWater = 20,
  /** Of a listener: seconds to wait for data before a connection is shown (TCP_DEFER_ACCEPT). */
  DeferAccept = 21,
  /** Of a listener: Fast Open requests that may be pending; 0: none is taken (TCP_FASTOPEN). */
  FastOpen = 22,
  /** `Connect` waits for the first data, to send it with the SYN (TCP_FASTOPEN_CONNECT). 0 or 1. */
  FastOpenConnect = 23,
  /** Bytes a second at most; all ones: no limit (SO_MAX_PACING_RATE). As data 4 or 8 bytes. */
  MaxPacingRate = 24,
  /** The congestion control's name, as data: "cubic", "reno", … (TCP_CONGESTION). -ENOENT. */
  Congestion = 25,
  /** Linux's `struct tcp_info`, as data, for reading (TCP_INFO). */
  Info = 26,
  /**
   * IPv4's type of service and time to live, IPv6's traffic class and hop limit (IP_TOS, IP_TTL, IPV6_TCLASS,
   * IPV6_UNICAST_HOPS). The second 1 to 255, all ones for the default.
   */
  TypeOfService = 27,
  TimeToLive = 28,
  /** For reading: a `SocketType` (SO_TYPE); whether it listens (SO_ACCEPTCONN). */
  Type = 29,
  AcceptsConnections = 30,
  /** For reading: a `Domain` (SO_DOMAIN); the protocol of IP (SO_PROTOCOL). */
  Domain = 31,
  Protocol = 32,
  /** ECN, of a stream that is not open yet: 0 off, 1 if the peer asks, 2 ask, 3 ask for the accurate kind. */
  Ecn = 33,
  /**
   * Binds, and listens, though other sockets have the address and port, if all of them have the option
   * (SO_REUSEPORT). Each connection or sender of datagrams gets one of them by a hash of its address and
   * port, the same one as long as none is opened or closed. 0 or 1.
   */
  ReusePort = 34,
  /** Of a socket of `Domain.Inet6` that is not bound: has nothing to do with IPv4 (IPV6_V6ONLY). 0 or 1. */
  V6Only = 35,
  /**
   * A number that rules of routing know its packets by (SO_MARK), 0 unless set; below 2^31. -EPERM for a
   * guest that may not (`allow.mark`).
   */
  Mark = 36,
  /**
   * Raw, IPv4: what is sent begins with an IP header. The kernel fills in its length and checksum, and its
   * source if that is zero (IP_HDRINCL). 0 or 1.
   */
  HeaderIncluded = 40,
  /**
   * Raw, ICMP: a bit for each type, set if it is not to be received; as data, 4 bytes, of ICMPv6 32
   * (ICMP_FILTER, ICMP6_FILTER).
   */
  IcmpFilter = 41,
  /**
   * Raw, IPv6: offset, even, at which the kernel puts the checksum of what is sent and drops what is received with
   * a wrong one; -1: nowhere, the default (IPV6_CHECKSUM; RFC 3542, 3.1). That of ICMPv6 cannot be changed.
   */
  ChecksumOffset = 42,
  /**
   * UDP and raw (IP_MTU_DISCOVER, IPV6_MTU_DISCOVER; 2 is IPV6_DONTFRAG, too). What the path does not carry whole is
   * 0: fragmented, by routers as well; 1, the default: fragmented by us, to what routers have said of the path;
   * 2: refused with -EMSGSIZE; 3: refused if our link does not carry it.
   */
  MtuDiscovery = 43,
  /** UDP and raw, for reading: bytes of an IP packet that the path to the peer carries (IP_MTU). -ENOTCONN. */
  PathMtu = 44,
  /**
   * UDP and raw: joins or leaves a group; as data, `Layout.Address` bytes, of which the last four are the number of
   * an interface, from 1 on, or 0 for the one by which the group is routed (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP).
   * -EINVAL, -ENODEV, -EADDRINUSE for one joined already, -EADDRNOTAVAIL for one that is not, -ENOBUFS from 20 on.
   */
  JoinGroup = 45,
  LeaveGroup = 46,
  /** UDP and raw: TTL or hop limit of what is sent to groups, 0 to 255; 1 unless told (IP_MULTICAST_TTL). */
  MulticastHops = 47,
  /** What is sent to groups comes back to who has joined them on this machine (IP_MULTICAST_LOOP). 0 or 1. */
  MulticastLoop = 48,
  /** The number of the interface by which it leaves, 0 for the route's (IP_MULTICAST_IF). */
  MulticastInterface = 49,
  /**
   * UDP and raw (RFC 3678): hears a group of this source, which joins it, or no longer (IP_ADD_SOURCE_MEMBERSHIP,
   * MCAST_JOIN_SOURCE_GROUP, and their opposites); does not hear a source of a group that was joined, or again
   * (IP_BLOCK_SOURCE, MCAST_BLOCK_SOURCE). As data, two `Layout.Address`: the group, of which the last four bytes are
   * an interface's number as for `JoinGroup`, and the source. -EINVAL for a group not joined, or whose sources are of
   * the other kind, -ENODEV, -EADDRNOTAVAIL for a source that is named already or is not, -ENOBUFS for more than 10
   * of IPv4 or 64 of IPv6.
   */
  JoinSource = 50,
  LeaveSource = 51,
  BlockSource = 52,
  UnblockSource = 53,
  /**
   * All sources of a group that was joined (IP_MSFILTER, MCAST_MSFILTER). As data, `Layout.GroupFilter` bytes: a
   * `Layout.Address` as for `JoinGroup`; a u32, 1 to hear only the sources, 0 to hear all others; their number, a
   * u32; then a `Layout.Address` of each. To read it the group is put in: the number is that of all, the sources as
   * many as there is room for. -EADDRNOTAVAIL when it was not joined.
   */
  GroupFilter = 54,
  /** Hears groups that others on this machine have joined, and it has not: 1 unless told (IP_MULTICAST_ALL). 0 or 1. */
  MulticastAll = 55,
}

/** Bits of `ReadyEntry`'s events; the same as net/endpoint.ts. */
export const enum SocketEvent {
  Readable = 1,
  Writable = 4,
  Error = 8,
  Hangup = 16,
  /** The peer has ended its stream, or the program its reading. */
  ReadHangup = 0x2000,
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
  /** The class `Dhcpv6Stats` of net/dhcpv6/stats.ts. */
  Dhcpv6 = 27,
  /** The class `DhcpServerStats` of net/dhcp/stats.ts. */
  DhcpServer = 28,
  /** NTP servers that DHCP servers told of: an address of 16 bytes each, in the form of `Layout.Address`'s first 16. */
  Ntp = 29,
  /** The class `DnsStats` of net/dns/stats.ts. */
  Dns = 18,
  /** `IpStats` and `IcmpStats` of IPv6; the class `NdpStats` of net/ndp/stats.ts. */
  Ipv6 = 14,
  Icmpv6 = 15,
  Ndp = 16,
  /** The class `RawStats` of net/raw/stats.ts. */
  Raw = 17,
  /** The class `CopyStats` of kernel/copies.ts. */
  Copies = 11,
  /** The counters of the first interface: those of the class `Interface` of net/interface.ts. */
  Link = 10,
  /** Timers armed, extents in send queues, bytes of RAM that nobody has: three u32. */
  Resources = 12,
  /** The class `VirtualStats` of net/virtual/stats.ts: bridges, VLANs and tunnels. */
  Virtual = 25,
  /** The counters of one device, from `receivedPackets` to `resets` of drivers/device.ts, each a u64. */
  Device = 13,
}

/** Sizes, in bytes, of what calls read and write. */
export const enum Layout {
  /**
   * An address: two u64 (the IPv6 or IPv4-mapped address, high half first), the port as a u16, 0, and a
   * u32: of a link-local address its interface's number from 1 on; 0 is the first that is up.
   */
  Address = 24,
  /** What a group's filter begins with: see `SocketOption.GroupFilter`. */
  GroupFilter = 32,
  /** What `Poll` writes of a socket: its number, then its events, both u32. */
  Ready = 8,
  /** Statistics of one pool. */
  Pool = 40,
  /** What `Lease` writes. */
  Lease = 12,
  /**
   * What `DeviceInfo` writes, u32 unless told: `DeviceStatus`, `DeviceFlag` bits, Mbit/s, MTU; MAC
   * address as a u64, first byte on top; bus, place on it, id, interrupt's number (255: polled); times
   * given up, number in its name; ASCII filled up with zeroes: driver (16 bytes), model (32), name (16).
   */
  Device = 112,
  /**
   * A record in an answer, before its data: its type and the bytes of its data, u16; seconds for which it is
   * good, u32. The data is filled up to a multiple of 8. The first record of an answer is a CNAME (5): the
   * name in full that all others are of, as text. Data of A (1) and AAAA (28) is an `Address` with port 0, the
   * best to connect to first (RFC 6724); NS, CNAME, PTR: the name as text; MX: the preference, SRV: priority, weight and
   * port, each two bytes as on the wire, then the name as text; of all other types as on the wire.
   */
  Record = 8,
}

/** Bits of `Syscall.Resolve` above the type of record, which is 16 bits. */
export const enum Resolve {
  /** IPv4 addresses alone; IPv6 addresses alone. Both with neither. Only without a type. */
  V4 = 0x1_0000,
  V6 = 0x2_0000,
  /** Takes only addresses as numbers: nobody is asked. */
  Numeric = 0x4_0000,
  /** No addresses of a family of which this machine has none (AI_ADDRCONFIG). */
  Configured = 0x8_0000,
  /**
   * Puts an OPT (41) record behind the others, of 8 bytes: `Security` and, of what is not secure, the Extended DNS
   * Error (RFC 8914, 4), both u32. Of an answer that is bogus it is the only one.
   */
  Security = 0x10_0000,
  /** Once one family has an answer, the other's is waited for 50 ms at most (RFC 8305, 3). */
  Prompt = 0x20_0000,
}

/** How far an answer is to be believed (RFC 4033, 5), by the `dnssec=` of the machine. */
export const enum Security {
  /** Nobody has looked: validation is off, or nobody was asked. */
  Unchecked = 0,
  /** It is not what the zone's owner has signed, though there should be such a thing. */
  Bogus = 1,
  /** No trust anchor says anything of it. */
  Indeterminate = 2,
  /** It is proven that nobody has signed it. */
  Insecure = 3,
  /** Signed, by a chain of keys from a trust anchor: what AD says on the wire. */
  Secure = 4,
}
