import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Host, PciDevice } from "../../tools/sim/device.ts";
import { fold, wordSum } from "../../tools/sim/e1000-parts.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import { NICS } from "../../tools/sim/nics.ts";
import { PciFunction } from "../../tools/sim/pci.ts";
import { MICROSECOND, MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import {
  Bench,
  Call,
  Counter,
  expectSegments,
  FAR,
  frame,
  OWN,
  Owner,
  tcpBurst,
  udpFrame,
} from "./nic/bench.ts";

/**
 * Every NIC's driver by its operations, on the register model: what any driver must do. What only
 * one has is in a file of its own (e1000-driver.test.ts).
 */

for (const kind of NICS) {
  const nic = kind.name;
  /** By how much its wire is slower than the fastest. */
  const slower = 1000 / kind.mbit;
  describe(nic, () => {
    test("sends a batch with one doorbell, in order", () => {
      const bench = new Bench({ nic });
      const doorbells = bench.nic.counts.doorbells;
      const frames = Array.from({ length: 40 }, (_, i) => frame(60 + i * 36, FAR, OWN, i));
      // Queued behind the first step of the machine's, so one batch or two.
      for (const bytes of frames) bench.send(bytes);
      bench.run();
      assert.deepEqual(bench.heard, frames);
      if (!kind.copies) assert.ok(bench.nic.counts.doorbells - doorbells <= 2);
      bench.accounted();
      assert.equal(bench.counter(Counter.SentPackets), 40);
      const descriptors = bench.counter(Counter.TransmitDescriptors);
      assert.ok(descriptors >= 40);
      assert.equal(bench.counter(Counter.TransmitDone), descriptors);
    });

    test("sends packets in one, two and three pieces, at every odd boundary", () => {
      const bench = new Bench({ nic });
      for (let first = 0; first < 5; first++) {
        for (let second = 0; second < 5; second++) {
          const bytes = frame(200 + first * 7, FAR, OWN, first * 5 + second);
          bench.send(bytes, first * 17, second * 11);
          bench.run(MILLISECOND);
          assert.deepEqual(bench.heard.pop(), bytes, `${first} ${second}`);
        }
      }
      bench.accounted();
    });

    test("pads short frames and sends the longest", () => {
      const bench = new Bench({ nic });
      bench.send(frame(14));
      bench.send(frame(1514));
      bench.run();
      assert.equal(bench.heard[0]!.length, 60);
      assert.deepEqual(bench.heard[1], frame(1514));
      bench.accounted();
    });

    test("goes round the transmit ring many times under pressure", () => {
      const bench = new Bench({ nic, conditions: { rate: 1e9 } });
      const sent: Uint8Array[] = [];
      for (let i = 0; i < 900; i++) {
        const bytes = frame(60 + ((i * 97) % 1400), FAR, OWN, i);
        sent.push(bytes);
        bench.send(bytes, i % 3 ? 20 : 0, i % 5 ? 16 : 0);
        if (i % 90 === 89) bench.run(200 * MICROSECOND);
      }
      bench.run(100 * MILLISECOND);
      assert.equal(bench.heard.length, 900);
      bench.heard.forEach((bytes, i) => assert.deepEqual(bytes, sent[i]));
      assert.equal(bench.call(Call.Waiting), 0);
      bench.accounted();
    });

    test("receives in order, over many rounds of the ring, with few doorbells", () => {
      const bench = new Bench({ nic });
      const frames: Uint8Array[] = [];
      for (let i = 0; i < 1000; i++) {
        const bytes = frame(60 + ((i * 131) % 1455), OWN, FAR, i);
        frames.push(bytes);
        bench.hear(bytes);
        if (i % 100 === 99) bench.run(3 * MILLISECOND);
      }
      bench.run();
      const doorbells = bench.counter(Counter.ReceiveDoorbells);
      assert.deepEqual(bench.receiveAll(), frames);
      if (!kind.copies) assert.ok(doorbells <= 1000 / 32, `${doorbells} doorbells`);
      assert.equal(
        bench.counter(Counter.ReceivedBytes),
        frames.reduce((n, f) => n + f.length, 0),
      );
      assert.equal(bench.counter(Counter.ReceiveDescriptors), 1000);
      bench.accounted();
    });

    test("filters: own, broadcast, groups asked for; all in promiscuous mode", () => {
      const bench = new Bench({ nic });
      const broadcast = new Uint8Array(6).fill(255);
      const groupA = Uint8Array.of(1, 0, 0x5e, 0, 0, 0xfb);
      const groupB = Uint8Array.of(0x33, 0x33, 0, 1, 0, 3);
      const other = macAddress(0x55);
      const all = [OWN, broadcast, groupA, groupB, other];
      const heardBy = (mode: number, groups: Uint8Array[]): number[] => {
        bench.groups(mode, groups);
        for (const to of all) bench.hear(frame(60, to, FAR));
        bench.run();
        const received = bench.receiveAll().map((bytes) => Buffer.from(bytes.subarray(0, 6)));
        return all.flatMap((to, i) => (received.some((got) => got.equals(to)) ? [i] : []));
      };
      assert.deepEqual(heardBy(0, []), [0, 1]);
      assert.deepEqual(heardBy(0, [groupA]), [0, 1, 2]);
      assert.deepEqual(heardBy(0, [groupB, groupA]), [0, 1, 2, 3]);
      assert.deepEqual(heardBy(0, [groupB]), [0, 1, 3]);
      assert.deepEqual(heardBy(2, []), [0, 1, 2, 3]);
      assert.deepEqual(heardBy(1, []), [0, 1, 2, 3, 4]);
      assert.deepEqual(heardBy(0, []), [0, 1]);
      bench.accounted();
    });

    test("a reset frees what was in flight and keeps filter and counters", () => {
      const bench = new Bench({ nic, faults: { hang: 1 } });
      const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 0xfb);
      bench.groups(0, [group]);
      for (let i = 0; i < 20; i++) bench.send(frame(100 + i), 30, 20);
      bench.run(MILLISECOND);
      bench.nic.faults.hang = 0;
      bench.call(Call.Reset);
      bench.run(MILLISECOND);
      bench.accounted();
      assert.equal(bench.counter(Counter.Resets), 1);
      bench.run(200 * MILLISECOND);
      bench.call(Call.Check);
      // What had no room in the ring was sent after the reset.
      const errors = bench.counter(Counter.TransmitErrors);
      assert.ok(errors > 0);
      assert.equal(errors + bench.heard.splice(0).length, 20);
      bench.send(frame(77));
      bench.hear(frame(88, group, FAR));
      bench.run();
      assert.deepEqual(bench.heard, [frame(77)]);
      assert.equal(bench.receiveAll().length, 1);
      bench.accounted();
    });

    test("a hung transmitter is found by the second check and runs again", () => {
      const bench = new Bench({ nic, faults: { hang: 1 } });
      bench.send(frame(100));
      bench.run(MILLISECOND);
      bench.nic.faults.hang = 0;
      for (let i = 0; i < 2; i++) {
        assert.equal(bench.counter(Counter.Resets), 0);
        bench.run(SECOND);
        bench.call(Call.Check);
      }
      assert.equal(bench.counter(Counter.Resets), 1);
      bench.machine.expectLine(/eth0 transmitter hung, resetting queued=\d+/, 1);
      bench.run(200 * MILLISECOND);
      bench.call(Call.Check);
      bench.send(frame(61));
      bench.run();
      assert.deepEqual(bench.heard, [frame(61)]);
      bench.accounted();
    });

    test("a transmitter that is busy or without a link is not taken for hung", () => {
      const bench = new Bench({ nic, conditions: { rate: 1e9 } });
      for (let i = 0; i < 6; i++) {
        for (let n = 0; n < 100; n++) bench.send(frame(1514));
        bench.call(Call.Check);
        bench.run(MILLISECOND);
      }
      bench.link.isUp = false;
      for (let i = 0; i < 5; i++) {
        bench.run(SECOND);
        bench.call(Call.Check);
      }
      assert.equal(bench.counter(Counter.Resets), 0);
      // Without a link nothing is queued on the device.
      bench.send(frame(100));
      bench.run();
      assert.equal(bench.call(Call.Waiting), 0);
    });

    test("stop: every packet comes back and the device is silent", () => {
      const bench = new Bench({ nic });
      bench.hear(frame(100, OWN, FAR));
      bench.run();
      bench.receiveAll();
      bench.send(frame(100));
      bench.call(Call.Stop);
      assert.equal(bench.owned(Owner.Free), bench.slots);
      assert.equal(bench.nic.pci.command & 4, 0, "bus master");
    });
  });

  describe(`${nic}: what goes wrong`, () => {
    test("no free packet: frames are dropped and counted, and the ring stays full", () => {
      const bench = new Bench({ nic });
      bench.call(Call.Starve, 0);
      for (let i = 0; i < 700; i++) bench.hear(frame(200, OWN, FAR, i));
      bench.run(30 * MILLISECOND);
      assert.equal(bench.receive(), undefined);
      assert.equal(bench.counter(Counter.ReceiveDropped), 700);
      assert.equal(bench.owned(Owner.NicRx), bench.ring);
      bench.call(Call.Starve, 1 << 20);
      bench.hear(frame(200, OWN, FAR));
      bench.run();
      assert.equal(bench.receiveAll().length, 1);
      bench.accounted();
    });

    test("damaged frames and descriptors that lie never reach the stack", () => {
      const bench = new Bench({ nic, faults: { badFrame: 0.3, lyingDescriptor: 0.3 } });
      const frames: Uint8Array[] = [];
      for (let i = 0; i < 2000; i++) {
        const bytes = frame(60 + ((i * 37) % 1455), OWN, FAR, i);
        frames.push(bytes);
        bench.hear(bytes);
        if (i % 100 === 99) bench.run(3 * MILLISECOND);
      }
      bench.run();
      assert.deepEqual(bench.receiveAll(), frames);
      bench.call(Call.Check);
      assert.ok(bench.counter(Counter.ReceiveErrors) > 500);
      bench.accounted();
    });

    test("frames that the device had no room for are counted as dropped", () => {
      const bench = new Bench({ nic, faults: { overrun: 0.5 } });
      for (let i = 0; i < 200; i++) bench.hear(frame(100, OWN, FAR, i));
      bench.run();
      const received = bench.receiveAll().length;
      bench.call(Call.Check);
      if (kind.countsMissed) assert.equal(received + bench.counter(Counter.ReceiveDropped), 200);
      assert.ok(received > 50 && received < 150);
      bench.accounted();
    });

    test("late completions free their packets in the end", () => {
      const bench = new Bench({ nic, faults: { completionDelay: 500 * MICROSECOND } });
      for (let i = 0; i < 300; i++) {
        bench.send(frame(100 + i), 40);
        bench.hear(frame(100 + i, OWN, FAR));
        if (i % 20 === 19) bench.run(MILLISECOND);
      }
      bench.run(200 * MILLISECOND);
      assert.equal(bench.heard.length, 300);
      assert.equal(bench.receiveAll().length, 300);
      bench.accounted();
    });

    test("interrupts that are lost or late cost time, not packets", () => {
      const bench = new Bench({
        nic,
        faults: { interruptLoss: 0.5, interruptDelay: 300 * MICROSECOND },
      });
      for (let i = 0; i < 100; i++) {
        bench.hear(frame(100, OWN, FAR, i));
        bench.run(120 * MILLISECOND);
        assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
      }
      bench.accounted();
    });

    test("a line that cannot be routed is polled, within a millisecond", () => {
      const bench = new Bench({ nic, unroutable: 0xffff, machine: { messages: false } });
      for (let i = 0; i < 20; i++) {
        bench.hear(frame(100, OWN, FAR, i));
        bench.run(MILLISECOND);
        assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
      }
      assert.equal(bench.counter(Counter.Interrupts), 0);
    });

    test("a line that fires for nobody is masked, its NIC polled, and tried again later", () => {
      let host: Host | undefined;
      const stranger: PciDevice = {
        pci: new PciFunction({ vendor: 0x1234, device: 0x5678, classCode: 0x078000 }),
        plugged: (to) => void (host = to),
        read: () => 0,
        write: () => {},
      };
      const bench = new Bench({ nic, beside: [stranger], machine: { messages: false } });
      host!.setLine(bench.nic.line, true);
      bench.run(100 * MILLISECOND);
      bench.machine.expectLine(/line fires with no device asking; masked.*line=\d+/, 1);
      const { steps } = bench.machine;
      for (let i = 0; i < 100; i++) {
        bench.hear(frame(100, OWN, FAR, i));
        bench.run(10 * MILLISECOND);
        assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
      }
      // Twenty looks in 10 ms, a few steps each; unmasked there would be one each few microseconds.
      assert.ok(bench.machine.steps - steps < 20_000, `${bench.machine.steps - steps} steps`);
      host!.setLine(bench.nic.line, false);
      bench.run(11 * SECOND);
      const before = bench.counter(Counter.Interrupts);
      bench.run(10 * MILLISECOND);
      bench.hear(frame(100, OWN, FAR));
      bench.run(10 * MILLISECOND);
      assert.equal(bench.counter(Counter.Interrupts), before + 1);
      bench.receiveAll();
      bench.accounted();
    });

    test("a NIC whose line stays silent is polled from then on", () => {
      const bench = new Bench({ nic, faults: { interruptLoss: 1 } });
      for (let i = 0; i < 20; i++) {
        bench.hear(frame(100, OWN, FAR, i));
        bench.run(150 * MILLISECOND);
        assert.equal(bench.receiveAll().length, 1, `frame ${i}`);
      }
      bench.machine.expectLine(/packets come but the (line|message) is silent, polling/, 1);
      bench.hear(frame(100, OWN, FAR));
      bench.run(MILLISECOND);
      assert.equal(bench.receiveAll().length, 1, "within a millisecond now");
    });
  });

  if (kind.checksums) {
    describe(`${nic}: checksums`, () => {
      test("fills in checksums, also when header lengths alternate", () => {
        const bench = new Bench({ nic });
        for (let i = 0; i < 12; i++) {
          const ihl = i < 6 ? 5 : 5 + (i % 3);
          const bytes = udpFrame(100 + i, FAR, OWN, ihl);
          const right = bytes.slice();
          const header = 14 + ihl * 4;
          const view = new DataView(bytes.buffer);
          view.setUint16(header + 6, fold(wordSum(bytes, 26, 34, 17 + bytes.length - header)));
          bench.send(bytes, i & 1 ? 50 : 0, i & 2 ? 20 : 0, (header << 16) | 6);
          // One without between them must not be touched.
          bench.send(frame(100));
          bench.run(MILLISECOND);
          assert.deepEqual(bench.heard.pop(), frame(100));
          assert.deepEqual(bench.heard.pop(), right, `frame ${i}`);
        }
        bench.accounted();
      });

      test("passes on what the device says of checksums, and nothing when one is wrong", () => {
        const bench = new Bench({ nic });
        const good = udpFrame(99, OWN, FAR);
        const badData = good.slice();
        badData[60]! ^= 1;
        const badHeader = good.slice();
        badHeader[22]! ^= 1;
        for (const bytes of [good, badData, badHeader, frame(100, OWN, FAR)]) bench.hear(bytes);
        bench.run();
        const flags = [0, 1, 2, 3].map(() => bench.receive()!.flags);
        const network = kind.checksIp ? 2 : 0;
        assert.equal(flags[0], 1 | network, "transport and network");
        assert.equal(flags[1], network, "network only");
        assert.equal(flags[2]! & 2, 0, "not the network's");
        assert.equal(flags[3], 0, "not IP");
        bench.accounted();
      });

      test("a reset forgets the checksum layout that the device held", () => {
        const bench = new Bench({ nic });
        const right = udpFrame(100, FAR, OWN);
        const asked = right.slice();
        new DataView(asked.buffer).setUint16(40, fold(wordSum(asked, 26, 34, 17 + 108)));
        for (let i = 0; i < 2; i++) {
          bench.send(asked, 0, 0, (34 << 16) | 6);
          bench.run(MILLISECOND);
          assert.deepEqual(bench.heard.pop(), right);
          bench.call(Call.Reset);
          bench.run(200 * MILLISECOND);
          bench.call(Call.Check);
        }
        bench.accounted();
      });
    });
  }

  if (kind.segmentation6) {
    test(`${nic}: bursts of IPv6, among those of IPv4 and single frames`, () => {
      const bench = new Bench({ nic });
      let tag = 0;
      for (const size of [1428, 1440, 100]) {
        for (const payload of [size + 1, 2 * size, 9 * size, 43 * size + 700]) {
          if (payload > 65000) continue;
          for (const cut of [0, 3, size, payload - 5]) {
            const burst = tcpBurst(payload, size, size !== 1440, tag++, 6);
            const other = tcpBurst(payload, size, size !== 1440, tag++);
            bench.sendBurst(burst, cut);
            bench.sendBurst(other, cut);
            bench.send(frame(60 + tag));
            bench.run(3 * MILLISECOND);
            expectSegments(bench.heard, burst);
            expectSegments(bench.heard, other);
            assert.deepEqual(bench.heard.shift(), frame(60 + tag));
            assert.equal(bench.heard.length, 0);
          }
        }
      }
      assert.equal(bench.nic.counts.bursts, tag);
      bench.accounted();
    });
  }

  if (kind.segmentation) {
    describe(`${nic}: segmentation`, () => {
      test("bursts of every kind of length, in one piece and in two", () => {
        const bench = new Bench({ nic });
        let tag = 0;
        for (const size of [1448, 1460, 536, 100]) {
          for (const payload of [size + 1, 2 * size, 2 * size + 5, 9 * size, 43 * size + 700]) {
            if (payload > 65000) continue;
            for (const cut of [0, 1, 3, size, payload - 1, payload - 4, payload - 5]) {
              const burst = tcpBurst(payload, size, size !== 1460, tag++);
              bench.sendBurst(burst, cut);
              bench.run(2 * slower * MILLISECOND);
              expectSegments(bench.heard, burst);
              assert.equal(bench.heard.length, 0);
            }
          }
        }
        assert.equal(bench.nic.counts.bursts, tag);
        bench.call(Call.Check);
        assert.equal(bench.counter(Counter.SentPackets), bench.nic.counts.sent);
        bench.accounted();
      });

      test("bursts among single frames, round the ring many times", () => {
        const bench = new Bench({ nic, conditions: { rate: 1e9 } });
        const sum = fold(wordSum(udpFrame(100, FAR, OWN), 26, 34, 17 + 108));
        for (let round = 0; round < 60; round++) {
          const bursts = [3000, 63712, 20000].map((n, i) => tcpBurst(n, 1448, true, round * 3 + i));
          const right = udpFrame(100, FAR, OWN);
          const asked = right.slice();
          new DataView(asked.buffer).setUint16(40, sum);
          for (const burst of bursts) {
            bench.sendBurst(burst, burst.headers + round);
            bench.send(asked, 0, 0, (34 << 16) | 6);
            bench.send(frame(60 + round));
            bench.send(asked, 40, 30, (34 << 16) | 6);
          }
          bench.run(3 * slower * MILLISECOND);
          for (const burst of bursts) {
            expectSegments(bench.heard, burst);
            assert.deepEqual(bench.heard.shift(), right);
            assert.deepEqual(bench.heard.shift(), frame(60 + round));
            assert.deepEqual(bench.heard.shift(), right);
          }
          assert.equal(bench.heard.length, 0);
        }
        assert.equal(bench.call(Call.Waiting), 0);
        bench.accounted();
      });

      test("a burst that finds no room waits whole", () => {
        const bench = new Bench({ nic, conditions: { rate: 1e9 } });
        const bursts = Array.from({ length: 12 }, (_, i) => tcpBurst(63712, 1448, true, i));
        const between = [0, 1, 2, 3].map((i) => frame(100 + i));
        for (const burst of bursts) {
          bench.sendBurst(burst);
          for (const bytes of between) bench.send(bytes, 20, 16);
        }
        bench.run(100 * MICROSECOND);
        assert.ok(bench.call(Call.Waiting) > 0);
        bench.run(30 * slower * MILLISECOND);
        for (const burst of bursts) {
          expectSegments(bench.heard, burst);
          assert.deepEqual(bench.heard.splice(0, between.length), between);
        }
        assert.equal(bench.heard.length, 0);
        bench.accounted();
      });

      test("a transmitter that hangs with bursts queued gives every packet back", () => {
        const bench = new Bench({ nic, faults: { hang: 1 } });
        for (let i = 0; i < 4; i++) bench.sendBurst(tcpBurst(63712, 1448, true, i), 5000);
        bench.run(MILLISECOND);
        bench.nic.faults.hang = 0;
        for (let i = 0; i < 2; i++) {
          bench.run(SECOND);
          bench.call(Call.Check);
        }
        assert.equal(bench.counter(Counter.Resets), 1);
        bench.run(200 * MILLISECOND);
        bench.call(Call.Check);
        bench.heard.length = 0;
        const burst = tcpBurst(5000, 1448, false);
        bench.sendBurst(burst);
        bench.run();
        expectSegments(bench.heard, burst);
        bench.accounted();
      });
    });
  }
}
