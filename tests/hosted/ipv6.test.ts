/** build/skerry-hosted behind a TAP, asked by the Linux kernel and real programs over IPv6. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { GUEST_ADDRESS, Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";
import { HostedMachine } from "./machine.ts";

const trouble = namespaceTrouble();
const HOST6 = "fd00:77::1";
const GUEST6 = "fd00:77::2";

describe("skerry-hosted over TAP, by IPv6", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let machine: HostedMachine;

  before(async () => {
    namespace = new Namespace({ address6: `${HOST6}/64` });
    machine = new HostedMachine([namespace], `ip=${GUEST_ADDRESS}/24 ip6=${GUEST6}/64`);
    await machine.hasAddresses("eth0", GUEST_ADDRESS, GUEST6);
  });
  after(async () => {
    await machine.stop();
    namespace.delete();
  });

  test("answers ping, by its address and on the link", async () => {
    for (const address of [GUEST6, `${machine.linkLocal("eth0")}%${TAP}`]) {
      const words = ["ping", "-6", "-n", "-c", "5", "-i", "0.2", "-w", "10", "-s", "1452", address];
      const { status, stdout } = await namespace.runAsync(words, 20_000);
      assert.equal(status, 0, `${stdout}\n${machine.output}`);
      assert.match(stdout, / 0% packet loss/);
    }
  });

  test("serves its site to curl, by its address and on the link", async () => {
    for (const host of [GUEST6, `${machine.linkLocal("eth0")}%25${TAP}`]) {
      const words = ["curl", "-sS", "-g", "--max-time", "10", `http://[${host}]/`];
      const { status, stdout, stderr } = await namespace.runAsync(words, 20_000);
      assert.equal(status, 0, `${stderr}\n${machine.output}`);
      assert.equal(stdout, readFileSync("apps/http/site/index.html", "utf8"));
    }
  });

  test("is known to Linux as a reachable neighbour", () => {
    const { stdout } = namespace.run(["ip", "-6", "neighbour", "show", "dev", TAP]);
    assert.match(stdout, new RegExp(`${GUEST6} lladdr 52:54:00:12:34:56 (REACHABLE|DELAY|STALE)`));
  });
});
