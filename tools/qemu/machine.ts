import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { Failure } from "../cli/project.ts";
import { GUEST_MAC } from "./namespace.ts";

/**
 * One QEMU machine: started, watched through its console, and ended with whoever started it,
 * however that ends.
 */

export const QEMU = "qemu-system-x86_64";

/** The E1000 models that QEMU offers: 82540EM, 82544GC, 82545EM. */
export const NICS = ["e1000", "e1000-82544gc", "e1000-82545em"] as const;
export type Nic = (typeof NICS)[number];

/** A port of the host's loopback that leads to a port of the guest. */
export interface Forward {
  protocol: "tcp" | "udp";
  hostPort: number;
  guestPort: number;
  /** Where the guest will be, if not where QEMU's DHCP server puts it. */
  guestAddress?: string;
}

export interface MachineOptions {
  /** What `-kernel` boots. */
  kernel: string;
  initrd?: string;
  /** Kernel command line. */
  append?: string;
  accel: "tcg" | "kvm";
  nic?: Nic;
  /** RAM in MiB; 128 if not given. */
  memory?: number;
  /**
   * `user`: QEMU's own network, no root needed (the guest is 10.0.2.15, the host 10.0.2.2).
   * `tap`: a TAP interface, which exists in the namespace that `prefix` enters.
   */
  network: { kind: "user"; forwards: Forward[] } | { kind: "tap"; interface: string } | null;
  /** Writes what the NIC sends and receives to this pcap file. */
  capture?: string;
  /** Command that QEMU is run by: `ip netns exec …`. */
  prefix?: string[];
  /** Waits for gdb on this TCP port of the loopback before the first instruction. */
  gdbPort?: number;
  /** More of QEMU's arguments. */
  extra?: string[];
}

/** QEMU's command line for these options. */
export function qemuArguments(options: MachineOptions): string[] {
  const { network, nic = "e1000", memory = 128 } = options;
  const list = [
    ...["-accel", options.accel, "-cpu", "max", "-m", String(memory), "-smp", "1"],
    ...["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"],
    ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
    ...["-kernel", options.kernel],
  ];
  if (options.initrd) list.push("-initrd", options.initrd);
  if (options.append) list.push("-append", options.append);
  if (network?.kind === "user") {
    const forwards = network.forwards.map(
      ({ protocol, hostPort, guestPort, guestAddress = "" }) =>
        `,hostfwd=${protocol}:127.0.0.1:${hostPort}-${guestAddress}:${guestPort}`,
    );
    list.push("-netdev", `user,id=net0${forwards.join("")}`);
  } else if (network?.kind === "tap") {
    list.push("-netdev", `tap,id=net0,ifname=${network.interface},script=no,downscript=no`);
  }
  if (network) list.push("-device", `${nic},netdev=net0,mac=${GUEST_MAC},romfile=`);
  if (options.capture) {
    list.push("-object", `filter-dump,id=dump0,netdev=net0,file=${options.capture}`);
  }
  if (options.gdbPort) list.push("-S", "-gdb", `tcp:127.0.0.1:${options.gdbPort}`);
  return [...list, ...(options.extra ?? [])];
}

/** `setpriv` makes the kernel end QEMU when we die without a chance to: SIGKILL. */
const hasSetpriv = spawnSync("setpriv", ["--version"]).status === 0;
const dieWithParent = hasSetpriv ? ["setpriv", "--pdeathsig", "KILL", "--"] : [];

const running = new Set<Machine>();
process.on("exit", () => {
  for (const machine of running) machine.child.kill("SIGKILL");
});

/** How a machine ended. */
export interface Ending {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Machine {
  /** All that the console has said. */
  console = "";
  /** What QEMU itself said. */
  complaints = "";
  readonly exited: Promise<Ending>;
  ending: Ending | null = null;
  /** `performance.now()` when QEMU was started. */
  readonly started = performance.now();
  private readonly listeners = new Set<(chunk: string) => void>();

  private constructor(readonly child: ChildProcess) {
    running.add(this);
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      this.console += chunk;
      for (const listener of this.listeners) listener(chunk);
    });
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (this.complaints += chunk));
    this.exited = new Promise((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) => {
        running.delete(this);
        const missing = error.code === "ENOENT";
        reject(new Failure(missing ? `${QEMU} is missing: run make setup` : error.message));
      });
      child.once("close", (code, signal) => {
        running.delete(this);
        this.ending = { code, signal };
        for (const listener of this.listeners) listener("");
        resolve(this.ending);
      });
    });
    this.exited.catch(() => {});
  }

  static start(options: MachineOptions): Machine {
    const command = [...dieWithParent, ...(options.prefix ?? []), QEMU, ...qemuArguments(options)];
    return new Machine(spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"] }));
  }

  /** Calls `listener` with each piece of console output from now on. */
  onConsole(listener: (chunk: string) => void): void {
    this.listeners.add(listener);
  }

  /** Waits until the console's text so far matches; fails at the end of the machine or of `ms`. */
  waitFor(pattern: RegExp, ms: number): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.listeners.delete(look);
        settle();
      };
      const fail = (why: string): void =>
        finish(() => reject(new Error(`${why}, no ${pattern} on the console:\n${this.tail()}`)));
      const look = (): void => {
        const match = this.console.match(pattern);
        if (match) finish(() => resolve(match));
        else if (this.ending) fail("the machine ended");
      };
      const timer = setTimeout(() => fail(`after ${ms} ms`), ms);
      this.listeners.add(look);
      look();
    });
  }

  /** The console's last lines and QEMU's complaints, for messages. */
  tail(lines = 30): string {
    return [...this.console.split("\n").slice(-lines), this.complaints.trim()].join("\n");
  }

  /** Ends QEMU: politely, then after 3 s for certain. Returns when the process is gone. */
  async stop(): Promise<void> {
    if (this.ending) return;
    this.child.kill("SIGTERM");
    const timer = setTimeout(() => this.child.kill("SIGKILL"), 3000);
    await this.exited.catch(() => {});
    clearTimeout(timer);
  }
}
