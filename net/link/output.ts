import { Packet, PacketFlag } from "../../kernel/packet";
import { Feature } from "../../drivers/device";
import { Errno } from "../../kernel/errno";
import { DEVICE_QUEUE_MAX, Interface } from "../interface";
import { completeChecksum } from "../wire/checksum";

/**
 * The last step down: queues a whole frame (`checksumStart` counts from its first byte) for the
 * device, which takes the queue at the end of the step. Owns the packet from here on. Returns 0,
 * -ENETDOWN without a link, -ENOBUFS when the device does not keep up.
 */
export function linkQueue(iface: Interface, packet: Packet): i32 {
  const device = iface.device;
  if (!iface.up) {
    iface.downDropped++;
    packet.release();
    return -Errno.ENETDOWN;
  }
  if (device.pendingLength >= DEVICE_QUEUE_MAX) {
    iface.queueFull++;
    packet.release();
    return -Errno.ENOBUFS;
  }
  if (packet.flags & PacketFlag.ChecksumPending && !(device.features & Feature.TransmitChecksum)) {
    completeChecksum(packet);
  }
  packet.iface = iface.index;
  device.pending.push(packet);
  return 0;
}
