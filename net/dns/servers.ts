import { now } from "../../kernel/clock";
import { config } from "../../kernel/config";
import { random32 } from "../../kernel/random";
import { SECOND } from "../../kernel/timer";
import { INTERFACE_DNS_MAX, Interface, interfaceAt, interfaceCount } from "../interface";
import { dhcpv6Dns } from "../dhcpv6/client";
import { SERVERS, serverAt } from "../ndp/link";
import { IpAddress } from "../wire/address";
import { DHCPV6_DNS_MAX } from "../wire/dhcpv6";

/**
 * The servers that are asked: those of the command line if it names any, else those that DHCP servers and
 * routers told of. What each was found to be like is remembered as long as it is one of them.
 */

/** 32 bytes. */
@unmanaged
export class Server {
  private hi: u64;
  private lo: u64;
  /** Not asked first before then. */
  private failedUntil: u64;
  /** Times in a row that it did not answer. */
  private silent: u8;
  /** It does not bear EDNS (RFC 6891, 7). */
  plain: bool;
  /** It does not give letters back as they were sent, and has no TCP to make up for it. */
  blind: bool;
  private listed: bool;
  /** Smoothed round trip, µs; 0 while it is not known. */
  private time: u32;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }

  /** How long it can be expected to take, µs, for one who chooses among servers. */
  @inline get expected(): u32 {
    return this.time + (this.failing ? TIME_MOST : 0);
  }

  /** How long to wait for it, ns. */
  get patience(): u64 {
    if (!this.time) return SECOND;
    return <u64>min<u32>(max<u32>(this.time << 2, 300_000), 2_000_000) * 1000;
  }

  /** It has answered after `ns` (RFC 1034, 5.3.3: servers by how soon they answer). */
  heard(ns: u64): void {
    const time = <u32>min<u64>(ns / 1000 + 1, TIME_MOST);
    this.time = this.time ? (this.time * 7 + time) >> 3 : time;
  }

  /** Another was chosen: it seems nearer each time, until it is tried again. */
  age(): void {
    this.time -= this.time >> 6;
  }

  /** It has answered, whatever it said. */
  @inline answered(): void {
    this.silent = 0;
    this.failedUntil = 0;
  }

  /** It has not: one lost packet proves nothing, two in a row are a reason to begin with others. */
  timedOut(): void {
    this.time = min<u32>(max<u32>(this.time, 200_000) << 1, TIME_MOST);
    if (this.silent < SILENT_MAX) this.silent++;
    if (this.silent == SILENT_MAX) this.failedUntil = now() + RETRY_AFTER;
  }

  /** Nothing listens there. */
  absent(): void {
    this.silent = <u8>SILENT_MAX;
    this.timedOut();
  }


  @inline get failing(): bool {
    return this.failedUntil > now();
  }
}

/** Servers in all. */
export const SERVERS_MAX: u32 = 8;
const SILENT_MAX: u32 = 2;
const RETRY_AFTER: u64 = 30 * SECOND;
/** 10 s, in µs. */
const TIME_MOST: u32 = 10_000_000;
/** Places in all: behind those that are listed, servers of zones, by their address. */
const PLACES: u32 = 256;
const PROBES: u32 = 8;

const table: usize = memory.data(256 * 32, 8);
/** The places in the table of those to be asked, in turn. */
const order: usize = memory.data(8);
let count: u32 = 0;


@inline function serverOf(place: u32): Server {
  return changetype<Server>(table + ((<usize>place) << 5));
}

/** Looks who is there to be asked now: how many. Cost: a few comparisons for each. */
export function serversList(): u32 {
  count = 0;
  for (let i: u32 = 0; i < SERVERS_MAX; i++) serverOf(i).listed = false;
  if (config.dnsCount) {
    for (let i: u32 = 0; i < config.dnsCount; i++) list(config.dns(i));
    return count;
  }
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const iface = interfaceAt(i);
    if (!iface.up) continue;
    for (let j: u32 = 0; j < min<u32>(iface.dnsCount, INTERFACE_DNS_MAX); j++) list(iface.dns(j));
    // Those of DHCP come before those of routers (RFC 8106, 5.3.1).
    for (let j: u32 = 0; j < DHCPV6_DNS_MAX; j++) {
      const server = dhcpv6Dns(iface, j);
      if (server !== null) list(server);
    }
    listRouters(iface);
  }
  return count;
}

function listRouters(iface: Interface): void {
  for (let i: u32 = 0; i < SERVERS; i++) {
    const address = serverAt(iface, i);
    if (address !== null) list(address);
  }
}

function list(address: IpAddress): void {
  let free = SERVERS_MAX;
  let place: u32 = 0;
  for (; place < SERVERS_MAX; place++) {
    const server = serverOf(place);
    if (server.address.equals(address)) break;
    // A place that is in nobody's use now, an empty one rather than a remembered one.
    if (!server.listed && (free == SERVERS_MAX || server.address.isAny)) free = place;
  }
  if (place == SERVERS_MAX) {
    if (free == SERVERS_MAX) return;
    place = free;
    memory.fill(changetype<usize>(serverOf(place)), 0, offsetof<Server>());
    serverOf(place).address.copy(address);
  }
  if (serverOf(place).listed) return;
  serverOf(place).listed = true;
  store<u8>(order + count++, <u8>place);
}

/** Place in the table of the server to begin with, after `serversList`, which found some. */
export function serverFirst(): u32 {
  for (let i: u32 = 0; i < count; i++) {
    const place = <u32>load<u8>(order + i);
    if (!serverOf(place).failing) return place;
  }
  return load<u8>(order);
}

/** The one to ask after that at `place`: the next that is not known to be silent, or simply the next. */
export function serverAfter(place: u32): u32 {
  let at: u32 = 0;
  while (at < count && load<u8>(order + at) != <u8>place) at++;
  for (let i: u32 = 1; i <= count; i++) {
    const next = <u32>load<u8>(order + ((at + i) % count));
    if (!serverOf(next).failing) return next;
  }
  return load<u8>(order + ((at + 1) % count));
}

/** The server at a place. It may not be one of those listed any more. */
@inline export function serverAtPlace(place: u32): Server {
  return serverOf(place);
}

/** The place of a zone's server: what is known of others may be forgotten for it. Cost: a few comparisons. */
export function infraPlace(address: IpAddress): u32 {
  const mixed = (address.hi ^ address.lo ^ (address.lo >> 17)) * 0x9e37_79b9_7f4a_7c15;
  const start = <u32>(mixed >> 40);
  let free: u32 = 0;
  for (let i: u32 = 0; i < PROBES; i++) {
    const place = SERVERS_MAX + ((start + i) % (PLACES - SERVERS_MAX));
    const server = serverOf(place);
    if (server.address.equals(address)) return place;
    if (!free && server.address.isAny) free = place;
  }
  if (!free) free = SERVERS_MAX + ((start + (random32() & (PROBES - 1))) % (PLACES - SERVERS_MAX));
  memory.fill(changetype<usize>(serverOf(free)), 0, offsetof<Server>());
  serverOf(free).address.copy(address);
  return free;
}
