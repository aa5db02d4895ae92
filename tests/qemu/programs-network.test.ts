import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { GUEST_ADDRESS, HOST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import type { Machine } from "../../tools/qemu/machine.ts";
import { withProject } from "./guest-images.ts";
import { inFolder, inside, noTap } from "./lib.ts";

/** Programs of apps/ against Linux: a server, a client, a router and a host behind it. */

const BEHIND = "10.88.0.2";
const HOST_V6 = "fd77::1";
const GUEST_V6 = "fd77::2";

/** Two redirections, then a page in chunks; and a second port that is open. */
const SERVER = `
const { createServer } = require("node:http");
const to = { "/start": "next/page?x=1", "/next/page?x=1": "http://${HOST_ADDRESS}:8000/end" };
const server = createServer((request, response) => {
  const location = to[request.url];
  response.writeHead(location ? 302 : 200, location ? { location } : {});
  response.write("the ");
  response.end(request.url + "\\n");
});
server.listen(8000, () => createServer().listen(8003, () => console.log("ready")));
`;

/** A host in a namespace of its own, to which this one's Linux is the router. */
async function hostBehind(namespace: Namespace): Promise<void> {
  const host = String(namespace.spawn(["unshare", "--net", "sleep", "600"]).pid);
  // It is in its own as soon as it sleeps.
  while (readFileSync(`/proc/${host}/comm`, "utf8") !== "sleep\n") {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const there = ["nsenter", "-t", host, "-n"];
  for (const words of [
    ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"],
    ["sysctl", "-qw", `net.ipv6.conf.${TAP}.disable_ipv6=0`],
    ["ip", "address", "add", `${HOST_V6}/64`, "dev", TAP, "nodad"],
    ["ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1"],
    ["ip", "address", "add", "10.88.0.1/24", "dev", "veth0"],
    ["ip", "link", "set", "veth0", "up"],
    ["ip", "link", "set", "veth1", "netns", host],
    [...there, "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"],
    [...there, "ip", "address", "add", `${BEHIND}/24`, "dev", "veth1"],
    [...there, "ip", "link", "set", "veth1", "up"],
    [...there, "ip", "route", "add", "default", "via", "10.88.0.1"],
  ]) {
    await inside(namespace, ...words);
  }
}

const CLIENTS = {
  fetch: [`http://${HOST_ADDRESS}:8000/start`],
  scan: [HOST_ADDRESS, "7998", "8005"],
  ping: [HOST_ADDRESS, "3"],
  traceroute: [BEHIND],
};

const list = (words: string[]): string => JSON.stringify(words);

/** What each client needs, and no more. */
const MANIFEST = `
[guests.fetch]
source = "../../../apps/fetch/fetch.c"
arguments = ${list(CLIENTS.fetch)}
restart = "on-failure"
allow = { connect = ["tcp:${HOST_ADDRESS}:8000"] }

[guests.scan]
source = "../../../apps/scan/scan.c"
arguments = ${list(CLIENTS.scan)}
restart = "on-failure"
allow = { connect = ["tcp:${HOST_ADDRESS}:7998-8005"] }

[guests.ping]
source = "../../../apps/ping/ping.c"
arguments = ${list(CLIENTS.ping)}
restart = "on-failure"
allow = { raw = true }

[guests.traceroute]
source = "../../../apps/traceroute/traceroute.c"
arguments = ${list(CLIENTS.traceroute)}
restart = "on-failure"
allow = { raw = true, bind = ["udp:*"], connect = ["udp:*"] }

[guests.echo]
source = "../../../apps/echo/echo.ts"
allow = { bind = ["tcp:7", "udp:7"], connect = ["udp:*"] }
`;

/** Sends a datagram to an echo from its own port, then from another, and waits for the one that comes back. */
const DATAGRAMS = `
const { createSocket } = require("node:dgram");
const [type, host] = process.argv.slice(1);
const data = Buffer.alloc(1452, "datagram");
const [echo, other] = [createSocket(type), createSocket(type)];
echo.on("message", () => process.exit(2));
other.on("message", (message) => process.exit(message.equals(data) ? 0 : 1));
const ask = () => other.send(data, 7, host);
echo.bind(7, () => echo.send(data, 7, host, () => (ask(), setInterval(ask, 500))));
`;

async function echoed(namespace: Namespace, machine: Machine): Promise<void> {
  await machine.waitFor(/echo: serving port=7/, 60_000);
  await inFolder(async (folder) => {
    const file = join(folder, "sent");
    writeFileSync(file, Buffer.alloc(1 << 20, "0123456789abcde\n"));
    for (const [peer, type, host] of [
      [`TCP4:${GUEST_ADDRESS}:7`, "udp4", GUEST_ADDRESS],
      [`TCP6:[${GUEST_V6}]:7`, "udp6", GUEST_V6],
    ] as const) {
      await inside(namespace, "sh", "-ec", `socat -t20 - ${peer} < ${file} | cmp - ${file}`);
      await inside(namespace, process.execPath, "-e", DATAGRAMS, type, host);
    }
  });
}

/** Until a client has ended well, all that it has said. */
async function said(machine: Machine, name: keyof typeof CLIENTS): Promise<string> {
  await machine.waitFor(new RegExp(`guest: ${name} ended code=0`), 60_000);
  return machine.console.replaceAll("\r", "");
}

test("programs as guests on a network", { skip: noTap }, async (t: TestContext) => {
  const namespace = new Namespace();
  try {
    await hostBehind(namespace);
    const server = namespace.spawn([process.execPath, "-e", SERVER]);
    await new Promise((resolve) => server.stdout!.once("data", resolve));
    const options = {
      append: `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS} ip6=${GUEST_V6}/64`,
      prefix: namespace.prefix,
      network: { kind: "tap", interface: TAP },
    } as const;
    await withProject("programs-network", MANIFEST, options, async (machine) => {
      await t.test("an HTTP client follows redirections to a page in chunks", async () => {
        const text = await said(machine, "fetch");
        assert.match(text, /302, see next\/page\?x=1\n(.*\n)*302, see http/);
        assert.match(text, new RegExp(`200 from ${HOST_ADDRESS}\n(.*\n)*?the /end\n`));
      });
      await t.test("a port scanner finds what is open", async () => {
        const text = await said(machine, "scan");
        const open = [...text.matchAll(/^(\d+) open$/gm)].map((match) => match[1]);
        assert.deepEqual(open.sort(), ["8000", "8003"]);
        assert.match(text, /^2 open, 6 closed, 0 silent$/m);
      });
      await t.test("ping hears Linux's replies", async () => {
        const text = await said(machine, "ping");
        for (const sequence of [1, 2, 3]) {
          const line = `56 bytes from ${HOST_ADDRESS}: icmp_seq=${sequence} ttl=64 time=`;
          assert.ok(text.includes(line), `not said: ${line}`);
        }
        assert.match(text, /3 sent, 3 received, min\/avg\/max /);
      });
      await t.test("traceroute finds the router and the host behind it", async () => {
        const text = await said(machine, "traceroute");
        assert.match(
          text,
          new RegExp(` 1  ${HOST_ADDRESS}  .* ms\n(.*\n)*? 2  ${BEHIND}  .* ms\n`),
        );
      });
      await t.test("echo gives back what is sent to it, over IPv4 and IPv6", () =>
        echoed(namespace, machine),
      );
    });
  } finally {
    namespace.delete();
  }
});
