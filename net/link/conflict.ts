import { MILLISECOND, SECOND } from "../../kernel/timer";
import { now } from "../../kernel/clock";
import { randomBelow } from "../../kernel/random";
import { warn } from "../../kernel/log";
import {
  AddressState,
  Interface,
  InterfaceAddress,
  LinkKind,
  findAddress,
  setAssigned,
} from "../interface";
import { v4Lo } from "../wire/address";
import { ArpOperation } from "../wire/arp";
import { arpAnnounce, arpProbe, arpStats } from "./arp";

/**
 * IPv4 address conflict detection (RFC 5227): whether an address is free before we use it, and what
 * to do when somebody else uses it later.
 *
 * An address that we made up (link-local) is probed in full first, as the RFC says: up to seven
 * seconds. One that an operator or a DHCP server gave us is used at once, because a machine that
 * answers tenths of a second after power-on is the point of this system: it is probed on the side
 * and announced when the first probe has gone unanswered. The server has checked it already
 * (RFC 2131, 2.2), and a station that does have it answers the probe before we have told anybody
 * that the address is ours.
 */

/** RFC 5227, 1.1: constants. */
const PROBE_WAIT: u64 = SECOND;
const PROBE_NUM: u8 = 3;
const PROBE_MIN: u64 = SECOND;
const PROBE_MAX: u64 = 2 * SECOND;
const ANNOUNCE_WAIT: u64 = 2 * SECOND;
const ANNOUNCE_NUM: u8 = 2;
const ANNOUNCE_INTERVAL: u64 = 2 * SECOND;
const DEFEND_INTERVAL: u64 = 10 * SECOND;

/** How long an address in use at once waits for an answer to its probe before it is announced. */
const PROMPT_WAIT: u64 = 100 * MILLISECOND;

/** How an address comes into use. */
export const enum Claim {
  /** At once, probed on the side. */
  Prompt = 0,
  /** Only after nobody has answered three probes (RFC 5227, 2.1.1). */
  Careful = 1,
}


@inline function jitter(from: u64, to: u64): u64 {
  // In milliseconds, which fit 32 bits.
  return from + <u64>randomBelow(<u32>((to - from) / MILLISECOND) + 1) * MILLISECOND;
}

/**
 * Brings a tentative address into use. `assignedFn` is called when it is (at once for
 * `Claim.Prompt`), `conflictFn` when another station has it, then or later: the callee removes the
 * address. Table indices; 0 for none. Without a `conflictFn` the address is kept and defended.
 */
export function claimAddress(
  record: InterfaceAddress,
  claim: Claim,
  assignedFn: u32,
  conflictFn: u32,
): void {
  record.assignedFn = assignedFn;
  record.conflictFn = conflictFn;
  record.timer.init(advance, changetype<usize>(record));
  record.announcementsLeft = ANNOUNCE_NUM;
  if (claim == Claim.Careful) {
    record.probesLeft = PROBE_NUM;
    record.timer.arm(now() + jitter(0, PROBE_WAIT));
    return;
  }
  record.probesLeft = 0;
  setAssigned(record);
  if (record.iface.kind == LinkKind.Ethernet) probeAndAnnounce(record);
  if (assignedFn) call_indirect<void>(assignedFn, record);
}

function probeAndAnnounce(record: InterfaceAddress): void {
  arpProbe(record.iface, record.address.v4);
  record.announcementsLeft = ANNOUNCE_NUM;
  record.timer.arm(now() + PROMPT_WAIT);
}

/** The next probe or announcement. */
function advance(context: usize, time: u64): void {
  const record = changetype<InterfaceAddress>(context);
  if (record.state == AddressState.Tentative) {
    if (record.probesLeft) {
      arpProbe(record.iface, record.address.v4);
      record.probesLeft--;
      const wait = record.probesLeft ? jitter(PROBE_MIN, PROBE_MAX) : ANNOUNCE_WAIT;
      return record.timer.arm(time + wait);
    }
    setAssigned(record);
    announce(record, time);
    if (record.assignedFn) call_indirect<void>(record.assignedFn, record);
    return;
  }
  announce(record, time);
}

/** RFC 5227, 2.3. */
function announce(record: InterfaceAddress, time: u64): void {
  arpAnnounce(record.iface, record.address.v4);
  record.announcementsLeft--;
  if (record.announcementsLeft) record.timer.arm(time + ANNOUNCE_INTERVAL);
}

/** The link is back, maybe to another network: the addresses are probed and announced again. */
export function conflictLinkUp(iface: Interface): void {
  let record = iface.kind == LinkKind.Ethernet ? iface.addresses : null;
  while (record !== null) {
    if (record.state == AddressState.Assigned) probeAndAnnounce(record);
    record = record.next;
  }
}

/**
 * Looks at an ARP packet from another station for a claim to an address of ours. True if it was
 * one: the packet is not to be believed.
 */
export function conflictCheck(
  iface: Interface,
  operation: u32,
  sender: u32,
  target: u32,
  mac: u64,
): bool {
  // RFC 5227, 2.1.1: another station's probe for what we are probing ourselves.
  const probe = sender == 0 && operation == ArpOperation.Request;
  const record = findAddress(0, v4Lo(probe ? target : sender));
  if (record === null || record.iface != iface) return false;
  if (probe && record.state != AddressState.Tentative) return false;
  arpStats.conflicts++;
  const time = now();
  const last = record.conflictAt;
  record.conflictAt = time;
  const lost =
    record.state == AddressState.Tentative ||
    record.announcementsLeft == ANNOUNCE_NUM ||
    (last != 0 && time - last < DEFEND_INTERVAL);
  if (record.conflictFn && lost) {
    warn("arp")
      .text("address in use by another station")
      .key("address")
      .ip(record.address)
      .key("mac")
      .mac(mac)
      .end();
    call_indirect<void>(record.conflictFn, record, mac);
    return true;
  }
  // RFC 5227, 2.4: defend it, but at most once in an interval, or two of a kind would never stop.
  if (last == 0 || time - last >= DEFEND_INTERVAL) {
    warn("arp")
      .text("another station claims our address; defending it")
      .key("address")
      .ip(record.address)
      .key("mac")
      .mac(mac)
      .end();
    arpAnnounce(iface, record.address.v4);
  }
  return true;
}
