import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { imageOf } from "../../tools/cli/project.ts";
import { Machine, QEMU } from "../../tools/qemu/machine.ts";
import { Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { curl, inFolder, noTap, onTap, onUserNetwork } from "./lib.ts";

/** The image as a machine: where it boots, what it says, how it gets its address. */

const { image } = imageOf("http");

for (const nic of ["e1000", "e1000-82544gc", "e1000-82545em"] as const) {
  test(`serves HTTP on ${nic}`, async () => {
    await onUserNetwork("http", { nic }, async (url, machine) => {
      assert.match((await curl(`${url}/`)).toString(), /<html/i);
      assert.match(machine.console, /10\.0\.2\.15/, "the address that DHCP gave is on the console");
    });
  });
}

test("runs in 16 MiB", async () => {
  await onUserNetwork("http", { memory: 16 }, async (url) => {
    for (let i = 0; i < 20; i++) assert.match((await curl(`${url}/`)).toString(), /<html/i);
  });
});

test("boots with plain qemu-system-x86_64 -kernel", async () => {
  const port = await freePort();
  const forward = `user,hostfwd=tcp:127.0.0.1:${port}-:80`;
  // -nic only adds the forwarding: its model is QEMU's default.
  const words = ["-accel", "tcg", "-kernel", image, "-display", "none", "-nic", forward];
  const child = spawn(QEMU, [...words, "-serial", "stdio"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
  try {
    const retry = ["--retry", "50", "--retry-delay", "1", "--retry-all-errors"];
    assert.match((await curl(...retry, `http://127.0.0.1:${port}/`)).toString(), /<html/i);
    assert.match(said, /10\.0\.2\.15/);
  } finally {
    child.kill("SIGKILL");
  }
});

test("the command line sets the address", async () => {
  const append = "ip=10.0.2.99/24 gw=10.0.2.2 hostname=lighthouse loglevel=debug";
  const port = await freePort();
  const machine = Machine.start({
    kernel: image,
    accel: "tcg",
    append,
    network: {
      kind: "user",
      // A forward with a guest address: QEMU's DHCP server never hears of this machine.
      forwards: [{ protocol: "tcp", hostPort: port, guestPort: 80, guestAddress: "10.0.2.99" }],
    },
  });
  try {
    const retry = ["--retry", "50", "--retry-delay", "1", "--retry-all-errors"];
    const status = JSON.parse((await curl(...retry, `http://127.0.0.1:${port}/status`)).toString());
    assert.equal(status.hostname, "lighthouse");
    assert.equal(status.interfaces[0].address, "10.0.2.99");
  } finally {
    await machine.stop();
  }
});

test("a word of the command line that makes no sense is named on the console", async () => {
  const append = "ip=10.0.2.15/77 colour=blue";
  await onUserNetwork("http", { append }, async (_url, machine) => {
    assert.match(machine.console, /10\.0\.2\.15\/77/);
    assert.match(machine.console, /colour/);
  });
});

test("gets its address from dnsmasq", { skip: noTap }, async () => {
  await inFolder(async (folder) => {
    const namespace = new Namespace();
    let machine: Machine | undefined;
    try {
      const dnsmasq = namespace.spawn([
        ...["dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--user=root", "--port=0"],
        ...[`--interface=${TAP}`, "--bind-interfaces", "--dhcp-range=10.77.0.50,10.77.0.59,2m"],
        ...[`--dhcp-leasefile=${folder}/leases`, `--pid-file=${folder}/pid`, "--log-dhcp"],
      ]);
      let log = "";
      dnsmasq.stderr!.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
      machine = Machine.start({
        kernel: image,
        accel: "tcg",
        append: "hostname=lighthouse",
        network: { kind: "tap", interface: TAP },
        prefix: namespace.prefix,
      });
      const [, address] = await machine.waitFor(/\b(10\.77\.0\.5\d)\b/, 60_000);
      const answer = await namespace.runAsync(["curl", "-sS", "-m", "10", `http://${address}/`]);
      assert.match(answer.stdout, /<html/i, answer.stderr + machine.tail());
      assert.match(log, new RegExp(`DHCPACK\\(${TAP}\\) ${address} 52:54:00:12:34:56 lighthouse`));
    } finally {
      await machine?.stop();
      namespace.delete();
    }
  });
});

test(
  "says that nobody offers an address, and takes a link-local one",
  { skip: noTap },
  async () => {
    const namespace = new Namespace();
    const machine = Machine.start({
      kernel: image,
      accel: "tcg",
      network: { kind: "tap", interface: TAP },
      prefix: namespace.prefix,
    });
    try {
      await machine.waitFor(/dhcp: .*no DHCP server answers/, 60_000);
      await machine.waitFor(/eth0 169\.254\.\d+\.\d+\/16/, 60_000);
    } finally {
      await machine.stop();
      namespace.delete();
    }
  },
);

test("answers ping up to a full frame, and refuses more cleanly", { skip: noTap }, async () => {
  await onTap("http", {}, async (namespace) => {
    const ping = (size: number): string[] => [
      ...["ping", "-n", "-M", "do", "-c", "3", "-i", "0.05", "-W", "2", "-s", String(size)],
      "10.77.0.2",
    ];
    for (const size of [0, 1, 56, 57, 511, 1024, 1471, 1472]) {
      const { stdout, stderr } = await namespace.runAsync(ping(size));
      assert.match(stdout, /3 received/, `${size} bytes: ${stdout}${stderr}`);
    }
    // One byte more than the MTU: the sender's own kernel refuses, as it must with DF set.
    assert.match((await namespace.runAsync(ping(1473))).stdout, /0 received|errors/);
    // Fragments (DF clear): no answer, or a whole one; either way the machine goes on.
    await namespace.runAsync([
      "ping",
      "-n",
      "-c",
      "2",
      "-i",
      "0.1",
      "-W",
      "1",
      "-s",
      "4000",
      "10.77.0.2",
    ]);
    assert.match((await namespace.runAsync(ping(1472))).stdout, /3 received/);
    const neighbours = (await namespace.runAsync(["ip", "neigh", "show"])).stdout;
    assert.match(neighbours, /10\.77\.0\.2 .*52:54:00:12:34:56/);
  });
});
