import { SOURCES } from "../../kernel/features";
import { HEADROOM, Packet, PoolId, Purpose, allocate } from "../../kernel/packet";
import { igmpPut, igmpSend } from "../igmp/igmp";
import { Interface } from "../interface";
import { mldPut, mldSend } from "../mld/mld";
import { v6Store } from "../wire/address";
import { IGMP_RECORD, IGMP_REPORT } from "../wire/igmp";
import { IPV4_ALERT_HEADER } from "../wire/ipv4";
import { IPV6_HEADER } from "../wire/ipv6";
import { MLD_HOP_BY_HOP, MLD_RECORD, MLD_REPORT } from "../wire/mld";
import { Group } from "./groups";
import { Source } from "./sources";

/**
 * Reports of what an interface listens to: records of groups and sources, as many to a message as the link carries
 * (RFC 3376, 4.2; RFC 3810, 5.2). One report is written at a time.
 */

/** Type of a record (RFC 3376, 4.2.12; RFC 3810, 5.2.12). */
export const enum GroupRecord {
  /** Listens to these sources, or to all others: asked for. */
  IsInclude = 1,
  IsExclude = 2,
  /** Listens from now on to these sources alone, or to all others. */
  ToInclude = 3,
  ToExclude = 4,
  /** Listens to these sources now, or no longer. */
  Allow = 5,
  Block = 6,
}

/** Bytes of a report at most: what fits a frame, and so a slot of `PoolId.Standard`. */
const MOST: u32 = 1500;

let iface = changetype<Interface>(0);
let v4: bool = false;
let packet: Packet | null = null;
/** Bytes written of the packet, and for which there is room. */
let used: u32 = 0;
let room: u32 = 0;
let records: u32 = 0;

/** Reports of one family follow, on one link. */
export function reportBegin(on: Interface, ipv4: bool): void {
  iface = on;
  v4 = ipv4;
  const mtu = min<u32>(v4 ? on.mtu : min<u32>(on.mtu, on.v6Mtu), MOST);
  room = mtu - (v4 ? IPV4_ALERT_HEADER : IPV6_HEADER + MLD_HOP_BY_HOP);
}

/** Sends what has been written. */
export function reportEnd(): void {
  const whole = packet;
  packet = null;
  if (whole === null) return;
  if (v4) igmpSend(iface, whole, used, records);
  else mldSend(iface, whole, used, records);
}

/** Whether a record of this type names a source. `asked`: it answers a query that asks for sources (5.2). */
function names(group: Group, s: Source, type: GroupRecord, asked: bool): bool {
  if (type == GroupRecord.Allow) return s.reportsLeft != 0 && group.passes(s);
  if (type == GroupRecord.Block) return s.reportsLeft != 0 && !group.passes(s);
  return asked ? s.asked && group.passes(s) : s.listed;
}

/** Sources that still fit behind the head of one more record; -1 when that does not. */
function fitting(): i32 {
  const head = v4 ? IGMP_RECORD : MLD_RECORD;
  return used + head > room ? -1 : <i32>((room - used - head) / (v4 ? 4 : 16));
}

/** Makes room for a record and so many sources, or some of them; how many fit, -1 without memory. */
function makeRoom(wanted: u32): i32 {
  const fit = fitting();
  if (packet !== null && fit >= <i32>wanted) return fit;
  reportEnd();
  packet = allocate(PoolId.Standard, Purpose.Control, HEADROOM);
  if (packet === null) return -1;
  used = v4 ? IGMP_REPORT : MLD_REPORT;
  records = 0;
  return fitting();
}

/**
 * Writes a record of a group. Of more sources than fit all are told, in several reports; but one that lists what is
 * not wanted cannot be parted, and who is left out of it is sent for nothing (RFC 3376, 4.2.16).
 */
export function reportPut(group: Group, type: GroupRecord, asked: bool = false): void {
  let left: u32 = 0;
  let s: Source | null = null;
  if (SOURCES) {
    s = group.sources;
    let one: Source | null = s;
    while (one !== null) {
      left += u32(names(group, one, type, asked));
      one = one.next;
    }
    if (!left && (asked || type >= GroupRecord.Allow)) return;
  }
  const whole = type == GroupRecord.IsExclude || type == GroupRecord.ToExclude;
  do {
    const fit = makeRoom(whole ? left : min<u32>(left, 1));
    if (fit < 0) return;
    const count = min<u32>(left, fit);
    const at = packet!.data + used;
    if (v4) used += igmpPut(at, type, count, group);
    else used += mldPut(at, type, count, group);
    records++;
    if (!SOURCES) return;
    let put: u32 = 0;
    while (put < count && s !== null) {
      if (names(group, s, type, asked)) {
        const to = packet!.data + used;
        if (v4) store<u32>(to, bswap(<u32>s.lo));
        else v6Store(to, s.hi, s.lo);
        used += v4 ? 4 : 16;
        put++;
      }
      s = s.next;
    }
    left -= count;
  } while (left && !whole);
}
