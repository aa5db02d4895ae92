import {
  ACK,
  FIN,
  type Frame,
  ip6Bytes,
  ipNumber,
  Malformed,
  RST,
  SYN,
  type TcpSegment,
} from "./frames.ts";
import { type Peer, PeerTcp } from "./peer.ts";

/** DNS as tests speak it (RFC 1035), apart from what the kernel makes of it. */

export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  DNAME: 39,
  OPT: 41,
  DS: 43,
  RRSIG: 46,
  NSEC: 47,
  DNSKEY: 48,
  NSEC3: 50,
} as const;

export const CODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
} as const;

export interface DnsRecord {
  /** As text, or as bytes for what no text says. */
  name: string | Uint8Array;
  type: number;
  class?: number;
  ttl?: number;
  data: Uint8Array;
}

export interface DnsMessage {
  id: number;
  flags: number;
  question?: { name: string | Uint8Array; type: number } | undefined;
  answers?: DnsRecord[];
  authorities?: DnsRecord[];
  additionals?: DnsRecord[];
  /** Counts that differ from what is there. */
  counts?: [questions: number, answers: number, authorities: number, additionals: number];
}

/** A query, as it came. */
export interface DnsQuery {
  id: number;
  flags: number;
  /** With its letters as they are. */
  name: string;
  type: number;
  /** UDP bytes that the client can take; 0 without EDNS. */
  payload: number;
  /** It wants signatures (DO). */
  secure: boolean;
  /** As it came. */
  bytes: Uint8Array;
  /** By TCP. */
  stream: boolean;
  port: number;
  from: string;
  at: number;
}

/** A name on the wire; labels do not contain dots. */
export function wireName(name: string): Uint8Array {
  const labels = name.split(".").filter(Boolean);
  return Buffer.concat([
    ...labels.map((label) =>
      Buffer.concat([Buffer.of(label.length), Buffer.from(label, "latin1")]),
    ),
    Buffer.of(0),
  ]);
}

const u16 = (...values: number[]): Buffer =>
  Buffer.concat(values.map((value) => Buffer.of((value >> 8) & 255, value & 255)));
const u32 = (value: number): Buffer => u16(value >>> 16, value & 0xffff);
const nameBytes = (name: string | Uint8Array): Uint8Array =>
  typeof name === "string" ? wireName(name) : name;

export const a = (name: string, address: string, ttl = 60): DnsRecord => ({
  name,
  type: TYPE.A,
  ttl,
  data: u32(ipNumber(address)),
});
export const aaaa = (name: string, address: string, ttl = 60): DnsRecord => ({
  name,
  type: TYPE.AAAA,
  ttl,
  data: Uint8Array.from(ip6Bytes(address)),
});
export const cname = (name: string, target: string, ttl = 60): DnsRecord => ({
  name,
  type: TYPE.CNAME,
  ttl,
  data: wireName(target),
});
export const soa = (name: string, minimum: number, ttl = 3600): DnsRecord => ({
  name,
  type: TYPE.SOA,
  ttl,
  data: Buffer.concat([
    wireName(`ns.${name}`),
    wireName(`admin.${name}`),
    ...[1, 7200, 900, 1_209_600, minimum].map(u32),
  ]),
});

const recordBytes = ({ name, type, class: kind = 1, ttl = 60, data }: DnsRecord): Uint8Array =>
  Buffer.concat([nameBytes(name), u16(type, kind), u32(ttl), u16(data.length), data]);

export function dnsMessage(message: DnsMessage): Uint8Array {
  const { question, answers = [], authorities = [], additionals = [] } = message;
  const counts = message.counts ?? [
    question ? 1 : 0,
    answers.length,
    authorities.length,
    additionals.length,
  ];
  return Buffer.concat([
    u16(message.id, message.flags, ...counts),
    ...(question ? [nameBytes(question.name), u16(question.type, 1)] : []),
    ...[...answers, ...authorities, ...additionals].map(recordBytes),
  ]);
}

/** Reads a query and holds it against what a stub resolver may send (RFC 1035, 4.1.1; RFC 6891, 6.1). */
export function parseQuery(bytes: Uint8Array): Omit<DnsQuery, "port" | "from" | "at" | "stream"> {
  const check = (condition: boolean, what: string): void => {
    if (!condition) throw new Malformed(`DNS query: ${what}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  check(bytes.length >= 12, `${bytes.length} octets`);
  const flags = view.getUint16(2);
  // Recursion desired, or not where whoever answers is the one to know; and CD beside DO (RFC 4035, 3.2.2).
  check((flags & ~0x0110) === 0, `flags ${flags.toString(16)}`);
  const additionals = view.getUint16(10);
  check(view.getUint16(4) === 1 && view.getUint32(6) === 0 && additionals <= 1, "counts");
  let at = 12;
  const labels: string[] = [];
  while (bytes[at]) {
    check(bytes[at]! < 64, "label length");
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + bytes[at]!)).toString("latin1"));
    at += 1 + bytes[at]!;
  }
  at++;
  const type = view.getUint16(at);
  check(view.getUint16(at + 2) === 1, "class");
  at += 4;
  let payload = 0;
  let secure = false;
  if (additionals) {
    check(bytes[at] === 0 && view.getUint16(at + 1) === TYPE.OPT, "OPT");
    payload = view.getUint16(at + 3);
    secure = view.getUint32(at + 5) === 0x8000;
    check(payload >= 512 && (secure || view.getUint32(at + 5) === 0), "OPT's fields");
    at += 11 + view.getUint16(at + 9);
  }
  check(at === bytes.length, "bytes behind it");
  check(((flags & 0x10) !== 0) === secure, "CD and DO");
  return { id: view.getUint16(0), flags, name: labels.join("."), type, payload, secure, bytes };
}

/** What a server says to a query; null for nothing. */
export type DnsScript = (query: DnsQuery) => Partial<DnsMessage> | Uint8Array | null;

/** Response, recursion desired and available; and the code. */
export const answerFlags = (code = 0, more = 0): number => 0x8180 | code | more;
export const TRUNCATED = 0x0200;

/** Of an answer's segments. */
const SEGMENT = 1400;

/**
 * A DNS server in a test's hands, on top of a peer: it answers UDP as `script` says; with `streams` TCP, too, and by UDP
 * no more than the client can take (RFC 7766, 5).
 */
export class DnsServer {
  readonly log: DnsQuery[] = [];
  script: DnsScript;
  /** Connections by their port, and what came by them. */
  private readonly connections = new Map<string, { tcp: PeerTcp; received: Buffer }>();

  constructor(
    readonly peer: Peer,
    script: DnsScript,
    private readonly streams = false,
  ) {
    this.script = script;
    const before = peer.handler;
    peer.handler = (frame) => {
      const { udp, tcp } = frame;
      if (udp?.destinationPort === 53) {
        const { query, said } = this.ask(udp.payload, frame, udp.sourcePort, false);
        if (said) this.send(query, said);
        return true;
      }
      if (streams && tcp?.destinationPort === 53) {
        this.segment(frame, tcp);
        return true;
      }
      return before?.(frame) ?? false;
    };
  }

  private ask(bytes: Uint8Array, { ip }: Frame, port: number, stream: boolean) {
    const at = this.peer.simulation.now;
    const query: DnsQuery = { ...parseQuery(bytes), stream, port, from: ip!.source, at };
    this.log.push(query);
    return { query, said: this.script(query) };
  }

  private segment(frame: Frame, segment: TcpSegment): void {
    const from = frame.ip!.source;
    const key = `${from} ${segment.sourcePort}`;
    if (segment.flags & SYN) {
      const tcp = new PeerTcp(this.peer, from, segment.sourcePort, 53);
      this.connections.set(key, { tcp, received: Buffer.alloc(0) });
      tcp.take(segment);
      tcp.send({ flags: SYN | ACK, options: { mss: 1460 } });
      return;
    }
    const connection = this.connections.get(key);
    if (!connection) return;
    const { tcp } = connection;
    if (segment.flags & (RST | FIN)) this.connections.delete(key);
    if (segment.flags & RST || (!segment.payload.length && !(segment.flags & FIN))) return;
    tcp.take(segment);
    tcp.send();
    const received = Buffer.concat([connection.received, segment.payload]);
    connection.received = received;
    if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
    connection.received = Buffer.alloc(0);
    const { query, said } = this.ask(received.subarray(2), frame, segment.sourcePort, true);
    if (!said) return;
    const answer = said instanceof Uint8Array ? said : answerTo(query, said);
    const bytes = Buffer.concat([Buffer.of(answer.length >> 8, answer.length & 255), answer]);
    for (let at = 0; at < bytes.length; at += SEGMENT) {
      tcp.send({ payload: bytes.subarray(at, at + SEGMENT) });
    }
  }

  /** Sends something in answer to a query. */
  send(query: DnsQuery, said: Partial<DnsMessage> | Uint8Array, fromPort = 53): void {
    let bytes = said instanceof Uint8Array ? said : answerTo(query, said);
    if (this.streams && bytes.length > Math.max(query.payload, 512)) {
      const flags = (bytes[2]! << 8) | bytes[3]! | TRUNCATED;
      bytes = answerTo(query, { flags });
    }
    this.peer.sendUdp(query.from, fromPort, query.port, bytes);
  }

  /** Names and types asked for, in lower case, in order. */
  asked(): string[] {
    return this.log.map(({ name, type }) => `${name.toLowerCase()} ${type}`);
  }
}

/** An answer to a query, with its id and question unless told. */
export function answerTo(
  query: Omit<DnsQuery, "port" | "from" | "at" | "stream">,
  said: Partial<DnsMessage>,
): Uint8Array {
  const { id, name, type } = query;
  return dnsMessage({ id, flags: answerFlags(), question: { name, type }, ...said });
}
