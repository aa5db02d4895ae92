import {
  ACK,
  BROADCAST,
  describe,
  ethernet,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  FIN,
  flagNames,
  type Frame,
  arpPacket,
  type Icmp,
  ICMP,
  icmpMessage,
  type Ipv4Fields,
  ipv4Packet,
  mac,
  parse,
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

export interface PeerOptions {
  name?: string;
  mac: Uint8Array;
  ip: string;
  /** Further addresses that it answers ARP for: a gateway's view of what is behind it. */
  alsoAnswers?: (ip: string) => boolean;
}

/**
 * A host played by a test: it answers ARP for itself and does nothing else on its own. What it
 * receives waits in `inbox`, in order; `expect` takes from it as virtual time passes.
 */
export class Peer implements Port {
  readonly name: string;
  readonly mac: string;
  ip: string;
  readonly simulation: Simulation;
  inbox: Frame[] = [];
  /** Answers ARP requests; a test of ARP switches it off. */
  answersArp = true;
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
    this.name = options.name ?? `peer ${options.ip}`;
    this.alsoAnswers = options.alsoAnswers ?? (() => false);
    link.attach(this);
  }

  receive(bytes: Uint8Array, damaged: boolean): void {
    if (damaged) return;
    const frame = parse(bytes);
    if (frame.destination !== this.mac && frame.destination !== BROADCAST) return;
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

  /** Finds out an address's MAC by ARP, unless it is known. */
  resolve(ip: string): string {
    if (!this.neighbours.has(ip)) {
      this.sendArp({ operation: "request", targetIp: ip });
      const known = () => this.neighbours.has(ip);
      this.simulation.until(known, 5 * SECOND, `${this.name}: no answer to ARP for ${ip}`);
      this.inbox = this.inbox.filter((frame) => frame.arp?.senderIp !== ip);
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
    const datagram = udpDatagram(this.ip, destination, udp);
    this.sendIpv4({ destination, protocol: UDP, payload: datagram }, to);
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
    const payload = tcpSegment(this.peer.ip, this.remoteIp, segment);
    const trafficClass = fields.ecn ?? 0;
    this.peer.sendIpv4({ destination: this.remoteIp, protocol: TCP, payload, trafficClass });
  }

  /** Sends an ACK with SACK blocks (RFC 2018, 3), if any, given as sequence numbers. */
  sack(...blocks: [left: number, right: number][]): void {
    const sack = blocks.map(([left, right]): [number, number] => [left >>> 0, right >>> 0]);
    this.send({ options: { ...this.options, ...(sack.length && { sack }) } });
  }

  private mine(frame: Frame): boolean {
    const { tcp, ipv4 } = frame;
    return (
      tcp !== undefined &&
      ipv4!.source === this.remoteIp &&
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
