import assert from "node:assert/strict";
import type { TcpSegment } from "../../../tools/sim/frames.ts";
import type { World } from "../harness.ts";
import { type Connected, connected, type ConnectOptions, MILLISECOND, pattern } from "./program.ts";

/** Bytes of a segment, and the round trip that the connection has measured, ms. */
export const SIZE = 1000;
export const RTT = 50;

/** A machine that sends, its segments told by their place in the flight, and a peer with SACK. */
export class Sender {
  readonly program;
  readonly peer;
  readonly socket;
  /** Sequence number of the flight's first byte. */
  base = 0;
  private queued = 0;
  private latest: TcpSegment | undefined;

  constructor(
    readonly world: World,
    options: ConnectOptions = {},
  ) {
    const it: Connected = connected(world, {
      mss: SIZE,
      window: 65535,
      sack: true,
      delay: RTT * MILLISECOND,
      ...options,
    });
    this.program = it.program;
    this.peer = it.peer;
    this.socket = it.socket;
    it.program.noDelay(it.socket);
    for (let round = 0; round < 4; round++) {
      this.send(10);
      for (let i = 0; i < 10; i++) this.latest = this.peer.take(this.peer.expect({}));
      this.wait(RTT);
      this.stamp();
      this.peer.send();
      this.wait(1);
    }
    this.peer.peer.inbox = [];
    this.begin();
  }

  /** What is sent from here on is counted from 0. */
  begin(): void {
    this.base = this.peer.rcvNxt;
  }

  /** Bytes of a full segment: timestamps take their part. */
  get size(): number {
    return this.peer.options.timestamps ? SIZE - 12 : SIZE;
  }

  at(index: number): number {
    return (this.base + index * this.size) >>> 0;
  }

  wait(ms: number): void {
    this.world.run(ms * MILLISECOND);
  }

  /** Lets the peer's next segments carry a TSval of now, and echo `segment`'s. */
  stamp(segment?: TcpSegment): void {
    const { timestamps } = this.peer.options;
    if (!timestamps) return;
    const echo = segment?.options.timestamps?.[0] ?? this.latest?.options.timestamps?.[0];
    this.peer.options = { timestamps: [timestamps[0] + 1, echo ?? timestamps[1]] };
  }

  /** The program sends `count` segments at once. */
  send(count: number): void {
    const bytes = count * this.size;
    assert.equal(this.program.send(this.socket, pattern(bytes, this.queued)), bytes);
    this.queued += bytes;
  }

  /** It sends segments `from` up to `to`, each a millisecond after the other; all go. */
  launch(from: number, to: number): TcpSegment[] {
    const segments = [];
    for (let index = from; index < to; index++) {
      this.send(1);
      this.wait(1);
      segments.push(this.goes(index));
    }
    return segments;
  }

  /** Segment `index` is the next to come, within `ms`. */
  goes(index: number, ms = 1): TcpSegment {
    const segment = this.peer.expect({ seq: this.at(index) }, ms * MILLISECOND);
    assert.equal(segment.payload.length, this.size);
    return segment;
  }

  /** Segments that come within `ms`, by their places. */
  come(ms: number): number[] {
    this.wait(ms);
    const inbox = this.peer.peer.inbox;
    const places = inbox
      .filter(({ tcp }) => tcp && tcp.payload.length)
      .map(({ tcp }) => ((tcp!.seq - this.base) >>> 0) / this.size);
    this.peer.peer.inbox = [];
    return places;
  }

  /** The peer acknowledges what is before segment `index`, and reports these segments. */
  ack(index: number, ...blocks: [number, number][]): void {
    this.peer.rcvNxt = this.at(index);
    this.peer.sack(...blocks.map(([from, to]): [number, number] => [this.at(from), this.at(to)]));
  }

  /** The peer acknowledges what is before segment `index`, without SACK. */
  plain(index: number): void {
    this.peer.rcvNxt = this.at(index);
    this.peer.send();
  }

  /** How long, in ms, until the next segment comes, which must be `index`. */
  until(index: number, limit = 2000): number {
    const before = this.world.simulation.now;
    this.goes(index, limit);
    return (this.world.simulation.now - before) / MILLISECOND;
  }
}

/** Holds that `value` is `wanted` within a timer's tick or two. */
export function near(value: number, wanted: number, tolerance = 4): void {
  assert.ok(Math.abs(value - wanted) <= tolerance, `${value} instead of ${wanted}`);
}
