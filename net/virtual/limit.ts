import {
  EXTENSION_UNIT,
  Extension,
  ExtensionHeader,
  FRAGMENT_HEADER,
  FragmentHeader,
  IPV6_HEADER,
  Ipv6Header,
  Ipv6Option,
} from "../wire/ipv6";

/**
 * The tunnel encapsulation limit (RFC 2473, 4.1.1): how many more tunnels a packet of a tunnel over IPv6 may go
 * into, in a destination options header behind the IPv6 header around it. Each entrance writes one less into the
 * next header; so a loop of tunnels ends, whoever they belong to.
 *
 *      0       1       2       3       4       5       6       7
 *     ┌───────┬───────┬───────┬───────┬───────┬───────┬───────┬───────┐
 *     │ next  │   0   │   4   │   1   │ limit │ PadN  │   1   │   0   │
 *     └───────┴───────┴───────┴───────┴───────┴───────┴───────┴───────┘
 */
export const LIMIT_HEADER: u32 = 8;

/** Headers that are looked at: what has more was made to keep us busy (net/ip/extensions.ts). */
const HEADERS_MOST: u32 = 4;
/** Type, length and the limit. */
const OPTION: u32 = 3;

/**
 * Where the limit stands in an IPv6 packet that begins with `length` bytes at `at`; 0 without one. The headers are
 * gone over from left to right until one is no extension header, or more than these bytes.
 */
export function limitAt(at: usize, length: u32): u32 {
  let next = changetype<Ipv6Header>(at).nextHeader;
  let offset = IPV6_HEADER;
  for (let i: u32 = 0; i < HEADERS_MOST; i++) {
    if (offset + EXTENSION_UNIT > length) return 0;
    const header = changetype<ExtensionHeader>(at + offset);
    let size: u32 = FRAGMENT_HEADER;
    if (next == Extension.Fragment) {
      if (changetype<FragmentHeader>(header).offset) return 0;
    } else {
      const options = next == Extension.DestinationOptions;
      if (!options && next != Extension.HopByHop && next != Extension.Routing) return 0;
      size = header.length;
      if (offset + size > length) return 0;
      const found = options ? optionAt(at + offset, size) : 0;
      if (found) return offset + found;
    }
    next = header.next;
    offset += size;
  }
  return 0;
}

/** Where the limit stands in a header of options of `length` bytes, 0 without one. */
function optionAt(header: usize, length: u32): u32 {
  for (let at: u32 = 2; at + OPTION <= length;) {
    const type: u32 = load<u8>(header + at);
    const size: u32 = load<u8>(header + at, 1);
    if (type == Ipv6Option.EncapsulationLimit && size == 1) return at + 2;
    at += type == Ipv6Option.Pad1 ? 1 : 2 + size;
  }
  return 0;
}

/** Writes the header, of `LIMIT_HEADER` bytes; `next` follows it. */
export function limitBuild(at: usize, next: u32, limit: u32): void {
  store<u8>(at, next);
  store<u8>(at, 0, 1);
  store<u8>(at, Ipv6Option.EncapsulationLimit, 2);
  store<u8>(at, 1, 3);
  store<u8>(at, limit, 4);
  store<u8>(at, Ipv6Option.PadN, 5);
  store<u16>(at, 1, 6);
}
