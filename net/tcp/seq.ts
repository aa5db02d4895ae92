/**
 * Sequence numbers live on a circle of 2^32 (RFC 9293, 3.4): one is before another if it is less
 * than half a turn behind it.
 */

@inline export function seqLess(a: u32, b: u32): bool {
  return <i32>(a - b) < 0;
}


@inline export function seqLessEqual(a: u32, b: u32): bool {
  return <i32>(a - b) <= 0;
}


@inline export function seqGreater(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}


@inline export function seqGreaterEqual(a: u32, b: u32): bool {
  return <i32>(a - b) >= 0;
}

/** The later of the two. */
@inline export function seqMax(a: u32, b: u32): u32 {
  return seqLess(a, b) ? b : a;
}
