import { Errno } from "../../kernel/errno";
import { now } from "../../kernel/clock";
import { reserveUncleared } from "../../kernel/memory";
import { Timer } from "../../kernel/timer";
import { INSIDE } from "../endpoint";
import { Tcb, tcpClose, tcpConnect, tcpOpen, tcpReceive, tcpSend } from "../tcp/tcp";
import { IpAddress } from "../wire/address";
import { DNS_HEADER, DNS_PORT } from "../wire/dns";

/**
 * A question by TCP (RFC 7766): one connection, one query, one answer, each behind its length. It serves for
 * answers that no datagram holds, which are few, so connections are not kept.
 */
@unmanaged
export class Stream {
  tcb: Tcb | null;
  /** Whose it is; 0 while it is free. */
  context: usize;
  /** Bytes of the query, with its length; 0 once it is sent. */
  private query: u32;
  /** Bytes of the query sent, then of the answer received. */
  private done: u32;


  @inline get buffer(): usize {
    return changetype<usize>(this) + offsetof<Stream>();
  }

  begin(context: usize, tcb: Tcb, query: usize, length: u32): void {
    this.context = context;
    this.tcb = tcb;
    this.query = length + 2;
    this.done = 0;
    store<u16>(this.buffer, <u16>(bswap<u32>(length) >>> 16));
    memory.copy(this.buffer + 2, query, length);
  }

  /** Goes on as far as the connection lets it: 0 for more to come, the answer's length, or -Errno. */
  advance(): i32 {
    const tcb = this.tcb!;
    while (this.query) {
      const sent = tcpSend(tcb, this.buffer + this.done, this.query - this.done, false);
      if (sent < 0) return sent == -Errno.EAGAIN ? 0 : sent;
      this.done += sent;
      if (this.done < this.query) continue;
      this.query = 0;
      this.done = 0;
    }
    while (true) {
      const length: u32 = this.done < 2 ? 0 : bswap<u32>(load<u16>(this.buffer)) >>> 16;
      if (this.done >= 2 && (length < DNS_HEADER || length > MESSAGE_MAX)) return -Errno.EMSGSIZE;
      if (this.done >= 2 && this.done == length + 2) return length;
      const taken = tcpReceive(tcb, this.buffer + this.done, length + 2 - this.done, false);
      if (taken == 0) return -Errno.ECONNRESET;
      if (taken < 0) return taken == -Errno.EAGAIN ? 0 : taken;
      this.done += taken;
    }
  }

  /** Ends it, if it has not. */
  end(): void {
    const tcb = this.tcb;
    if (tcb !== null) tcpClose(tcb);
    this.tcb = null;
    this.context = 0;
  }
}

/** Streams at a time. */
const STREAMS: u32 = 4;
/** Largest answer that is taken. */
export const MESSAGE_MAX: u32 = 16384;
const STREAM_BYTES: u32 = 16 + 2 + 16384 + 6;

let streams: usize = 0;
const wake = changetype<Timer>(memory.data(offsetof<Timer>(), 8));
let answeredFn: u32 = 0;

/**
 * Reserves the streams; `answered` gets an answer, whose bytes are there until it returns, or a `length` below
 * 0 when there will be none. The stream has then ended. Start-up only.
 */
export function streamsInit(answered: (context: usize, message: usize, length: i32) => void): void {
  assert(offsetof<Stream>() == 16);
  answeredFn = answered.index;
  streams = reserveUncleared(STREAMS * STREAM_BYTES, 8);
  for (let i: u32 = 0; i < STREAMS; i++) memory.fill(changetype<usize>(streamAt(i)), 0, 16);
  wake.init(advance, 0);
}


@inline function streamAt(index: u32): Stream {
  return changetype<Stream>(streams + <usize>index * STREAM_BYTES);
}

/** Begins to ask `server`; null when there is no room, or no way. */
export function streamBegin(
  context: usize,
  server: IpAddress,
  query: usize,
  length: u32,
): Stream | null {
  for (let i: u32 = 0; i < STREAMS; i++) {
    const stream = streamAt(i);
    if (stream.context) continue;
    const tcb = tcpOpen();
    if (tcb === null) return null;
    tcb.owner = INSIDE | news.index;
    if (tcpConnect(tcb, server, DNS_PORT) != -Errno.EINPROGRESS) {
      tcpClose(tcb);
      return null;
    }
    stream.begin(context, tcb, query, length);
    return stream;
  }
  return null;
}

/** TCP only marks: it must not be called from within. */
function news(): void {
  if (!wake.armed) wake.arm(now());
}

function advance(_context: usize, _now: u64): void {
  for (let i: u32 = 0; i < STREAMS; i++) {
    const stream = streamAt(i);
    if (stream.tcb === null) continue;
    const length = stream.advance();
    if (!length) continue;
    const context = stream.context;
    tcpClose(stream.tcb!);
    stream.tcb = null;
    // Until it returns the place is not free.
    call_indirect<void>(answeredFn, context, stream.buffer + 2, length);
    stream.context = 0;
  }
}
