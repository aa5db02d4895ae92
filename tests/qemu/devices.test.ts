import assert from "node:assert/strict";
import { test } from "node:test";
import type { MachineType, Nic } from "../../tools/qemu/machine.ts";
import { curl, onUserNetwork, sha256 } from "./lib.ts";

/** Devices at run time on QEMU's own: reset and unloaded under load, nothing is lost but time. */

const WHERE: [MachineType, Nic][] = [
  ["pc", "e1000"],
  ["q35", "e1000e"],
  ["pc", "rtl8139"],
  ["q35", "virtio-net-pci"],
  ["microvm", "virtio-net-device"],
];

const BYTES = 16 << 20;

async function post(url: string, what: string): Promise<void> {
  const answer = (await curl("-X", "POST", `${url}/devices/${what}`)).toString();
  assert.equal(JSON.parse(answer).result, 0, `${what}: ${answer}`);
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const [type, nic] of WHERE) {
  test(`${nic} on ${type}: hot reset under load`, async () => {
    await onUserNetwork("exerciser", { machine: type, nic }, async (url, machine) => {
      const alone = sha256(await curl(`${url}/bytes/${BYTES}?seed=5`));
      const loaded = curl("--limit-rate", "8M", `${url}/bytes/${BYTES}?seed=5`);
      for (let i = 0; i < 3; i++) {
        await pause(200);
        await post(url, "0/reset");
      }
      await pause(200);
      await post(url, "0/unload?ms=300");
      assert.equal(sha256(await loaded), alone);
      assert.match(machine.console, /eth0 unloaded/);
      const devices = JSON.parse((await curl(`${url}/devices`)).toString());
      assert.equal(devices[0].state, 1);
      assert.equal(devices[0].failures, 0);
      assert.doesNotMatch(machine.console, /hung|deaf|failed|gone/);
    });
  });
}
