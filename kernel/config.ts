import { virtioMmioClear, virtioMmioNamed } from "../drivers/virtio/bus";
import { anchorNamed, anchorsClear, negativeNamed } from "../net/dns/secure/anchors";
import {
  configuredClear,
  linkNamed,
  offerNamed,
  offersGiven,
  routeNamed,
  ruleNamed,
} from "../net/configured";
import { poolNamed, poolsClear } from "../net/dhcp/pool";
import {
  VirtualKind,
  linkNumber,
  virtualAt,
  virtualCount,
  virtualNumbered,
} from "../net/virtual/given";
import { CongestionId, congestionNamed } from "../net/tcp/congestion/controls";
import {
  IpAddress,
  V4_BROADCAST,
  commonPrefix,
  isV4Loopback,
  isV4Multicast,
  isV6LinkLocal,
  isV6Multicast,
  v4Mask,
} from "../net/wire/address";
import { DHCPD, DNSSEC, POLICY, RARP } from "./features";
import { Level, setLogLevel, warn } from "./log";
import { parseDecimal, parseV4, parseV6, textEquals, textFind } from "./text";

/**
 * What the operator asked for on the kernel's command line: words `key=value`, apart by blanks.
 *
 *     ip=10.0.0.2/24 gw=10.0.0.1 dns=1.1.1.1,8.8.8.8 hostname=web loglevel=debug ecn=on
 *     ip=dhcp fallback=10.0.0.2/24 gw=10.0.0.1 congestion=bbr
 *     virtio_mmio.device=512@0xfeb00e00:12
 *     ip6=2001:db8::2/64 gw6=fe80::1 search=lab.example,example ndots=1
 *     dhcpd=eth1,10.1.0.100-10.1.0.200,lease=3600,router=10.1.0.1,52:54:00:12:34:56=10.1.0.5
 *     eth1=10.1.0.1/24,2001:db8:1::1/64 route=10.2.0.0/16,10.1.0.254 forward=on
 *     rule=from=10.1.0.0/16,table=100 route=0.0.0.0/0,10.3.0.1,table=100
 *     redirects=off advertise=eth1,dns=2001:db8:1::1
 *     eth0.5=10.5.0.1/24 br0=ports=eth1+eth2,10.6.0.1/24 gre1=remote=192.0.2.1,10.9.0.1,peer=10.9.0.2
 *
 * A word that makes no sense is named on the console and the rest is used: a machine that is
 * half configured can be reached and mended, one that stops cannot.
 */

/** How the machine comes by its address. */
export const enum AddressMode {
  Dhcp = 0,
  Static = 1,
  /** By RARP, and if nobody answers by DHCP. */
  Rarp = 2,
}

/** The same of IPv6. */
export const enum AddressMode6 {
  /** As routers say (RFC 4862). */
  Auto = 0,
  Static = 1,
  /** No IPv6 but on the loopback. */
  Off = 2,
  /** As a DHCPv6 server says, without waiting for a router to say that there is one. */
  Dhcp = 3,
}

/** What a connection asks for when it is opened by us, and grants when by the peer. */
export const enum EcnMode {
  /** Neither. */
  Off = 0,
  /** Grants what it is asked for, and asks for nothing: no path can lose a SYN for its flags. */
  Passive = 1,
  /** Asks for classic feedback. */
  On = 2,
  /** Asks for accurate feedback and takes classic. */
  Accurate = 3,
}

/** DNS servers that are kept. */
export const DNS_MAX: u32 = 3;

/** Domains in the search list. */
const SEARCH_MAX: u32 = 6;
/** Bytes of a domain as text, without a dot at its end (RFC 1035, 2.3.4). */
const DOMAIN_MAX: u32 = 253;
const NDOTS_MAX: i32 = 15;
/** Of the word `routes`. */
const ROUTES_MAX: i32 = 1_000_000;

/** Whether answers are validated. */
export const enum DnssecMode {
  Off = 0,
  /** What is bogus is no answer. */
  On = 1,
  /** Nor is what nobody has signed. */
  Strict = 2,
}

/** Bytes of a host name: one DNS label (RFC 1035, 2.3.4). */
export const HOSTNAME_MAX: u32 = 63;

/** Bytes of command line that are read. */
const COMMAND_LINE_MAX: u32 = 4096;


@unmanaged
export class Config {
  private addressHi: u64;
  private addressLo: u64;
  private gatewayHi: u64;
  private gatewayLo: u64;
  private dns0Hi: u64;
  private dns0Lo: u64;
  private dns1Hi: u64;
  private dns1Lo: u64;
  private dns2Hi: u64;
  private dns2Lo: u64;
  private address6Hi: u64;
  private address6Lo: u64;
  private gateway6Hi: u64;
  private gateway6Lo: u64;
  /** `AddressMode`. */
  mode: u32;
  /** Bits of the network part of `address`, 1 to 32; 0 without one. */
  prefix: u32;
  /** DNS servers given, at most `DNS_MAX`. */
  dnsCount: u32;
  /** The host name: ASCII, not terminated. */
  hostname: usize;
  hostnameLength: u32;
  /** `CongestionId`: what a connection has unless its program chooses. */
  congestion: u32;
  /** `EcnMode` of connections; passive unless told, as Linux has it. */
  ecn: u32;
  /** An RTL8139 that has the C+ mode runs in the classic one all the same. */
  rtl8139Classic: bool;
  /** `AddressMode6`, and bits of the network part of `address6`, 1 to 128. */
  mode6: u32;
  prefix6: u32;
  /** What is not for this machine goes on to where it belongs: it is a router. */
  forwarding: bool;
  /** So does what is for another station of the link: a bridge has its cards. */
  bridging: bool;
  /** Routers may say that another is nearer, and we say so as one. */
  redirects: bool;
  /** Most routes that the table is to hold; 0: as befits the machine. */
  routes: u32;
  /** `hostname=` was given; and names of the link are asked for and answered to (net/mdns/). */
  named: bool;
  mdns: bool;
  /** Dots that a name must have to be looked for as it is before the search list is tried. */
  ndots: u32;
  /** `DnssecMode`. */
  dnssec: u32;
  /** Names are asked for from the root servers on, or those at `hint`. */
  iterative: bool;
  hintCount: u32;
  /** Domains of the search list, at most `SEARCH_MAX`: where they are, and how long. */
  searchCount: u32;
  private search0: u32;
  private search1: u32;
  private search2: u32;
  private search3: u32;
  private search4: u32;
  private search5: u32;
  private searchLengths: u64;

  /** The static address, or under DHCP what to use while no server answers; `isAny` without one. */
  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Config>("addressHi"));
  }

  /** The router of `address`; `isAny` without one. */
  @inline get gateway(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Config>("gatewayHi"));
  }

  /** The static IPv6 address, and its router; unspecified without one. */
  @inline get address6(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Config>("address6Hi"));
  }


  @inline get gateway6(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Config>("gateway6Hi"));
  }

  /** Domain `index` of the search list, ASCII, and its length. */
  @inline searchAt(index: u32): usize {
    return load<u32>(changetype<usize>(this) + (index << 2), offsetof<Config>("search0"));
  }


  @inline searchLength(index: u32): u32 {
    return load<u8>(changetype<usize>(this) + index, offsetof<Config>("searchLengths"));
  }

  setSearch(index: u32, at: usize, length: u32): void {
    store<u32>(changetype<usize>(this) + (index << 2), <u32>at, offsetof<Config>("search0"));
    store<u8>(changetype<usize>(this) + index, <u8>length, offsetof<Config>("searchLengths"));
  }

  /** Root server `index`, below `hintCount`, in place of those that are built in. */
  @inline hint(index: u32): IpAddress {
    return changetype<IpAddress>(hints + ((<usize>index) << 4));
  }

  /** DNS server `index`, below `dnsCount`. */
  @inline dns(index: u32): IpAddress {
    return changetype<IpAddress>(
      changetype<usize>(this) + offsetof<Config>("dns0Hi") + ((<usize>index) << 4),
    );
  }
}

/** In force from the end of `configParse`. */
export const config = changetype<Config>(memory.data(offsetof<Config>(), 8));

const hostname: usize = memory.data(63);


@inline function isBlank(byte: u32): bool {
  return byte == 0x20 || byte - 9 < 5 || byte == 0;
}

/** Sets the defaults (DHCP, host name `skerry`, CUBIC), then what the command line says. Of a key given twice the last counts, but each device counts. */
export function configParse(text: usize, length: u32): void {
  memory.fill(changetype<usize>(config), 0, offsetof<Config>());
  config.mode = AddressMode.Dhcp;
  config.congestion = CongestionId.Cubic;
  config.hostname = hostname;
  config.ecn = EcnMode.Passive;
  config.ndots = 1;
  config.redirects = true;
  config.mdns = true;
  setHostnameText("skerry");
  virtioMmioClear();
  configuredClear();
  if (DNSSEC) anchorsClear();
  if (DHCPD) poolsClear();
  if (length > COMMAND_LINE_MAX) {
    warn("config")
      .text("command line cut")
      .key("bytes")
      .number(length)
      .key("kept")
      .number(COMMAND_LINE_MAX)
      .end();
    length = COMMAND_LINE_MAX;
  }
  for (let at: u32 = 0; at < length;) {
    if (isBlank(load<u8>(text + at))) {
      at++;
      continue;
    }
    const start = at;
    while (at < length && !isBlank(load<u8>(text + at))) at++;
    parseWord(text + start, at - start);
  }
  checkGateways();
  checkLinks();
}

function parseWord(word: usize, length: u32): void {
  const keyLength = textFind(word, length, 0x3d);
  if (keyLength == length) {
    warn("config").text("ignored, not key=value").key("word").bytes(word, length).end();
    return;
  }
  const value = word + keyLength + 1;
  const valueLength = length - keyLength - 1;
  let expected: string;
  if (textEquals(word, keyLength, "ip")) {
    if (setAddress(value, valueLength)) return;
    expected = RARP
      ? "dhcp, rarp or a host's IPv4 address with prefix length, as in 10.0.0.2/24"
      : "dhcp or a host's IPv4 address with prefix length, as in 10.0.0.2/24; for rarp write it into skerry.toml";
  } else if (textEquals(word, keyLength, "fallback")) {
    if (setFallback(value, valueLength)) return;
    expected = "a host's IPv4 address with prefix length, as in 10.0.0.2/24, beside ip=dhcp";
  } else if (textEquals(word, keyLength, "gw")) {
    if (setGateway(value, valueLength)) return;
    expected = "a host's IPv4 address";
  } else if (textEquals(word, keyLength, "ip6")) {
    if (setAddress6(value, valueLength)) return;
    expected = "auto, dhcp, off or a host's IPv6 address with prefix length, as in 2001:db8::2/64";
  } else if (textEquals(word, keyLength, "gw6")) {
    if (parseV6(value, valueLength, parsed6) && isHost6(parsed6)) {
      config.gateway6.copy(parsed6);
      return;
    }
    expected = "a router's IPv6 address, as in fe80::1";
  } else if (textEquals(word, keyLength, "dns")) {
    if (setDns(value, valueLength)) return;
    expected = "1 to 3 IPv4 or IPv6 addresses apart by commas";
  } else if (DNSSEC && textEquals(word, keyLength, "hints")) {
    if (setHints(value, valueLength)) return;
    expected = "root servers: 1 to 13 IPv4 or IPv6 addresses apart by commas";
  } else if (textEquals(word, keyLength, "search")) {
    if (setSearch(value, valueLength)) return;
    expected = "1 to 6 domains apart by commas";
  } else if (textEquals(word, keyLength, "ndots")) {
    const dots = parseDecimal(value, valueLength, NDOTS_MAX);
    if (dots >= 0) {
      config.ndots = dots;
      return;
    }
    expected = "a number from 0 to 15";
  } else if (textEquals(word, keyLength, "dnssec")) {
    if (setDnssec(value, valueLength)) return;
    expected = DNSSEC ? "off, on or strict" : "off: this image was built without DNSSEC";
  } else if (DNSSEC && textEquals(word, keyLength, "anchor")) {
    if (anchorNamed(value, valueLength)) return;
    expected = "a zone and its DS record, as in example,12345,13,2,0123…, and at most 8";
  } else if (DNSSEC && textEquals(word, keyLength, "insecure")) {
    if (negativeNamed(value, valueLength)) return;
    expected = "a domain, and at most 8";
  } else if (textEquals(word, keyLength, "hostname")) {
    if (setHostname(value, valueLength)) return;
    expected = "1 to 63 letters, digits or hyphens, no hyphen at an end";
  } else if (textEquals(word, keyLength, "mdns")) {
    config.mdns = !textEquals(value, valueLength, "off");
    if (!config.mdns || textEquals(value, valueLength, "on")) return;
    expected = "on or off";
  } else if (textEquals(word, keyLength, "loglevel")) {
    if (setLevel(value, valueLength)) return;
    expected = "error, warn, info or debug";
  } else if (textEquals(word, keyLength, "congestion")) {
    const id = congestionNamed(value, valueLength);
    if (id >= 0) {
      config.congestion = id;
      return;
    }
    expected = "cubic, reno, vegas or bbr";
  } else if (textEquals(word, keyLength, "console")) {
    if (isConsole(value, valueLength)) return;
    expected = "serial, screen or both";
  } else if (textEquals(word, keyLength, "ecn")) {
    if (setEcn(value, valueLength)) return;
    expected = "off, passive, on or accurate";
  } else if (textEquals(word, keyLength, "rtl8139")) {
    if (setRtl8139(value, valueLength)) return;
    expected = "auto (C+ where the chip has it) or classic";
  } else if (linkNumber(word, keyLength) >= 0) {
    if (linkNamed(linkNumber(word, keyLength), value, valueLength)) return;
    expected = expectedOf(linkNumber(word, keyLength));
  } else if (textEquals(word, keyLength, "dhcpd")) {
    if (DHCPD && poolNamed(value, valueLength)) return;
    expected = !DHCPD
      ? "nothing: this image has no DHCP server, write [[network.dhcp-server]] into its skerry.toml"
      : "a card and its range, as in eth1,10.1.0.100-10.1.0.200, then lease=3600, router=, dns=, ntp=, domain= or MAC=address; at most 8 of them with 4096 addresses";
  } else if (textEquals(word, keyLength, "route")) {
    if (routeNamed(value, valueLength)) return;
    expected = POLICY
      ? "a prefix and its router or link, as in 10.2.0.0/16,10.1.0.254 or ::/0,fe80::1%eth1, perhaps ,metric ,table=100 ,src=10.1.0.2; at most 64"
      : "a prefix and its router or link, as in 10.2.0.0/16,10.1.0.254 or ::/0,fe80::1%eth1, and perhaps ,metric; at most 64 (for table= write skerry.toml)";
  } else if (textEquals(word, keyLength, "rule")) {
    if (POLICY && ruleNamed(value, valueLength)) return;
    expected = POLICY
      ? "any of from= to= iif= mark=7/0xff priority= suppress=, and table=100, blackhole, unreachable or prohibit; at most 64"
      : "nothing: this image has no rules of routing, write [[network.rules]] into its skerry.toml";
  } else if (textEquals(word, keyLength, "advertise")) {
    if (offerNamed(value, valueLength)) return;
    expected =
      "a card, as in eth1, and perhaps ,preference=high|medium|low ,lifetime=0 to 9000 not below ,interval=4 to 1800 ,mtu= ,managed ,other ,dns=an IPv6 address ,search=a domain";
  } else if (textEquals(word, keyLength, "routes")) {
    const most = parseDecimal(value, valueLength, ROUTES_MAX);
    if (most > 0) {
      config.routes = most;
      return;
    }
    expected = "a number from 1 to 1,000,000";
  } else if (textEquals(word, keyLength, "forward")) {
    config.forwarding = textEquals(value, valueLength, "on");
    if (config.forwarding || textEquals(value, valueLength, "off")) return;
    expected = "on or off";
  } else if (textEquals(word, keyLength, "redirects")) {
    config.redirects = textEquals(value, valueLength, "on");
    if (config.redirects || textEquals(value, valueLength, "off")) return;
    config.redirects = true;
    expected = "on or off";
  } else if (textEquals(word, keyLength, "virtio_mmio.device")) {
    if (virtioMmioNamed(value, valueLength)) return;
    expected = "bytes@address:line, as in 512@0xfeb00e00:12, and at most 32 of them";
  } else {
    warn("config")
      .text("ignored, unknown key")
      .key("key")
      .bytes(word, keyLength)
      .key("value")
      .bytes(value, valueLength)
      .end();
    return;
  }
  warn("config")
    .text("ignored, bad value; expected ")
    .text(expected)
    .key("key")
    .bytes(word, keyLength)
    .key("value")
    .bytes(value, valueLength)
    .end();
}

/** What may be said of a link. */
function expectedOf(number: u32): string {
  const link = virtualNumbered(number);
  if (link === null) {
    return "addresses of the card and its MTU, as in 10.1.0.1/24,2001:db8:1::1/64,mtu=1400 or 10.0.0.1,peer=10.0.0.2";
  }
  if (link.kind == VirtualKind.Vlan) {
    return "addresses of the VLAN, mtu=, and proto=802.1ad for a provider's, as in 10.5.0.1/24";
  }
  if (link.kind == VirtualKind.Bridge) {
    return "ports of no other bridge, addresses and mtu=, as in ports=eth1+eth2,10.0.0.1/24";
  }
  if (link.limit && link.remote.isV4) {
    return "ends of IPv6, whose headers alone have a limit, as in remote=2001:db8::9,encaplimit=4";
  }
  if (link.kind == VirtualKind.Gre) {
    return "both ends of one family, and what GRE has, as in local=192.0.2.1,remote=192.0.2.9,key=7,seq,csum,ttl=64,10.9.0.1/30; local may be left out";
  }
  return "both ends of one family, as in local=192.0.2.1,remote=192.0.2.9,ttl=64,10.9.0.1/30; local may be left out";
}

/** Links that were named by others only. */
function checkLinks(): void {
  for (let i: u32 = 0; i < virtualCount(); i++) {
    const link = virtualAt(i);
    if (link.given && link.kind == VirtualKind.Bridge) config.bridging = true;
    if (link.given) continue;
    warn("config")
      .text("there is no such link: say what it is, as in ")
      .bytes(link.name, link.nameLength)
      .text(link.isTunnel ? "=remote=192.0.2.1" : "=10.5.0.1/24")
      .key("key")
      .bytes(link.name, link.nameLength)
      .end();
  }
}

/** Not what a host may be called by: RFC 1122, 3.2.1.3. */
function isHost(address: u32): bool {
  return (
    address >>> 24 != 0 &&
    !isV4Loopback(address) &&
    !isV4Multicast(address) &&
    address < 0xf000_0000 &&
    address != V4_BROADCAST
  );
}

function setAddress(value: usize, length: u32): bool {
  const rarp = RARP && textEquals(value, length, "rarp");
  if (rarp || textEquals(value, length, "dhcp")) {
    if (config.mode == AddressMode.Static) {
      config.address.set(0, 0);
      config.prefix = 0;
    }
    config.mode = rarp ? AddressMode.Rarp : AddressMode.Dhcp;
    return true;
  }
  if (!setHost(value, length)) return false;
  config.mode = AddressMode.Static;
  return true;
}

/** For when DHCP gives nothing: a machine with a static address needs none. */
function setFallback(value: usize, length: u32): bool {
  return config.mode != AddressMode.Static && setHost(value, length);
}

/** Takes over an address with its prefix length. */
function setHost(value: usize, length: u32): bool {
  const slash = textFind(value, length, 0x2f);
  if (slash == length) return false;
  const parsed = parseV4(value, slash);
  const prefix = parseDecimal(value + slash + 1, length - slash - 1, 32);
  if (parsed < 0 || prefix < 1) return false;
  const address = <u32>parsed;
  if (!isHost(address)) return false;
  // The ends of a subnet name it and its broadcast, but for links of two and one (RFC 3021).
  const host = address & ~v4Mask(prefix);
  if (prefix < 31 && (host == 0 || host == ~v4Mask(prefix))) return false;
  config.address.setV4(address);
  config.prefix = prefix;
  return true;
}

function setGateway(value: usize, length: u32): bool {
  const parsed = parseV4(value, length);
  if (parsed < 0 || !isHost(<u32>parsed)) return false;
  config.gateway.setV4(<u32>parsed);
  return true;
}

const parsed6 = changetype<IpAddress>(memory.data(16, 8));

/** What a host may be called by: not of ::/8, no group (RFC 4291, 2.4). */
function isHost6(address: IpAddress): bool {
  return address.hi >> 56 != 0 && !isV6Multicast(address.hi);
}

function setAddress6(value: usize, length: u32): bool {
  if (textEquals(value, length, "auto")) config.mode6 = AddressMode6.Auto;
  else if (textEquals(value, length, "off")) config.mode6 = AddressMode6.Off;
  else if (textEquals(value, length, "dhcp")) config.mode6 = AddressMode6.Dhcp;
  else {
    const slash = textFind(value, length, 0x2f);
    if (slash == length) return false;
    const prefix = parseDecimal(value + slash + 1, length - slash - 1, 128);
    // A link-local address is made without being asked for.
    if (prefix < 1 || !parseV6(value, slash, parsed6) || !isHost6(parsed6)) return false;
    if (isV6LinkLocal(parsed6.hi)) return false;
    config.address6.copy(parsed6);
    config.prefix6 = prefix;
    config.mode6 = AddressMode6.Static;
  }
  return true;
}

/** Routers that can never be resolved: say so now, not when nothing answers. */
function checkGateways(): void {
  if (offersGiven && !config.forwarding) {
    warn("config").text("nothing is advertised, advertise needs forward=on").end();
  }
  checkGateway();
  if (config.gateway6.isAny || isReachable6()) return;
  warn("config")
    .text("ignored, gw6 needs a static ip6 and must be on its link")
    .key("key")
    .text("gw6")
    .key("value")
    .ip(config.gateway6)
    .end();
  config.gateway6.set(0, 0);
}

function isReachable6(): bool {
  if (config.mode6 != AddressMode6.Static) return false;
  const router = config.gateway6;
  const own = config.address6;
  if (isV6LinkLocal(router.hi)) return true;
  return commonPrefix(router.hi, router.lo, own.hi, own.lo) >= config.prefix6;
}

/** It must be on the subnet of the address. */
function checkGateway(): void {
  if (config.gateway.isAny) return;
  if (config.address.isAny) {
    warn("config")
      .text("ignored, gw needs a static ip or a fallback")
      .key("key")
      .text("gw")
      .key("value")
      .ipv4(config.gateway.v4)
      .end();
    config.gateway.set(0, 0);
  } else if ((config.gateway.v4 ^ config.address.v4) & v4Mask(config.prefix)) {
    warn("config")
      .text("ignored, not on the subnet of ")
      .ipv4(config.address.v4)
      .text("/")
      .number(config.prefix)
      .key("key")
      .text("gw")
      .key("value")
      .ipv4(config.gateway.v4)
      .end();
    config.gateway.set(0, 0);
  }
}

function setDnssec(value: usize, length: u32): bool {
  if (textEquals(value, length, "off")) config.dnssec = DnssecMode.Off;
  else if (!DNSSEC) return false;
  else if (textEquals(value, length, "on")) config.dnssec = DnssecMode.On;
  else if (textEquals(value, length, "strict")) config.dnssec = DnssecMode.Strict;
  else return false;
  return true;
}

const hints: usize = memory.data(13 * 16, 8);
const HINTS_MAX: u32 = 13;

function setHints(value: usize, length: u32): bool {
  let count: u32 = 0;
  for (let at: u32 = 0; at <= length; count++) {
    const part = textFind(value + at, length - at, 0x2c);
    if (count == HINTS_MAX || !parseServer(value + at, part)) return false;
    config.hint(count).copy(parsed6);
    at += part + 1;
  }
  config.hintCount = count;
  return true;
}

function setDns(value: usize, length: u32): bool {
  if (DNSSEC && textEquals(value, length, "iterative")) {
    config.iterative = true;
    return true;
  }
  let count: u32 = 0;
  for (let at: u32 = 0; at <= length; count++) {
    const part = textFind(value + at, length - at, 0x2c);
    if (count == DNS_MAX || !parseServer(value + at, part)) return false;
    at += part + 1;
  }
  for (let at: u32 = 0, i: u32 = 0; i < count; i++) {
    const part = textFind(value + at, length - at, 0x2c);
    parseServer(value + at, part);
    config.dns(i).copy(parsed6);
    at += part + 1;
  }
  config.dnsCount = count;
  config.iterative = false;
  return true;
}

/** Reads an address that can be a server's, of either family, into `parsed6`. */
function parseServer(at: usize, length: u32): bool {
  const v4 = parseV4(at, length);
  if (v4 < 0) return parseV6(at, length, parsed6) && isHost6(parsed6);
  parsed6.setV4(<u32>v4);
  return v4 > 0;
}

/** Domains stay where they are in the command line. */
function setSearch(value: usize, length: u32): bool {
  let count: u32 = 0;
  for (let at: u32 = 0; at <= length; count++) {
    const part = textFind(value + at, length - at, 0x2c);
    if (count == SEARCH_MAX || !part || part > DOMAIN_MAX) return false;
    at += part + 1;
  }
  for (let at: u32 = 0, i: u32 = 0; i < count; i++) {
    const part = textFind(value + at, length - at, 0x2c);
    config.setSearch(i, value + at, part);
    at += part + 1;
  }
  config.searchCount = count;
  return true;
}

/** RFC 1123, 2.1. */
function setHostname(value: usize, length: u32): bool {
  if (length == 0 || length > HOSTNAME_MAX) return false;
  for (let i: u32 = 0; i < length; i++) {
    const byte = <u32>load<u8>(value + i);
    const lower = byte | 0x20;
    const letterOrDigit = lower - 0x61 < 26 || byte - 0x30 < 10;
    if (!letterOrDigit && (byte != 0x2d || i == 0 || i == length - 1)) return false;
  }
  memory.copy(hostname, value, length);
  config.named = true;
  config.hostnameLength = length;
  return true;
}

function setHostnameText(text: string): void {
  config.hostnameLength = text.length;
  for (let i = 0; i < text.length; i++) store<u8>(hostname + i, <u8>text.charCodeAt(i));
}

function setLevel(value: usize, length: u32): bool {
  if (textEquals(value, length, "error")) setLogLevel(Level.Error);
  else if (textEquals(value, length, "warn")) setLogLevel(Level.Warn);
  else if (textEquals(value, length, "info")) setLogLevel(Level.Info);
  else if (textEquals(value, length, "debug")) setLogLevel(Level.Debug);
  else return false;
  return true;
}

/** For the shim, which reads it by itself: the console is older than the kernel. */
function isConsole(value: usize, length: u32): bool {
  return (
    textEquals(value, length, "serial") ||
    textEquals(value, length, "screen") ||
    textEquals(value, length, "both")
  );
}

function setEcn(value: usize, length: u32): bool {
  if (textEquals(value, length, "off")) config.ecn = EcnMode.Off;
  else if (textEquals(value, length, "passive")) config.ecn = EcnMode.Passive;
  else if (textEquals(value, length, "on")) config.ecn = EcnMode.On;
  else if (textEquals(value, length, "accurate")) config.ecn = EcnMode.Accurate;
  else return false;
  return true;
}

function setRtl8139(value: usize, length: u32): bool {
  if (textEquals(value, length, "auto")) config.rtl8139Classic = false;
  else if (textEquals(value, length, "classic")) config.rtl8139Classic = true;
  else return false;
  return true;
}
