/** The machine's own name on a link, as avahi sees it. */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  GUEST_ADDRESS,
  HOST_ADDRESS,
  Namespace,
  namespaceTrouble,
  TAP,
} from "../../tools/qemu/namespace.ts";
import { avahiCommand } from "../qemu/avahi.ts";

const PROGRAM = "build/skerry-hosted";
const trouble =
  namespaceTrouble() ??
  (spawnSync("avahi-daemon", ["--version"]).status === 0 ? null : "needs avahi-daemon");

/** What a process has printed, to be waited for. */
class Output {
  text = "";

  constructor(readonly process: ChildProcess) {
    for (const stream of [process.stdout!, process.stderr!])
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.text += chunk));
  }

  async line(pattern: RegExp): Promise<void> {
    const until = Date.now() + 60_000;
    while (!pattern.test(this.text)) {
      assert.ok(Date.now() < until, `no ${pattern} in:\n${this.text}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe("multicast DNS beside avahi", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let folder: string;
  before(() => {
    namespace = new Namespace();
    folder = mkdtempSync(join(tmpdir(), "skerry-mdns-"));
  });
  after(() => {
    namespace.delete();
    rmSync(folder, { recursive: true });
  });

  const machine = (hostname: string): Output => {
    const append = `ip=${GUEST_ADDRESS}/24 ip6=off hostname=${hostname}`;
    return new Output(namespace.spawn([PROGRAM, "--tap", TAP, "--append", append]));
  };

  /** An avahi of this name, with a /run of its own. */
  const avahi = async (name: string): Promise<Output> => {
    const output = new Output(namespace.spawn(avahiCommand(folder, name)));
    await output.line(/Server startup complete/);
    return output;
  };

  /** Asks avahi, by the protocol of nss-mdns. */
  const ask = (output: Output, command: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(`/proc/${output.process.pid}/root/run/avahi-daemon/socket`);
      let said = "";
      socket.setEncoding("utf8").on("data", (chunk: string) => (said += chunk));
      socket.on("error", reject).on("close", () => resolve(said.trim()));
      socket.write(`${command}\n`);
    });

  const stop = (...outputs: Output[]): Promise<unknown> =>
    Promise.all(
      outputs.map(({ process }) => {
        const ended = new Promise((resolve) => process.once("close", resolve));
        process.kill("SIGTERM");
        return ended;
      }),
    );

  test("avahi finds the machine by its name, and its name by its address", async () => {
    const skerry = machine("web");
    await skerry.line(/mdns: web\.local/);
    const peer = await avahi("peer");
    const name = await ask(peer, "RESOLVE-HOSTNAME-IPV4 web.local");
    assert.match(name, new RegExp(`^\\+ \\d+ 0 web\\.local ${GUEST_ADDRESS}$`), peer.text);
    const reverse = await ask(peer, `RESOLVE-ADDRESS ${GUEST_ADDRESS}`);
    assert.match(reverse, /^\+ \d+ 0 web\.local$/, peer.text);
    await stop(peer, skerry);
  });

  test("avahi forgets the name of a machine that ends (RFC 6762, 10.1)", async () => {
    const peer = await avahi("peer");
    const skerry = machine("web");
    await skerry.line(/mdns: web\.local/);
    assert.match(await ask(peer, "RESOLVE-HOSTNAME-IPV4 web.local"), /^\+/, peer.text);
    await stop(skerry);
    // A second later, and not two minutes, as the records would have lasted.
    const until = Date.now() + 60_000;
    let said = "";
    do {
      await new Promise((resolve) => setTimeout(resolve, 100));
      said = await ask(peer, "RESOLVE-HOSTNAME-IPV4 web.local");
    } while (/^\+/.test(said) && Date.now() < until);
    assert.match(said, /^-/, "still known");
    await stop(peer);
  });

  test("the machine leaves avahi the name that it has, and avahi the machine's", async () => {
    const first = await avahi("web");
    const skerry = machine("web");
    await skerry.line(/web\.local is another host's: web-2\.local is tried[^]*mdns: web-2\.local/);
    const found = await ask(first, "RESOLVE-HOSTNAME-IPV4 web-2.local");
    assert.match(found, new RegExp(` web-2\\.local ${GUEST_ADDRESS}$`));
    await stop(first);
    const second = await avahi("web-2");
    assert.match(second.text, /conflict/i);
    assert.doesNotMatch(second.text, /host name is web-2\.local/);
    const own = await ask(second, "RESOLVE-HOSTNAME-IPV4 web-3.local");
    assert.match(own, new RegExp(` web-3\\.local ${HOST_ADDRESS}$`), second.text);
    await stop(second, skerry);
  });
});
