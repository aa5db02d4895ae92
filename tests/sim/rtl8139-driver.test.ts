import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ClassicMode } from "../../tools/sim/rtl8139-classic.ts";
import type { Rtl8139 } from "../../tools/sim/rtl8139.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { simulate } from "./harness.ts";
import { Bench, Call, Counter, FAR, frame, OWN, udpFrame } from "./nic/bench.ts";

/** What only the RTL8139's driver has to do, in either mode. */

/** A bench with the model's own faults at hand. */
function classicBench(unroutable = 0): { bench: Bench<Rtl8139>; mode: ClassicMode } {
  const bench = new Bench<Rtl8139>({ nic: "rtl8139", unroutable });
  return { bench, mode: (bench.nic as unknown as { classic: ClassicMode }).classic };
}

describe("RTL8139 driver, classic", () => {
  simulate("the command line has a C+ run as a classic one", (world) => {
    const { machine } = world.ready({
      nic: "rtl8139c+",
      commandLine: "gw=10.0.0.1 rtl8139=classic",
    });
    machine.expectLine(/eth0 Realtek RTL8139 mac=/, 1);
    const peer = world.peer();
    world.run(SECOND);
    assert.ok(peer);
  });

  test("the ring ends at every place in a frame", () => {
    const { bench } = classicBench();
    // 44 bytes a frame before the end: then each length from there on goes round.
    let offset = 0;
    const hear = (length: number): void => {
      const bytes = frame(length, OWN, FAR, offset);
      bench.hear(bytes);
      bench.run(MILLISECOND / 4);
      assert.deepEqual(bench.receiveAll(), [bytes], `${length} bytes at ${offset}`);
      offset = (offset + ((length + 8 + 3) & ~3)) % 65536;
    };
    for (let left = 4; left < 300; left += 4) {
      // Up to `left` bytes before the end of the ring, then a frame across it.
      for (let rest = 65536 - left - offset; rest; rest = 65536 - left - offset) {
        if (rest < 0) rest += 65536;
        hear(rest <= 1520 ? rest - 8 : rest < 1640 ? 800 : 1512);
      }
      hear(200 + (left % 7));
    }
    bench.accounted();
    assert.equal(bench.counter(Counter.ReceiveErrors), 0);
  });

  test("a header that lies about its length costs what is in the ring, and no more", () => {
    for (const length of [0, 3, 17, 2000, 65535, 65519]) {
      const { bench, mode } = classicBench();
      bench.hear(frame(100, OWN, FAR, 1));
      bench.run(MILLISECOND);
      mode.lieAboutLength(length);
      bench.run(MILLISECOND);
      bench.call(Call.Check);
      assert.equal(bench.receiveAll().length, 1);
      assert.equal(bench.counter(Counter.ReceiveErrors), 1, `${length}`);
      for (let i = 0; i < 200; i++) bench.hear(frame(700 + i, OWN, FAR, i));
      bench.run(10 * MILLISECOND);
      assert.equal(bench.receiveAll().length, 200, `after ${length}`);
      assert.equal(bench.counter(Counter.Resets), 0);
      bench.accounted();
    }
  });

  test("a frame that is still being written is waited for", () => {
    const { bench, mode } = classicBench();
    mode.lieAboutLength(0xfff0);
    bench.run(MILLISECOND);
    assert.equal(bench.counter(Counter.ReceiveErrors), 0);
    assert.equal(bench.receiveAll().length, 0);
    // Now it is whole.
    const header = bench.nic.read(1, 0x30, 4);
    bench.machine.view.setUint16(header + 2, 104, true);
    bench.run(2 * SECOND);
    assert.equal(bench.receiveAll().length, 1);
    bench.accounted();
  });

  test("a ring that overflows loses what came too late, and runs on", () => {
    const { bench } = classicBench();
    const stranded = bench.machine as unknown as { scheduleStep(at: number): void };
    stranded.scheduleStep(bench.simulation.now + 5 * MILLISECOND);
    for (let i = 0; i < 120; i++) bench.hear(frame(1000, OWN, FAR, i));
    bench.run(20 * MILLISECOND);
    const received = bench.receiveAll().length;
    bench.call(Call.Check);
    assert.ok(received >= 64 && received < 120, `${received} received`);
    assert.equal(received + bench.counter(Counter.ReceiveDropped), 120);
    for (let i = 0; i < 10; i++) bench.hear(frame(1000, OWN, FAR, i));
    bench.run();
    assert.equal(bench.receiveAll().length, 10);
    bench.accounted();
  });

  test("a receiver that overflowed goes on, though no interrupt tells of it", () => {
    const { bench } = classicBench(0xffff);
    const stranded = bench.machine as unknown as { scheduleStep(at: number): void };
    stranded.scheduleStep(bench.simulation.now + MILLISECOND);
    for (let i = 0; i < 600; i++) bench.hear(frame(1000, OWN, FAR, i));
    bench.run(20 * MILLISECOND);
    const received = bench.receiveAll().length;
    // 8 µs a frame: what came in the millisecond and found the ring full is lost, and little else.
    assert.ok(received > 520, `${received} received`);
    bench.accounted();
  });

  test("too many collisions: the frame is sent again, and counted", () => {
    const { bench, mode } = classicBench();
    mode.aborts = 1;
    for (let i = 0; i < 6; i++) bench.send(frame(100 + i));
    bench.run();
    bench.call(Call.Check);
    bench.run();
    assert.deepEqual(
      bench.heard.map((bytes) => bytes.length),
      [100, 101, 102, 103, 104, 105],
    );
    assert.equal(bench.counter(Counter.TransmitErrors), 1);
    bench.accounted();
  });

  test("each underrun raises the threshold, until there are none", () => {
    const { bench } = classicBench();
    bench.nic.underruns = 1000;
    bench.nic.underrunBelow = 32;
    for (let i = 0; i < 100; i++) {
      bench.send(frame(1000));
      bench.run(MILLISECOND);
    }
    assert.equal(bench.heard.length, 100);
    assert.ok(bench.nic.counts.underruns <= 12, `${bench.nic.counts.underruns} underruns`);
    bench.accounted();
  });

  test("each byte is copied, and nothing stays with the chip", () => {
    const { bench } = classicBench();
    bench.send(frame(14));
    bench.send(frame(1514), 700, 300);
    bench.run();
    assert.deepEqual(bench.heard[0]!.subarray(14), new Uint8Array(46));
    bench.accounted();
  });
});

describe("RTL8139 driver, C+", () => {
  test("a short frame that the chip sums up is filled up for it", () => {
    const bench = new Bench<Rtl8139>({ nic: "rtl8139c+" });
    for (const fragment of [0, 3]) {
      const right = new Uint8Array(60);
      right.set(udpFrame(5, FAR, OWN));
      const asked = udpFrame(5, FAR, OWN);
      asked.fill(0, 40, 42);
      bench.send(asked, fragment, 0, (34 << 16) | 6);
      bench.run();
      assert.deepEqual(bench.heard.pop(), right);
    }
    bench.accounted();
  });

  test("a frame in more than one buffer is dropped whole, and the next one is not", () => {
    const bench = new Bench<Rtl8139>({ nic: "rtl8139c+", conditions: { mtu: 9000 } });
    const good: Uint8Array[] = [];
    for (let i = 0; i < 100; i++) {
      bench.hear(frame(2049 + ((i * 613) % 2000), OWN, FAR, i));
      good.push(frame(60 + i, OWN, FAR, i));
      bench.hear(good[i]!);
      if (i % 10 === 9) bench.run(3 * MILLISECOND);
    }
    bench.run();
    assert.deepEqual(bench.receiveAll(), good);
    assert.equal(bench.counter(Counter.ReceiveErrors), 100);
    bench.accounted();
  });

  test("a doorbell that goes unheard is rung again by the next check", () => {
    const bench = new Bench<Rtl8139>({ nic: "rtl8139c+" });
    bench.nic.deaf = 1;
    bench.send(frame(100));
    bench.run(100 * MILLISECOND);
    assert.equal(bench.heard.length, 0);
    for (let i = 0; i < 2 && !bench.heard.length; i++) {
      bench.call(Call.Check);
      bench.run();
    }
    assert.deepEqual(bench.heard, [frame(100)]);
    bench.call(Call.Check);
    assert.equal(bench.counter(Counter.Resets), 0);
    bench.accounted();
  });

  test("each underrun raises the threshold, until there are none", () => {
    const bench = new Bench<Rtl8139>({ nic: "rtl8139c+" });
    bench.nic.underruns = 1000;
    bench.nic.underrunBelow = 32;
    for (let i = 0; i < 100; i++) {
      bench.send(frame(1000));
      bench.run(MILLISECOND);
    }
    assert.ok(bench.nic.counts.underruns <= 4, `${bench.nic.counts.underruns} underruns`);
    assert.equal(bench.counter(Counter.TransmitErrors), bench.nic.counts.underruns);
    bench.accounted();
  });

  test("more frames than the ring has descriptors, and nobody to look: the rest is counted", () => {
    const bench = new Bench<Rtl8139>({ nic: "rtl8139c+" });
    const stranded = bench.machine as unknown as { scheduleStep(at: number): void };
    stranded.scheduleStep(bench.simulation.now + 5 * MILLISECOND);
    for (let i = 0; i < 100; i++) bench.hear(frame(1000, OWN, FAR, i));
    bench.run(20 * MILLISECOND);
    const received = bench.receiveAll().length;
    bench.call(Call.Check);
    assert.equal(received, 64);
    assert.equal(bench.counter(Counter.ReceiveDropped), 36);
    bench.accounted();
  });
});
