import { config } from "../../kernel/config";
import { dnsFromText, dnsName, dnsNameLength, dnsSame } from "../wire/dns";

/**
 * The search list: the command line's, or if that says nothing those that came with the latest leases, each
 * domain once.
 */

/** Domains that are kept of a lease; as many as of the command line. */
const DOMAINS_MAX: u32 = 6;

/** Who told: whose domains come first. */
export const enum SearchSource {
  Dhcp = 0,
  Dhcpv6 = 1,
}
const SOURCES: u32 = 2;

/** Names on the wire, one behind the other, as leases gave them: `DOMAINS_MAX` names for each source. */
const learned: usize = memory.data(2 * 6 * 255);
const SOURCE_BYTES: usize = 6 * 255;
/** Of each source the lengths of its names, 0 behind the last. */
const lengths: usize = memory.data(2 * 6);
/** What the list is now, where the names are. */
const merged: usize = memory.data(2 * 6 * 4, 4);
let count: u32 = 0;
/** The place in `learned`, and the number, of the next name of the source that is being read. */
let used: usize = 0;
let names: u32 = 0;


@inline function lengthAt(source: u32, index: u32): usize {
  return lengths + (source * DOMAINS_MAX + index);
}

/** Forgets what the lease before said. */
export function searchForget(source: SearchSource): void {
  clear(source);
  merge();
}

function clear(source: SearchSource): void {
  memory.fill(lengthAt(source, 0), 0, DOMAINS_MAX);
  used = learned + <usize>source * SOURCE_BYTES;
  names = 0;
}

/** Takes over a list as DHCP has it (RFC 3397, 2; RFC 3646, 4): names, compressed as in a message that begins with it. */
export function searchLearn(source: SearchSource, at: usize, length: u32): void {
  clear(source);
  for (let offset: u32 = 0; offset < length && names < DOMAINS_MAX;) {
    offset = dnsName(at, length, offset, used);
    if (!offset) break;
    // The root is no domain to look in.
    if (dnsNameLength() > 1) keep(source, dnsNameLength());
  }
  merge();
}

/** Takes over a single domain, a text (RFC 2132, 3.17). */
export function searchLearnText(source: SearchSource, at: usize, length: u32): void {
  clear(source);
  // Some servers end it as C does.
  while (length && !load<u8>(at + length - 1)) length--;
  const size = dnsFromText(at, length, used);
  if (size > 1) keep(source, size);
  merge();
}

function keep(source: SearchSource, length: u32): void {
  store<u8>(lengthAt(source, names++), <u8>length);
  used += length;
}

/** Puts the sources' names one behind the other, those that are there already left out. */
function merge(): void {
  count = 0;
  for (let source: u32 = 0; source < SOURCES; source++) {
    let at = learned + <usize>source * SOURCE_BYTES;
    for (let i: u32 = 0; i < DOMAINS_MAX; i++) {
      const length = <u32>load<u8>(lengthAt(source, i));
      if (!length) break;
      let known = false;
      for (let j: u32 = 0; j < count; j++) {
        const other = load<u32>(merged + (j << 2));
        known = known || dnsSame(other, nameLength(other), at, length);
      }
      if (!known) store<u32>(merged + (count++ << 2), <u32>at);
      at += length;
    }
  }
}

/** Bytes of the name at `at`, its root included. */
function nameLength(at: usize): u32 {
  let length: u32 = 0;
  while (load<u8>(at + length)) length += 1 + load<u8>(at + length);
  return length + 1;
}

/** Domains in the list. */
export function searchCount(): u32 {
  return config.searchCount ? config.searchCount : count;
}

/** Writes domain `index` into `into`, which holds `DNS_NAME_MAX`: its length, or 0 if it is no name. */
export function searchDomain(index: u32, into: usize): u32 {
  if (config.searchCount) {
    return dnsFromText(config.searchAt(index), config.searchLength(index), into);
  }
  const at = load<u32>(merged + (index << 2));
  const length = nameLength(at);
  memory.copy(into, at, length);
  return length;
}
