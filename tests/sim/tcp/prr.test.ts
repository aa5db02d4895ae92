import assert from "node:assert/strict";
import { simulate } from "../harness.ts";
import { RTT, Sender } from "./sender.ts";

/** How much goes during fast recovery: RFC 9937 (proportional rate reduction). */

/** Segments that fill the window, and what CUBIC makes of it after a loss: 0.7 of it. */
const FLIGHT = 26;
const SSTHRESH = 18;

/** A flight that fills the window, and more to send. */
function full(it: Sender): void {
  it.send(60);
  it.wait(RTT);
  assert.equal(it.come(0).length, FLIGHT);
}

simulate("RFC 9937, 6: the lost segment goes at once", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [1, 4]);
  assert.equal(it.come(1)[0], 0);
});

simulate("RFC 9937, 6: above ssthresh seven go for ten that arrive", (world) => {
  const it = new Sender(world);
  full(it);
  const sent = [];
  for (let end = 2; end <= 16; end++) {
    it.ack(0, [1, end]);
    sent.push(...it.come(1));
  }
  // Limited transmit for two, then in proportion to the fifteen: 0.7 each.
  assert.ok(sent.length >= 10 && sent.length <= 12, `${sent}`);
  assert.equal(sent.filter((index) => index === 0).length, 1);
});

simulate("RFC 9937, 6: an ACK that delivers nothing lets nothing go", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [1, 4]);
  it.come(1);
  for (let i = 0; i < 10; i++) it.ack(0, [1, 4]);
  assert.deepEqual(it.come(2), []);
});

simulate("RFC 9937, 6: after a great loss no more goes than arrives (PRR-CRB)", (world) => {
  const it = new Sender(world);
  full(it);
  // 0 to 21 are lost; what is in flight is far below ssthresh.
  it.ack(0, [22, 23]);
  it.ack(0, [22, 24]);
  it.come(1);
  it.ack(0, [22, 25]);
  const first = it.come(1);
  it.ack(0, [22, 26]);
  const second = it.come(1);
  assert.ok(first.length <= 3 && second.length <= 1, `${first} then ${second}`);
});

simulate("RFC 9937, 6: a segment more while SND.UNA advances without loss (PRR-SSRB)", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [22, 26]);
  const first = it.come(1);
  it.wait(RTT);
  it.ack(1, [22, 26]);
  const second = it.come(1);
  assert.equal(second.length, 2, `${first} then ${second}`);
});

simulate("RFC 9937, 6: recovery ends with cwnd at ssthresh", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [1, 4]);
  it.wait(RTT);
  const sent = it.come(0);
  const next = Math.max(...sent, FLIGHT - 1) + 1;
  it.ack(next);
  it.wait(1);
  assert.equal(it.come(0).length, SSTHRESH);
});

simulate("RFC 9937, 6: what goes in one recovery brings the flight to ssthresh", (world) => {
  const it = new Sender(world);
  full(it);
  let next = FLIGHT;
  for (let end = 4; end <= FLIGHT; end++) {
    it.ack(0, [1, end]);
    for (const index of it.come(1)) next = Math.max(next, index + 1);
  }
  // In flight: the retransmission, and what is new.
  const flying = next - FLIGHT + 1;
  assert.ok(flying >= SSTHRESH - 1 && flying <= SSTHRESH, `${flying}`);
});

simulate("RFC 8985, 9.3: one recovery reduces once, whatever it finds lost", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [1, 4]);
  it.come(1);
  it.ack(0, [1, 4], [6, 9]);
  it.come(20);
  it.ack(0, [1, 4], [6, 9], [11, 14]);
  it.come(20);
  const { fastRetransmits } = it.program.tcp;
  assert.equal(fastRetransmits, 1);
});

simulate("RFC 8985, 9.3: what a timer finds lost is no leave to send a burst", (world) => {
  const it = new Sender(world);
  full(it);
  it.ack(0, [24, 25]);
  // The reordering timer finds 0 to 23 lost; one goes.
  const came = it.come(30);
  assert.ok(came.length <= 3, `${came}`);
  assert.ok(came.includes(0));
});
