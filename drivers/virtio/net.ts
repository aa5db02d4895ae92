import { config } from "../../kernel/config";
import { error, warn } from "../../kernel/log";
import {
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  slotSize,
} from "../../kernel/packet";
import { random64 } from "../../kernel/random";
import { Bus } from "../bus";
import { Device, Feature, InterruptKind } from "../device";
import { deviceMemory, deviceMemoryAbandon } from "../device-memory";
import { pciInterrupt } from "../msi";
import { PciFunction, pciDisable, pciEnable } from "../pci";
import { pciId, registerChip } from "../registry";
import { VirtioMmio } from "./bus";
import { Control } from "./control";
import { virtioMmio } from "./mmio";
import { virtioPci } from "./pci";
import { LIED, Lie, QUEUE_MOST, Virtqueue, lieText } from "./queue";
import { segmentsOf } from "./segments";
import {
  Cause,
  F_ANY_LAYOUT,
  F_EVENT_IDX,
  F_VERSION_1,
  NO_VECTOR,
  Status,
  Transport,
} from "./transport";

/**
 * The virtio network device (Virtual I/O Device 1.2, section 5.1), over whatever bus. The file follows
 * the device's life: start, queues, link, receive, transmit, control, interrupts, check, stop.
 *
 * Each packet has a header of 10 or 12 bytes before it (5.1.6), which lies in the slot's headroom, so
 * that a frame in one piece takes one descriptor each way. What the device lies about ends in `fault`: it
 * is silenced at once, and the check that comes once a second starts it again.
 *
 * Limits: one pair of queues, no VLAN filter, frames to send of at most 1,514 bytes unless cut by the device.
 */

/** Kind of device (5). */
const NETWORK_DEVICE: u32 = 1;

/** Feature bits (5.1.3). */
const F_CSUM: u64 = 1 << 0;
const F_GUEST_CSUM: u64 = 1 << 1;
const F_MTU: u64 = 1 << 3;
const F_MAC: u64 = 1 << 5;
const F_GUEST_TSO4: u64 = 1 << 7;
const F_GUEST_TSO6: u64 = 1 << 8;
const F_GUEST_ECN: u64 = 1 << 9;
const F_HOST_TSO4: u64 = 1 << 11;
const F_HOST_TSO6: u64 = 1 << 12;
const F_HOST_ECN: u64 = 1 << 13;
/** What lets the device hand up packets of 64 KiB, and cut them. */
const F_GUEST_TSO: u64 = F_GUEST_TSO4 | F_GUEST_TSO6;
const F_HOST_TSO: u64 = F_HOST_TSO4 | F_HOST_TSO6;
const F_MRG_RXBUF: u64 = 1 << 15;
const F_STATUS: u64 = 1 << 16;
const F_CTRL_VQ: u64 = 1 << 17;
const F_CTRL_RX: u64 = 1 << 18;
const F_CTRL_MAC_ADDR: u64 = 1 << 23;
const F_SPEED_DUPLEX: u64 = 1 << 63;

const WANTED: u64 =
  F_VERSION_1 |
  F_ANY_LAYOUT |
  F_EVENT_IDX |
  F_CSUM |
  F_GUEST_CSUM |
  F_MTU |
  F_MAC |
  F_GUEST_TSO |
  F_GUEST_ECN |
  F_HOST_TSO |
  F_HOST_ECN |
  F_MRG_RXBUF |
  F_STATUS |
  F_CTRL_VQ |
  F_CTRL_RX |
  F_CTRL_MAC_ADDR |
  F_SPEED_DUPLEX;

/** Device configuration (5.1.4). */
const CONFIG_MAC: u32 = 0;
const CONFIG_STATUS: u32 = 6;
const CONFIG_MTU: u32 = 10;
const CONFIG_SPEED: u32 = 12;
const CONFIG_DUPLEX: u32 = 16;
/** Bytes of it that every device has. */
const CONFIG_BYTES: u32 = 6;
const STATUS_LINK_UP: u32 = 1;
const DUPLEX_HALF: u32 = 0;
/** Speed that a device does not know, and what is said then of a link that has none: Mbit/s. */
const SPEED_UNKNOWN: u32 = 0xffff_ffff;
const SPEED_ASSUMED: u32 = 10_000;

/** Queues (5.1.2); the control queue comes behind the one pair. */
const RECEIVE: u32 = 0;
const TRANSMIT: u32 = 1;
const CONTROL: u32 = 2;
/** Descriptors of the two that carry packets, where the driver may choose, and receive buffers. */
const RING: u32 = 256;
const CONTROL_RING: u32 = 16;
/** Fewer would not do for one packet, or one command. */
const LEAST_RING: u32 = 4;
/** Receive buffers that hold a packet of 64 KiB, and some. */
const PACKET_BUFFERS: u32 = 64;

/** The header before each packet (5.1.6). */
const HEADER_FLAGS: u32 = 0;
const HEADER_GSO_TYPE: u32 = 1;
const HEADER_CHECKSUM_OFFSET: u32 = 8;
const HEADER_BUFFERS: u32 = 10;
const HEADER_BYTES: u32 = 12;
/** Without `num_buffers`: before 1.0, unless receive buffers are mergeable. */
const HEADER_BYTES_LEGACY: u32 = 10;
/** Room for one, as a power of two. */
const HEADER_SHIFT: u32 = 4;
const NEEDS_CSUM: u32 = 1;
const DATA_VALID: u32 = 2;
const GSO_NONE: u32 = 0;
const GSO_TCPV4: u32 = 1;
const GSO_TCPV6: u32 = 4;
const GSO_ECN: u32 = 0x80;

const ETHERNET_HEADER: u32 = 14;
const MTU_MOST: u32 = 1500;
const MTU_LEAST: u32 = 68;
/** Where TCP has its flags, and CWR among them (RFC 3168, 6.1). */
const TCP_FLAGS: u32 = 13;
const TCP_CWR: u32 = 0x80;

/**
 * Where in a slot the device begins to write. What it puts into further buffers of one packet needs room
 * for headers before it: Ethernet, and IPv4 and TCP with all their options.
 */
const RECEIVE_OFFSET: u32 = 134;

/** Checks in a row for which a packet may wait for its last buffer. */
const STUCK_CHECKS: u32 = 2;

/** Entry of the message table that all causes share. */
const VECTOR: u32 = 0;


@unmanaged
class VirtioNet {
  device: Device;
  /** Its function, or null on a bus without any. */
  pci: PciFunction | null;
  transport: Transport;
  receive: Virtqueue;
  transmit: Virtqueue;
  control: Control;
  /** Bytes of the header before each packet, and of what the device may write behind it. */
  headerBytes: u32;
  receiveBytes: u32;
  /** The header has a descriptor of its own (2.7.4.3: framing before ANY_LAYOUT). */
  apart: bool;
  /** Packets may come in several buffers. */
  merging: bool;
  /** Silenced until the next check: it lied, asked for it, or would not start. */
  broken: bool;
  /** The address is made up, and the device has to be told. */
  ownAddress: bool;
  /** Headers apart from their packets: `HEADER_STRIDE` bytes for each transmit descriptor. */
  headers: usize;
  headersFor: u32;
  /** The device has forgotten its buffers: a reset was answered. */
  silent: bool;
  /** Buffers taken at the last check, and checks since when none was, though the device gave some back. */
  receiveAtCheck: u32;
  stuckReceive: u32;
}


@inline function nicOf(device: Device): VirtioNet {
  return changetype<VirtioNet>(device.context);
}

// ---- Start (5.1.5) -----------------------------------------------------------------------

function startPci(entry: PciFunction, device: Device): bool {
  const nic = newNic(device);
  if (nic === null) return noMemory();
  nic.pci = entry;
  if (!virtioPci(nic.transport, entry, CONFIG_BYTES)) {
    return fail("no registers that can be reached, neither by capabilities nor by ports");
  }
  nic.transport.vector = pciInterrupt(entry, device) == InterruptKind.MsiX ? VECTOR : NO_VECTOR;
  return start(nic);
}

function startMmio(found: VirtioMmio, device: Device): bool {
  const nic = newNic(device);
  if (nic === null) return noMemory();
  virtioMmio(nic.transport, found.address, found.length);
  return start(nic);
}

function noMemory(): bool {
  return fail("no memory for its queues: give the machine more RAM (MEM=)");
}

/** The driver's own state; null without memory for it. */
function newNic(device: Device): VirtioNet | null {
  const at = deviceMemory(device, offsetof<VirtioNet>(), 64);
  const transport = deviceMemory(device, offsetof<Transport>(), 64);
  const control = deviceMemory(device, offsetof<Control>(), 64);
  const receive = deviceMemory(device, offsetof<Virtqueue>(), 64);
  const transmit = deviceMemory(device, offsetof<Virtqueue>(), 64);
  const commands = deviceMemory(device, offsetof<Virtqueue>(), 64);
  if (!at || !transport || !control || !receive || !transmit || !commands) return null;
  const nic = changetype<VirtioNet>(at);
  nic.transport = changetype<Transport>(transport);
  nic.receive = changetype<Virtqueue>(receive);
  nic.transmit = changetype<Virtqueue>(transmit);
  nic.control = changetype<Control>(control);
  nic.control.queue = changetype<Virtqueue>(commands);
  nic.device = device;
  device.context = changetype<usize>(nic);
  return nic;
}

function start(nic: VirtioNet): bool {
  const device = nic.device;
  nic.silent = true;
  if (!bringUp(nic)) {
    silence(nic);
    nic.transport.giveUp();
    if (!nic.silent) deviceMemoryAbandon(device);
    return false;
  }
  device.serve(transmit, poll, setInterrupts, check, setReceiveMode, reset, stop);
  readLink(nic);
  return true;
}

function fail(reason: string): bool {
  error("virtio").text(reason).end();
  return false;
}

/** From reset to a device that works, as often as it has to be. */
function bringUp(nic: VirtioNet): bool {
  const t = nic.transport;
  const device = nic.device;
  const pci = nic.pci;
  if (!t.reset()) return fail("the device does not answer a reset");
  if (pci !== null) pciEnable(pci);
  if (!t.negotiate(wanted(t))) return fail("the device does not agree to the features it offers");
  const agreed = t.agreed;
  const is1 = (agreed & F_VERSION_1) != 0;
  nic.merging = (agreed & F_MRG_RXBUF) != 0;
  nic.headerBytes = is1 || nic.merging ? HEADER_BYTES : HEADER_BYTES_LEGACY;
  nic.apart = !is1 && !(agreed & F_ANY_LAYOUT);
  nic.receiveBytes = slotSize(PoolId.Standard) - RECEIVE_OFFSET;
  if (!identify(nic)) return false;
  device.features = 0;
  if (agreed & F_GUEST_CSUM) device.features |= Feature.ReceiveChecksum;
  if (agreed & F_CSUM) {
    device.features |= Feature.TransmitChecksum | Feature.ChecksumAnywhere;
    if (agreed & F_HOST_TSO4) device.features |= Feature.Segmentation;
    if (agreed & F_HOST_TSO6) device.features |= Feature.Segmentation6;
  }
  const events = (agreed & F_EVENT_IDX) != 0;
  if (!openQueue(nic, nic.receive, RECEIVE, RING, events)) return false;
  if (!openQueue(nic, nic.transmit, TRANSMIT, RING, events)) return false;
  if (agreed & F_CTRL_VQ) {
    if (!openQueue(nic, nic.control.queue, CONTROL, CONTROL_RING, events)) return false;
    if (!nic.control.open(device, (agreed & F_CTRL_RX) != 0)) return noMemory();
  } else if (!nic.control.open(device, false)) return noMemory();
  if (nic.headersFor < nic.transmit.size) {
    nic.headers = deviceMemory(device, nic.transmit.size << HEADER_SHIFT, 64);
    if (!nic.headers) return noMemory();
    nic.headersFor = nic.transmit.size;
  }
  nic.receiveAtCheck = 0;
  nic.stuckReceive = 0;
  nic.silent = false;
  if (!fillReceive(nic)) {
    return fail("no packets for its receive queue: give the machine more RAM (MEM=)");
  }
  t.go();
  nic.broken = false;
  nic.receive.publish();
  nic.receive.ring();
  device.receiveDoorbells++;
  if (nic.ownAddress && agreed & F_CTRL_MAC_ADDR) nic.control.setAddress(device.mac);
  nic.control.setReceiveMode(device);
  return true;
}

/** What to ask for: packets of 64 KiB only where buffers are merged, and there are enough for one. */
function wanted(t: Transport): u64 {
  let features = WANTED;
  const offered = t.features;
  if (!(offered & F_MRG_RXBUF) || t.queueSize(RECEIVE) < PACKET_BUFFERS) {
    features &= ~F_GUEST_TSO;
  }
  // What goes on to another link needs the sum that the device would leave out.
  if (config.forwarding || config.bridging) features &= ~F_GUEST_CSUM;
  // Each needs another (5.1.3.1).
  if (!(offered & features & F_GUEST_CSUM)) features &= ~F_GUEST_TSO;
  if (!(offered & F_CSUM)) features &= ~F_HOST_TSO;
  if (!(offered & features & F_HOST_TSO)) features &= ~F_HOST_ECN;
  if (!(offered & features & F_GUEST_TSO)) features &= ~F_GUEST_ECN;
  if (!(offered & F_CTRL_VQ)) features &= ~(F_CTRL_RX | F_CTRL_MAC_ADDR);
  return features;
}

/** Address and MTU (5.1.4). An address that the device has not is made up, once (5.1.5). */
function identify(nic: VirtioNet): bool {
  const device = nic.device;
  const agreed = nic.transport.agreed;
  if (agreed & F_MAC) {
    device.mac = nic.transport.configuration(CONFIG_MAC, 1, 6);
    if (!device.mac || (device.mac >> 40) & 1) return fail("the device's address is none");
  } else {
    nic.ownAddress = true;
    // Locally administered, no group (IEEE 802, 8.4); the same one after a reset.
    if (!device.mac) {
      device.mac = ((random64() >> 16) & ~(<u64>0x0100_0000_0000)) | 0x0200_0000_0000;
    }
  }
  device.mtu = MTU_MOST;
  if (agreed & F_MTU) {
    const mtu = <u32>nic.transport.configuration(CONFIG_MTU, 2, 1);
    if (mtu < MTU_LEAST) return fail("the device's MTU is below 68 bytes");
    device.mtu = min<u32>(mtu, MTU_MOST);
  }
  return true;
}

function openQueue(nic: VirtioNet, queue: Virtqueue, index: u32, most: u32, events: bool): bool {
  const t = nic.transport;
  const offered = t.queueSize(index);
  // A legacy device's queues have the size they have; others are cut to a power of two at most.
  const size = t.fixedQueues ? offered : offered < most ? powerBelow(offered) : most;
  if (size < LEAST_RING || size > QUEUE_MOST || size & (size - 1)) {
    return fail("a queue is missing, or of an impossible size");
  }
  if (!queue.takeMemory(nic.device, size)) return noMemory();
  queue.clear(index, events);
  return t.startQueue(queue) || fail("a queue has no doorbell, or no interrupt");
}

/** The largest power of two that is no larger. */
function powerBelow(value: u32): u32 {
  return value ? 1 << (31 - clz(value)) : 0;
}

// ---- Silence -----------------------------------------------------------------------------------

/**
 * Resets the device and takes every packet back that it had. What does not answer the reset loses the
 * bus; where there is nothing to take it from, its packets stay its until it answers.
 */
function silence(nic: VirtioNet): void {
  if (nic.silent) return;
  const pci = nic.pci;
  if (!nic.transport.reset()) {
    if (pci === null) return;
    pciDisable(pci);
  }
  nic.silent = true;
  const device = nic.device;
  freeAll(nic.receive);
  device.transmitErrors += freeAll(nic.transmit);
  device.transmitDone = device.transmitDescriptors;
}

function freeAll(queue: Virtqueue): u32 {
  let freed: u32 = 0;
  for (let head: u32 = 0; head < queue.size; head++) {
    const packet = queue.forget(head);
    if (!packet) continue;
    changetype<Packet>(packet).release();
    freed++;
  }
  return freed;
}

/** The device did what no device may: it is silenced, and the next check starts it again. */
function fault(nic: VirtioNet, queue: Virtqueue): void {
  nic.device
    .nameIn(warn("net"))
    .text(" device ")
    .text(lieText(queue.lie))
    .text(", resetting")
    .key("queue")
    .number(queue.index)
    .end();
  nic.broken = true;
  silence(nic);
}

// ---- Link (5.1.4.2) ------------------------------------------------------------------------------

/** Takes over what the device says of the link. */
function readLink(nic: VirtioNet): void {
  const device = nic.device;
  const t = nic.transport;
  const agreed = t.agreed;
  const up =
    !(agreed & F_STATUS) || ((<u32>t.configuration(CONFIG_STATUS, 2, 1)) & STATUS_LINK_UP) != 0;
  let speed = device.speed;
  let fullDuplex = device.fullDuplex;
  if (up && !device.linkUp) {
    speed = SPEED_ASSUMED;
    fullDuplex = true;
    if (agreed & F_SPEED_DUPLEX) {
      const told = <u32>t.configuration(CONFIG_SPEED, 4, 1);
      if (told && told != SPEED_UNKNOWN) speed = told;
      fullDuplex = <u32>t.configuration(CONFIG_DUPLEX, 1, 1) != DUPLEX_HALF;
    }
  }
  device.setLink(up, speed, fullDuplex);
}

// ---- Receive (5.1.6.3, 5.1.6.4) --------------------------------------------------------------------

/** Gives the device a packet for every chain that the queue has room for, up to `RING`. */
function fillReceive(nic: VirtioNet): bool {
  const queue = nic.receive;
  const needed: u32 = nic.apart ? 2 : 1;
  for (let i: u32 = 0; i < RING && queue.room >= needed; i++) {
    const packet = allocate(PoolId.Standard, Purpose.Refill, 0);
    if (packet === null) return i >= LEAST_RING;
    packet.give(Owner.NicRx);
    const start = packet.slot + RECEIVE_OFFSET;
    const head = queue.takeFree();
    if (nic.apart) {
      queue.describeMoreWritten(head, start, nic.headerBytes);
      const rest = queue.takeFree();
      queue.describeWritten(rest, start + nic.headerBytes, nic.receiveBytes - nic.headerBytes);
    } else queue.describeWritten(head, start, nic.receiveBytes);
    queue.offer(head, needed, changetype<usize>(packet));
  }
  return true;
}

/**
 * Frees what was sent and takes up to `budget` buffers, and as many more as belong to the last packet.
 * Each good one leaves its slot to the stack and a fresh one takes its place; without a fresh one the
 * packet is dropped and its slot offered again, so the queue never runs dry.
 */
function poll(device: Device, budget: u32): u32 {
  const nic = nicOf(device);
  if (nic.broken) return 0;
  reclaim(nic);
  nic.control.poll(device);
  const queue = nic.receive;
  let done: u32 = 0;
  for (let ready: u32 = nic.broken ? 0 : queue.ready(); ready != LIED && done < budget;) {
    if (!ready) break;
    const buffers: u32 = nic.merging ? buffersOf(queue) : 1;
    if (buffers == LIED) break;
    // The rest is still to come.
    if (buffers > ready) break;
    if (!(buffers == 1 ? accept(nic, queue) : acceptMerged(nic, queue, buffers))) break;
    done += buffers;
    ready -= buffers;
  }
  if (queue.lie != Lie.None) fault(nic, queue);
  else if (done) {
    queue.updateInterrupts();
    device.receiveDescriptors += done;
    if (queue.publish()) {
      queue.ring();
      device.receiveDoorbells++;
    }
  }
  return done;
}

/** Buffers of the next packet, as its header says (5.1.6.4), or `LIED`. */
@inline function buffersOf(queue: Virtqueue): u32 {
  const packet = queue.peek(0);
  if (!packet) {
    queue.lie = Lie.Head;
    return LIED;
  }
  // Too short for a header, and so for a packet of several.
  if (queue.usedLength(0) < HEADER_BYTES) return 1;
  const buffers = load<u16>(headerOf(changetype<Packet>(packet)) + HEADER_BUFFERS);
  if (buffers == 0 || buffers > queue.outstanding) {
    queue.lie = Lie.Buffers;
    return LIED;
  }
  return buffers;
}


@inline function headerOf(packet: Packet): usize {
  return packet.slot + RECEIVE_OFFSET;
}

/**
 * Takes the next buffer and puts a fresh one in its place: its packet, or null. Then `dropped` tells
 * whether there was no fresh one, and the buffer is offered again as it is, or the device lies.
 */
function takeBuffer(nic: VirtioNet, queue: Virtqueue): Packet | null {
  const length = queue.usedLength(0);
  if (length > nic.receiveBytes) {
    queue.lie = Lie.Length;
    return null;
  }
  const head = queue.take();
  if (head == LIED) return null;
  const packet = changetype<Packet>(queue.carriedBy(head));
  const fresh = allocate(PoolId.Standard, Purpose.Refill, 0);
  if (fresh === null) {
    nic.device.receiveDropped++;
    queue.offerAgain(head, changetype<usize>(packet));
    return null;
  }
  fresh.exchange(packet);
  const start = fresh.slot + RECEIVE_OFFSET;
  queue.redirect(head, start);
  if (nic.apart) queue.redirect(queue.after(head), start + nic.headerBytes);
  queue.offerAgain(head, changetype<usize>(fresh));
  packet.data = headerOf(packet);
  packet.length = length;
  packet.iface = nic.device.index;
  return packet;
}

/** Passes on a packet that came in one buffer. False if the device lies. */
@inline function accept(nic: VirtioNet, queue: Virtqueue): bool {
  const device = nic.device;
  const packet = takeBuffer(nic, queue);
  if (packet === null) return queue.lie == Lie.None;
  if (packet.length < nic.headerBytes + ETHERNET_HEADER) {
    device.receiveErrors++;
    packet.release();
    return true;
  }
  const flags: u32 = load<u8>(packet.data + HEADER_FLAGS);
  packet.strip(nic.headerBytes);
  // What never was on a wire has no checksum yet, and needs none.
  if (flags & (NEEDS_CSUM | DATA_VALID) && device.features & Feature.ReceiveChecksum) {
    packet.flags = <u8>PacketFlag.TransportChecksumGood;
  }
  device.receivedPackets++;
  device.receivedBytes += packet.length;
  device.received.push(packet);
  return true;
}

const parts = changetype<PacketQueue>(memory.data(offsetof<PacketQueue>(), 8));

/**
 * Passes on a packet that came in several buffers: TCP as segments of a buffer each, where they lie;
 * anything else is one frame larger than a buffer, and copied together. False if the device lies.
 */
function acceptMerged(nic: VirtioNet, queue: Virtqueue, buffers: u32): bool {
  const device = nic.device;
  let whole = true;
  let bytes: u32 = 0;
  for (let i: u32 = 0; i < buffers; i++) {
    const part = takeBuffer(nic, queue);
    if (part !== null) {
      bytes += part.length;
      parts.push(part);
    } else if (queue.lie == Lie.None) whole = false;
    else {
      parts.clear();
      return false;
    }
  }
  const first = parts.head;
  if (!whole || first === null) {
    parts.clear();
    return true;
  }
  const header = first.data;
  const flags: u32 = load<u8>(header + HEADER_FLAGS);
  const type: u32 = load<u8>(header + HEADER_GSO_TYPE);
  first.strip(nic.headerBytes);
  const checked = (flags & (NEEDS_CSUM | DATA_VALID)) != 0;
  const kind = type & ~GSO_ECN;
  const good =
    (kind == GSO_TCPV4 || kind == GSO_TCPV6) && checked
      ? segmentsOf(parts, device.received)
      : type == GSO_NONE && joined(device, checked);
  if (good) {
    device.receivedPackets += buffers;
    device.receivedBytes += bytes - nic.headerBytes;
  } else {
    device.receiveErrors++;
    parts.clear();
  }
  return true;
}

/** Copies the parts of a frame into one packet and passes it on. False if it fits none. */
function joined(device: Device, checked: bool): bool {
  const whole = allocate(PoolId.Jumbo, Purpose.Data, 0);
  if (whole === null) return false;
  for (let part = parts.pop(); part !== null; part = parts.pop()) {
    const fits = part.length <= whole.tailroom;
    if (fits) {
      memory.copy(whole.end, part.data, part.length);
      whole.length += part.length;
    }
    part.release();
    if (!fits) {
      whole.release();
      return false;
    }
  }
  whole.iface = device.index;
  if (checked) whole.flags = <u8>PacketFlag.TransportChecksumGood;
  device.received.push(whole);
  return true;
}

// ---- Transmit (5.1.6.2) ----------------------------------------------------------------------------

/** Moves packets from the queue to the ring while there is room; rings the doorbell once, if at all. */
function transmit(device: Device, queue: PacketQueue): void {
  const nic = nicOf(device);
  if (!device.linkUp || nic.broken) {
    device.transmitErrors += queue.length;
    queue.clear();
    return;
  }
  const ring = nic.transmit;
  for (let packet = queue.head; packet !== null; packet = queue.head) {
    const inFront = !nic.apart && packet.data - packet.slot >= <usize>nic.headerBytes;
    const needed: u32 = (inFront ? 1 : 2) + <u32>packet.fragmentCount;
    if (ring.room < needed) {
      reclaim(nic);
      if (nic.broken) return;
      if (ring.room < needed) break;
    }
    queue.pop();
    fill(nic, ring, packet, inFront, needed);
  }
  if (!ring.publish()) return;
  ring.ring();
  device.transmitDoorbells++;
}

/** Fills a chain of `needed` descriptors with a packet and its header. */
@inline
function fill(nic: VirtioNet, ring: Virtqueue, packet: Packet, inFront: bool, needed: u32): void {
  const device = nic.device;
  const headerBytes = nic.headerBytes;
  const head = ring.takeFree();
  let at = head;
  let address = packet.data;
  let length = packet.length;
  let bytes = length;
  if (inFront) {
    address -= headerBytes;
    length += headerBytes;
    writeHeader(packet, address, headerBytes);
  } else {
    const header = nic.headers + (head << HEADER_SHIFT);
    writeHeader(packet, header, headerBytes);
    ring.describeMore(head, header, headerBytes);
    at = ring.takeFree();
  }
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    const fragment = packet.fragment(i);
    ring.describeMore(at, address, length);
    at = ring.takeFree();
    address = fragment.address;
    length = fragment.length;
    bytes += length;
  }
  ring.describeLast(at, address, length);
  ring.offer(head, needed, changetype<usize>(packet));
  device.transmitDescriptors += needed;
  if (packet.segmentSize) {
    const headers = packet.length;
    const payload = bytes - headers;
    const segments = (payload + packet.segmentSize - 1) / packet.segmentSize;
    device.sentPackets += segments;
    device.sentBytes += payload + segments * headers;
  } else {
    assert(bytes >= ETHERNET_HEADER && bytes <= device.mtu + device.tagRoom + ETHERNET_HEADER);
    device.sentPackets++;
    device.sentBytes += bytes;
  }
  packet.give(Owner.NicTx);
}

/** What the device is to do with the packet: nothing, fill in its checksum, cut it into segments. */
@inline function writeHeader(packet: Packet, at: usize, bytes: u32): void {
  // Flags, type, length of the headers, segment size; where to sum from, and where to put it from there.
  let word: u64 = 0;
  let offset: u32 = 0;
  if (packet.flags & PacketFlag.ChecksumPending) {
    word = NEEDS_CSUM | ((<u64>packet.checksumStart) << 48);
    offset = packet.checksumOffset;
    if (packet.segmentSize) {
      let type = load<u8>(packet.data + ETHERNET_HEADER) >> 4 == 4 ? GSO_TCPV4 : GSO_TCPV6;
      // CWR belongs into the first segment alone (RFC 3168, 6.1.2), and so the device must know of it.
      if (load<u8>(packet.data + packet.checksumStart + TCP_FLAGS) & TCP_CWR) type |= GSO_ECN;
      word |= ((<u64>type) << 8) | ((<u64>packet.length) << 16) | ((<u64>packet.segmentSize) << 32);
    }
  }
  store<u64>(at, word);
  store<u16>(at + HEADER_CHECKSUM_OFFSET, <u16>offset);
  if (bytes == HEADER_BYTES) store<u16>(at + HEADER_BUFFERS, 0);
}

/** Frees the packets that the device is done with. */
function reclaim(nic: VirtioNet): void {
  const ring = nic.transmit;
  const ready = ring.ready();
  if (!ready) return;
  if (ready != LIED) {
    for (let i: u32 = 0; i < ready; i++) {
      const head = ring.take();
      if (head == LIED) break;
      changetype<Packet>(ring.carriedBy(head)).release();
      nic.device.transmitDone += ring.release(head);
    }
  }
  if (ring.lie != Lie.None) fault(nic, ring);
  else ring.updateInterrupts();
}

// ---- Receive filter (5.1.6.5) -----------------------------------------------------------------------------

function setReceiveMode(device: Device): void {
  const nic = nicOf(device);
  if (!nic.broken) nic.control.setReceiveMode(device);
}

// ---- Interrupts --------------------------------------------------------------------------------------

/**
 * On: the next packet interrupts. Off: the cause is read, which lowers the line; a message has no
 * cause, so what came without a packet was about the configuration.
 */
function setInterrupts(device: Device, on: bool): void {
  const nic = nicOf(device);
  if (nic.broken) return;
  nic.receive.setInterrupts(on);
  if (on) return;
  const t = nic.transport;
  const packets = nic.receive.ready() != 0;
  let cause: u32 = packets ? Cause.Queue : Cause.Config;
  if (t.vector == NO_VECTOR) cause = t.cause();
  if (cause) device.interrupts++;
  if (cause && packets) device.receiveInterrupts++;
  if (cause & Cause.Config) readLink(nic);
}

// ---- Check -----------------------------------------------------------------------------------------

/** Once a second: link, whether the device asks for a reset, and whether its queues still move. What was sent is freed. */
function check(device: Device, _now: u64): void {
  const nic = nicOf(device);
  if (nic.broken) return revive(nic);
  reclaim(nic);
  nic.control.poll(device);
  if (nic.broken) return;
  if (nic.transport.status & Status.NeedsReset) {
    device.nameIn(warn("net")).text(" device asks for a reset").end();
    return reset(device);
  }
  readLink(nic);
  const taken = nic.receive.progress;
  const half = nic.receive.ready() != 0 && taken == nic.receiveAtCheck;
  nic.receiveAtCheck = taken;
  nic.stuckReceive = half ? nic.stuckReceive + 1 : 0;
  const control = nic.control.stuck;
  if (nic.stuckReceive < STUCK_CHECKS && !control) return;
  device
    .nameIn(warn("net"))
    .text(control ? " commands are not answered" : " half a packet came and no more")
    .text(", resetting")
    .end();
  reset(device);
}

/** Back to a working device. What was on its way out is lost, and sent again by who still needs it. */
function reset(device: Device): void {
  const nic = nicOf(device);
  nic.broken = true;
  silence(nic);
  revive(nic);
}

/** Starts a silenced device again; if it cannot be, the next check tries once more. */
function revive(nic: VirtioNet): void {
  silence(nic);
  nic.device.resets++;
  if (nic.silent && bringUp(nic)) readLink(nic);
  else silence(nic);
}

/** No more DMA and no more interrupts; every packet goes back. */
function stop(device: Device): void {
  const nic = nicOf(device);
  nic.broken = true;
  silence(nic);
  if (!nic.silent) deviceMemoryAbandon(device);
}

// ---- Chips (4.1.2, 5) -------------------------------------------------------------------------------------

registerChip("virtio-net", Bus.Pci, pciId(0x1af4, 0x1041), "virtio-net", startPci);
registerChip("virtio-net", Bus.Pci, pciId(0x1af4, 0x1000), "virtio-net", startPci);
registerChip("virtio-net", Bus.VirtioMmio, NETWORK_DEVICE, "virtio-net", startMmio);
