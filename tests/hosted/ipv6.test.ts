/** build/skerry-hosted behind a TAP, asked by the Linux kernel and real programs over IPv6. */
import assert from "node:assert/strict";
import { type ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { GUEST_ADDRESS, Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";

const trouble = namespaceTrouble();
const HOST6 = "fd00:77::1";
const GUEST6 = "fd00:77::2";

describe("skerry-hosted over TAP, by IPv6", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let machine: ChildProcess;
  let output = "";

  before(async () => {
    namespace = new Namespace();
    namespace.run(["sysctl", "-qw", `net.ipv6.conf.${TAP}.disable_ipv6=0`]);
    namespace.run(["ip", "-6", "address", "add", `${HOST6}/64`, "dev", TAP, "nodad"]);
    const words = `ip=${GUEST_ADDRESS}/24 ip6=${GUEST6}/64`;
    machine = namespace.spawn(["build/skerry-hosted", "--tap", TAP, "--append", words]);
    for (const stream of [machine.stdout!, machine.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    }
    for (let i = 0; i < 100 && !/link-local[^]*static|static\)[^]*link-local/.test(output); i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  });
  after(() => namespace.delete());

  /** The link-local address that the console names. */
  const linkLocal = (): string => /fe80::[0-9a-f:]+/.exec(output)![0];

  test("answers ping, by its address and on the link", async () => {
    for (const address of [GUEST6, `${linkLocal()}%${TAP}`]) {
      const words = ["ping", "-6", "-n", "-c", "5", "-i", "0.2", "-w", "10", "-s", "1452", address];
      const { status, stdout } = await namespace.runAsync(words, 20_000);
      assert.equal(status, 0, `${stdout}\n${output}`);
      assert.match(stdout, / 0% packet loss/);
    }
  });

  test("serves its site to curl, by its address and on the link", async () => {
    for (const host of [GUEST6, `${linkLocal()}%25${TAP}`]) {
      const words = ["curl", "-sS", "-g", "--max-time", "10", `http://[${host}]/`];
      const { status, stdout, stderr } = await namespace.runAsync(words, 20_000);
      assert.equal(status, 0, `${stderr}\n${output}`);
      assert.equal(stdout, readFileSync("apps/http/site/index.html", "utf8"));
    }
  });

  test("is known to Linux as a reachable neighbour", () => {
    const { stdout } = namespace.run(["ip", "-6", "neighbour", "show", "dev", TAP]);
    assert.match(stdout, new RegExp(`${GUEST6} lladdr 52:54:00:12:34:56 (REACHABLE|DELAY|STALE)`));
  });
});
