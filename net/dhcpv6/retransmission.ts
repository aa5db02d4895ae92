import { randomBelow } from "../../kernel/random";
import { SECOND } from "../../kernel/timer";
import { Dhcpv6Type } from "../wire/dhcpv6";

/** When a client repeats a message (RFC 8415, 15), with the parameters of 7.6; times in ns. */

/** SOL_MAX_RT and INF_MAX_RT unless a server says otherwise, seconds (7.6; RFC 7083). */
export const MOST_DEFAULT: u32 = 3600;

/** IRT: of SOL, REQ, CNF, INF, REL and DEC_TIMEOUT, and of REN and REB_TIMEOUT. */
function initial(type: Dhcpv6Type): u64 {
  return type == Dhcpv6Type.Renew || type == Dhcpv6Type.Rebind ? 10 * SECOND : SECOND;
}

/** MRT, 0 for none; `given` is what a server said of SOL_MAX_RT or INF_MAX_RT, seconds. */
function most(type: Dhcpv6Type, given: u32): u64 {
  switch (type) {
    case Dhcpv6Type.Solicit:
    case Dhcpv6Type.InformationRequest:
      return <u64>given * SECOND;
    case Dhcpv6Type.Request:
      return 30 * SECOND;
    case Dhcpv6Type.Confirm:
      return 4 * SECOND;
    case Dhcpv6Type.Renew:
    case Dhcpv6Type.Rebind:
      return 600 * SECOND;
    default:
      return 0;
  }
}

/** MRC: times that a message is sent, 0 for no end. */
export function transmissionsMost(type: Dhcpv6Type): u32 {
  if (type == Dhcpv6Type.Request) return 10;
  return type == Dhcpv6Type.Decline || type == Dhcpv6Type.Release ? 4 : 0;
}

/** A random delay of SOL, CNF and INF_MAX_DELAY at most. */
export function initialDelay(): u64 {
  return <u64>randomBelow(1000) * (SECOND / 1000);
}

/** RAND × `time`, RAND between -0.1 and 0.1. */
function spread(time: u64): i64 {
  return (<i64>time / 10000) * (<i64>randomBelow(2001) - 1000);
}

/** RT of the next transmission; `previous` is that of the one before, 0 for the first. */
export function retransmissionTime(type: Dhcpv6Type, previous: u64, given: u32): u64 {
  const first = initial(type);
  if (!previous) {
    // Strictly more than IRT, for Advertises are collected so long (18.2.1).
    if (type == Dhcpv6Type.Solicit) return first + (first / 10000) * (1 + randomBelow(1000));
    return first + spread(first);
  }
  const next = 2 * previous + spread(previous);
  const bound = most(type, given);
  return bound && next > bound ? bound + spread(bound) : next;
}
