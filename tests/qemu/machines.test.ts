import { test } from "node:test";
import { onUserNetwork } from "./lib.ts";

/** The machines QEMU can be: kinds, firmware, and what someone in front of one can do to it. */

test("the cable pulled and plugged in again", async () => {
  await onUserNetwork("http", { machine: "q35" }, async (_url, machine) => {
    await machine.monitor.setLink(0, false);
    await machine.waitFor(/eth0 link down/, 5000);
    await machine.monitor.setLink(0, true);
    await machine.waitFor(/link down[^]*eth0 link up/, 5000);
  });
});
