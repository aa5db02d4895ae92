import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { HOST_ADDRESS, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { avahiCommand } from "./avahi.ts";
import { guest, wasi, withGuests } from "./guest-images.ts";
import { namesSays } from "./guests/names.ts";
import { inFolder, noTap, STATIC } from "./lib.ts";

/** <netdb.h> on the virtual hardware, against the DNS servers that people run. */

/** More than a datagram of 1,232 bytes holds. */
const MANY = 100;
const many = Array.from({ length: MANY }, (_, i) => `198.51.100.${i}`);

const HOSTS = [
  ["web.test", "192.0.2.1", "2001:db8::1"],
  ["web.test", "192.0.2.2"],
  ["four.test", "192.0.2.4"],
  ...many.map((address) => ["many.test", address]),
];

type Server = (folder: string) => string[];

/** dnsmasq, which leaves truncation, and names that there are none of, to its own ideas. */
const dnsmasq: Server = (folder) => [
  ...[
    "dnsmasq",
    "--no-daemon",
    "--conf-file=/dev/null",
    "--user=root",
    "--no-resolv",
    "--no-hosts",
  ],
  ...[`--interface=${TAP}`, "--bind-interfaces", `--pid-file=${folder}/pid`, "--local=/test/"],
  ...[
    "--local=/arpa/",
    "--cname=alias.test,web.test",
    "--ptr-record=1.2.0.192.in-addr.arpa,web.test",
  ],
  ...HOSTS.map((words) => `--host-record=${words.join(",")}`),
];

const unbound: Server = (folder) => {
  const soa = (zone: string) => `local-data: "${zone} 300 SOA ns.${zone} root.${zone} 1 2 3 4 300"`;
  const data = (line: string) => `local-data: "${line}"`;
  const file = join(folder, "unbound.conf");
  writeFileSync(
    file,
    [
      "server:",
      `interface: ${HOST_ADDRESS}`,
      "access-control: 0.0.0.0/0 allow",
      ...['username: ""', 'chroot: ""', `directory: "${folder}"`, `pidfile: "${folder}/pid"`],
      ...["use-syslog: no", "do-daemonize: no", "module-config: iterator"],
      ...['local-zone: "test." static', soa("test.")],
      ...['local-zone: "192.in-addr.arpa." static', soa("192.in-addr.arpa.")],
      ...HOSTS.flatMap(([name, v4, v6]) => [
        data(`${name}. A ${v4}`),
        ...(v6 ? [data(`${name}. AAAA ${v6}`)] : []),
      ]),
      data("alias.test. CNAME web.test."),
      ...['local-data-ptr: "192.0.2.1 web.test"', 'local-data-ptr: "2001:db8::1 web.test"'],
    ].join("\n") + "\n",
  );
  return ["unbound", "-d", "-c", file];
};

/** Servers deal out a name's addresses in turn. */
const sorted = (line: string): string => line.split(" ").sort().join(" ");

for (const [name, server] of Object.entries({ dnsmasq, unbound })) {
  test(`a C program finds the names that ${name} knows`, { skip: noTap }, async () => {
    const namespace = new Namespace();
    try {
      await inFolder(async (folder) => {
        const process = namespace.spawn(server(folder));
        let log = "";
        process.stderr!.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
        await once(process.stderr!, "data");
        const tap = {
          append: `${STATIC} dns=${HOST_ADDRESS}`,
          network: { kind: "tap", interface: TAP },
          prefix: namespace.prefix,
        } as const;
        await withGuests([wasi(folder, "names")], tap, async (machine) => {
          await machine.waitFor(/guest: names ended/, 60_000);
          const lines = machine.console.split(/\r?\n/).map(sorted);
          for (const line of namesSays(MANY)) {
            assert.ok(
              lines.includes(sorted(line)),
              `not said: ${line}\n${machine.console}\n${log}`,
            );
          }
        });
      });
    } finally {
      namespace.delete();
    }
  });
}

test("a C program finds the host that avahi has on its link", { skip: noTap }, async () => {
  const namespace = new Namespace();
  try {
    await inFolder(async (folder) => {
      const process = namespace.spawn(avahiCommand(folder, "peer"));
      let log = "";
      process.stderr!.setEncoding("utf8").on("data", (chunk: string) => (log += chunk));
      while (!log.includes("startup complete")) await once(process.stderr!, "data");
      const tap = {
        append: `${STATIC} dns=${HOST_ADDRESS}`,
        network: { kind: "tap", interface: TAP },
        prefix: namespace.prefix,
        specs: [guest("local", "local", { arguments: ["peer.local", "nobody.local"] })],
      } as const;
      await withGuests(
        [wasi(folder, "local")],
        { ...tap, specs: [...tap.specs] },
        async (machine) => {
          await machine.waitFor(/guest: local ended code=0/, 60_000);
          assert.match(machine.console, new RegExp(`peer\\.local: ${HOST_ADDRESS}\\.`), log);
          assert.match(machine.console, /nobody\.local: (?!\d)/);
        },
      );
    });
  } finally {
    namespace.delete();
  }
});
