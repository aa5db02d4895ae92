import { IpAddress } from "../wire/address";

/**
 * Policy routing: which table a packet is routed by, as rules say that look at more of it than its destination (on
 * Linux `ip rule`). They are asked by priority, the least first, and those of one priority in the order in which they
 * were given. A rule that fits sends the packet to a table; if that has no route, or one whose link is down, the next
 * rule is asked. Or it ends the search: the packet is not to go. What is for this machine, for a group, or for a
 * link-local address is no matter of rules.
 *
 * Rules stand for good once the command line is read; policy.ts asks them.
 */

/** What a rule does with what fits. */
export const enum RuleAction {
  Table = 0,
  /** Drops it, and tells nobody. */
  Blackhole = 1,
  /** Says that there is no way to its network (RFC 1812, 5.2.7.1; RFC 4443, 3.1). */
  Unreachable = 2,
  /** Says that it may not pass. */
  Prohibit = 3,
}

/** What rules look at; bits of `ruleFields`. */
export const enum RuleField {
  /** There are rules. */
  Any = 1,
  From = 2,
  Mark = 4,
  Input = 8,
}

/** Priority of the rule that leads to the main table; of one that says none; and the last that one can say. */
const PRIORITY_MAIN: u32 = 32766;
const PRIORITY: u32 = 1000;
export const PRIORITY_MOST: u32 = 0x7fff_ffff;

/** `Rule.input` for what this machine sends itself: Linux's `iif lo`. */
export const INPUT_OWN: u32 = 0xff;

/** What rules know of a packet beside its destination. 24 bytes. */
@unmanaged
export class Flow {
  /** Its source; all zeroes when it is yet to be chosen. */
  hi: u64;
  lo: u64;
  /** The socket's mark (SO_MARK). */
  mark: u32;
  /** The number from 1 of the device by which it came in; 0: it is our own. */
  input: u32;
}

/** 72 bytes. */
@unmanaged
export class Rule {
  private fromHi: u64;
  private fromLo: u64;
  private toHi: u64;
  private toLo: u64;
  /** Bits that count of either, in the address's family; `-1`: it does not look. */
  fromLength: i32;
  toLength: i32;
  priority: u32;
  mark: u32;
  /** Bits of the mark that count: 0, and it does not look. */
  mask: u32;
  /** As `Flow.input`, or `INPUT_OWN`; 0: it does not look. */
  input: u32;
  /** `RuleAction`, and the table (net/route/table.ts). */
  action: u32;
  table: u32;
  /** Routes of the table of at most so many bits do not count; -1: all do (`suppress_prefixlength`). */
  suppress: i32;
  private spare: u32;


  @inline get from(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get to(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Rule>("toHi"));
  }
}

const RULE: u32 = 72;
const RULES_MAX: u32 = 64;
/** In the order in which they are asked; one more than can be given leads to the main table. */
const rules: usize = memory.data(65 * 72, 8);
const moved: usize = memory.data(72, 8);
let count: u32 = 0;
/** Bits of `RuleField`: what some rule looks at. 0: there is none, and every packet goes by the main table. */
export let ruleFields: u32 = 0;

/** Rules, and that which leads to the main table. */
@inline export function ruleCount(): u32 {
  return count;
}

/** Rule `index`, below `ruleCount()`, in the order in which they are asked. */
@inline export function ruleAt(index: u32): Rule {
  return changetype<Rule>(rules + <usize>index * RULE);
}

/** Forgets all but the rule that leads to the main table. */
export function rulesClear(): void {
  assert(offsetof<Rule>() == RULE);
  count = 0;
  ruleNew()!.priority = PRIORITY_MAIN;
  count = 1;
  ruleFields = 0;
}

/** A rule that fits everything and leads to the main table, for the caller to change and `ruleAdd`; null without room. */
export function ruleNew(): Rule | null {
  if (count > RULES_MAX) return null;
  const rule = ruleAt(count);
  memory.fill(changetype<usize>(rule), 0, RULE);
  rule.fromLength = -1;
  rule.toLength = -1;
  rule.suppress = -1;
  rule.priority = PRIORITY;
  return rule;
}

/** Puts the rule of the last `ruleNew` into its place: behind those of its priority. */
export function ruleAdd(rule: Rule): void {
  ruleFields |= RuleField.Any;
  if (rule.fromLength > 0) ruleFields |= RuleField.From;
  if (rule.mask) ruleFields |= RuleField.Mark;
  if (rule.input) ruleFields |= RuleField.Input;
  memory.copy(moved, changetype<usize>(rule), RULE);
  const priority = rule.priority;
  let place = count++;
  for (; place && ruleAt(place - 1).priority > priority; place--) {
    memory.copy(changetype<usize>(ruleAt(place)), changetype<usize>(ruleAt(place - 1)), RULE);
  }
  memory.copy(changetype<usize>(ruleAt(place)), moved, RULE);
}
