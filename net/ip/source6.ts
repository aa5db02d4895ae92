import { AddressOrigin, AddressState, Interface, InterfaceAddress } from "../interface";
import { IpAddress, commonPrefix, v6Scope } from "../wire/address";

/**
 * Which of an interface's IPv6 addresses a packet is sent from when the program does not say
 * (RFC 6724, 5). Candidates are the addresses of the interface that it leaves by. Of the rules, 4
 * is about mobile hosts, and 5 follows from the candidates.
 */

/** The label of an address in the default policy table (2.1); IPv4's by the mapped form. */
export function policyLabel(hi: u64, lo: u64): u32 {
  if (!hi) return lo == 1 ? 0 : lo >> 32 == 0xffff ? 4 : lo >> 32 == 0 ? 3 : 1;
  if (hi >> 48 == 0x2002) return 2;
  if (hi >> 32 == 0x2001_0000) return 5;
  if (hi >> 57 == 0xfc >> 1) return 13;
  if (hi >> 54 == 0xfec0 >> 6) return 11;
  return hi >> 48 == 0x3ffe ? 12 : 1;
}

/** The precedence likewise. */
export function policyPrecedence(hi: u64, lo: u64): u32 {
  switch (policyLabel(hi, lo)) {
    case 0:
      return 50;
    case 1:
      return 40;
    case 4:
      return 35;
    case 2:
      return 30;
    case 5:
      return 5;
    case 13:
      return 3;
    default:
      return 1;
  }
}

/** Rule 8: the bits that agree, of the prefix at most. */
@inline function agreement(record: InterfaceAddress, hi: u64, lo: u64): u32 {
  return min<u32>(commonPrefix(record.hi, record.lo, hi, lo), record.prefix);
}

/** Whether `a` is to be preferred to `b` for a destination. */
function preferred(a: InterfaceAddress, b: InterfaceAddress, hi: u64, lo: u64): bool {
  const scope = v6Scope(hi, lo);
  const scopeA = v6Scope(a.hi, a.lo);
  const scopeB = v6Scope(b.hi, b.lo);
  // Rule 2: the smallest scope that reaches.
  if (scopeA < scopeB) return scopeA >= scope;
  if (scopeB < scopeA) return scopeB < scope;
  // Rule 3.
  if (a.deprecated != b.deprecated) return b.deprecated;
  // Rule 6.
  const wanted = policyLabel(hi, lo);
  const labelA = policyLabel(a.hi, a.lo) == wanted;
  if (labelA != (policyLabel(b.hi, b.lo) == wanted)) return labelA;
  // Rule 7.
  const temporary = a.origin == AddressOrigin.Temporary;
  if (temporary != (b.origin == AddressOrigin.Temporary)) return temporary;
  return agreement(a, hi, lo) > agreement(b, hi, lo);
}

/** Chooses the source for a destination; false when the interface has no IPv6 address in use. */
export function v6Source(iface: Interface, hi: u64, lo: u64, into: IpAddress): bool {
  let chosen: InterfaceAddress | null = null;
  let record = iface.addresses;
  while (record !== null) {
    if (record.state == AddressState.Assigned && !record.address.isV4) {
      if (chosen === null || preferred(record, chosen, hi, lo)) chosen = record;
    }
    record = record.next;
  }
  if (chosen === null) return false;
  into.copy(chosen.address);
  return true;
}
