import { now } from "../../kernel/clock";
import { info, warn } from "../../kernel/log";
import { randomBelow } from "../../kernel/random";
import { MILLISECOND, NEVER, SECOND } from "../../kernel/timer";
import {
  AddressOrigin,
  AddressState,
  Interface,
  InterfaceAddress,
  LinkKind,
  addAddress,
  interfacesChanged,
  removeAddress,
  setAssigned,
} from "../interface";
import { groupJoin, groupLeave } from "../ip/groups";
import { IpAddress, V6_LINK_GROUP, isV6LinkLocal } from "../wire/address";
import { advertiseChanged } from "./advertise";
import { ndpAdvertise, ndpProbe, solicitedNode } from "./send";
import { ndpStats } from "./stats";

/**
 * Our IPv6 addresses: each is probed before it is used (duplicate address detection, RFC 4862, 5.4),
 * and its solicited-node group joined before that.
 */

/** DupAddrDetectTransmits (RFC 4862, 5.1). */
const PROBES: u8 = 1;
/** MAX_RTR_SOLICITATION_DELAY (RFC 4861, 10): stations that start together do not speak together. */
const DELAY_MS: u32 = 1000;
/** Addresses of an interface (RFC 4862 sets no bound; a rogue router must not either). */
const ADDRESSES_MAX: u32 = 16;

const nobody = changetype<IpAddress>(memory.data(16, 8));

/** The link-local address of `iface` that is in use, or null. */
export function linkLocalOf(iface: Interface): InterfaceAddress | null {
  let record = iface.addresses;
  while (record !== null) {
    if (isV6LinkLocal(record.hi) && record.state == AddressState.Assigned) return record;
    record = record.next;
  }
  return null;
}

function countOf(iface: Interface): u32 {
  let count: u32 = 0;
  let record = iface.addresses;
  while (record !== null) {
    if (!record.address.isV4) count++;
    record = record.next;
  }
  return count;
}

/**
 * Gives `iface` an address, to be used when nobody answers a probe for it. `assignedFn` is called
 * then, `conflictFn` when another station has it: the callee removes it (`v6Remove`). Table indices, 0
 * for none. `wait`: others may be told of the same prefix at this moment. Null for want of room.
 */
export function v6Add(
  iface: Interface,
  address: IpAddress,
  prefix: u32,
  origin: AddressOrigin,
  wait: bool,
  assignedFn: u32,
  conflictFn: u32,
): InterfaceAddress | null {
  const room = countOf(iface) < ADDRESSES_MAX;
  const record = room ? addAddress(iface, address, prefix, origin) : null;
  if (record === null) {
    ndpStats.refused++;
    return null;
  }
  record.since = now();
  record.assignedFn = assignedFn;
  record.conflictFn = conflictFn;
  record.timer.init(advance, changetype<usize>(record));
  groupJoin(iface, V6_LINK_GROUP, solicitedNode(record.lo));
  if (iface.up) begin(record, wait);
  return record;
}

/** Takes an address away. */
export function v6Remove(record: InterfaceAddress): void {
  groupLeave(record.iface, V6_LINK_GROUP, solicitedNode(record.lo));
  removeAddress(record);
}

/** Starts to probe. */
function begin(record: InterfaceAddress, wait: bool): void {
  // Nobody else speaks at the other end of a point-to-point link (RFC 4862, 5.4: DupAddrDetectTransmits 0).
  record.probesLeft = record.iface.kind == LinkKind.PointToPoint ? 0 : PROBES;
  const delay: u64 = wait ? <u64>randomBelow(DELAY_MS) * MILLISECOND : 0;
  record.timer.arm(now() + delay);
}

function advance(context: usize, time: u64): void {
  const record = changetype<InterfaceAddress>(context);
  const iface = record.iface;
  if (record.probesLeft) {
    record.probesLeft--;
    ndpProbe(iface, record.address);
    return record.timer.arm(time + iface.retransTime);
  }
  setAssigned(record);
  announce(record);
  advertiseChanged(record.iface);
  if (record.assignedFn) call_indirect<void>(record.assignedFn, record);
}

function announce(record: InterfaceAddress): void {
  const line = info("net");
  record.iface.device.nameIn(line).text(" ").ip(record.address).text("/").number(record.prefix);
  switch (record.origin) {
    case AddressOrigin.LinkLocal:
      return line.text(" (link-local)").end();
    case AddressOrigin.Stable:
      return line.text(" (router, stable)").end();
    case AddressOrigin.Temporary:
      return line.text(" (router, temporary)").end();
    case AddressOrigin.Dhcpv6:
      line.text(" (dhcpv6, lease ");
      if (record.validUntil == NEVER) return line.text("for ever)").end();
      return line
        .number((record.validUntil - record.since) / SECOND)
        .text(" s)")
        .end();
    default:
      line.text(" (static)").end();
  }
}

/** The link is back, maybe to another network: nothing is used before it has been probed anew. */
export function v6AddressesLinkUp(iface: Interface): void {
  let first = true;
  let record = iface.addresses;
  while (record !== null) {
    if (!record.address.isV4) {
      record.state = AddressState.Tentative;
      // What a router or server lent is used for nothing new until one lends it again.
      if (record.origin >= <u32>AddressOrigin.Stable) record.deprecated = true;
      begin(record, first);
      first = false;
    }
    record = record.next;
  }
  interfacesChanged();
}

/** The link is gone: probing waits. */
export function v6AddressesLinkDown(iface: Interface): void {
  let record = iface.addresses;
  while (record !== null) {
    if (!record.address.isV4) record.timer.cancel();
    record = record.next;
  }
}

/** Another station has or claims an address of ours (RFC 4862, 5.4.5). */
export function v6Conflict(record: InterfaceAddress, mac: u64): void {
  ndpStats.conflicts++;
  const time = now();
  const tentative = record.state == AddressState.Tentative;
  // One in use is defended (RFC 4861, 7.2.6), seldom enough for two of a kind to stop.
  const quiet = time - record.conflictAt < 10 * SECOND && record.conflictAt != 0;
  if (!tentative && quiet) return;
  record.conflictAt = time;
  warn("ndp")
    .text(tentative ? "address in use by another station" : "another station claims our address")
    .key("address")
    .ip(record.address)
    .key("mac")
    .mac(mac)
    .end();
  if (!tentative) return ndpAdvertise(record.iface, record.address, nobody);
  if (record.conflictFn) call_indirect<void>(record.conflictFn, record, mac);
  else v6Remove(record);
}
