import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { HOST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import type { Machine } from "../../tools/qemu/machine.ts";
import { guest, withGuests } from "./guest-images.ts";
import { inFolder, inside, noTap, STATIC } from "./lib.ts";
import { cProgram } from "./programs.ts";

/** Clients among the programs of apps/, against Linux: a server, a router and a host behind it. */

const BEHIND = "10.88.0.2";

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

/** Until a client has ended well, all that it has said. */
async function said(machine: Machine, name: keyof typeof CLIENTS): Promise<string> {
  await machine.waitFor(new RegExp(`guest: ${name} ended code=0`), 30_000);
  return machine.console.replaceAll("\r", "");
}

test("clients as guests", { skip: noTap }, async (t: TestContext) => {
  const namespace = new Namespace();
  try {
    await hostBehind(namespace);
    const server = namespace.spawn([process.execPath, "-e", SERVER]);
    await new Promise((resolve) => server.stdout!.once("data", resolve));
    await inFolder(async (folder) => {
      const names = Object.keys(CLIENTS) as (keyof typeof CLIENTS)[];
      const modules = await Promise.all(names.map((name) => cProgram(folder, name)));
      const specs = names.map((name) =>
        guest(name, name, { arguments: CLIENTS[name], restart: "on-failure" }),
      );
      const options = {
        ...{ name: "clients", specs, append: STATIC, prefix: namespace.prefix },
        network: { kind: "tap", interface: TAP },
      } as const;
      await withGuests(modules, { ...options, specs }, async (machine) => {
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
      });
    });
  } finally {
    namespace.delete();
  }
});
