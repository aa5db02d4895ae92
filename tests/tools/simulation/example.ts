import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, MILLISECOND, SECOND } from "skerry/sim";

/** The example of docs/simulation.md: a server in C is asked by another guest and by the test itself. */

const server = process.env["SERVER"]!;

test("it answers two at once over a bad network, and the same way each time", async () => {
  const runs: string[] = [];
  for (let run = 0; run < 2; run++) {
    const network = await Network.create({ seed: 7, loss: 0.05, delay: 5 * MILLISECOND });
    const host = await network.host({
      address: "10.0.0.2/24",
      guests: { page: { module: server, restart: "on-failure" } },
    });
    const peer = network.peer("10.0.0.9/24");
    const asked = ["/one", "/two"].map((path) =>
      peer.talk("10.0.0.2", 80, `GET ${path} HTTP/1.0\r\n\r\n`),
    );
    network.until(() => asked.every(({ ended }) => ended), 20 * SECOND, "two answers");
    for (const { text } of asked) assert.match(text, /hello from C/);
    host.expect(/10\.0\.0\.9 asked for GET \/two/);
    runs.push(`${network.now} ${host.console.join("\n")}`);
    network.close();
  }
  assert.equal(runs[0], runs[1]);
});
