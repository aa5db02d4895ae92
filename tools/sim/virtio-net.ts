import type { Host } from "./device.ts";
import { fold, wordSum } from "./e1000-parts.ts";
import type { Link } from "./link.ts";
import type { MsiX } from "./msix.ts";
import type { Nic, NicFaults, NicOptions } from "./nic.ts";
import { NO_FAULTS } from "./nic.ts";
import { Command, PciFunction } from "./pci.ts";
import { Random } from "./random.ts";
import { MICROSECOND } from "./simulation.ts";
import { type Chain, Feature, roomOf, type SplitQueue, Status, VirtioDevice } from "./virtio.ts";
import { type Kind, Registers, virtioFunction } from "./virtio-bus.ts";

/** Features of a network device (Virtual I/O Device 1.2, 5.1.3), by bit number. */
export const Net = {
  CSUM: 0,
  GUEST_CSUM: 1,
  MTU: 3,
  MAC: 5,
  GUEST_TSO4: 7,
  GUEST_TSO6: 8,
  GUEST_ECN: 9,
  GUEST_UFO: 10,
  HOST_TSO4: 11,
  HOST_TSO6: 12,
  HOST_ECN: 13,
  HOST_UFO: 14,
  MRG_RXBUF: 15,
  STATUS: 16,
  CTRL_VQ: 17,
  CTRL_RX: 18,
  CTRL_VLAN: 19,
  CTRL_RX_EXTRA: 20,
  GUEST_ANNOUNCE: 21,
  MQ: 22,
  CTRL_MAC_ADDR: 23,
  SPEED_DUPLEX: 63,
} as const;

/** What each needs (5.1.3.1). */
const NEEDS: [number, number][] = [
  [Net.GUEST_TSO4, Net.GUEST_CSUM],
  [Net.GUEST_TSO6, Net.GUEST_CSUM],
  [Net.GUEST_UFO, Net.GUEST_CSUM],
  [Net.HOST_TSO4, Net.CSUM],
  [Net.HOST_TSO6, Net.CSUM],
  [Net.HOST_UFO, Net.CSUM],
  [Net.CTRL_RX, Net.CTRL_VQ],
  [Net.CTRL_VLAN, Net.CTRL_VQ],
  [Net.GUEST_ANNOUNCE, Net.CTRL_VQ],
  [Net.MQ, Net.CTRL_VQ],
  [Net.CTRL_MAC_ADDR, Net.CTRL_VQ],
];

/** What each needs one of. */
const NEEDS_EITHER: [number, number, number][] = [
  [Net.GUEST_ECN, Net.GUEST_TSO4, Net.GUEST_TSO6],
  [Net.HOST_ECN, Net.HOST_TSO4, Net.HOST_TSO6],
];

const RECEIVE = 0;
const TRANSMIT = 1;
const CONTROL = 2;

/** The header (5.1.6): flags and kinds of segmentation. */
const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const GSO_NONE = 0;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_ECN = 0x80;

/** Bytes of a frame without and with segmentation, header apart (5.1.6.3.1). */
const FRAME_MOST = 1518;
const PACKET_MOST = 65550;
const LINK_UP = 1;
const MBIT = 1000;

/** From a doorbell to the first look at the queue. */
const FETCH_TIME = 600;
/** How long a segment waits for the next one that continues it. */
const MERGE_TIME = 30 * MICROSECOND;
/** Frames that wait for a buffer. */
const BACKLOG = 256;

/** What a device that lies gives back. */
export type Lie = "head" | "twice" | "length" | "count" | "buffers" | "no buffers";

export interface VirtioOptions extends NicOptions {
  kind?: Kind;
  /** Features that it does not offer, by bit number. */
  without?: readonly number[];
  /** Messages of MSI-X; none unless told. */
  messages?: number;
  /** Descriptors of the receive queue, and of the transmit queue. */
  receiveSize?: number;
  transmitSize?: number;
  mtu?: number;
}

const CWR = 0x80;
const FIN_PSH = 0x09;
const MMIO_BYTES = 0x200;

/** A virtio network device: what a driver does is held against the specification. */
export class VirtioNet extends VirtioDevice implements Nic {
  readonly pci: PciFunction;
  readonly fixed: { address: number; size: number } | undefined;
  readonly mac: Uint8Array;
  readonly line: number;
  faults: NicFaults;
  readonly counts = {
    resets: 0,
    interrupts: 0,
    doorbells: 0,
    hangs: 0,
    received: 0,
    sent: 0,
    bursts: 0,
    linkLosses: 0,
    /** Packets given to the driver in several buffers. */
    merged: 0,
    commands: 0,
  };
  hung = false;
  /** Answers no commands. */
  deaf = false;
  private readonly kind: Kind;
  private readonly registers: Registers;
  private readonly msix: MsiX | undefined;
  private readonly mtu: number;
  private mastering!: () => boolean;
  private random!: Random;
  private link: Link | undefined;
  private plugged_ = false;
  private linkUp = false;
  private busy = false;
  private asserted = false;
  private lying = false;
  private promiscuous = true;
  private allMulticast = false;
  private groups: string[] = [];
  private own: Uint8Array;
  private backlog: Uint8Array[] = [];
  /** Packets that wait to be continued, ready to be written. */
  private merging: Uint8Array[] = [];
  private mergeDue = false;
  /** Chains that are done and not given back yet. */
  private done: [SplitQueue, Chain, number][] = [];
  private doneDue = false;
  /** Receive buffers that are taken and not enough for the next packet. */
  private held: Chain[] = [];

  constructor(options: VirtioOptions) {
    const without = new Set<number>(options.without ?? []);
    const all = [
      ...Object.values(Net),
      Feature.ANY_LAYOUT,
      Feature.INDIRECT_DESC,
      Feature.EVENT_IDX,
      Feature.VERSION_1,
    ];
    const bits = all.filter((bit) => !without.has(bit));
    super(
      `virtio-net ${Buffer.from(options.mac).toString("hex")}`,
      bits.reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n),
      [options.receiveSize ?? 256, options.transmitSize ?? 128, 64],
    );
    this.kind = options.kind ?? "modern";
    this.mac = options.mac;
    this.own = options.mac;
    this.mtu = options.mtu ?? 1500;
    this.line = options.line ?? 11;
    this.faults = { ...NO_FAULTS, ...options.faults };
    const base = options.base ?? 0xfeb00000;
    const onPci = !this.kind.startsWith("mmio");
    const { pci, msix } = virtioFunction(
      this.kind,
      this.line,
      base,
      options.ports ?? 0xc100,
      this.queues.length,
      onPci ? (options.messages ?? 0) : 0,
    );
    this.pci = pci;
    this.msix = msix;
    this.fixed = onPci ? undefined : { address: base, size: MMIO_BYTES };
    this.registers = new Registers(this, this.kind, msix);
  }

  get mayHaveLost(): boolean {
    return this.counts.resets > 1 || this.counts.linkLosses > 0;
  }

  plugged(host: Host, mastering: () => boolean): void {
    this.plug(host);
    this.msix?.plugged(host);
    this.mastering = mastering;
    this.random = host.simulation.random.fork();
  }

  connect(link: Link): void {
    this.link = link;
    link.attach(this);
  }

  read(bar: number, offset: number, width: number): number {
    return this.registers.read(bar, offset, width);
  }

  write(bar: number, offset: number, width: number, value: number): void {
    this.registers.write(bar, offset, width, value);
  }

  // ---- Life ------------------------------------------------------------------------------------

  override reset(): void {
    if (this.status || !this.counts.resets) this.counts.resets++;
    super.reset();
    this.hung = false;
    this.busy = false;
    this.lying = false;
    this.promiscuous = true;
    this.allMulticast = false;
    this.groups = [];
    this.own = this.mac;
    this.backlog = [];
    this.merging = [];
    this.held = [];
    this.mergeDue = false;
    this.done = [];
    this.doneDue = false;
  }

  protected checkFeatures(): void {
    for (const [bit, need] of NEEDS) {
      if (this.has(bit) && !this.has(need)) {
        this.fault(`feature ${bit} without ${need}, which it needs (5.1.3.1)`);
      }
    }
    for (const [bit, ...either] of NEEDS_EITHER) {
      if (this.has(bit) && !either.some((need) => this.has(need))) {
        this.fault(`feature ${bit} without ${either.join(" or ")}, which it needs (5.1.3.1)`);
      }
    }
  }

  protected checkQueues(): void {
    if (!this.queues[RECEIVE]!.ready || !this.queues[TRANSMIT]!.ready) {
      this.fault("DRIVER_OK without both queues (3.1.1)");
    }
    if (this.has(Net.CTRL_VQ) !== this.queues[CONTROL]!.ready) {
      this.fault("the control queue and its feature do not go together");
    }
    if (!this.fixed && (!(this.pci.command & Command.BusMaster) || !this.mastering())) {
      this.fault("DRIVER_OK without bus mastering (PCI command register)");
    }
  }

  /** Asks the driver for a reset, and does nothing until then (2.1.1). */
  needReset(): void {
    this.status |= Status.NEEDS_RESET;
    this.configChanged();
  }

  carrier(up: boolean): void {
    if (up === this.linkUp) return;
    this.linkUp = up;
    if (!up && this.plugged_) this.counts.linkLosses++;
    this.plugged_ = true;
    if (this.host) this.configChanged();
    if (up && this.host) this.pump();
  }

  readConfig(offset: number, width: number): number {
    const bytes = new DataView(new ArrayBuffer(24));
    const widths: { [offset: number]: number } = { 6: 2, 8: 2, 10: 2, 12: 4, 16: 1 };
    this.mac.forEach((byte, i) => bytes.setUint8(i, byte));
    bytes.setUint16(6, this.linkUp ? LINK_UP : 0, true);
    bytes.setUint16(8, 1, true);
    bytes.setUint16(10, this.mtu, true);
    bytes.setUint32(12, MBIT, true);
    bytes.setUint8(16, 1);
    if ((offset < 6 ? 1 : widths[offset]) !== width) {
      this.fault(`${width} bytes of device configuration at ${offset} (4.1.3.1)`);
    }
    return width === 1
      ? bytes.getUint8(offset)
      : width === 2
        ? bytes.getUint16(offset, true)
        : bytes.getUint32(offset, true);
  }

  // ---- Interrupts --------------------------------------------------------------------------------

  protected interrupt(isr: number, vector: number): void {
    this.isr |= isr;
    if (this.random.chance(this.faults.interruptLoss)) return;
    const { interruptDelay } = this.faults;
    if (!interruptDelay) return this.raise(vector);
    const at = this.host.time + this.random.integer(0, interruptDelay);
    this.later(at, () => this.raise(vector));
  }

  private raise(vector: number): void {
    if (this.msix?.enabled) {
      // No vector is what the driver gives a cause that is to stay silent.
      if (vector >= this.msix.entries) return;
      this.counts.interrupts++;
      return this.msix.raise(vector);
    }
    if (this.asserted || !this.isr || this.pci.command & Command.InterruptDisable) return;
    this.asserted = true;
    this.counts.interrupts++;
    this.host.setLine(this.line, true);
  }

  lower(): void {
    if (this.asserted) this.host.setLine(this.line, false);
    this.asserted = false;
  }

  // ---- Queues --------------------------------------------------------------------------------------

  protected notified(queue: SplitQueue): void {
    if (queue.index !== CONTROL) this.counts.doorbells++;
    if (queue.index === TRANSMIT && this.random.chance(this.faults.hang)) {
      this.hung = true;
      this.counts.hangs++;
    }
    this.later(this.host.time + FETCH_TIME, () => {
      if (queue.index === TRANSMIT) this.pump();
      else if (queue.index === RECEIVE) this.drain();
      else this.control();
    });
  }

  private get headerBytes(): number {
    return this.has(Feature.VERSION_1) || this.has(Net.MRG_RXBUF) ? 12 : 10;
  }

  /** The header is to have a descriptor of its own (2.7.4.3). */
  private get apart(): boolean {
    return !this.has(Feature.VERSION_1) && !this.has(Feature.ANY_LAYOUT);
  }

  /** Gives a chain back, now or later and then maybe not in turn. */
  private finish(queue: SplitQueue, chain: Chain, length: number): void {
    const { completionDelay } = this.faults;
    if (!completionDelay) {
      queue.use(chain, length);
      this.tell(queue);
      return;
    }
    this.done.push([queue, chain, length]);
    if (this.doneDue) return;
    this.doneDue = true;
    this.later(this.host.time + this.random.integer(0, completionDelay), () => {
      this.doneDue = false;
      const receive = this.done.filter(([which]) => which.index === RECEIVE);
      const rest = this.done.filter(([which]) => which.index !== RECEIVE);
      this.done = [];
      // A packet's buffers stay in order (5.1.6.4); what was sent comes back in any.
      for (const [which, each, bytes] of receive) which.use(each, bytes);
      while (rest.length) {
        const [[which, each, bytes]] = rest.splice(this.random.integer(0, rest.length - 1), 1);
        which.use(each, bytes);
      }
      for (const index of [RECEIVE, TRANSMIT]) this.tell(this.queues[index]!);
    });
  }

  /** Gives back what no device may; then does nothing until it is reset. */
  lie(what: Lie, index = RECEIVE): void {
    const queue = this.queues[index]!;
    const chain = [...queue.outstanding.values()][0] ?? queue.fetch();
    if (what === "head") queue.writeUsed(queue.size + 5, 0);
    else if (what === "count") {
      for (let i = 0; i < queue.size + 1; i++) queue.writeUsed(0, 0);
    } else {
      if (!chain) throw new Error(`nothing to lie about in queue ${index}`);
      const header = new Uint8Array(12);
      header[10] = what === "buffers" ? 255 : what === "no buffers" ? 0 : 1;
      header[11] = what === "buffers" ? 255 : 0;
      if (index === RECEIVE) this.fill(chain, header);
      queue.use(chain, what === "length" ? roomOf(chain) + 1 : index === RECEIVE ? 60 : 0);
      if (what === "twice") queue.writeUsed(chain.head, 60);
    }
    this.tell(queue);
    this.lying = true;
  }

  // ---- Transmit (5.1.6.2) ---------------------------------------------------------------------------

  private pump(): void {
    const queue = this.queues[TRANSMIT]!;
    if (!this.running || this.busy || this.hung || this.lying || !this.linkUp) return;
    // While it is at work it sees by itself what comes.
    queue.ask(false);
    let chain = queue.fetch();
    if (!chain) {
      queue.ask(true);
      chain = queue.fetch();
    }
    if (!chain) return;
    const frames = this.framesOf(chain);
    const rate = this.link?.conditions.rate ?? 1e9;
    const bits = frames.reduce((sum, frame) => sum + (Math.max(frame.length, 60) + 24) * 8, 0);
    this.busy = true;
    for (const frame of frames) {
      this.counts.sent++;
      // The link is an Ethernet, whose frames have 60 bytes at least.
      const padded = new Uint8Array(Math.max(frame.length, 60));
      padded.set(frame);
      this.link?.send(this, padded, this.host.time);
    }
    this.later(this.host.time + (bits * 1e9) / rate, () => {
      this.busy = false;
      this.finish(queue, chain, 0);
      this.pump();
    });
  }

  /** The frames that a chain becomes. */
  private framesOf(chain: Chain): Uint8Array[] {
    const wrong = (text: string): never => this.fault(`transmitted packet: ${text}`);
    const { headerBytes } = this;
    if (chain.writable.length) wrong("has bytes that are to be written");
    if (this.apart && chain.readable[0]!.length !== headerBytes) {
      wrong("its header has no descriptor of its own (2.7.4.3)");
    }
    const bytes = this.bytesOf(chain);
    const view = new DataView(bytes.buffer);
    if (bytes.length < headerBytes + 14) wrong(`${bytes.length} bytes`);
    const flags = bytes[0]!;
    const type = bytes[1]!;
    const start = view.getUint16(6, true);
    const offset = view.getUint16(8, true);
    const frame = bytes.subarray(headerBytes);
    if (flags & ~NEEDS_CSUM) wrong(`flags ${flags}`);
    if (headerBytes === 12 && view.getUint16(10, true)) wrong("num_buffers is not 0 (5.1.6.2.1)");
    if (flags & NEEDS_CSUM) {
      if (!this.has(Net.CSUM)) wrong("asks for a checksum, which was not agreed on");
      if (start + offset + 2 > frame.length || start < 14)
        wrong(`checksum at ${start} + ${offset}`);
    }
    if (type === GSO_NONE) {
      if (frame.length > FRAME_MOST) wrong(`${frame.length} bytes and no segmentation`);
      if (flags & NEEDS_CSUM) sumUp(frame, start, start + offset);
      return [frame];
    }
    const kind = type & ~GSO_ECN;
    const agreed = kind === GSO_TCPV4 ? Net.HOST_TSO4 : kind === GSO_TCPV6 ? Net.HOST_TSO6 : -1;
    if (agreed < 0 || !this.has(agreed)) wrong(`segmentation ${type}`);
    if (view.getUint16(headerBytes + 12) !== (kind === GSO_TCPV4 ? 0x0800 : 0x86dd)) {
      wrong(`segmentation ${type} of the other family`);
    }
    if (!(flags & NEEDS_CSUM)) wrong("segmentation without a checksum (5.1.6.2.1)");
    return this.segments(frame, type, view.getUint16(2, true), view.getUint16(4, true), start);
  }

  private segments(
    frame: Uint8Array,
    type: number,
    headerLength: number,
    size: number,
    start: number,
  ): Uint8Array[] {
    const wrong = (text: string): never => this.fault(`segmented packet: ${text}`);
    const headers = start + (frame[start + 12]! >> 4) * 4;
    const cwr = (frame[start + 13]! & CWR) !== 0;
    if (headerLength !== headers)
      wrong(`hdr_len ${headerLength}, its headers are ${headers} bytes`);
    if (!size || frame.length > PACKET_MOST) wrong(`gso_size ${size}, ${frame.length} bytes`);
    const v4 = (type & ~GSO_ECN) === GSO_TCPV4;
    // What the length field counts begins here, and it stands there.
    const [counted, lengthAt] = v4 ? [14, 16] : [54, 18];
    if (frame.length - counted > 0xffff) wrong("longer than its header can say");
    if (cwr !== ((type & GSO_ECN) !== 0)) wrong("CWR and the header's ECN differ (5.1.6.2.1)");
    if (cwr && !this.has(Net.HOST_ECN)) wrong("CWR, but HOST_ECN was not agreed on");
    this.counts.bursts++;
    const result: Uint8Array[] = [];
    const whole = new DataView(frame.buffer, frame.byteOffset, frame.length);
    if (whole.getUint16(lengthAt) !== frame.length - counted) {
      wrong("its header's length is not the packet's");
    }
    for (let at = headers; at < frame.length; at += size) {
      const payload = frame.subarray(at, at + size);
      const segment = new Uint8Array(headers + payload.length);
      segment.set(frame.subarray(0, headers));
      segment.set(payload, headers);
      const view = new DataView(segment.buffer);
      view.setUint16(lengthAt, segment.length - counted);
      if (v4) {
        view.setUint16(18, whole.getUint16(18) + result.length);
        view.setUint16(24, 0);
        view.setUint16(24, ~fold(wordSum(segment, 14, start)));
      }
      view.setUint32(start + 4, whole.getUint32(start + 4) + at - headers);
      if (at + size < frame.length) segment[start + 13]! &= ~FIN_PSH;
      if (result.length) segment[start + 13]! &= ~CWR;
      view.setUint16(start + 16, fold(pseudoSum(segment, start)));
      sumUp(segment, start, start + 16);
      result.push(segment);
    }
    return result;
  }

  // ---- Receive (5.1.6.4) -------------------------------------------------------------------------------

  receive(frame: Uint8Array, damaged: boolean): void {
    // What is damaged on the wire never gets as far as a virtual device.
    if (damaged || !this.running || this.lying || !this.wanted(frame)) return;
    if (this.random.chance(this.faults.badFrame)) {
      this.backlog.push(this.packet(frame.slice(0, this.random.integer(0, 13)), 0, 0, 0, 0));
    }
    if (this.random.chance(this.faults.lyingDescriptor)) {
      this.backlog.push(new Uint8Array(this.random.integer(0, this.headerBytes)));
    }
    if (this.random.chance(this.faults.overrun) || this.backlog.length > BACKLOG) return;
    const valid = transportValid(frame);
    const flags = valid && this.has(Net.GUEST_CSUM) ? DATA_VALID : 0;
    if (!valid || !this.mergeable(frame)) {
      this.flush();
      this.backlog.push(this.packet(frame, flags, 0, 0, 0));
      return this.drain();
    }
    this.merging.push(frame);
    if (this.mergeDue) return;
    this.mergeDue = true;
    this.later(this.host.time + MERGE_TIME, () => {
      this.mergeDue = false;
      this.flush();
      this.drain();
    });
  }

  /** The receive filter that the driver set (5.1.6.5.1, 5.1.6.5.2). */
  private wanted(frame: Uint8Array): boolean {
    if (this.promiscuous) return true;
    const to = Buffer.from(frame.subarray(0, 6));
    if (!(to[0]! & 1)) return to.equals(this.own);
    if (this.allMulticast || to.every((byte) => byte === 255)) return true;
    return this.groups.includes(to.toString("hex"));
  }

  /** Whether it is a segment that continues those that wait, or begins anew when none does. */
  private mergeable(frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const ip = familyOf(frame);
    if (!ip || !this.has(ip.v4 ? Net.GUEST_TSO4 : Net.GUEST_TSO6)) return false;
    const tcp = ip.transport;
    if (tcp !== (ip.v4 ? 34 : 54) || ip.protocol !== 6) return false;
    const headers = tcp + (frame[tcp + 12]! >> 4) * 4;
    // Only ACK, and PSH and CWR where they may stand.
    const flags = frame[tcp + 13]!;
    if (ip.end <= headers || ip.end !== frame.length || (flags & 0x77) !== 0x10) return false;
    const last = this.merging.at(-1);
    const first = this.merging[0];
    if (!last || !first) return true;
    const before = new DataView(last.buffer, last.byteOffset, last.length);
    const size = first.length - headers;
    const same = (from: number, to: number) =>
      Buffer.compare(frame.subarray(from, to), last.subarray(from, to)) === 0;
    const goesOn =
      last.length === first.length &&
      frame.length <= first.length &&
      same(0, 16) &&
      same(ip.addresses, tcp + 4) &&
      same(tcp + 8, tcp + 12) &&
      same(tcp + 20, headers) &&
      frame[tcp + 12] === last[tcp + 12] &&
      !(last[tcp + 13]! & 8) &&
      !(flags & CWR) &&
      view.getUint32(tcp + 4) === (before.getUint32(tcp + 4) + size) >>> 0 &&
      headers + size * (this.merging.length + 1) <= 65000;
    if (!goesOn) this.flush();
    return true;
  }

  /** Makes one packet of the segments that wait. */
  private flush(): void {
    const [first, ...rest] = this.merging.splice(0);
    if (!first) return;
    const { v4, transport: tcp } = familyOf(first)!;
    const headers = tcp + (first[tcp + 12]! >> 4) * 4;
    const size = first.length - headers;
    const whole = Buffer.concat([first, ...rest.map((frame) => frame.subarray(headers))]);
    const bytes = new Uint8Array(whole);
    const view = new DataView(bytes.buffer);
    if (v4) {
      view.setUint16(16, bytes.length - 14);
      view.setUint16(24, 0);
      view.setUint16(24, ~fold(wordSum(bytes, 14, 34)));
    } else view.setUint16(18, bytes.length - 54);
    bytes[tcp + 13]! |= (rest.at(-1) ?? first)[tcp + 13]! & 8;
    // As the host's stack hands it on: with the sum of the pseudo-header alone (5.1.6.4.1).
    view.setUint16(tcp + 16, fold(pseudoSum(bytes, tcp)));
    let type = !rest.length ? GSO_NONE : v4 ? GSO_TCPV4 : GSO_TCPV6;
    if (type && bytes[tcp + 13]! & CWR && this.has(Net.GUEST_ECN)) type |= GSO_ECN;
    this.backlog.push(this.packet(bytes, NEEDS_CSUM, type, rest.length ? size : 0, headers, tcp));
  }

  private packet(
    frame: Uint8Array,
    flags: number,
    type: number,
    size: number,
    headers: number,
    start = 34,
  ): Uint8Array {
    const { headerBytes } = this;
    const bytes = new Uint8Array(headerBytes + frame.length);
    const view = new DataView(bytes.buffer);
    bytes[0] = flags;
    bytes[1] = type;
    view.setUint16(2, headers, true);
    view.setUint16(4, size, true);
    if (flags & NEEDS_CSUM) {
      view.setUint16(6, start, true);
      view.setUint16(8, 16, true);
    }
    if (headerBytes === 12) view.setUint16(10, 1, true);
    bytes.set(frame, headerBytes);
    return bytes;
  }

  /** Writes packets to buffers as long as there are some. */
  private drain(): void {
    const queue = this.queues[RECEIVE]!;
    while (this.running && !this.lying && this.backlog.length) {
      const packet = this.backlog[0]!;
      const chains: Chain[] = this.held.splice(0);
      const room = () => chains.reduce((sum, chain) => sum + roomOf(chain), 0);
      while (room() < packet.length || !chains.length) {
        const chain = queue.fetch();
        if (!chain) break;
        this.checkBuffer(chain);
        chains.push(chain);
        if (!this.has(Net.MRG_RXBUF)) break;
      }
      if (!chains.length || room() < packet.length) {
        if (chains.length && !this.has(Net.MRG_RXBUF)) this.fault("a receive buffer is too small");
        this.held = chains;
        queue.ask(true);
        if (queue.waiting) continue;
        return;
      }
      queue.ask(false);
      this.backlog.shift();
      if (packet.length >= this.headerBytes) this.counts.received++;
      if (chains.length > 1) this.counts.merged++;
      if (this.headerBytes === 12 && packet.length >= 12) {
        new DataView(packet.buffer).setUint16(10, chains.length, true);
      }
      this.deliver(queue, chains, packet);
    }
  }

  /** All of a packet's buffers are given back at once. */
  private deliver(queue: SplitQueue, chains: Chain[], packet: Uint8Array): void {
    let at = 0;
    const lengths = chains.map((chain) => {
      const written = this.fill(chain, packet.subarray(at));
      at += written;
      return written;
    });
    if (this.faults.completionDelay) {
      chains.forEach((chain, i) => this.finish(queue, chain, lengths[i]!));
      return;
    }
    chains.forEach((chain, i) => queue.use(chain, lengths[i]!));
    this.tell(queue);
  }

  /** What a receive buffer must be (5.1.6.3.1). */
  private checkBuffer(chain: Chain): void {
    const least = this.has(Net.MRG_RXBUF)
      ? this.headerBytes
      : this.headerBytes + (this.has(Net.GUEST_TSO4) ? PACKET_MOST : FRAME_MOST);
    if (chain.readable.length) this.fault("a receive buffer that is to be read");
    if (roomOf(chain) < least) this.fault(`a receive buffer of ${roomOf(chain)} bytes`);
    if (this.apart && chain.writable[0]!.length !== this.headerBytes) {
      this.fault("a receive buffer's header has no descriptor of its own (2.7.4.3)");
    }
  }

  // ---- Control (5.1.6.5) -----------------------------------------------------------------------------------

  private control(): void {
    const queue = this.queues[CONTROL]!;
    if (!this.running || this.lying || this.deaf) return;
    for (;;) {
      const chain = queue.fetch();
      if (!chain) {
        queue.ask(true);
        if (queue.waiting) continue;
        return;
      }
      const bytes = this.bytesOf(chain);
      if (roomOf(chain) < 1) this.fault("a command without room for its answer");
      this.counts.commands++;
      this.fill(chain, Uint8Array.of(this.command(bytes) ? 0 : 1));
      queue.use(chain, 1);
      this.tell(queue);
    }
  }

  private command(bytes: Uint8Array): boolean {
    const [kind, number] = bytes as unknown as [number, number];
    const data = bytes.subarray(2);
    if (kind === 0) {
      if (!this.has(Net.CTRL_RX)) this.fault("a receive mode, but CTRL_RX was not agreed on");
      if (data.length !== 1 || data[0]! > 1) this.fault("a receive mode that is no flag");
      if (number === 0) this.promiscuous = data[0] === 1;
      else if (number === 1) this.allMulticast = data[0] === 1;
      else return false;
      return true;
    }
    if (kind === 1 && number === 0) {
      if (!this.has(Net.CTRL_RX)) this.fault("an address table, but CTRL_RX was not agreed on");
      return this.table(data);
    }
    if (kind === 1 && number === 1) {
      if (!this.has(Net.CTRL_MAC_ADDR))
        this.fault("an address, but CTRL_MAC_ADDR was not agreed on");
      if (data.length !== 6) this.fault(`an address of ${data.length} bytes`);
      this.own = data.slice();
      return true;
    }
    return false;
  }

  /** Two lists of addresses, each after its count: of stations, of groups (5.1.6.5.2). */
  private table(data: Uint8Array): boolean {
    const view = new DataView(data.buffer, data.byteOffset, data.length);
    const stations = view.getUint32(0, true);
    const at = 4 + stations * 6;
    const groups = view.getUint32(at, true);
    if (data.length !== at + 4 + groups * 6) this.fault("an address table of the wrong length");
    this.groups = Array.from({ length: groups }, (_, i) =>
      Buffer.from(data.subarray(at + 4 + i * 6, at + 10 + i * 6)).toString("hex"),
    );
    return true;
  }
}

/** Adds the sum from `start` to the end up and puts its complement at `field`. */
function sumUp(frame: Uint8Array, start: number, field: number): void {
  const sum = ~fold(wordSum(frame, start, frame.length)) & 0xffff;
  frame[field] = sum >> 8;
  frame[field + 1] = sum & 255;
}

/** Whether it is TCP or UDP with a checksum that is right. */
function transportValid(frame: Uint8Array): boolean {
  const ip = familyOf(frame);
  if (!ip) return false;
  const { transport, end, protocol } = ip;
  const length = end - transport;
  if (!(protocol === 6 && length >= 20) && !(protocol === 17 && length >= 8)) return false;
  if (ip.v4 && fold(wordSum(frame, 14, transport)) !== 0xffff) return false;
  const field = transport + 6;
  if (protocol === 17 && !frame[field] && !frame[field + 1]) return false;
  const pseudo = wordSum(frame, ip.addresses, ip.addresses + (ip.v4 ? 8 : 32), protocol + length);
  return fold(wordSum(frame, transport, end, pseudo)) === 0xffff;
}

interface Family {
  v4: boolean;
  protocol: number;
  /** Offsets in the frame: of the addresses, of the transport's header, and of the end of what it carries. */
  addresses: number;
  transport: number;
  end: number;
}

/** What a frame with a whole IP packet says of itself; IPv6 without extension headers. */
function familyOf(frame: Uint8Array): Family | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  if (frame.length < 42) return null;
  const type = view.getUint16(12);
  if (type === 0x0800 && frame[14]! >> 4 === 4) {
    const transport = 14 + (frame[14]! & 15) * 4;
    const end = 14 + view.getUint16(16);
    if (transport < 34 || end > frame.length || view.getUint16(20) & 0x3fff) return null;
    return { v4: true, protocol: frame[23]!, addresses: 26, transport, end };
  }
  if (type !== 0x86dd || frame[14]! >> 4 !== 6 || frame.length < 62) return null;
  const end = 54 + view.getUint16(18);
  if (end > frame.length) return null;
  return { v4: false, protocol: frame[20]!, addresses: 22, transport: 54, end };
}

/** The sum of the pseudo-header of TCP from `transport` to the frame's end. */
function pseudoSum(frame: Uint8Array, transport: number): number {
  const [from, to] = transport === 54 && frame[14]! >> 4 === 6 ? [22, 54] : [26, 34];
  return wordSum(frame, from, to, 6 + frame.length - transport);
}
