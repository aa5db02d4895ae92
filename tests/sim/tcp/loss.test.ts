import assert from "node:assert/strict";
import { test } from "node:test";
import { inWorld, type World } from "../harness.ts";
import { EAGAIN, MILLISECOND, pattern, Program, SECOND } from "./program.ts";

/** Streams over links that lose much: what SACK, RACK and probes can repair without a time-out. */

const LENGTH = 200_000;
/** These, and no others: a probe may be lost as well. */
const SEEDS = 4;

/** Carries a stream from one machine to another; returns the sender's counters. */
function carry(world: World): Program["tcp"] {
  const client = new Program(world.ready({ ip: "10.0.0.2/24" }).machine);
  const server = new Program(world.ready({ ip: "10.0.0.3/24" }).machine);
  const listener = server.listen(80);
  const socket = client.connect("10.0.0.3", 80);
  const bytes = pattern(LENGTH);
  let accepted = -1;
  let sent = 0;
  let got = 0;
  for (const end = world.simulation.now + 60 * SECOND; got < LENGTH;) {
    assert.ok(world.simulation.now < end, `stuck at ${got} of ${sent}`);
    world.run(2 * MILLISECOND);
    while (sent < LENGTH) {
      const result = client.send(socket, bytes.subarray(sent));
      if (result < 0) {
        assert.equal(result, EAGAIN);
        break;
      }
      sent += result;
    }
    if (accepted < 0) accepted = server.accept(listener);
    for (;;) {
      const piece = accepted < 0 ? EAGAIN : server.receive(accepted);
      if (typeof piece === "number") break;
      assert.deepEqual(piece, bytes.subarray(got, got + piece.length));
      got += piece.length;
    }
  }
  return client.tcp;
}

for (const loss of [0.01, 0.03, 0.05]) {
  test(`RFC 8985, 9.1: with ${loss * 100} % lost, all is repaired without a time-out`, () => {
    const conditions = { delay: 10 * MILLISECOND, rate: 50_000_000, queue: 1 << 17, loss };
    for (let seed = 1; seed <= SEEDS; seed++) {
      inWorld(
        seed,
        (world) => {
          const { timeouts, retransmits } = carry(world);
          assert.equal(timeouts, 0, `seed ${seed}: and ${retransmits} retransmissions`);
        },
        conditions,
      );
    }
  });
}
