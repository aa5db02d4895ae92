import { Layout } from "../../sdk/assembly/syscalls";
import { findAddress } from "../interface";
import { routeTo } from "../ip/route";
import { policyLabel, policyPrecedence } from "../ip/source6";
import {
  IpAddress,
  Scope,
  commonPrefix,
  isV4LinkLocal,
  isV4Loopback,
  v6Scope,
} from "../wire/address";

/**
 * Which of a name's addresses to connect to first (RFC 6724, 6), by the source that the stack would take for each.
 * Rules 4 and 7 are about mobile hosts and tunnels, which there are none of.
 */

/** Bits of a key, the smaller the better. */
const UNREACHABLE: u32 = 1 << 31;
const OTHER_SCOPE: u32 = 1 << 30;
const DEPRECATED: u32 = 1 << 29;
const OTHER_LABEL: u32 = 1 << 28;
const PRECEDENCE: u32 = 16;
const SCOPE: u32 = 8;
const PREFIX_MAX: u32 = 128;

/** Addresses that are put in order; what comes behind stays behind. */
export const ORDERED_MAX: u32 = 64;

const keys: usize = memory.data(64 * 4, 4);

/** Bytes of a record with an address. */
const STRIDE: u32 = Layout.Record + Layout.Address;

/** Puts the `count` records of addresses at `at` in order; equals stay as they are. Cost: up to their square. */
export function orderAddresses(at: usize, count: u32): void {
  count = min<u32>(count, ORDERED_MAX);
  for (let i: u32 = 0; i < count; i++) {
    store<u32>(keys + (i << 2), keyOf(addressAt(at, i)));
  }
  for (let i: u32 = 1; i < count; i++) {
    const key = load<u32>(keys + (i << 2));
    let place = i;
    while (place > 0 && load<u32>(keys + ((place - 1) << 2)) > key) place--;
    if (place == i) continue;
    memory.copy(keys + ((place + 1) << 2), keys + (place << 2), (i - place) << 2);
    store<u32>(keys + (place << 2), key);
    memory.copy(held, at + <usize>i * STRIDE, STRIDE);
    memory.copy(at + <usize>(place + 1) * STRIDE, at + <usize>place * STRIDE, (i - place) * STRIDE);
    memory.copy(at + <usize>place * STRIDE, held, STRIDE);
  }
}

const held: usize = memory.data(32, 8);


@inline function addressAt(at: usize, index: u32): IpAddress {
  return changetype<IpAddress>(at + <usize>index * STRIDE + Layout.Record);
}

/** RFC 6724, 3.2: IPv4's addresses have scopes, too. */
function scopeOf(address: IpAddress): u32 {
  if (!address.isV4) return v6Scope(address.hi, address.lo);
  const v4 = address.v4;
  return isV4Loopback(v4) || isV4LinkLocal(v4) ? Scope.Link : Scope.Global;
}

function keyOf(address: IpAddress): u32 {
  const hi = address.hi;
  const lo = address.lo;
  const scope = scopeOf(address);
  const precedence = policyPrecedence(hi, lo);
  // Rules 6, 8: a higher precedence, a smaller scope.
  let key = ((63 - precedence) << PRECEDENCE) | (scope << SCOPE);
  // Rule 1.
  const route = routeTo(hi, lo);
  if (route === null) return key | UNREACHABLE | PREFIX_MAX;
  const source = route.source;
  // Rules 2, 3, 5.
  if (scopeOf(source) != scope) key |= OTHER_SCOPE;
  const own = findAddress(source.hi, source.lo);
  if (own !== null && own.deprecated) key |= DEPRECATED;
  if (policyLabel(source.hi, source.lo) != policyLabel(hi, lo)) key |= OTHER_LABEL;
  // Rule 9, of IPv6 alone: IPv4's prefixes say nothing of nearness, and would undo what DNS servers deal out.
  if (address.isV4) return key | PREFIX_MAX;
  const bits = own === null ? 0 : <u32>own.prefix;
  return key | (PREFIX_MAX - min<u32>(commonPrefix(source.hi, source.lo, hi, lo), bits));
}
