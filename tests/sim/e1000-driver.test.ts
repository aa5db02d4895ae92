import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { E1000 } from "../../tools/sim/e1000.ts";
import { MILLISECOND } from "../../tools/sim/simulation.ts";
import { Bench, Counter, FAR, frame, OWN } from "./nic/bench.ts";

/** What only the E1000's driver has to do. */

describe("E1000 driver", () => {
  test("a frame in more than one buffer is dropped whole, and the next one is not", () => {
    const bench = new Bench({ conditions: { mtu: 9000 } });
    // Long packets enabled behind the driver's back (RCTL.LPE).
    bench.nic.write(0, 0x100, 4, bench.nic.read(0, 0x100, 4) | (1 << 5));
    const good: Uint8Array[] = [];
    for (let i = 0; i < 100; i++) {
      bench.hear(frame(2049 + ((i * 613) % 6900), OWN, FAR, i));
      good.push(frame(60 + i, OWN, FAR, i));
      bench.hear(good[i]!);
      if (i % 10 === 9) bench.run(3 * MILLISECOND);
    }
    bench.run();
    assert.deepEqual(bench.receiveAll(), good);
    assert.equal(bench.counter(Counter.ReceiveErrors), 100);
    bench.accounted();
  });

  test("an interrupt ends the sleep at once, and one is enough for a burst", () => {
    const bench = new Bench();
    const before = bench.counter(Counter.Interrupts);
    bench.run(50 * MILLISECOND);
    for (let i = 0; i < 50; i++) bench.hear(frame(1514, OWN, FAR, i));
    bench.run(MILLISECOND);
    assert.equal(bench.receiveAll().length, 50);
    const taken = bench.counter(Counter.Interrupts) - before;
    // 50 µs between two, for the 600 µs that the burst takes.
    assert.ok(taken >= 1 && taken <= 14, `${taken} interrupts`);
  });

  test("an EEPROM whose sum is wrong is not believed", () => {
    const spoil = (nic: E1000): void => {
      const { eeprom } = nic as unknown as { eeprom: { words: Uint16Array } };
      eeprom.words[10]! ^= 1;
    };
    const bench = new Bench<E1000>({ before: spoil });
    bench.machine.expectLine(/EEPROM sum is wrong, using the address register sum=/, 1);
    bench.machine.expectLine(/mac=52:54:00:5a:00:07/, 1);
  });
});
