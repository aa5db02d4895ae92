import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { curl, damagedFrames, framesThat, inFolder, onUserNetwork } from "./lib.ts";

/** The default image as an HTTP client sees it, through QEMU's user network: no root needed. */

const page = readFileSync(project("apps/http/site/index.html"));

/** Status and headers, by curl. */
async function head(...words: string[]): Promise<{ status: number; headers: Map<string, string> }> {
  const text = (await curl("-o", "/dev/null", "-D", "-", ...words)).toString();
  const [first, ...lines] = text.trim().split("\r\n");
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(first!.split(" ")[1]), headers: new Map(headers) };
}

test("HTTP by curl", async (t) => {
  await onUserNetwork("http", {}, async (url) => {
    await t.test("GET / is the packed file, byte for byte", async () => {
      assert.deepEqual(await curl(`${url}/`), page);
    });
    await t.test("HEAD has GET's headers and no body", async () => {
      const { status, headers } = await head("-I", `${url}/`);
      assert.equal(status, 200);
      assert.equal(headers.get("content-length"), String(page.length));
      assert.match(headers.get("content-type")!, /^text\/html/);
    });
    await t.test("conditional requests", async () => {
      const { headers } = await head(`${url}/`);
      const tag = headers.get("etag")!;
      assert.ok(tag);
      assert.equal((await head("-H", `If-None-Match: ${tag}`, `${url}/`)).status, 304);
      assert.equal((await head("-H", 'If-None-Match: "other"', `${url}/`)).status, 200);
      assert.equal((await head("-H", 'If-Match: "other"', `${url}/`)).status, 412);
      const modified = headers.get("last-modified");
      if (modified) {
        assert.equal((await head("-H", `If-Modified-Since: ${modified}`, `${url}/`)).status, 304);
      }
    });
    await t.test("ranges", async () => {
      assert.deepEqual(await curl("-r", "0-0", `${url}/`), page.subarray(0, 1));
      assert.deepEqual(await curl("-r", "10-19", `${url}/`), page.subarray(10, 20));
      assert.deepEqual(await curl("-r", "-7", `${url}/`), page.subarray(page.length - 7));
      const { status, headers } = await head("-r", "5-9", `${url}/`);
      assert.equal(status, 206);
      assert.equal(headers.get("content-range"), `bytes 5-9/${page.length}`);
      const beyond = await head("-r", "99999999-", `${url}/`);
      assert.equal(beyond.status, 416);
      assert.equal(beyond.headers.get("content-range"), `bytes */${page.length}`);
    });
    await t.test("errors", async () => {
      assert.equal((await head(`${url}/no/such/file`)).status, 404);
      assert.equal((await head("-X", "DELETE", `${url}/`)).status, 405);
      assert.equal((await head("-X", "BREW", `${url}/`)).status, 501);
      assert.equal((await head(`${url}/${"x".repeat(20_000)}`)).status, 414);
      assert.equal((await head("-H", `X-Long: ${"x".repeat(40_000)}`, `${url}/`)).status, 431);
      assert.equal((await head("--path-as-is", `${url}/../../etc/passwd`)).status >= 400, true);
    });
    await t.test("one connection serves many requests", async () => {
      const words = Array.from({ length: 50 }, () => ["-o", "/dev/null", `${url}/`]).flat();
      const text = (await curl("-w", "%{num_connects}\\n", ...words)).toString();
      const counts = text.trim().split("\n");
      assert.equal(counts.length, 50);
      assert.equal(
        counts.reduce((sum, count) => sum + Number(count), 0),
        1,
      );
    });
    await t.test("/status is JSON", async () => {
      const status = JSON.parse((await curl(`${url}/status`)).toString());
      assert.equal(status.interfaces[0].address, "10.0.2.15");
      assert.ok(status.tcp.segmentsIn > 0);
      assert.ok(status.pools.length > 0);
    });
    await t.test("200 connections at once", async () => {
      await twoHundred(Number(new URL(url).port));
    });
  });
});

/**
 * Opens 200 connections, each held once it has had its first answer, then asks on all at once and
 * reads every answer to its end. One is opened after the other, because QEMU's forwarding listens
 * with a backlog of 1, and what it leaves behind waits for the host's next SYN.
 */
async function twoHundred(port: number): Promise<void> {
  const ask = "GET / HTTP/1.1\r\nHost: skerry\r\n\r\n";
  const last = "GET / HTTP/1.1\r\nHost: skerry\r\nConnection: close\r\n\r\n";
  const sockets: Socket[] = [];
  const answers: Promise<string>[] = [];
  for (let i = 0; i < 200; i++) {
    const socket = connect(port, "127.0.0.1");
    sockets.push(socket);
    answers.push(
      new Promise((resolve, reject) => {
        let text = "";
        socket.setEncoding("latin1").on("data", (chunk: string) => (text += chunk));
        socket.setTimeout(60_000, () => reject(new Error(`stuck after ${text.length} bytes`)));
        socket.once("end", () => resolve(text)).once("error", reject);
      }),
    );
    socket.write(ask);
    await once(socket, "data");
  }
  for (const socket of sockets) socket.write(last);
  for (const text of await Promise.all(answers)) {
    assert.equal(text.split("HTTP/1.1 200 OK\r\n").length - 1, 2, "each request has its answer");
    assert.ok(text.endsWith(page.toString("latin1")));
  }
}

test("nothing in a capture is malformed or has a wrong checksum", async () => {
  await inFolder(async (folder) => {
    const capture = join(folder, "capture.pcap");
    await onUserNetwork("http", { capture }, async (url) => {
      for (let i = 0; i < 20; i++) assert.deepEqual(await curl(`${url}/`), page);
      await curl("-I", `${url}/`);
      await curl(`${url}/status`);
    });
    assert.ok((await framesThat(capture, "tcp && ip.src == 10.0.2.15")).length > 50);
    assert.ok((await framesThat(capture, "dhcp && ip.dst == 255.255.255.255")).length > 0);
    assert.deepEqual(await damagedFrames(capture), []);
  });
});
