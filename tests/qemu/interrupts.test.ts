import assert from "node:assert/strict";
import { test } from "node:test";
import type { Machine, MachineType, Nic } from "../../tools/qemu/machine.ts";
import { curl, onUserNetwork } from "./lib.ts";

/** The way of an interrupt, and of configuration space, on machines that differ in what they have. */

interface Interface {
  interrupt: string;
  interrupts: number;
}

async function firstInterface(url: string): Promise<Interface> {
  return JSON.parse((await curl(`${url}/status`)).toString()).interfaces[0];
}

/**
 * Asks `count` times with pauses, so that the machine sleeps in between; the answer that half were faster than, in
 * ms: this machine, too, holds one or another up.
 */
async function median(url: string, count: number): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const before = performance.now();
    assert.match((await curl(`${url}/`)).toString(), /<html/i);
    times.push(performance.now() - before);
  }
  return times.sort((a, b) => a - b)[count >> 1]!;
}

const WAYS: {
  machine: MachineType;
  nic: Nic;
  /** Properties of QEMU's machine. */
  but?: string;
  append?: string;
  interrupt: string;
  says?: RegExp;
  saysNot?: RegExp;
}[] = [
  { machine: "pc", nic: "e1000", interrupt: "line", saysNot: /ECAM/ },
  { machine: "pc", nic: "e1000", but: "pic=off", interrupt: "line" },
  { machine: "pc", nic: "e1000", but: "acpi=off", interrupt: "line" },
  { machine: "q35", nic: "e1000", but: "pic=off", interrupt: "line", says: /pci: ECAM at/ },
  { machine: "pc", nic: "e1000e", interrupt: "msi-x", says: /8086:10d3.* driver=e1000e/ },
  { machine: "q35", nic: "e1000e", interrupt: "msi-x", says: /pci: ECAM at/ },
  // Its last place for virtio devices is at input 23 of the second I/O APIC, whose first is 24.
  {
    machine: "microvm",
    nic: "virtio-net-device",
    but: "pic=off",
    append: "virtio_mmio.device=512@0xfeb02e00:47",
    interrupt: "line",
    says: /irq=16/,
  },
  { machine: "microvm", nic: "virtio-net-device", interrupt: "line" },
];

for (const { machine: type, nic, but, append, interrupt, says, saysNot } of WAYS) {
  const extra = but ? ["-machine", but] : [];
  test(`${nic} on ${type}${but ? ` with ${but}` : ""}: ${interrupt}`, async () => {
    await onUserNetwork(
      "http",
      { machine: type, nic, extra, ...(append && { append }) },
      async (url, machine) => {
        const before = await firstInterface(url);
        assert.equal(before.interrupt, interrupt);
        await median(url, 10);
        const after = await firstInterface(url);
        assert.ok(after.interrupts >= before.interrupts + 10, JSON.stringify([before, after]));
        assert.doesNotMatch(machine.console, /silent|cannot be routed|fires with no device/);
        if (says) assert.match(machine.console, says);
        if (saysNot) assert.doesNotMatch(machine.console, saysNot);
      },
    );
  });
}

/** Masks every line of the 8259s, behind the kernel's back. */
async function maskLines(machine: Machine): Promise<void> {
  await machine.monitor.human("o /b 0x21 0xff");
  await machine.monitor.human("o /b 0xa1 0xff");
}

test("a line that is masked behind its back: the NIC is polled, and serves on", async () => {
  const extra = ["-machine", "acpi=off"];
  await onUserNetwork("http", { nic: "e1000", extra }, async (url, machine) => {
    assert.equal((await firstInterface(url)).interrupt, "line");
    await maskLines(machine);
    // What comes now waits for a timer, until that has been seen often enough.
    while (!/line is silent, polling/.test(machine.console)) {
      assert.match((await curl(`${url}/`)).toString(), /<html/i);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    assert.equal((await firstInterface(url)).interrupt, "polled");
    const middle = await median(url, 10);
    assert.ok(middle < 500, `an answer took ${middle} ms`);
  });
});
