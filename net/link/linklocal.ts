import { now } from "../../kernel/clock";
import { info } from "../../kernel/log";
import { sipHash } from "../../kernel/siphash";
import { SECOND, Timer } from "../../kernel/timer";
import {
  AddressOrigin,
  Interface,
  InterfaceAddress,
  addAddress,
  interfaceAt,
  removeAddress,
} from "../interface";
import { IpAddress } from "../wire/address";
import { Claim, claimAddress } from "./conflict";

/**
 * Link-local IPv4 addresses (RFC 3927): an address without a server, good for this link only.
 * While one is wanted, the next candidate takes the place of one that another station has.
 */

/** RFC 3927, 9. */
const MAX_CONFLICTS: u32 = 10;
const RATE_LIMIT_INTERVAL: u64 = 60 * SECOND;

/** 169.254.1.0: the first and the last 256 addresses are reserved (RFC 3927, 2.1). */
const FIRST: u32 = 0xa9fe_0100;
const COUNT: u32 = 0xfe00;
const PREFIX: u32 = 16;

/** One for each interface. 64 bytes. */
@unmanaged
class LinkLocal {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  record: InterfaceAddress | null;
  conflicts: u32;
  wanted: bool;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }
}

const states: usize = memory.data(48 * 64, 8);
const address = changetype<IpAddress>(memory.data(16, 8));
/** The hash's key and message: nothing secret, the addresses need only differ between stations. */
const key: usize = memory.data(16, 8);
const message: usize = memory.data(16, 8);


@inline function stateOf(iface: Interface): LinkLocal {
  return changetype<LinkLocal>(states + ((<usize>iface.index) << 6));
}

/** Seeks an address for `iface`. */
export function linkLocalStart(iface: Interface): void {
  const state = stateOf(iface);
  if (state.wanted) return;
  state.wanted = true;
  state.conflicts = 0;
  state.timer.init(pick, iface.index);
  pick(iface.index, now());
}

/** Gives the address up: a routable one has been found, or the link is gone. */
export function linkLocalStop(iface: Interface): void {
  const state = stateOf(iface);
  state.wanted = false;
  state.timer.cancel();
  const record = state.record;
  state.record = null;
  if (record !== null) removeAddress(record);
}

/**
 * Claims the next candidate. The sequence follows from the MAC address alone, so that a station
 * gets the same address each time (RFC 3927, 2.1).
 */
function pick(index: usize, _time: u64): void {
  const iface = interfaceAt(<u32>index);
  const state = stateOf(iface);
  store<u64>(message, iface.device.mac);
  store<u64>(message, state.conflicts, 8);
  address.setV4(FIRST + <u32>(sipHash(key, message, 16) % COUNT));
  const record = addAddress(iface, address, PREFIX, AddressOrigin.LinkLocal);
  if (record === null) return;
  state.record = record;
  claimAddress(record, Claim.Careful, assigned.index, conflict.index);
}

function assigned(record: InterfaceAddress): void {
  record.iface.device
    .nameIn(info("net"))
    .text(" ")
    .ip(record.address)
    .text("/")
    .number(PREFIX)
    .text(" (link-local)")
    .end();
}

/** RFC 3927, 2.2.1: another one, but after ten conflicts at most one a minute. */
function conflict(record: InterfaceAddress, _mac: u64): void {
  const state = stateOf(record.iface);
  removeAddress(record);
  state.record = null;
  state.conflicts++;
  const wait: u64 = state.conflicts >= MAX_CONFLICTS ? RATE_LIMIT_INTERVAL : 0;
  state.timer.arm(now() + wait);
}
