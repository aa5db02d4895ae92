import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { imageOf } from "../../tools/cli/project.ts";
import { Machine, type MachineOptions } from "../../tools/qemu/machine.ts";
import { GUEST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { STATIC, damagedFrames, framesThat, inFolder, inside, noTap } from "./lib.ts";

/** The real iperf3 client against the iperf3 app. */

interface Report {
  error?: string;
  end: {
    sum_sent?: { bytes: number };
    sum_received?: { bytes: number };
    sum?: { packets: number; lost_packets: number; bytes: number };
    streams: object[];
  };
}

const RUNS: { name: string; words: string[]; streams: number }[] = [
  { name: "TCP to the machine", words: [], streams: 1 },
  { name: "TCP from the machine", words: ["-R"], streams: 1 },
  { name: "four streams to it", words: ["-P", "4"], streams: 4 },
  { name: "four streams from it", words: ["-P", "4", "-R"], streams: 4 },
  { name: "UDP to the machine", words: ["-u", "-b", "20M"], streams: 1 },
  { name: "UDP from the machine", words: ["-u", "-b", "20M", "-R"], streams: 1 },
];

function start(namespace: Namespace, extra: Partial<MachineOptions>): Machine {
  return Machine.start({
    kernel: imageOf("iperf3").image,
    accel: "tcg",
    append: STATIC,
    network: { kind: "tap", interface: TAP },
    prefix: namespace.prefix,
    ...extra,
  });
}

test("iperf3 measures the machine", { skip: noTap }, async (t) => {
  const namespace = new Namespace();
  const machine = start(namespace, {});
  try {
    await inside(namespace, "ping", "-n", "-c", "1", "-w", "20", GUEST_ADDRESS);
    for (const { name, words, streams } of RUNS) {
      await t.test(name, async () => {
        const command = ["iperf3", "-c", GUEST_ADDRESS, "-t", "1", "-J", ...words];
        const { stdout } = await namespace.runAsync(command, 30_000);
        const { error, end } = JSON.parse(stdout) as Report;
        assert.equal(error, undefined, machine.tail());
        assert.equal(end.streams.length, streams);
        if (words.includes("-u")) {
          assert.ok(end.sum!.packets > 500, JSON.stringify(end.sum));
          assert.ok(end.sum!.lost_packets < end.sum!.packets / 10, JSON.stringify(end.sum));
        } else {
          assert.ok(end.sum_received!.bytes > 4 << 20, JSON.stringify(end.sum_received));
        }
      });
    }
    assert.equal(machine.ending, null, machine.tail());
  } finally {
    await machine.stop();
    namespace.delete();
  }
});

test("what iperf3 and the machine send each other is well-formed", { skip: noTap }, async () => {
  await inFolder(async (folder) => {
    const capture = join(folder, "capture.pcap");
    const namespace = new Namespace();
    const machine = start(namespace, { capture });
    try {
      await inside(namespace, "ping", "-n", "-c", "1", "-w", "20", GUEST_ADDRESS);
      for (const words of [
        ["-n", "2M"],
        ["-n", "2M", "-R"],
        ["-u", "-b", "5M", "-t", "1"],
      ]) {
        await inside(namespace, "iperf3", "-c", GUEST_ADDRESS, ...words);
      }
    } finally {
      await machine.stop();
      namespace.delete();
    }
    assert.ok((await framesThat(capture, "udp && ip.dst == 10.77.0.2")).length > 100);
    assert.deepEqual(await damagedFrames(capture), []);
  });
});
