import { IpAddress, commonPrefix, isV4 } from "../wire/address";
import { routeFind } from "./choose";
import { Flow, INPUT_OWN, Rule, RuleAction, ruleAt, ruleCount } from "./rules";
import { RouteEntry } from "./table";

/**
 * Asks the rules (rules.ts) by which table a packet goes, and that table. What they say is kept by what they look
 * at (net/ip/route.ts), so their number is no matter to the second packet.
 */

/** What ended the last search of `ruleFind` that found nothing: a `RuleAction`, `Table` if no table had a route. */
export let ruleVerdict: u32 = 0;

/** Whether the first bits of an address are those of a prefix. */
@inline function isIn(hi: u64, lo: u64, prefix: IpAddress, length: i32): bool {
  if (length < 0) return true;
  const v4 = prefix.isV4;
  if (isV4(hi, lo) != v4) return false;
  return commonPrefix(hi, lo, prefix.hi, prefix.lo) >= <u32>(v4 ? length + 96 : length);
}

function fits(rule: Rule, flow: Flow, hi: u64, lo: u64): bool {
  if (!isIn(hi, lo, rule.to, rule.toLength)) return false;
  if ((flow.mark ^ rule.mark) & rule.mask) return false;
  const input = rule.input;
  if (input && input != (flow.input ? flow.input : INPUT_OWN)) return false;
  if (rule.fromLength < 0) return true;
  // A source that is yet to be chosen has the family of the destination, and no bits.
  if (!flow.hi && !flow.lo) return !rule.fromLength && rule.from.isV4 == isV4(hi, lo);
  return isIn(flow.hi, flow.lo, rule.from, rule.fromLength);
}

/** A new look-up, which may not come to the rules. */
@inline export function ruleForgive(): void {
  ruleVerdict = RuleAction.Table;
}

/**
 * The route of a packet to an address, or null: then `ruleVerdict` says why. `flow` and what is found are
 * otherwise as `routeFind` has them. Cost: the rules, and `routeFind` for each that fits.
 */
export function ruleFind(packet: Flow, hi: u64, lo: u64, v4: bool, flow: u32): RouteEntry | null {
  let down: RouteEntry | null = null;
  for (let i: u32 = 0, n = ruleCount(); i < n; i++) {
    const rule = ruleAt(i);
    if (!fits(rule, packet, hi, lo)) continue;
    if (rule.action != RuleAction.Table) {
      ruleVerdict = rule.action;
      return null;
    }
    const entry = routeFind(hi, lo, v4, flow, rule.table);
    if (entry === null || <i32>entry.length <= rule.suppress) continue;
    if (entry.iface.up) return entry;
    if (down === null) down = entry;
  }
  return down;
}
