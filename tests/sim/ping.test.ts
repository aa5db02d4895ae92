import assert from "node:assert/strict";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { onEachNic, simulate, type World } from "./harness.ts";

/** Ping, through every driver. */

onEachNic((kind) => {
  const simulated = (name: string, body: (world: World) => void) =>
    simulate(name, body, {}, kind.name);

  /** Sends `count` echo requests of all sizes, 2 ms apart; returns how many were answered. */
  const echo = (world: World, peer: Peer, count: number): number => {
    let answered = 0;
    for (let i = 0; i < count; i++) {
      const payload = Uint8Array.from({ length: (i * 37) % 1473 }, (_, n) => n * i);
      peer.sendIcmp("10.0.0.2", { type: 8, code: 0, rest: (7 << 16) | i, payload });
      world.run(2 * MILLISECOND);
      for (const frame of peer.inbox.splice(0)) {
        if (frame.icmp?.type !== 0) continue;
        answered++;
        assert.equal(frame.icmp.rest >>> 16, 7);
      }
    }
    return answered;
  };

  simulated("600 echoes go around both rings", (world) => {
    world.ready();
    assert.equal(echo(world, world.peer(), 600), 600);
  });

  simulated("interrupts that get lost or come late cost time, not packets", (world) => {
    const { nic } = world.ready();
    nic.faults = { ...nic.faults, interruptLoss: 0.3, interruptDelay: 2 * MILLISECOND };
    const peer = world.peer();
    for (let i = 0; i < 50; i++) {
      peer.sendIcmp("10.0.0.2", { type: 8, code: 0, rest: i, payload: new Uint8Array(56) });
      world.run(50 * MILLISECOND);
    }
    world.run(2 * SECOND);
    assert.equal(peer.inbox.filter((frame) => frame.icmp?.type === 0).length, 50);
  });

  simulated("an unroutable interrupt line is polled", (world) => {
    world.ready({ unroutable: 0xffff });
    const peer = world.peer();
    peer.sendIcmp("10.0.0.2", { type: 8, code: 0, rest: 1, payload: new Uint8Array(56) });
    peer.expectIcmp(0, SECOND);
  });

  simulated("descriptors that lie and damaged frames do no harm", (world) => {
    const { nic } = world.ready();
    nic.faults = { ...nic.faults, lyingDescriptor: 0.2, badFrame: 0.2, completionDelay: 50000 };
    assert.equal(echo(world, world.peer(), 400), 400);
  });

  simulated("a hung transmitter is reset and works again", (world) => {
    const { machine, nic } = world.ready();
    const peer = world.peer();
    echo(world, peer, 3);
    const { resets } = nic.counts;
    nic.faults.hang = 1;
    echo(world, peer, 1);
    nic.faults.hang = 0;
    assert.equal(nic.hung, true);
    machine.expectLine(/transmitter hung/, 5 * SECOND);
    world.run(100 * MILLISECOND);
    assert.equal(echo(world, peer, 20), 20);
    assert.ok(nic.counts.resets > resets);
  });
});
