import { statSync } from "node:fs";
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
import { BOOT_SECONDS, DRIVERS, type LinuxGuest, bootLinux, linuxGuest } from "./linux.ts";
import { iperf3, median, pingMicroseconds, touchedMiB, wrk } from "./measure.ts";
import { figure, printTable } from "./table.ts";

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
  /** Says something about the NIC: measured on each. The others are measured on the first alone. */
  ofNic: boolean;
}

const ROWS = {
  listening: { name: "boot to listening", unit: "ms", more: false, wanted: null, ofNic: false },
  boot: { name: "boot to first HTTP answer", unit: "ms", more: false, wanted: 20, ofNic: true },
  memory: { name: "memory touched", unit: "MiB", more: false, wanted: null, ofNic: false },
  ping: { name: "ping round trip", unit: "µs", more: false, wanted: 2, ofNic: true },
  http1: {
    name: "HTTP kept alive, 1 connection",
    unit: "requests/s",
    more: true,
    wanted: 5,
    ofNic: false,
  },
  http32: {
    name: "HTTP kept alive, 32 connections",
    unit: "requests/s",
    more: true,
    wanted: 5,
    ofNic: true,
  },
  close: {
    name: "HTTP, one request a connection",
    unit: "requests/s",
    more: true,
    wanted: 5,
    ofNic: true,
  },
  receive: { name: "bulk receive (iperf3)", unit: "Mbit/s", more: true, wanted: 2, ofNic: true },
  send: { name: "bulk send (iperf3)", unit: "Mbit/s", more: true, wanted: 2, ofNic: true },
} satisfies { [key: string]: Row };

type Measure = keyof typeof ROWS;
type Samples = { [key in Measure]?: number[] };
const GUESTS = ["linux", "skerry"] as const;
type Guest = (typeof GUESTS)[number];

export const MEASURES = Object.keys(ROWS) as Measure[];

/** A NIC in a machine that has it, by the name that `BENCH_NICS` gives it. */
interface Setup {
  nic: NonNullable<MachineOptions["nic"]>;
  machine: NonNullable<MachineOptions["machine"]>;
  /** Modules of Linux's driver. */
  modules: readonly string[];
  /** Other than the row's: paravirtual devices leave less to win. */
  wanted?: Partial<{ [measure in Measure]: number }>;
}

const VIRTIO_WANTED = { receive: 1.5, send: 1.5 };
const SETUPS: { [name: string]: Setup } = {
  e1000: { nic: "e1000", machine: "pc", modules: DRIVERS.e1000 },
  e1000e: { nic: "e1000e", machine: "q35", modules: DRIVERS.e1000e },
  rtl8139: { nic: "rtl8139", machine: "pc", modules: DRIVERS.rtl8139 },
  virtio: {
    nic: "virtio-net-pci",
    machine: "pc",
    modules: DRIVERS.virtioPci,
    wanted: VIRTIO_WANTED,
  },
  microvm: {
    nic: "virtio-net-device",
    machine: "microvm",
    modules: DRIVERS.virtioMmio,
    wanted: VIRTIO_WANTED,
  },
};
export const SETUP_NAMES = Object.keys(SETUPS);

/** What Skerry's iperf3 server says of its card at the end of a test (apps/iperf3/card.ts). */
const CARD = /card received=(\d+) doorbells=(\d+) interrupts=(\d+) sent=(\d+) doorbells=(\d+)/g;

/** Descriptors to a doorbell and to an interrupt, of one direction of a bulk test. */
interface Batches {
  descriptorsPerDoorbell: number;
  descriptorsPerInterrupt: number | null;
}

/** Both guests on one NIC, and what was measured of them. */
class Bench {
  readonly samples: { [guest in Guest]: Samples } = { skerry: {}, linux: {} };
  /** Largest part of a core that wrk used, by row: near 1, wrk was the limit. */
  readonly clientCpu: { [key: string]: number } = {};
  /** Of Skerry's last bulk tests. */
  readonly batches: { receive?: Batches; send?: Batches } = {};

  constructor(
    private readonly namespace: Namespace,
    private readonly linux: LinuxGuest,
    readonly setup: Setup,
    private readonly only: Set<Measure>,
  ) {}

  private machine(options: Pick<MachineOptions, "kernel" | "initrd" | "append">): Machine {
    return Machine.start({
      ...options,
      accel: "tcg",
      nic: this.setup.nic,
      machine: this.setup.machine,
      memory: MEMORY,
      network: { kind: "tap", interface: TAP },
      prefix: this.namespace.prefix,
    });
  }

  private start(guest: Guest, app: string): Machine {
    if (guest === "linux") {
      const { kernel, initrd, append } = this.linux;
      const modules = `modules=${this.setup.modules.join(",")}`;
      return this.machine({ kernel, initrd, append: `${append} ${modules}` });
    }
    const append = `ip=${GUEST_ADDRESS}/24 gw=${HOST_ADDRESS} ip6=off`;
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

  /** Boots a guest with its web server: the ms until it answers, and until its console says so. */
  private boot(guest: Guest): Promise<{ machine: Machine; ms: number; listening: number }> {
    const boot = async () => {
      let listening: Promise<number> = Promise.resolve(0);
      const start = (): Machine => {
        const machine = this.start(guest, "http");
        // Both guests say so on their console.
        const said = machine.waitFor(/serving/, BOOT_SECONDS * 1000);
        listening = said.then(() => performance.now() - machine.started);
        listening.catch(() => {});
        return machine;
      };
      const booted = await bootToAnswer(this.namespace, start, BOOT_SECONDS);
      return { ...booted, listening: await listening };
    };
    return guest === "linux" ? bootLinux(boot) : boot();
  }

  /** Boots one guest and takes every sample of it. */
  async round(guest: Guest): Promise<void> {
    const { machine, ms, listening } = await this.boot(guest);
    try {
      await this.record(guest, "listening", async () => listening);
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
      this.noteBatches(server);
    } finally {
      await server.stop();
    }
  }

  /** Reads what the server has said of its card, a line for each bulk test. */
  private noteBatches(server: Machine): void {
    const lines = [...server.console.matchAll(CARD)].map((match) => match.slice(1).map(Number));
    for (const direction of ["receive", "send"] as const) {
      if (!this.only.has(direction)) continue;
      const counts = lines.shift();
      if (!counts) return;
      const [received, receiveDoorbells, interrupts, sent, transmitDoorbells] = counts as number[];
      const [descriptors, doorbells] =
        direction === "receive" ? [received!, receiveDoorbells!] : [sent!, transmitDoorbells!];
      this.batches[direction] = {
        descriptorsPerDoorbell: descriptors / Math.max(doorbells, 1),
        descriptorsPerInterrupt: interrupts ? received! / interrupts : null,
      };
    }
  }

  /** Prints the table; returns what it holds. */
  report(): object {
    const table = [["", "Skerry", "Linux", "", "ratio", "wanted"]];
    const results: { [key: string]: object } = {};
    for (const measure of MEASURES) {
      const { name, unit, more, wanted: usual } = ROWS[measure] as Row;
      const wanted = this.setup.wanted?.[measure] ?? usual;
      const [ours, theirs] = [this.samples.skerry[measure], this.samples.linux[measure]];
      if (!ours || !theirs) continue;
      const [skerry, linux] = [median(ours), median(theirs)];
      const ratio = more ? skerry / linux : linux / skerry;
      const goal = wanted === null ? "" : `≥ ${wanted} ${ratio >= wanted ? "✓" : "✗"}`;
      table.push([name, figure(skerry), figure(linux), unit, `${ratio.toFixed(1)} ×`, goal]);
      const samples = { skerry: ours, linux: theirs };
      results[measure] = { unit, skerry, linux, ratio, wanted, samples };
    }
    printTable(table, 3);
    for (const [direction, batches] of Object.entries(this.batches)) {
      const { descriptorsPerDoorbell: doorbell, descriptorsPerInterrupt: interrupt } = batches;
      const woken = interrupt === null ? "no interrupt" : `${figure(interrupt)} to an interrupt`;
      console.log(`${direction}: ${figure(doorbell)} descriptors to a doorbell, ${woken}`);
    }
    return results;
  }
}

/**
 * Skerry and Linux as guests of QEMU, on each NIC of `nics` (all if null): `rounds` of each measure of
 * `measures`. Prints a table a NIC.
 */
export async function benchGuests(
  rounds: number,
  measures: Set<string>,
  nics: string[] | null,
): Promise<object> {
  const unknown = nics?.find((name) => !(name in SETUPS));
  if (unknown !== undefined) {
    throw new Failure(`BENCH_NICS: no "${unknown}"; there is ${SETUP_NAMES.join(", ")}`);
  }
  const trouble = namespaceTrouble();
  if (trouble) throw new Failure(`bench makes a network namespace and ${trouble}`);
  await build({ app: "http", cc: "gcc" });
  await build({ app: "iperf3", cc: "gcc" });
  const linux = await linuxGuest(project("apps/http/site"), GUEST_ADDRESS);
  const namespace = new Namespace();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
  try {
    const names = nics ?? SETUP_NAMES;
    const results: { [nic: string]: object } = {};
    for (const name of names) {
      const only = MEASURES.filter(
        (measure) => measures.has(measure) && (name === names[0] || ROWS[measure].ofNic),
      );
      if (!only.length) continue;
      const bench = new Bench(namespace, linux, SETUPS[name]!, new Set(only));
      for (let round = 1; round <= rounds; round++) {
        note(`${name}, round ${round} of ${rounds}`);
        for (const guest of round % 2 ? GUESTS : [...GUESTS].reverse()) await bench.round(guest);
      }
      const { nic, machine } = bench.setup;
      console.log(`\nQEMU TCG, ${nic} on ${machine}, 1 CPU, ${MEMORY} MiB; medians of ${rounds}\n`);
      results[name] = {
        table: bench.report(),
        clientCpu: bench.clientCpu,
        batches: bench.batches,
      };
      if (only.includes("boot") && nic === "e1000") {
        // QEMU 7.2, hw/net/e1000.c: a write to RCTL starts a timer of 1,000 ms, until which the model
        // takes no packet (set_rx_control, e1000_can_receive).
        console.log(
          "Of each boot to an answer 1,000 ms are QEMU's: its E1000 is deaf that long after RCTL is set.",
        );
      }
      for (const [key, share] of Object.entries(bench.clientCpu)) {
        if (share > 0.9)
          console.log(`${key}: wrk used ${share.toFixed(2)} of a core, and may be the limit`);
      }
    }
    const image = statSync(imageOf("http").image).size;
    console.log(`\nagainst ${linux.versions.join(", ")}`);
    console.log(`image  ${(image / 1024).toFixed(0)} KiB (wanted: below 512)`);
    return { rounds, memory: MEMORY, image, linux: linux.versions, results };
  } finally {
    namespace.delete();
  }
}
