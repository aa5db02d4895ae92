import {
  Device,
  DeviceState,
  Feature,
  NICS_MAX,
  addDevice,
  deviceAt,
  deviceCount,
} from "../../drivers/device";
import { warn } from "../../kernel/log";
import { configuredAddress, configuredMtu } from "../configured";
import {
  Interface,
  LinkKind,
  interfaceAt,
  interfaceCount,
  interfaceGeneration,
} from "../interface";
import { bridgeTransmit } from "./bridge";
import { Virtual, VirtualKind, bridgeOf, virtualAt, virtualCount, virtualNumbered } from "./given";
import { stationsForget } from "./stations";
import { tunnelOpen, tunnelRefresh, tunnelTransmit } from "./tunnel";
import { vlanOpen, vlanTransmit } from "./vlan";

/**
 * Links over links as devices: made when the machine starts, after the cards, each after those that it stands on; and
 * what they have to learn when a link under them comes, goes or changes.
 */

/** Tunnels begin with what most paths carry; the first route to the other end says more. */
const TUNNEL_MTU: u32 = 1400;

/** Bits of the links that have a device. */
let made: u64 = 0;
/** Devices of links, so that a machine without them has nothing to look at. */
let devices: u32 = 0;
/** `interfaceGeneration()` for which the tunnels are what they should be. */
let refreshed: u32 = 0;


@inline function bit(number: u32): u64 {
  return (<u64>1) << (<u64>number);
}

/** Makes the devices of the links that were named. Once, after the cards. */
export function virtualsStart(): void {
  let waiting = virtualCount();
  for (let before = waiting + 1; waiting && waiting < before;) {
    before = waiting;
    waiting = 0;
    for (let i: u32 = 0; i < virtualCount(); i++) {
      const link = virtualAt(i);
      if (!link.given || made & bit(link.number)) continue;
      if (stands(link)) make(link);
      else waiting++;
    }
  }
  if (waiting) refuse();
}

/** Whether all that a link stands on is there: cards always are, as far as anybody knows. */
function stands(link: Virtual): bool {
  if (link.kind == VirtualKind.Vlan) return isMade(link.under);
  for (let number: u32 = 0; number < NICS_MAX + virtualCount(); number++) {
    if (link.ports & bit(number) && !isMade(number)) return false;
  }
  return true;
}


@inline function isMade(number: u32): bool {
  return number < NICS_MAX || (made & bit(number)) != 0;
}

/** Names the links that stand on what there is not, or on themselves. */
function refuse(): void {
  for (let i: u32 = 0; i < virtualCount(); i++) {
    const link = virtualAt(i);
    if (!link.given || made & bit(link.number)) continue;
    warn("net")
      .bytes(link.name, link.nameLength)
      .text(" left out: a link under it is not there, or stands on it")
      .end();
  }
}

function make(link: Virtual): void {
  const carrier = link.kind == VirtualKind.Vlan ? bridgeOf(link.under) : null;
  const under = virtualNumbered(link.under);
  const tunnelled = under !== null ? link.kind == VirtualKind.Vlan && under.isTunnel : false;
  if (carrier !== null || tunnelled) {
    const line = warn("net").bytes(link.name, link.nameLength);
    if (carrier === null) line.text(" left out: a tunnel has no VLANs").end();
    else {
      line.text(" left out: the link under it is a port; make it a VLAN of ");
      line.bytes(carrier.name, carrier.nameLength).end();
    }
    return;
  }
  const device = addDevice();
  if (device === null) return;
  made |= bit(link.number);
  devices++;
  device.name = link.name;
  device.nameLength = link.nameLength;
  device.number = <u8>link.number;
  device.context = changetype<usize>(link);
  device.features = Feature.Virtual;
  device.state = DeviceState.Running;
  device.fullDuplex = true;
  device.mtu = TUNNEL_MTU;
  device.tagRoom = 0;
  device.driver = "virtual";
  if (link.kind == VirtualKind.Vlan) {
    device.model = link.service ? "802.1ad VLAN" : "802.1Q VLAN";
    device.serve(vlanTransmit, poll, setInterrupts, check, setReceiveMode, nothing, nothing);
  } else if (link.kind == VirtualKind.Bridge) {
    device.model = "bridge";
    device.serve(bridgeTransmit, poll, setInterrupts, check, setReceiveMode, nothing, nothing);
  } else {
    device.model = link.kind == VirtualKind.Gre ? "GRE tunnel" : "IP tunnel";
    device.linkUp = true;
    device.serve(tunnelTransmit, poll, setInterrupts, check, setReceiveMode, nothing, nothing);
  }
}

/** How the interface of a device frames what it carries. */
export function kindOf(device: Device): LinkKind {
  if (device.features & Feature.Loopback) return LinkKind.Loopback;
  if (bridgeOf(device.number) !== null) return LinkKind.Port;
  if (!(device.features & Feature.Virtual)) return LinkKind.Ethernet;
  return changetype<Virtual>(device.context).isTunnel ? LinkKind.PointToPoint : LinkKind.Ethernet;
}

/** An interface is new: it joins what it belongs to. Before it gets addresses. */
export function virtualsJoin(iface: Interface): void {
  const device = iface.device;
  if (device.features & Feature.Loopback) return;
  if (device.features & Feature.Virtual) {
    const link = changetype<Virtual>(device.context);
    link.iface = iface;
    if (link.isTunnel) {
      tunnelOpen(link);
      refreshed = 0;
    }
  }
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const other = interfaceAt(i);
    const isAbove = other.device.features & Feature.Virtual && other.kind != LinkKind.Loopback;
    if (isAbove) joinTo(changetype<Virtual>(other.device.context), other);
  }
}

/** Ties a link to the interfaces under it that it has not been tied to. */
function joinTo(link: Virtual, above: Interface): void {
  if (link.isTunnel) return;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind == LinkKind.Loopback) continue;
    const number = iface.device.number;
    if (link.kind == VirtualKind.Bridge) {
      if (!(link.ports & bit(number)) || iface.bridge !== null) continue;
      if (virtualAddressed(number)) ignored(iface, link);
      iface.bridge = above;
      iface.device.promiscuous = true;
      if (iface.device.state == DeviceState.Running) iface.device.setReceiveMode();
    } else {
      if (number != link.under || link.parent !== null) continue;
      link.parent = iface;
      iface.carries = true;
      iface.device.allMulticast = true;
      vlanOpen(link, iface, above.device);
    }
  }
  follow(link, above);
}

function virtualAddressed(number: u32): bool {
  return configuredAddress(number, false) !== null || configuredAddress(number, true) !== null;
}

function ignored(iface: Interface, bridge: Virtual): void {
  iface.device
    .nameIn(warn("net"))
    .text(" is a port: its addresses are ignored; give them to ")
    .bytes(bridge.name, bridge.nameLength)
    .end();
}

/** Takes over from the links under it what a link is: address, MTU, what its frames may leave to the card, and whether it is up. */
function follow(link: Virtual, iface: Interface): void {
  const device = iface.device;
  let mac: u64 = u64.MAX_VALUE;
  let mtu: u32 = u32.MAX_VALUE;
  let room: u32 = u32.MAX_VALUE;
  let features: u32 = Feature.TransmitChecksum | Feature.ChecksumAnywhere;
  let speed: u32 = 0;
  let up = false;
  let any = false;
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const under = interfaceAt(i);
    if (link.kind == VirtualKind.Bridge ? under.bridge != iface : under != link.parent) continue;
    const its = under.device;
    any = true;
    mac = min<u64>(mac, its.mac);
    mtu = min<u32>(mtu, under.mtu);
    room = min<u32>(room, under.mtu < its.mtu ? its.mtu - under.mtu + its.tagRoom : its.tagRoom);
    features &= its.features;
    if (its.linkUp) {
      up = true;
      speed = max<u32>(speed, its.speed);
    }
  }
  if (!any) return;
  // An address that stations know stays, whatever comes later.
  if (!device.mac || link.kind == VirtualKind.Vlan) device.mac = mac;
  if (link.kind == VirtualKind.Vlan) {
    // A tag takes what the link under it has for one, or what the packets could have had.
    device.mtu = room >= 4 ? mtu : mtu - 4;
    device.tagRoom = room >= 4 ? room - 4 : 0;
    // A card that looks for the IP header by itself does not find it behind a tag.
    if (!(features & Feature.ChecksumAnywhere)) features = 0;
  } else {
    device.mtu = mtu;
    device.tagRoom = room;
  }
  device.features = Feature.Virtual | features;
  const given = configuredMtu(link.number);
  iface.mtu = given ? min<u32>(given, device.mtu) : device.mtu;
  iface.v6Mtu = iface.mtu;
  device.setLink(up, speed, true);
}

/** A link came, went or changed: so do those over it. */
export function virtualsFollow(iface: Interface): void {
  if (iface.kind == LinkKind.Port && !iface.up) stationsForget(iface);
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const above = interfaceAt(i);
    if (!(above.device.features & Feature.Virtual) || above.kind == LinkKind.Loopback) continue;
    const link = changetype<Virtual>(above.device.context);
    if (link.parent == iface || (iface.bridge !== null && iface.bridge == above))
      follow(link, above);
  }
}

/** Has links over links hand on what waits, the last first, until nothing does. */
export function virtualsOutput(): void {
  if (!devices) return;
  if (refreshed != interfaceGeneration()) refresh();
  for (let again = true; again;) {
    again = false;
    for (let i = deviceCount(); i-- > 0;) {
      const device = deviceAt(i);
      if (!device.pendingLength || !(device.features & Feature.Virtual)) continue;
      if (device.features & Feature.Loopback) continue;
      device.transmit();
      again = true;
    }
  }
}

/** Tunnels whose path may have changed. */
function refresh(): void {
  refreshed = interfaceGeneration();
  for (let i: u32 = 0; i < virtualCount(); i++) {
    const link = virtualAt(i);
    if (link.isTunnel && link.iface !== null) tunnelRefresh(link);
  }
}

// ---- A device's operations ---------------------------------------------------------------------

/** What was handed up by the link under it is there already. */
function poll(device: Device, _budget: u32): u32 {
  return device.receivedLength;
}

/** Once a second: what a path carries is learnt for a while only. */
function check(device: Device, _now: u64): void {
  const link = changetype<Virtual>(device.context);
  if (link.isTunnel && link.iface !== null) tunnelRefresh(link);
}

/** The link under a VLAN lets every group pass, and every frame, if the VLAN is a port. */
function setReceiveMode(device: Device): void {
  const parent = changetype<Virtual>(device.context).parent;
  if (parent === null || !device.promiscuous || parent.device.promiscuous) return;
  parent.device.promiscuous = true;
  if (parent.device.state == DeviceState.Running) parent.device.setReceiveMode();
}

function setInterrupts(_device: Device, _on: bool): void {}

function nothing(_device: Device): void {}
