/**
 * Byte order. The compiler makes two instructions of this; of `bswap` of a 16-bit number it makes six.
 */

/** The lower two bytes of `value` exchanged: between the network's order and the processor's. */
@inline export function swap16(value: u32): u32 {
  return bswap<u32>(value) >>> 16;
}
