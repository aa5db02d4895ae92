import assert from "node:assert/strict";
import { simulate } from "../harness.ts";
import { near, RTT, Sender } from "./sender.ts";

/** Tail loss probes: RFC 8985, 7. */

simulate("RFC 8985, 7.2: without an ACK a probe goes after two round trips", (world) => {
  const it = new Sender(world);
  it.launch(0, 3);
  // The last segment went at the end of a millisecond's wait.
  near(it.until(2), 2 * RTT - 1, 6);
  const { tlpProbes, timeouts } = it.program.tcp;
  assert.deepEqual({ tlpProbes, timeouts }, { tlpProbes: 1, timeouts: 0 });
});

simulate("RFC 8985, 7.2: an ACK of new data puts the probe off", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.wait(RTT);
  it.plain(1);
  near(it.until(3), 2 * RTT, 6);
});

simulate("RFC 8985, 7.2: for one segment it waits for a delayed ACK, or the time-out", (world) => {
  const it = new Sender(world);
  it.launch(0, 1);
  const waited = it.until(0);
  assert.ok(waited > 240 && waited < 275, `${waited}`);
  const { tlpProbes, timeouts } = it.program.tcp;
  assert.deepEqual({ tlpProbes, timeouts }, { tlpProbes: 1, timeouts: 0 });
});

simulate("RFC 8985, 7.3: the probe is new data if there is any", (world) => {
  const it = new Sender(world);
  it.send(64);
  it.wait(1);
  const flight = it.come(0).length;
  near(it.until(flight), 2 * RTT - 1, 6);
});

simulate("RFC 8985, 7.3: but not beyond the peer's window", (world) => {
  const it = new Sender(world);
  it.peer.window = 4000;
  it.launch(0, 1);
  it.wait(RTT - 1);
  it.plain(1);
  it.wait(1);
  it.send(8);
  it.wait(1);
  assert.deepEqual(it.come(0), [1, 2, 3, 4]);
  near(it.until(4), 2 * RTT - 1, 6);
});

simulate("RFC 8985, 7.3: one probe, then the time-out", (world) => {
  const it = new Sender(world);
  it.launch(0, 3);
  it.goes(2, 200);
  near(it.until(0), 250, 25);
  const { tlpProbes, timeouts } = it.program.tcp;
  assert.deepEqual({ tlpProbes, timeouts }, { tlpProbes: 1, timeouts: 1 });
});

simulate("RFC 8985, 7.3: no second probe before a round trip has been measured", (world) => {
  const it = new Sender(world);
  it.launch(0, 1);
  it.goes(0, 400);
  it.plain(1);
  it.wait(1);
  it.launch(1, 3);
  assert.deepEqual(it.come(2 * RTT + 50), []);
  it.goes(1, 400);
  assert.equal(it.program.tcp.timeouts, 1);
});

simulate("RFC 8985, 7.4.1: the probe's SACK shows what was lost", (world) => {
  const it = new Sender(world);
  it.launch(0, 6);
  it.goes(5, 200);
  it.wait(RTT + 5);
  it.ack(0, [5, 6]);
  const came = it.come(40);
  for (let acked = 1; acked < 5; acked++) {
    it.ack(acked, [5, 6]);
    came.push(...it.come(RTT));
  }
  assert.deepEqual(came, [0, 1, 2, 3, 4]);
  assert.equal(it.program.tcp.timeouts, 0);
});

simulate(
  "RFC 8985, 7.4.2: a loss that the probe repaired is one to congestion control",
  (world) => {
    const it = new Sender(world);
    it.launch(0, 3);
    it.goes(2, 200);
    it.plain(3);
    it.wait(1);
    assert.equal(it.program.tcp.tlpRecoveries, 0);
    it.launch(3, 4);
    it.plain(4);
    it.wait(1);
    assert.equal(it.program.tcp.tlpRecoveries, 1);
  },
);

simulate("RFC 8985, 7.4.2: a DSACK of the probe says that nothing was lost", (world) => {
  const it = new Sender(world);
  it.launch(0, 3);
  it.goes(2, 200);
  it.plain(3);
  it.ack(3, [2, 3]);
  it.wait(1);
  it.launch(3, 4);
  it.plain(4);
  it.wait(1);
  assert.equal(it.program.tcp.tlpRecoveries, 0);
});

simulate("RFC 8985, 7.4.2: so does a duplicate ACK without SACK", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.goes(3, 200);
  it.plain(4);
  it.launch(4, 5);
  it.plain(4);
  it.wait(1);
  it.plain(5);
  it.wait(1);
  assert.equal(it.program.tcp.tlpRecoveries, 0);
});

simulate("RFC 8985, 7.4.2: a probe of new data repairs nothing", (world) => {
  const it = new Sender(world);
  it.send(64);
  it.wait(1);
  const flight = it.come(0).length;
  it.goes(flight, 200);
  it.plain(flight + 1);
  it.wait(RTT);
  it.come(0);
  it.plain(flight + 2);
  it.wait(1);
  assert.equal(it.program.tcp.tlpRecoveries, 0);
});

simulate("RFC 8985, 7.2: nothing is probed while segments are sacked", (world) => {
  const it = new Sender(world);
  it.launch(0, 4);
  it.ack(0, [1, 4]);
  it.goes(0);
  assert.deepEqual(it.come(180), []);
  assert.equal(it.program.tcp.tlpProbes, 0);
});

simulate("RFC 8985, 3: without SACK there are no probes", (world) => {
  const it = new Sender(world, { sack: false });
  it.launch(0, 3);
  near(it.until(0), 250, 25);
  const { tlpProbes, timeouts } = it.program.tcp;
  assert.deepEqual({ tlpProbes, timeouts }, { tlpProbes: 0, timeouts: 1 });
});
