import assert from "node:assert/strict";
import { inWorld, forSeeds, simulate, type World } from "../harness.ts";
import { MILLISECOND, pattern, Program, SECOND } from "./program.ts";

/** Two machines, each with this TCP, over links of every kind. */

/** Both directions at once; ends when both streams have, and holds that nothing is left. */
function exchange(world: World, bytes: number, patience: number): void {
  const near = world.ready({ ip: "10.0.0.2/24" });
  const far = world.ready({ ip: "10.0.0.3/24" });
  const server = new Program(far.machine);
  const client = new Program(near.machine);
  const listener = server.listen(80);
  const out = pattern(bytes);
  const back = pattern(bytes, 77);
  const ends = [
    {
      program: client,
      socket: client.connect("10.0.0.3", 80),
      send: out,
      wanted: back,
      sent: 0,
      got: 0,
      done: false,
    },
    { program: server, socket: -1, send: back, wanted: out, sent: 0, got: 0, done: false },
  ];
  const limit = world.simulation.now + patience;
  while (!ends.every((end) => end.done)) {
    assert.ok(
      world.simulation.now < limit,
      `stuck: ${ends.map((e) => `${e.sent}/${e.got}`).join(" ")}`,
    );
    world.run(5 * MILLISECOND);
    if (ends[1]!.socket < 0) ends[1]!.socket = server.accept(listener);
    for (const end of ends) {
      if (end.socket < 0 || end.done) continue;
      for (let result = 1; result > 0 && end.sent < bytes;) {
        result = end.program.send(end.socket, end.send.subarray(end.sent));
        if (result > 0) end.sent += result;
        else assert.equal(result, -11);
      }
      if (end.sent === bytes) end.program.endWriting(end.socket);
      for (;;) {
        const piece = end.program.receive(end.socket);
        if (typeof piece === "number") {
          assert.equal(piece, -11);
          break;
        }
        if (piece.length === 0) {
          end.done = end.sent === bytes;
          break;
        }
        assert.deepEqual(piece, end.wanted.subarray(end.got, end.got + piece.length));
        end.got += piece.length;
      }
    }
  }
  for (const end of ends) {
    assert.equal(end.got, bytes);
    end.program.close(end.socket);
  }
  world.run(200 * SECOND);
  for (const { program } of ends) {
    const { connections, timeWait, established } = program.tcp;
    const listeners = program === server ? 1 : 0;
    assert.deepEqual(
      { connections, timeWait, established },
      { connections: listeners, timeWait: 0, established: 0 },
    );
    assert.equal(program.packetsHeld, 0);
  }
}

simulate("a perfect link: both directions whole, everything given back", (world) => {
  exchange(world, 2_000_000, 60 * SECOND);
});

simulate(
  "a long fat link fills (RFC 7323, 2: a window beyond 64 KiB)",
  (world) => exchange(world, 2_000_000, 60 * SECOND),
  { delay: 20 * MILLISECOND, rate: 100_000_000, queue: 1 << 20 },
);

forSeeds("loss, reordering, duplication and damage", 12, (seed) => {
  inWorld(seed, (world) => exchange(world, 100_000, 600 * SECOND), {
    delay: 2 * MILLISECOND,
    loss: 0.02,
    duplicate: 0.01,
    reorder: 0.02,
    reorderDelay: 5 * MILLISECOND,
    damage: 0.005,
  });
});
