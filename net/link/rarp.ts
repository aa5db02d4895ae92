import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { Interface } from "../interface";
import { ARP_LENGTH, ArpOperation, ArpPacket, arpBuild, arpValid } from "../wire/arp";
import { EtherType, MAC_BROADCAST, isGroupMac } from "../wire/ethernet";
import { arpStats } from "./arp";
import { ethernetSend } from "./ethernet";

/** Reverse ARP (RFC 903): a station asks by its hardware address what it is called. In form it is ARP. */

/** Table indices: who knows others' addresses, and who wants to know ours. */
let serveFn: u32 = 0;
let toldFn: u32 = 0;

/** Sets who knows a station's address: `(iface, mac) => address`, 0 if it does not. */
export function rarpServe(knows: (iface: Interface, mac: u64) => u32): void {
  serveFn = knows.index;
}

/** Sets who hears what an interface is called, and by which server. */
export function rarpTell(hears: (iface: Interface, address: u32, server: u32) => void): void {
  toldFn = hears.index;
}

/** Takes a packet from the link. Owns it. */
export function rarpInput(iface: Interface, packet: Packet): void {
  const rarp = changetype<ArpPacket>(packet.data);
  if (!arpValid(packet.data, packet.length)) {
    arpStats.malformed++;
    return packet.release();
  }
  const target = rarp.targetMac;
  if (rarp.operation == ArpOperation.ReverseReply) {
    const address = rarp.targetAddress;
    if (toldFn && target == iface.device.mac) {
      call_indirect<void>(toldFn, iface, address, rarp.senderAddress);
    }
    return packet.release();
  }
  const sender = rarp.senderMac;
  const asks = rarp.operation == ArpOperation.ReverseRequest && !isGroupMac(sender);
  const known = serveFn && asks && iface.v4Address != 0;
  const address = known ? call_indirect<u32>(serveFn, iface, target) : 0;
  if (!address) return packet.release();
  // The request's own packet carries the answer.
  packet.flags = 0;
  packet.length = ARP_LENGTH;
  const mac = iface.device.mac;
  arpBuild(packet.data, ArpOperation.ReverseReply, mac, iface.v4Address, target, address);
  ethernetSend(iface, packet, sender, EtherType.RARP);
}

/** Asks everybody what this interface is called. */
export function rarpAsk(iface: Interface): void {
  const packet = allocate(PoolId.Small, Purpose.Control, HEADROOM);
  if (packet === null) {
    arpStats.noBuffer++;
    return;
  }
  const mac = iface.device.mac;
  packet.length = ARP_LENGTH;
  arpBuild(packet.data, ArpOperation.ReverseRequest, mac, 0, mac, 0);
  ethernetSend(iface, packet, MAC_BROADCAST, EtherType.RARP);
}
