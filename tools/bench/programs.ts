import { mkdirSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { build, buildProgram } from "../cli/build.ts";
import { compileC } from "../cli/compile.ts";
import { Failure, imageOf, project } from "../cli/project.ts";
import { note } from "../cli/progress.ts";
import type { GuestSpec } from "../guest/spec.ts";
import { bootToAnswer } from "../qemu/first-answer.ts";
import { Machine } from "../qemu/machine.ts";
import {
  GUEST_ADDRESS,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../qemu/namespace.ts";
import { DRIVERS, linuxGuest } from "./linux.ts";
import { median, touchedMiB, wrk } from "./measure.ts";
import { figure, printTable } from "./table.ts";

/** What it costs that a program is a guest, and the web server as one beside the same in the kernel and nginx. */

const MEMORY = 256;
const MOST_GUESTS = 64;
const LOAD_SECONDS = 4;
const WAIT = 120_000;
const SITE = project("apps/http/site");

function spec(name: string, module: string, more: Partial<GuestSpec> = {}): GuestSpec {
  return { name, module, arguments: [], environment: {}, restart: "never", files: [], ...more };
}

/** Builds an image of one module, boots it, and waits until each guest has said its figure. */
async function boot(
  name: string,
  module: string,
  specs: GuestSpec[],
): Promise<{ console: string; touched: number; guests: number }> {
  const folder = project("build/bench", name);
  const image = join(folder, "image.elf");
  const guests = [{ name: specs[0]!.module, file: module }];
  await buildProgram({ entry: null, guests, specs, site: null, folder, image, cc: "gcc" });
  const machine = Machine.start({ kernel: image, accel: "tcg", memory: MEMORY, network: null });
  try {
    const end = Date.now() + WAIT;
    while (figuresOf(machine.console, / ([\d.]+) ns/g).length < specs.length) {
      if (machine.ending || Date.now() > end) throw new Failure(`${name}: ${machine.tail()}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const touched = touchedMiB(machine, MEMORY);
    return { console: machine.console, touched, guests: specs.length };
  } finally {
    await machine.stop();
  }
}

const figuresOf = (console: string, pattern: RegExp): number[] =>
  [...console.matchAll(pattern)].map((match) => Number(match[1]));

/** ns of a call, of a turn among two guests, and of a start; MiB of a guest. */
async function costs(): Promise<{ call: number; turn: number; start: number; memory: number }> {
  const module = project("build/bench/programs.wasm");
  mkdirSync(project("build/bench"), { recursive: true });
  await compileC(project("tools/bench/programs.c"), module);
  const of = (what: string, count: number): GuestSpec[] =>
    Array.from({ length: count }, (_, i) =>
      spec(`${what}-${i}`, "programs", { arguments: [what] }),
    );
  const few = await boot("few", module, [...of("calls", 1), ...of("turns", 2)]);
  const many = await boot("many", module, of("start", MOST_GUESTS));
  const starts = figuresOf(many.console, /started (\d+) ns/g);
  return {
    call: figuresOf(few.console, /call ([\d.]+) ns/g)[0]!,
    // Both have had a turn in the time that each measures.
    turn: median(figuresOf(few.console, /turn ([\d.]+) ns/g)) / 2,
    start: (Math.max(...starts) - Math.min(...starts)) / (MOST_GUESTS - 1),
    memory: (many.touched - few.touched) / (MOST_GUESTS - few.guests),
  };
}

const SERVERS = ["guest", "kernel", "nginx"] as const;
type Rates = Record<(typeof SERVERS)[number], number[]>;

/** Requests a second of each server, over 32 connections kept alive, in turns. */
async function rates(rounds: number): Promise<Rates> {
  for (const app of ["http", "http-guest"]) await build({ app, cc: "gcc" });
  const linux = await linuxGuest(SITE, GUEST_ADDRESS);
  const append = `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS} ip6=off`;
  const machines = {
    guest: { kernel: imageOf("http-guest").image, append },
    kernel: { kernel: imageOf("http").image, append },
    nginx: { ...linux, append: `${linux.append} modules=${DRIVERS.e1000.join(",")}` },
  };
  const found: Rates = { guest: [], kernel: [], nginx: [] };
  const namespace = new Namespace();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const server of SERVERS) {
        const { kernel, append, initrd } = { initrd: undefined, ...machines[server] };
        let machine: Machine | undefined;
        const start = (): Machine =>
          (machine = Machine.start({
            ...{ kernel, append, accel: "tcg", memory: MEMORY, prefix: namespace.prefix },
            ...(initrd ? { initrd } : {}),
            network: { kind: "tap", interface: TAP },
          }));
        try {
          await bootToAnswer(namespace, start, 40);
          const load = await wrk(namespace, 32, LOAD_SECONDS, false);
          found[server].push(load.requestsPerSecond);
          note(`    ${server.padEnd(6)} ${figure(load.requestsPerSecond)} requests/s`);
        } finally {
          await machine?.stop();
        }
      }
    }
  } finally {
    namespace.delete();
  }
  return found;
}

/** Prints the tables; returns what they hold. */
export async function benchPrograms(rounds: number): Promise<object> {
  const trouble = namespaceTrouble();
  if (trouble) throw new Failure(`bench makes a network namespace and ${trouble}`);
  const megahertz = cpus()[0]!.speed;
  const cost = await costs();
  // 0 where the system does not say.
  const cycles = (ns: number): string =>
    megahertz ? `${figure((ns * megahertz) / 1000)} cycles` : "";
  const processor = megahertz ? `, on a processor of ${megahertz} MHz` : "";
  console.log(`\nQEMU TCG, pc, 1 CPU, ${MEMORY} MiB${processor}\n`);
  const rows = [
    ["call of the kernel and back", `${figure(cost.call)} ns`, cycles(cost.call)],
    ["turn of a guest, until the next one's", `${figure(cost.turn)} ns`, cycles(cost.turn)],
    [`start of a guest, mean of ${MOST_GUESTS}`, `${figure(cost.start / 1000)} µs`, ""],
    ["memory touched for a guest", `${figure(cost.memory * 1024)} KiB`, ""],
  ];
  printTable(rows, 3);
  const found = await rates(rounds);
  const [guest, kernel, nginx] = SERVERS.map((server) => median(found[server])) as [
    number,
    number,
    number,
  ];
  const goal = (ratio: number, wanted: number): string =>
    `${ratio.toFixed(2)} × (wanted: ≥ ${wanted} ${ratio >= wanted ? "✓" : "✗"})`;
  console.log();
  printTable(
    [
      ["web server as a guest", figure(guest), "requests/s", ""],
      ["the same in the kernel", figure(kernel), "requests/s", goal(guest / kernel, 0.8)],
      ["nginx on Linux", figure(nginx), "requests/s", goal(guest / nginx, 3)],
    ],
    2,
  );
  return { rounds, cost, rates: found };
}
