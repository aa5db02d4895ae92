import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { before, describe, test } from "node:test";
import { imageOf, project } from "../../tools/cli/project.ts";
import { buildDisk } from "../../tools/image/disk.ts";
import { type Disk, Machine, type MachineType, uefiTrouble } from "../../tools/qemu/machine.ts";
import { curl, onUserNetwork } from "./lib.ts";
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
        await machine.waitFor(/executed automatically in/, 30_000);
        for (let i = 0; i < entry; i++) await machine.monitor.press("down");
        await machine.monitor.press("ret");
        if (entry === 1) {
          await seen(machine, /http: serving/);
          assert.doesNotMatch(machine.console, /http: serving/);
        } else {
          await machine.waitFor(/http: serving/, 30_000);
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
    await machine.waitFor(/eth0 link down/, 5000);
    await machine.monitor.setLink(0, true);
    await machine.waitFor(/link down[^]*eth0 link up/, 5000);
  });
});
