import { sum } from "./checksum";

/**
 * IGMP (RFC 3376, 4; RFC 2236, 2; RFC 1112, Appendix I).
 *
 *     query, versions 1 and 2, reports of these, leave: type, maximum response code, checksum, group
 *     query, version 3: the same; flags, interval, number of sources, sources
 *     report, version 3: type, 0, checksum, 0, number of records; records: type, 0, number of sources, group, sources
 */

export const enum IgmpType {
  Query = 0x11,
  ReportV1 = 0x12,
  ReportV2 = 0x16,
  Leave = 0x17,
  ReportV3 = 0x22,
}

/** Bytes of the older messages, and of version 3's query before its sources. */
export const IGMP_HEADER: u32 = 8;
export const IGMP_QUERY_V3: u32 = 12;
/** Bytes of a report before its records, and of a record without sources. */
export const IGMP_REPORT: u32 = 8;
export const IGMP_RECORD: u32 = 8;

/** Whether a message is whole and its checksum right. */
export function igmpValid(at: usize, length: u32): bool {
  return length >= IGMP_HEADER && sum(at, length, 0) == 0xffff;
}


@inline export function igmpType(at: usize): u32 {
  return load<u8>(at);
}

/** The group of a message, 0 for all. */
@inline export function igmpGroup(at: usize): u32 {
  return bswap(load<u32>(at, 4));
}

/** A query's maximum response code: 0 in version 1. */
@inline export function igmpResponseCode(at: usize): u32 {
  return load<u8>(at, 1);
}

/** How many sources version 3's query says that it has, behind `IGMP_QUERY_V3` bytes. */
@inline export function igmpSources(at: usize): u32 {
  return bswap(load<u16>(at, 10));
}

/** Milliseconds in which to answer version 3's query (RFC 3376, 4.1.1), or one of version 2. */
export function igmpResponseTime(code: u32, version3: bool): u32 {
  if (!version3 || code < 0x80) return code * 100;
  return (((code & 15) | 16) << (((code >>> 4) & 7) + 3)) * 100;
}

/** Writes a record, but for its sources. */
export function igmpPutRecord(at: usize, type: u32, sources: u32, group: u32): void {
  store<u16>(at, <u16>type);
  store<u16>(at, bswap(<u16>sources), 2);
  store<u32>(at, bswap(group), 4);
}

/** Writes the first eight bytes of a message whose other `length` - 8 are there, and its checksum. */
export function igmpBuild(at: usize, type: IgmpType, rest: u32, length: u32): void {
  store<u32>(at, type);
  store<u32>(at, bswap(rest), 4);
  store<u16>(at, sum(at, length, 0) ^ 0xffff, 2);
}
