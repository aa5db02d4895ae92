import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { build } from "../cli/build.ts";
import { Failure, imageOf, project } from "../cli/project.ts";
import { note } from "../cli/progress.ts";
import { bootToAnswer } from "../qemu/first-answer.ts";
import { Machine, type MachineOptions } from "../qemu/machine.ts";
import {
  GUEST_ADDRESS,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../qemu/namespace.ts";
import { type LinuxGuest, linuxGuest } from "./linux.ts";
import { benchScale } from "./scale.ts";
import { benchStacks } from "./stacks.ts";
import { figure, printTable } from "./table.ts";
import { iperf3, median, pingMicroseconds, touchedMiB, wrk } from "./measure.ts";

/**
 * Skerry beside a Debian Linux guest: the same QEMU, NIC, memory, CPU and files, on a TAP in a
 * namespace of their own, in turns, because a shared machine is never equally fast for long.
 */

const MEMORY = 256;
const LOAD_SECONDS = 4;
const PINGS = 300;

/** What is measured: a row of the table. */
interface Row {
  name: string;
  unit: string;
  /** More is better, else less is. */
  more: boolean;
  /** Skerry over Linux (or Linux over Skerry where less is better) that we ask of ourselves. */
  wanted: number | null;
}

const ROWS = {
  listening: { name: "boot to listening", unit: "ms", more: false, wanted: null },
  boot: { name: "boot to first HTTP answer", unit: "ms", more: false, wanted: 20 },
  memory: { name: "memory touched", unit: "MiB", more: false, wanted: null },
  ping: { name: "ping round trip", unit: "µs", more: false, wanted: 2 },
  http1: { name: "HTTP kept alive, 1 connection", unit: "requests/s", more: true, wanted: 5 },
  http32: { name: "HTTP kept alive, 32 connections", unit: "requests/s", more: true, wanted: 5 },
  close: { name: "HTTP, one request a connection", unit: "requests/s", more: true, wanted: 5 },
  receive: { name: "bulk receive (iperf3)", unit: "Mbit/s", more: true, wanted: null },
  send: { name: "bulk send (iperf3)", unit: "Mbit/s", more: true, wanted: null },
} satisfies { [key: string]: Row };

type Measure = keyof typeof ROWS;
type Samples = { [key in Measure]?: number[] };
type Guest = "skerry" | "linux";

const MEASURES = Object.keys(ROWS) as Measure[];

class Bench {
  readonly samples: { [guest in Guest]: Samples } = { skerry: {}, linux: {} };
  /** Largest part of a core that wrk used, by row: near 1, wrk was the limit. */
  readonly clientCpu: { [key: string]: number } = {};

  constructor(
    private readonly namespace: Namespace,
    private readonly linux: LinuxGuest,
    private readonly only: Set<Measure>,
  ) {}

  private machine(options: Pick<MachineOptions, "kernel" | "initrd" | "append">): Machine {
    return Machine.start({
      ...options,
      accel: "tcg",
      nic: "e1000",
      memory: MEMORY,
      network: { kind: "tap", interface: TAP },
      prefix: this.namespace.prefix,
    });
  }

  private start(guest: Guest, app: string): Machine {
    if (guest === "linux") return this.machine(this.linux);
    const append = `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS}`;
    return this.machine({ kernel: imageOf(app).image, append });
  }

  private async record(guest: Guest, measure: Measure, work: () => Promise<number>): Promise<void> {
    if (!this.only.has(measure)) return;
    const value = await work();
    (this.samples[guest][measure] ??= []).push(value);
    const { name, unit } = ROWS[measure];
    note(`    ${guest.padEnd(6)} ${name.padEnd(32)} ${figure(value)} ${unit}`);
  }

  private async load(guest: Guest, measure: Measure, connections: number): Promise<void> {
    await this.record(guest, measure, async () => {
      const result = await wrk(this.namespace, connections, LOAD_SECONDS, measure === "close");
      if (result.errors) note(`    ${guest}: ${result.errors} errors in ${ROWS[measure].name}`);
      const key = `${guest} ${measure}`;
      this.clientCpu[key] = Math.max(this.clientCpu[key] ?? 0, result.clientCpu);
      return result.requestsPerSecond;
    });
  }

  private async bulk(guest: Guest): Promise<void> {
    for (const direction of ["receive", "send"] as const) {
      await this.record(guest, direction, () => iperf3(this.namespace, direction, LOAD_SECONDS));
    }
  }

  /** Boots one guest and takes every sample of it. */
  async round(guest: Guest): Promise<void> {
    let listening: Promise<number> | undefined;
    const start = (): Machine => {
      const machine = this.start(guest, "http");
      // Both guests say so on their console.
      const said = machine.waitFor(/serving/, 60_000);
      listening = said.then(() => performance.now() - machine.started);
      return machine;
    };
    const { machine, ms } = await bootToAnswer(this.namespace, start, 60);
    try {
      await this.record(guest, "listening", () => listening!);
      await this.record(guest, "boot", async () => ms);
      await new Promise((resolve) => setTimeout(resolve, 1000)); // until its start-up has settled
      await this.record(guest, "ping", () => pingMicroseconds(this.namespace, PINGS));
      await this.record(guest, "memory", async () => touchedMiB(machine, MEMORY));
      await this.load(guest, "http1", 1);
      await this.load(guest, "http32", 32);
      await this.load(guest, "close", 32);
      if (guest === "linux") await this.bulk(guest);
    } finally {
      await machine.stop();
    }
    if (guest === "linux" || !(this.only.has("receive") || this.only.has("send"))) return;
    const server = this.start(guest, "iperf3");
    try {
      await this.namespace.runAsync(["ping", "-n", "-c", "1", "-w", "10", GUEST_ADDRESS]);
      await this.bulk(guest);
    } finally {
      await server.stop();
    }
  }
}

function report(bench: Bench): object {
  const table = [["", "Skerry", "Linux", "", "ratio", "wanted"]];
  const results: { [key: string]: object } = {};
  for (const measure of MEASURES) {
    const { name, unit, more, wanted } = ROWS[measure] as Row;
    const [ours, theirs] = [bench.samples.skerry[measure], bench.samples.linux[measure]];
    if (!ours || !theirs) continue;
    const [skerry, linux] = [median(ours), median(theirs)];
    const ratio = more ? skerry / linux : linux / skerry;
    const goal = wanted === null ? "" : `≥ ${wanted} ${ratio >= wanted ? "✓" : "✗"}`;
    table.push([name, figure(skerry), figure(linux), unit, `${ratio.toFixed(1)} ×`, goal]);
    results[measure] = {
      unit,
      skerry,
      linux,
      ratio,
      wanted,
      samples: { skerry: ours, linux: theirs },
    };
  }
  printTable(table, 3);
  return results;
}

/** In the list of measures: everything of stacks.ts, and of scale.ts. */
const STACKS = "stacks";
const SCALE = "scale";

/**
 * Measures `rounds` times, all or only what is named; prints the tables, writes build/bench.json. What
 * is not measured this time stays in that file.
 */
export async function bench(rounds: number, names: string[] | null): Promise<void> {
  const known: string[] = [...MEASURES, STACKS, SCALE];
  const unknown = names?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Failure(`BENCH_ONLY: no "${unknown}"; there is ${known.join(", ")}`);
  }
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} CPUs`;
  const only = new Set((names ?? known) as Measure[]);
  const guests = MEASURES.some((measure) => only.has(measure));
  const found: { [key: string]: unknown } = {};
  if (guests) found.guests = { date, machine, ...(await benchGuests(rounds, only)) };
  if (!names || names.includes(STACKS)) {
    found.stacks = { date, machine, ...(await benchStacks(rounds)) };
  }
  if (!names || names.includes(SCALE)) {
    found.scale = { date, machine, samples: await benchScale() };
  }
  const file = project("build/bench.json");
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as object) : {};
  writeFileSync(file, JSON.stringify({ ...before, ...found }, null, 2));
}

/** Skerry and Linux as guests of QEMU. */
async function benchGuests(rounds: number, only: Set<Measure>): Promise<object> {
  const trouble = namespaceTrouble();
  if (trouble) throw new Failure(`bench makes a network namespace and ${trouble}`);
  await build({ app: "http", cc: "gcc" });
  await build({ app: "iperf3", cc: "gcc" });
  const linux = await linuxGuest(project("apps/http/site"), GUEST_ADDRESS);
  const namespace = new Namespace();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
  try {
    const bench = new Bench(namespace, linux, only);
    for (let round = 1; round <= rounds; round++) {
      note(`round ${round} of ${rounds}`);
      for (const guest of round % 2
        ? (["linux", "skerry"] as const)
        : (["skerry", "linux"] as const)) {
        await bench.round(guest);
      }
    }
    const image = statSync(imageOf("http").image).size;
    console.log(`\nQEMU TCG, e1000, 1 CPU, ${MEMORY} MiB; medians of ${rounds}`);
    console.log(`against ${linux.versions.join(", ")}\n`);
    const results = report(bench);
    if (only.has("boot")) {
      // QEMU 7.2, hw/net/e1000.c: a write to RCTL starts a timer of 1,000 ms, until which the model
      // takes no packet (set_rx_control, e1000_can_receive).
      console.log(
        "Of each boot to an answer 1,000 ms are QEMU's: its E1000 is deaf that long after RCTL is set.",
      );
    }
    console.log(`image  ${(image / 1024).toFixed(0)} KiB (wanted: below 512)`);
    for (const [key, share] of Object.entries(bench.clientCpu)) {
      if (share > 0.9)
        console.log(`${key}: wrk used ${share.toFixed(2)} of a core, and may be the limit`);
    }
    const { clientCpu } = bench;
    return { rounds, memory: MEMORY, image, linux: linux.versions, results, clientCpu };
  } finally {
    namespace.delete();
  }
}
