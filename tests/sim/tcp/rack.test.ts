import assert from "node:assert/strict";
import { simulate } from "../harness.ts";
import { MILLISECOND } from "./program.ts";
import { near, RTT, Sender } from "./sender.ts";

/** What is lost, by SACK and time: RFC 8985, RFC 2018 (5 and 8), RFC 6675. */

simulate("RFC 8985, 6.2, step 4: three segments sacked, and the one before is lost", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.wait(RTT - 4);
  it.ack(0, [1, 2]);
  it.ack(0, [1, 3]);
  assert.deepEqual(it.come(2), []);
  it.ack(0, [1, 4]);
  it.goes(0);
  const { fastRetransmits, rackLosses } = it.program.tcp;
  assert.deepEqual({ fastRetransmits, rackLosses }, { fastRetransmits: 1, rackLosses: 1 });
});

simulate("RFC 8985, 6.2, step 5: with fewer, it is when min_RTT/4 has passed", (world) => {
  const it = new Sender(world);
  it.launch(0, 2);
  it.wait(RTT - 2);
  it.ack(0, [1, 2]);
  // Sent 1 ms before what is sacked.
  near(it.until(0), RTT / 4 - 1);
  assert.equal(it.program.tcp.timeouts, 0);
});

simulate("RFC 8985, 6.2, step 5: what arrives within that time was only late", (world) => {
  const it = new Sender(world);
  it.launch(0, 2);
  it.wait(RTT - 2);
  it.ack(0, [1, 2]);
  it.wait(5);
  it.plain(2);
  assert.deepEqual(it.come(400), []);
  assert.equal(it.program.tcp.retransmits, 0);
});

simulate("RFC 8985, 6.2, step 4: once segments have overtaken, three are not enough", (world) => {
  const it = new Sender(world);
  it.launch(0, 2);
  it.wait(RTT - 2);
  it.ack(0, [1, 2]);
  it.wait(5);
  it.plain(2);
  it.wait(1);
  it.launch(2, 8);
  it.wait(RTT - 6);
  it.ack(2, [3, 8]);
  near(it.until(2), RTT / 4 - 5);
});

simulate("RFC 8985, 6.2, step 4: a round with DSACK widens the window by min_RTT/4", (world) => {
  const it = new Sender(world);
  it.launch(0, 2);
  it.wait(RTT - 2);
  it.ack(0, [1, 2]);
  it.goes(0, 40);
  // The original was late, the copy needless.
  it.plain(2);
  it.ack(2, [0, 1]);
  it.wait(1);
  it.launch(2, 4);
  it.wait(RTT - 2);
  it.ack(2, [3, 4]);
  near(it.until(2), RTT / 2 - 1);
  assert.equal(it.program.tcp.dsacksIn, 1);
});

simulate("RFC 8985, 6.2, step 4: the window is never wider than SRTT", (world) => {
  const it = new Sender(world);
  for (let round = 0; round < 8; round++) {
    it.launch(0, 1);
    it.wait(RTT - 1);
    it.plain(1);
    it.ack(1, [0, 1]);
    it.wait(1);
    it.begin();
  }
  it.launch(0, 2);
  it.wait(RTT - 2);
  it.ack(0, [1, 2]);
  near(it.until(0), RTT - 1, 6);
});

simulate("RFC 8985, 6.2, step 5: what was sent after the sacked one is not lost", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.ack(0, [1, 4]);
  assert.deepEqual(it.come(20), [0]);
});

simulate("RFC 8985, 9.1: a lost retransmission is found and sent again", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.wait(RTT - 8);
  it.ack(0, [1, 4]);
  it.goes(0);
  it.ack(0, [1, 8]);
  it.wait(1);
  it.launch(8, 12);
  // Sent after the copy of 0, and delivered.
  it.wait(RTT);
  it.ack(0, [1, 12]);
  it.goes(0, 20);
  assert.equal(it.program.tcp.timeouts, 0);
});

simulate("RFC 8985, 9.1: of a burst sent at one time only the missing part is lost", (world) => {
  const it = new Sender(world);
  it.send(8);
  it.wait(RTT);
  assert.deepEqual(it.come(0), [0, 1, 2, 3, 4, 5, 6, 7]);
  it.ack(0, [2, 4], [5, 8]);
  assert.deepEqual(it.come(30).sort(), [0, 1, 4]);
});

simulate("RFC 2018, 5: what is sacked is not sent again", (world) => {
  const it = new Sender(world);
  it.launch(0, 10);
  it.ack(0, [1, 3], [4, 6], [7, 10]);
  assert.deepEqual(it.come(1), [0, 3, 6]);
  it.ack(3, [4, 6], [7, 10]);
  it.ack(6, [7, 10]);
  it.ack(10);
  assert.deepEqual(it.come(300), []);
});

simulate("RFC 2018, 5: a block that cuts a segment leaves it unsacked", (world) => {
  const it = new Sender(world);
  it.launch(0, 6);
  // All of 1, 2 and 3, and halves of 0 and 4.
  it.peer.rcvNxt = it.at(0);
  it.peer.sack([it.at(0) + 500, it.at(4) + 500]);
  assert.deepEqual(it.come(5), [0]);
});

simulate("RFC 2018, 5: blocks that cannot be are ignored", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  for (let i = 0; i < 4; i++) {
    it.ack(0, [4, 9], [3, 2]);
    it.peer.sack([it.at(0) + 0x8000_0000, it.at(4)]);
    it.peer.sack([it.at(0) - 50_000, it.at(3)], [it.at(2), it.at(2)]);
  }
  assert.deepEqual(it.come(40), []);
  const { sackBlocksIn, fastRetransmits } = it.program.tcp;
  assert.deepEqual({ sackBlocksIn, fastRetransmits }, { sackBlocksIn: 0, fastRetransmits: 0 });
});

simulate("RFC 2018, 8: data is kept until it is acknowledged, whatever was reported", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.ack(0, [1, 4]);
  it.goes(0);
  // The peer has dropped 1 to 3.
  it.plain(1);
  assert.deepEqual(it.come(100), []);
  it.goes(1, 1000);
  it.plain(2);
  it.goes(2);
  it.plain(3);
  it.goes(3);
  it.plain(4);
  assert.deepEqual(it.come(1000), []);
  assert.equal(it.program.tcp.reneges, 1);
});

simulate("RFC 2018, 5: after a time-out the left edge is sent, sacked or not", (world) => {
  const it = new Sender(world);
  it.launch(0, 2);
  it.ack(1, [1, 2]);
  it.goes(1, 1000);
});

simulate("RFC 8985, 6.3: a time-out marks the first segment and those as old", (world) => {
  const it = new Sender(world);
  it.launch(0, 1);
  it.wait(RTT);
  // Nothing acknowledges; the time-out's probe comes first, then the time-out.
  it.come(200);
  it.launch(1, 3);
  it.goes(0, 1000);
  assert.equal(it.program.tcp.timeouts, 1);
  // 1 and 2 were sent just before: they are not lost yet.
  assert.deepEqual(it.come(100), []);
});

simulate("RFC 6675, 5: fast recovery ends when all that was in flight is acknowledged", (world) => {
  const it = new Sender(world);
  it.launch(0, 8);
  it.ack(0, [1, 4]);
  it.goes(0);
  it.plain(8);
  it.wait(1);
  it.launch(8, 12);
  it.ack(8, [9, 12]);
  it.goes(8);
  assert.equal(it.program.tcp.fastRetransmits, 2);
});

simulate("RFC 6675, 5: several holes are repaired in one recovery", (world) => {
  const it = new Sender(world);
  it.launch(0, 12);
  it.ack(0, [1, 2], [3, 4], [5, 12]);
  it.goes(0);
  it.ack(2, [3, 4], [5, 12]);
  assert.deepEqual(it.come(1), [2, 4]);
  it.ack(12);
  it.wait(1);
  const { fastRetransmits, timeouts } = it.program.tcp;
  assert.deepEqual({ fastRetransmits, timeouts }, { fastRetransmits: 1, timeouts: 0 });
});

simulate("RFC 9293, 3.8.6: what is lost waits for the peer's window too", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.peer.window = 500;
  it.ack(0, [1, 4]);
  assert.equal(it.peer.expect({ seq: it.at(0) }).payload.length, 500);
  assert.deepEqual(it.come(20), []);
  it.peer.rcvNxt += 500;
  it.peer.window = 65535;
  it.peer.sack([it.at(1), it.at(4)]);
  assert.deepEqual(it.come(1), [0.5]);
});

simulate("RFC 3042: SACKs below the threshold let new segments go", (world) => {
  const it = new Sender(world, { window: 65535 });
  it.send(64);
  it.wait(RTT);
  const flight = it.come(0).length;
  assert.ok(flight < 64 && flight > 10, `${flight}`);
  it.ack(0, [1, 2]);
  assert.deepEqual(it.come(1), [flight]);
  it.ack(0, [1, 3]);
  assert.deepEqual(it.come(1), [flight + 1]);
});

simulate("a hostile peer that sacks every byte alone costs no memory", (world) => {
  const it = new Sender(world);
  it.send(20);
  it.wait(RTT);
  it.come(0);
  const before = it.program.tcp.transmissions;
  for (let at = it.base; at < it.base + 15_000; at += 8) {
    it.peer.sack([at + 1, at + 2], [at + 3, at + 4], [at + 5, at + 6], [at + 7, at + 8]);
  }
  it.wait(1);
  assert.ok(it.program.tcp.transmissions <= before + 1);
  it.plain(20);
  world.run(400 * MILLISECOND);
  assert.equal(it.program.tcp.transmissions, 0);
});
