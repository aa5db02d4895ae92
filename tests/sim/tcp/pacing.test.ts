import assert from "node:assert/strict";
import { test } from "node:test";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import { FRAME, mean, PAYLOAD, runFlows } from "../../../tools/sim/flows.ts";
import { simulate, type World } from "../harness.ts";
import { kernelUnderTest } from "../kernel.ts";
import { connected, type Connected, MILLISECOND, pattern, SECOND } from "./program.ts";

/** Pacing: SO_MAX_PACING_RATE for any control, and quanta that keep fast flows fast. */

/** A connection with segments of 1,000 bytes that may send `rate` bytes/s. */
function paced(world: World, rate: number): Connected {
  const it = connected(world, { mss: 1000, window: 65535 });
  it.program.setOption(it.socket, SocketOption.MaxPacingRate, rate);
  return it;
}

/** When each of `count` segments came, ms; each is acknowledged at once. */
function arrivals({ world, peer }: Connected, count: number): number[] {
  return Array.from({ length: count }, () => {
    peer.take(peer.expect({ length: 1000 }, SECOND));
    peer.send();
    return world.simulation.now / MILLISECOND;
  });
}

function gaps(times: number[]): number[] {
  return times.slice(1).map((time, i) => time - times[i]!);
}

simulate(
  "SO_MAX_PACING_RATE: slow data leaves a segment at a time, as the rate has it",
  (world) => {
    const it = paced(world, 100_000);
    it.program.send(it.socket, pattern(20000));
    for (const gap of gaps(arrivals(it, 20))) {
      assert.ok(Math.abs(gap - 10) < 0.5, `${gap} ms instead of 10`);
    }
  },
);

simulate("SO_MAX_PACING_RATE: what leaves together is a millisecond's worth", (world) => {
  const it = paced(world, 10_000_000);
  it.program.send(it.socket, pattern(10000));
  arrivals(it, 10);
  world.run(10 * MILLISECOND);
  it.program.send(it.socket, pattern(20000));
  const times = arrivals(it, 20);
  // Ten at once and what the credit of 250 µs allows; the others a millisecond later.
  assert.ok(times[9]! - times[0]! < 0.5, `${times}`);
  const all = times[19]! - times[0]!;
  assert.ok(all > 0.6 && all < 1.6, `${all} ms`);
});

simulate("SO_MAX_PACING_RATE: without a rate the window leaves at once", (world) => {
  const it = connected(world, { mss: 1000, window: 65535 });
  it.program.send(it.socket, pattern(10000));
  const times = arrivals(it, 10);
  assert.ok(times[9]! - times[0]! < 0.5, `${times}`);
});

simulate("SO_MAX_PACING_RATE: taken back, what waits leaves at once", (world) => {
  const it = paced(world, 10_000);
  it.program.send(it.socket, pattern(8000));
  arrivals(it, 2);
  it.program.setOption(it.socket, SocketOption.MaxPacingRate, 0xffff_ffff);
  const begin = world.simulation.now / MILLISECOND;
  const times = arrivals(it, 6);
  // The next had its moment already; then nothing holds the others.
  assert.ok(times[5]! - begin < 101, `${times[5]! - begin} ms`);
  assert.ok(times[5]! - times[0]! < 1, `${times}`);
});

simulate("a paced connection's pause is no credit for a burst", (world) => {
  const it = paced(world, 100_000);
  it.program.send(it.socket, pattern(3000));
  arrivals(it, 3);
  world.run(150 * MILLISECOND);
  it.program.send(it.socket, pattern(5000));
  for (const gap of gaps(arrivals(it, 5))) assert.ok(gap > 9.5, `${gap} ms`);
});

simulate("a paced connection sends its FIN behind the last byte", (world) => {
  const it = paced(world, 100_000);
  it.program.send(it.socket, pattern(5000));
  it.program.endWriting(it.socket);
  const [, , , , last] = Array.from({ length: 5 }, () => {
    const segment = it.peer.expect({ length: 1000 }, SECOND);
    it.peer.take(segment);
    it.peer.send();
    return segment;
  });
  assert.ok(last!.flags & 1, "FIN on the last segment");
});

test("BBR at 200 Mbit/s and 2 ms: neither the wheel's tick nor the quantum is the limit", () => {
  const rate = 200e6;
  const { flows } = runFlows(kernelUnderTest(), {
    flows: [{ control: "bbr", start: 0, end: Infinity }],
    rate,
    delay: MILLISECOND,
    queue: 66 * FRAME,
    loss: 0,
    mark: Infinity,
    jitter: 0,
    duration: 0.8 * SECOND,
    seed: 1,
    samples: 80,
  });
  const got = mean(flows[0]!, (sample) => sample.rate, 0.3 * SECOND);
  assert.ok(got > (0.94 * rate * PAYLOAD) / FRAME, `${(got / 1e6).toFixed(1)} Mbit/s`);
});
