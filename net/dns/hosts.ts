import { warn } from "../../kernel/log";
import { reserve } from "../../kernel/memory";
import { fnv1a } from "../../kernel/pack";
import { parseV4, parseV6, textFind } from "../../kernel/text";
import { IpAddress } from "../wire/address";
import { dnsLower, dnsSame } from "../wire/dns";

/**
 * The hosts file: lines of an address and the names that it has, `#` before comments. It is read once; then a
 * name is found by its hash.
 */

/** A name and an address of it. 32 bytes. */
@unmanaged
class Host {
  hi: u64;
  lo: u64;
  /** The name as it stands in the file. */
  name: usize;
  nameLength: u32;
  hash: u32;
  next: Host | null;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** Longest name: as text, without escapes. */
const NAME_MAX: u32 = 253;
const lowered: usize = memory.data(256);
const parsed = changetype<IpAddress>(memory.data(16, 8));

let hosts: usize = 0;
let buckets: usize = 0;
let mask: u32 = 0;
let count: u32 = 0;

/**
 * Takes over the file of `length` bytes at `at`, which stays as it is. What is no line of it is named on the
 * console and left out. Start-up only.
 */
export function hostsOpen(at: usize, length: u32): void {
  assert(offsetof<Host>() <= 40);
  count = 0;
  const names = lines(at, length, false);
  if (!names) return;
  hosts = reserve(names * <u32>offsetof<Host>(), 8);
  mask = ((<u32>1) << (32 - <u32>clz(names))) - 1;
  buckets = reserve((mask + 1) * 4, 4);
  lines(at, length, true);
}


@inline function isBlank(byte: u32): bool {
  return byte == 0x20 || byte == 9 || byte == 13;
}

/** Goes over the lines, and takes their names over with `keep`; how many there are. */
function lines(at: usize, length: u32, keep: bool): u32 {
  let names: u32 = 0;
  for (let start: u32 = 0, number: u32 = 1; start < length; number++) {
    const whole = textFind(at + start, length - start, 0x0a);
    const size = textFind(at + start, whole, 0x23);
    names += line(at + start, size, keep, number);
    start += whole + 1;
  }
  return names;
}

function line(at: usize, length: u32, keep: bool, number: u32): u32 {
  let names: u32 = 0;
  let first = true;
  for (let i: u32 = 0; i < length;) {
    if (isBlank(load<u8>(at + i))) {
      i++;
      continue;
    }
    const start = i;
    while (i < length && !isBlank(load<u8>(at + i))) i++;
    if (!first) {
      if (i - start > NAME_MAX) continue;
      names++;
      if (keep) add(at + start, i - start);
      continue;
    }
    first = false;
    if (hostsAddress(at + start, i - start, parsed)) continue;
    if (keep) {
      warn("dns")
        .text("hosts: ignored, no address")
        .key("line")
        .number(number)
        .key("word")
        .bytes(at + start, i - start)
        .end();
    }
    return 0;
  }
  return names;
}

/** An address of either family as text. */
export function hostsAddress(at: usize, length: u32, into: IpAddress): bool {
  const v4 = parseV4(at, length);
  if (v4 < 0) return parseV6(at, length, into);
  into.setV4(<u32>v4);
  return true;
}

function hashOf(name: usize, length: u32): u32 {
  dnsLower(lowered, name, length);
  return fnv1a(lowered, length);
}

/** Adds a name of `parsed`, behind others that it may have. */
function add(name: usize, length: u32): void {
  const host = changetype<Host>(hosts + <usize>count * offsetof<Host>());
  count++;
  host.address.copy(parsed);
  host.name = name;
  host.nameLength = length;
  host.hash = hashOf(name, length);
  let link = buckets + ((<usize>(host.hash & mask)) << 2);
  while (load<usize>(link)) link = load<usize>(link) + offsetof<Host>("next");
  store<usize>(link, changetype<usize>(host));
}

/**
 * The address number `index`, from 0 on, of a name as text without a dot at its end; null when there is
 * none. Cost: one look at a chain of the table.
 */
export function hostsFind(name: usize, length: u32, index: u32): IpAddress | null {
  if (!count || length > NAME_MAX) return null;
  const hash = hashOf(name, length);
  let host = changetype<Host | null>(load<usize>(buckets + ((<usize>(hash & mask)) << 2)));
  while (host !== null) {
    const same = host.hash == hash && dnsSame(host.name, host.nameLength, name, length);
    if (same && index-- == 0) return host.address;
    host = host.next;
  }
  return null;
}
