import { now } from "../../kernel/clock";
import { randomBelow } from "../../kernel/random";
import { NEVER, SECOND, Timer } from "../../kernel/timer";
import {
  AddressOrigin,
  Interface,
  InterfaceAddress,
  interfaceAt,
  interfaceCount,
  interfacesChanged,
} from "../interface";
import { IpAddress, V6_LINK_LOCAL } from "../wire/address";
import { INFINITE } from "../wire/ndp";
import { v6Add, v6Remove } from "./addresses";
import { opaqueIdentifier, randomIdentifier } from "./opaque";

/**
 * Addresses that we make ourselves (RFC 4862): one for the link, and of each prefix that a router
 * lends us one that stays (RFC 7217) and one that others cannot know us by for long (RFC 8981).
 */

/** An address is a prefix and an identifier of 64 bits each (RFC 4291, 2.5.1; RFC 2464, 4). */
const PREFIX_BITS: u32 = 64;
/** IDGEN_RETRIES (RFC 7217, 6). */
const TRIES: u32 = 3;
/** What an advertisement cannot make an address's life shorter than (RFC 4862, 5.5.3 e). */
const TWO_HOURS: u64 = 7200 * SECOND;
/** RFC 8981, 3.8. */
const TEMPORARY_VALID: u64 = 2 * 86400 * SECOND;
const TEMPORARY_PREFERRED: u64 = 86400 * SECOND;
/** The desynchronisation's bound, seconds: two fifths of the preferred life. */
const DESYNC: u32 = 34560;
/** REGEN_ADVANCE: so long before the end of one's preferred life the next is made. */
const REGENERATE: u64 = 5 * SECOND;

const made = changetype<IpAddress>(memory.data(16, 8));
const watch = changetype<Timer>(memory.data(offsetof<Timer>(), 8));

/** Start-up only. */
export function slaacInit(): void {
  watch.init(look, 0);
}

/** The end of a lifetime of `seconds` that begins at `time`. */
@inline export function lifetimeEnd(time: u64, seconds: u32): u64 {
  return seconds == INFINITE ? NEVER : time + <u64>seconds * SECOND;
}

/** Makes the link's address: the first thing that an interface does (RFC 4862, 5.3). */
export function linkLocalMake(iface: Interface, tries: u32, assignedFn: u32): void {
  const hi = V6_LINK_LOCAL | iface.zone;
  made.set(hi, opaqueIdentifier(iface, V6_LINK_LOCAL, tries));
  const record = v6Add(
    iface,
    made,
    PREFIX_BITS,
    AddressOrigin.LinkLocal,
    true,
    assignedFn,
    retry.index,
  );
  if (record !== null) record.tries = <u8>tries;
}

/**
 * A router lends `iface` a prefix (RFC 4862, 5.5.3) for so many seconds. `wait`: others are told at
 * this moment, too.
 */
export function prefixLent(
  iface: Interface,
  prefixHi: u64,
  valid: u32,
  preferred: u32,
  wait: bool,
): void {
  const time = now();
  const validUntil = lifetimeEnd(time, valid);
  const preferredUntil = lifetimeEnd(time, preferred);
  const stable = renew(iface, prefixHi, time, validUntil, preferredUntil);
  if (stable === null && valid) {
    makeStable(iface, prefixHi, validUntil, preferredUntil, 0, wait);
    makeTemporary(iface, prefixHi, validUntil, preferredUntil, wait);
  }
  look(0, time);
}

/** Renews the addresses of a prefix; the stable one, or null. */
function renew(
  iface: Interface,
  prefixHi: u64,
  time: u64,
  validUntil: u64,
  preferredUntil: u64,
): InterfaceAddress | null {
  let stable: InterfaceAddress | null = null;
  let next = iface.addresses;
  while (next !== null) {
    const record = next;
    next = record.next;
    if (record.hi != prefixHi) continue;
    if (record.origin == AddressOrigin.Stable) {
      stable = record;
      // A forged advertisement must not end an address that is in use.
      const soonest = min<u64>(record.validUntil, time + TWO_HOURS);
      record.validUntil = max<u64>(validUntil, soonest);
      record.preferredUntil = preferredUntil;
    } else if (record.origin == AddressOrigin.Temporary) {
      record.validUntil = min<u64>(validUntil, record.since + TEMPORARY_VALID);
      record.preferredUntil = min<u64>(preferredUntil, record.since + TEMPORARY_PREFERRED);
    } else continue;
    setDeprecated(record, record.preferredUntil <= time);
  }
  return stable;
}

/** Sets until when an address is used at all, and for new connections. */
export function lentUntil(record: InterfaceAddress, valid: u64, preferred: u64): void {
  record.validUntil = valid;
  record.preferredUntil = preferred;
  setDeprecated(record, preferred <= now());
}

/** Sees to it that lifetimes which were set are kept. */
export function lifetimesChanged(time: u64): void {
  look(0, time);
}

function setDeprecated(record: InterfaceAddress, deprecated: bool): void {
  if (record.deprecated == deprecated) return;
  record.deprecated = deprecated;
  interfacesChanged();
}

function makeStable(
  iface: Interface,
  prefixHi: u64,
  validUntil: u64,
  preferredUntil: u64,
  tries: u32,
  wait: bool,
): void {
  made.set(prefixHi, opaqueIdentifier(iface, prefixHi, tries));
  const record = v6Add(iface, made, PREFIX_BITS, AddressOrigin.Stable, wait, 0, retry.index);
  if (record === null) return;
  record.tries = <u8>tries;
  record.validUntil = validUntil;
  record.preferredUntil = preferredUntil;
}

function makeTemporary(
  iface: Interface,
  prefixHi: u64,
  validUntil: u64,
  preferredUntil: u64,
  wait: bool,
): void {
  const time = now();
  const desync = <u64>randomBelow(DESYNC) * SECOND;
  const life = min<u64>(preferredUntil, time + TEMPORARY_PREFERRED - desync);
  // One that would be over before the next is made is none (RFC 8981, 3.4, step 5).
  if (life <= time + REGENERATE) return;
  made.set(prefixHi, randomIdentifier());
  const record = v6Add(iface, made, PREFIX_BITS, AddressOrigin.Temporary, wait, 0, retry.index);
  if (record === null) return;
  record.validUntil = min<u64>(validUntil, time + TEMPORARY_VALID);
  record.preferredUntil = life;
}

/** Another station has the address: the next one (RFC 7217, 6; RFC 8981, 3.4). */
function retry(record: InterfaceAddress, _mac: u64): void {
  const iface = record.iface;
  const origin = record.origin;
  const hi = record.hi;
  const tries = <u32>record.tries + 1;
  const validUntil = record.validUntil;
  const preferredUntil = record.preferredUntil;
  const assignedFn = record.assignedFn;
  v6Remove(record);
  if (tries > TRIES) return;
  if (origin == AddressOrigin.LinkLocal) return linkLocalMake(iface, tries, assignedFn);
  if (origin == AddressOrigin.Stable) {
    return makeStable(iface, hi, validUntil, preferredUntil, tries, false);
  }
  makeTemporary(iface, hi, validUntil, preferredUntil, false);
}

/** Sees to every address whose time has come, and sets the time to look again. Cost: the addresses. */
function look(_context: usize, time: u64): void {
  let next: u64 = NEVER;
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const iface = interfaceAt(i);
    let record = iface.addresses;
    while (record !== null) {
      const following = record.next;
      next = min<u64>(next, age(iface, record, time));
      record = following;
    }
  }
  watch.cancel();
  if (next != NEVER) watch.arm(max<u64>(next, time + SECOND));
}

/** What an address's age asks for; when to look again. */
function age(iface: Interface, record: InterfaceAddress, time: u64): u64 {
  if (record.validUntil <= time) {
    v6Remove(record);
    return NEVER;
  }
  if (record.preferredUntil <= time) {
    setDeprecated(record, true);
    return record.validUntil;
  }
  if (record.origin != AddressOrigin.Temporary || record.succeeded) return record.preferredUntil;
  if (record.preferredUntil > time + REGENERATE) return record.preferredUntil - REGENERATE;
  record.succeeded = true;
  succeed(iface, record.hi);
  return record.preferredUntil;
}

/** Makes the temporary address that follows another, while the prefix lasts. */
function succeed(iface: Interface, prefixHi: u64): void {
  let record = iface.addresses;
  while (record !== null) {
    if (record.hi == prefixHi && record.origin == AddressOrigin.Stable) {
      return makeTemporary(iface, prefixHi, record.validUntil, record.preferredUntil, false);
    }
    record = record.next;
  }
}
