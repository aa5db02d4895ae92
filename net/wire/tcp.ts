import { swap16 } from "./bytes";

/**
 * The TCP header (RFC 9293, 3.1) as typed accessors over its bytes.
 *
 *      0                   1                   2                   3
 *     ┌───────────────────────────────┬───────────────────────────────┐
 *   0 │          sourcePort           │        destinationPort        │
 *     ├───────────────────────────────┴───────────────────────────────┤
 *   4 │                           sequence                            │
 *     ├───────────────────────────────────────────────────────────────┤
 *   8 │                        acknowledgment                         │
 *     ├───────┬───────┬───────────────┬───────────────────────────────┤
 *  12 │ offset│  0  │      flags      │            window             │
 *     ├───────┴───────┴───────────────┼───────────────────────────────┤
 *  16 │           checksum            │         urgentPointer         │
 *     └───────────────────────────────┴───────────────────────────────┘
 *  20   options, padded to a multiple of 4
 *
 * Whoever overlays it has checked that `TCP_HEADER` bytes are there and that `headerLength` is
 * between `TCP_HEADER` and what the packet holds; then nothing here can fail.
 */

/** Bytes of a header without options (RFC 9293, 3.1). */
export const TCP_HEADER: u32 = 20;
/** Most bytes of a header: a data offset of 15 words. */
export const TCP_HEADER_MAX: u32 = 60;
/** Offset of the checksum field, for checksum offload. */
export const TCP_CHECKSUM_OFFSET: u32 = 16;

/** Control bits (RFC 9293, 3.1; ECE and CWR: RFC 3168, 6.1; AE: RFC 9768, 3.1). */
export const enum TcpFlag {
  FIN = 0x01,
  SYN = 0x02,
  RST = 0x04,
  PSH = 0x08,
  ACK = 0x10,
  URG = 0x20,
  ECE = 0x40,
  CWR = 0x80,
  AE = 0x100,
}

/** Where they lie in the two bytes that begin with the data offset. */
const FLAGS: u32 = 0x1ff;

/**
 * Option kinds: RFC 9293, 3.2; RFC 7323, 2.2 and 3.2; RFC 2018, 2 and 3; RFC 7413, 4.1.1;
 * RFC 9768, 3.2.3.
 */
export const enum TcpOption {
  End = 0,
  NoOperation = 1,
  MaximumSegmentSize = 2,
  WindowScale = 3,
  SackPermitted = 4,
  Sack = 5,
  Timestamps = 8,
  FastOpen = 34,
  AccurateEcn0 = 172,
  AccurateEcn1 = 174,
}


@unmanaged
export class TcpHeader {

  @inline get sourcePort(): u32 {
    return swap16(load<u16>(changetype<usize>(this)));
  }


  @inline set sourcePort(value: u32) {
    store<u16>(changetype<usize>(this), swap16(<u16>value));
  }


  @inline get destinationPort(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 2));
  }


  @inline set destinationPort(value: u32) {
    store<u16>(changetype<usize>(this), swap16(<u16>value), 2);
  }


  @inline get sequence(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }


  @inline set sequence(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }


  @inline get acknowledgment(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 8));
  }


  @inline set acknowledgment(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 8);
  }

  /** Bytes of header, options included. */
  @inline get headerLength(): u32 {
    return (load<u8>(changetype<usize>(this), 12) >>> 4) << 2;
  }
  /** A multiple of 4, `TCP_HEADER` to `TCP_HEADER_MAX`; the reserved bits and AE become 0. */
  @inline set headerLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>(value << 2), 12);
  }

  /** `TcpFlag` bits. */
  @inline get flags(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 12)) & FLAGS;
  }

  /** After `headerLength`, whose byte holds AE. */
  @inline set flags(value: u32) {
    const length = (<u32>load<u8>(changetype<usize>(this), 12)) & 0xf0;
    store<u16>(changetype<usize>(this), swap16(<u16>((length << 8) | value)), 12);
  }

  /** As on the wire: not scaled. */
  @inline get window(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 14));
  }


  @inline set window(value: u32) {
    store<u16>(changetype<usize>(this), swap16(<u16>value), 14);
  }

  /** The field's two bytes as they stand in memory. */
  @inline get checksum(): u16 {
    return load<u16>(changetype<usize>(this), 16);
  }


  @inline set checksum(value: u16) {
    store<u16>(changetype<usize>(this), value, 16);
  }


  @inline get urgentPointer(): u32 {
    return swap16(load<u16>(changetype<usize>(this), 18));
  }


  @inline set urgentPointer(value: u32) {
    store<u16>(changetype<usize>(this), swap16(<u16>value), 18);
  }

  /** All fields, of which the checksum is as it stands in memory; the urgent pointer is 0. */
  @inline write(
    sourcePort: u32,
    destinationPort: u32,
    sequence: u32,
    acknowledgment: u32,
    headerLength: u32,
    flags: u32,
    window: u32,
    checksum: u32,
  ): void {
    const ports = bswap<u32>((sourcePort << 16) | destinationPort);
    const third = bswap<u32>((headerLength << 26) | (flags << 16) | window);
    store<u64>(changetype<usize>(this), (<u64>ports) | ((<u64>bswap<u32>(sequence)) << 32));
    store<u64>(
      changetype<usize>(this),
      (<u64>bswap<u32>(acknowledgment)) | ((<u64>third) << 32),
      8,
    );
    store<u32>(changetype<usize>(this), checksum, 16);
  }

  /** Address of the first option. */
  @inline get options(): usize {
    return changetype<usize>(this) + TCP_HEADER;
  }
}
