import { AddressMode6, config } from "../../kernel/config";
import { now } from "../../kernel/clock";
import { Packet } from "../../kernel/packet";
import { AddressState, Interface, LinkKind, findAddress, interfacesChanged } from "../interface";
import { neighbourAdvertised, neighbourHeard, neighbourIsHost } from "../link/neighbour";
import { IpAddress, isV6LinkLocal, isV6Multicast } from "../wire/address";
import { EthernetHeader, isGroupMac, ETHERNET_HEADER } from "../wire/ethernet";
import { Icmpv6Header, Icmpv6Type } from "../wire/icmpv6";
import { IPV6_MTU_MIN, Ipv6Header } from "../wire/ipv6";
import {
  AdvertisementFlag,
  NDP_HOP_LIMIT,
  NDP_NEIGHBOUR,
  NDP_REDIRECT,
  NDP_ROUTER_ADVERTISEMENT,
  NDP_ROUTER_SOLICITATION,
  NdpOption,
  NdpOptionHeader,
  NeighbourMessage,
  PrefixFlag,
  RouterAdvertisement,
  ndpLinkAddress,
  ndpOptionsValid,
} from "../wire/ndp";
import { v6Conflict } from "./addresses";
import { advertiseSoon, advertisementCompare, isAdvertising } from "./advertise";
import { link6, managedSay, routersFound, serverHeard, setTimes } from "./link";
import { redirected } from "./redirect";
import { EVERYTHING, routeTold, routersInit } from "./routers";
import { ndpAdvertise, solicitedNode } from "./send";
import { lifetimeEnd, prefixLent, slaacInit } from "./slaac";
import { ndpStats } from "./stats";

/** Neighbour discovery as heard (RFC 4861, 6.1 and 7.1): what a neighbour says, and nobody farther off. */

const target = changetype<IpAddress>(memory.data(16, 8));
const option = changetype<IpAddress>(memory.data(16, 8));

/** Start-up only. */
export function ndpInit(): void {
  routersInit();
  slaacInit();
}

/** Takes a message whose checksum is right; the packet stays the caller's. */
export function ndpInput(
  iface: Interface,
  packet: Packet,
  source: IpAddress,
  destination: IpAddress,
): void {
  const at = packet.data;
  const header = changetype<Icmpv6Header>(at);
  const type = header.type;
  const ip = packet.slot + packet.networkOffset;
  const fixed = fixedLength(type);
  if (
    !iface.v6 ||
    changetype<Ipv6Header>(ip).hopLimit != NDP_HOP_LIMIT ||
    header.code ||
    packet.length < fixed ||
    !ndpOptionsValid(at + fixed, packet.length - fixed)
  ) {
    ndpStats.malformed++;
    return;
  }
  const options = packet.length - fixed;
  const framed = iface.kind == LinkKind.Ethernet;
  const mac = framed ? changetype<EthernetHeader>(ip - ETHERNET_HEADER).source : 0;
  // Our own, come back through a loop in the network or a mirroring port.
  if (framed && mac == iface.device.mac) return;
  let sound: bool;
  if (type == Icmpv6Type.NeighbourSolicitation) {
    ndpStats.solicitationsReceived++;
    sound = solicited(iface, at, options, source, destination, mac);
  } else if (type == Icmpv6Type.NeighbourAdvertisement) {
    ndpStats.advertisementsReceived++;
    sound = advertised(iface, at, options, destination, mac);
  } else if (type == Icmpv6Type.RouterAdvertisement) {
    ndpStats.routersHeard++;
    sound = routed(iface, at, options, source, isV6Multicast(destination.hi));
  } else if (type == Icmpv6Type.Redirect) {
    const station = stationIn(at + fixed, options, NdpOption.TargetLinkAddress);
    sound = redirected(iface, at, station, source, destination);
  } else {
    sound = asked(iface, at + fixed, options, source);
  }
  if (!sound) ndpStats.malformed++;
}


@inline function fixedLength(type: u32): u32 {
  if (type == Icmpv6Type.RouterSolicitation) return NDP_ROUTER_SOLICITATION;
  if (type == Icmpv6Type.Redirect) return NDP_REDIRECT;
  return type == Icmpv6Type.RouterAdvertisement ? NDP_ROUTER_ADVERTISEMENT : NDP_NEIGHBOUR;
}

/** The link-layer address of an option, or 0: a station's, no group's. */
function stationIn(at: usize, length: u32, type: NdpOption): u64 {
  const mac = ndpLinkAddress(at, length, type);
  return isGroupMac(mac) ? 0 : mac;
}

/** Somebody asks for an address (RFC 4861, 7.2.3), or whether it is free (RFC 4862, 5.4.3). */
function solicited(
  iface: Interface,
  at: usize,
  options: u32,
  source: IpAddress,
  destination: IpAddress,
  mac: u64,
): bool {
  changetype<NeighbourMessage>(at).target(target, iface.zone);
  if (isV6Multicast(target.hi)) return false;
  const station = stationIn(at + NDP_NEIGHBOUR, options, NdpOption.SourceLinkAddress);
  const probe = source.isAny;
  if (probe && (station || destination.lo != solicitedNode(target.lo))) return false;
  const record = findAddress(target.hi, target.lo);
  if (record === null || record.iface != iface) return true;
  if (record.state == AddressState.Tentative) {
    // Who asks by his own address only wants to reach it (5.4.3).
    if (probe) v6Conflict(record, mac);
    return true;
  }
  if (!probe && station) neighbourHeard(iface, source.hi, source.lo, station, false);
  ndpAdvertise(iface, target, source);
  return true;
}

/** Somebody says where an address is (RFC 4861, 7.2.5), which should not be ours (RFC 4862, 5.4.4). */
function advertised(
  iface: Interface,
  at: usize,
  options: u32,
  destination: IpAddress,
  mac: u64,
): bool {
  const message = changetype<NeighbourMessage>(at);
  message.target(target, iface.zone);
  const flags = message.flags;
  const solicited = (flags & AdvertisementFlag.Solicited) != 0;
  if (isV6Multicast(target.hi)) return false;
  if (solicited && isV6Multicast(destination.hi)) return false;
  const record = findAddress(target.hi, target.lo);
  if (record !== null && record.iface == iface) {
    v6Conflict(record, mac);
    return true;
  }
  const station = stationIn(at + NDP_NEIGHBOUR, options, NdpOption.TargetLinkAddress);
  neighbourAdvertised(
    iface,
    target.hi,
    target.lo,
    station,
    solicited,
    (flags & AdvertisementFlag.Override) != 0,
    (flags & AdvertisementFlag.Router) != 0,
  );
  return true;
}

/** A host asks for routers (RFC 4861, 6.1.1 and 6.2.6). */
function asked(iface: Interface, list: usize, options: u32, source: IpAddress): bool {
  const station = stationIn(list, options, NdpOption.SourceLinkAddress);
  if (source.isAny && station) return false;
  if (!isAdvertising(iface)) return true;
  ndpStats.routerSolicitationsReceived++;
  if (station) neighbourHeard(iface, source.hi, source.lo, station, false);
  neighbourIsHost(iface, source.hi, source.lo);
  advertiseSoon(iface);
  return true;
}

/** A router says what there is (RFC 4861, 6.3.4). */
function routed(iface: Interface, at: usize, options: u32, source: IpAddress, toMany: bool): bool {
  if (!isV6LinkLocal(source.hi)) return false;
  const time = now();
  if (!link6(iface).heard.take(time)) {
    ndpStats.limited++;
    return true;
  }
  const said = changetype<RouterAdvertisement>(at);
  const list = at + NDP_ROUTER_ADVERTISEMENT;
  const station = stationIn(list, options, NdpOption.SourceLinkAddress);
  if (station) neighbourHeard(iface, source.hi, source.lo, station, true);
  if (isAdvertising(iface)) {
    advertisementCompare(iface, said, list, list + options, source);
    return true;
  }
  if (said.hopLimit) iface.hopLimit = <u8>said.hopLimit;
  setTimes(iface, said.reachableTime, said.retransTimer);
  const lifetime = said.lifetime;
  const until = lifetime ? lifetimeEnd(time, lifetime) : 0;
  takeRoute(iface, EVERYTHING, 0, source, until, said.preference);
  if (lifetime) routersFound(iface);
  takeOptions(iface, list, list + options, source, time, toMany);
  if (said.managed) managedSay(iface, said.managed);
  return true;
}

/** A route by a router, unless it is for everything and the operator has named another for that. */
function takeRoute(
  iface: Interface,
  prefix: IpAddress,
  bits: u32,
  router: IpAddress,
  until: u64,
  preference: i32,
): void {
  if (bits || !hasOwnRouter()) routeTold(iface, prefix, bits, router, until, preference);
}


@inline function hasOwnRouter(): bool {
  return config.mode6 == AddressMode6.Static && !config.gateway6.isAny;
}

function takeOptions(
  iface: Interface,
  at: usize,
  end: usize,
  source: IpAddress,
  time: u64,
  toMany: bool,
): void {
  while (at < end) {
    const next = changetype<NdpOptionHeader>(at);
    if (next.isWhole) takeOption(iface, next, source, time, toMany);
    at += next.length;
  }
}

function takeOption(
  iface: Interface,
  said: NdpOptionHeader,
  source: IpAddress,
  time: u64,
  toMany: bool,
): void {
  switch (said.type) {
    case NdpOption.Prefix:
      return takePrefix(iface, said, time, toMany);
    case NdpOption.Mtu: {
      const mtu = said.mtu;
      if (mtu < IPV6_MTU_MIN || mtu > iface.mtu || mtu == iface.v6Mtu) return;
      iface.v6Mtu = mtu;
      interfacesChanged();
      return;
    }
    case NdpOption.RouteInformation: {
      // What of it says ::/0 goes before the header (RFC 4191, 3.1).
      said.routePrefix(option);
      if (isV6LinkLocal(option.hi) || isV6Multicast(option.hi)) return;
      const until = said.validLifetime ? lifetimeEnd(time, said.validLifetime) : 0;
      takeRoute(iface, option, said.prefixLength, source, until, said.routePreference);
      return;
    }
    case NdpOption.RecursiveDns: {
      const until = said.validLifetime ? lifetimeEnd(time, said.validLifetime) : 0;
      for (let i: u32 = 0; i < said.dnsCount; i++) {
        said.dns(i, option, iface.zone);
        serverHeard(iface, option, until);
      }
      return;
    }
    default:
  }
}

function takePrefix(iface: Interface, said: NdpOptionHeader, time: u64, toMany: bool): void {
  said.prefix(option);
  const bits = said.prefixLength;
  const valid = said.validLifetime;
  if (bits > 128 || isV6LinkLocal(option.hi) || isV6Multicast(option.hi)) return;
  if (option.hi >> 56 == 0) return;
  if (said.prefixFlags & PrefixFlag.OnLink) {
    routeTold(iface, option, bits, null, valid ? lifetimeEnd(time, valid) : 0, 1);
  }
  const preferred = said.preferredLifetime;
  if (!(said.prefixFlags & PrefixFlag.Autonomous) || preferred > valid || bits != 64) return;
  if (config.mode6 == AddressMode6.Auto) prefixLent(iface, option.hi, valid, preferred, toMany);
}
