import { Packet, PacketFlag } from "../../kernel/packet";
import { IpAddress } from "./address";

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
 * Adds `length` bytes at `address`, at any alignment, to the sum `initial`; returns it folded to
 * 16 bits. An odd last byte counts as if a zero followed it, so only the last of several runs may
 * be odd: see `swapped`.
 */
export function sum(address: usize, length: u32, initial: u32): u32 {
  let total: u64 = initial;
  // 64-bit words are as good as 16-bit ones: 2^16 is 1 modulo 2^16 - 1 (RFC 1071, 2.C).
  for (; length >= 32; length -= 32, address += 32) {
    total = add(total, load<u64>(address));
    total = add(total, load<u64>(address, 8));
    total = add(total, load<u64>(address, 16));
    total = add(total, load<u64>(address, 24));
  }
  for (; length >= 8; length -= 8, address += 8) total = add(total, load<u64>(address));
  if (length & 4) {
    total = add(total, load<u32>(address));
    address += 4;
  }
  if (length & 2) {
    total = add(total, load<u16>(address));
    address += 2;
  }
  if (length & 1) total = add(total, load<u8>(address));
  total = (total & 0xffff_ffff) + (total >> 32);
  return fold(<u32>((total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32)));
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
export function pseudoHeaderSum(
  source: IpAddress,
  destination: IpAddress,
  protocol: u32,
  length: u32,
): u32 {
  // Both the 32-bit length of IPv6 and the 16-bit one of IPv4 sum to the same words.
  let total: u64 = bswap(length);
  total += <u64>(protocol << 8);
  if (source.isV4) {
    total += bswap(source.v4);
    total += bswap(destination.v4);
  } else {
    total = add(total, bswap(source.hi));
    total = add(total, bswap(source.lo));
    total = add(total, bswap(destination.hi));
    total = add(total, bswap(destination.lo));
  }
  total = (total & 0xffff_ffff) + (total >> 32);
  return fold(<u32>((total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32)));
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
