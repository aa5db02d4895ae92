import { Device, deviceAt } from "../../drivers/device";
import { Packet, PacketQueue } from "../../kernel/packet";
import { Interface } from "../interface";
import { linkQueue } from "../link/output";
import { swap16 } from "../wire/bytes";
import { ETHERNET_HEADER, EtherType, VLAN_ID, VLAN_NONE, VLAN_TAG } from "../wire/ethernet";
import { Virtual } from "./given";
import { withRoom } from "./room";
import { virtualStats } from "./stats";

/**
 * VLANs (IEEE 802.1Q): a link of its own in the frames of another that have its tag. The frame stays where it is:
 * its addresses move over the tag, or four bytes forward to make room for one.
 */

/** VLANs by the link under them, kind of tag and identifier: open addressing, a key and a device each. */
const PLACES: u32 = 64;
const places: usize = memory.data(64 * 8, 8);


@inline function keyOf(parent: Interface, service: bool, id: u32): u32 {
  return 0x8000_0000 | ((<u32>parent.index) << 16) | ((<u32>service) << 12) | id;
}


@inline function placeOf(key: u32): usize {
  return (key * 0x9e37_79b1) >>> 26;
}

/** Takes frames of a VLAN from its parent from now on. */
export function vlanOpen(link: Virtual, parent: Interface, device: Device): void {
  const key = keyOf(parent, link.service, link.id);
  let place = placeOf(key);
  while (load<u32>(places + (place << 3))) place = (place + 1) & (PLACES - 1);
  store<u32>(places + (place << 3), key);
  store<u32>(places + (place << 3), device.index, 4);
}

function find(key: u32): Device | null {
  let place = placeOf(key);
  while (load<u32>(places + (place << 3))) {
    const at = places + (place << 3);
    if (load<u32>(at) == key) return deviceAt(load<u32>(at, 4));
    place = (place + 1) & (PLACES - 1);
  }
  return null;
}

/**
 * Takes a frame whose type is one of a tag's; `packet.data` is what follows the type. Without the tag it is received
 * on its VLAN or, if the tag says nothing but a priority (6.9), on the parent again. Owns the packet.
 */
export function vlanInput(parent: Interface, packet: Packet, type: u32): void {
  if (packet.length < VLAN_TAG) {
    parent.runts++;
    return packet.release();
  }
  const id: u32 = swap16(load<u16>(packet.data)) & VLAN_ID;
  const service = type == EtherType.ServiceTag;
  const device = id == VLAN_NONE ? parent.device : find(keyOf(parent, service, id));
  if (device === null) {
    virtualStats.vlanUnknown++;
    return packet.release();
  }
  const at = packet.prepend(ETHERNET_HEADER - VLAN_TAG);
  const addresses = load<u64>(at - VLAN_TAG);
  const rest = load<u32>(at - VLAN_TAG, 8);
  store<u64>(at, addresses);
  store<u32>(at, rest, 8);
  if (id != VLAN_NONE) {
    device.receivedPackets++;
    device.receivedBytes += packet.length;
  }
  device.received.push(packet);
}

/** A VLAN's own operation of that name: tags and hands on. Priority 0 and not drop eligible. */
export function vlanTransmit(device: Device, queue: PacketQueue): void {
  const link = changetype<Virtual>(device.context);
  const parent = link.parent;
  if (parent === null) {
    device.transmitErrors += queue.length;
    return queue.clear();
  }
  const type = link.service ? EtherType.ServiceTag : EtherType.CustomerTag;
  const tag = bswap((type << 16) | link.id);
  for (let next = queue.pop(); next !== null; next = queue.pop()) {
    const packet = withRoom(next, VLAN_TAG, ETHERNET_HEADER);
    if (packet === null) continue;
    device.sentPackets++;
    device.sentBytes += packet.totalLength;
    const at = packet.prepend(VLAN_TAG);
    const addresses = load<u64>(at, VLAN_TAG);
    const rest = load<u32>(at, VLAN_TAG + 8);
    store<u64>(at, addresses);
    store<u32>(at, rest, 8);
    store<u32>(at, tag, 12);
    packet.checksumStart += <u16>VLAN_TAG;
    linkQueue(parent, packet);
  }
}
