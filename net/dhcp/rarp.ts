import { now } from "../../kernel/clock";
import { info, warn } from "../../kernel/log";
import { SECOND, Timer } from "../../kernel/timer";
import { AddressOrigin, Interface, addAddress, interfaceAt } from "../interface";
import { Claim, claimAddress } from "../link/conflict";
import { rarpAsk, rarpTell } from "../link/rarp";
import { IpAddress } from "../wire/address";
import { dhcpStart, isHost, prefixOf } from "./client";

/**
 * `ip=rarp`: an interface asks by RARP (RFC 903) what it is called, and when nobody says so by DHCP. A reply has
 * an address and nothing else, so the prefix is the one of the address's class, and there is no router.
 */

const TRIES: u32 = 4;
const WAIT: u64 = SECOND;

/** 40 bytes. */
@unmanaged
class Asking {
  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  private timer3: u64;
  tries: u32;
  /** It has an address, or has gone over to DHCP. */
  over: bool;


  @inline get timer(): Timer {
    return changetype<Timer>(changetype<usize>(this));
  }
}

const all: usize = memory.data(48 * 40, 8);
const given = changetype<IpAddress>(memory.data(16, 8));


@inline function askingOf(iface: Interface): Asking {
  return changetype<Asking>(all + <usize>iface.index * 40);
}

/** Asks what `iface` is called. Once for each. */
export function rarpStart(iface: Interface): void {
  const asking = askingOf(iface);
  rarpTell(told);
  asking.timer.init(advance, iface.index);
  rarpLinkChanged(iface);
}

/** The link has come or gone. Without effect on an interface that does not ask. */
export function rarpLinkChanged(iface: Interface): void {
  const asking = askingOf(iface);
  if (!asking.timer.callback || asking.over) return;
  asking.tries = 0;
  if (iface.up) asking.timer.arm(now());
  else asking.timer.cancel();
}

function advance(index: usize, time: u64): void {
  const iface = interfaceAt(<u32>index);
  const asking = askingOf(iface);
  if (asking.tries++ < TRIES) {
    rarpAsk(iface);
    return asking.timer.arm(time + WAIT);
  }
  asking.over = true;
  iface.device
    .nameIn(warn("rarp"))
    .text(": nobody knows the address of this station; asking by DHCP")
    .key("requests")
    .number(TRIES)
    .end();
  dhcpStart(iface);
}

function told(iface: Interface, address: u32, server: u32): void {
  const asking = askingOf(iface);
  if (!asking.timer.armed || asking.over || !isHost(address)) return;
  given.setV4(address);
  const prefix = prefixOf(address, 0);
  const record = addAddress(iface, given, prefix, AddressOrigin.Dhcp);
  if (record === null) return;
  asking.over = true;
  asking.timer.cancel();
  claimAddress(record, Claim.Prompt, 0, 0);
  const line = iface.device.nameIn(info("net")).text(" ").ipv4(address).text("/").number(prefix);
  line.text(" (rarp, server ").ipv4(server).text(")").end();
}
