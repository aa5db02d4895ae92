/**
 * Bytes of streams that crossed the border to programs, and how many of them were copied for it,
 * wherever that was: what "zero copy" comes to. A lease, or memory that never changes, costs nothing;
 * a plain read or write one copy of each byte.
 */
@unmanaged
export class CopyStats {
  /** Bytes that programs have taken, and bytes copied on their way up. */
  received: u64;
  receivedCopied: u64;
  /** Bytes that programs have given to be sent, and bytes copied on their way down. */
  sent: u64;
  sentCopied: u64;
  /** Bytes, headers included, that the loopback copied in the place of a device. */
  looped: u64;
  /** Bytes, headers included, that drivers copied because their device reads and writes buffers of its own. */
  bouncedIn: u64;
  bouncedOut: u64;
  /** Bytes, headers included, that links over links copied: what a bridge floods to itself, too, and a tunnel's fragments. */
  tunnelled: u64;
}

export const copyStats = changetype<CopyStats>(memory.data(offsetof<CopyStats>(), 64));
