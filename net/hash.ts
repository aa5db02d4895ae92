/**
 * Hash of an address for tables of bounded size that are not worth attacking: a secret mixed in by
 * two multiplications, so that the chains cannot be foreseen from outside. Tables that strangers
 * can fill without bound use a keyed hash that withstands analysis (kernel/siphash.ts).
 */

let secret: u64 = 0x9e37_79b9_7f4a_7c15;

/** Sets the secret; before any table is used. */
export function hashInit(random: u64): void {
  secret ^= random;
}

/** Mixes an address and a small number (interface, port) to 32 bits. */
@inline export function addressHash(hi: u64, lo: u64, extra: u32): u32 {
  let mixed = (lo ^ secret) * 0xff51_afd7_ed55_8ccd;
  mixed = (mixed ^ (mixed >> 32) ^ hi ^ extra) * 0xc4ce_b9fe_1a85_ec53;
  return <u32>(mixed >> 32);
}
