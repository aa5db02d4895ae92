import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { readdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { Machine } from "../../tools/qemu/machine.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { type Result, runProgram } from "./lib.ts";

/** A user's day: a folder from a template, built, checked, booted and tested with the commands of its README. */

const SKERRY = project("tools/cli/skerry.mjs");
const folder = mkdtempSync(join(tmpdir(), "skerry-create-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a command in a folder; it may not ask any network for anything. */
function runIn(place: string, ...command: string[]): Promise<Result> {
  const env = { ACCEL: "tcg", npm_config_offline: "true" };
  // Node's test runner tells those below it to report to it.
  const words = ["env", "-C", place, "-u", "NODE_TEST_CONTEXT", ...command];
  return runProgram(words, { env, ms: 240_000 });
}

async function succeeds(place: string, ...command: string[]): Promise<string> {
  const { status, stdout, stderr } = await runIn(place, ...command);
  assert.equal(status, 0, `${command.join(" ")}: ${stdout}${stderr}`);
  return stdout + stderr;
}

const skerry = (place: string, ...words: string[]): Promise<Result> =>
  runIn(place, "npx", "--no-install", "skerry", ...words);

for (const template of ["echo", "c"]) {
  test(`a folder from the template ${template} is right as it is, and its own test passes`, async () => {
    const place = join(folder, `my-${template}`);
    await succeeds(folder, process.execPath, SKERRY, "create", place, "--template", template);
    assert.match(await succeeds(place, "npm", "run", "check"), /skerry\.toml is right/);
    assert.match(await succeeds(place, "npm", "test"), /# pass 1/);
    assert.ok(existsSync(join(place, "build", `my-${template}.elf`)));
  });
}

test("create leaves alone what is there, and says what a name is", async () => {
  const busy = join(folder, "busy");
  mkdirSync(busy);
  writeFileSync(join(busy, "file"), "");
  for (const [name, pattern] of [
    [busy, /is there already, and not empty/],
    [join(folder, "Hello World"), /lower-case letters, digits and hyphens/],
  ] as const) {
    const { status, stderr } = await runIn(folder, process.execPath, SKERRY, "create", name);
    assert.notEqual(status, 0);
    assert.match(stderr, pattern);
  }
  assert.deepEqual(readdirSync(busy), ["file"]);
});

test("outside of a project the command says how to make one", async () => {
  const { status, stderr } = await runIn(folder, process.execPath, SKERRY, "build");
  assert.notEqual(status, 0);
  assert.match(stderr, /no skerry\.toml here or above: `npx skerry create NAME` makes/);
});

test("installed as a package, with its dependencies beside it, it makes folders and builds them", async () => {
  const home = join(folder, "packaged");
  mkdirSync(join(home, "node_modules"), { recursive: true });
  const [{ filename }] = JSON.parse(
    (
      await runIn(
        project(),
        "npm",
        "pack",
        "--json",
        "--ignore-scripts",
        "--pack-destination",
        home,
      )
    ).stdout.toString(),
  ) as [{ filename: string }];
  await succeeds(home, "tar", "xf", filename);
  await succeeds(home, "mv", "package", "node_modules/skerry");
  const { dependencies } = JSON.parse(readFileSync(project("package.json"), "utf8")) as {
    dependencies: object;
  };
  // Packages that these need lie beside them in this folder's own node_modules, whose links Node follows.
  mkdirSync(join(home, "node_modules/@assemblyscript"));
  for (const name of Object.keys(dependencies)) {
    symlinkSync(project("node_modules", name), join(home, "node_modules", name));
  }
  writeFileSync(join(home, "skerry.toml"), '[guests.hello]\nsource = "hello.ts"\n');
  writeFileSync(join(home, "hello.ts"), 'console.log("hello");\n');
  const tool = join(home, "node_modules/skerry/tools/cli/skerry.mjs");
  const output = await succeeds(home, process.execPath, tool, "build");
  assert.match(output, /build\/packaged\.elf is ready/);
  assert.ok(existsSync(join(home, "build/packaged.elf")));
});

test("a program that aborts says why and where", async () => {
  const place = join(folder, "abort");
  mkdirSync(place);
  writeFileSync(join(place, "skerry.toml"), '[guests.hasty]\nsource = "main.ts"\n');
  writeFileSync(
    join(place, "main.ts"),
    'console.log("so far");\nassert(process.argv.length == 2, "one argument");\n',
  );
  await succeeds(place, process.execPath, SKERRY, "build");
  const image = Machine.start({
    kernel: join(place, "build/abort.elf"),
    accel: "tcg",
    network: null,
  });
  try {
    await image.waitFor(/guest: hasty aborted: one argument at main\.ts:2:1\b/, 60_000);
    await image.waitFor(/guest: hasty ended code=134/, 60_000);
  } finally {
    await image.stop();
  }
});

// ---- The web server that the default template makes ----------------------------------------

let machine: ChildProcess;
let port: number;
let output = "";
const web = join(folder, "web");

before(async () => {
  port = await freePort();
  const start = performance.now();
  await succeeds(folder, process.execPath, SKERRY, "create", "web");
  machine = spawn("npx", ["--no-install", "skerry", "run", "--port", String(port)], {
    cwd: web,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ACCEL: "tcg" },
  });
  for (const stream of [machine.stdout!, machine.stderr!]) {
    stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
  }
  while (!output.includes("(Ctrl-C ends the machine)")) {
    assert.equal(machine.exitCode, null, output);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  console.log(`from create to the first page: ${Math.round(performance.now() - start)} ms`);
});

after(async () => {
  if (machine.exitCode !== null) return;
  process.kill(-machine.pid!, "SIGINT");
  await once(machine, "close");
});

const get = (path: string, init?: RequestInit): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}${path}`, { redirect: "manual", ...init });

test("the template's page is served, once to whom has it", async () => {
  const page = await get("/");
  assert.equal(page.status, 200);
  assert.equal(page.headers.get("content-type"), "text/html;charset=utf-8");
  assert.ok(Math.abs(Date.parse(page.headers.get("date")!) - Date.now()) < 60_000);
  assert.equal(await page.text(), readFileSync(join(web, "site/index.html"), "utf8"));
  const headers = { "If-None-Match": `"x", ${page.headers.get("etag")}` };
  const again = await get("/", { headers });
  assert.equal(again.status, 304);
  assert.equal(await again.text(), "");
  assert.equal((await get("/index%2Ehtml")).status, 200);
  assert.equal((await get("/%zz")).status, 400);
  assert.equal((await get("/../skerry.toml")).status, 404);
  const refused = await get("/", { method: "DELETE" });
  assert.equal(refused.status, 405);
  assert.equal(refused.headers.get("allow"), "GET, HEAD");
});

/** Sends `parts` with pauses between, and reads until the server ends the connection. */
async function exchange(...parts: string[]): Promise<string> {
  const socket = connect(port, "127.0.0.1").setNoDelay(true);
  socket.setEncoding("latin1");
  let answer = "";
  const read = (async () => {
    for await (const chunk of socket as AsyncIterable<string>) answer += chunk;
  })();
  for (const part of parts) {
    socket.write(part, "latin1");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await Promise.race([
    read,
    new Promise((_, reject) => setTimeout(() => reject(new Error(`open: ${answer}`)), 10_000)),
  ]).finally(() => socket.destroy());
  return answer;
}

const statuses = (answer: string): number[] =>
  [...answer.matchAll(/^HTTP\/1\.1 (\d{3})/gm)].map(([, status]) => Number(status));
const HELLO = "GET /hello HTTP/1.1\r\nHost: a\r\n";

test("requests sent ahead are answered in order, and HEAD without a body", async () => {
  const head = "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n";
  const answer = await exchange(`${HELLO}\r\n${head}${HELLO}Connection: close\r\n\r\n`);
  assert.deepEqual(statuses(answer), [200, 200, 200]);
  assert.equal(answer.match(/Hello from Skerry!/g)?.length, 2);
  assert.equal(answer.match(/Content-Length: 19/g)?.length, 3);
});

test("bodies are read to their end, in either coding and in pieces", async () => {
  const close = `${HELLO}Connection: close\r\n\r\n`;
  const post = "POST /hello HTTP/1.1\r\nHost: a\r\n";
  const sized = await exchange(`${post}Content-Length: 10\r\n\r\n01234`, `56789${close}`);
  assert.deepEqual(statuses(sized), [200, 200]);
  const chunked = `${post}Transfer-Encoding: chunked\r\n\r\n`;
  const chunks = "5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
  assert.deepEqual(statuses(await exchange(chunked + chunks + close)), [200, 200]);
  const pieces = [...(chunked + chunks)];
  assert.deepEqual(statuses(await exchange(...pieces, close)), [200, 200]);
  const patient = await exchange(
    `${post}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n`,
    `x${close}`,
  );
  assert.deepEqual(statuses(patient), [100, 200, 200]);
});

for (const [what, request, status] of [
  ["a bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400],
  ["no Host", "GET / HTTP/1.1\r\n\r\n", 400],
  [
    "a length beside a coding",
    `${HELLO}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  ["a chunk without a size", `${HELLO}Transfer-Encoding: chunked\r\n\r\nx\r\n`, 400],
  ["a chunk longer than it says", `${HELLO}Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n`, 400],
  ["a body that is too long", `${HELLO}Content-Length: 9999999\r\n\r\n`, 413],
  ["a chunk that is too long", `${HELLO}Transfer-Encoding: chunked\r\n\r\nfffffff\r\n`, 413],
  ["a target that is too long", `GET /${"a".repeat(9000)}`, 414],
  ["another expectation", `${HELLO}Expect: x\r\n\r\n`, 417],
  ["a coding it does not know", `${HELLO}Transfer-Encoding: gzip, chunked\r\n\r\n`, 501],
  ["another version", "GET / HTTP/3.0\r\n\r\n", 505],
] as const) {
  test(`${what} is answered ${status}, and ends the connection`, async () => {
    // What follows could be a request that somebody hid in the first.
    assert.deepEqual(statuses(await exchange(`${request}${HELLO}\r\n`)), [status]);
  });
}

/** A connection that lives on. */
class Kept {
  private readonly socket = connect(port, "127.0.0.1").setEncoding("latin1");
  private answer = "";
  private done = (): void => {};

  constructor() {
    this.socket.on("data", (chunk: string) => {
      this.answer += chunk;
      if (this.answer.endsWith("Hello from Skerry!\n")) this.done();
    });
  }

  ask(): Promise<number[]> {
    this.answer = "";
    this.socket.write(`${HELLO}\r\n`);
    return new Promise((resolve) => (this.done = () => resolve(statuses(this.answer))));
  }

  close(): void {
    this.socket.destroy();
  }
}

test("many connections at once get each their own, and the guest is none the worse", async () => {
  const clients: Kept[] = [];
  try {
    // One after the other, for QEMU lets one wait.
    for (let i = 0; i < 40; i++) {
      clients.push(new Kept());
      assert.deepEqual(await clients[i]!.ask(), [200]);
    }
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(clients.map((client) => client.ask()));
      assert.ok(answers.every(([status, ...more]) => status === 200 && !more.length));
    }
  } finally {
    for (const client of clients) client.close();
  }
  assert.doesNotMatch(output, /ended|refused|aborted/);
});

test("a mistake in skerry.toml has its place, and nothing is built", async () => {
  const file = join(web, "skerry.toml");
  const text = readFileSync(file, "utf8");
  writeFileSync(file, text.replace('"on-failure"', '"sometimes"').replace("memory", "memroy"));
  try {
    const { status, stderr } = await skerry(web, "build");
    assert.notEqual(status, 0);
    assert.match(
      stderr,
      /^skerry\.toml:5:11: guests\.web\.restart is "sometimes": write "never", /m,
    );
    assert.match(
      stderr,
      /^skerry\.toml:6:1: "memroy" is not a key of guests\.web: did you mean memory\?$/m,
    );
    assert.match(stderr, /^skerry: 2 things to put right in skerry\.toml$/m);
  } finally {
    writeFileSync(file, text);
  }
});
