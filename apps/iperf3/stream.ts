import { Errno } from "../../kernel/errno";
import { monotonic } from "../../kernel/host";
import { reserve } from "../../kernel/memory";
import * as sockets from "../../kernel/socket";
import { MICROSECOND, SECOND } from "../../kernel/timer";
import { Parameters } from "./parameters";
import { UDP_BLOCK_MAX } from "./protocol";

/** Bytes sent in one piece. */
const BLOCK_BYTES: u32 = 131072;
/** Bytes of a stream that wait for acknowledgement: more would be counted long before they arrive. */
const QUEUE_MAX: u32 = 1 << 20;
/** Datagrams of a stream at a time: no more than a device's ring takes. */
const DATAGRAMS_MAX: u32 = 96;

let block: usize = 0;
let datagram: usize = 0;

/** Start-up only. */
export function streamsInit(): void {
  block = reserve(BLOCK_BYTES, 4096);
  datagram = reserve(UDP_BLOCK_MAX, 64);
  for (let i: u32 = 0; i < BLOCK_BYTES; i++) store<u8>(block + i, 0x30 + (i % 10));
  memory.copy(datagram, block, UDP_BLOCK_MAX);
}

/**
 * One data stream: sends or receives as fast as it may, and counts. Received bytes are counted
 * where they lie; TCP sends one block of memory again and again, in place.
 */
@unmanaged
export class Stream {
  /** Bytes sent or received; those of the omitted start. */
  bytes: u64;
  bytesOmitted: u64;
  /** Datagrams: sent, or the highest sequence number received. */
  packets: u64;
  packetsOmitted: u64;
  /** Datagrams missing; those of the omitted start. */
  errors: i64;
  errorsOmitted: i64;
  /** RFC 1889, 6.3.1: ns. */
  jitter: u64;
  private transit: i64;
  socket: u32;
  /** By which both sides name it. */
  id: u32;
  /** Goes up from one connection to the next. */
  order: u32;
  /** We send. */
  sending: bool;
  private jitterRuns: bool;

  /** What has been counted so far was the omitted start. */
  omit(): void {
    this.bytesOmitted = this.bytes;
    this.packetsOmitted = this.packets;
    this.errorsOmitted = this.errors;
    this.jitter = 0;
  }

  /** Takes all that waits of a TCP stream; counts it if `counting`. False when it is over. */
  receiveBytes(counting: bool): bool {
    while (true) {
      const got = sockets.peekRun(this.socket);
      if (got == -Errno.EAGAIN) return true;
      if (got <= 0) return false;
      const all = sockets.available(this.socket);
      if (counting) this.bytes += all;
      sockets.consume(this.socket, all);
    }
  }

  /** Takes all datagrams that wait; counts them if `counting`. */
  receiveDatagrams(counting: bool, wide: bool): void {
    while (true) {
      const got = sockets.peekRun(this.socket);
      if (got < 0) return;
      if (counting && got >= (wide ? 16 : 12)) {
        this.bytes += got;
        this.datagram(sockets.runAddress(), wide);
      }
      sockets.consume(this.socket, got);
    }
  }

  /** Seconds, microseconds and a sequence number begin each datagram. */
  private datagram(at: usize, wide: bool): void {
    const sent = <i64>bswap(load<u32>(at)) * SECOND + <i64>bswap(load<u32>(at, 4)) * MICROSECOND;
    const sequence: u64 = wide ? bswap(load<u64>(at, 8)) : bswap(load<u32>(at, 8));
    if (sequence > this.packets) {
      this.errors += sequence - this.packets - 1;
      this.packets = sequence;
    } else if (this.errors > 0) {
      // Late, not lost: it was counted as missing before.
      this.errors--;
    }
    const transit = <i64>monotonic() - sent;
    if (this.jitterRuns) {
      const difference = transit - this.transit;
      const change = (difference < 0 ? -difference : difference) - <i64>this.jitter;
      this.jitter += change / 16;
    }
    this.transit = transit;
    this.jitterRuns = true;
  }

  /** Fills a TCP stream's queue, up to `allowed` bytes sent in all. False when it is over. */
  sendBytes(allowed: u64): bool {
    while (this.bytes < allowed) {
      const queued = sockets.queued(this.socket);
      if (queued >= QUEUE_MAX) return true;
      const room = min<u32>(QUEUE_MAX - queued, BLOCK_BYTES);
      const length = <u32>min<u64>(room, allowed - this.bytes);
      const sent = sockets.sendStatic(this.socket, block, length);
      if (sent == -Errno.EAGAIN || sent == -Errno.ENOBUFS) return true;
      if (sent < 0) return false;
      this.bytes += length;
    }
    return true;
  }

  /** Sends datagrams, up to `allowed` bytes in all and `DATAGRAMS_MAX` at a time. */
  sendDatagrams(allowed: u64, p: Parameters): void {
    for (let i: u32 = 0; i < DATAGRAMS_MAX && this.bytes + p.block <= allowed; i++) {
      const time = monotonic();
      const sequence = this.packets + 1;
      store<u32>(datagram, bswap(<u32>(time / SECOND)));
      store<u32>(datagram, bswap(<u32>((time % SECOND) / MICROSECOND)), 4);
      if (p.wideCounters) store<u64>(datagram, bswap(sequence), 8);
      else store<u32>(datagram, bswap(<u32>sequence), 8);
      if (sockets.send(this.socket, datagram, p.block) < 0) return;
      this.packets = sequence;
      this.bytes += p.block;
    }
  }
}
