import { Packet, PacketFlag } from "../../kernel/packet";
import { Feature } from "../../drivers/device";
import { Errno } from "../../kernel/errno";
import { DEVICE_QUEUE_MAX, Interface, interfaceAt, interfaceCount } from "../interface";
import { completeChecksum } from "../wire/checksum";

/** So many packets that wait for a device mean that it is behind: bulk data had better wait, too. */
const CROWDED: u32 = DEVICE_QUEUE_MAX >> 1;

let crowded: bool = false;

/**
 * Whether a device is so far behind that who can wait should: what is queued beyond its limit is
 * lost, and a sender that loses its own packets takes it for congestion of the path.
 */
@inline export function linkCrowded(): bool {
  return crowded;
}

/** Looks anew, when the devices have taken what they could. */
export function linkEase(): void {
  crowded = false;
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const iface = interfaceAt(i);
    if (iface.up && iface.device.pendingLength >= CROWDED) crowded = true;
  }
}

/**
 * The last step down: queues a whole frame (`checksumStart` counts from its first byte) for the
 * device, which takes the queue at the end of the step. Owns the packet from here on. Returns 0,
 * -ENETDOWN without a link, -ENOBUFS when the device does not keep up.
 */
@inline export function linkQueue(iface: Interface, packet: Packet): i32 {
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
  if (device.pendingLength >= CROWDED) crowded = true;
  return 0;
}
