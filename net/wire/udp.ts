import { swap16 } from "./bytes";

/**
 * UDP (RFC 768).
 *
 *      0             2                  4        6          8
 *     ┌─────────────┬──────────────────┬────────┬──────────┬─────────
 *     │ source port │ destination port │ length │ checksum │ payload
 *     └─────────────┴──────────────────┴────────┴──────────┴─────────
 */

export const UDP_HEADER: u32 = 8;
/** From the header to its checksum. */
export const UDP_CHECKSUM_OFFSET: u32 = 6;

/** Whether a whole header is there and its length lies between itself and the bytes received. */
@inline export function udpValid(at: usize, length: u32): bool {
  if (length < UDP_HEADER) return false;
  const claimed = changetype<UdpHeader>(at).length;
  return claimed >= UDP_HEADER && claimed <= length;
}

/** A header for which `udpValid`. */
@unmanaged
export class UdpHeader {

  @inline get sourcePort(): u32 {
    return swap16(load<u16>(changetype<usize>(this)));
  }


  @inline get destinationPort(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 2));
  }

  /** Of header and payload. */
  @inline get length(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 4));
  }

  /** In load order; 0: the sender computed none. */
  @inline get checksum(): u32 {
    return load<u16>(changetype<usize>(this), 6);
  }
}

/** Writes a header at `at`, in one piece for who sums it by words. `checksum` is in load order, of 16 bits. */
@inline export function udpBuild(
  at: usize,
  sourcePort: u32,
  destinationPort: u32,
  length: u32,
  checksum: u32,
): void {
  const ports: u32 = swap16(sourcePort) | (swap16(destinationPort) << 16);
  const rest: u32 = swap16(length) | (checksum << 16);
  store<u64>(at, (<u64>ports) | ((<u64>rest) << 32));
}
