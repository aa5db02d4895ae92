import {
  ACK,
  describe,
  FIN,
  type Frame,
  Malformed,
  NOT_ECT,
  parse,
  RST,
  SYN,
  type TcpOptions,
  type TcpSegment,
} from "./frames.ts";
import type { Link, Port } from "./link.ts";

/**
 * Watches a link for what a correct host never sends. A machine's frames must parse, and what it
 * says on a TCP connection must agree with what both sides said before: each rule stands where it
 * is checked, with the RFC that makes it. Frames of test peers are only taken note of.
 */
export class Checker {
  /** Fingerprint of every frame sent on the link, in order, with its time. */
  trace = 0x811c9dc5;
  frames = 0;
  /** Off where a peer lies on purpose: what a machine answers to lies then follows from no rule. */
  followsTcp = true;
  private readonly flows = new Map<string, Flow>();

  constructor(
    link: Link,
    /** Whether a port belongs to a machine. */
    private readonly isChecked: (port: Port) => boolean,
    /** Whether what it sent may have been lost before it reached the link: its NIC was reset or had none. */
    private readonly mayHaveLost: (port: Port) => boolean,
  ) {
    link.observe((bytes, from, at) => this.observe(bytes, from, at));
  }

  private observe(bytes: Uint8Array, from: Port, at: number): void {
    this.frames++;
    let hash = Math.imul(this.trace ^ Math.floor(at), 16777619);
    for (const byte of bytes) hash = Math.imul(hash ^ byte, 16777619);
    this.trace = hash;
    const checked = this.isChecked(from);
    let frame: Frame;
    try {
      frame = parse(bytes);
    } catch (error) {
      if (!checked && error instanceof Malformed) return;
      if (error instanceof Malformed) error.message += ` in a frame from ${from.name}`;
      throw error;
    }
    if (frame.tcp && this.followsTcp)
      this.segment(frame, frame.tcp, checked, this.mayHaveLost(from));
  }

  private segment(frame: Frame, tcp: TcpSegment, checked: boolean, lossy: boolean): void {
    const { source, destination } = frame.ip!;
    const near = `${source}:${tcp.sourcePort}`;
    const far = `${destination}:${tcp.destinationPort}`;
    let flow = this.flows.get(`${near}>${far}`);
    let reverse = this.flows.get(`${far}>${near}`);
    const rule = (holds: boolean, what: string): void => {
      if (!holds && checked) throw new Malformed(`${what}: ${describe(frame)}`);
    };
    if (tcp.flags & SYN) {
      if (!(tcp.flags & ACK) && flow && reverse && live(flow, reverse)) {
        // Whether it begins anything is the other side's to say (RFC 5961, 4.2).
        if (flow.iss !== tcp.seq) flow.attempt = tcp;
        return;
      }
      if (reverse?.attempt && tcp.flags & ACK && tcp.ack === (reverse.attempt.seq + 1) >>> 0) {
        reverse = new Flow(reverse.attempt);
        this.flows.set(`${far}>${near}`, reverse);
        flow = undefined;
      }
      if (!flow || flow.iss !== tcp.seq || flow.reset) {
        // A SYN alone begins a connection; what was said under these ports before is history.
        if (!(tcp.flags & ACK) && reverse && !reverse.opening) {
          this.flows.delete(`${far}>${near}`);
          reverse = undefined;
        }
        flow = new Flow(tcp);
        this.flows.set(`${near}>${far}`, flow);
      }
      const stamp = tcp.options.timestamps?.[0];
      if (stamp !== undefined) flow.timestamp = later(flow.timestamp, stamp);
      rule(tcp.options.mss !== undefined, "SYN without an MSS option (RFC 9293, 3.7.1)");
      if (tcp.flags & ACK && reverse) {
        flow.rightEdge = later(flow.rightEdge ?? tcp.ack, tcp.ack + tcp.window);
        flow.lastAck ??= tcp.ack;
        flow.opening = false;
        reverse.opening = false;
        rule(!after(tcp.ack, reverse.sndMax), "acknowledges what was never sent (RFC 9293, 3.4)");
        const offered = reverse.syn;
        const unasked = (option: keyof TcpOptions) =>
          tcp.options[option] === undefined || offered[option] !== undefined;
        rule(unasked("windowScale"), "window scale that was not offered (RFC 7323, 2.2)");
        rule(unasked("timestamps"), "timestamps that were not offered (RFC 7323, 3.2)");
        rule(unasked("sackPermitted"), "SACK that was not offered (RFC 2018, 2)");
      }
      if (tcp.payload.length) {
        rule(
          (tcp.options.fastOpen?.length ?? 0) > 0,
          "data on a SYN without a cookie (RFC 7413, 3)",
        );
        flow.record((tcp.seq + 1) >>> 0, tcp.payload, rule);
        flow.sndMax = later(flow.sndMax, tcp.seq + 1 + tcp.payload.length);
      }
      rule(tcp.ecn === NOT_ECT, "ECN-capable SYN (RFC 3168, 6.1.1)");
      return;
    }
    if (tcp.flags & RST) {
      // Elsewhere a reset refuses an old segment, not the connection (RFC 9293, 3.10.7.3).
      if (flow?.sndMax === tcp.seq) flow.reset = true;
      return;
    }
    rule(flow !== undefined, "a segment of no connection");
    if (!flow) return;
    rule(!flow.reset, "a segment after a reset");
    if (!reverse) return;
    this.established(frame, tcp, flow, reverse, lossy, rule);
  }

  private established(
    frame: Frame,
    tcp: TcpSegment,
    flow: Flow,
    reverse: Flow,
    lossy: boolean,
    rule: (holds: boolean, what: string) => void,
  ): void {
    const { seq, ack, payload } = tcp;
    const end = (seq + payload.length) >>> 0;

    // Sequence numbers (RFC 9293, 3.4) and the stream that they number.
    rule(lossy || !after(seq, flow.sndMax), "sequence numbers were left out");
    const fresh = payload.length !== 0 && !after(flow.sndMax, seq);
    rule(tcp.ecn === NOT_ECT || fresh, "ECN-capable, but no new data (RFC 3168, 6.1.4 to 6.1.6)");
    if (payload.length) {
      flow.record(seq, payload, rule);
      const optionBytes = frame.ip!.payload.length - payload.length - 20;
      const mss = reverse.syn.mss ?? (frame.ipv6 ? 1220 : 536);
      rule(payload.length + optionBytes <= mss, `more than the MSS of ${mss} (RFC 6691, 2)`);
      // One octet past the edge is a window probe (RFC 9293, 3.8.6.1).
      const edge = reverse.rightEdge ?? (flow.iss + 1 + reverse.synWindow) >>> 0;
      rule(!after(end, edge + 1), "data beyond the window (RFC 9293, 3.4)");
      if (!reverse.acknowledged) {
        // And two segments by limited transmit, if a duplicate acknowledgment came (RFC 3042).
        const initial = Math.max(10 * mss, 14600) + 2 * mss;
        rule(
          (end - flow.iss - 1) >>> 0 <= initial,
          "more than the initial window (RFC 6928, 2) before the first acknowledgment",
        );
      }
    }
    if (flow.fin !== undefined && payload.length) {
      rule(!after(end, flow.fin), "data after FIN (RFC 9293, 3.6)");
    }
    if (tcp.flags & FIN) {
      rule(flow.fin === undefined || flow.fin === end, "FIN has moved (RFC 9293, 3.6)");
      flow.fin = end;
    }
    flow.sndMax = later(flow.sndMax, end + (tcp.flags & FIN ? 1 : 0));

    if (tcp.flags & ACK) {
      // A second equal acknowledgment lets the sender go on (RFC 3042).
      flow.acknowledged ||=
        after(ack, reverse.iss + 1) || (flow.lastAck === ack && flow.acks++ > 1);
      rule(!after(ack, reverse.sndMax), "acknowledges what was never sent (RFC 9293, 3.4)");
      if (flow.lastAck !== undefined) {
        rule(!after(flow.lastAck, ack), `acknowledgment went back from ${flow.lastAck}`);
      }
      flow.lastAck = later(flow.lastAck ?? ack, ack);
      const scaled = flow.syn.windowScale !== undefined && reverse.syn.windowScale !== undefined;
      const edge = (ack + tcp.window * 2 ** (scaled ? flow.syn.windowScale! : 0)) >>> 0;
      // Once the peer's FIN is acknowledged nothing can come, and the window means nothing.
      const over = reverse.fin !== undefined && ack === (reverse.fin + 1) >>> 0;
      if (flow.rightEdge !== undefined && !over) {
        rule(
          !after(flow.rightEdge, edge),
          `window shrank by ${(flow.rightEdge - edge) >>> 0} (RFC 9293, 3.8.6)`,
        );
      }
      flow.rightEdge = later(flow.rightEdge ?? edge, edge);
    }

    const stamped = flow.syn.timestamps !== undefined && reverse.syn.timestamps !== undefined;
    const { timestamps, sack } = tcp.options;
    rule(
      stamped === (timestamps !== undefined),
      "timestamps on some segments only (RFC 7323, 3.2)",
    );
    if (timestamps) {
      rule(!after(flow.timestamp, timestamps[0]), "timestamp went back (RFC 7323, 4.1)");
      flow.timestamp = later(flow.timestamp, timestamps[0]);
      rule(!after(timestamps[1], reverse.timestamp), "echoes a timestamp that was never sent");
    }
    if (sack) {
      rule(reverse.syn.sackPermitted === true, "SACK without permission (RFC 2018, 2)");
      for (const [left, right] of sack) {
        rule(after(right, left) && !after(right, reverse.sndMax), "SACK of what was never sent");
      }
    }
  }
}

/** Both sides have spoken, and neither has ended the connection for good. */
function live(one: Flow, other: Flow): boolean {
  if (one.opening || other.opening || one.reset || other.reset) return false;
  return one.fin === undefined || other.fin === undefined;
}

/** What one side of a connection has said. */
class Flow {
  readonly iss: number;
  readonly syn: TcpOptions;
  /** The window of its SYN, which is never scaled (RFC 7323, 2.2). */
  readonly synWindow: number;
  /** One past the highest sequence number sent. */
  sndMax: number;
  /** The farthest right edge that it offered. */
  rightEdge: number | undefined;
  lastAck: number | undefined;
  fin: number | undefined;
  timestamp: number;
  reset = false;
  /** A SYN in the middle of the connection, as yet without an answer. */
  attempt: TcpSegment | undefined;
  /** It has acknowledged data, or repeated itself. */
  acknowledged = false;
  acks = 0;
  /** Only its SYN was seen. */
  opening = true;
  private stream = new Uint8Array(4096);
  private streamLength = 0;

  constructor(tcp: TcpSegment) {
    this.iss = tcp.seq;
    this.syn = tcp.options;
    this.synWindow = tcp.window;
    this.sndMax = (tcp.seq + 1) >>> 0;
    this.timestamp = tcp.options.timestamps?.[0] ?? 0;
  }

  /** Keeps the payload, and holds it against what was sent under the same numbers before. */
  record(seq: number, payload: Uint8Array, rule: (holds: boolean, what: string) => void): void {
    const at = (seq - this.iss - 1) | 0;
    if (at < 0 || at > this.streamLength) return;
    while (at + payload.length > this.stream.length) {
      const larger = new Uint8Array(this.stream.length * 2);
      larger.set(this.stream);
      this.stream = larger;
    }
    const known = Math.min(payload.length, this.streamLength - at);
    for (let i = 0; i < known; i++) {
      if (payload[i] === this.stream[at + i]) continue;
      rule(false, `octet ${at + i} of the stream was sent with two values (RFC 9293, 3.8.1)`);
    }
    this.stream.set(payload.subarray(known), at + known);
    this.streamLength = Math.max(this.streamLength, at + payload.length);
  }
}

/** Whether sequence number `a` is after `b` (RFC 9293, 3.4). */
function after(a: number, b: number): boolean {
  return ((a - b) | 0) > 0;
}

function later(a: number, b: number): number {
  return after(a, b) ? a >>> 0 : b >>> 0;
}
