import { swap16 } from "./bytes";

/**
 * Ethernet II framing (IEEE 802.3-2018, 3.1; RFC 894; RFC 1042 for the type's meaning).
 *
 *      0                   6                  12     14
 *     ┌───────────────────┬───────────────────┬──────┬─────────
 *     │ destination       │ source            │ type │ payload
 *     └───────────────────┴───────────────────┴──────┴─────────
 *
 * A MAC address is held as a 48-bit number, most significant byte first.
 */

/** Bytes before the payload. */
export const ETHERNET_HEADER: u32 = 14;

/** Type field (IANA, "IEEE 802 Numbers"); a smaller value than `ETHER_TYPE_MIN` is an 802.3 length. */
export const enum EtherType {
  IPv4 = 0x0800,
  ARP = 0x0806,
  RARP = 0x8035,
  IPv6 = 0x86dd,
  /** A customer's VLAN tag follows (IEEE 802.1Q, 9.5, table 9-1), and a provider's. */
  CustomerTag = 0x8100,
  ServiceTag = 0x88a8,
}
export const ETHER_TYPE_MIN: u32 = 0x0600;

/**
 * Bytes of a VLAN tag, which stands between the addresses and the type: 0x8100 or 0x88a8, then priority (3 bits),
 * drop eligible (1) and VLAN identifier (12) (IEEE 802.1Q, 9.6).
 */
export const VLAN_TAG: u32 = 4;
export const VLAN_ID: u32 = 0xfff;
/** Priority alone, and a number that is kept back (9.6, table 9-2). */
export const VLAN_NONE: u32 = 0;
export const VLAN_LAST: u32 = 0xffe;

/** ff:ff:ff:ff:ff:ff. */
export const MAC_BROADCAST: u64 = 0xffff_ffff_ffff;

/** Reads the 48-bit address at `at`; the two bytes behind it must be readable. */
@inline export function loadMac(at: usize): u64 {
  return bswap(load<u64>(at)) >> 16;
}

/** Writes the 48-bit address `mac` at `at`. */
@inline export function storeMac(at: usize, mac: u64): void {
  store<u32>(at, bswap(<u32>(mac >> 16)));
  store<u16>(at, swap16(<u16>mac), 4);
}

/** The group bit (IEEE 802.3, 3.2.3): broadcast or multicast. */
@inline export function isGroupMac(mac: u64): bool {
  return ((mac >> 40) & 1) != 0;
}

/** Where frames for the IPv4 group `address` go: its low 23 bits behind 01:00:5e (RFC 1112, 6.4). */
@inline export function multicastMacV4(address: u32): u64 {
  return 0x0100_5e00_0000 | (address & 0x7f_ffff);
}

/** Where frames for an IPv6 group go: its low 32 bits behind 33:33 (RFC 2464, 7). */
@inline export function multicastMacV6(lo: u64): u64 {
  return 0x3333_0000_0000 | (lo & 0xffff_ffff);
}

/** Writes a header: `ETHERNET_HEADER` bytes at `at`. */
@inline export function ethernetBuild(at: usize, destination: u64, source: u64, type: u32): void {
  ethernetPut(at, ethernetWord0(destination, source), ethernetWord6(source, type));
}

/** A header's first eight bytes as they stand in memory, and the eight from the seventh on. */
@inline export function ethernetWord0(destination: u64, source: u64): u64 {
  return bswap((destination << 16) | (source >> 32));
}


@inline export function ethernetWord6(source: u64, type: u32): u64 {
  return bswap((source << 16) | type);
}

/** Writes a header of which both words are known. */
@inline export function ethernetPut(at: usize, word0: u64, word6: u64): void {
  store<u64>(at, word0);
  store<u64>(at, word6, 6);
}

/** The header over bytes of which at least `ETHERNET_HEADER` are there. */
@unmanaged
export class EthernetHeader {

  @inline get destination(): u64 {
    return loadMac(changetype<usize>(this));
  }


  @inline get source(): u64 {
    return loadMac(changetype<usize>(this) + 6);
  }


  @inline get type(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 12));
  }
}
