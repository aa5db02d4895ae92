/** IPv6 on cards with and without a transport: an address from a router's advertisement, ping, curl, well-formed frames. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { imageOf } from "../../tools/cli/project.ts";
import { Machine } from "../../tools/qemu/machine.ts";
import { GUEST_ADDRESS, GUEST_MAC, Namespace, TAP } from "../../tools/qemu/namespace.ts";
import { plainFrames } from "./capture.ts";
import { framesThat, inFolder, inside, noTap } from "./lib.ts";

const HOST6 = "fd00:77::1";
const PAGE = readFileSync("apps/http/site/index.html", "utf8");

const CARDS = [
  { nic: "e1000", ownHeader: 0 },
  { nic: "virtio-net-pci", ownHeader: 12 },
] as const;

for (const { nic, ownHeader } of CARDS) {
  test(`IPv6 by SLAAC on ${nic}`, { skip: noTap }, async () => {
    await inFolder(async (folder) => {
      const capture = join(folder, "capture.pcap");
      const namespace = new Namespace({ address6: `${HOST6}/64` });
      // It answers solicitations, and advertises the prefix of the interface's own address.
      const router = ["--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--pid-file="];
      const range = [
        "--enable-ra",
        "--dhcp-range=::,constructor:tap0,ra-only",
        `--interface=${TAP}`,
      ];
      namespace.spawn(["dnsmasq", ...router, ...range]);
      const machine = Machine.start({
        kernel: imageOf("http").image,
        accel: "tcg",
        append: `ip=${GUEST_ADDRESS}/24`,
        network: { kind: "tap", interface: TAP },
        prefix: namespace.prefix,
        nic,
        capture,
      });
      try {
        const said = await machine.waitFor(/eth0 (fd00:77::[0-9a-f:]+)\/64/, 60_000);
        const address = said[1]!;
        const linkLocal = (await machine.waitFor(/eth0 (fe80::[0-9a-f:]+)/, 60_000))[1]!;
        for (const to of [address, `${linkLocal}%${TAP}`]) {
          const pings = ["-c", "3", "-i", "0.2", "-w", "30", "-s", "1452"];
          await inside(namespace, "ping", "-6", "-n", ...pings, to);
          const url = `http://[${to.replace("%", "%25")}]/`;
          const words = ["-6", "-sS", "-g", "--retry", "3", "--max-time", "20", url];
          assert.equal(await inside(namespace, "curl", ...words), PAGE);
        }
        assert.equal(machine.ending, null, machine.tail());
      } finally {
        await machine.stop();
        namespace.delete();
      }
      if (ownHeader) plainFrames(capture, ownHeader);
      assert.ok((await framesThat(capture, "ipv6 && tcp.port == 80")).length > 10);
      // The host's first frames come before the driver has said which header it wants.
      const wrong = ["tcp", "icmpv6"]
        .map((name) => `${name}.checksum.status == "Bad"`)
        .join(" || ");
      const ours = `eth.src == ${GUEST_MAC} && (_ws.malformed || ${wrong})`;
      assert.deepEqual(await framesThat(capture, ours), []);
    });
  });
}
