import { Random } from "./random.ts";
import { MICROSECOND, Simulation } from "./simulation.ts";

/** Something plugged into a link. */
export interface Port {
  /** Who it is, in traces and errors. */
  readonly name: string;
  /** A frame arrives, without FCS. `damaged`: its FCS is wrong. The bytes are the receiver's to keep. */
  receive(frame: Uint8Array, damaged: boolean): void;
  /** The link came up or went down. */
  carrier?(up: boolean): void;
}

/** What a link does to frames. Probabilities are per frame and receiver. */
export interface LinkConditions {
  /** Propagation, ns. */
  delay: number;
  /** Added to the delay, uniform from 0: frames overtake each other when it exceeds their spacing. */
  jitter: number;
  /** Bit/s of each sender. */
  rate: number;
  /** Bytes that may wait for a sender's turn; more are dropped. */
  queue: number;
  /** Bytes that wait from which on ECN-capable packets are marked (RFC 3168, 5); 0 marks none. */
  markAbove: number;
  loss: number;
  duplicate: number;
  /** The frame is held back by `reorderDelay` on top. */
  reorder: number;
  reorderDelay: number;
  /** Up to 15 neighbouring bits flip and the FCS is right again, as after a broken router's memory. */
  corrupt: number;
  /** The tail is missing and the FCS is right again. */
  truncate: number;
  /** Bits flip on the wire: the receiver's FCS check fails. */
  damage: number;
  /** Bytes of an Ethernet payload; larger frames are dropped. */
  mtu: number;
}

export const PERFECT: LinkConditions = {
  delay: 5 * MICROSECOND,
  jitter: 0,
  rate: 1e9,
  queue: 1 << 20,
  markAbove: 0,
  loss: 0,
  duplicate: 0,
  reorder: 0,
  reorderDelay: 0,
  corrupt: 0,
  truncate: 0,
  damage: 0,
  mtu: 1500,
};

/** Preamble, start delimiter, FCS and inter-frame gap (IEEE 802.3, 3.1.1 and 4.4.2). */
const WIRE_OVERHEAD = 8 + 4 + 12;
const ETHERNET_HEADER = 14;
const ETHERTYPE_IPV4 = 0x0800;

/** Sees each frame as it was sent, before the link does anything to it. */
export type Observer = (frame: Uint8Array, from: Port, at: number) => void;

interface Plug {
  port: Port;
  /** When the sender's last frame has left. */
  free: number;
  /** Nothing of it passes, either way. */
  silent: boolean;
}

/**
 * A link between two or more ports. Each frame reaches every other port, so three or more make
 * a shared segment. Each sender has a queue and the full rate of its own; each receiver sees its
 * own losses.
 */
export class Link {
  conditions: LinkConditions;
  readonly counts = {
    sent: 0,
    lost: 0,
    overflowed: 0,
    marked: 0,
    duplicated: 0,
    corrupted: 0,
    delivered: 0,
  };
  private readonly plugs: Plug[] = [];
  private readonly observers: Observer[] = [];
  private readonly random: Random;
  private up = true;

  constructor(
    readonly simulation: Simulation,
    conditions: Partial<LinkConditions> = {},
  ) {
    this.conditions = { ...PERFECT, ...conditions };
    this.random = simulation.random.fork();
  }

  attach(port: Port): void {
    this.plugs.push({ port, free: 0, silent: false });
    port.carrier?.(this.up);
  }

  detach(port: Port): void {
    const at = this.plugs.findIndex((plug) => plug.port === port);
    if (at >= 0) this.plugs.splice(at, 1);
  }

  /**
   * Loses all frames from and to a port, or none any more: as behind a switch whose other side is broken, which
   * the port does not see. With `carrier` its own cable is out, or in again.
   */
  silence(port: Port, silent: boolean, carrier = false): void {
    this.plugOf(port).silent = silent;
    if (carrier) port.carrier?.(!silent);
  }

  private plugOf(port: Port): Plug {
    const plug = this.plugs.find((candidate) => candidate.port === port);
    if (!plug) throw new Error(`${port.name} is not attached to the link`);
    return plug;
  }

  observe(observer: Observer): void {
    this.observers.push(observer);
  }

  /** Whether the cable is in. Frames on the way are lost when it is pulled. */
  get isUp(): boolean {
    return this.up;
  }

  set isUp(up: boolean) {
    if (up === this.up) return;
    this.up = up;
    for (const plug of this.plugs) plug.port.carrier?.(up);
  }

  /** Sends a frame, without FCS, at `at` (now or later). The link keeps the bytes: do not change them. */
  send(from: Port, frame: Uint8Array, at = this.simulation.now): void {
    const { conditions, random } = this;
    for (const observer of this.observers) observer(frame, from, at);
    this.counts.sent++;
    if (!this.up || frame.length > conditions.mtu + ETHERNET_HEADER + 4) {
      this.counts.lost++;
      return;
    }
    const plug = this.plugOf(from);
    if (plug.silent) {
      this.counts.lost++;
      return;
    }
    const start = Math.max(at, plug.free);
    const waiting = ((start - at) * conditions.rate) / 8e9;
    if (waiting > conditions.queue) {
      this.counts.overflowed++;
      return;
    }
    if (conditions.markAbove && waiting > conditions.markAbove) frame = this.mark(frame);
    plug.free = start + ((Math.max(frame.length, 60) + WIRE_OVERHEAD) * 8e9) / conditions.rate;
    for (const { port, silent } of this.plugs) {
      if (port === from || silent) continue;
      if (random.chance(conditions.loss)) {
        this.counts.lost++;
        continue;
      }
      this.deliver(port, frame, plug.free);
      if (random.chance(conditions.duplicate)) {
        this.counts.duplicated++;
        this.deliver(port, frame, plug.free + random.integer(0, conditions.delay));
      }
    }
  }

  /** The frame with CE in its IP header, if its sender takes part in ECN (RFC 3168, 5). */
  private mark(frame: Uint8Array): Uint8Array {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const ecn = frame[ETHERNET_HEADER + 1]! & 3;
    if (view.getUint16(12) !== ETHERTYPE_IPV4 || ecn === 0) return frame;
    const marked = frame.slice();
    this.counts.marked++;
    marked[ETHERNET_HEADER + 1]! |= 3;
    // RFC 1624, 3: the checksum follows by what the field has grown.
    const at = ETHERNET_HEADER + 10;
    let sum = (marked[at]! << 8) + marked[at + 1]! - (3 - ecn);
    if (sum < 0) sum += 0xffff;
    marked[at] = sum >> 8;
    marked[at + 1] = sum & 255;
    return marked;
  }

  private deliver(port: Port, sent: Uint8Array, left: number): void {
    const { conditions, random } = this;
    let arrival = left + conditions.delay;
    if (conditions.jitter) arrival += random.integer(0, conditions.jitter);
    if (random.chance(conditions.reorder)) arrival += conditions.reorderDelay;
    const frame = this.mangle(sent.slice());
    const damaged = random.chance(conditions.damage);
    if (damaged) flip(frame, 0, 1, random);
    this.simulation.at(arrival, () => {
      if (!this.up || !this.plugs.some((plug) => plug.port === port && !plug.silent)) return;
      this.counts.delivered++;
      port.receive(frame, damaged);
    });
  }

  /**
   * Corruption behind the FCS's back is what IP's checksums are for; ARP and the Ethernet header
   * have none, so only IPv4 and what it carries is touched.
   */
  private mangle(frame: Uint8Array): Uint8Array {
    const { conditions, random } = this;
    const corrupt = random.chance(conditions.corrupt);
    const truncate = random.chance(conditions.truncate);
    if (!corrupt && !truncate) return frame;
    const view = new DataView(frame.buffer);
    if (frame.length < 34 || view.getUint16(12) !== ETHERTYPE_IPV4) return frame;
    this.counts.corrupted++;
    if (truncate) return frame.slice(0, random.integer(14, frame.length - 1));
    const end = Math.min(frame.length, ETHERNET_HEADER + view.getUint16(16));
    flip(frame.subarray(0, end), ETHERNET_HEADER, random.integer(1, 15), random);
    return frame;
  }
}

/**
 * Flips the first of `bits` neighbouring bits and some of the others, in the bytes from `from`. A
 * run of less than 16 bits never escapes the Internet checksum (RFC 1071).
 */
function flip(frame: Uint8Array, from: number, bits: number, random: Random): void {
  const start = random.integer(from * 8, frame.length * 8 - bits);
  for (let bit = start; bit < start + bits; bit++) {
    if (bit === start || random.chance(0.5)) frame[bit >> 3]! ^= 0x80 >> (bit & 7);
  }
}
