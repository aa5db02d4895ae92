/**
 * Ethernet, ARP, IPv4, IPv6, ICMP, UDP and TCP for tests: written from the RFCs and apart from net/, so
 * that a mistake in one shows against the other. Parsing is strict: what a correct sender never
 * sends is `Malformed`.
 */

/** What is wrong with a frame, and with which field. */
export class Malformed extends Error {
  override name = "Malformed";
}

export const BROADCAST = "ff:ff:ff:ff:ff:ff";

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;
export const ETHERTYPE_RARP = 0x8035;

/** VLAN tags (IEEE 802.1Q, 9.5): a customer's, and a provider's. */
export const CUSTOMER_TAG = 0x8100;
export const SERVICE_TAG = 0x88a8;

export const ICMP = 1;
/** Tunnels (RFC 2003, 4213 and 2473; RFC 2784). */
export const IPV4_IN_IP = 4;
export const IPV6_IN_IP = 41;
export const GRE = 47;
export const IGMP = 2;
export const TCP = 6;
export const UDP = 17;
export const ICMPV6 = 58;
/** Protocols for experiments (RFC 3692, 2.1): a program's own business. */
export const EXPERIMENTAL = [253, 254];
/** Protocols whose payload is left to the test. */
const OPAQUE = [...EXPERIMENTAL, IPV4_IN_IP, IPV6_IN_IP, GRE];

/** TCP's control bits (RFC 9293, 3.1; ECE and CWR from RFC 3168, 6.1; AE from RFC 9768, 3.1). */
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;
export const ECE = 64;
export const CWR = 128;
export const AE = 256;

/** The ECN codepoints of IP (RFC 3168, 5). */
export const NOT_ECT = 0;
export const ECT1 = 1;
export const ECT0 = 2;
export const CE = 3;

export interface Arp {
  operation: "request" | "reply";
  senderMac: string;
  senderIp: string;
  targetMac: string;
  targetIp: string;
}

export interface Icmp {
  type: number;
  code: number;
  /** Octets 4 to 7: identifier and sequence of an echo, the MTU of "fragmentation needed". */
  rest: number;
  payload: Uint8Array;
}

export interface Udp {
  sourcePort: number;
  destinationPort: number;
  payload: Uint8Array;
}

export interface TcpOptions {
  mss?: number;
  windowScale?: number;
  sackPermitted?: boolean;
  sack?: [number, number][];
  timestamps?: [value: number, echo: number];
  /** Accurate ECN (RFC 9768, 3.2.3): kind 172 or 174, and up to three counters in its order. */
  accurateEcn?: [kind: number, ...counters: number[]];
  /** A Fast Open cookie; none asks for one (RFC 7413, 4.1.1). */
  fastOpen?: Uint8Array;
  /** Bytes before all others, for what no honest peer writes; they are never read back. */
  raw?: number[];
}

export interface TcpSegment {
  sourcePort: number;
  destinationPort: number;
  seq: number;
  ack: number;
  flags: number;
  /** As on the wire, not scaled. */
  window: number;
  options: TcpOptions;
  payload: Uint8Array;
  /** The codepoint of the IP header around it. */
  ecn?: number;
}

export interface Ipv4 {
  source: string;
  destination: string;
  protocol: number;
  /** DSCP and ECN. */
  trafficClass: number;
  ttl: number;
  id: number;
  dontFragment: boolean;
  moreFragments: boolean;
  /** In octets. */
  fragmentOffset: number;
  headerLength: number;
  payload: Uint8Array;
}

export interface Ipv6 {
  source: string;
  destination: string;
  /** The transport's, behind the extension headers. */
  protocol: number;
  trafficClass: number;
  hopLimit: number;
  /** Extension headers in their order, by protocol number. */
  extensions: number[];
  /** Of a fragment. */
  fragment?: { id: number; offset: number; more: boolean };
  /** The transport's bytes, or the fragment's. */
  payload: Uint8Array;
}

/** What either family says of a transport's bytes. */
export interface Ip {
  source: string;
  destination: string;
  trafficClass: number;
  payload: Uint8Array;
}

export interface Frame {
  source: string;
  destination: string;
  /** Of what it carries, behind the tags. */
  type: number;
  length: number;
  /** VLAN tags, the outer first; none in most frames. */
  tags?: { type: number; priority: number; id: number }[];
  arp?: Arp;
  /** Reverse ARP (RFC 903), which has the same form. */
  rarp?: Arp;
  ipv4?: Ipv4;
  ipv6?: Ipv6;
  /** `ipv4` or `ipv6`. */
  ip?: Ip;
  icmp?: Icmp;
  icmp6?: Icmp;
  udp?: Udp;
  tcp?: TcpSegment;
  igmp?: Igmp;
}

/** A record of a report: its type (RFC 3376, 4.2.12; RFC 3810, 5.2.12), the group, the sources. */
export type GroupRecord = [type: number, group: string, ...sources: string[]];

/** What a host says of its groups (RFC 3376; RFC 2236; RFC 1112). */
export interface Igmp {
  type: number;
  /** Of the older messages. */
  group: string;
  /** Of version 3's report. */
  records: GroupRecord[];
}

export function mac(bytes: Uint8Array, at = 0): string {
  let text = "";
  for (let i = 0; i < 6; i++) text += (i ? ":" : "") + bytes[at + i]!.toString(16).padStart(2, "0");
  return text;
}

export function macBytes(text: string): number[] {
  return text.split(":").map((part) => parseInt(part, 16));
}

/** An IPv4 address. */
export function ip(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

export function ipNumber(text: string): number {
  return text.split(".").reduce((value, part) => value * 256 + Number(part), 0);
}

/** The Internet checksum (RFC 1071) of `bytes`, starting from a partial sum. */
export function checksum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let i = 0; i < bytes.length; i++) sum += i & 1 ? bytes[i]! : bytes[i]! << 8;
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** The 16 bytes of an IPv6 address (RFC 4291, 2.2, without dotted decimal). */
export function ip6Bytes(text: string): number[] {
  const [left = "", right] = text.split("::");
  const groups = (part: string) =>
    part ? part.split(":").map((group) => parseInt(group, 16)) : [];
  const [head, tail] = [groups(left), groups(right ?? "")];
  const gap = new Array<number>(8 - head.length - tail.length).fill(0);
  return [...head, ...gap, ...tail].flatMap((group) => [group >> 8, group & 255]);
}

/** An IPv6 address as people write it (RFC 5952). */
export function ip6(bytes: Uint8Array | number[]): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  let best = { at: 0, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const text = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best.length < 2) return text(groups);
  return `${text(groups.slice(0, best.at))}::${text(groups.slice(best.at + best.length))}`;
}

function addressBytes(text: string): number[] {
  return text.includes(":") ? ip6Bytes(text) : be32(ipNumber(text));
}

function pseudoHeader(source: string, destination: string, protocol: number, length: number) {
  let sum = protocol + length;
  for (const bytes of [addressBytes(source), addressBytes(destination)]) {
    for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  }
  return sum;
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Malformed(what);
}

// ---- Parsing ------------------------------------------------------------------------------

/** Parses a frame as a correct host would have sent it. Throws `Malformed`. */
export function parse(bytes: Uint8Array): Frame {
  check(bytes.length >= 60, `Ethernet: frame of ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const tags = [];
  let typeAt = 12;
  for (; [CUSTOMER_TAG, SERVICE_TAG].includes(view.getUint16(typeAt)); typeAt += 4) {
    const control = view.getUint16(typeAt + 2);
    tags.push({ type: view.getUint16(typeAt), priority: control >> 13, id: control & 0xfff });
  }
  // One tag is beyond what the frame carries (IEEE 802.3, 3.2.7).
  const most = tags.length ? 1518 : 1514;
  check(bytes.length <= most, `Ethernet: frame of ${bytes.length} bytes`);
  const frame: Frame = {
    destination: mac(bytes, 0),
    source: mac(bytes, 6),
    type: view.getUint16(typeAt),
    length: bytes.length,
    ...(tags.length && { tags }),
  };
  check((bytes[6]! & 1) === 0, `Ethernet: group address ${frame.source} as source`);
  const header = typeAt + 2;
  const body = bytes.subarray(header);
  let used: number;
  if (frame.type === ETHERTYPE_ARP) {
    frame.arp = parseArp(body, frame, 1);
    used = 28;
  } else if (frame.type === ETHERTYPE_RARP) {
    frame.rarp = parseArp(body, frame, 3);
    used = 28;
  } else if (frame.type === ETHERTYPE_IPV4) {
    frame.ipv4 = parseIpv4(body);
    used = frame.ipv4.headerLength + frame.ipv4.payload.length;
    frame.ip = frame.ipv4;
    parseTransport(frame, frame.ipv4);
  } else if (frame.type === ETHERTYPE_IPV6) {
    frame.ipv6 = parseIpv6(body, frame);
    frame.ip = frame.ipv6;
    used = 40 + view.getUint16(header + 4);
    parseTransport6(frame, frame.ipv6);
  } else {
    throw new Malformed(`Ethernet: type 0x${frame.type.toString(16)}`);
  }
  check(header + used === bytes.length || bytes.length === 60, "Ethernet: bytes after the packet");
  // What pads a short frame must not be what was in memory (RFC 894: octets of zero).
  for (let i = used; i < body.length; i++) check(body[i] === 0, "Ethernet: padding is not zero");
  return frame;
}

/** `first`: the number of the request among operations, 1 of ARP, 3 of RARP. */
function parseArp(body: Uint8Array, frame: Frame, first: number): Arp {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  check(view.getUint16(0) === 1 && view.getUint16(2) === ETHERTYPE_IPV4, "ARP: address types");
  check(body[4] === 6 && body[5] === 4, "ARP: address lengths");
  const operation = view.getUint16(6);
  check(operation === first || operation === first + 1, `ARP: operation ${operation}`);
  const arp: Arp = {
    operation: operation === first ? "request" : "reply",
    senderMac: mac(body, 8),
    senderIp: ip(view.getUint32(14)),
    targetMac: mac(body, 18),
    targetIp: ip(view.getUint32(24)),
  };
  check(arp.senderMac === frame.source, "ARP: sender is not the frame's source");
  return arp;
}

function parseIpv4(body: Uint8Array): Ipv4 {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const headerLength = (body[0]! & 15) * 4;
  const totalLength = view.getUint16(2);
  const fragment = view.getUint16(6);
  check(body[0]! >> 4 === 4, "IPv4: version");
  check(headerLength >= 20 && headerLength <= totalLength, "IPv4: header length");
  check(totalLength <= body.length, `IPv4: total length ${totalLength} of ${body.length}`);
  check(checksum(body.subarray(0, headerLength)) === 0, "IPv4: header checksum");
  check((fragment & 0x8000) === 0, "IPv4: reserved flag");
  check(body[8]! > 0, "IPv4: time to live 0");
  const packet: Ipv4 = {
    source: ip(view.getUint32(12)),
    destination: ip(view.getUint32(16)),
    protocol: body[9]!,
    trafficClass: body[1]!,
    ttl: body[8]!,
    id: view.getUint16(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: (fragment & 0x1fff) * 8,
    headerLength,
    payload: body.subarray(headerLength, totalLength),
  };
  const first = body[12]!;
  check(first < 224 && first !== 127, `IPv4: source ${packet.source}`);
  check(packet.destination !== "0.0.0.0", "IPv4: destination 0.0.0.0");
  return packet;
}

function parseTransport(frame: Frame, packet: Ipv4): void {
  if (packet.fragmentOffset || packet.moreFragments) return;
  if (packet.protocol === ICMP) frame.icmp = parseIcmp(packet.payload);
  else if (packet.protocol === UDP) frame.udp = parseUdp(packet);
  else if (packet.protocol === TCP) frame.tcp = parseTcp(packet);
  else if (packet.protocol === IGMP) frame.igmp = parseIgmp(packet);
  else check(OPAQUE.includes(packet.protocol), `IPv4: protocol ${packet.protocol}`);
}

function parseIgmp({ payload, ttl, headerLength, trafficClass, destination }: Ipv4): Igmp {
  check(ttl === 1 && headerLength === 24 && trafficClass === 0xc0, "IGMP: header (RFC 3376, 4)");
  check(payload.length >= 8 && checksum(payload) === 0, "IGMP: length or checksum");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const type = payload[0]!;
  const group = ip(view.getUint32(4));
  if (type === 0x12 || type === 0x16) check(destination === group, "IGMP: report's destination");
  else if (type === 0x17) check(destination === "224.0.0.2", "IGMP: leave's destination");
  else check(type === 0x22 && destination === "224.0.0.22", `IGMP: type ${type}`);
  const count = type === 0x22 ? view.getUint16(6) : 0;
  const records = groupRecords(payload.subarray(8), count, 4, (at) => ip(view.getUint32(8 + at)));
  return { type, group, records };
}

/** The records of a report, whose addresses are of so many bytes: nothing is behind them. */
function groupRecords(
  bytes: Uint8Array,
  count: number,
  address: number,
  text: (at: number) => string,
): GroupRecord[] {
  let at = 0;
  const records = Array.from({ length: count }, (): GroupRecord => {
    check(at + 4 + address <= bytes.length && bytes[at + 1] === 0, "report: record (4.2.6)");
    const sources = (bytes[at + 2]! << 8) | bytes[at + 3]!;
    const from = at;
    at += 4 + address * (1 + sources);
    const named = Array.from({ length: sources }, (_, i) => text(from + 4 + address * (i + 1)));
    return [bytes[from]!, text(from + 4), ...named];
  });
  check(at === bytes.length, "report: bytes behind its records");
  return records;
}

/** The records of a report of multicast listener discovery (RFC 3810, 5.2). */
export function mldRecords({ rest, payload }: Icmp): GroupRecord[] {
  const count = rest & 0xffff;
  return groupRecords(payload, count, 16, (at) => ip6(payload.subarray(at, at + 16)));
}

/** Extension headers (RFC 8200, 4). */
export const HOP_BY_HOP = 0;
export const ROUTING = 43;
export const FRAGMENT = 44;
export const DESTINATION_OPTIONS = 60;

function parseIpv6(body: Uint8Array, frame: Frame): Ipv6 {
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  check(body.length >= 40 && body[0]! >> 4 === 6, "IPv6: version");
  const end = 40 + view.getUint16(4);
  check(end <= body.length, `IPv6: payload length ${end - 40} of ${body.length - 40}`);
  check(body[7]! > 0, "IPv6: hop limit 0");
  const packet: Ipv6 = {
    source: ip6(body.subarray(8, 24)),
    destination: ip6(body.subarray(24, 40)),
    protocol: body[6]!,
    trafficClass: (view.getUint16(0) >> 4) & 255,
    hopLimit: body[7]!,
    extensions: [],
    payload: body.subarray(40, end),
  };
  check(body[8] !== 0xff, `IPv6: source ${packet.source}`);
  check(packet.source !== "::1" && packet.destination !== "::1", "IPv6: ::1 on a link");
  check(packet.destination !== "::", "IPv6: destination ::");
  if (body[24] === 0xff) {
    const group = Array.from(body.subarray(36, 40));
    check(frame.destination === mac(Uint8Array.of(0x33, 0x33, ...group)), "IPv6: group's MAC");
  }
  while ([HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION_OPTIONS].includes(packet.protocol)) {
    const header = packet.payload;
    check(header.length >= 8, "IPv6: extension header");
    check(packet.protocol !== HOP_BY_HOP || !packet.extensions.length, "IPv6: late hop-by-hop");
    const length = packet.protocol === FRAGMENT ? 8 : (header[1]! + 1) * 8;
    check(length <= header.length, "IPv6: length of an extension header");
    packet.extensions.push(packet.protocol);
    if (packet.protocol === FRAGMENT) {
      const bits = (header[2]! << 8) | header[3]!;
      check(header[1] === 0 && (bits & 6) === 0, "IPv6: reserved bits of a fragment");
      const id = new DataView(header.buffer, header.byteOffset).getUint32(4);
      packet.fragment = { id, offset: bits & ~7, more: (bits & 1) === 1 };
    }
    packet.protocol = header[0]!;
    packet.payload = header.subarray(length);
    if (packet.fragment) break;
  }
  return packet;
}

function parseTransport6(frame: Frame, packet: Ipv6): void {
  if (packet.fragment && (packet.fragment.offset || packet.fragment.more)) return;
  if (packet.protocol === ICMPV6) frame.icmp6 = parseIcmp6(packet);
  else if (packet.protocol === UDP) frame.udp = parseUdp(packet, false);
  else if (packet.protocol === TCP) frame.tcp = parseTcp(packet);
  else check(OPAQUE.includes(packet.protocol), `IPv6: protocol ${packet.protocol}`);
}

/** What a host sends (RFC 4443; RFC 4861, 4; RFC 3810, 5.2), and what a router says. */
const ICMP6_TYPES = [1, 2, 3, 4, 128, 129, 131, 132, 133, 134, 135, 136, 137, 143];

function parseIcmp6(packet: Ipv6): Icmp {
  const { source, destination, payload } = packet;
  check(payload.length >= 8, "ICMPv6: length");
  const sum = pseudoHeader(source, destination, ICMPV6, payload.length);
  check(checksum(payload, sum) === 0, "ICMPv6: checksum");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const [type, code] = [payload[0]!, payload[1]!];
  const icmp = { type, code, rest: view.getUint32(4), payload: payload.subarray(8) };
  check(ICMP6_TYPES.includes(type), `ICMPv6: type ${type}`);
  if (type < 128) {
    check(payload.length >= 48, "ICMPv6: error quotes less than a header");
    check(40 + payload.length <= 1280, "ICMPv6: error of more than 1280 octets (RFC 4443, 2.4 c)");
  }
  if (type >= 133 && type <= 137) {
    check(packet.hopLimit === 255, `ICMPv6: discovery with hop limit ${packet.hopLimit}`);
    check(code === 0, "ICMPv6: code of discovery");
    checkDiscovery(packet, type);
  }
  if (type === 131 || type === 132) {
    check(packet.hopLimit === 1 && packet.extensions.includes(HOP_BY_HOP), "MLD: router alert");
    const group = type === 131 ? ip6(payload.subarray(8, 24)) : "ff02::2";
    check(payload.length === 24 && destination === group, "MLD: destination (RFC 2710, 3)");
  }
  if (type === 143) {
    check(packet.hopLimit === 1 && packet.extensions.includes(HOP_BY_HOP), "MLD: router alert");
    check(destination === "ff02::16", "MLD: report's destination");
    mldRecords(icmp);
  }
  return icmp;
}

/** The options of a message of neighbour discovery, by type. */
export function discoveryOptions(bytes: Uint8Array): Map<number, Uint8Array> {
  const options = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length;) {
    const length = (bytes[at + 1] ?? 0) * 8;
    check(length > 0 && at + length <= bytes.length, "ICMPv6: length of a discovery option");
    options.set(bytes[at]!, bytes.subarray(at + 2, at + length));
    at += length;
  }
  return options;
}

/** Bytes before the options, of router and neighbour messages (RFC 4861, 4.1 to 4.4). */
const DISCOVERY_FIXED: Record<number, number> = { 133: 8, 134: 16, 135: 24, 136: 24, 137: 40 };

function checkDiscovery({ source, destination, payload }: Ipv6, type: number): void {
  const fixed = DISCOVERY_FIXED[type]!;
  check(payload.length >= fixed, "ICMPv6: length of a discovery message");
  const options = discoveryOptions(payload.subarray(fixed));
  if (source === "::")
    check(!options.has(1), "ICMPv6: link address of nobody (RFC 4861, 4.1, 4.3)");
  if (type < 135) return;
  const target = payload.subarray(8, 24);
  check(target[0] !== 0xff, "ICMPv6: a group as target");
  if (type === 135) {
    const group = ip6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, ...target.subarray(13)]);
    const alone = source !== "::" && destination === ip6(target);
    check(destination === group || alone, "ICMPv6: solicitation's destination (RFC 4861, 7.2.2)");
    if (destination === group) check(source === "::" || options.has(1), "ICMPv6: link address");
  } else if (type === 137) {
    check(source.startsWith("fe80:"), "ICMPv6: redirect's source (RFC 4861, 4.5)");
    const of = ip6(target);
    const onLink = of === ip6(payload.subarray(24, 40));
    check(onLink || of.startsWith("fe80:"), "ICMPv6: redirect's target");
  } else {
    const solicited = (payload[4]! & 0x40) !== 0;
    check(!solicited || !destination.startsWith("ff"), "ICMPv6: solicited, and for all");
  }
}

/** Destination unreachable, redirect, time exceeded, parameter problem: they quote the packet (RFC 792). */
const ICMP_ERRORS = [3, 5, 11, 12];

function parseIcmp(body: Uint8Array): Icmp {
  check(body.length >= 8, "ICMP: length");
  check(checksum(body) === 0, "ICMP: checksum");
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const icmp = {
    type: body[0]!,
    code: body[1]!,
    rest: view.getUint32(4),
    payload: body.subarray(8),
  };
  check([0, 3, 5, 8, 11, 12].includes(icmp.type), `ICMP: type ${icmp.type}`);
  // The quoted header and 8 octets at least (RFC 1122, 3.2.2), 576 octets in all at most (RFC 1812, 4.3.2.3).
  if (ICMP_ERRORS.includes(icmp.type)) {
    check(icmp.payload.length >= 28 && body.length <= 556, "ICMP: length of what is quoted");
  }
  return icmp;
}

function parseUdp({ source, destination, payload }: Ip, maybeUnsummed = true): Udp {
  check(payload.length >= 8, "UDP: length");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  check(view.getUint16(4) === payload.length, "UDP: length field");
  const sum = pseudoHeader(source, destination, UDP, payload.length);
  const unsummed = maybeUnsummed && view.getUint16(6) === 0;
  check(unsummed || checksum(payload, sum) === 0, "UDP: checksum");
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    payload: payload.subarray(8),
  };
}

function parseTcp({ source, destination, payload, trafficClass }: Ip): TcpSegment {
  check(payload.length >= 20, "TCP: length");
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const headerLength = (payload[12]! >> 4) * 4;
  check(headerLength >= 20 && headerLength <= payload.length, "TCP: data offset");
  const sum = pseudoHeader(source, destination, TCP, payload.length);
  check(checksum(payload, sum) === 0, "TCP: checksum");
  const flags = view.getUint16(12) & 0x1ff;
  check((payload[12]! & 14) === 0, "TCP: reserved bits");
  check(flags & URG ? true : view.getUint16(18) === 0, "TCP: urgent pointer without URG");
  check(!(flags & SYN && flags & (FIN | RST)), "TCP: SYN with FIN or RST");
  check((flags & (SYN | RST | ACK)) !== 0, "TCP: no ACK after SYN");
  check(flags & ACK ? true : view.getUint32(8) === 0, "TCP: acknowledgment number without ACK");
  check(view.getUint16(0) !== 0 && view.getUint16(2) !== 0, "TCP: port 0");
  return {
    sourcePort: view.getUint16(0),
    destinationPort: view.getUint16(2),
    seq: view.getUint32(4),
    ack: view.getUint32(8),
    flags,
    window: view.getUint16(14),
    options: parseOptions(payload.subarray(20, headerLength), flags),
    payload: payload.subarray(headerLength),
    ecn: trafficClass & 3,
  };
}

function parseOptions(bytes: Uint8Array, flags: number): TcpOptions {
  const options: TcpOptions = {};
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const syn = (flags & SYN) !== 0;
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]!;
    if (kind === 1) {
      at++;
      continue;
    }
    if (kind === 0) {
      for (; at < bytes.length; at++) check(bytes[at] === 0, "TCP: octets after the option list");
      break;
    }
    const length = bytes[at + 1] ?? 0;
    check(length >= 2 && at + length <= bytes.length, `TCP: length of option ${kind}`);
    const is = (wanted: number, onSyn?: boolean) => {
      check(length === wanted, `TCP: option ${kind} of ${length} octets`);
      check(onSyn === undefined || onSyn === syn, `TCP: option ${kind} in the wrong segment`);
    };
    switch (kind) {
      case 2:
        is(4, true);
        options.mss = view.getUint16(at + 2);
        break;
      case 3:
        is(3, true);
        options.windowScale = bytes[at + 2]!;
        check(options.windowScale <= 14, `TCP: window scale ${options.windowScale}`);
        break;
      case 4:
        is(2, true);
        options.sackPermitted = true;
        break;
      case 5:
        check(length > 2 && (length - 2) % 8 === 0 && !syn, "TCP: SACK option");
        options.sack = [];
        for (let i = at + 2; i < at + length; i += 8) {
          options.sack.push([view.getUint32(i), view.getUint32(i + 4)]);
        }
        break;
      case 8:
        is(10);
        options.timestamps = [view.getUint32(at + 2), view.getUint32(at + 6)];
        break;
      case 172:
      case 174:
        check([2, 5, 8, 11].includes(length), "TCP: length of the Accurate ECN option");
        options.accurateEcn = [kind];
        for (let i = at + 2; i < at + length; i += 3) {
          options.accurateEcn.push(view.getUint16(i) * 256 + bytes[i + 2]!);
        }
        break;
      case 34:
        check(length === 2 || (length >= 6 && length <= 18 && !(length & 1)), "TCP: Fast Open");
        check(syn, "TCP: Fast Open option without SYN");
        options.fastOpen = bytes.slice(at + 2, at + length);
        break;
      default:
        throw new Malformed(`TCP: option ${kind}`);
    }
    at += length;
  }
  return options;
}

// ---- Building -----------------------------------------------------------------------------

function join(...parts: (Uint8Array | number[])[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function be16(value: number): number[] {
  return [(value >>> 8) & 255, value & 255];
}

function be32(value: number): number[] {
  return [(value >>> 24) & 255, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

/** An Ethernet frame, padded to 60 octets. */
export function ethernet(
  destination: string,
  source: string,
  type: number,
  payload: Uint8Array,
): Uint8Array {
  const frame = join(macBytes(destination), macBytes(source), be16(type), payload);
  return frame.length < 60 ? join(frame, new Uint8Array(60 - frame.length)) : frame;
}

export function arpPacket(arp: Arp): Uint8Array {
  return join(
    [0, 1, 8, 0, 6, 4, 0, arp.operation === "request" ? 1 : 2],
    macBytes(arp.senderMac),
    be32(ipNumber(arp.senderIp)),
    macBytes(arp.targetMac),
    be32(ipNumber(arp.targetIp)),
  );
}

export interface Ipv4Fields {
  source: string;
  destination: string;
  protocol: number;
  payload: Uint8Array;
  trafficClass?: number;
  ttl?: number;
  id?: number;
  dontFragment?: boolean;
  moreFragments?: boolean;
  fragmentOffset?: number;
  /** Header options, a multiple of four octets. */
  options?: Uint8Array;
}

export function ipv4Packet(fields: Ipv4Fields): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const headerLength = 20 + options.length;
  const flags =
    ((fields.dontFragment ?? true) ? 0x4000 : 0) |
    (fields.moreFragments ? 0x2000 : 0) |
    ((fields.fragmentOffset ?? 0) >> 3);
  const header = join(
    [0x40 | (headerLength >> 2), fields.trafficClass ?? 0],
    be16(headerLength + fields.payload.length),
    be16(fields.id ?? 0),
    be16(flags),
    [fields.ttl ?? 64, fields.protocol, 0, 0],
    be32(ipNumber(fields.source)),
    be32(ipNumber(fields.destination)),
    options,
  );
  header.set(be16(checksum(header)), 10);
  return join(header, fields.payload);
}

export interface Ipv6Fields {
  source: string;
  destination: string;
  protocol: number;
  payload: Uint8Array;
  trafficClass?: number;
  hopLimit?: number;
  /** Extension headers: their protocol numbers, and their bytes from the third octet on (6 + 8 n). */
  extensions?: [number, Uint8Array][];
}

export function ipv6Packet(fields: Ipv6Fields): Uint8Array {
  const extensions = fields.extensions ?? [];
  const chain = [...extensions.map(([protocol]) => protocol), fields.protocol];
  const headers = extensions.map(([protocol, body], i) =>
    join([chain[i + 1]!, protocol === FRAGMENT ? 0 : (body.length + 2) / 8 - 1], body),
  );
  const payload = join(...headers, fields.payload);
  return join(
    be32((0x6000_0000 | ((fields.trafficClass ?? 0) << 20)) >>> 0),
    be16(payload.length),
    [chain[0]!, fields.hopLimit ?? 64],
    ip6Bytes(fields.source),
    ip6Bytes(fields.destination),
    payload,
  );
}

/** A fragment header for `ipv6Packet`. */
export function fragmentHeader(id: number, offset: number, more: boolean): [number, Uint8Array] {
  return [FRAGMENT, join(be16(offset | (more ? 1 : 0)), be32(id))];
}

export function icmp6Message(source: string, destination: string, icmp: Icmp): Uint8Array {
  const message = join([icmp.type, icmp.code, 0, 0], be32(icmp.rest), icmp.payload);
  const sum = pseudoHeader(source, destination, ICMPV6, message.length);
  message.set(be16(checksum(message, sum)), 2);
  return message;
}

/** The MAC address of an IPv6 group (RFC 2464, 7). */
export function groupMac(address: string): string {
  return mac(Uint8Array.of(0x33, 0x33, ...ip6Bytes(address).slice(12)));
}

/** ff02::1:ff00:0/104 for an address (RFC 4291, 2.7.1). */
export function solicitedNode(address: string): string {
  return ip6([...ip6Bytes("ff02::1:ff00:0").slice(0, 13), ...ip6Bytes(address).slice(13)]);
}

export function icmpMessage(icmp: Icmp): Uint8Array {
  const message = join([icmp.type, icmp.code, 0, 0], be32(icmp.rest), icmp.payload);
  message.set(be16(checksum(message)), 2);
  return message;
}

export function udpDatagram(source: string, destination: string, udp: Udp): Uint8Array {
  const length = 8 + udp.payload.length;
  const datagram = join(
    be16(udp.sourcePort),
    be16(udp.destinationPort),
    be16(length),
    [0, 0],
    udp.payload,
  );
  const sum = checksum(datagram, pseudoHeader(source, destination, UDP, length));
  datagram.set(be16(sum || 0xffff), 6);
  return datagram;
}

export function tcpSegment(source: string, destination: string, tcp: TcpSegment): Uint8Array {
  const { mss, windowScale, sackPermitted, sack, timestamps, accurateEcn, fastOpen } = tcp.options;
  const options: number[] = [...(tcp.options.raw ?? [])];
  if (mss !== undefined) options.push(2, 4, ...be16(mss));
  if (sackPermitted) options.push(4, 2);
  if (windowScale !== undefined) options.push(3, 3, windowScale);
  if (timestamps) options.push(8, 10, ...be32(timestamps[0]), ...be32(timestamps[1]));
  if (sack) {
    options.push(5, 2 + sack.length * 8);
    for (const [left, right] of sack) options.push(...be32(left), ...be32(right));
  }
  if (accurateEcn) {
    const [kind, ...counters] = accurateEcn;
    options.push(kind, 2 + counters.length * 3);
    for (const counter of counters) options.push(...be32(counter).slice(1));
  }
  if (fastOpen) options.push(34, 2 + fastOpen.length, ...fastOpen);
  while (options.length % 4) options.push(1);
  const segment = join(
    be16(tcp.sourcePort),
    be16(tcp.destinationPort),
    be32(tcp.seq),
    be32(tcp.ack),
    [((5 + options.length / 4) << 4) | (tcp.flags >> 8), tcp.flags & 255],
    be16(tcp.window),
    [0, 0, 0, 0],
    options,
    tcp.payload,
  );
  const sum = pseudoHeader(source, destination, TCP, segment.length);
  segment.set(be16(checksum(segment, sum)), 16);
  return segment;
}

/** Control bits as people write them: `"SYN,ACK"`. */
export function flagNames(flags: number): string {
  const names = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR", "AE"];
  return names.filter((_, bit) => (flags >> bit) & 1).join(",") || "none";
}

/** A frame in one line, for messages and traces. */
export function describe(frame: Frame): string {
  const arp = frame.arp ?? frame.rarp;
  if (arp) {
    const { operation, senderIp, targetIp } = arp;
    return `${frame.arp ? "" : "R"}ARP ${operation} ${senderIp} → ${targetIp}`;
  }
  const { source, destination } = frame.ip!;
  if (frame.tcp) {
    const { sourcePort, destinationPort, seq, ack, flags, window, payload } = frame.tcp;
    return (
      `TCP ${source}:${sourcePort} → ${destination}:${destinationPort} ${flagNames(flags)} ` +
      `seq=${seq} ack=${ack} window=${window} length=${payload.length}`
    );
  }
  if (frame.udp) {
    const { sourcePort, destinationPort, payload } = frame.udp;
    return `UDP ${source}:${sourcePort} → ${destination}:${destinationPort} length=${payload.length}`;
  }
  if (frame.icmp) return `ICMP ${source} → ${destination} ${frame.icmp.type}/${frame.icmp.code}`;
  if (frame.icmp6) {
    const { type, code } = frame.icmp6;
    return `ICMPv6 ${source} → ${destination} ${type}/${code}`;
  }
  return `IP ${source} → ${destination} protocol=${(frame.ipv4 ?? frame.ipv6)!.protocol}`;
}
