import assert from "node:assert/strict";
import { InfoField } from "../../../net/tcp/infolayout.ts";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import type { TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate } from "../harness.ts";
import { pattern } from "./program.ts";
import { near, Sender } from "./sender.ts";

/**
 * Messages shorter than a segment, one in flight at a time (net/tcp/recovery/lone.ts): what is measured and
 * timed, and what is repaired, is as for any other data.
 */

const MESSAGE = 100;

/** Sends one message; it leaves at once. */
function message(it: Sender): TcpSegment {
  assert.equal(it.program.send(it.socket, pattern(MESSAGE)), MESSAGE);
  const segment = it.peer.take(it.peer.expect({ length: MESSAGE }));
  return segment;
}

/** Messages that are acknowledged `ms` after they went, one after the other. */
function converse(it: Sender, count: number, ms: number): void {
  for (let i = 0; i < count; i++) {
    const segment = message(it);
    it.wait(ms);
    it.stamp(segment);
    it.peer.send();
    it.wait(1);
  }
}

simulate("RFC 6298, 2.3: the round trip of every message counts, and its rate is told", (world) => {
  const it = new Sender(world);
  converse(it, 60, 20);
  const view = it.program.optionData(it.socket, SocketOption.Info);
  near(view.getUint32(InfoField.Rtt, true) / 1000, 20, 1);
  near(view.getUint32(InfoField.MinRtt, true) / 1000, 20, 1);
  near(Number(view.getBigUint64(InfoField.DeliveryRate, true)), (MESSAGE * 1000) / 20, 500);
  assert.equal(it.program.tcp.retransmits, 0);
});

simulate(
  "RFC 8985, 7.2 and RFC 6298, 5.3: a message that is lost goes again in its time",
  (world) => {
    const it = new Sender(world);
    converse(it, 60, 20);
    const lost = message(it);
    // Two round trips and the ACK delay of 200 ms, or the time-out 200 ms above the round trip: that is sooner.
    let waited = 0;
    for (; it.peer.peer.inbox.length === 0 && waited < 1000; waited++) it.wait(1);
    near(waited, 220, 12);
    const again = it.peer.expect({ seq: lost.seq, length: MESSAGE });
    it.stamp(again);
    it.wait(20);
    it.peer.send();
    it.wait(1);
    assert.equal(it.program.tcp.timeouts, 0);
    // And the next ones are messages as before.
    converse(it, 5, 20);
    assert.equal(it.program.tcp.retransmits, 1);
  },
);

simulate("RFC 8985, 6.2: a message is found lost by what went after it", (world) => {
  const it = new Sender(world);
  converse(it, 5, 20);
  const lost = message(it);
  it.begin();
  it.launch(0, 4);
  it.wait(20);
  it.peer.rcvNxt = lost.seq;
  it.peer.sack([it.at(0), it.at(4)]);
  const again = it.peer.expect({ seq: lost.seq, length: MESSAGE }, 30_000_000);
  it.peer.rcvNxt = it.at(4);
  it.stamp(again);
  it.wait(20);
  it.peer.send();
  it.wait(1);
  const { rackLosses, timeouts, tlpProbes } = it.program.tcp;
  assert.deepEqual(
    { rackLosses, timeouts, tlpProbes },
    { rackLosses: 1, timeouts: 0, tlpProbes: 0 },
  );
  converse(it, 5, 20);
  assert.equal(it.program.tcp.retransmits, 1);
});

simulate("RFC 5681, 4.1: the window of a pause is not used up by a message after it", (world) => {
  const it = new Sender(world);
  it.wait(5000);
  converse(it, 1, 20);
  // Ten segments are the initial window (RFC 6928, 2), although more had been reached before.
  it.begin();
  it.wait(5000);
  const first = message(it);
  it.begin();
  it.send(40);
  it.wait(1);
  assert.ok(it.come(0).length <= 10, "no more than the initial window");
  assert.equal(first.payload.length, MESSAGE);
});
