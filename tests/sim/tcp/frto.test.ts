import assert from "node:assert/strict";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import { simulate } from "../harness.ts";
import { pattern } from "./program.ts";
import { RTT, Sender } from "./sender.ts";

/** Where TCP_INFO has tcpi_rtt, µs (Linux's tcp.h). */
const INFO_RTT = 68;

/** Needless retransmissions, found and undone: RFC 5682, RFC 3522, RFC 2883. */

/** The time-out has come, and segment 0 has been sent again. `flight` segments are out. */
function timedOut(it: Sender, flight: number, more = 0): void {
  it.launch(0, flight);
  if (more) it.send(more);
  it.wait(1);
  it.come(0);
  const before = it.program.tcp.timeouts;
  while (it.program.tcp.timeouts === before) it.wait(5);
  assert.ok(it.come(0).includes(0));
}

/** How much goes when everything so far is acknowledged: the congestion window, in segments. */
function window(it: Sender, next: number): number {
  it.ack(next);
  it.wait(1);
  it.come(0);
  it.send(60);
  it.wait(1);
  return it.come(0).length;
}

const reno = { sack: false };

simulate("RFC 5682, 2.1, step 1: one segment is sent again, however small it is", (world) => {
  const it = new Sender(world, reno);
  const [SMALL, COUNT] = [100, 8];
  for (let i = 0; i < COUNT; i++) {
    it.program.send(it.socket, pattern(SMALL));
    it.wait(1);
  }
  it.come(0);
  const { timeouts } = it.program.tcp;
  while (it.program.tcp.timeouts === timeouts) it.wait(5);
  assert.deepEqual(it.come(1), [0]);
  // All were lost: what is sent again is all that the peer acknowledges, and no sign that they came late.
  const end = it.base + COUNT * SMALL;
  it.peer.rcvNxt = it.base + SMALL;
  it.peer.send();
  while (it.peer.rcvNxt < end) {
    it.peer.take(it.peer.expect({ seq: it.peer.rcvNxt }));
    it.peer.send();
  }
  assert.equal(it.program.tcp.spuriousTimeouts, 0);
});

simulate("RFC 5682, 2.1, step 2b: after the first ACK new segments go, not old ones", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.plain(1);
  assert.deepEqual(it.come(5), [6, 7]);
});

simulate("RFC 5682, 2.1, step 3b: an ACK of what was sent before: nothing was lost", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.plain(1);
  it.come(5);
  it.plain(2);
  it.plain(4);
  it.plain(6);
  const came = it.come(RTT);
  assert.ok(
    came.every((index) => index >= 8),
    `${came}`,
  );
  const { spuriousTimeouts, undos } = it.program.tcp;
  assert.deepEqual({ spuriousTimeouts, undos }, { spuriousTimeouts: 1, undos: 1 });
});

simulate("RFC 5682, 4: then the congestion window is what it was", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.plain(1);
  it.come(5);
  it.plain(2);
  it.wait(1);
  it.come(0);
  const restored = window(it, 10);
  assert.ok(restored >= 20, `${restored}`);
});

simulate("RFC 5682, 2.1, step 3a: a duplicate ACK: the rest is sent again", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.plain(1);
  it.come(5);
  it.plain(1);
  const came = it.come(5);
  assert.ok(came.length >= 1 && came[0] === 1, `${came}`);
  assert.equal(it.program.tcp.spuriousTimeouts, 0);
});

simulate("RFC 5682, 2.1, step 2a: a duplicate ACK first: the conventional way", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.plain(0);
  it.plain(1);
  assert.equal(it.come(5)[0], 1);
});

simulate("RFC 5682, 2.1, step 2a: an ACK of everything tells nothing", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.plain(6);
  it.wait(1);
  const { spuriousTimeouts } = it.program.tcp;
  assert.equal(spuriousTimeouts, 0);
});

simulate("RFC 5682, 2.1, step 2a: nor one of a part of the retransmission", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.peer.rcvNxt = it.at(0) + 500;
  it.peer.send();
  assert.equal(it.come(5)[0], 1);
});

simulate("RFC 5682, 2.1, step 2b: without new data the old is sent again", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.plain(1);
  assert.deepEqual(it.come(5), [1, 2]);
});

simulate("RFC 5682, 2.1, step 1: a second time-out of the segment begins anew", (world) => {
  const it = new Sender(world, reno);
  timedOut(it, 6);
  it.goes(0, 1000);
  it.send(4);
  it.wait(1);
  it.plain(1);
  assert.deepEqual(it.come(5), [6, 7]);
});

simulate("RFC 5682, 3.1, step 2: with SACK, duplicates do not end the wait", (world) => {
  const it = new Sender(world);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.ack(0);
  it.ack(1);
  assert.deepEqual(it.come(5), [6, 7]);
});

simulate("RFC 5682, 3.1, step 3b: a SACK of what was sent before: nothing was lost", (world) => {
  const it = new Sender(world);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.ack(1);
  it.come(5);
  it.ack(1, [2, 3]);
  const came = it.come(5);
  assert.ok(!came.includes(2), `${came}`);
  assert.equal(it.program.tcp.spuriousTimeouts, 1);
});

simulate("RFC 5682, 3.1, step 3a: a SACK of the new data: it is lost indeed", (world) => {
  const it = new Sender(world);
  timedOut(it, 6);
  it.send(4);
  it.wait(1);
  it.ack(1);
  it.come(RTT);
  it.ack(1, [6, 7]);
  const came = it.come(5);
  assert.equal(came[0], 1);
  assert.equal(it.program.tcp.spuriousTimeouts, 0);
});

simulate("RFC 3522, 3.2: the echo of an earlier TSval shows a needless recovery", (world) => {
  const it = new Sender(world, { timestamps: [1000, 0] });
  const segments = it.launch(0, 6);
  it.wait(RTT - 6);
  it.stamp(segments[1]);
  it.ack(0, [1, 2]);
  it.goes(0, 40);
  it.wait(1);
  // The original of 0 was late; what follows is still on its way.
  it.stamp(segments[0]);
  it.ack(2);
  it.wait(1);
  const { undos, fastRetransmits } = it.program.tcp;
  assert.deepEqual({ undos, fastRetransmits }, { undos: 1, fastRetransmits: 1 });
});

simulate("RFC 3522, 3.2, step 4: the echo of the retransmission does not", (world) => {
  const it = new Sender(world, { timestamps: [1000, 0] });
  const segments = it.launch(0, 6);
  it.wait(RTT - 6);
  it.stamp(segments[1]);
  it.ack(0, [1, 2]);
  const copy = it.goes(0, 40);
  it.wait(RTT);
  it.stamp(copy);
  it.ack(2);
  it.wait(1);
  assert.equal(it.program.tcp.undos, 0);
});

simulate("RFC 3522, 3.2, step 5: nor an ACK of everything, by itself", (world) => {
  const it = new Sender(world, { timestamps: [1000, 0] });
  const segments = it.launch(0, 2);
  it.wait(RTT - 2);
  it.stamp(segments[1]);
  it.ack(0, [1, 2]);
  it.goes(0, 40);
  it.stamp(segments[0]);
  it.ack(2);
  it.wait(1);
  assert.equal(it.program.tcp.undos, 0);
});

simulate("RFC 2883, 5: if all that was sent again came twice, it is undone", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.wait(RTT - 8);
  it.ack(0, [1, 2], [3, 8]);
  const came = it.come(2);
  assert.ok(came.includes(0) && came.includes(2), `${came}`);
  it.ack(8);
  it.ack(8, [0, 1]);
  it.wait(1);
  assert.equal(it.program.tcp.undos, 0);
  it.ack(8, [2, 3]);
  it.wait(1);
  assert.equal(it.program.tcp.undos, 1);
});

simulate("RFC 9438, 4.9: undone means that cwnd is what it was", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.wait(RTT - 8);
  it.ack(0, [1, 8]);
  it.goes(0);
  it.ack(8);
  it.ack(8, [0, 1]);
  const restored = window(it, 8);
  assert.ok(restored >= 20, `${restored}`);
});

simulate("RFC 2883, 5: a DSACK of what was never sent again changes nothing", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.wait(RTT - 8);
  it.ack(0, [1, 8]);
  it.goes(0);
  it.ack(8);
  it.peer.sack([it.at(0) - 3000, it.at(0) - 2000]);
  it.peer.sack([it.at(0) - 0x4000_0000, it.at(0) - 0x3fff_0000]);
  it.wait(1);
  assert.equal(it.program.tcp.undos, 0);
});

/** The smoothed round trip that TCP_INFO tells, ms. */
function smoothed(it: Sender): number {
  return it.program.optionData(it.socket, SocketOption.Info).getUint32(INFO_RTT, true) / 1000;
}

const stamped = { timestamps: [1000, 0] as [number, number] };

simulate("RFC 6298, 3: segments whose ACK was lost are not timed by the next ACK", (world) => {
  const it = new Sender(world, stamped);
  const before = smoothed(it);
  const flight = it.launch(0, 6);
  const { timeouts } = it.program.tcp;
  while (it.program.tcp.timeouts < timeouts + 3) it.wait(20);
  // All had arrived, and what came again is reported as a duplicate (RFC 2883, 4).
  it.stamp(flight[5]);
  it.ack(6, [0, 1]);
  it.wait(1);
  assert.equal(smoothed(it), before);
});

simulate("RFC 7323, 4.3 (B): nor by the ACK of data out of order", (world) => {
  const it = new Sender(world, stamped);
  const before = smoothed(it);
  const flight = it.launch(0, 3);
  while (!it.program.tcp.tlpProbes) {
    it.send(4);
    it.wait(400);
  }
  it.stamp(flight[2]);
  it.ack(3, [4, 5]);
  it.wait(1);
  assert.equal(smoothed(it), before);
});
