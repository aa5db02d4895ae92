import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildHostedBoth, buildLibrary } from "../cli/build.ts";
import { DEFAULT_APP, Failure, project } from "../cli/project.ts";
import { note, step } from "../cli/progress.ts";
import { HostedMachine } from "../hosted/machine.ts";
import { Namespace, TAP, namespaceTrouble } from "../qemu/namespace.ts";
import { median } from "./measure.ts";
import { plotCourses } from "./plot.ts";
import { figure, printTable } from "./table.ts";

/**
 * What it costs to send a packet on. In memory (forwarding/forward.c): instructions as callgrind counts them, and
 * cycles of the time-stamp counter, of a machine between two links, from the frame's receive descriptor to the
 * transmit descriptor; to one destination, and by the size of the routing table. Between namespaces: packets a second
 * of skerry-hosted between TAPs and of Linux between veths, from the same sender (forwarding/blast.c), in turns.
 */

type Family = 4 | 6;
const FAMILIES = [4, 6] as const;
const SIZES = [64, 1500] as const;
/** Routes of each family in the table. */
const TABLES = [10, 100, 1_000, 10_000, 100_000];
/** Destinations that packets go to in turn: what a cache holds, and more than any holds. */
const WORKING_SETS = { few: 100, many: 50_000 };
const ROUNDS = 20_000;
const COUNTED_ROUNDS = 400;
/** Packets of a round: `BURST` of forward.c. */
const BURST = 32;
const BLAST_MS = 1000;

interface Programs {
  forward: string;
  blast: string;
}

async function programs(): Promise<Programs> {
  const folder = project("build", "bench", "forwarding");
  mkdirSync(folder, { recursive: true });
  const library = join(folder, "libskerry.so");
  await buildLibrary("tools/bench/forwarding/app/main.ts", library, join(folder, "kernel"), "gcc");
  const made = { forward: join(folder, "forward"), blast: join(folder, "blast") };
  await step("make the programs that forward and blast (gcc)", () => {
    const gcc = (source: string, ...words: string[]): void => {
      const flags = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-I", project("hosted")];
      const from = project("tools/bench/forwarding", source);
      const { status, stderr } = spawnSync("gcc", [...flags, from, ...words], { encoding: "utf8" });
      if (status !== 0) throw new Failure(`gcc ${source}: ${stderr}`);
    };
    gcc("forward.c", library, `-Wl,-rpath,${folder}`, "-o", made.forward);
    gcc("blast.c", "-o", made.blast);
  });
  return made;
}

// ---- In memory ----------------------------------------------------------------------------------

interface Cost {
  /** A packet's, as callgrind counts; null without valgrind. */
  instructions: number | null;
  /** Of the time-stamp counter, a packet: the median of bursts, and the least tenth. */
  median: number;
  least: number;
}

function cost(program: string, family: Family, bytes: number, routes: number, to: number): Cost {
  const words = [family, bytes, 2 * routes, to].map(String);
  const { status, stdout, stderr } = spawnSync(program, [...words, String(ROUNDS)], {
    encoding: "utf8",
  });
  if (status !== 0 || stderr) throw new Failure(`forward ${words.join(" ")}: ${stderr}`);
  const { median: middle, least } = JSON.parse(stdout) as { median: number; least: number };
  const counting = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
  const counted = spawnSync(
    "valgrind",
    [...counting, "--toggle-collect=counted_step", program, ...words, String(COUNTED_ROUNDS)],
    { encoding: "utf8" },
  );
  const collected = /Collected : (\d+)/.exec(counted.stderr ?? "");
  const instructions = collected ? Number(collected[1]) / (COUNTED_ROUNDS * BURST) : null;
  return { instructions, median: middle, least };
}

const counted = ({ instructions }: Cost): string =>
  instructions === null ? "?" : figure(instructions);

// ---- Between namespaces -----------------------------------------------------------------------------

const BEHIND = { 4: "198.18.0.9", 6: "2001:2::9" } as const;
const FROM = { 4: "10.77.1.1", 6: "fd00:77:1::1" } as const;

/** Two networks, a router of some kind between them, and how many packets a second come through. */
class Course {
  private readonly left = new Namespace({ address: "10.77.1.1/24", address6: "fd00:77:1::1/64" });
  private readonly right = new Namespace({ address: "10.77.2.1/24", address6: "fd00:77:2::1/64" });
  private readonly middle = new Namespace();
  private machine: HostedMachine | undefined;
  private linkName = TAP;

  constructor(private readonly blast: string) {}

  private must(space: Namespace, ...words: string[]): string {
    const { status, stdout, stderr } = space.run(words);
    if (status !== 0) throw new Failure(`${words.join(" ")}: ${stderr}`);
    return stdout;
  }

  async skerry(): Promise<this> {
    const cards = [1, 2].map((i) => `eth${i - 1}=10.77.${i}.254/24,fd00:77:${i}::ff/64`);
    const routes = "route=198.18.0.0/15,10.77.2.1 route=2001:2::/48,fd00:77:2::1";
    const words = `${cards.join(" ")} forward=on ${routes}`;
    this.machine = new HostedMachine([this.left, this.right], words);
    await this.machine.hasAddresses("eth0", "10.77.1.254", "fd00:77:1::ff");
    await this.machine.hasAddresses("eth1", "10.77.2.254", "fd00:77:2::ff");
    return this;
  }

  linux(): this {
    this.linkName = "veth0";
    for (const [i, space] of [this.left, this.right].entries()) {
      const name = `to${i + 1}`;
      const peer = ["peer", "name", "veth0", "netns", space.name];
      this.must(this.middle, "ip", "link", "add", name, "type", "veth", ...peer);
      this.must(this.middle, "ip", "address", "add", `10.77.${i + 1}.254/24`, "dev", name);
      const six = ["address", "add", `fd00:77:${i + 1}::ff/64`, "dev", name, "nodad"];
      this.must(this.middle, "ip", "-6", ...six);
      this.must(this.middle, "ip", "link", "set", name, "up");
      for (const family of FAMILIES) {
        const own = family === 4 ? `10.77.${i + 1}.1/24` : `fd00:77:${i + 1}::1/64`;
        this.must(space, "ip", "address", "del", own, "dev", TAP);
        const dad = family === 4 ? [] : ["nodad"];
        this.must(space, "ip", "address", "add", own, "dev", "veth0", ...dad);
      }
      this.must(space, "ip", "link", "set", "veth0", "up");
    }
    this.must(
      this.middle,
      "sysctl",
      "-qw",
      "net.ipv4.ip_forward=1",
      "net.ipv6.conf.all.forwarding=1",
    );
    this.must(this.middle, "ip", "route", "add", "198.18.0.0/15", "via", "10.77.2.1");
    this.must(this.middle, "ip", "-6", "route", "add", "2001:2::/48", "via", "fd00:77:2::1");
    return this;
  }

  /** Packets a second that arrive behind, while more are sent than can. */
  async rate(family: Family, bytes: number): Promise<number> {
    const link = this.linkName;
    const router = this.machine
      ? "52:54:00:12:34:56"
      : this.must(this.middle, "cat", "/sys/class/net/to1/address").trim();
    const received = (): number => {
      const statistics = this.must(this.right, "cat", "/proc/net/dev");
      return Number(new RegExp(`${link}: *\\d+ +(\\d+)`).exec(statistics)![1]);
    };
    const blast = (ms: number) => {
      const words = [link, router, FROM[family], BEHIND[family], String(bytes), String(ms)];
      return this.left.runAsync([this.blast, ...words]);
    };
    // Until the router knows the neighbour behind it.
    await blast(100);
    const before = received();
    const { status, stdout, stderr } = await blast(BLAST_MS);
    if (status !== 0) throw new Failure(`blast: ${stderr}`);
    return (received() - before) / (JSON.parse(stdout) as { seconds: number }).seconds;
  }

  async end(): Promise<void> {
    await this.machine?.stop();
    for (const space of [this.left, this.middle, this.right]) space.delete();
  }
}

/** Measures, prints the tables, writes build/forwarding.csv and .svg; what goes into build/bench.json. */
export async function benchForwarding(rounds: number): Promise<object> {
  await buildHostedBoth({ app: DEFAULT_APP, cc: "gcc" });
  const { forward, blast } = await programs();

  note("a router in memory");
  const table = [["to one destination", "instructions", "cycles, median", "cycles, least tenth"]];
  const single: object[] = [];
  for (const family of FAMILIES) {
    for (const bytes of SIZES) {
      const it = cost(forward, family, bytes, 0, 1);
      single.push({ family, bytes, ...it });
      const name = `IPv${family}, ${bytes} bytes`;
      table.push([name, counted(it), figure(it.median), figure(it.least)]);
    }
  }

  note("look-ups by the size of the table");
  const courses = FAMILIES.flatMap((family) =>
    (Object.keys(WORKING_SETS) as (keyof typeof WORKING_SETS)[]).map((set) => ({
      family,
      set,
      costs: TABLES.map((routes) => cost(forward, family, 64, routes, WORKING_SETS[set])),
    })),
  );

  const rates = new Map<string, number[]>();
  const trouble = namespaceTrouble();
  if (trouble) note(`not between namespaces: ${trouble}`);
  for (let round = 1; round <= rounds && !trouble; round++) {
    note(`between namespaces, round ${round} of ${rounds}`);
    for (const kind of ["skerry", "linux"] as const) {
      const course = new Course(blast);
      try {
        await course[kind]();
        for (const family of FAMILIES) {
          for (const bytes of SIZES) {
            const key = `${kind} ${family} ${bytes}`;
            rates.set(key, [...(rates.get(key) ?? []), await course.rate(family, bytes)]);
          }
        }
      } finally {
        await course.end();
      }
    }
  }

  console.log("\nforwarding in memory, 64-byte bursts of 32, a packet\n");
  printTable(table, -1);
  console.log(
    "\nforwarding by the size of the table, 64 bytes, a packet: instructions / cycles, least tenth\n",
  );
  const names = courses.map(
    ({ family, set }) => `IPv${family}, to ${WORKING_SETS[set].toLocaleString("en")}`,
  );
  const rows = TABLES.map((routes, i) => [
    routes.toLocaleString("en"),
    ...courses.map(({ costs }) => `${counted(costs[i]!)} / ${figure(costs[i]!.least)}`),
  ]);
  printTable([["routes of each family", ...names], ...rows], -1);
  if (rates.size) {
    console.log(`\nforwarding between namespaces, thousand packets/s; medians of ${rounds}\n`);
    const between = [["one flow", "Skerry, TAP", "Linux, veth", "ratio"]];
    for (const family of FAMILIES) {
      for (const bytes of SIZES) {
        const [ours, theirs] = ["skerry", "linux"].map((kind) =>
          median(rates.get(`${kind} ${family} ${bytes}`)!),
        ) as [number, number];
        const ratio = `${(ours / theirs).toFixed(2)} ×`;
        between.push([
          `IPv${family}, ${bytes} bytes`,
          figure(ours / 1e3),
          figure(theirs / 1e3),
          ratio,
        ]);
      }
    }
    printTable(between, -1);
  }

  const colours = ["#0072b2", "#56b4e9", "#d55e00", "#e69f00"];
  const plotted = courses.map(({ costs }, i) => ({
    name: names[i]!,
    colour: colours[i]!,
    values: costs.map(({ least }) => least),
  }));
  const title = "Forwarding a packet by routes in the table, cycles";
  writeFileSync(project("build/forwarding.svg"), plotCourses(title, TABLES, plotted));
  const head = [
    "routes",
    ...courses.flatMap(({ family, set }) => [
      `v${family}-${set}-instructions`,
      `v${family}-${set}-cycles`,
    ]),
  ];
  const lines = TABLES.map((routes, i) =>
    [
      routes,
      ...courses.flatMap(({ costs }) => [costs[i]!.instructions ?? "", costs[i]!.least]),
    ].join(","),
  );
  writeFileSync(project("build/forwarding.csv"), [head.join(","), ...lines, ""].join("\n"));
  return { rounds, single, courses, rates: Object.fromEntries(rates) };
}
