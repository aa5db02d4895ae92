import { DNS_NAME_MAX } from "../../wire/dns";

/** Names as DNSSEC sees them: rows of labels in lower case, from the root on. */

/** Labels of a name, without the root's. */
export function labelCount(name: usize): u32 {
  let count: u32 = 0;
  for (let size = <u32>load<u8>(name); size; size = <u32>load<u8>(name)) {
    name += size + 1;
    count++;
  }
  return count;
}

/** Bytes before the `keep` labels that a name ends in, of which it has as many at least. */
export function cutTo(name: usize, keep: u32): u32 {
  let at: u32 = 0;
  for (let count = labelCount(name); count > keep; count--) at += 1 + <u32>load<u8>(name + at);
  return at;
}

const starts: usize = memory.data(128);

/** Puts where each label of `name` begins into `into`; how many there are. */
function labelStarts(name: usize, into: usize): u32 {
  let count: u32 = 0;
  for (let at: u32 = 0, size = <u32>load<u8>(name); size; size = <u32>load<u8>(name + at)) {
    store<u8>(into + count++, <u8>at);
    at += size + 1;
  }
  return count;
}

const otherStarts: usize = memory.data(128);

/**
 * The canonical order of names in lower case (RFC 4034, 6.1): below 0 if a comes first, 0 if they are the
 * same. `sharedLabels` is how many labels they end in together.
 */
export function nameOrder(a: usize, b: usize): i32 {
  let i = labelStarts(a, starts);
  let j = labelStarts(b, otherStarts);
  shared = 0;
  while (i && j) {
    const x = a + load<u8>(starts + --i);
    const y = b + load<u8>(otherStarts + --j);
    const order = bytesOrder(x + 1, load<u8>(x), y + 1, load<u8>(y));
    if (order) return order;
    shared++;
  }
  return <i32>i - <i32>j;
}

let shared: u32 = 0;

/** Of the two names that `nameOrder` saw last. */
@inline export function sharedLabels(): u32 {
  return shared;
}

/** The order of runs of bytes, the shorter first if it begins the other. */
export function bytesOrder(a: usize, aLength: u32, b: usize, bLength: u32): i32 {
  const order = memory.compare(a, b, min<u32>(aLength, bLength));
  return order ? order : <i32>aLength - <i32>bLength;
}

/** Writes `*.` before a name; its length, or 0 if that is too long. */
export function wildcardOf(name: usize, length: u32, into: usize): u32 {
  if (length + 2 > DNS_NAME_MAX) return 0;
  memory.copy(into + 2, name, length);
  store<u16>(into, 0x2a01);
  return length + 2;
}
