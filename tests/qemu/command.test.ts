import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createServer } from "node:net";
import { after, test } from "node:test";
import { compile } from "../../tools/cli/compile.ts";
import { imageOf, project } from "../../tools/cli/project.ts";
import { freePort } from "../../tools/qemu/ports.ts";
import { curl, runProgram } from "./lib.ts";

/** The `skerry` command as a user meets it: what it prints, what it leaves behind, its exit status. */

const SKERRY = project("tools/cli/skerry.mjs");

class Session {
  output = "";
  readonly child: ChildProcess;
  readonly status: Promise<number | null>;

  constructor(env: { [name: string]: string }) {
    this.child = spawn(process.execPath, [SKERRY, "run"], {
      cwd: project(),
      env: { ...process.env, ACCEL: "tcg", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout!, this.child.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.output += chunk));
    }
    this.status = once(this.child, "close").then(([code]) => code as number | null);
    sessions.push(this);
  }

  async see(pattern: RegExp, ms = 60_000): Promise<RegExpExecArray> {
    for (const end = Date.now() + ms; Date.now() < end;) {
      const match = pattern.exec(this.output);
      if (match) return match;
      assert.equal(this.child.exitCode, null, `ended without ${pattern}:\n${this.output}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return assert.fail(`no ${pattern} in ${ms} ms:\n${this.output}`);
  }

  /** The QEMU processes whose parent is this command. */
  machines(): number[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => parentOf(pid) === this.child.pid)
      .filter((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("qemu"));
  }
}

const sessions: Session[] = [];
after(() => sessions.forEach(({ child }) => child.kill("SIGKILL")));

function parentOf(pid: number): number | null {
  try {
    return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return null; // it has ended
  }
}

/** Resolves once a process is gone, zombies not counted. */
async function gone(pid: number): Promise<boolean> {
  for (let tries = 0; tries < 100; tries++) {
    if (parentOf(pid) === null) return true;
    if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

test("run prints a URL that answers, and Ctrl-C leaves nothing behind", async () => {
  const port = await freePort();
  const session = new Session({ PORT: String(port) });
  const [, url] = await session.see(/(http:\/\/127\.0\.0\.1:\d+\/)/);
  assert.equal(url, `http://127.0.0.1:${port}/`);
  assert.match((await curl(url)).toString(), /<html/i);
  const machines = session.machines();
  assert.equal(machines.length, 1);
  session.child.kill("SIGINT");
  assert.equal(await session.status, 0, session.output);
  assert.ok(await gone(machines[0]!));
});

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  test(`the machine ends with a command that gets ${signal}`, async () => {
    const session = new Session({ PORT: String(await freePort()) });
    await session.see(/http:\/\//);
    const [machine] = session.machines();
    assert.ok(machine);
    session.child.kill(signal);
    assert.notEqual(await session.status, 0);
    assert.ok(await gone(machine));
  });
}

/** Runs a command that must fail, with one line about why. */
async function refusal(env: { [name: string]: string }, ...words: string[]): Promise<string> {
  const { status, stderr } = await runProgram([process.execPath, SKERRY, ...words], { env });
  assert.notEqual(status, 0);
  const lines = stderr.split("\n").filter((line) => line.startsWith("skerry: "));
  assert.equal(lines.length, 1, stderr);
  assert.doesNotMatch(stderr, /^\s+at /m, "a stack trace is no message");
  return lines[0]!;
}

test("a busy port is one clear line, before anything boots", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  try {
    const line = await refusal({ PORT: String(port) }, "run");
    assert.match(line, new RegExp(`port ${port} .*taken.*PORT=`));
  } finally {
    server.close();
  }
});

for (const [name, value, pattern] of [
  ["PORT", "99999", /1 to 65535/],
  ["MACHINE", "isapc", /pc, q35, microvm/],
  ["NIC", "ne2k_pci", /"ne2k_pci" is none of .*e1000-82544gc/],
  ["NIC", "virtio-net-device", /is the microvm's card: .* pc takes virtio-net-pci/],
  ["MEM", "8", /from 16/],
  ["ACCEL", "hvf", /auto, tcg, kvm/],
  ["APP", "nosuch", /no apps\/nosuch; there is .*http/],
  ["CC", "no-such-compiler", /no such compiler/],
] as const) {
  test(`${name}=${value} is refused with what would be right`, async () => {
    assert.match(await refusal({ [name]: value }, "run"), pattern);
  });
}

test("a card that the machine cannot have is one clear line", async () => {
  const line = await refusal({ MACHINE: "microvm", NIC: "e1000,mq=on" }, "run");
  assert.match(
    line,
    /NIC=e1000,mq=on: a microvm has no PCI for a card "e1000": .*virtio-net-device/,
  );
});

for (const [what, source, pattern] of [
  ["a type error", '\nexport const n: i32 = "text";\n', /: .*bad\.ts:2:23: TS\d+: Type /],
  ["a syntax error", "export function f( {\n", /: .*bad\.ts:1:\d+: TS\d+: /],
] as const) {
  test(`${what} in an app is named with its file and line`, async () => {
    const entry = "build/tests/bad.ts";
    mkdirSync(project("build/tests"), { recursive: true });
    writeFileSync(project(entry), source);
    try {
      await assert.rejects(compile({ entry, target: "release", outFile: null }), pattern);
    } finally {
      rmSync(project(entry));
    }
  });
}

test("the web server's image is below 512 KiB", () => {
  const { size } = statSync(project("build/skerry.elf"));
  assert.ok(size < 512 << 10, `${size} bytes`);
});

test("an image larger than the machine's memory is one clear line", async () => {
  const app = "large-image";
  const files = [project("apps", app, "main.ts"), project("apps", app, "site/large.bin")];
  mkdirSync(project("apps", app, "site"), { recursive: true });
  try {
    writeFileSync(files[0]!, 'import "../http/main";\n');
    writeFileSync(files[1]!, Buffer.alloc(20 << 20));
    assert.match(await refusal({ APP: app, MEM: "16" }, "run"), /16 MiB: give it MEM=2\d or more/);
  } finally {
    rmSync(project("apps", app), { recursive: true });
    for (const path of Object.values(imageOf(app))) rmSync(path, { recursive: true, force: true });
    rmSync(project("build", `${app}.objects`), { recursive: true, force: true });
  }
});

test("two builds at once take turns, and a dead one's lock is no hindrance", async () => {
  const { folder, image } = imageOf("http");
  const build = (): ReturnType<typeof runProgram> =>
    runProgram([process.execPath, SKERRY, "build"], {});
  const { pid } = spawnSync("true");
  writeFileSync(join(folder, "lock"), String(pid));
  assert.equal((await build()).status, 0);
  rmSync(image);
  rmSync(join(folder, "c.stamp.json"));
  const results = await Promise.all([build(), build()]);
  for (const { status, stderr } of results) assert.equal(status, 0, stderr);
  assert.equal(results.filter(({ stderr }) => /waits for the build/.test(stderr)).length, 1);
  assert.equal(results.filter(({ stderr }) => /translate/.test(stderr)).length, 1);
  assert.ok(existsSync(image) && !existsSync(join(folder, "lock")));
});
