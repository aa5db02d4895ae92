import type { Link, Port } from "./link.ts";
import type { Random } from "./random.ts";
import type { Simulation } from "./simulation.ts";

/** What the slow way through a bottleneck does to frames. */
export interface BottleneckConditions {
  /** Bit/s. */
  rate: number;
  /** Propagation each way, ns. */
  delay: number;
  /** Added to it on the slow way, uniform from 0, ns; frames stay in order. */
  jitter: number;
  /** Bytes of frames that may wait; what comes on top is dropped (drop-tail). */
  queue: number;
  /** Probability that a frame is lost by chance. */
  loss: number;
  /** Bytes waiting from which on frames of ECN-capable transports are marked (RFC 3168, 5). */
  mark: number;
}

const ETHERTYPE_IPV4 = 0x0800;
const ETHERNET_HEADER = 14;
const CE = 3;

/**
 * A switch whose way to one link, the far one, is slow: all that the near links send there passes one
 * queue. The way back only takes the same time. It learns who is where from what they send (IEEE
 * 802.1D, 7.8), so that no near link carries another's frames.
 */
export class Bottleneck {
  /** Bytes of frames that have passed the queue, by the MAC address that sent them. */
  readonly passed = new Map<number, number>();
  readonly counts = { forwarded: 0, dropped: 0, lost: 0, marked: 0 };
  /** Most bytes that have waited. */
  deepest = 0;
  private readonly random: Random;
  private readonly near: Side[] = [];
  private readonly far: Side;
  private readonly places = new Map<number, Side>();
  /** Frames that wait, with when each will have left. */
  private waiting: { bytes: number; left: number }[] = [];
  private waitingBytes = 0;
  /** When the last frame of the queue has left, and arrives. */
  private free = 0;
  private arrival = 0;

  constructor(
    readonly simulation: Simulation,
    far: Link,
    readonly conditions: BottleneckConditions,
  ) {
    this.random = simulation.random.fork();
    this.far = new Side(far, (frame) => this.back(frame));
  }

  /** Plugs a link in at the near side. */
  attach(link: Link): void {
    const side: Side = new Side(link, (frame) => {
      this.places.set(station(frame, 6), side);
      this.enqueue(frame);
    });
    this.near.push(side);
  }

  /** Bytes that wait now. */
  get queued(): number {
    const { now } = this.simulation;
    while (this.waiting.length && this.waiting[0]!.left <= now) {
      this.waitingBytes -= this.waiting.shift()!.bytes;
    }
    return this.waitingBytes;
  }

  /** What a frame that came now would wait, ns. */
  get delay(): number {
    return Math.max(0, this.free - this.simulation.now);
  }

  private enqueue(frame: Uint8Array): void {
    const { conditions, random, simulation, counts } = this;
    if (random.chance(conditions.loss)) {
      counts.lost++;
      return;
    }
    if (this.queued + frame.length > conditions.queue && this.free > simulation.now) {
      counts.dropped++;
      return;
    }
    if (this.waitingBytes >= conditions.mark && markCongested(frame)) counts.marked++;
    counts.forwarded++;
    this.free = Math.max(this.free, simulation.now) + (frame.length * 8e9) / conditions.rate;
    this.waiting.push({ bytes: frame.length, left: this.free });
    this.waitingBytes += frame.length;
    this.deepest = Math.max(this.deepest, this.waitingBytes);
    const jitter = conditions.jitter ? random.integer(0, conditions.jitter) : 0;
    this.arrival = Math.max(this.arrival, this.free + conditions.delay + jitter);
    const from = station(frame, 6);
    simulation.at(this.arrival, () => {
      this.passed.set(from, (this.passed.get(from) ?? 0) + frame.length);
      this.far.send(frame);
    });
  }

  private back(frame: Uint8Array): void {
    const side = this.places.get(station(frame, 0));
    this.simulation.after(this.conditions.delay, () => {
      for (const to of side ? [side] : this.near) to.send(frame);
    });
  }
}

/** A link that the switch is plugged into. */
class Side implements Port {
  readonly name = "bottleneck";

  constructor(
    private readonly link: Link,
    private readonly received: (frame: Uint8Array) => void,
  ) {
    link.attach(this);
  }

  receive(frame: Uint8Array, damaged: boolean): void {
    if (!damaged) this.received(frame);
  }

  send(frame: Uint8Array): void {
    this.link.send(this, frame);
  }
}

/** The MAC address at `at`, as a number. */
export function station(frame: Uint8Array, at: number): number {
  let address = 0;
  for (let i = at; i < at + 6; i++) address = address * 256 + frame[i]!;
  return address;
}

/** Sets CE on a packet of an ECN-capable transport, with its header checksum; false on any other. */
function markCongested(frame: Uint8Array): boolean {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 34 || view.getUint16(12) !== ETHERTYPE_IPV4) return false;
  const traffic = frame[15]!;
  if (!(traffic & CE)) return false;
  // RFC 1624, 3: HC' = ~(~HC + ~m + m'), for the word that holds version, length and class.
  const at = ETHERNET_HEADER + 10;
  const before = view.getUint16(ETHERNET_HEADER);
  frame[15] = traffic | CE;
  let sum = (~view.getUint16(at) & 0xffff) + (~before & 0xffff) + view.getUint16(ETHERNET_HEADER);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(at, ~sum & 0xffff);
  return true;
}
