import { swap16 } from "./bytes";
import { loadMac, storeMac, EtherType } from "./ethernet";

/**
 * ARP for IPv4 over Ethernet (RFC 826, "Packet format").
 *
 *      0      2      4   5   6    8         14        18        24        28
 *     ┌──────┬──────┬───┬───┬────┬─────────┬─────────┬─────────┬─────────┐
 *     │ hrd  │ pro  │hln│pln│ op │ sha     │ spa     │ tha     │ tpa     │
 *     └──────┴──────┴───┴───┴────┴─────────┴─────────┴─────────┴─────────┘
 */

/** Bytes of a packet for these address lengths. */
export const ARP_LENGTH: u32 = 28;

/** ar$op. */
export const enum ArpOperation {
  Request = 1,
  Reply = 2,
  /** RFC 903 */
  ReverseRequest = 3,
  ReverseReply = 4,
}

/** ar$hrd of Ethernet. */
const HARDWARE_ETHERNET: u32 = 1;
/** ar$hln = 6 and ar$pln = 4, as the 16 bits that they are. */
const ADDRESS_LENGTHS: u32 = 0x0604;

/** Whether `length` bytes at `at` are ARP for IPv4 over Ethernet; then every accessor is safe. */
export function arpValid(at: usize, length: u32): bool {
  return (
    length >= ARP_LENGTH &&
    swap16(load<u16>(at)) == HARDWARE_ETHERNET &&
    swap16(load<u16>(at, 2)) == EtherType.IPv4 &&
    swap16(load<u16>(at, 4)) == ADDRESS_LENGTHS
  );
}

/** A packet for which `arpValid`. */
@unmanaged
export class ArpPacket {

  @inline get operation(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 6));
  }

  /** ar$sha. */
  @inline get senderMac(): u64 {
    return loadMac(changetype<usize>(this) + 8);
  }

  /** ar$spa. */
  @inline get senderAddress(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 14));
  }

  /** ar$tha. */
  @inline get targetMac(): u64 {
    return loadMac(changetype<usize>(this) + 18);
  }

  /** ar$tpa. */
  @inline get targetAddress(): u32 {
    return bswap(load<u32>(changetype<usize>(this), 24));
  }
}

/** Writes a whole packet, `ARP_LENGTH` bytes at `at`. */
export function arpBuild(
  at: usize,
  operation: ArpOperation,
  senderMac: u64,
  senderAddress: u32,
  targetMac: u64,
  targetAddress: u32,
): void {
  store<u16>(at, swap16(<u16>HARDWARE_ETHERNET));
  store<u16>(at, swap16(<u16>EtherType.IPv4), 2);
  store<u16>(at, swap16(<u16>ADDRESS_LENGTHS), 4);
  store<u16>(at, swap16(<u16>operation), 6);
  storeMac(at + 8, senderMac);
  store<u32>(at, bswap(senderAddress), 14);
  storeMac(at + 18, targetMac);
  store<u32>(at, bswap(targetAddress), 24);
}
