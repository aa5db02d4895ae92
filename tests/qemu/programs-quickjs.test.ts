import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { guest, userNetwork, withGuests } from "./guest-images.ts";
import { answering, curl } from "./lib.ts";
import { quickjs } from "./programs.ts";

/** JavaScript: an HTTP server written for Node, on QuickJS as it comes from npm. */

/** What the server says to a few requests, two of them on one connection. */
async function said(port: number): Promise<string[]> {
  const at = (path: string) => `http://127.0.0.1:${port}${path}`;
  const answers = [];
  for (const path of ["/", "/primes", "/visits", "/nothing", "/later"]) {
    answers.push((await curl("-w", " %{http_code} %{content_type}", at(path))).toString());
  }
  answers.push((await curl(at("/visits"), at("/"))).toString());
  answers.push((await curl("-I", at("/"))).toString().split("\r\n")[0]!);
  return answers;
}

test("a plain JavaScript server answers on Skerry as it does on Node", async () => {
  const [hostPort, nodePort] = [await freePort(), await freePort()];
  const node = spawn(process.execPath, [project("apps/quickjs/server.js")], {
    env: { ...process.env, PORT: String(nodePort) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(node.stdout!, "data");
    const onNode = await said(nodePort);
    assert.match(onNode[1]!, /^2 3 5 7 .* 97\n 200 text\/plain; charset=utf-8$/);
    const files = [{ path: "/", tree: "/app" }];
    const options = {
      name: "quickjs",
      specs: [guest("js", "quickjs", { arguments: ["server.js"], files })],
      trees: [{ folder: project("apps/quickjs"), tree: "/app" }],
      network: userNetwork([{ protocol: "tcp", hostPort, guestPort: 80 }]),
    };
    await withGuests([await quickjs()], options, async (machine) => {
      await machine.waitFor(/serving on port 80/, 60_000);
      await answering(machine, hostPort);
      assert.deepEqual(await said(hostPort), onNode);
    });
  } finally {
    node.kill();
  }
});
