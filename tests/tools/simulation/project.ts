import assert from "node:assert/strict";
import { test } from "node:test";
import { Network, SECOND } from "skerry/sim";

/** A folder with a skerry.toml as one machine. */

test("what skerry.toml says holds in simulation", async () => {
  const network = await Network.create();
  const host = await network.host({ address: "10.0.0.2/24", project: process.env["FOLDER"]! });
  const peer = network.peer("10.0.0.9/24");
  const [page, refused] = [80, 7].map((port) =>
    peer.talk("10.0.0.2", port, "GET / HTTP/1.0\r\n\r\n"),
  );
  network.until(() => page!.ended && refused!.error !== 0, 10 * SECOND, "an answer and a refusal");
  assert.match(page!.text, /hello from C/);
  host.expect(/echo may not bind tcp .*allow\.bind of \[guests\.echo\]/);
  network.close();
});
