import assert from "node:assert/strict";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  type Connected,
  type ConnectOptions,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
} from "./program.ts";

/** What we report of segments out of order: RFC 2018, sections 2 to 4, and RFC 2883. */

/** The peer's segments are so long. */
const SIZE = 100;

function receiver(world: World, options: ConnectOptions = {}): Connected {
  return connected(world, { sack: true, ...options });
}

/** Sends the peer's `index`th segment of the stream. */
function segment({ peer }: Connected, index: number, count = 1): void {
  const seq = peer.iss + 1 + index * SIZE;
  peer.send({ seq, payload: pattern(count * SIZE, index * SIZE) });
}

/** The blocks of the next ACK, in segments from the stream's beginning. */
function reported({ peer }: Connected, acked: number): [number, number][] {
  const place = (edge: number) => (edge - peer.iss - 1) / SIZE;
  const { options } = peer.expect({ flags: ACK, ack: peer.iss + 1 + acked * SIZE });
  return (options.sack ?? []).map(([left, right]) => [place(left), place(right)]);
}

simulate("RFC 2018, 2: SACK-Permitted is offered in our SYN", (world) => {
  const { peer } = connecting(world);
  const syn = peer.accept({ mss: 1460 });
  assert.equal(syn.options.sackPermitted, true);
});

simulate("RFC 2018, 2: it is in our SYN and ACK if it was in the peer's SYN", (world) => {
  new Program(world.ready().machine).listen(PORT);
  const first = world.peer().tcp(MACHINE, PORT, 4000);
  assert.equal(first.connect({ mss: 1460, sackPermitted: true }).options.sackPermitted, true);
  const second = world.peer("10.0.0.9").tcp(MACHINE, PORT, 4000);
  assert.equal(second.connect({ mss: 1460 }).options.sackPermitted, undefined);
});

simulate("RFC 2018, 2: a peer that did not permit it gets no SACK option", (world) => {
  const it = connected(world);
  segment(it, 1);
  assert.deepEqual(reported(it, 0), []);
});

simulate("RFC 2018, 2: nor does one that did not answer our offer", (world) => {
  const it = connecting(world);
  it.peer.accept({ mss: 1460 });
  segment(it, 1);
  assert.deepEqual(reported(it, 0), []);
});

simulate("RFC 2018, 4: one that did gets the block that came out of order", (world) => {
  const it = connecting(world);
  it.peer.accept({ mss: 1460, sackPermitted: true });
  segment(it, 1);
  assert.deepEqual(reported(it, 0), [[1, 2]]);
});

simulate("RFC 2018, 4: a segment in order is acknowledged without SACK", (world) => {
  const it = receiver(world);
  segment(it, 0, 2);
  segment(it, 2);
  const ack = it.peer.expect({ flags: ACK });
  assert.equal(ack.options.sack, undefined);
});

simulate("RFC 2018, 4: the first block holds the newest segment", (world) => {
  const it = receiver(world);
  segment(it, 5);
  assert.deepEqual(reported(it, 0), [[5, 6]]);
  segment(it, 3);
  assert.deepEqual(reported(it, 0), [
    [3, 4],
    [5, 6],
  ]);
  segment(it, 6);
  assert.deepEqual(reported(it, 0), [
    [5, 7],
    [3, 4],
  ]);
});

simulate("RFC 2018, 4: a block is the whole run around the newest segment", (world) => {
  const it = receiver(world);
  segment(it, 2);
  reported(it, 0);
  segment(it, 4);
  reported(it, 0);
  segment(it, 3);
  assert.deepEqual(reported(it, 0), [[2, 5]]);
});

simulate("RFC 2018, 4: then the blocks reported most recently", (world) => {
  const it = receiver(world);
  for (const index of [9, 5, 7, 3]) {
    segment(it, index);
    it.peer.expect({ flags: ACK });
  }
  segment(it, 11);
  assert.deepEqual(reported(it, 0), [
    [11, 12],
    [3, 4],
    [7, 8],
    [5, 6],
  ]);
});

simulate("RFC 2018, 3: four blocks fit, and no more", (world) => {
  const it = receiver(world);
  for (const index of [2, 4, 6, 8, 10]) segment(it, index);
  world.run(MILLISECOND);
  for (let i = 0; i < 4; i++) it.peer.expect({ flags: ACK });
  assert.equal(reported(it, 0).length, 4);
});

simulate("RFC 2018, 3: beside timestamps three fit", (world) => {
  const it = receiver(world, { timestamps: [1000, 0] });
  for (const index of [2, 4, 6, 8]) segment(it, index);
  for (let i = 0; i < 3; i++) it.peer.expect({ flags: ACK });
  assert.equal(reported(it, 0).length, 3);
});

simulate("RFC 2018, 4: each block is in at least three reports", (world) => {
  const it = receiver(world, { timestamps: [1000, 0] });
  let seen = 0;
  for (const index of [2, 4, 6, 8, 10, 12]) {
    segment(it, index);
    seen += reported(it, 0).filter(([left]) => left === 2).length;
  }
  assert.equal(seen, 3);
});

simulate("RFC 2018, 4: what fills the gap moves the ACK, and the rest is still told", (world) => {
  const it = receiver(world);
  for (const index of [1, 3]) {
    segment(it, index);
    it.peer.expect({ flags: ACK });
  }
  segment(it, 0);
  assert.deepEqual(reported(it, 2), [[3, 4]]);
  segment(it, 2);
  assert.deepEqual(reported(it, 4), []);
});

simulate("RFC 2018, 4: data that goes the other way carries the report too", (world) => {
  const it = receiver(world, { mss: 1000 });
  segment(it, 1);
  assert.deepEqual(reported(it, 0), [[1, 2]]);
  it.program.send(it.socket, pattern(3000));
  const data = it.peer.expect({ length: 988 });
  assert.deepEqual(
    data.options.sack?.map((edges) => edges.map((edge) => (edge - it.peer.iss - 1) / SIZE)),
    [[1, 2]],
  );
});

simulate("RFC 2883, 4: a segment that came twice is the first block", (world) => {
  const it = receiver(world);
  segment(it, 0, 2);
  it.program.receive(it.socket);
  world.run(50 * MILLISECOND);
  it.peer.peer.inbox = [];
  segment(it, 0, 2);
  assert.deepEqual(reported(it, 2), [[0, 2]]);
});

simulate("RFC 2883, 4: a duplicate is reported once", (world) => {
  const it = receiver(world);
  segment(it, 0);
  segment(it, 0);
  assert.deepEqual(reported(it, 1), [[0, 1]]);
  segment(it, 2);
  assert.deepEqual(reported(it, 1), [[2, 3]]);
  assert.equal(it.program.tcp.dsacksOut, 1);
});

simulate("RFC 2883, 4.1.1: then follow the blocks beyond the ACK", (world) => {
  const it = receiver(world);
  segment(it, 0);
  segment(it, 2);
  it.peer.expect({ flags: ACK });
  segment(it, 0);
  assert.deepEqual(reported(it, 1), [
    [0, 1],
    [2, 3],
  ]);
});

simulate("RFC 2883, 4.1.2: only the part that came twice is the duplicate", (world) => {
  const it = receiver(world);
  segment(it, 0, 2);
  world.run(50 * MILLISECOND);
  it.peer.peer.inbox = [];
  segment(it, 1, 2);
  assert.deepEqual(reported(it, 3), [[1, 2]]);
});

simulate("RFC 2883, 4.2: one within a run is followed by the run", (world) => {
  const it = receiver(world);
  segment(it, 7);
  it.peer.expect({ flags: ACK });
  segment(it, 2, 3);
  it.peer.expect({ flags: ACK });
  segment(it, 7, 2);
  it.peer.expect({ flags: ACK });
  segment(it, 3);
  assert.deepEqual(reported(it, 0), [
    [3, 4],
    [2, 5],
    [7, 9],
  ]);
});

simulate("RFC 2883, 4: two duplicates in one burst are two reports", (world) => {
  const it = receiver(world);
  segment(it, 0, 4);
  world.run(50 * MILLISECOND);
  it.peer.peer.inbox = [];
  segment(it, 0);
  segment(it, 2);
  assert.deepEqual(reported(it, 4), [[0, 1]]);
  assert.deepEqual(reported(it, 4), [[2, 3]]);
});

simulate("RFC 2883, 4: without SACK-Permitted a duplicate is only acknowledged", (world) => {
  const it = connected(world);
  segment(it, 0);
  segment(it, 0);
  assert.deepEqual(reported(it, 1), []);
});
