import { createInterface } from "node:readline";
import { project } from "../cli/project.ts";
import type { Machine } from "./machine.ts";
import { GUEST_ADDRESS, GUEST_MAC, type Namespace, TAP } from "./namespace.ts";

/** Starts a machine on the TAP with `start` and returns it with the ms until `GET /` was answered. */
export async function bootToAnswer(
  namespace: Namespace,
  start: () => Machine,
  seconds: number,
  address = GUEST_ADDRESS,
): Promise<{ machine: Machine; ms: number }> {
  // ARP tries once a second: a boot that takes a tenth of that must not wait for it.
  const neighbour = ["neigh", "replace", address, "lladdr", GUEST_MAC, "dev", TAP];
  namespace.run(["ip", ...neighbour, "nud", "permanent"]);
  const probe = namespace.spawn([
    process.execPath,
    project("tools/qemu/first-answer.mjs"),
    ...[address, String(seconds)],
  ]);
  const lines = createInterface({ input: probe.stdout! })[Symbol.asyncIterator]();
  await lines.next(); // "ready": starting the probe is no part of the boot
  const begin = process.hrtime.bigint();
  const machine = start();
  const { value } = (await lines.next()) as { value: string | undefined };
  if (value === undefined) {
    const tail = machine.tail();
    await machine.stop();
    throw new Error(`no answer within ${seconds} s:\n${tail}`);
  }
  return { machine, ms: Number(BigInt(value) - begin) / 1e6 };
}
