import { now } from "../../kernel/clock";
import { Packet } from "../../kernel/packet";
import { reserveUncleared } from "../../kernel/memory";
import { NEVER, TimerNode } from "../../kernel/timer";
import { IpAddress } from "../wire/address";
import { Flight } from "./recovery/flight";
import { Settings, settingsDefault } from "./settings";
import { tcpStats } from "./stats";
import { workRelease } from "./work";

/**
 * The transmission control block (RFC 9293, 3.3.1): all that a connection is. The first 128 bytes,
 * two cache lines, are what a segment in order touches; what follows is for the program's calls, and
 * what only a busy connection has stands apart (`Work`). Variables carry the RFC's names: SND.UNA is
 * `sndUna`.
 */

/** Connection states (RFC 9293, 3.3.2). */
export const enum State {
  Closed = 0,
  Listen = 1,
  SynSent = 2,
  SynReceived = 3,
  Established = 4,
  FinWait1 = 5,
  FinWait2 = 6,
  CloseWait = 7,
  Closing = 8,
  LastAck = 9,
  TimeWait = 10,
}

/** Bits of `Tcb.flags`. */
export const enum TcbFlag {
  /** An ACK is owed at the next output. */
  AckNow = 1 << 0,
  /** An ACK is owed when `delackAt` comes. */
  AckDelayed = 1 << 1,
  /** The program ended its stream: a FIN follows the last byte at `sndEnd`. */
  FinQueued = 1 << 2,
  /** The peer's FIN has been reached in order. */
  FinReceived = 1 << 3,
  /** The peer's FIN is known to stand at `rcvFin`, but bytes before it are missing. */
  FinPending = 1 << 4,
  /** Both sides sent the Timestamps option (RFC 7323, 3). */
  Timestamps = 1 << 5,
  /** Nagle's algorithm is off (RFC 9293, 3.7.4). */
  NoDelay = 1 << 6,
  KeepAlive = 1 << 7,
  /** In fast recovery, until `recover` is acknowledged (RFC 6582). */
  Recovery = 1 << 8,
  /** The SYN is being timed since `rttStart`. */
  RttTiming = 1 << 9,
  /** `rexmitAt` times window probes, not retransmissions (RFC 9293, 3.8.6.1). */
  Persisting = 1 << 10,
  /** The program has closed: nobody reads, and the block goes when the connection does. */
  Detached = 1 << 11,
  /** On the list of connections that want an output pass. */
  Dirty = 1 << 12,
  /** To be freed when it leaves the dirty list. */
  Free = 1 << 13,
  /** The program reads no more: bytes that arrive are acknowledged and dropped. */
  ReadShutdown = 1 << 14,
  /** The SYN was sent more than once: the initial window is one segment (RFC 6928, 2). */
  SynRetransmitted = 1 << 15,
  /** The first lost segment is to be sent again at the next output, whatever `cwnd` says. */
  RetransmitHead = 1 << 16,
  /** One segment is to be sent whatever the window says. */
  Probe = 1 << 17,
  /** A send was refused or cut short: the program wants to hear when there is room. */
  Blocked = 1 << 18,
  /** On the list of those that wait for packet memory. */
  Starved = 1 << 19,
  /** In the table of local ports. */
  Bound = 1 << 20,
  /** In the table of connections. */
  Hashed = 1 << 21,
  /** Waits in a listener's accept queue. */
  Unaccepted = 1 << 22,
  /** The congestion window, not the program or the peer, holds sending back. */
  CwndLimited = 1 << 23,
  /** A partial acknowledgment has come in this recovery (RFC 6582, 3.2, step 3). */
  PartialAck = 1 << 24,
  /** Both sides sent the Window Scale option (RFC 7323, 2.2). */
  Scaling = 1 << 25,
  /** Both sides sent the SACK-Permitted option (RFC 2018, 2). */
  Sack = 1 << 26,
  /** What has come is to be reported in a SACK option: see sackreport.ts. */
  SackDue = 1 << 27,
  /** Segments of the size in use have arrived: see plpmtud.ts. */
  SizeProven = 1 << 29,
  /** Opened by `connect`, and not established so far: a failure leaves a socket to connect again. */
  Opening = 1 << 30,
  /** The program holds back what does not fill a segment (TCP_CORK). */
  Cork = 1 << 31,
}

/** What tells one connection from another. 40 bytes, the head of everything that a table holds. */
@unmanaged
export class Tuple {
  private localHi: u64;
  private localLo: u64;
  private remoteHi: u64;
  private remoteLo: u64;
  localPort: u16;
  remotePort: u16;
  /** Keyed hash of the above; set by the table. */
  hash: u32;


  @inline get local(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }


  @inline get remote(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this) + offsetof<Tuple>("remoteHi"));
  }


  @inline setTuple(local: IpAddress, localPort: u32, remote: IpAddress, remotePort: u32): void {
    this.local.copy(local);
    this.remote.copy(remote);
    this.localPort = <u16>localPort;
    this.remotePort = <u16>remotePort;
  }


  @inline matches(local: IpAddress, localPort: u32, remote: IpAddress, remotePort: u32): bool {
    return (
      this.remotePort == remotePort &&
      this.localPort == localPort &&
      this.remoteLo == remote.lo &&
      this.localLo == local.lo &&
      this.remoteHi == remote.hi &&
      this.localHi == local.hi
    );
  }
}

/** A run of bytes to send: see sendqueue.ts. */
@unmanaged
export class Extent {
  next: Extent | null;
  /** Sequence number of the first byte. */
  seq: u32;
  length: u32;
  address: usize;
  /** The packet whose slot holds the bytes; null for memory that never changes. */
  packet: Packet | null;
  /** Bytes that still fit behind the last one. */
  room: u32;
}

/**
 * The working part of a connection: what means something only while it is being opened or closed,
 * while data waits or is in flight, or while it listens. It comes and goes: see work.ts.
 */
@unmanaged
export class Work extends Flight {
  /** Retransmission or window probe, keepalive, delayed ACK, giving up: ns, `NEVER` when off. */
  rexmitAt: u64;
  keepaliveAt: u64;
  delackAt: u64;
  lingerAt: u64;
  /** When to see whether the connection is at rest. */
  restAt: u64;
  /** When what is held back to fill a segment goes anyway: ns, `NEVER` when nothing is. */
  corkAt: u64;
  /** When data last went, and when SND.UNA last moved (or had to). */
  sentAt: u64;
  progressAt: u64;
  /** When a round trip was last measured: the next sample is of what goes after that. */
  rttStart: u64;
  iss: u32;
  irs: u32;
  /** For the accessors of `Tcb`. */
  sendHead: Extent | null;
  sendCursor: Extent | null;
  receiveTail: Packet | null;
  outOfOrder: usize;
  sndWl2: u32;
  lastAckSent: u32;
  rto: u32;
  outOfOrderSlots: u16;
  dupAcks: u8;
  acksOwed: u8;
  /** The NewReno variable (RFC 6582, 3.2). */
  recover: u32;
  /** Bytes in flight when the first duplicate ACK came. */
  lossFlight: u32;
  /** Where the peer's FIN stands, with `FinPending`. */
  rcvFin: u32;
  /** Copied bytes in the send queue. */
  sendBytes: u32;
  /** Pieces of static memory in the send queue. */
  sendStatics: u32;
  sendTail: Extent | null;
  /** Last run out of order, and how many there are. */
  outOfOrderTail: usize;
  outOfOrderRuns: u32;
  /** What came twice and has not been reported; equal if nothing did (RFC 2883). */
  dsackStart: u32;
  dsackEnd: u32;
  private recent0: u64;
  private recent1: u64;
  /** Challenge ACKs in the window of time that began at `challengeAt`, ms. */
  challengeAt: u32;
  challengeCount: u32;
  /** Slots that copies hold in the send queue, a large one counted for what it takes: budget.ts. */
  sendSlots: u16;
  /** Doublings of `rto` or of the probe interval since SND.UNA or the window moved. */
  backoff: u8;
  /** The program has said that more follows what it gave last (MSG_MORE). */
  more: bool;
  /** What there is goes at the next output, whatever holds it back. */
  push: bool;
  /** The size of segments (plpmtud.ts): `PathBit`s; sizes of a probe and of what a router claims; */
  path: u8;
  pathProbe: u16;
  pathClaim: u16;
  /** what the bits are about, sequence numbers; when to probe, ns, 0 for never. */
  pathEnd: u32;
  pathClaimed: u32;
  pathSearchAt: u64;
  /** Of a listener: connections to accept. */
  acceptHead: Tcb | null;
  acceptTail: Tcb | null;
  acceptCount: u16;
  backlog: u16;
  /** Time-outs of SYN and ACK for which it waits for data: see `listenerDefer`. */
  deferAccept: u8;
  /** While it opens: `FastOpen` bits, and bytes of data that went with the SYN. */
  fastOpen: u8;
  fastOpenBytes: u16;
  /**
   * Of a listener: Fast Open requests that are pending, and of those how many have been reset, the
   * last at `fastOpenResetAt`, ns (RFC 7413, 4.2 and 5.1).
   */
  fastOpenPending: u16;
  fastOpenResets: u16;
  fastOpenResetAt: u64;
  /** SYN, or SYN and ACK, is to be sent at the next output. */
  synDue: bool;
  /** What a SYN and ACK of ours grants (`ecnGrantFlags`). */
  synFlags: u16;
  /** Bytes/s at which data leaves, and when the next may: see pacing.ts; 0: as the windows allow. */
  pacingRate: u64;
  pacedAt: u64;
  /** What is left of the quantum that may leave before `pacedAt`, bytes. */
  paceLeft: u32;
  /** `cwnd` and `ssthresh` before the last reduction, to take it back. */
  priorCwnd: u32;
  priorSsthresh: u32;
  /** SND.MAX when the window was last reduced: marks of packets before it are answered (ecn.ts). */
  ecnRecover: u32;
  /** Accurate ECN (RFC 9768, 3.2.1): r.cep and s.cep, then r.ceb, s.ceb, r.e0b, r.e1b. */
  markedReceived: u32;
  markedSent: u32;
  bytesMarkedReceived: u32;
  bytesMarkedSent: u32;
  bytes0Received: u32;
  bytes1Received: u32;
  accurateBits: u16;
  /** Marked packets since our last segment. */
  marksPending: u8;
  /** autotune.ts: when the interval began, ns, and what the program has taken in it, and most ever. */
  tuneAt: u64;
  tuneBytes: u32;
  tuneTaken: u32;
  /** The round trip as the receiver sees it, µs; TSecr seen last; the edge being timed, since when. */
  tuneRoundTrip: u32;
  tuneEcho: u32;
  tuneEdge: u32;
  tuneEdgeAt: u64;
  /**
   * For TCP_INFO (info.ts), since the working part was taken: bytes of the stream sent, again included,
   * and those sent again; bytes received up to Last.ACK.sent, and when the last of them came, ns.
   */
  bytesSent: u64;
  bytesResent: u64;
  bytesReceived: u64;
  dataAt: u64;
  /** By the last ACK that told a rate (delivery.ts): so many bytes were delivered in so long, ns. */
  rateTime: u64;
  rateBytes: u32;
  /** Segments sent, and sent again; duplicates that the peer reported; transmissions overtaken. */
  segmentsSent: u32;
  segmentsResent: u32;
  duplicatesSeen: u32;
  overtaken: u32;
  /** Segments with data sent; segments received, and those with data. */
  dataSegmentsSent: u32;
  segmentsReceived: u32;
  dataSegmentsReceived: u32;

  /** Address of four sequence numbers, each in a run out of order, the newest first. */
  @inline get sackRecent(): usize {
    return changetype<usize>(this) + offsetof<Work>("recent0");
  }

  /** Address of the congestion control's own `CONTROL_BYTES`, which lie behind these fields. */
  @inline get control(): usize {
    return changetype<usize>(this) + CONTROL_AT;
  }
}


@unmanaged
export class Tcb extends Tuple {
  /** `TcbFlag` bits. */
  flags: u32;
  private stateByte: u8;
  /** Snd.Wind.Shift and Rcv.Wind.Shift (RFC 7323, 2.3). */
  sndScale: u8;
  rcvScale: u8;
  /** Data segments since our last ACK. */
  ackPending: u8;
  rcvNxt: u32;
  /** The right edge of the window as last advertised: RCV.NXT + RCV.WND. Never goes back. */
  rcvAdv: u32;
  sndUna: u32;
  /** Next to send for the first time; only the byte of a window probe may lie beyond it. */
  sndNxt: u32;

  /** One beyond the highest sequence number ever sent. */
  sndMax: u32;
  sndWnd: u32;
  sndWl1: u32;
  /** One beyond the last byte that the program gave; where the FIN goes. */
  sndEnd: u32;
  /** Congestion window, bytes (RFC 5681). */
  cwnd: u32;
  /** TS.Recent (RFC 7323, 4.3). */
  tsRecent: u32;
  private tsRecentUnit: u32;
  private receivedUnit: u32;
  /** Bytes in order that the program has not taken: see receivequeue.ts. */
  receiveHead: Packet | null;
  receiveBytes: u32;
  /** Slots that those bytes hold. */
  receiveSlots: u16;
  /** Payload bytes of a full-size segment: Eff.snd.MSS (RFC 9293, 3.7.1) less our options. */
  sndMss: u16;
  /** See `Work`. */
  private workAt: usize;
  dirtyNext: Tcb | null;
  /** Added to our clock in TSval (RFC 7323, 7.1). */
  tsOffset: u32;
  /** Whom to tell: the socket's number, 0 for nobody. */
  owner: u32;
  /** Errno of what ended the connection, or of what slows it down, until taken. */
  error: u8;
  softError: u8;
  /** Index into the table of congestion controls. */
  congestion: u8;
  keepaliveProbes: u8;

  // ---- What outlives a rest, but is not needed for a segment in order ------------------

  private timer0: u64;
  private timer1: u64;
  private timer2: u64;
  /** Smoothed round trip, eighths of a µs; its variation, quarters of a µs. */
  srtt: u32;
  rttvar: u32;
  ssthresh: u32;
  /** Largest window that the peer ever offered: MAX.SND.WND (RFC 5961, 5.2). */
  maxSndWnd: u32;
  /** The MSS that we sent, and that the peer sent or the default (RFC 9293, 3.7.1). */
  rcvMss: u16;
  peerMss: u16;
  /** Most slots of data received; `sendLimit`: least bytes of data copied in: see budget.ts. */
  receiveLimit: u16;
  /** See ecn.ts. */
  ecn: u8;
  /** `FixedBuffer` bits. */
  fixedBuffers: u8;
  sendLimit: u32;
  /** What a program may set and hardly ever does; shared. */
  settings: Settings;
  /** Next in the accept queue, the list of the starved, or the free list. */
  next: Tcb | null;
  /** Next with the same bucket of local ports. */
  portNext: Tcb | null;

  /** The working part, which `workEnsure` sees to. */
  @inline get work(): Work {
    if (!ASC_NO_ASSERT) assert(this.workAt != 0);
    return changetype<Work>(this.workAt);
  }


  @inline get hasWork(): bool {
    return this.workAt != 0;
  }


  @inline setWork(at: usize): void {
    this.workAt = at;
  }

  /** Its one node in the timer wheel. */
  @inline get timer(): TimerNode {
    return changetype<TimerNode>(changetype<usize>(this) + TIMER_AT);
  }

  /** When a segment last came: ns, rounded down to 2^20 of them. */
  @inline get receivedAt(): u64 {
    const unit = now() >> RECEIVED_SHIFT;
    return (unit - <u64>(<u32>unit - this.receivedUnit)) << RECEIVED_SHIFT;
  }


  @inline set receivedAt(at: u64) {
    this.receivedUnit = <u32>(at >> RECEIVED_SHIFT);
  }

  /** When `tsRecent` was set (RFC 7323, 5.5): ns, rounded down to 2^30 of them. */
  @inline get tsRecentAt(): u64 {
    return (<u64>this.tsRecentUnit) << TS_RECENT_SHIFT;
  }


  @inline set tsRecentAt(at: u64) {
    this.tsRecentUnit = <u32>(at >> TS_RECENT_SHIFT);
  }

  /**
   * When the peer's silence is next to be questioned: ns, `NEVER` when off. At rest that is the one
   * thing that the timer is for.
   */
  get keepaliveAt(): u64 {
    if (this.workAt) return this.work.keepaliveAt;
    return this.timer.armed ? this.timer.deadline : NEVER;
  }

  set keepaliveAt(at: u64) {
    if (this.workAt) this.work.keepaliveAt = at;
    else if (at == NEVER) this.timer.cancel();
    else this.timer.arm(at);
  }

  // ---- What stands in the working part, by the same names as the rest ------------------

  /** SND.WL2; at rest SND.UNA serves as well. */
  @inline get sndWl2(): u32 {
    return this.work.sndWl2;
  }


  @inline set sndWl2(ack: u32) {
    this.work.sndWl2 = ack;
  }

  /** Last.ACK.sent (RFC 7323, 4.3); at rest RCV.NXT. */
  @inline get lastAckSent(): u32 {
    return this.work.lastAckSent;
  }


  @inline set lastAckSent(ack: u32) {
    this.work.lastAckSent = ack;
  }

  /** The retransmission time-out, µs; at rest it follows from the round trip (rtt.ts). */
  @inline get rto(): u32 {
    return this.work.rto;
  }


  @inline set rto(us: u32) {
    this.work.rto = us;
  }

  /** Duplicate ACKs in a row. */
  @inline get dupAcks(): u8 {
    return this.work.dupAcks;
  }


  @inline set dupAcks(count: u8) {
    this.work.dupAcks = count;
  }

  /** Out-of-order segments to acknowledge one by one (RFC 5681, 4.2). */
  @inline get acksOwed(): u8 {
    return this.work.acksOwed;
  }


  @inline set acksOwed(count: u8) {
    this.work.acksOwed = count;
  }

  /** First run out of order, and the slots that hold such: see reassembly.ts. */
  @inline get outOfOrder(): usize {
    return this.work.outOfOrder;
  }


  @inline set outOfOrder(run: usize) {
    this.work.outOfOrder = run;
  }


  @inline get outOfOrderSlots(): u16 {
    return this.work.outOfOrderSlots;
  }


  @inline set outOfOrderSlots(count: u16) {
    this.work.outOfOrderSlots = count;
  }

  /** Bytes not acknowledged or not sent: see sendqueue.ts. */
  @inline get sendHead(): Extent | null {
    return this.work.sendHead;
  }


  @inline set sendHead(extent: Extent | null) {
    this.work.sendHead = extent;
  }

  /** The extent that holds `sndNxt`; null when there is nothing behind it. */
  @inline get sendCursor(): Extent | null {
    return this.work.sendCursor;
  }


  @inline set sendCursor(extent: Extent | null) {
    this.work.sendCursor = extent;
  }

  /** Last of `receiveHead`; what is left to be read after the end needs none. */
  @inline get receiveTail(): Packet | null {
    return this.work.receiveTail;
  }


  @inline set receiveTail(packet: Packet | null) {
    if (this.workAt) this.work.receiveTail = packet;
  }

  /** Where it stands; `setState` moves it. */
  @inline get state(): State {
    return <State>this.stateByte;
  }


  @inline set state(state: State) {
    this.stateByte = <u8>state;
  }

  /** RCV.WND: bytes that the peer may still send. */
  @inline get rcvWnd(): u32 {
    return this.rcvAdv - this.rcvNxt;
  }


  @inline has(flag: u32): bool {
    return (this.flags & flag) != 0;
  }


  @inline raise(flag: u32): void {
    this.flags |= flag;
  }


  @inline clear(flag: u32): void {
    this.flags &= ~flag;
  }
}

/** Units of `receivedAt`: 2^32 of them are 52 days; and of `tsRecentAt`: 146 years. */
const RECEIVED_SHIFT: u64 = 20;
const TS_RECENT_SHIFT: u64 = 30;

/** Where the timer stands. */
export const TIMER_AT: usize = 128;
/** Bytes of a block, three cache lines. */
export const TCB_BYTES: u32 = 192;
/** Where the congestion control's words lie in the working part, and how many bytes they are. */
export const CONTROL_AT: usize = 704;
export const CONTROL_BYTES: u32 = 128;
export const WORK_BYTES: u32 = <u32>CONTROL_AT + CONTROL_BYTES;

let blocks: usize = 0;
let count: u32 = 0;
/** Blocks from here on have never been used, so their pages have not been touched. */
let fresh: u32 = 0;
let free: Tcb | null = null;

/** Reserves room for `most` blocks. Start-up only. */
export function tcbInit(most: u32): void {
  assert(offsetof<Tcb>() == TCB_BYTES && offsetof<Tcb>("timer0") == TIMER_AT);
  blocks = reserveUncleared(most * TCB_BYTES, 64);
  count = most;
  fresh = 0;
  free = null;
}

/** Which of all blocks `at` is the address of, from 0; below what `tcbInit` was given. */
@inline export function tcbIndex(at: usize): u32 {
  return <u32>(at - blocks) / TCB_BYTES;
}

/** A zeroed block in CLOSED without a working part, or null when all are in use. */
export function tcbAllocate(): Tcb | null {
  let t = free;
  if (t !== null) {
    free = t.next;
  } else {
    if (fresh == count) return null;
    t = changetype<Tcb>(blocks + <usize>fresh * TCB_BYTES);
    fresh++;
  }
  memory.fill(changetype<usize>(t), 0, TCB_BYTES);
  t.settings = settingsDefault();
  tcpStats.connections++;
  return t;
}

/**
 * Gives a block back: it holds nothing and no table knows it. One that is on the list of the dirty
 * or the starved goes when the list lets go of it and calls again.
 */
export function tcbFree(t: Tcb): void {
  if (t.has(TcbFlag.Dirty | TcbFlag.Starved)) {
    t.raise(TcbFlag.Free);
    return;
  }
  workRelease(t);
  t.flags = 0;
  t.settings.release();
  t.next = free;
  free = t;
  tcpStats.connections--;
}

/** Moves to another state. */
export function setState(t: Tcb, state: State): void {
  const was = t.state;
  t.state = state;
  tcpStats.established += <u32>isCurrent(state) - <u32>isCurrent(was);
}

/** States that RFC 4022 counts as established now. */
@inline function isCurrent(state: State): bool {
  return state == State.Established || state == State.CloseWait;
}
