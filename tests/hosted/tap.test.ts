/** build/skerry-hosted behind a TAP in a namespace, asked by real programs. */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { GUEST_ADDRESS, Namespace, TAP, namespaceTrouble } from "../../tools/qemu/namespace.ts";

const PROGRAM = "build/skerry-hosted";
const trouble = namespaceTrouble();

function run(...words: string[]): { status: number | null; stderr: string } {
  return spawnSync(PROGRAM, words, { encoding: "utf8", timeout: 10_000 });
}

test("wrong options are refused by name", () => {
  for (const [words, complaint] of [
    [[], /Usage/],
    [["--tap", "t", "--mac", "01:00:00:00:00:00"], /--mac 01:/],
    [["--tap", "t", "--memory", "8"], /--memory 8/],
    [Array.from("123456789").flatMap((name) => ["--tap", name]), /--tap 9: /],
  ] as const) {
    const { status, stderr } = run(...words);
    assert.equal(status, 2);
    assert.match(stderr, complaint);
  }
  const { status, stderr } = run("--tap", "a-name-of-20-letters");
  assert.equal(status, 1);
  assert.match(stderr, /--tap a-name-of-20-letters: /);
  const nowhere = run("--tap", "tap0@nowhere");
  assert.equal(nowhere.status, 1);
  assert.match(nowhere.stderr, /network namespace nowhere: No such file/);
});

describe("skerry-hosted over TAP", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let machine: ChildProcess;
  let output = "";

  const start = (): void => {
    machine = namespace.spawn([
      PROGRAM,
      "--tap",
      TAP,
      "--append",
      `ip=${GUEST_ADDRESS}/24 ip6=off`,
    ]);
    for (const stream of [machine.stdout!, machine.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    }
  };
  before(() => {
    namespace = new Namespace();
    start();
  });
  after(() => namespace.delete());

  test("answers ping", async () => {
    const words = ["ping", "-n", "-c", "5", "-i", "0.2", "-w", "10", GUEST_ADDRESS];
    const { status, stdout } = await namespace.runAsync(words, 20_000);
    assert.equal(status, 0, `${stdout}\n${output}`);
    assert.match(stdout, / 0% packet loss/);
  });

  test("serves its site to curl", async () => {
    const words = ["curl", "-sS", "--max-time", "10", `http://${GUEST_ADDRESS}/`];
    const { status, stdout, stderr } = await namespace.runAsync(words, 20_000);
    assert.equal(status, 0, `${stderr}\n${output}`);
    assert.equal(stdout, readFileSync("apps/http/site/index.html", "utf8"));
  });

  test("sleeps while nothing comes", async () => {
    const ticks = (): number => {
      const pid = machine.pid!; // ip netns exec becomes the program
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ");
      return Number(fields[11]) + Number(fields[12]);
    };
    const before = ticks();
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.ok(ticks() - before <= 10, `${ticks() - before} of 100 ticks`);
  });

  test("ends in order on a signal, without complaint", async () => {
    const ended = new Promise<number | null>((resolve) => machine.once("close", resolve));
    machine.kill("SIGINT");
    assert.equal(await ended, 0, output);
    assert.match(output, /power: switching off\n/);
  });

  test("a second signal ends it at once", async () => {
    output = "";
    start();
    while (!output.includes("serving") && machine.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 50));
    const ended = new Promise<number | null>((resolve) => machine.once("close", resolve));
    // It sees both together.
    machine.kill("SIGSTOP");
    machine.kill("SIGINT");
    machine.kill("SIGTERM");
    machine.kill("SIGCONT");
    assert.equal(await ended, 0, output);
    assert.doesNotMatch(output, /power:/);
  });
});
