import { config } from "../../kernel/config";
import { DNS_NAME_MAX, dnsFromText, dnsName, dnsNameLength } from "../wire/dns";

/**
 * The search list: the command line's, or if that says nothing the one that came with the latest lease.
 */

/** Domains that are kept; as many as of the command line. */
const DOMAINS_MAX: u32 = 6;

/** Names on the wire, one behind the other, as a lease gave them. */
const learned: usize = memory.data(6 * 255);
const starts: usize = memory.data(6 * 2, 2);
let count: u32 = 0;
let used: u32 = 0;

/** Forgets what the lease before said. */
export function searchForget(): void {
  count = 0;
  used = 0;
}

/** Takes over a list as DHCP has it (RFC 3397, 2): names, compressed as in a message that begins with it. */
export function searchLearn(at: usize, length: u32): void {
  searchForget();
  for (let offset: u32 = 0; offset < length && count < DOMAINS_MAX;) {
    offset = dnsName(at, length, offset, learned + used);
    if (!offset) return;
    // The root is no domain to look in.
    if (dnsNameLength() > 1) keep(dnsNameLength());
  }
}

/** Takes over a single domain, a text (RFC 2132, 3.17). */
export function searchLearnText(at: usize, length: u32): void {
  searchForget();
  // Some servers end it as C does.
  while (length && !load<u8>(at + length - 1)) length--;
  const size = dnsFromText(at, length, learned);
  if (size > 1) keep(size);
}

function keep(length: u32): void {
  store<u16>(starts + (count++ << 1), <u16>used);
  used += length;
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
  const start = <u32>load<u16>(starts + (index << 1));
  const end = index + 1 < count ? <u32>load<u16>(starts + (index << 1), 2) : used;
  assert(end - start <= DNS_NAME_MAX);
  memory.copy(into, learned + start, end - start);
  return end - start;
}
