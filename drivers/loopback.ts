import { copyStats } from "../kernel/copies";
import {
  HEADROOM,
  Owner,
  Packet,
  PacketFlag,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
} from "../kernel/packet";
import { Device, DeviceState, Feature, addDevice } from "./device";

/**
 * The loopback device (RFC 1122, 3.2.1.3): what is sent on it is received on it, the same packet
 * where its bytes lie in one run and nobody else reads them, a copy otherwise.
 */

/** Fits a jumbo slot with headroom. */
const MTU: u32 = 9000;

/** Starts the loopback, after the NICs. Null when the device table is full. */
export function loopbackStart(): Device | null {
  const device = addDevice();
  if (device === null) return null;
  device.model = "loopback";
  device.driver = "loopback";
  device.state = DeviceState.Running;
  device.features =
    Feature.Loopback | Feature.Virtual | Feature.ReceiveChecksum | Feature.TransmitChecksum;
  device.mtu = MTU;
  device.speed = 0;
  device.linkUp = true;
  device.fullDuplex = true;
  device.linkChanges = 1;
  device.serve(transmit, poll, setInterrupts, check, nothing, nothing, nothing);
  return device;
}

function transmit(device: Device, queue: PacketQueue): void {
  for (let packet = queue.pop(); packet !== null; packet = queue.pop()) {
    const bytes = packet.totalLength;
    const received = packet.fragmentCount || packet.references > 1 ? copy(packet, bytes) : packet;
    if (received === null) {
      device.receiveDropped++;
      continue;
    }
    // Memory does not corrupt bytes: a checksum that was never filled in counts as checked.
    received.flags = <u8>(PacketFlag.TransportChecksumGood | PacketFlag.NetworkChecksumGood);
    received.segmentSize = 0;
    device.sentPackets++;
    device.sentBytes += bytes;
    device.receivedPackets++;
    device.receivedBytes += bytes;
    device.received.push(received);
  }
}

/** One run of the packet's bytes in a packet of its own; takes the original. Null without memory. */
function copy(packet: Packet, bytes: u32): Packet | null {
  const pool = bytes + HEADROOM <= 2048 ? PoolId.Standard : PoolId.Jumbo;
  const whole = allocate(pool, Purpose.Data, HEADROOM);
  if (whole !== null && bytes <= whole.tailroom) {
    copyStats.looped += bytes;
    memory.copy(whole.data, packet.data, packet.length);
    whole.length = packet.length;
    for (let i: u32 = 0; i < packet.fragmentCount; i++) {
      const fragment = packet.fragment(i);
      memory.copy(whole.end, fragment.address, fragment.length);
      whole.length += fragment.length;
    }
    packet.release();
    return whole;
  }
  if (whole !== null) whole.release();
  packet.release();
  return null;
}

/** Everything was received when it was sent. */
function poll(_device: Device, _budget: u32): u32 {
  return 0;
}

function setInterrupts(_device: Device, _on: bool): void {}

function check(_device: Device, _now: u64): void {}

function nothing(_device: Device): void {}
