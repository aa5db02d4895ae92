import { Packet, PacketFlag } from "../../kernel/packet";
import { IpAddress, v6Wire } from "./address";

/**
 * The Internet checksum (RFC 1071): the one's complement of the one's complement sum of 16-bit
 * words.
 *
 * The sum does not depend on byte order (RFC 1071, 2.B), so words are taken as the processor loads
 * them: a sum here is in load order, and a checksum goes to and from memory by a plain 16-bit load
 * or store, never through `bswap`.
 */

/** One's complement addition of 64-bit words: the carry comes in again at the bottom. */
@inline function add(total: u64, word: u64): u64 {
  const next = total + word;
  return next + u64(next < word);
}

/** Folds a sum to 16 bits; not complemented. */
@inline export function fold(sum: u32): u32 {
  sum = (sum & 0xffff) + (sum >>> 16);
  return (sum & 0xffff) + (sum >>> 16);
}

/**
 * Folds a sum of 64-bit words to 16 bits. A word added to itself with its halves exchanged holds their
 * sum, the carry come in again, in its upper half.
 */
@inline export function fold64(total: u64): u32 {
  const half = <u32>((total + rotl<u64>(total, 32)) >> 32);
  return (half + rotl<u32>(half, 16)) >>> 16;
}

/**
 * Adds `length` bytes at `address`, at any alignment, to the sum `initial`; returns it folded to
 * 16 bits. An odd last byte counts as if a zero followed it, so only the last of several runs may
 * be odd: see `swapped`.
 */
export function sum(address: usize, length: u32, initial: u32): u32 {
  let total: u64 = initial;
  // 64-bit words are as good as 16-bit ones: 2^16 is 1 modulo 2^16 - 1 (RFC 1071, 2.C).
  if (length >= 64) {
    // Four sums: none waits for the carry of another.
    let second: u64 = 0;
    let third: u64 = 0;
    let fourth: u64 = 0;
    do {
      total = add(total, load<u64>(address));
      second = add(second, load<u64>(address, 8));
      third = add(third, load<u64>(address, 16));
      fourth = add(fourth, load<u64>(address, 24));
      total = add(total, load<u64>(address, 32));
      second = add(second, load<u64>(address, 40));
      third = add(third, load<u64>(address, 48));
      fourth = add(fourth, load<u64>(address, 56));
      length -= 64;
      address += 64;
    } while (length >= 64);
    total = add(add(total, second), add(third, fourth));
  }
  // What is left by halves: a loop would end where no processor foresees it.
  if (length & 32) {
    const first = add(load<u64>(address), load<u64>(address, 8));
    total = add(total, add(first, add(load<u64>(address, 16), load<u64>(address, 24))));
    address += 32;
  }
  if (length & 16) {
    total = add(total, add(load<u64>(address), load<u64>(address, 8)));
    address += 16;
  }
  if (length & 8) {
    total = add(total, load<u64>(address));
    address += 8;
  }
  if (length & 4) {
    total = add(total, load<u32>(address));
    address += 4;
  }
  if (length & 2) {
    total = add(total, load<u16>(address));
    address += 2;
  }
  if (length & 1) total = add(total, load<u8>(address));
  return fold64(total);
}

/** `sum` of the 20 bytes of an IPv4 header without options. */
@inline export function sum20(address: usize): u32 {
  return fold64(add(add(load<u64>(address), load<u64>(address, 8)), load<u32>(address, 16)));
}

/** The sum of a run of bytes that starts at an odd position (RFC 1071, 2.B): its bytes swapped. */
@inline export function swapped(sum: u32): u32 {
  return ((sum & 0xff) << 8) | ((sum >>> 8) & 0xff);
}

/** The checksum to store for a sum. */
@inline export function finish(sum: u32): u32 {
  return ~fold(sum) & 0xffff;
}

/**
 * The checksum after one 16-bit word that it covers went from `before` to `after` (RFC 1624, 3,
 * equation 3), all in load order.
 */
@inline export function update16(checksum: u32, before: u32, after: u32): u32 {
  return finish((~checksum & 0xffff) + (~before & 0xffff) + after);
}

/** The same for a 32-bit word. */
@inline export function update32(checksum: u32, before: u32, after: u32): u32 {
  return update16(update16(checksum, before & 0xffff, after & 0xffff), before >>> 16, after >>> 16);
}

/**
 * The folded sum of the pseudo-header that a transport's checksum covers (RFC 9293, 3.1; RFC 768;
 * RFC 8200, 8.1). `length` is the transport header's and its payload's. Both addresses are of one
 * family.
 */
@inline export function pseudoHeaderSum(
  source: IpAddress,
  destination: IpAddress,
  protocol: u32,
  length: u32,
): u32 {
  // Both the 32-bit length of IPv6 and the 16-bit one of IPv4 sum to the same words.
  let total: u64 = <u64>bswap(length) + (protocol << 8);
  if (source.isV4) {
    total += bswap(source.v4);
    total += bswap(destination.v4);
  } else {
    // Words in our order sum to what their bytes exchanged would, exchanged (RFC 1071, 2.B).
    const from = add(v6Wire(source.hi), source.lo);
    const to = add(v6Wire(destination.hi), destination.lo);
    total = add(total, bswap(add(from, to)));
  }
  return fold64(total);
}

/**
 * Whether the transport checksum of a received packet is right. `packet.data` and `length` are the
 * transport header and its payload. Free where the device has checked it already.
 */
@inline export function transportChecksumValid(
  packet: Packet,
  protocol: u32,
  source: IpAddress,
  destination: IpAddress,
): bool {
  if (packet.flags & PacketFlag.TransportChecksumGood) return true;
  const pseudo = pseudoHeaderSum(source, destination, protocol, packet.length);
  return sum(packet.data, packet.length, pseudo) == 0xffff;
}

/** Where UDP's header has its checksum: the one transport in which a checksum of 0 means "none". */
const UDP_CHECKSUM: u32 = 6;

/**
 * Fills in the checksum of a packet that asks for it (`PacketFlag.ChecksumPending`), fragments
 * included: for devices that cannot.
 */
export function completeChecksum(packet: Packet): void {
  const start = packet.data + packet.checksumStart;
  let length = packet.length - packet.checksumStart;
  let total = sum(start, length, 0);
  for (let i: u32 = 0; i < packet.fragmentCount; i++) {
    const fragment = packet.fragment(i);
    const part = sum(fragment.address, fragment.length, 0);
    total = fold(total + (length & 1 ? swapped(part) : part));
    length += fragment.length;
  }
  let checksum = finish(total);
  // RFC 768: a computed checksum of zero goes out as all ones.
  if (!checksum && packet.checksumOffset == UDP_CHECKSUM) checksum = 0xffff;
  store<u16>(start + packet.checksumOffset, checksum);
  packet.flags &= ~(<u8>PacketFlag.ChecksumPending);
}
