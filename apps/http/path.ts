import { Request, RequestFlag } from "../lib/http/request";
import { findByte, hexDigit } from "../lib/text";

/** From the path of a request to a file's path: percent-decoding, then dot segments. */

/** Longest encoded path; the request line is shorter. */
export const PATH_MAX: u32 = 8192;
const buffer: usize = memory.data(8192, 64);

/** Where `normalise` left its result. */
@inline export function normalised(): usize {
  return buffer;
}

/**
 * Decodes `length` bytes at `at` (RFC 3986, 2.1) and removes dot segments (5.2.4), which never
 * climb above the root. Returns the bytes at `normalised()`, or -1 for what is no path: a percent
 * sign without two digits, or NUL.
 */
export function normalise(at: usize, length: u32): i32 {
  if (length > PATH_MAX) return -1;
  const decoded = decode(at, length);
  return decoded < 0 ? -1 : <i32>removeDots(<u32>decoded);
}

function decode(at: usize, length: u32): i32 {
  let to = buffer;
  for (const end = at + length; at < end; at++) {
    let byte: u32 = load<u8>(at);
    if (byte == 0x25) {
      if (end - at < 3) return -1;
      const high = hexDigit(load<u8>(at + 1));
      const low = hexDigit(load<u8>(at + 2));
      if (high < 0 || low < 0) return -1;
      byte = (high << 4) | low;
      if (!byte) return -1;
      at += 2;
    }
    store<u8>(to++, byte);
  }
  return <i32>(to - buffer);
}

/** What `findPath` found. */
export let pathAt: usize = 0;
export let pathLength: u32 = 0;

/** Finds the path that a request names, normalised; false for what is no path. */
export function findPath(r: Request): bool {
  pathAt = r.path;
  pathLength = r.pathLength;
  if (!pathLength) {
    // An absolute URL without a path means the root (RFC 9110, 4.2.3).
    store<u8>(buffer, 0x2f);
    pathAt = buffer;
    pathLength = 1;
  } else if (r.has(RequestFlag.Unnormal)) {
    const length = normalise(pathAt, pathLength);
    if (length < 0) return false;
    pathAt = buffer;
    pathLength = length;
  }
  return true;
}

/** In place: what is written never overtakes what is read. */
function removeDots(length: u32): u32 {
  const end = buffer + length;
  let to = buffer;
  for (let at = buffer; at < end;) {
    const slash = findByte(at + 1, end, 0x2f);
    const next = slash ? slash : end;
    const segment = <u32>(next - at);
    const first: u32 = segment > 1 ? load<u8>(at + 1) : 0;
    if (segment == 2 && first == 0x2e) {
      if (!slash) store<u8>(to++, 0x2f);
    } else if (segment == 3 && first == 0x2e && load<u8>(at + 2) == 0x2e) {
      while (to > buffer && load<u8>(--to) != 0x2f) {}
      if (!slash) store<u8>(to++, 0x2f);
    } else {
      memory.copy(to, at, segment);
      to += segment;
    }
    at = next;
  }
  return <u32>(to - buffer);
}
