import { parseDecimal, parseV6, textEquals, textFind } from "../../kernel/text";
import { IpAddress, isV6Multicast } from "../wire/address";
import { DNS_NAME_MAX, dnsFromText } from "../wire/dns";
import { IPV6_MTU_MIN } from "../wire/ipv6";
import { NDP_DNS_OPTION, NdpOption, RouterFlag, ndpEndNames, ndpPutAddress } from "../wire/ndp";

/** What the operator has a router advertise on a link (RFC 4861, 6.2.1): `advertise=` of the command line. */

/** MaxRtrAdvInterval, and its bounds; what AdvDefaultLifetime may be, seconds. */
const INTERVAL: u32 = 600;
const INTERVAL_LEAST: i32 = 4;
const INTERVAL_MOST: i32 = 1800;
const LIFETIME_MOST: i32 = 9000;
const MTU_MOST: i32 = 65535;
/** Servers, and bytes of domains, which have to fit into one advertisement beside the prefixes. */
const SERVERS_MOST: u32 = 8;
const DOMAINS_MOST: u32 = 256;
const COMMA: u32 = 0x2c;
const EQUALS: u32 = 0x3d;

const server = changetype<IpAddress>(memory.data(16, 8));
const name: usize = memory.data(255);
/** The word that `next` has found: the key's length, and its value. */
let key: usize = 0;
let keyLength: u32 = 0;
let value: usize = 0;
let valueLength: u32 = 0;

/** 32 bytes; the card's name is not part of it. */
@unmanaged
export class Offer {
  /** The words, where they stand in the command line: servers and domains are read there again. */
  private text: usize;
  private length: u32;
  /** MaxRtrAdvInterval, seconds; 0: nothing is advertised. */
  interval: u32;
  /** AdvDefaultLifetime, seconds. */
  lifetime: u32;
  /** AdvLinkMTU; 0: what the link carries. */
  mtu: u32;
  /** `RouterFlag` bits. */
  flags: u32;

  /** Takes over words apart by commas; false if one makes no sense. */
  read(text: usize, length: u32): bool {
    memory.fill(changetype<usize>(this), 0, offsetof<Offer>());
    let servers: u32 = 0;
    let domains: u32 = 0;
    let lifetime: i32 = -1;
    let interval: i32 = INTERVAL;
    for (let at: u32 = 0; at < length;) {
      at = next(text, length, at);
      if (is("managed")) this.flags |= RouterFlag.Managed;
      else if (is("other")) this.flags |= RouterFlag.Other;
      else if (is("preference")) {
        if (textEquals(value, valueLength, "high")) this.flags |= RouterFlag.High;
        else if (textEquals(value, valueLength, "low")) this.flags |= RouterFlag.Low;
        else if (!textEquals(value, valueLength, "medium")) return false;
      } else if (is("interval")) {
        interval = parseDecimal(value, valueLength, INTERVAL_MOST);
        if (interval < INTERVAL_LEAST) return false;
      } else if (is("lifetime")) {
        lifetime = parseDecimal(value, valueLength, LIFETIME_MOST);
        if (lifetime < 0) return false;
      } else if (is("mtu")) {
        const mtu = parseDecimal(value, valueLength, MTU_MOST);
        if (mtu < <i32>IPV6_MTU_MIN) return false;
        this.mtu = mtu;
      } else if (is("dns")) {
        if (++servers > SERVERS_MOST || !parseV6(value, valueLength, server)) return false;
        if (server.hi >> 56 == 0 || isV6Multicast(server.hi)) return false;
      } else if (is("search")) {
        const size = valueLength < DNS_NAME_MAX ? dnsFromText(value, valueLength, name) : 0;
        domains += size;
        if (size < 2 || domains > DOMAINS_MOST) return false;
      } else return false;
    }
    // Else hosts would lose the router between two advertisements.
    if (lifetime > 0 && lifetime < interval) return false;
    this.text = text;
    this.length = length;
    this.interval = interval;
    this.lifetime = lifetime < 0 ? min<i32>(3 * interval, LIFETIME_MOST) : lifetime;
    return true;
  }

  /** Writes the options of servers and of domains (RFC 8106, 5), if there are any; where they end. */
  put(at: usize): usize {
    return this.list("search", NdpOption.SearchList, this.list("dns", NdpOption.RecursiveDns, at));
  }

  private list(word: string, type: NdpOption, at: usize): usize {
    const first = at + NDP_DNS_OPTION;
    let end = first;
    for (let i: u32 = 0; i < this.length;) {
      i = next(this.text, this.length, i);
      if (!is(word)) continue;
      if (type == NdpOption.SearchList) end += dnsFromText(value, valueLength, end);
      else if (parseV6(value, valueLength, server)) end = ndpPutAddress(end, server);
    }
    // AdvRDNSSLifetime and AdvDNSSLLifetime.
    return end == first ? at : ndpEndNames(at, type, 3 * this.interval, end);
  }
}

/** Finds the word at `at`; where the next begins. */
function next(text: usize, length: u32, at: u32): u32 {
  const size = textFind(text + at, length - at, COMMA);
  key = text + at;
  keyLength = textFind(key, size, EQUALS);
  value = key + keyLength + 1;
  valueLength = keyLength < size ? size - keyLength - 1 : 0;
  return at + size + 1;
}


@inline function is(word: string): bool {
  return textEquals(key, keyLength, word);
}
