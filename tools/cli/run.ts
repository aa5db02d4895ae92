import { readFileSync } from "node:fs";
import { request } from "node:http";
import { loadedEnd } from "../image/elf.ts";
import { type Accel, chooseAccel } from "../qemu/accel.ts";
import {
  type Forward,
  MACHINES,
  Machine,
  type MachineType,
  type Nic,
  defaultNic,
  nicTrouble,
} from "../qemu/machine.ts";
import { freePort, requirePort } from "../qemu/ports.ts";
import { type ConfiguredMachine, readConfig } from "../config/config.ts";
import { type BuildOptions, build, configuredBy, imageFor } from "./build.ts";
import { Failure, serviceOf } from "./project.ts";
import { note } from "./progress.ts";

/** `skerry run` and `skerry debug`: a machine on QEMU's user network, until Ctrl-C. */

export interface RunOptions extends BuildOptions {
  /** Host port; undefined for the app's own. */
  port?: number;
  machine?: MachineType;
  nic?: string;
  /** MiB. */
  memory?: number;
  accel: Accel;
  append: string;
}

/** MiB of memory unless asked otherwise. */
export const DEFAULT_MEMORY = 128;

const MIB = 1 << 20;

/** What the kernel needs for itself beside the image, in MiB: rings, pools and tables at their smallest. */
const KERNEL_MIB = 4;

/** An image that does not fit would end in a reset without a word. */
function requireMemory(image: string, memory: number): void {
  const needed = Math.ceil(loadedEnd(readFileSync(image)) / MIB) + KERNEL_MIB;
  if (memory < needed) {
    throw new Failure(`the image does not fit into ${memory} MiB: give it MEM=${needed} or more`);
  }
}

/** What answers `GET /` on the loopback's `port`: HTTP, or something else. */
function answerOf(port: number): Promise<"http" | "other" | null> {
  return new Promise((resolve) => {
    const get = request({ host: "127.0.0.1", port, path: "/", timeout: 1000, agent: false });
    get.on("response", (response) => {
      response.destroy();
      resolve("http");
    });
    get.on("timeout", () => get.destroy());
    get.on("error", ({ code }: NodeJS.ErrnoException) =>
      resolve(code?.startsWith("HPE_") ? "other" : null),
    );
    get.end();
  });
}

/** How the image is reached: what is forwarded, and what it speaks, as far as is known. */
interface Reach {
  ports: { host: number; guest: number }[];
  protocols: Forward["protocol"][];
  speaks: "http" | "iperf3" | "anything";
}

/** On the console, once the machine has an IPv4 address. */
const ADDRESSED = /eth\d+ \d+\.\d+\.\d+\.\d+\//;
/** How long a machine that has an address may take to answer HTTP before it is taken to serve something else. */
const SILENCE_MS = 5000;

/** Says how to reach the image when it can be reached. */
async function announce(machine: Machine, { ports, speaks }: Reach): Promise<void> {
  const [first, ...others] = ports;
  if (!first) return;
  const ending = "      (Ctrl-C ends the machine)";
  if (speaks === "iperf3") {
    await machine.waitFor(ADDRESSED, 60_000).catch(() => null);
    if (!machine.ending) note(`\n  iperf3 -c 127.0.0.1 -p ${first.host}${ending}\n`);
    return;
  }
  const lines = (list: Reach["ports"]): string[] =>
    list.map(({ host, guest }) => `  127.0.0.1:${host} leads to port ${guest}`);
  let addressed = Infinity;
  while (!machine.ending) {
    const answer = await answerOf(first.host);
    if (answer === "http") {
      note(["", `  http://127.0.0.1:${first.host}/${ending}`, ...lines(others), ""].join("\n"));
      return;
    }
    // Not all that guests serve is HTTP, or TCP: what has an address can be reached.
    if (speaks === "anything" && addressed === Infinity && ADDRESSED.test(machine.console))
      addressed = performance.now();
    if (answer === "other" || performance.now() > addressed + SILENCE_MS) {
      const [line, ...rest] = lines(ports);
      note(["", `${line}${ending}`, ...rest, ""].join("\n"));
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Control characters (ASCII): what Ctrl-C and Ctrl-D of a keyboard send. */
const INTERRUPT = 0x03;
const END = "\x04";

/**
 * Passes what is typed to the machine's serial port from the kernel's first line on: what comes before, a UART
 * that is being set up loses. The terminal leaves echo and lines to the machine, but Ctrl-C, which `interrupt`
 * hears; the end of a file or pipe becomes Ctrl-D. Returns what makes the terminal as it was.
 */
function passInput(machine: Machine, interrupt: () => void): () => void {
  const { stdin } = process;
  const pass = (typed: Buffer): void => {
    if (stdin.isTTY && typed.includes(INTERRUPT)) interrupt();
    else machine.type(typed);
  };
  const begin = (): void => {
    if (begun) return;
    begun = true;
    if (stdin.isTTY) stdin.setRawMode(true);
    stdin.on("data", pass);
    if (!stdin.isTTY) stdin.on("end", () => machine.type(END));
  };
  let begun = false;
  machine.onConsole(begin);
  return () => {
    begun = true;
    stdin.off("data", pass).pause();
    if (stdin.isTTY) stdin.setRawMode(false);
  };
}

/** Runs until the machine ends by itself or a signal ends it; returns the exit status. */
async function attend(machine: Machine, input: boolean): Promise<number> {
  let status: number | null = null;
  const end = (signal: NodeJS.Signals): void => {
    // Ctrl-C is how a run is meant to end; being told to go away is not.
    status ??= signal === "SIGINT" ? 0 : signal === "SIGTERM" ? 143 : 129;
    void machine.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  machine.onConsole((chunk) => process.stdout.write(chunk));
  const restore = input ? passInput(machine, () => end("SIGINT")) : () => {};
  const { code, signal } = await machine.exited.finally(restore);
  if (status !== null) {
    note("\nmachine ended");
    return status;
  }
  if (machine.complaints.trim()) note(machine.complaints.trim());
  if (code === 0) {
    note("the machine switched off");
    return 0;
  }
  throw new Failure(`the machine ended with ${signal ?? `status ${code}`}`);
}

/** What is forwarded; `port` takes the place of the first host port. */
function reachOf(options: RunOptions, { ports }: ConfiguredMachine, configured: boolean): Reach {
  const { port } = options;
  if (configured) {
    const [first, ...others] = ports ?? [{ host: 8080, guest: 80 }];
    const all = first ? [{ host: port ?? first.host, guest: first.guest }, ...others] : [];
    return { ports: all, protocols: ["tcp", "udp"], speaks: "anything" };
  }
  const service = serviceOf(options.app);
  return {
    ports: [{ host: port ?? service.hostPort, guest: service.port }],
    protocols: service.udp ? ["tcp", "udp"] : ["tcp"],
    speaks: options.app === "iperf3" ? "iperf3" : "http",
  };
}

export async function run(options: RunOptions, debug = false): Promise<number> {
  const folder = configuredBy(options);
  const config = folder ? readConfig(folder) : null;
  const configured = config?.machine ?? {};
  const input = config?.guests.some(({ specs }) => specs.some((spec) => spec.console)) ?? false;
  const type = options.machine ?? configured.machine ?? MACHINES[0];
  // A card that is configured goes with the machine that is.
  const nic = options.nic ?? (options.machine ? undefined : configured.nic) ?? defaultNic(type);
  const trouble = nicTrouble(nic, type);
  if (trouble) throw new Failure(`NIC=${nic}: ${trouble}`);
  const memory = options.memory ?? configured.memory ?? DEFAULT_MEMORY;
  const reach = reachOf(options, configured, folder !== null);
  const requirePorts = async (): Promise<void> => {
    for (const { host } of reach.ports) await requirePort(host);
  };
  await requirePorts();
  await build(options);
  const { image, symbols } = imageFor(options);
  requireMemory(image, memory);
  const accel = await chooseAccel(debug ? "tcg" : options.accel, image, note);
  await requirePorts();
  const gdbPort = debug ? await freePort() : undefined;
  const machine = Machine.start({
    kernel: image,
    append: options.append,
    accel,
    machine: type,
    nic: nic as Nic,
    memory,
    input,
    network: {
      kind: "user",
      forwards: reach.ports.flatMap(({ host, guest }) =>
        reach.protocols.map((protocol) => ({ protocol, hostPort: host, guestPort: guest })),
      ),
    },
    ...(gdbPort ? { gdbPort } : {}),
  });
  if (gdbPort) {
    note(
      [
        "",
        "The machine waits before its first instruction. In another terminal, here:",
        "",
        `  gdb ${symbols} -ex 'target remote 127.0.0.1:${gdbPort}'`,
        "",
        "then, for example:",
        "",
        "  break kernel/main.ts:LINE      a line of TypeScript (hbreak while paging is off)",
        "  continue",
        "  backtrace",
        "",
      ].join("\n"),
    );
  }
  void announce(machine, reach);
  return attend(machine, input);
}
