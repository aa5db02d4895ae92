import assert from "node:assert/strict";
import { test } from "node:test";
import { withMachine } from "skerry/sdk/testing.mjs";

test("the image serves its page", async () => {
  await withMachine(async (port) => {
    const page = await fetch(`http://127.0.0.1:${port}/`);
    assert.equal(page.status, 200);
    assert.match(await page.text(), /<h1>NAME<\/h1>/);
    const hello = await fetch(`http://127.0.0.1:${port}/hello`);
    assert.equal(await hello.text(), "Hello from Skerry!\n");
  });
});
