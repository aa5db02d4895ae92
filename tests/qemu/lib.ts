import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { imageOf } from "../../tools/cli/project.ts";
import { bootToAnswer } from "../../tools/qemu/first-answer.ts";
import { Machine, type MachineOptions } from "../../tools/qemu/machine.ts";
import {
  GUEST_ADDRESS,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../../tools/qemu/namespace.ts";
import { freePort } from "../../tools/qemu/ports.ts";

/** What the tests on QEMU share: machines on either network, and real programs as their peers. */

/** For `test(name, { skip })`: why there is no TAP here, or false. */
export const noTap: string | false = namespaceTrouble() ?? false;

/** Command line for a machine on the TAP. */
export const STATIC = `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS} ip6=off`;

export interface Result {
  status: number | null;
  stdout: Buffer;
  stderr: string;
}

/** Runs a program to its end, for at most `ms`. */
export async function runProgram(
  command: string[],
  options: { ms?: number; input?: Uint8Array; env?: NodeJS.ProcessEnv } = {},
): Promise<Result> {
  const child = spawn(command[0]!, command.slice(1), {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...options.env },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), options.ms ?? 240_000);
  const stdout: Buffer[] = [];
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (stderr += chunk));
  child.stdin.on("error", () => {}); // it may end without reading all
  child.stdin.end(options.input);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve);
    child.once("error", reject);
  });
  clearTimeout(timer);
  return { status, stdout: Buffer.concat(stdout), stderr };
}

/** curl, quiet but for errors; fails the test if curl fails. */
export async function curl(...words: string[]): Promise<Buffer> {
  const { status, stdout, stderr } = await runProgram(["curl", "-sS", "-m", "60", ...words]);
  assert.equal(status, 0, `curl ${words.join(" ")}: ${stderr}`);
  return stdout;
}

export function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A folder of this test's own, removed at the end of `work`. */
export async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "skerry-test-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function get(port: number, path: string): Promise<number | null> {
  return new Promise((resolve) => {
    const asking = request({ host: "127.0.0.1", port, path, timeout: 2000, agent: false });
    asking.on("response", (response) => {
      response.resume().on("end", () => resolve(response.statusCode ?? null));
    });
    asking.on("timeout", () => asking.destroy());
    asking.on("error", () => resolve(null));
    asking.end();
  });
}

/** Waits until something on the loopback's port answers HTTP. */
export async function answering(machine: Machine, port: number, ms = 90_000): Promise<void> {
  const end = Date.now() + ms;
  while ((await get(port, "/")) === null) {
    assert.ok(!machine.ending && Date.now() < end, `no answer:\n${machine.tail()}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

type Extra = Partial<Omit<MachineOptions, "kernel" | "accel" | "network">>;

/** A machine with `app` on QEMU's user network that answers HTTP, for the time of `work`. */
export async function onUserNetwork(
  app: string,
  extra: Extra,
  work: (url: string, machine: Machine) => Promise<void>,
): Promise<void> {
  const hostPort = await freePort();
  const machine = Machine.start({
    ...(extra.disk ? {} : { kernel: imageOf(app).image }),
    accel: "tcg",
    network: { kind: "user", forwards: [{ protocol: "tcp", hostPort, guestPort: 80 }] },
    ...extra,
  });
  try {
    await answering(machine, hostPort, 90_000);
    await work(`http://127.0.0.1:${hostPort}`, machine);
    assert.equal(machine.ending, null, `the machine ended:\n${machine.tail()}`);
  } finally {
    await machine.stop();
  }
}

/** A machine with `app` at GUEST_ADDRESS on a TAP in a namespace, answering HTTP. */
export async function onTap(
  app: string,
  extra: Extra,
  work: (namespace: Namespace, machine: Machine) => Promise<void>,
): Promise<void> {
  const namespace = new Namespace();
  let machine: Machine | undefined;
  try {
    const start = (): Machine =>
      (machine = Machine.start({
        kernel: imageOf(app).image,
        accel: "tcg",
        append: STATIC,
        network: { kind: "tap", interface: TAP },
        prefix: namespace.prefix,
        ...extra,
      }));
    await bootToAnswer(namespace, start, 30);
    await work(namespace, machine!);
    assert.equal(machine!.ending, null, `the machine ended:\n${machine!.tail()}`);
  } finally {
    await machine?.stop();
    namespace.delete();
  }
}

/** Runs a program in the namespace; fails the test unless its status is 0. */
export async function inside(namespace: Namespace, ...command: string[]): Promise<string> {
  const { status, stdout, stderr } = await namespace.runAsync(command);
  assert.equal(status, 0, `${command.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Frames, not streams: what is sent twice makes a stream that tshark cannot put together. */
const READING = [
  ...["ip", "tcp", "udp"].flatMap((name) => ["-o", `${name}.check_checksum:TRUE`]),
  ...["-o", "tcp.desegment_tcp_streams:FALSE"],
];

/** A line for each frame of a capture that a display filter of tshark lets through. */
export async function framesThat(capture: string, filter: string): Promise<string[]> {
  const command = ["tshark", "-r", capture, "-n", ...READING, "-Y", filter];
  const { status, stdout, stderr } = await runProgram(command);
  assert.equal(status, 0, `tshark: ${stderr}`);
  return stdout.toString().split("\n").filter(Boolean);
}

/**
 * Frames of a capture that tshark finds malformed or with a wrong checksum; those of the TAP's other end, Linux, may
 * have been seen before it had filled theirs in. tshark also calls a TCP
 * checksum of 0xffff wrong, which is 0 in ones' complement (RFC 1071): Linux sends it, and so does
 * the E1000 that QEMU models.
 */
export function damagedFrames(capture: string): Promise<string[]> {
  const wrong = ["ip", "tcp", "udp", "icmp"].map((name) => `${name}.checksum.status == "Bad"`);
  const summed = `(${wrong.join(" || ")}) && !(tcp.checksum == 0xffff) && !(ip.src == ${HOST_ADDRESS})`;
  return framesThat(capture, `_ws.malformed || (${summed})`);
}
