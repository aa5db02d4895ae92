import { DHCPD } from "../../kernel/features";
import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { AddressState, Interface, findAddress } from "../interface";
import { V4_BROADCAST, isV4Loopback, isV4Multicast, v4Lo } from "../wire/address";
import { ARP_LENGTH, ArpOperation, ArpPacket, arpBuild, arpValid } from "../wire/arp";
import { EtherType, MAC_BROADCAST, isGroupMac } from "../wire/ethernet";
import { conflictCheck } from "./conflict";
import { ethernetSend } from "./ethernet";
import { neighbourLearn, neighbourUpdate } from "./neighbour";

/**
 * ARP (RFC 826): answers for our addresses, asks for others'. What the answers say is kept in the
 * neighbour cache; whether somebody else claims one of our addresses is net/link/conflict.ts's.
 */

/** What became of ARP packets. */
@unmanaged
export class ArpStats {
  requestsReceived: u64;
  repliesReceived: u64;
  /** Not ARP for IPv4 over Ethernet, or with addresses that no station has. */
  malformed: u64;
  requestsSent: u64;
  repliesSent: u64;
  probesSent: u64;
  announcementsSent: u64;
  /** Not sent for want of a packet. */
  noBuffer: u64;
  /** Another station claimed an address of ours. */
  conflicts: u64;
}

export const arpStats = changetype<ArpStats>(memory.data(offsetof<ArpStats>(), 8));

let watchFn: u32 = 0;

/** Has `(iface: Interface, address: u32, mac: u64) => void` hear who has which address: a table index, 0 for nobody. */
export function arpWatch(hears: u32): void {
  watchFn = hears;
}

/** Takes an ARP packet from the link. Owns it. */
export function arpInput(iface: Interface, packet: Packet): void {
  const arp = changetype<ArpPacket>(packet.data);
  if (!arpValid(packet.data, packet.length) || !plausible(arp)) {
    arpStats.malformed++;
    return packet.release();
  }
  const operation = arp.operation;
  if (operation == ArpOperation.Request) arpStats.requestsReceived++;
  else arpStats.repliesReceived++;
  const mac = arp.senderMac;
  const sender = arp.senderAddress;
  const target = arp.targetAddress;
  // Our own broadcast, come back through a loop in the network or a mirroring port.
  if (mac == iface.device.mac) return packet.release();
  if (DHCPD && watchFn && sender) call_indirect<void>(watchFn, iface, sender, mac);
  if (conflictCheck(iface, operation, sender, target, mac)) return packet.release();
  // RFC 826, "Packet Reception": an entry that exists takes what the sender says of itself. A new
  // one is made only for a sender that asked for us: nobody can fill or poison the cache unasked.
  const known = sender != 0 && neighbourUpdate(iface, 0, v4Lo(sender), mac);
  if (operation != ArpOperation.Request || !isOurs(iface, target)) return packet.release();
  if (!known && isOnLink(iface, sender)) neighbourLearn(iface, 0, v4Lo(sender), mac);
  // The request's own packet carries the answer.
  packet.flags = 0;
  packet.length = ARP_LENGTH;
  arpBuild(packet.data, ArpOperation.Reply, iface.device.mac, target, mac, sender);
  arpStats.repliesSent++;
  ethernetSend(iface, packet, mac, EtherType.ARP);
}

/** Whether the fields that we act on can be true. */
function plausible(arp: ArpPacket): bool {
  const operation = arp.operation;
  if (operation != ArpOperation.Request && operation != ArpOperation.Reply) return false;
  const mac = arp.senderMac;
  if (mac == 0 || isGroupMac(mac)) return false;
  const sender = arp.senderAddress;
  return sender != V4_BROADCAST && !isV4Multicast(sender) && !isV4Loopback(sender);
}


@inline function isOurs(iface: Interface, address: u32): bool {
  if (address == iface.v4Address) return address != 0;
  const record = findAddress(0, v4Lo(address));
  return record !== null && record.iface == iface && record.state == AddressState.Assigned;
}


@inline function isOnLink(iface: Interface, address: u32): bool {
  return address != 0 && ((address ^ iface.v4Address) & iface.v4Mask) == 0;
}

/** Broadcasts or, with a `mac`, sends to one station. False for want of a packet. */
function send(iface: Interface, operation: ArpOperation, sender: u32, target: u32, mac: u64): bool {
  const packet = allocate(PoolId.Small, Purpose.Control, HEADROOM);
  if (packet === null) {
    arpStats.noBuffer++;
    return false;
  }
  packet.length = ARP_LENGTH;
  arpBuild(packet.data, operation, iface.device.mac, sender, mac, target);
  ethernetSend(iface, packet, mac ? mac : MAC_BROADCAST, EtherType.ARP);
  return true;
}

/**
 * Asks who has `target`: everybody, or the station `unicast` if that is not 0 (RFC 1122, 2.3.2.1,
 * "unicast poll"). False for want of a packet.
 */
export function arpSolicit(iface: Interface, target: u32, unicast: u64): bool {
  if (!send(iface, ArpOperation.Request, iface.v4Address, target, unicast)) return false;
  arpStats.requestsSent++;
  return true;
}

/** Asks whether anybody has `address`, without a word about us (RFC 5227, 1.1, "ARP Probe"). */
export function arpProbe(iface: Interface, address: u32): void {
  if (send(iface, ArpOperation.Request, 0, address, 0)) arpStats.probesSent++;
}

/** Tells everybody that `address` is ours (RFC 5227, 1.1, "ARP Announcement"). */
export function arpAnnounce(iface: Interface, address: u32): void {
  if (send(iface, ArpOperation.Request, address, address, 0)) arpStats.announcementsSent++;
}
