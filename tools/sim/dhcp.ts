import {
  ETHERTYPE_IPV4,
  ethernet,
  type Frame,
  ip,
  ipNumber,
  ipv4Packet,
  mac,
  macBytes,
  Malformed,
  UDP,
  udpDatagram,
} from "./frames.ts";
import type { Peer } from "./peer.ts";

/** Message types (RFC 2132, 9.6). */
export const DISCOVER = 1;
export const OFFER = 2;
export const REQUEST = 3;
export const DECLINE = 4;
export const DHCP_ACK = 5;
export const NAK = 6;
export const RELEASE = 7;
export const INFORM = 8;

/** Options (RFC 2132). */
const SUBNET_MASK = 1;
const ROUTER = 3;
const DNS = 6;
const DOMAIN = 15;
const NTP = 42;
const REQUESTED_ADDRESS = 50;
const LEASE_TIME = 51;
const MESSAGE_TYPE = 53;
const SERVER_IDENTIFIER = 54;
const RENEWAL_TIME = 58;
const REBINDING_TIME = 59;
const DOMAIN_SEARCH = 119;

const SERVER_PORT = 67;
const CLIENT_PORT = 68;
const FIXED_LENGTH = 236;
const COOKIE = 0x63825363;

/** A client's message, as it came. */
export interface DhcpMessage {
  type: number;
  xid: number;
  secs: number;
  broadcast: boolean;
  ciaddr: string;
  hardware: string;
  requested: string | undefined;
  server: string | undefined;
  options: Map<number, Uint8Array>;
  /** Sent to 255.255.255.255, not to the server's own address. */
  toAll: boolean;
  from: string;
  at: number;
}

export interface DhcpServerOptions {
  /** What it gives out. */
  address?: string;
  mask?: string;
  router?: string;
  dns?: string[];
  domain?: string;
  ntp?: string[];
  /** The search list, as it goes on the wire. */
  search?: Uint8Array;
  /** Seconds. */
  lease?: number;
  renewal?: number;
  rebinding?: number;
}

/**
 * A DHCP server in a test's hands (RFC 2131), on top of a peer. It holds each message against the
 * table of what a client may send in which state, and answers unless told not to.
 */
export class DhcpServer {
  readonly log: DhcpMessage[] = [];
  /** Message types that it leaves unanswered. */
  readonly silent = new Set<number>();
  /** Answers the next REQUESTs with NAK. */
  refuses = false;
  options: Required<
    Omit<DhcpServerOptions, "renewal" | "rebinding" | "domain" | "ntp" | "search">
  > &
    DhcpServerOptions;

  constructor(
    readonly peer: Peer,
    options: DhcpServerOptions = {},
  ) {
    this.options = {
      address: "10.0.0.50",
      mask: "255.255.255.0",
      router: peer.ip,
      dns: [peer.ip],
      lease: 3600,
      ...options,
    };
    peer.handler = (frame) => this.handle(frame);
  }

  /** Messages of one type. */
  of(type: number): DhcpMessage[] {
    return this.log.filter((message) => message.type === type);
  }

  private handle(frame: Frame): boolean {
    if (frame.udp?.destinationPort !== SERVER_PORT) return false;
    const message = parseMessage(frame, this.peer.simulation.now);
    checkMessage(message, frame);
    this.log.push(message);
    if (this.silent.has(message.type)) return true;
    if (message.type === DISCOVER) this.reply(message, OFFER);
    if (message.type === REQUEST) this.answerRequest(message);
    return true;
  }

  private answerRequest(message: DhcpMessage): void {
    if (message.server !== undefined && message.server !== this.peer.ip) return;
    const wanted = message.requested ?? message.ciaddr;
    this.reply(message, this.refuses || wanted !== this.options.address ? NAK : DHCP_ACK);
  }

  private reply(message: DhcpMessage, type: number): void {
    const { peer, options } = this;
    const refused = type === NAK;
    const bytes = new Uint8Array(FIXED_LENGTH + 4 + 320);
    const view = new DataView(bytes.buffer);
    bytes.set([2, 1, 6, 0]);
    view.setUint32(4, message.xid);
    view.setUint16(10, message.broadcast ? 0x8000 : 0);
    if (!refused) view.setUint32(12, ipNumber(type === DHCP_ACK ? message.ciaddr : "0.0.0.0"));
    if (!refused) view.setUint32(16, ipNumber(options.address));
    bytes.set(macBytes(message.hardware), 28);
    view.setUint32(FIXED_LENGTH, COOKIE);
    let at = FIXED_LENGTH + 4;
    const put = (option: number, ...octets: number[]) => {
      bytes.set([option, octets.length, ...octets], at);
      at += 2 + octets.length;
    };
    const octets = (value: number) =>
      [value >>> 24, value >>> 16, value >>> 8, value].map((b) => b & 255);
    put(MESSAGE_TYPE, type);
    put(SERVER_IDENTIFIER, ...octets(ipNumber(peer.ip)));
    if (!refused) {
      put(SUBNET_MASK, ...octets(ipNumber(options.mask)));
      put(ROUTER, ...octets(ipNumber(options.router)));
      put(DNS, ...options.dns.flatMap((server) => octets(ipNumber(server))));
      put(LEASE_TIME, ...octets(options.lease));
      if (options.ntp) put(NTP, ...options.ntp.flatMap((server) => octets(ipNumber(server))));
      if (options.domain) put(DOMAIN, ...Buffer.from(options.domain));
      if (options.search) put(DOMAIN_SEARCH, ...options.search);
      if (options.renewal !== undefined) put(RENEWAL_TIME, ...octets(options.renewal));
      if (options.rebinding !== undefined) put(REBINDING_TIME, ...octets(options.rebinding));
    }
    bytes[at] = 255;
    this.send(message, refused, bytes);
  }

  /** Where an answer goes (RFC 2131, 4.1): to the client's address if it has one, else to its new one. */
  private send(message: DhcpMessage, refused: boolean, bytes: Uint8Array): void {
    const { peer } = this;
    const configured = message.ciaddr !== "0.0.0.0" && !refused;
    const toAll = refused || (!configured && message.broadcast);
    const destination = configured
      ? message.ciaddr
      : toAll
        ? "255.255.255.255"
        : this.options.address;
    const udp = { sourcePort: SERVER_PORT, destinationPort: CLIENT_PORT, payload: bytes };
    const payload = udpDatagram(peer.ip, destination, udp);
    const packet = ipv4Packet({ source: peer.ip, destination, protocol: UDP, payload });
    const to = toAll ? "ff:ff:ff:ff:ff:ff" : message.hardware;
    peer.sendFrame(ethernet(to, peer.mac, ETHERTYPE_IPV4, packet));
  }
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Malformed(`DHCP: ${what}`);
}

function parseMessage(frame: Frame, at: number): DhcpMessage {
  const bytes = frame.udp!.payload;
  // BOOTP's fixed size, which some relays insist on (RFC 1542, 2.1).
  check(bytes.length >= 300, `message of ${bytes.length} octets`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  check(bytes[0] === 1 && bytes[1] === 1 && bytes[2] === 6, "op, htype, hlen");
  check(view.getUint32(FIXED_LENGTH) === COOKIE, "magic cookie");
  const options = new Map<number, Uint8Array>();
  let i = FIXED_LENGTH + 4;
  for (; i < bytes.length && bytes[i] !== 255;) {
    if (bytes[i] === 0) {
      i++;
      continue;
    }
    const length = bytes[i + 1]!;
    check(i + 2 + length < bytes.length, `length of option ${bytes[i]}`);
    options.set(bytes[i]!, bytes.slice(i + 2, i + 2 + length));
    i += 2 + length;
  }
  check(bytes[i] === 255, "no end option (RFC 2131, 4.1)");
  const address = (option: number): string | undefined => {
    const value = options.get(option);
    return value && ip(new DataView(value.buffer).getUint32(0));
  };
  const type = options.get(MESSAGE_TYPE);
  check(type?.length === 1, "no message type");
  return {
    type: type[0]!,
    xid: view.getUint32(4),
    secs: view.getUint16(8),
    broadcast: view.getUint16(10) === 0x8000,
    ciaddr: ip(view.getUint32(12)),
    hardware: mac(bytes, 28),
    requested: address(REQUESTED_ADDRESS),
    server: address(SERVER_IDENTIFIER),
    options,
    toAll: frame.ipv4!.destination === "255.255.255.255",
    from: frame.ipv4!.source,
    at,
  };
}

/** RFC 2131, table 5 and 4.3.2: which fields go with which message in which state. */
function checkMessage(message: DhcpMessage, frame: Frame): void {
  const { type, ciaddr, requested, server } = message;
  check(frame.udp!.sourcePort === CLIENT_PORT, `source port ${frame.udp!.sourcePort}`);
  check(message.hardware === frame.source, "chaddr is not the frame's source");
  const unconfigured = ciaddr === "0.0.0.0";
  if (unconfigured && type !== DECLINE) {
    check(message.toAll && message.from === "0.0.0.0", `from ${message.from} without an address`);
  }
  if (!unconfigured) check(message.from === ciaddr, `ciaddr ${ciaddr} from ${message.from}`);
  if (type === DISCOVER) check(unconfigured && server === undefined, "fields of DISCOVER");
  if (type === REQUEST) {
    if (unconfigured) check(requested !== undefined, "REQUEST without an address");
    else check(requested === undefined && server === undefined, "fields of REQUEST in renewal");
  }
  if (type === DECLINE) check(requested !== undefined && server !== undefined, "fields of DECLINE");
  if (type === RELEASE) check(!unconfigured && server !== undefined, "fields of RELEASE");
}
