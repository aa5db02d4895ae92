import { type Frame, ip6, ip6Bytes, macBytes, Malformed } from "./frames.ts";
import type { Peer } from "./peer.ts";

/** Message types (RFC 8415, 7.3). */
export const SOLICIT = 1;
export const ADVERTISE = 2;
export const REQUEST = 3;
export const CONFIRM = 4;
export const RENEW = 5;
export const REBIND = 6;
export const REPLY = 7;
export const RELEASE = 8;
export const DECLINE = 9;
export const RECONFIGURE = 10;
export const INFORMATION_REQUEST = 11;

/** Status codes (21.13). */
export const UNSPEC_FAIL = 1;
export const NO_ADDRS_AVAIL = 2;
export const NO_BINDING = 3;
export const NOT_ON_LINK = 4;
export const USE_MULTICAST = 5;

/** Options (21; RFC 3646). */
const CLIENT_ID = 1;
const SERVER_ID = 2;
const IA_NA = 3;
const IA_ADDRESS = 5;
const OPTION_REQUEST = 6;
const PREFERENCE = 7;
const ELAPSED_TIME = 8;
const STATUS = 13;
const RAPID_COMMIT = 14;
const RECONFIGURE_ACCEPT = 20;
const DNS = 23;
const DOMAINS = 24;
export const REFRESH_TIME = 32;
export const SOL_MAX_RT = 82;
export const INF_MAX_RT = 83;

const CLIENT_PORT = 546;
const SERVER_PORT = 547;
const SERVERS = "ff02::1:2";

/** A client's message, as it came. */
export interface Dhcpv6Message {
  type: number;
  xid: number;
  /** Hex. */
  client: string;
  server: string | undefined;
  /** Seconds. */
  elapsed: number;
  iaid: number | undefined;
  addresses: string[];
  rapid: boolean;
  requests: number[];
  options: Map<number, Uint8Array>;
  from: string;
  at: number;
}

export interface Dhcpv6Address {
  address: string;
  preferred?: number;
  valid?: number;
}

export interface Dhcpv6ServerOptions {
  /** What it gives out. */
  addresses?: Dhcpv6Address[];
  t1?: number;
  t2?: number;
  dns?: string[];
  domains?: string[];
  preference?: number;
  /** Answers Solicits with a Reply. */
  rapid?: boolean;
  /** Of the association, and of the whole message. */
  status?: number;
  wholeStatus?: number;
  /** Further options: code and value. */
  more?: [number, number[]][];
  /** Leaves the association out. */
  noAssociation?: boolean;
}

export const words = (value: number, octets = 4): number[] =>
  Array.from({ length: octets }, (_, i) => Math.floor(value / 256 ** (octets - 1 - i)) & 255);

export const option = (code: number, value: number[]): number[] => [
  ...words(code, 2),
  ...words(value.length, 2),
  ...value,
];

const name = (text: string): number[] => [
  ...text.split(".").flatMap((label) => [label.length, ...Buffer.from(label)]),
  0,
];

/**
 * A DHCPv6 server in a test's hands (RFC 8415, 18.3), on top of a peer. It holds each message against what a client
 * may send, and answers unless told not to.
 */
export class Dhcpv6Server {
  readonly log: Dhcpv6Message[] = [];
  /** Message types that it leaves unanswered. */
  readonly silent = new Set<number>();
  readonly duid: number[];
  options: Dhcpv6ServerOptions;

  constructor(
    readonly peer: Peer,
    options: Dhcpv6ServerOptions = {},
  ) {
    this.duid = [0, 3, 0, 1, ...macBytes(peer.mac)];
    this.options = { addresses: [{ address: "2001:db8:1::50" }], dns: [peer.ip6!], ...options };
    const before = peer.handler;
    peer.handler = (frame) => this.handle(frame) || (before?.(frame) ?? false);
  }

  /** Messages of one type. */
  of(type: number): Dhcpv6Message[] {
    return this.log.filter((message) => message.type === type);
  }

  private handle(frame: Frame): boolean {
    if (frame.udp?.destinationPort !== SERVER_PORT || !frame.ipv6) return false;
    const message = parseMessage(frame, this.peer.simulation.now);
    this.log.push(message);
    if (this.silent.has(message.type)) return true;
    const own = Buffer.from(this.duid).toString("hex");
    if (message.server !== undefined && message.server !== own) return true;
    this.answer(message);
    return true;
  }

  /** Answers as a server does. */
  answer(message: Dhcpv6Message): void {
    const rapid = message.type === SOLICIT && (this.options.rapid ?? false) && message.rapid;
    this.send(message, message.type === SOLICIT && !rapid ? ADVERTISE : REPLY, rapid);
  }

  send(message: Dhcpv6Message, type: number, rapid = false): void {
    const { options } = this;
    const bytes = [
      type,
      ...words(message.xid, 3),
      ...option(CLIENT_ID, [...Buffer.from(message.client, "hex")]),
      ...option(SERVER_ID, this.duid),
      ...(rapid ? option(RAPID_COMMIT, []) : []),
    ];
    if (options.preference !== undefined && type === ADVERTISE)
      bytes.push(...option(PREFERENCE, [options.preference]));
    if (options.wholeStatus !== undefined)
      bytes.push(...option(STATUS, [...words(options.wholeStatus, 2), ...Buffer.from("no")]));
    const gives = [SOLICIT, REQUEST, RENEW, REBIND].includes(message.type);
    if (gives && !options.noAssociation) bytes.push(...this.association(message.iaid!));
    if (options.dns?.length) bytes.push(...option(DNS, options.dns.flatMap(ip6Bytes)));
    if (options.domains) bytes.push(...option(DOMAINS, options.domains.flatMap(name)));
    for (const [code, value] of options.more ?? []) bytes.push(...option(code, value));
    this.sendBytes(message.from, bytes);
  }

  sendBytes(to: string, bytes: number[]): void {
    this.peer.sendUdp(to, SERVER_PORT, CLIENT_PORT, Uint8Array.from(bytes));
  }

  association(iaid: number): number[] {
    const { addresses = [], t1 = 0, t2 = 0, status } = this.options;
    const inside = addresses.flatMap(({ address, preferred = 3600, valid = 7200 }) =>
      option(IA_ADDRESS, [...ip6Bytes(address), ...words(preferred), ...words(valid)]),
    );
    if (status !== undefined) inside.push(...option(STATUS, [...words(status, 2), 0x6e, 0x6f]));
    return option(IA_NA, [...words(iaid), ...words(t1), ...words(t2), ...inside]);
  }
}

function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Malformed(`DHCPv6: ${what}`);
}

function optionsOf(bytes: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let i = 0; i < bytes.length;) {
    check(i + 4 <= bytes.length, "half an option");
    const code = bytes[i]! * 256 + bytes[i + 1]!;
    const length = bytes[i + 2]! * 256 + bytes[i + 3]!;
    check(i + 4 + length <= bytes.length, `length of option ${code}`);
    found.set(code, bytes.slice(i + 4, i + 4 + length));
    i += 4 + length;
  }
  return found;
}

/** Reads a message and holds it against 16 and 18.2: what goes with which type. */
function parseMessage(frame: Frame, at: number): Dhcpv6Message {
  const bytes = frame.udp!.payload;
  const { source, destination } = frame.ipv6!;
  check(destination === SERVERS, `sent to ${destination}, not to the servers' group`);
  check(frame.udp!.sourcePort === CLIENT_PORT, `source port ${frame.udp!.sourcePort}`);
  check(source.startsWith("fe80:"), `from ${source}: not a link-local address (13.1)`);
  const type = bytes[0]!;
  const options = optionsOf(bytes.subarray(4));
  const client = options.get(CLIENT_ID);
  check(client !== undefined, "no client identifier");
  const elapsed = options.get(ELAPSED_TIME);
  check(elapsed?.length === 2, "no elapsed time (21.9)");
  check(!options.has(RECONFIGURE_ACCEPT), "accepts Reconfigure, which it does not");
  const server = options.get(SERVER_ID);
  const named = [REQUEST, RENEW, DECLINE, RELEASE].includes(type);
  check(named === (server !== undefined), `server identifier with message ${type}`);
  const association = options.get(IA_NA);
  check((association !== undefined) === (type !== INFORMATION_REQUEST), "IA_NA");
  const addresses: string[] = [];
  if (association) {
    check(
      association.subarray(4, 12).every((octet) => !octet),
      "T1 and T2 from a client (21.4)",
    );
    for (let i = 12; i < association.length; i += 28) {
      const inner = association.subarray(i, i + 28);
      check(inner.length === 28 && inner[1] === IA_ADDRESS && inner[3] === 24, "IA address");
      check(
        inner.subarray(20).every((octet) => !octet),
        "lifetimes from a client (21.6)",
      );
      addresses.push(ip6(inner.subarray(4, 20)));
    }
  }
  if (type !== SOLICIT && association) check(addresses.length > 0, `no address in message ${type}`);
  const requests = options.get(OPTION_REQUEST) ?? new Uint8Array();
  const rapid = options.has(RAPID_COMMIT);
  check(!rapid || type === SOLICIT, "Rapid Commit (21.14)");
  return {
    type,
    xid: bytes[1]! * 65536 + bytes[2]! * 256 + bytes[3]!,
    client: Buffer.from(client).toString("hex"),
    server: server && Buffer.from(server).toString("hex"),
    elapsed: (elapsed[0]! * 256 + elapsed[1]!) / 100,
    iaid: association && new DataView(association.buffer, association.byteOffset).getUint32(0),
    addresses,
    rapid,
    requests: Array.from(
      { length: requests.length / 2 },
      (_, i) => requests[2 * i]! * 256 + requests[2 * i + 1]!,
    ),
    options,
    from: source,
    at,
  };
}
