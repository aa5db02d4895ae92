import { readFileSync } from "node:fs";
import { request } from "node:http";
import { loadedEnd } from "../image/elf.ts";
import { type Accel, chooseAccel } from "../qemu/accel.ts";
import { type Forward, Machine, type MachineType, type Nic } from "../qemu/machine.ts";
import { freePort, requirePort } from "../qemu/ports.ts";
import { type BuildOptions, build, imageFor } from "./build.ts";
import { Failure, serviceOf } from "./project.ts";
import { note } from "./progress.ts";

/** `skerry run` and `skerry debug`: a machine on QEMU's user network, until Ctrl-C. */

export interface RunOptions extends BuildOptions {
  /** Host port; undefined for the app's own. */
  port: number | undefined;
  machine: MachineType;
  nic: Nic;
  /** MiB. */
  memory: number;
  accel: Accel;
  append: string;
}

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

/** True once `GET /` on the loopback's `port` is answered, whatever the answer. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const get = request({ host: "127.0.0.1", port, path: "/", timeout: 1000, agent: false });
    get.on("response", (response) => {
      response.destroy();
      resolve(true);
    });
    get.on("timeout", () => get.destroy());
    get.on("error", () => resolve(false));
    get.end();
  });
}

/** Says how to reach the app when it can be reached. */
async function announce(machine: Machine, app: string, port: number): Promise<void> {
  if (app === "iperf3") {
    await machine.waitFor(/address=\d+\.\d+\.\d+\.\d+/, 60_000).catch(() => null);
    if (!machine.ending)
      note(`\n  iperf3 -c 127.0.0.1 -p ${port}      (Ctrl-C ends the machine)\n`);
    return;
  }
  while (!machine.ending) {
    if (await answers(port)) {
      note(`\n  http://127.0.0.1:${port}/      (Ctrl-C ends the machine)\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** Runs until the machine ends by itself or a signal ends it; returns the exit status. */
async function attend(machine: Machine): Promise<number> {
  let status: number | null = null;
  const end = (signal: NodeJS.Signals): void => {
    // Ctrl-C is how a run is meant to end; being told to go away is not.
    status ??= signal === "SIGINT" ? 0 : signal === "SIGTERM" ? 143 : 129;
    void machine.stop();
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end);
  machine.onConsole((chunk) => process.stdout.write(chunk));
  const { code, signal } = await machine.exited;
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

export async function run(options: RunOptions, debug = false): Promise<number> {
  const { app } = options;
  const service = serviceOf(app);
  const port = options.port ?? service.hostPort;
  await requirePort(port);
  await build(options);
  const { image, symbols } = imageFor(options);
  requireMemory(image, options.memory);
  const accel = await chooseAccel(debug ? "tcg" : options.accel, image, note);
  await requirePort(port);
  const protocols: Forward["protocol"][] = service.udp ? ["tcp", "udp"] : ["tcp"];
  const gdbPort = debug ? await freePort() : undefined;
  const machine = Machine.start({
    kernel: image,
    append: options.append,
    accel,
    machine: options.machine,
    nic: options.nic,
    memory: options.memory,
    network: {
      kind: "user",
      forwards: protocols.map((protocol) => ({
        protocol,
        hostPort: port,
        guestPort: service.port,
      })),
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
  void announce(machine, app, port);
  return attend(machine);
}
