import { AddressMode6, config } from "../../kernel/config";
import { now } from "../../kernel/clock";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { AddressOrigin, HOP_LIMIT, Interface, InterfaceAddress, interfaceAt } from "../interface";
import { TokenBucket } from "../ratelimit";
import { RouteOrigin, defaultAdd, routeAdd } from "../route/table";
import { IpAddress, V6_LINK_LOCAL, isV6LinkLocal } from "../wire/address";
import { v6Add, v6AddressesLinkDown, v6AddressesLinkUp } from "./addresses";
import { configuredAddress, configuredPeer } from "../configured";
import { advertiseInit, advertiseStop, isAdvertising } from "./advertise";
import { routersFlush } from "./routers";
import { ndpSolicitRouters } from "./send";
import { linkLocalMake } from "./slaac";

/** An interface's life in IPv6: an address at link up, then the search for routers (RFC 4861, 6.3). */

/** RTR_SOLICITATION_INTERVAL and MAX_RTR_SOLICITATIONS (RFC 4861, 10), then slower and slower. */
const SOLICIT: u64 = 4 * SECOND;
/** MRT (RFC 7559, 2). */
const SOLICIT_MOST: u64 = 3600 * SECOND;
/** REACHABLE_TIME and RETRANS_TIMER, ms (RFC 4861, 10). */
const REACHABLE_MS: u32 = 30_000;
const RETRANS_MS: u32 = 1000;
/** A value a router may not go beyond: an hour (6.2.1). */
const TIME_MOST_MS: u32 = 3_600_000;

/** RDNSS servers kept for a link. */
export const SERVERS: u32 = 3;

/** How addresses and the rest are to be had, as routers say it (RFC 4861, 4.2). */
export const enum Managed {
  /** The link's own address is in use: one can ask. */
  Ready = 0,
  /** O: DHCPv6 has what is not an address. */
  Other = 0x40,
  /** M: DHCPv6 has addresses, and the rest as well. */
  Addresses = 0x80,
}

/** What a link has beside its addresses. 192 bytes. */
@unmanaged
export class Link6 {
  private solicit0: u64;
  private solicit1: u64;
  private solicit2: u64;
  private solicit3: u64;
  private heard0: u64;
  private heard1: u64;
  private heard2: u64;
  /** ns until the next router solicitation but one. */
  interval: u64;
  private server0: u64;
  private server1: u64;
  private server2: u64;
  private server3: u64;
  private server4: u64;
  private server5: u64;
  private until0: u64;
  private until1: u64;
  private until2: u64;


  @inline get solicit(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }

  /** Advertisements taken: more is a flood. */
  @inline get heard(): TokenBucket {
    return changetype<TokenBucket>(changetype<usize>(this) + offsetof<Link6>("heard0"));
  }

  /** DNS server `index`, below `SERVERS`; nothing unless `serverUntil` lies ahead. */
  @inline server(index: u32): IpAddress {
    const at = changetype<usize>(this) + offsetof<Link6>("server0");
    return changetype<IpAddress>(at + ((<usize>index) << 4));
  }


  @inline serverUntil(index: u32): u64 {
    return load<u64>(changetype<usize>(this) + ((<usize>index) << 3), offsetof<Link6>("until0"));
  }


  @inline setServerUntil(index: u32, until: u64): void {
    const at = changetype<usize>(this) + ((<usize>index) << 3);
    store<u64>(at, until, offsetof<Link6>("until0"));
  }
}

const links: usize = memory.data(48 * 192, 8);
/** An address that another station has is not claimed again at each change of a link. */
let staticGiven: bool = false;
/** Table index of `(iface: Interface, said: u32) => void`. */
let managedFn: u32 = 0;

/** Sets who hears `Managed` bits: net/dhcpv6. */
export function managedBy(hears: (iface: Interface, said: u32) => void): void {
  managedFn = hears.index;
}

/** Tells of them. */
export function managedSay(iface: Interface, said: u32): void {
  call_indirect<void>(managedFn, iface, said);
}


@inline export function link6(iface: Interface): Link6 {
  return changetype<Link6>(links + <usize>iface.index * 192);
}

/** Has an interface take part in IPv6 from now on, as the operator wants. */
export function v6Start(iface: Interface): void {
  assert(offsetof<Link6>() <= 192);
  if (config.mode6 == AddressMode6.Off) return;
  iface.v6 = true;
  const link = link6(iface);
  link.solicit.init(solicit, iface.index);
  link.heard.init(10, 20);
  setTimes(iface, REACHABLE_MS, RETRANS_MS);
  advertiseInit(iface);
  linkLocalMake(iface, 0, linkLocalAssigned.index);
  const given = configuredAddress(iface.device.number, true);
  if (given === null) return;
  // A peer is on the link instead of the prefix.
  if (!ownAddress(iface, given.address, given.peerBits ? 128 : given.prefix)) return;
  configuredPeer(iface, given);
}

/** Gives `iface` an address of the operator's, and its prefix with it; false for want of room. */
function ownAddress(iface: Interface, address: IpAddress, bits: u32): bool {
  if (v6Add(iface, address, bits, AddressOrigin.Static, false, 0, 0) === null) return false;
  if (bits < 128) routeAdd(address, bits, null, iface, 0, RouteOrigin.Connected);
  return true;
}

/** Gives `iface` the operator's address, the prefix with it, and the router, unless they are given. */
export function v6StaticStart(iface: Interface): void {
  if (config.mode6 != AddressMode6.Static || staticGiven) return;
  staticGiven = true;
  if (!ownAddress(iface, config.address6, config.prefix6)) return;
  const router = config.gateway6;
  if (router.isAny) return;
  if (isV6LinkLocal(router.hi)) router.hi = V6_LINK_LOCAL | iface.zone;
  defaultAdd(iface, router, RouteOrigin.Static);
}

/** The link came or went. */
export function v6LinkChanged(iface: Interface): void {
  if (!iface.v6) return;
  if (!iface.up) {
    link6(iface).solicit.cancel();
    advertiseStop(iface);
    return v6AddressesLinkDown(iface);
  }
  routersFlush(iface);
  iface.v6Mtu = iface.mtu;
  iface.hopLimit = HOP_LIMIT;
  setTimes(iface, REACHABLE_MS, RETRANS_MS);
  for (let i: u32 = 0; i < SERVERS; i++) link6(iface).setServerUntil(i, 0);
  v6AddressesLinkUp(iface);
}

function linkLocalAssigned(record: InterfaceAddress): void {
  if (isAdvertising(record.iface)) return;
  const link = link6(record.iface);
  link.interval = SOLICIT;
  solicit(record.iface.index, now());
  managedSay(record.iface, Managed.Ready);
}

/** Asks for routers until one answers, ever more seldom (RFC 7559, 2). */
function solicit(index: usize, time: u64): void {
  const iface = interfaceAt(<u32>index);
  const link = link6(iface);
  ndpSolicitRouters(iface);
  link.solicit.arm(time + link.interval);
  link.interval = min<u64>(2 * link.interval, SOLICIT_MOST);
}

/** A router has spoken: no need to ask. */
export function routersFound(iface: Interface): void {
  link6(iface).solicit.cancel();
}

/** Takes over what a router says of times (RFC 4861, 6.3.4), ms; 0: nothing. */
export function setTimes(iface: Interface, reachable: u32, retrans: u32): void {
  if (reachable && reachable <= TIME_MOST_MS) {
    // Between a half and one and a half, so that neighbours are not all asked at once (6.3.2).
    const ms = (reachable >> 1) + randomBelow(reachable + 1);
    iface.reachableTime = <u64>max<u32>(ms, 1) * MILLISECOND;
  }
  // A forged tenth of a second would do harm enough.
  if (retrans >= 100 && retrans <= TIME_MOST_MS) iface.retransTime = <u64>retrans * MILLISECOND;
}

/** Notes a DNS server of a router's (RFC 8106, 5.1) until `until`, ns. What is over makes room. */
export function serverHeard(iface: Interface, address: IpAddress, until: u64): void {
  const link = link6(iface);
  const time = now();
  let place: u32 = SERVERS;
  for (let i: u32 = 0; i < SERVERS; i++) {
    const current = link.serverUntil(i) > time;
    if (current && link.server(i).equals(address)) return link.setServerUntil(i, until);
    if (!current && place == SERVERS) place = i;
  }
  if (place == SERVERS || until <= time) return;
  link.server(place).copy(address);
  link.setServerUntil(place, until);
}

/** The DNS server that stands in place `index`, below `SERVERS`, now; null without one. */
export function serverAt(iface: Interface, index: u32): IpAddress | null {
  const link = link6(iface);
  return link.serverUntil(index) > now() ? link.server(index) : null;
}
