import { v6Store } from "./address";
import { ICMPV6_HEADER } from "./icmpv6";
import { Extension, Ipv6Option } from "./ipv6";

/**
 * Multicast listener discovery, version 2 (RFC 3810, 5).
 *
 *     query:  ICMPv6 header with the maximum response code; group; flags, interval, number of sources, sources
 *     report: ICMPv6 header with the number of records; records: type, 0, number of sources, group, sources
 */

/** Bytes of a version 1 query, and of version 2's before its sources (5.1; 8.1). */
export const MLD_QUERY: u32 = 24;
export const MLD_QUERY_V2: u32 = 28;
/** Bytes of a report before its records, and of a record without sources. */
export const MLD_REPORT: u32 = ICMPV6_HEADER;
export const MLD_RECORD: u32 = 20;

/** Milliseconds in which to answer a query (5.1.3; of version 1 the field itself). */
export function mldResponseTime(at: usize, version2: bool): u32 {
  const code: u32 = bswap(load<u16>(at, 4));
  if (!version2 || code < 0x8000) return code;
  return ((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
}

/** The high and low half of a query's group, 0 for all. */
@inline export function mldGroupHi(at: usize): u64 {
  return bswap(load<u64>(at, 8));
}


@inline export function mldGroupLo(at: usize): u64 {
  return bswap(load<u64>(at, 16));
}

/** How many sources version 2's query says that it has, behind `MLD_QUERY_V2` bytes. */
@inline export function mldSources(at: usize): u32 {
  return bswap(load<u16>(at, 26));
}

/** Writes the group of a query, or of version 1's report or done, behind the ICMPv6 header. */
export function mldPutGroup(at: usize, hi: u64, lo: u64): void {
  v6Store(at + ICMPV6_HEADER, hi, lo);
}

/** Writes a record, but for its sources. */
export function mldPutRecord(at: usize, type: u32, sources: u32, hi: u64, lo: u64): void {
  store<u16>(at, <u16>type);
  store<u16>(at, bswap(<u16>sources), 2);
  v6Store(at + 4, hi, lo);
}

/** Bytes of the hop-by-hop header that every report has (5): router alert (RFC 2711, 2.1), padding. */
export const MLD_HOP_BY_HOP: u32 = 8;

/** Writes it. */
export function mldPutHopByHop(at: usize, next: u32): void {
  store<u32>(at, next | (Ipv6Option.RouterAlert << 16) | (2 << 24));
  store<u32>(at, Ipv6Option.PadN << 16, 4);
}

/** Its protocol number. */
export const MLD_EXTENSION: u32 = Extension.HopByHop;
