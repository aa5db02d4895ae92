import { parseDate } from "../lib/http/date";
import { Field, KeptField, Method, Request } from "../lib/http/request";
import { decimal, findByte } from "../lib/text";

/** Conditional requests and ranges (RFC 9110, 13 and 14) on a file with a strong entity tag. */

/** What is asked about. */
@unmanaged
export class Validators {
  /** The entity tag with its quotes. */
  tag: usize;
  tagLength: u32;
  /** Last change, seconds since 1970; 0 when unknown. */
  modified: i64;
  /** Seconds since 1970, to place years of two digits. */
  today: i64;
}


@inline function isBlank(byte: u32): bool {
  return byte == 0x20 || byte == 0x09;
}

/**
 * Whether a list of entity tags names ours, or is "*". `weak`: W/ makes no difference
 * (RFC 9110, 8.8.3.2); strong comparison never matches a weak tag. What is no list ends the search.
 */
function listNames(at: usize, length: u32, file: Validators, weak: bool): bool {
  const end = at + length;
  if (length == 1 && load<u8>(at) == 0x2a) return true;
  while (at < end) {
    const byte: u32 = load<u8>(at);
    if (isBlank(byte) || byte == 0x2c) {
      at++;
      continue;
    }
    const isWeak = end - at > 2 && byte == 0x57 && load<u8>(at + 1) == 0x2f;
    if (isWeak) at += 2;
    if (at == end || load<u8>(at) != 0x22) return false;
    const quote = findByte(at + 1, end, 0x22);
    if (!quote) return false;
    const tagLength = <u32>(quote + 1 - at);
    if (
      (weak || !isWeak) &&
      tagLength == file.tagLength &&
      memory.compare(at, file.tag, tagLength) == 0
    ) {
      return true;
    }
    at = quote + 1;
  }
  return false;
}

/** Whether any line of the field names our tag. */
function fieldNames(r: Request, kind: u32, file: Validators, weak: bool): bool {
  for (let i: u32 = 0; i < r.keptCount; i++) {
    const field = r.kept(i);
    if (field.kind == kind && listNames(r.base + field.offset, field.length, file, weak)) {
      return true;
    }
  }
  return false;
}

/** The field's date, or -1 when it is to be ignored: missing, repeated or no date. */
function dateOf(r: Request, kind: u32, today: i64): i64 {
  const field = r.single(kind);
  return field === null ? -1 : parseDate(r.base + field.offset, field.length, today);
}

/** Evaluates the preconditions in their order (RFC 9110, 13.2.2): 200, 304 or 412. */
export function precondition(r: Request, file: Validators): u32 {
  if (!r.keptCount) return 200;
  if (r.hasKept(Field.IfMatch)) {
    if (!fieldNames(r, Field.IfMatch, file, false)) return 412;
  } else if (file.modified) {
    const since = dateOf(r, Field.IfUnmodifiedSince, file.today);
    if (since >= 0 && file.modified > since) return 412;
  }
  if (r.hasKept(Field.IfNoneMatch)) {
    if (fieldNames(r, Field.IfNoneMatch, file, true)) return 304;
  } else if (file.modified) {
    const since = dateOf(r, Field.IfModifiedSince, file.today);
    if (since >= 0 && file.modified <= since) return 304;
  }
  return 200;
}

/** Whether If-Range, if it is there, says that the client has a part of this very file. */
function rangeApplies(r: Request, file: Validators): bool {
  if (!r.hasKept(Field.IfRange)) return true;
  const field = r.single(Field.IfRange);
  if (field === null) return false;
  const at = r.base + field.offset;
  if (field.length && (load<u8>(at) == 0x22 || load<u8>(at) == 0x57)) {
    return field.length == file.tagLength && memory.compare(at, file.tag, file.tagLength) == 0;
  }
  return file.modified != 0 && parseDate(at, field.length, file.today) == file.modified;
}

/** The range that `range` found. */
export let rangeFirst: u32 = 0;
export let rangeLength: u32 = 0;

/**
 * What becomes of Range (RFC 9110, 14.2) on a file of `size` bytes: 206 with `rangeFirst` and
 * `rangeLength`, 416, or 200: the whole file, which is also the answer to a field that is no
 * range of bytes and to several ranges at once.
 */
export function range(r: Request, file: Validators, size: u32): u32 {
  if (r.method != Method.Get) return 200;
  const field = r.single(Field.Range);
  if (field === null || !rangeApplies(r, file)) return 200;
  return parseRange(r.base + field.offset, field, size);
}

function parseRange(at: usize, field: KeptField, size: u32): u32 {
  const end = at + field.length;
  // "bytes=", its case does not matter (RFC 9110, 14.1)
  if (field.length < 8 || load<u8>(at + 5) != 0x3d) return 200;
  const unit = (<u64>load<u32>(at)) | ((<u64>load<u8>(at + 4)) << 32) | 0x20_2020_2020;
  if (unit != 0x73_6574_7962) return 200;
  at += 6;
  const dash = findByte(at, end, 0x2d);
  if (!dash || findByte(at, end, 0x2c)) return 200;
  const lastLength = <u32>(end - dash - 1);
  if (dash == at) {
    const suffix = decimal(dash + 1, lastLength);
    if (suffix == u64.MAX_VALUE) return 200;
    if (!suffix || !size) return 416;
    rangeLength = <u32>min<u64>(suffix, size);
    rangeFirst = size - rangeLength;
    return 206;
  }
  const first = decimal(at, <u32>(dash - at));
  if (first == u64.MAX_VALUE) return 200;
  let last: u64 = i64.MAX_VALUE;
  if (lastLength) {
    last = decimal(dash + 1, lastLength);
    if (last == u64.MAX_VALUE || last < first) return 200;
  }
  if (first >= size) return 416;
  rangeFirst = <u32>first;
  rangeLength = <u32>(min<u64>(last, size - 1) - first) + 1;
  return 206;
}
