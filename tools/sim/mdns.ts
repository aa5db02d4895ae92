import { type DnsRecord, dnsMessage, TYPE, wireName } from "./dns.ts";
import { type Frame, groupMac, ip6 } from "./frames.ts";
import type { Peer } from "./peer.ts";
import { SECOND } from "./simulation.ts";

/** Multicast DNS in a test's hands (RFC 6762): what is on the link, whole, and what a peer says there. */

export const GROUP = "224.0.0.251";
export const GROUP6 = "ff02::fb";
/** RFC 1112, 6.4. */
const GROUP_MAC = "01:00:5e:00:00:fb";
export const ANY = 255;
export const NSEC = 47;
export const PTR = 12;
/** Of a question's class: an answer to me alone will do; of a record's: it replaces what was known. */
export const TOP = 0x8000;
const RESPONSE = 0x8400;

export interface MdnsQuestion {
  name: string;
  type: number;
  class: number;
}

export interface MdnsRecord extends MdnsQuestion {
  ttl: number;
  /** An address, a name, or `types …` of an NSEC record; hexadecimal for others. */
  data: string;
}

export interface MdnsMessage {
  id: number;
  response: boolean;
  flags: number;
  questions: MdnsQuestion[];
  answers: MdnsRecord[];
  authorities: MdnsRecord[];
  additionals: MdnsRecord[];
  /** Where it went, and when: ns. */
  to: string;
  from: string;
  ports: [number, number];
  at: number;
}

function readName(bytes: Uint8Array, at: number): { name: string; end: number } {
  const labels: string[] = [];
  let end = 0;
  for (let hops = 0; hops < 20;) {
    const size = bytes[at]!;
    if (size >= 0xc0) {
      end ||= at + 2;
      at = ((size & 0x3f) << 8) | bytes[at + 1]!;
      hops++;
      continue;
    }
    if (!size) return { name: labels.join("."), end: end || at + 1 };
    labels.push(Buffer.from(bytes.subarray(at + 1, at + 1 + size)).toString("latin1"));
    at += 1 + size;
  }
  throw new Error("mDNS: a name without an end");
}

function dataOf(bytes: Uint8Array, type: number, at: number, length: number): string {
  const data = bytes.subarray(at, at + length);
  if (type === TYPE.A) return data.join(".");
  if (type === TYPE.AAAA) return ip6(data);
  if (type === PTR) return readName(bytes, at).name;
  if (type !== NSEC) return Buffer.from(data).toString("hex");
  const { end } = readName(bytes, at);
  const map = bytes.subarray(end + 2, at + length);
  const types = [...map].flatMap((byte, i) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => byte & (0x80 >> bit)).map((bit) => 8 * i + bit),
  );
  return `types ${types.join(" ")}`;
}

/** Reads a message; throws where it is malformed. */
export function parseMdns(frame: Frame, at: number): MdnsMessage {
  const { udp, ip } = frame;
  const bytes = udp!.payload;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let offset = 12;
  const question = (): MdnsQuestion => {
    const { name, end } = readName(bytes, offset);
    offset = end + 4;
    return { name, type: view.getUint16(end), class: view.getUint16(end + 2) };
  };
  const record = (): MdnsRecord => {
    const asked = question();
    const length = view.getUint16(offset + 4);
    const ttl = view.getUint32(offset);
    const data = dataOf(bytes, asked.type, offset + 6, length);
    offset += 6 + length;
    return { ...asked, ttl, data };
  };
  const list = <T>(place: number, one: () => T): T[] =>
    Array.from({ length: view.getUint16(place) }, one);
  const message = {
    id: view.getUint16(0),
    flags: view.getUint16(2),
    response: (view.getUint16(2) & 0x8000) !== 0,
    questions: list(4, question),
    answers: list(6, record),
    authorities: list(8, record),
    additionals: list(10, record),
    to: ip!.destination,
    from: ip!.source,
    ports: [udp!.sourcePort, udp!.destinationPort] as [number, number],
    at,
  };
  if (offset !== bytes.length) throw new Error("mDNS: bytes behind the message");
  return message;
}

/** A station that hears all of the link's multicast DNS, and says what the test has it say. */
export class MdnsPeer {
  readonly log: MdnsMessage[] = [];
  /** Called with each message. */
  script: (message: MdnsMessage) => void = () => {};

  constructor(readonly peer: Peer) {
    const before = peer.handler;
    peer.handler = (frame) => {
      const ports = [frame.udp?.sourcePort, frame.udp?.destinationPort];
      if (!ports.includes(5353)) return before?.(frame) ?? false;
      const message = parseMdns(frame, peer.simulation.now);
      this.log.push(message);
      this.script(message);
      return true;
    };
  }

  /** What came since the last call. */
  taken(): MdnsMessage[] {
    return this.log.splice(0);
  }

  send(bytes: Uint8Array, to = GROUP, ports: [number, number] = [5353, 5353]): void {
    const station = to === GROUP ? GROUP_MAC : to === GROUP6 ? groupMac(to) : undefined;
    this.peer.sendUdp(to, ports[0], ports[1], bytes, station);
  }

  /** Says something to all, or to `to`. */
  say(records: Partial<Record<"answers" | "additionals", DnsRecord[]>>, to = GROUP): void {
    this.send(dnsMessage({ id: 0, flags: RESPONSE, ...records }), to);
  }

  /** Asks. */
  ask(
    questions: MdnsQuestion[],
    more: { answers?: DnsRecord[]; authorities?: DnsRecord[]; flags?: number; id?: number } = {},
    to = GROUP,
    port = 5353,
  ): void {
    const { flags = 0, id = 0, answers = [], authorities = [] } = more;
    const whole = dnsMessage({ id, flags, answers, authorities });
    const asked = questions.flatMap(({ name, type, class: class_ }) => [
      ...wireName(name),
      ...[type >> 8, type & 255, class_ >> 8, class_ & 255],
    ]);
    const bytes = Uint8Array.of(...whole.subarray(0, 12), ...asked, ...whole.subarray(12));
    bytes[5] = questions.length;
    this.send(bytes, to, [port, 5353]);
  }

  /** The next message that `wanted` holds of. */
  expect(wanted: (message: MdnsMessage) => boolean, duration = 5 * SECOND): MdnsMessage {
    let found: MdnsMessage | undefined;
    const look = () => (found ??= this.log.find(wanted)) !== undefined;
    this.peer.simulation.until(look, duration, () => {
      const seen = this.log.map((message) => `\n  ${JSON.stringify(message)}`).join("");
      return `no such message; heard:${seen || " nothing"}`;
    });
    this.log.splice(0, this.log.indexOf(found!) + 1);
    return found!;
  }
}

/** `name` with its class's top bit set. */
export const unique = (record: DnsRecord): DnsRecord => ({ ...record, class: 1 | TOP });

/** That `name` has only these types, all below 256. */
export function nsec(name: string, types: number[], ttl = 120): DnsRecord {
  const map = new Uint8Array(Math.max(...types.map((type) => (type >> 3) + 1)));
  for (const type of types) map[type >> 3]! |= 0x80 >> (type & 7);
  const data = Uint8Array.of(...wireName(name), 0, map.length, ...map);
  return { name, type: NSEC, class: 1 | TOP, ttl, data };
}
