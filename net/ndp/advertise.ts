import { config } from "../../kernel/config";
import { now } from "../../kernel/clock";
import { warn } from "../../kernel/log";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, SECOND, Timer } from "../../kernel/timer";
import { configuredOffer } from "../configured";
import {
  AddressOrigin,
  AddressState,
  HOP_LIMIT,
  Interface,
  InterfaceAddress,
  LinkKind,
  interfaceAt,
  interfaceCount,
} from "../interface";
import { groupJoin } from "../ip/groups";
import { masked } from "../route/table";
import {
  IpAddress,
  V6_LINK_GROUP,
  V6_SITE_GROUP,
  commonPrefix,
  isV6LinkLocal,
} from "../wire/address";
import {
  NDP_ROUTER_ADVERTISEMENT,
  NdpOption,
  NdpOptionHeader,
  PrefixFlag,
  RouterAdvertisement,
  RouterFlag,
  ndpPutLinkAddress,
  ndpPutMtu,
  ndpPutPrefix,
  ndpPutRouter,
} from "../wire/ndp";
import { linkLocalOf } from "./addresses";
import { Offer } from "./offer";
import { ndpAdvertiseRouter, ndpRouterMessage } from "./send";
import { ndpStats } from "./stats";

/**
 * The router's side of neighbour discovery (RFC 4861, 6.2): advertisements of what the operator offers on a link
 * (offer.ts) and of the prefixes of our addresses there, now and then and when asked.
 */

/** RFC 4861, 10. */
const INITIAL_INTERVAL: u64 = 16 * SECOND;
const INITIAL_ADVERTISEMENTS: u8 = 3;
const MIN_DELAY: u64 = 3 * SECOND;
const RA_DELAY_MS: u32 = 500;
/** AdvValidLifetime and AdvPreferredLifetime, seconds (6.2.1). */
const VALID: u32 = 2_592_000;
const PREFERRED: u32 = 604_800;
/** Between two warnings about a link's other routers. */
const WARN_EVERY: u64 = 600 * SECOND;
/** An address is a prefix and an identifier of 64 bits each, if hosts are to make their own (RFC 4862, 5.5.3 d). */
const AUTONOMOUS_BITS: u32 = 64;

/** An advertising interface. 64 bytes. */
@unmanaged
class Advertiser {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  /** When the last one went to all, ns; 0: none has. */
  sentAt: u64;
  warnedAt: u64;
  /** How many are still to be sent at short intervals. */
  initial: u8;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }
}

const advertisers: usize = memory.data(48 * 64, 8);
const prefix = changetype<IpAddress>(memory.data(16, 8));


@inline function advertiserOf(iface: Interface): Advertiser {
  return changetype<Advertiser>(advertisers + ((<usize>iface.index) << 6));
}

/** What is advertised on the interface's link, or null. */
@inline function offerOf(iface: Interface): Offer | null {
  return config.forwarding ? configuredOffer(iface.device.number) : null;
}

/** An interface takes part in IPv6: a router is in the groups of all routers (RFC 4291, 2.8; RFC 4861, 6.2.2). */
export function advertiseInit(iface: Interface): void {
  assert(offsetof<Advertiser>() <= 64);
  advertiserOf(iface).timer.init(advertise, iface.index);
  if (!config.forwarding) return;
  groupJoin(iface, V6_LINK_GROUP, 2);
  groupJoin(iface, V6_SITE_GROUP, 2);
}

/** Whether we are a router that advertises on the interface's link: what others say there is not for us. */
export function isAdvertising(iface: Interface): bool {
  return offerOf(iface) !== null;
}

/** An address of the interface came into use: there may be a prefix to tell of, or somebody to tell it. */
export function advertiseChanged(iface: Interface): void {
  if (offerOf(iface) === null) return;
  advertiserOf(iface).initial = INITIAL_ADVERTISEMENTS;
  advertiseSoon(iface);
}

/** The link is gone. */
export function advertiseStop(iface: Interface): void {
  advertiserOf(iface).timer.cancel();
}

/** Somebody asked (6.2.6): soon, but no more than one in three seconds. */
export function advertiseSoon(iface: Interface): void {
  if (offerOf(iface) === null) return;
  const advertiser = advertiserOf(iface);
  const delay = <u64>randomBelow(RA_DELAY_MS + 1) * MILLISECOND;
  const soonest = advertiser.sentAt ? advertiser.sentAt + MIN_DELAY : 0;
  const at = max<u64>(now(), soonest) + delay;
  const timer = advertiser.timer;
  if (!timer.armed || timer.deadline > at) timer.arm(at);
}

/** Sends one to all, and sets the time of the next (6.2.4). */
function advertise(index: usize, time: u64): void {
  const iface = interfaceAt(<u32>index);
  const offer = offerOf(iface);
  if (offer === null || !iface.up || !hasPrefix(iface) || linkLocalOf(iface) === null) return;
  send(iface, offer, offer.lifetime);
  const advertiser = advertiserOf(iface);
  advertiser.sentAt = time;
  // MinRtrAdvInterval is a third of the greatest, or all of a short one (6.2.1).
  const least = offer.interval >= 9 ? offer.interval / 3 : offer.interval;
  let wait = <u64>(least * 1000 + randomBelow((offer.interval - least) * 1000 + 1)) * MILLISECOND;
  if (advertiser.initial) {
    advertiser.initial--;
    if (advertiser.initial) wait = min<u64>(wait, INITIAL_INTERVAL);
  }
  advertiser.timer.arm(time + wait);
}

/** The machine ends: nobody is to send by it any more (6.2.5). */
export function advertiseEnd(): void {
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (iface.kind != LinkKind.Ethernet) continue;
    const offer = offerOf(iface);
    if (offer === null || !advertiserOf(iface).sentAt) continue;
    advertiseStop(iface);
    if (iface.up) send(iface, offer, 0);
  }
}

function send(iface: Interface, offer: Offer, lifetime: u32): void {
  const packet = ndpRouterMessage();
  if (packet === null) return;
  let at = packet.data;
  ndpPutRouter(at, HOP_LIMIT, offer.flags, lifetime);
  at += NDP_ROUTER_ADVERTISEMENT;
  at = ndpPutLinkAddress(at, NdpOption.SourceLinkAddress, iface.device.mac);
  at = ndpPutMtu(at, mtuOf(iface, offer));
  let record = iface.addresses;
  while (record !== null) {
    if (isTold(iface, record)) at = putPrefix(at, record);
    record = record.next;
  }
  at = offer.put(at);
  ndpAdvertiseRouter(iface, packet, <u32>(at - packet.data));
}


@inline function mtuOf(iface: Interface, offer: Offer): u32 {
  return offer.mtu ? offer.mtu : iface.v6Mtu;
}

/** Whether an address of ours gives the link a prefix; of several of the same prefix the first does. */
function isTold(iface: Interface, record: InterfaceAddress): bool {
  if (!givesPrefix(record)) return false;
  let other = iface.addresses;
  while (other !== null && other !== record) {
    if (givesPrefix(other) && isOf(other, record.address, record.prefix)) return false;
    other = other.next;
  }
  return true;
}


@inline function isOf(record: InterfaceAddress, address: IpAddress, bits: u32): bool {
  return (
    <u32>record.prefix == bits && commonPrefix(record.hi, record.lo, address.hi, address.lo) >= bits
  );
}

/** In use, wider than this link, and not of another router's making. */
function givesPrefix(record: InterfaceAddress): bool {
  const given = record.origin < <u32>AddressOrigin.Stable && record.prefix < 128;
  return (
    given &&
    record.state == AddressState.Assigned &&
    !record.address.isV4 &&
    !isV6LinkLocal(record.hi)
  );
}

function hasPrefix(iface: Interface): bool {
  let record = iface.addresses;
  while (record !== null) {
    if (givesPrefix(record)) return true;
    record = record.next;
  }
  return false;
}

function putPrefix(at: usize, record: InterfaceAddress): usize {
  const time = now();
  const bits = <u32>record.prefix;
  const flags = PrefixFlag.OnLink | (bits == AUTONOMOUS_BITS ? PrefixFlag.Autonomous : 0);
  const valid = left(record.validUntil, time, VALID);
  const preferred = min<u32>(left(record.preferredUntil, time, PREFERRED), valid);
  prefix.set(masked(record.hi, bits), masked(record.lo, <i32>bits - 64));
  return ndpPutPrefix(at, prefix, bits, flags, valid, preferred);
}

/** Seconds until `until`, `most` at most. */
@inline function left(until: u64, time: u64, most: u32): u32 {
  return until <= time ? 0 : <u32>min<u64>((until - time) / SECOND, most);
}

/**
 * Another router speaks on a link where we do. Nothing of it is taken, but what hosts would hear from us both in
 * different ways is told to the operator (6.2.7).
 */
export function advertisementCompare(
  iface: Interface,
  said: RouterAdvertisement,
  options: usize,
  end: usize,
  source: IpAddress,
): void {
  const offer = offerOf(iface);
  const time = now();
  const advertiser = advertiserOf(iface);
  if (offer === null) return;
  const what = contradiction(iface, offer, said, options, end);
  if (what === null) return;
  ndpStats.inconsistent++;
  if (advertiser.warnedAt && time - advertiser.warnedAt < WARN_EVERY) return;
  advertiser.warnedAt = time;
  iface.device
    .nameIn(warn("ndp").text("another router advertises differently; make them agree").key("link"))
    .key("router")
    .ip(source)
    .key("what")
    .text(what)
    .end();
}

/** What of an advertisement hosts would switch to and back from; null for nothing. */
function contradiction(
  iface: Interface,
  offer: Offer,
  said: RouterAdvertisement,
  options: usize,
  end: usize,
): string | null {
  if (said.hopLimit && said.hopLimit != <u32>HOP_LIMIT) return "hop limit";
  const both = RouterFlag.Managed | RouterFlag.Other;
  if ((said.flags ^ offer.flags) & both) return "M and O flags";
  for (let at = options; at < end;) {
    const option = changetype<NdpOptionHeader>(at);
    at += option.length;
    if (!option.isWhole) continue;
    if (option.type == NdpOption.Mtu && option.mtu != mtuOf(iface, offer)) return "MTU";
    if (option.type == NdpOption.Prefix && differs(iface, option)) return "lifetimes of a prefix";
  }
  return null;
}

/** Whether a prefix that we advertise, too, has other lifetimes. */
function differs(iface: Interface, option: NdpOptionHeader): bool {
  option.prefix(prefix);
  let record = iface.addresses;
  while (record !== null) {
    if (givesPrefix(record) && isOf(record, prefix, option.prefixLength)) {
      return option.validLifetime != VALID || option.preferredLifetime != PREFERRED;
    }
    record = record.next;
  }
  return false;
}
