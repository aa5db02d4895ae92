import { DHCPD, RARP } from "../../kernel/features";
import { Packet, PacketFlag } from "../../kernel/packet";
import { Interface, LinkKind } from "../interface";
import { ipv4Input } from "../ip/input";
import { ipv6Input } from "../ip/input6";
import {
  ETHERNET_HEADER,
  EtherType,
  EthernetHeader,
  MAC_BROADCAST,
  ethernetBuild,
  isGroupMac,
} from "../wire/ethernet";
import { vlanInput } from "../virtual/vlan";
import { arpInput } from "./arp";
import { linkQueue } from "./output";
import { rarpInput } from "./rarp";

/** Takes every packet that the interface's device has received. */
export function ethernetInput(iface: Interface): void {
  const received = iface.device.received;
  const mac = iface.device.mac;
  for (let packet = received.pop(); packet !== null; packet = received.pop()) {
    frameInput(iface, mac, packet);
  }
}


@inline function frameInput(iface: Interface, mac: u64, packet: Packet): void {
  if (packet.length < ETHERNET_HEADER) {
    iface.runts++;
    return packet.release();
  }
  const header = changetype<EthernetHeader>(packet.data);
  const destination = header.destination;
  if (destination != mac) {
    // A NIC's filter may let more pass than it was asked to.
    if (!isGroupMac(destination)) {
      return strangeInput(iface, packet);
    }
    packet.flags |= <u8>(
      (destination == MAC_BROADCAST ? PacketFlag.LinkBroadcast : PacketFlag.LinkMulticast)
    );
  }
  // No station is a group (IEEE 802.3, 3.2.3).
  if (isGroupMac(header.source)) {
    iface.badSource++;
    return packet.release();
  }
  const type = header.type;
  packet.strip(ETHERNET_HEADER);
  if (type == EtherType.IPv4) return ipv4Input(iface, packet);
  if (type == EtherType.IPv6) return ipv6Input(iface, packet);
  if (type == EtherType.ARP) return arpInput(iface, packet);
  if ((DHCPD || RARP) && type == EtherType.RARP) return rarpInput(iface, packet);
  if (type == EtherType.CustomerTag || type == EtherType.ServiceTag) {
    return vlanInput(iface, packet, type);
  }
  iface.unknownType++;
  packet.release();
}

/** A frame for another station: perhaps of a VLAN that is a bridge's. */
function strangeInput(iface: Interface, packet: Packet): void {
  const type = changetype<EthernetHeader>(packet.data).type;
  if (iface.carries && (type == EtherType.CustomerTag || type == EtherType.ServiceTag)) {
    packet.strip(ETHERNET_HEADER);
    return vlanInput(iface, packet, type);
  }
  iface.notForUs++;
  packet.release();
}

/**
 * Frames a packet for `destination` and queues it; to the other end of a point-to-point link it goes as it is. Owns
 * the packet; returns 0 or -Errno.
 */
@inline export function ethernetSend(
  iface: Interface,
  packet: Packet,
  destination: u64,
  type: EtherType,
): i32 {
  if (iface.kind == LinkKind.PointToPoint) return linkQueue(iface, packet);
  packet.checksumStart += <u16>ETHERNET_HEADER;
  ethernetBuild(packet.prepend(ETHERNET_HEADER), destination, iface.device.mac, type);
  return linkQueue(iface, packet);
}
