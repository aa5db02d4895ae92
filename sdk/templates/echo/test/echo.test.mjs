import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { withMachine } from "skerry/sdk/testing.mjs";

test("what is sent comes back", async () => {
  await withMachine(async (port) => {
    const message = "echo ".repeat(20_000);
    const socket = connect(port, "127.0.0.1");
    socket.setEncoding("utf8").end(message);
    let answer = "";
    for await (const chunk of socket) answer += chunk;
    assert.equal(answer, message);
  });
});
