import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { imageOf, project } from "../../tools/cli/project.ts";
import { loadedEnd } from "../../tools/image/elf.ts";
import { buildDisk } from "../../tools/image/disk.ts";
import { type Disk, Machine, type MachineType, uefiTrouble } from "../../tools/qemu/machine.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { answering, curl, onUserNetwork } from "./lib.ts";
import { seen } from "./screen.ts";

/** The machines QEMU can be: kinds, firmware, screens, and what someone in front of one can do to it. */

const FOLDER = project("build/tests/disk");
const ISO = `${FOLDER}/now.iso`;
const noUefi = uefiTrouble() ?? false;

function makeDisk(out: string, timeout: number, append = ""): void {
  const { image } = imageOf("http");
  buildDisk({ image, out, work: `${FOLDER}/work`, append, timeout });
}

before(() => {
  mkdirSync(FOLDER, { recursive: true });
  makeDisk(ISO, 0, "hostname=from-disk");
});

describe("one file boots", () => {
  for (const [firmware, machine, as] of [
    ["bios", "pc", "cd"],
    ["bios", "pc", "disk"],
    ["bios", "q35", "usb"],
    ["uefi", "pc", "cd"],
    ["uefi", "q35", "usb"],
  ] as [firmware: "bios" | "uefi", machine: MachineType, as: Disk["as"]][]) {
    const skip = firmware === "uefi" && noUefi;
    test(`by ${firmware.toUpperCase()} on ${machine}, as ${as}`, { skip }, async () => {
      const disk = { file: ISO, as };
      await onUserNetwork("http", { disk, firmware, machine, screen: true }, async (url, it) => {
        const status = JSON.parse((await curl(`${url}/status`)).toString());
        assert.equal(status.hostname, "from-disk");
        const text = await seen(it, /eth0 10\.0\.2\.15\/24/);
        assert.match(text, /^\d\.\d{6} info {2}pci: .* driver=e1000$/m);
      });
    });
  }

  test("the same image makes the same bytes", async () => {
    const first = readFileSync(ISO);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // dates have seconds
    makeDisk(`${FOLDER}/again.iso`, 0, "hostname=from-disk");
    assert.ok(first.equals(readFileSync(`${FOLDER}/again.iso`)));
  });

  test("the menu's second entry keeps to the screen, the third to the serial port", async () => {
    const file = `${FOLDER}/menu.iso`;
    makeDisk(file, 30);
    for (const entry of [1, 2]) {
      const disk: Disk = { file, as: "cd" };
      const machine = Machine.start({ disk, accel: "tcg", screen: true, network: null });
      try {
        await machine.waitFor(/executed automatically in/, 60_000);
        for (let i = 0; i < entry; i++) await machine.monitor.press("down");
        await machine.monitor.press("ret");
        if (entry === 1) {
          await seen(machine, /http: serving/);
          assert.doesNotMatch(machine.console, /http: serving/);
        } else {
          await machine.waitFor(/http: serving/, 60_000);
          assert.doesNotMatch(await seen(machine, /^/), /http: serving/);
        }
      } finally {
        await machine.stop();
      }
    }
  });
});

test("the cable pulled and plugged in again", async () => {
  await onUserNetwork("http", { machine: "q35" }, async (_url, machine) => {
    await machine.monitor.setLink(0, false);
    await machine.waitFor(/eth0 link down/, 60_000);
    await machine.monitor.setLink(0, true);
    await machine.waitFor(/link down[^]*eth0 link up/, 60_000);
  });
});

describe("the end of the machine", () => {
  for (const machine of ["pc", "q35"] as const) {
    test(`the power button switches ${machine} off in order`, async () => {
      const { image: kernel } = imageOf("http");
      const it = Machine.start({ kernel, machine, accel: "tcg", network: null });
      try {
        await it.waitFor(/http: serving/, 60_000);
        await it.monitor.command("system_powerdown");
        assert.deepEqual(await it.exited, { code: 0, signal: null });
        assert.match(it.console, /power: button pressed[^]*power: switching off/);
      } finally {
        await it.stop();
      }
    });
  }

  test("a program switches off and restarts", async () => {
    const hostPort = await freePort();
    const it = Machine.start({
      kernel: imageOf("exerciser").image,
      machine: "q35",
      accel: "tcg",
      network: { kind: "user", forwards: [{ protocol: "tcp", hostPort, guestPort: 80 }] },
      reboots: true,
    });
    const post = async (path: string): Promise<string> =>
      (await curl("-X", "POST", `http://127.0.0.1:${hostPort}${path}`)).toString();
    try {
      await answering(it, hostPort);
      assert.match(await post("/restart"), /200 OK/);
      await it.waitFor(/power: restarting[^]*exerciser: serving/, 60_000);
      await answering(it, hostPort);
      assert.match(await post("/off"), /200 OK/);
      assert.deepEqual(await it.exited, { code: 0, signal: null });
      assert.match(it.console, /power: switching off/);
    } finally {
      await it.stop();
    }
  });
});

describe("memory", () => {
  // Nothing touches what the host would have to find: the guest's RAM is address space alone.
  const backed = (mib: number): string[] => [
    "-object",
    `memory-backend-ram,id=ram,size=${mib}M,reserve=off,prealloc=off`,
    ...["-machine", "memory-backend=ram"],
  ];
  for (const [memory, machine] of [
    [16, "q35"],
    [3072, "pc"],
    [5120, "q35"],
    [65536, "pc"],
    [65536, "q35"],
  ] as [number, MachineType][]) {
    test(`${machine} with ${memory} MiB`, async () => {
      const extra = backed(memory);
      await onUserNetwork("http", { machine, memory, extra }, async (url) => {
        assert.match((await curl(`${url}/`)).toString(), /<html/i);
      });
    });
  }

  test("a processor without 64 bits is told so, on the serial port and on the screen", async () => {
    const { image: kernel } = imageOf("http");
    const extra = ["-cpu", "qemu32"];
    const it = Machine.start({ kernel, accel: "tcg", network: null, screen: true, extra });
    try {
      await it.waitFor(/64-bit processor/, 60_000);
      await seen(it, /64-bit processor/);
    } finally {
      await it.stop();
    }
  });

  test("too little memory is told", async () => {
    const { image: kernel } = imageOf("http");
    // Room for the image, and not much more. A machine with a BIOS so small has it in the image's way.
    const memory = Math.ceil(loadedEnd(readFileSync(kernel)) / (1 << 20));
    const machine = "microvm";
    const it = Machine.start({ machine, kernel, accel: "tcg", network: null, memory });
    try {
      await it.waitFor(/too little free RAM/, 60_000);
    } finally {
      await it.stop();
    }
  });
});
