import { mkdirSync } from "node:fs";
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
import { BOOT_SECONDS, DRIVERS, bootLinux, linuxGuest } from "./linux.ts";
import { median, touchedMiB, wrk } from "./measure.ts";
import { figure, printTable } from "./table.ts";

/** What it costs that a program is a guest, and the web server as one beside the same in the kernel and nginx. */

const MEMORY = 256;
const MOST_GUESTS = 64;
/** Turns of a round, and how long each is. */
const TURNS = 4;
const TURN_SECONDS = 1;
const WAIT = 120_000;
const SITE = project("apps/http/site");

function spec(name: string, module: string, more: Partial<GuestSpec> = {}): GuestSpec {
  return { name, module, arguments: [], environment: {}, restart: "never", files: [], ...more };
}

/** Memory whose pages are of 4 KiB: of the usual a guest's first touch takes 2 MiB. */
const SMALL_PAGES = [
  ...["-machine", "memory-backend=ram"],
  ...["-object", `memory-backend-memfd,id=ram,size=${MEMORY}M,share=on`],
];

interface Booted {
  console: string;
  /** MiB of the machine's memory. */
  touched: number;
  guests: number;
}

/** Builds an image of one module, boots it, and waits until the console says `last` so many `times`. */
async function boot(
  name: string,
  module: string,
  specs: GuestSpec[],
  last: RegExp,
  times: number,
  extra: string[] = [],
): Promise<Booted> {
  const folder = project("build/bench", name);
  const image = join(folder, "image.elf");
  const guests = [{ name: specs[0]!.module, file: module }];
  await buildProgram({ entry: null, guests, specs, site: null, folder, image, cc: "gcc" });
  const options = { accel: "tcg", memory: MEMORY, network: null } as const;
  const machine = Machine.start({ ...options, kernel: image, extra: [...SMALL_PAGES, ...extra] });
  try {
    const end = Date.now() + WAIT;
    while (figuresOf(machine.console, last).length < times) {
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

/**
 * With it QEMU's clocks, and so the machine's, show one ns for each instruction: a count that other work on the
 * machine does not change. Cycles by the TSC would be those of the emulator.
 */
const COUNTING = ["-icount", "shift=0"];

interface Costs {
  /** Instructions. */
  call: number;
  turn: number;
  /** ns. */
  start: number;
  restart: number;
  /** MiB. */
  memory: number;
}

/** Of two boots: one with few guests, which measure, and one with many, which only start. */
async function costs(): Promise<Costs> {
  const module = project("build/bench/programs.wasm");
  mkdirSync(project("build/bench"), { recursive: true });
  await compileC(project("tools/bench/programs.c"), module);
  const of = (what: string, count: number, more: Partial<GuestSpec> = {}): GuestSpec[] =>
    Array.from({ length: count }, (_, i) =>
      spec(`${what}-${i}`, "programs", { arguments: [what], ...more }),
    );
  const measuring = [...of("calls", 1), ...of("turns", 2)];
  const few = await boot("few", module, measuring, /(?:call|turn) ([\d.]+) ns/g, 3, COUNTING);
  const starting = [...of("start", MOST_GUESTS - 1), ...of("restart", 1, { restart: "always" })];
  const many = await boot("many", module, starting, BEGAN, 2);
  const starts = figuresOf(many.console, /started (\d+) ns/g);
  const [ended] = figuresOf(many.console, /restart-0 ended code=(\d+)/g) as [number];
  const began = figuresOf(many.console, BEGAN)[1]!;
  return {
    call: figuresOf(few.console, /call ([\d.]+) ns/g)[0]!,
    // Both have had a turn in the time that each measures.
    turn: median(figuresOf(few.console, /turn ([\d.]+) ns/g)) / 2,
    start: (Math.max(...starts) - Math.min(...starts)) / (starts.length - 1),
    restart: ((began % WRAP) - ended + WRAP) % WRAP,
    memory: (many.touched - few.touched) / (many.guests - few.guests),
  };
}

/** When the guest that is restarted began; its end is told modulo this. */
const BEGAN = /began (\d+) ns/g;
const WRAP = 2 ** 32;

const SERVERS = ["guest", "kernel", "nginx"] as const;
/** Connections, all kept alive. */
const LOADS = [1, 32] as const;
type Rates = Record<(typeof SERVERS)[number], Record<(typeof LOADS)[number], number[]>>;

/** Boots a server, and waits for its first answer. */
async function serve(
  namespace: Namespace,
  server: (typeof SERVERS)[number],
  options: { kernel: string; append: string; initrd?: string },
): Promise<Machine> {
  const start = (): Machine =>
    Machine.start({
      ...{ ...options, accel: "tcg", memory: MEMORY, prefix: namespace.prefix },
      network: { kind: "tap", interface: TAP },
    });
  const boot = async () => (await bootToAnswer(namespace, start, BOOT_SECONDS)).machine;
  return server === "nginx" ? bootLinux(boot) : boot();
}

/**
 * Requests a second of each server, in short turns: a machine that others share is twice as fast in one minute as in
 * the next, but hardly from one turn to the next.
 */
async function rates(rounds: number): Promise<Rates> {
  for (const app of ["http", "http-guest"]) await build({ app, cc: "gcc" });
  const linux = await linuxGuest(SITE, GUEST_ADDRESS);
  const append = `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS} ip6=off`;
  const options = {
    guest: { kernel: imageOf("http-guest").image, append },
    kernel: { kernel: imageOf("http").image, append },
    nginx: { ...linux, append: `${linux.append} modules=${DRIVERS.e1000.join(",")}` },
  };
  const none = (): Rates["guest"] => ({ 1: [], 32: [] });
  const found: Rates = { guest: none(), kernel: none(), nginx: none() };
  const running: { server: (typeof SERVERS)[number]; namespace: Namespace; machine?: Machine }[] =
    SERVERS.map((server) => ({ server, namespace: new Namespace() }));
  try {
    for (const one of running) {
      note(`    ${one.server} boots`);
      one.machine = await serve(one.namespace, one.server, options[one.server]);
    }
    for (const connections of LOADS) {
      for (let turn = 0; turn < rounds * TURNS; turn++) {
        for (const { server, namespace } of running) {
          const load = await wrk(namespace, connections, TURN_SECONDS, false);
          found[server][connections].push(load.requestsPerSecond);
        }
        const said = SERVERS.map((name) => `${name} ${figure(found[name][connections].at(-1)!)}`);
        note(`    ${connections} connections, requests/s: ${said.join(", ")}`);
      }
    }
  } finally {
    for (const { namespace, machine } of running) {
      await machine?.stop();
      namespace.delete();
    }
  }
  return found;
}

/** Prints the tables; returns what they hold. */
export async function benchPrograms(rounds: number): Promise<object> {
  const trouble = namespaceTrouble();
  if (trouble) throw new Failure(`bench makes a network namespace and ${trouble}`);
  const cost = await costs();
  console.log(`\nQEMU TCG, pc, 1 CPU, ${MEMORY} MiB; instructions by -icount\n`);
  const rows = [
    ["call of the kernel and back", `${figure(cost.call)} instructions`],
    ["turn of a guest, until the next one's", `${figure(cost.turn)} instructions`],
    [`start of a guest, mean of ${MOST_GUESTS - 1}`, `${figure(cost.start / 1000)} µs`],
    ["restart, with its line on the console", `${figure(cost.restart / 1000)} µs`],
    ["memory touched for a guest", `${figure(cost.memory * 1024)} KiB`],
  ];
  printTable(rows, 2);
  const found = await rates(rounds);
  for (const connections of LOADS) {
    const of = (server: (typeof SERVERS)[number]): number[] => found[server][connections];
    /** The median of the turns, each held against the one beside it. */
    const over = (other: (typeof SERVERS)[number]): number =>
      median(of("guest").map((rate, i) => rate / of(other)[i]!));
    const goal = (ratio: number, wanted: number): string =>
      `${ratio.toFixed(2)} × (wanted: ≥ ${wanted} ${ratio >= wanted ? "✓" : "✗"})`;
    console.log(
      `\nrequests/s, ${connections} connection${connections > 1 ? "s" : ""} kept alive; medians, and of the ratios of turns\n`,
    );
    printTable(
      [
        ["web server as a guest", figure(median(of("guest"))), ""],
        ["the same in the kernel", figure(median(of("kernel"))), goal(over("kernel"), 0.8)],
        ["nginx on Linux", figure(median(of("nginx"))), goal(over("nginx"), 3)],
      ],
      2,
    );
  }
  return { rounds, cost, rates: found };
}
