import { now } from "../../kernel/clock";
import { TokenBucket } from "../ratelimit";

/**
 * How many ICMP errors we send: by kind, and over all of a family (RFC 1812, 4.3.2.8; RFC 4443, 2.4 f),
 * so that a flood of one kind leaves room for others, and nobody can make us shout.
 */

/** Which family's errors. */
export const enum ErrorFamily {
  V4 = 0,
  V6 = 1,
}

/** Kinds told apart; both families' types of errors differ in their lowest bits. */
const KINDS: u32 = 16;
const kinds: usize = memory.data(2 * 16 * 24, 8);
const all: usize = memory.data(2 * 24, 8);


@inline function bucket(at: usize, index: u32): TokenBucket {
  return changetype<TokenBucket>(at + <usize>index * offsetof<TokenBucket>());
}

/** Sets the limits. Start-up only. */
export function errorLimitsInit(): void {
  assert(offsetof<TokenBucket>() == 24);
  for (let i: u32 = 0; i < 2 * KINDS; i++) bucket(kinds, i).init(100, 20);
  for (let i: u32 = 0; i < 2; i++) bucket(all, i).init(200, 50);
}

/** Whether an error of this type may go now. */
export function errorAllowed(family: ErrorFamily, type: u32): bool {
  const time = now();
  const kind = <u32>family * KINDS + (type & (KINDS - 1));
  return bucket(kinds, kind).take(time) && bucket(all, family).take(time);
}
