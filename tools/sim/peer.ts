import {
  ACK,
  BROADCAST,
  describe,
  discoveryOptions,
  ethernet,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  FIN,
  flagNames,
  type Frame,
  arpPacket,
  type Icmp,
  ICMP,
  groupMac,
  icmp6Message,
  icmpMessage,
  ICMPV6,
  ip6,
  ip6Bytes,
  type Ipv4Fields,
  ipv4Packet,
  type Ipv6Fields,
  ipv6Packet,
  mac,
  macBytes,
  parse,
  solicitedNode,
  SYN,
  TCP,
  type TcpOptions,
  type TcpSegment,
  tcpSegment,
  UDP,
  udpDatagram,
} from "./frames.ts";
import type { Link, Port } from "./link.ts";
import { SECOND, Simulation, TimeOut } from "./simulation.ts";

/** A neighbour's messages (RFC 4861, 4.3 and 4.4). */
const SOLICITATION = 135;
const ADVERTISEMENT = 136;

export interface PeerOptions {
  name?: string;
  mac: Uint8Array;
  ip: string;
  /** With one it also hears what is sent to IPv6 groups, and answers solicitations. */
  ip6?: string;
  /** Further addresses that it answers ARP for: a gateway's view of what is behind it. */
  alsoAnswers?: (ip: string) => boolean;
}

/**
 * A host played by a test: it answers ARP and solicitations for itself and does nothing else on its own. What it
 * receives waits in `inbox`, in order; `expect` takes from it as virtual time passes.
 */
export class Peer implements Port {
  readonly name: string;
  readonly mac: string;
  ip: string;
  ip6: string | undefined;
  readonly simulation: Simulation;
  inbox: Frame[] = [];
  /** Answers ARP requests; a test of ARP switches it off. */
  answersArp = true;
  /** Says that it is one in its advertisements (RFC 4861, 4.4). */
  isRouter = false;
  /** Sees each frame before the inbox; true keeps it out of there. */
  handler: ((frame: Frame) => boolean) | undefined;
  private readonly alsoAnswers: (ip: string) => boolean;
  /** Where to send to an address: learned from ARP. */
  private readonly neighbours = new Map<string, string>();

  constructor(
    readonly link: Link,
    options: PeerOptions,
  ) {
    this.simulation = link.simulation;
    this.mac = mac(options.mac);
    this.ip = options.ip;
    this.ip6 = options.ip6;
    this.name = options.name ?? `peer ${options.ip}`;
    this.alsoAnswers = options.alsoAnswers ?? (() => false);
    link.attach(this);
  }

  receive(bytes: Uint8Array, damaged: boolean): void {
    if (damaged) return;
    const to = mac(bytes.subarray(0, 6));
    const group = to.startsWith("01:00:5e:") || (this.ip6 !== undefined && to.startsWith("33:33:"));
    if (to !== this.mac && to !== BROADCAST && !group) return;
    const frame = parse(bytes);
    // A host without VLANs has no use for their frames.
    if (frame.tags) return;
    if (frame.icmp6 && this.hearsNeighbour(frame)) return;
    if (frame.arp) {
      const { operation, senderMac, senderIp, targetIp } = frame.arp;
      if (senderIp !== "0.0.0.0") this.neighbours.set(senderIp, senderMac);
      const mine = targetIp === this.ip || this.alsoAnswers(targetIp);
      if (this.answersArp && operation === "request" && mine) {
        this.sendArp({
          operation: "reply",
          targetMac: senderMac,
          targetIp: senderIp,
          senderIp: targetIp,
        });
        return;
      }
    }
    if (!this.handler?.(frame)) this.inbox.push(frame);
  }

  /** Notes where a neighbour is; answers it, and then true, if it asks for this peer. */
  private hearsNeighbour(frame: Frame): boolean {
    const { type, payload } = frame.icmp6!;
    const { source } = frame.ipv6!;
    if (type !== SOLICITATION && type !== ADVERTISEMENT) return false;
    const target = ip6(payload.subarray(0, 16));
    const address = discoveryOptions(payload.subarray(16)).get(type === SOLICITATION ? 1 : 2);
    if (address) this.neighbours.set(type === SOLICITATION ? source : target, mac(address));
    const mine = target === this.ip6 || this.alsoAnswers(target);
    if (!this.answersArp || type !== SOLICITATION || !mine || source === "::") return false;
    this.advertise(target, source, this.isRouter ? 0xe0 : 0x60);
    return true;
  }

  // ---- Sending -----------------------------------------------------------------------------

  sendFrame(bytes: Uint8Array): void {
    this.link.send(this, bytes);
  }

  sendArp(arp: {
    operation: "request" | "reply";
    targetIp: string;
    targetMac?: string;
    senderIp?: string;
    senderMac?: string;
    to?: string;
  }): void {
    const packet = arpPacket({
      operation: arp.operation,
      senderMac: arp.senderMac ?? this.mac,
      senderIp: arp.senderIp ?? this.ip,
      targetMac: arp.targetMac ?? "00:00:00:00:00:00",
      targetIp: arp.targetIp,
    });
    const to = arp.to ?? (arp.operation === "request" ? BROADCAST : arp.targetMac!);
    this.sendFrame(ethernet(to, this.mac, ETHERTYPE_ARP, packet));
  }

  /** Says where `target` is, as an answer to `destination`; `flags` are R, S and O. */
  advertise(target: string, destination: string, flags = 0x60, address = this.mac): void {
    const payload = Uint8Array.of(...ip6Bytes(target), 2, 1, ...macBytes(address));
    this.sendIcmp6(
      { destination, source: target, hopLimit: 255 },
      { type: ADVERTISEMENT, code: 0, rest: (flags << 24) >>> 0, payload },
    );
  }

  /** Asks for `target`. */
  solicit(target: string, source = this.ip6!): void {
    const option = source === "::" ? [] : [1, 1, ...macBytes(this.mac)];
    const payload = Uint8Array.of(...ip6Bytes(target), ...option);
    const destination = solicitedNode(target);
    const message = { type: SOLICITATION, code: 0, rest: 0, payload };
    this.sendIcmp6({ destination, source, hopLimit: 255 }, message);
  }

  /** Finds out an address's MAC by ARP or a solicitation, unless it is known. */
  resolve(ip: string): string {
    if (ip.startsWith("ff") && ip.includes(":")) return groupMac(ip);
    if (!this.neighbours.has(ip)) {
      if (ip.includes(":")) this.solicit(ip);
      else this.sendArp({ operation: "request", targetIp: ip });
      const known = () => this.neighbours.has(ip);
      this.simulation.until(known, 5 * SECOND, `${this.name}: no answer about ${ip}`);
      this.inbox = this.inbox.filter(
        (frame) => frame.arp?.senderIp !== ip && frame.icmp6?.type !== ADVERTISEMENT,
      );
    }
    return this.neighbours.get(ip)!;
  }

  /** Sends an IPv4 packet; `to` overrides the MAC address that `resolve` would find. */
  sendIpv4(fields: Omit<Ipv4Fields, "source"> & { source?: string }, to?: string): void {
    const packet = ipv4Packet({ source: this.ip, ...fields });
    this.sendFrame(
      ethernet(to ?? this.resolve(fields.destination), this.mac, ETHERTYPE_IPV4, packet),
    );
  }

  /** Sends an IPv6 packet; `to` overrides the MAC address that `resolve` would find. */
  sendIpv6(fields: Omit<Ipv6Fields, "source"> & { source?: string }, to?: string): void {
    const packet = ipv6Packet({ source: this.ip6!, ...fields });
    const station = to ?? this.resolve(fields.destination);
    this.sendFrame(ethernet(station, this.mac, ETHERTYPE_IPV6, packet));
  }

  /** A packet of whichever family its destination is. */
  sendIp(fields: {
    destination: string;
    protocol: number;
    payload: Uint8Array;
    trafficClass?: number;
  }): void {
    if (fields.destination.includes(":")) this.sendIpv6(fields);
    else this.sendIpv4(fields);
  }

  sendIcmp6(
    fields: { destination: string; source?: string; hopLimit?: number },
    icmp: Icmp,
    to?: string,
  ): void {
    const source = fields.source ?? this.ip6!;
    const payload = icmp6Message(source, fields.destination, icmp);
    this.sendIpv6({ ...fields, source, protocol: ICMPV6, payload }, to);
  }

  /** This peer's address of a family. */
  addressFor(destination: string): string {
    return destination.includes(":") ? this.ip6! : this.ip;
  }

  sendIcmp(destination: string, icmp: Icmp): void {
    this.sendIpv4({ destination, protocol: ICMP, payload: icmpMessage(icmp) });
  }

  sendUdp(
    destination: string,
    sourcePort: number,
    destinationPort: number,
    payload: Uint8Array,
    to?: string,
  ): void {
    const udp = { sourcePort, destinationPort, payload };
    const datagram = udpDatagram(this.addressFor(destination), destination, udp);
    const packet = { destination, protocol: UDP, payload: datagram };
    if (destination.includes(":")) this.sendIpv6(packet, to);
    else this.sendIpv4(packet, to);
  }

  // ---- Expecting ---------------------------------------------------------------------------

  /** The next frame that `wanted` holds of; earlier others are dropped. Throws when none comes. */
  expect(wanted: (frame: Frame) => boolean, duration = 5 * SECOND, what = "frame"): Frame {
    const passed: Frame[] = [];
    let found: Frame | undefined;
    const look = (): boolean => {
      while (!found && this.inbox.length) {
        const frame = this.inbox.shift()!;
        if (wanted(frame)) found = frame;
        else passed.push(frame);
      }
      return found !== undefined;
    };
    this.simulation.until(look, duration, () => {
      const seen = passed.map((frame) => `\n    ${describe(frame)}`).join("");
      return `${this.name}: no ${what}; received instead:${seen || " nothing"}\n`;
    });
    return found!;
  }

  /** Lets `duration` pass and holds that no frame comes of which `unwanted` holds. */
  expectNone(unwanted: (frame: Frame) => boolean, duration = SECOND, what = "frame"): void {
    let frame: Frame | undefined;
    try {
      frame = this.expect(unwanted, duration);
    } catch (error) {
      if (error instanceof TimeOut) return;
      throw error;
    }
    throw new Error(`${this.name}: ${what} that should not have come: ${describe(frame)}`);
  }

  expectArp(operation: "request" | "reply", duration?: number): NonNullable<Frame["arp"]> {
    const is = (frame: Frame) => frame.arp?.operation === operation;
    return this.expect(is, duration, `ARP ${operation}`).arp!;
  }

  expectIcmp(type: number, duration?: number): Icmp {
    return this.expect((frame) => frame.icmp?.type === type, duration, `ICMP type ${type}`).icmp!;
  }

  expectIcmp6(type: number, duration?: number): Frame {
    const is = (frame: Frame) => frame.icmp6?.type === type;
    return this.expect(is, duration, `ICMPv6 type ${type}`);
  }

  expectUdp(port: number, duration?: number): Frame {
    const is = (frame: Frame) => frame.udp?.destinationPort === port;
    return this.expect(is, duration, `UDP to port ${port}`);
  }

  /** One end of a TCP connection, in the test's hands. */
  tcp(remoteIp: string, remotePort: number, localPort: number): PeerTcp {
    return new PeerTcp(this, remoteIp, remotePort, localPort);
  }
}

/** What `PeerTcp.send` can set; the rest follows from the connection. */
export type SegmentFields = Partial<Omit<TcpSegment, "sourcePort" | "destinationPort">>;

/** What `PeerTcp.expect` can ask for. `flags` must match exactly, PSH aside. */
export interface SegmentPattern {
  flags?: number;
  seq?: number;
  ack?: number;
  /** Bytes of payload. */
  length?: number;
  window?: number;
  /** The codepoint of its IP header. */
  ecn?: number;
}

/**
 * Half of a TCP connection: it keeps count of sequence numbers so that a test need write only
 * what it is about. Nothing is acknowledged or sent again on its own.
 */
export class PeerTcp {
  /** Initial send sequence number. */
  iss = 0x10000000;
  /** Next sequence number to send, and to receive. */
  sndNxt = this.iss;
  rcvNxt = 0;
  /** The machine's initial sequence number, from its SYN. */
  irs = 0;
  window = 65535;
  /** Put on every segment but the SYN, which has its own. */
  options: TcpOptions = {};

  constructor(
    readonly peer: Peer,
    readonly remoteIp: string,
    readonly remotePort: number,
    readonly localPort: number,
  ) {}

  /** Sends a segment. `seq` and `ack` default to where the connection stands, flags to ACK. */
  send(fields: SegmentFields = {}): void {
    const segment: TcpSegment = {
      sourcePort: this.localPort,
      destinationPort: this.remotePort,
      seq: fields.seq ?? this.sndNxt,
      ack: fields.ack ?? ((fields.flags ?? ACK) & ACK ? this.rcvNxt : 0),
      flags: fields.flags ?? ACK,
      window: fields.window ?? this.window,
      options: fields.options ?? this.options,
      payload: fields.payload ?? new Uint8Array(0),
    };
    const length =
      segment.payload.length + (segment.flags & SYN ? 1 : 0) + (segment.flags & FIN ? 1 : 0);
    if (fields.seq === undefined) this.sndNxt = (this.sndNxt + length) >>> 0;
    const payload = tcpSegment(this.peer.addressFor(this.remoteIp), this.remoteIp, segment);
    const trafficClass = fields.ecn ?? 0;
    this.peer.sendIp({ destination: this.remoteIp, protocol: TCP, payload, trafficClass });
  }

  /** Sends an ACK with SACK blocks (RFC 2018, 3), if any, given as sequence numbers. */
  sack(...blocks: [left: number, right: number][]): void {
    const sack = blocks.map(([left, right]): [number, number] => [left >>> 0, right >>> 0]);
    this.send({ options: { ...this.options, ...(sack.length && { sack }) } });
  }

  private mine(frame: Frame): boolean {
    const { tcp, ip } = frame;
    return (
      tcp !== undefined &&
      ip!.source === this.remoteIp &&
      tcp.sourcePort === this.remotePort &&
      tcp.destinationPort === this.localPort
    );
  }

  /** The connection's next segment, which must be as `pattern` says. */
  expect(pattern: SegmentPattern = {}, duration = 5 * SECOND): TcpSegment {
    const text = Object.entries(pattern)
      .map(([key, value]) => `${key}=${key === "flags" ? flagNames(value) : value}`)
      .join(" ");
    const frame = this.peer.expect((f) => this.mine(f), duration, `TCP segment with ${text}`);
    const segment = frame.tcp!;
    const { flags, length, ...numbers } = pattern;
    let right = flags === undefined || ((segment.flags ^ flags) & ~8) === 0;
    right &&= length === undefined || segment.payload.length === length;
    for (const key of Object.keys(numbers) as (keyof typeof numbers)[]) {
      right &&= numbers[key] === undefined || segment[key] === numbers[key]! >>> 0;
    }
    if (!right) throw new Error(`expected ${text}, received ${describe(frame)}`);
    return segment;
  }

  /** Lets `duration` pass without a segment of this connection. */
  expectNone(duration?: number): void {
    this.peer.expectNone((frame) => this.mine(frame), duration, "segment");
  }

  /** Takes the segment's sequence space as received. */
  take(segment: TcpSegment): TcpSegment {
    const length =
      segment.payload.length + (segment.flags & SYN ? 1 : 0) + (segment.flags & FIN ? 1 : 0);
    this.rcvNxt = (segment.seq + length) >>> 0;
    return segment;
  }

  /** The three-way handshake, begun here, with its last ACK held back. Returns the machine's SYN, ACK. */
  connect(options: TcpOptions = { mss: 1460 }, delay = 0): TcpSegment {
    this.sndNxt = this.iss;
    this.send({ flags: SYN, options });
    const answer = this.expect({ flags: SYN | ACK, ack: this.iss + 1 });
    this.irs = answer.seq;
    this.take(answer);
    this.peer.simulation.run(delay);
    this.send();
    return answer;
  }

  /** The three-way handshake, begun by the machine. Returns its SYN. */
  accept(options: TcpOptions = { mss: 1460 }, duration?: number): TcpSegment {
    const syn = this.take(this.expect({ flags: SYN }, duration));
    this.irs = syn.seq;
    this.sndNxt = this.iss;
    this.send({ flags: SYN | ACK, options });
    this.expect({ flags: ACK, seq: syn.seq + 1, ack: this.iss + 1 });
    return syn;
  }
}
