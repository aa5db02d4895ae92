import { writeFileSync } from "node:fs";
import { build } from "../cli/build.ts";
import { Failure, imageOf, project } from "../cli/project.ts";
import { Machine } from "../qemu/machine.ts";
import {
  GUEST_ADDRESS,
  GUEST_MAC,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../qemu/namespace.ts";
import { median } from "./measure.ts";
import { figure, printTable } from "./table.ts";

/**
 * Where the time of a boot goes, on QEMU's microvm with virtio: by the guest's own clock, which starts with
 * the image's first instruction. The console's lines have its time, and the first answer says it, too.
 */

/** What ends each phase: a line of the console, or a field of the first answer. */
const PHASES = [
  { name: "shim: page tables, ACPI, clock", until: "shim" },
  { name: "memory, pools, random", until: /^([\d.]+) info +virtio: / },
  { name: "virtio-net: negotiation, queues, link", until: /^([\d.]+) info +net: eth0 virtio-net/m },
  { name: "sockets, TCP, address", until: /^([\d.]+) info +net: eth0 \d/m },
  { name: "program", until: /^([\d.]+) info +http: serving/m },
  { name: "until the first answer has left", until: "answer" },
] as const;

interface Status {
  uptime: number;
  boot: number;
}

/** One boot: ms at the end of each phase. */
async function boot(): Promise<number[]> {
  const namespace = new Namespace();
  const neighbour = ["neigh", "replace", GUEST_ADDRESS, "lladdr", GUEST_MAC, "dev", TAP];
  namespace.run(["ip", ...neighbour, "nud", "permanent"]);
  const script = project("tools/qemu/first-answer.mjs");
  const probe = namespace.runAsync([process.execPath, script, GUEST_ADDRESS, "30", "/status"]);
  await new Promise((resolve) => setTimeout(resolve, 500)); // until it asks
  const machine = Machine.start({
    machine: "microvm",
    kernel: imageOf("http").image,
    accel: "tcg",
    memory: 128,
    append: `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS}`,
    network: { kind: "tap", interface: TAP },
    prefix: namespace.prefix,
  });
  try {
    const { stdout } = await probe;
    const body = stdout.split("\n")[2];
    if (!body) throw new Error(`no answer from /status:\n${machine.tail()}`);
    const status = JSON.parse(body) as Status;
    return PHASES.map(({ name, until }) => {
      if (until === "shim") return status.boot * 1000;
      if (until === "answer") return status.uptime * 1000;
      const time = machine.console.match(new RegExp(until, "m"))?.[1];
      if (!time)
        throw new Error(`the console does not say when "${name}" ended:\n${machine.tail()}`);
      return Number(time) * 1000;
    });
  } finally {
    await machine.stop();
    namespace.delete();
  }
}

/** Boots `rounds` times, prints the medians and draws them in docs/boot.svg. */
export async function benchPhases(rounds: number): Promise<object> {
  const trouble = namespaceTrouble();
  if (trouble) throw new Failure(`bench makes a network namespace and ${trouble}`);
  await build({ app: "http", cc: "gcc" });
  const boots: number[][] = [];
  for (let round = 0; round < rounds; round++) boots.push(await boot());
  const took = PHASES.map(({ name }, i) => {
    const ms = median(boots.map((ends) => ends[i]! - (i ? ends[i - 1]! : 0)));
    return { name, ms };
  });
  const total = median(boots.map((ends) => ends.at(-1)!));
  console.log(`\nQEMU TCG, microvm, virtio-net, 128 MiB; guest time, medians of ${rounds}\n`);
  printTable(
    [...took.map(({ name, ms }) => [name, figure(ms), "ms"]), ["in all", figure(total), "ms"]],
    2,
  );
  writeFileSync(project("docs/boot.svg"), chart(took, total));
  return { rounds, took, total };
}

const SHADES = ["#1f4e79", "#2e75b6", "#5b9bd5", "#9dc3e6", "#c55a11", "#f4b183"];

/** A bar for each phase where it lies in time. */
function chart(took: { name: string; ms: number }[], total: number): string {
  const [left, width, step] = [280, 460, 26];
  const sum = took.reduce((all, { ms }) => all + ms, 0);
  let at = 0;
  const bars = took.map(({ name, ms }, i) => {
    const x = left + (at / sum) * width;
    at += ms;
    const y = 34 + i * step;
    const length = Math.max(1, (ms / sum) * width);
    return [
      `<text x="${left - 10}" y="${y + 13}" text-anchor="end">${name}</text>`,
      `<rect x="${x.toFixed(1)}" y="${y}" width="${length.toFixed(1)}" height="18" fill="${SHADES[i]}"/>`,
      `<text x="${(x + length + 5).toFixed(1)}" y="${y + 13}">${ms.toFixed(1)}</text>`,
    ].join("");
  });
  const height = 48 + took.length * step;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 ${height}" font-family="sans-serif" font-size="13">`,
    `<rect width="800" height="${height}" fill="white"/>`,
    `<text x="10" y="20">Boot on microvm, ms of guest time: ${total.toFixed(0)} to the first answer</text>`,
    ...bars,
    "</svg>\n",
  ].join("\n");
}
