import { IpAddress } from "../../net/wire/address";
import { Protocol } from "../../net/wire/ipv4";
import { SocketType } from "../../sdk/assembly/syscalls";
import { Line, warn } from "../log";
import { SocketAddress } from "../socket";
import { Guest } from "./guest";
import { Rule } from "./spec";

/**
 * What a guest may do with the network. What its spec does not allow fails with EACCES, or EPERM of marks, and the console says
 * once for each kind what line is missing; a guest without rules may do everything.
 */

/** Bits of `Guest.refusals`. */
const enum Refusal {
  Bind = 1,
  Connect = 2,
  Raw = 4,
  Resolve = 8,
  Mark = 16,
}

/** Whether `guest` may bind a socket of this `SocketType` there. Cost: a look at each of its rules. */
export function mayBind(guest: Guest, type: u32, to: SocketAddress): bool {
  const spec = guest.spec;
  if (!spec.restricted) return true;
  if (type == SocketType.Raw) return mayRaw(guest);
  if (allowed(spec.bindRules, spec.bindCount, type, to)) return true;
  refuse(guest, Refusal.Bind, "bind", type, to);
  return false;
}

/** Whether it may connect or send there. Cost: a look at each of its rules. */
export function mayConnect(guest: Guest, type: u32, to: SocketAddress): bool {
  const spec = guest.spec;
  if (!spec.restricted) return true;
  if (type == SocketType.Raw) return mayRaw(guest);
  if (allowed(spec.connectRules, spec.connectCount, type, to)) return true;
  refuse(guest, Refusal.Connect, "connect", type, to);
  return false;
}

/** Whether it may have raw sockets. */
export function mayRaw(guest: Guest): bool {
  if (!guest.spec.restricted || guest.spec.mayRaw) return true;
  refuseAll(guest, Refusal.Raw, "have raw sockets", "raw");
  return false;
}

/** Whether it may ask name servers. */
export function mayResolve(guest: Guest): bool {
  if (!guest.spec.restricted || guest.spec.mayResolve) return true;
  refuseAll(guest, Refusal.Resolve, "resolve names", "resolve");
  return false;
}

/** Whether it may choose by a mark how its packets are routed. */
export function mayMark(guest: Guest): bool {
  if (!guest.spec.restricted || guest.spec.mayMark) return true;
  refuseAll(guest, Refusal.Mark, "mark sockets", "mark");
  return false;
}


@inline function protocolOf(type: u32): u32 {
  return type == SocketType.Stream ? Protocol.TCP : Protocol.UDP;
}

function allowed(rules: usize, count: u32, type: u32, to: SocketAddress): bool {
  const protocol = protocolOf(type);
  const port = <u32>to.port;
  for (let i: u32 = 0; i < count; i++) {
    const rule = changetype<Rule>(rules + <usize>i * offsetof<Rule>());
    if (<u32>rule.protocol != protocol || port < <u32>rule.first || port > <u32>rule.last) continue;
    if (covers(rule, to.hi, to.lo)) return true;
  }
  return false;
}

/** Whether an address is in a rule's prefix. */
function covers(rule: Rule, hi: u64, lo: u64): bool {
  const bits = <u32>rule.prefix;
  if (!bits) return true;
  if (bits <= 64) return (hi ^ rule.hi) >> (64 - bits) == 0;
  return hi == rule.hi && (lo ^ rule.lo) >> (128 - bits) == 0;
}

/** Begins a line about the first refusal of a kind; null for all others. */
function first(guest: Guest, kind: Refusal): Line | null {
  if (guest.refusals & kind) return null;
  guest.refusals |= kind;
  return guest.nameIn(warn("guest")).text(" may not ");
}

function refuse(guest: Guest, kind: Refusal, verb: string, type: u32, to: SocketAddress): void {
  const line = first(guest, kind);
  if (line === null) return;
  const any = changetype<IpAddress>(to).isAny;
  const protocol = type == SocketType.Stream ? "tcp" : "udp";
  line.text(verb).text(" ").text(protocol).text(" ");
  if (any) line.text("port ").number(to.port);
  else place(line, to);
  line.text(': add "').text(protocol).text(":");
  if (any) line.number(to.port);
  else place(line, to);
  line.text('" to allow.').text(verb);
  where(guest, line);
}

function refuseAll(guest: Guest, kind: Refusal, deed: string, key: string): void {
  const line = first(guest, kind);
  if (line === null) return;
  line.text(deed).text(": add ").text(key).text(" = true to allow");
  where(guest, line);
}

/** The end of a line that says what is missing, in or, with another `word`, from where. */
export function where(guest: Guest, line: Line, word: string = " of"): void {
  guest.nameIn(line.text(word).text(" [guests.")).text("] in skerry.toml").end();
}

/** An address and port as rules have them. */
function place(line: Line, to: SocketAddress): Line {
  const ip = changetype<IpAddress>(to);
  if (ip.isV4) line.ip(ip);
  else line.text("[").ip(ip).text("]");
  return line.text(":").number(to.port);
}
