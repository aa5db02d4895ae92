import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Duplex } from "node:stream";
import { Failure } from "../cli/project.ts";
import { Monitor } from "./monitor.ts";
import { GUEST_MAC } from "./namespace.ts";

/**
 * One QEMU machine: started, watched through its console, told things through QEMU's monitor, and
 * ended with whoever started it, however that ends.
 */

export const QEMU = "qemu-system-x86_64";

/** `pc` is an i440FX of 1996 with PCI, `q35` one with PCI Express, `microvm` has only virtio. */
export const MACHINES = ["pc", "q35", "microvm"] as const;
export type MachineType = (typeof MACHINES)[number];

/** Network cards by QEMU's names. QEMU's `e1000` is an 82540EM, its `e1000e` an 82574L. */
export const NICS = [
  ...(["e1000", "e1000-82544gc", "e1000-82545em", "e1000e", "rtl8139"] as const),
  ...(["virtio-net-pci", "virtio-net-device"] as const),
];
export type NicModel = (typeof NICS)[number];
/** A model, maybe with properties of QEMU's device: `virtio-net-pci,disable-modern=on`. */
export type Nic = NicModel | `${NicModel},${string}`;

/** The one card that is on virtio's own bus, which only the microvm has. */
const ON_VIRTIO_BUS = "virtio-net-device";

export function defaultNic(machine: MachineType): Nic {
  return machine === "microvm" ? ON_VIRTIO_BUS : "e1000";
}

/** Why `nic` cannot be had on `machine`, or null. */
export function nicTrouble(nic: string, machine: MachineType): string | null {
  const [model] = nic.split(",");
  if (!(NICS as readonly string[]).includes(model!)) {
    return `"${model}" is none of the cards ${NICS.join(", ")}`;
  }
  if (machine === "microvm" && model !== ON_VIRTIO_BUS) {
    return `a microvm has no PCI for a card "${model}": its card is ${ON_VIRTIO_BUS}`;
  }
  if (machine !== "microvm" && model === ON_VIRTIO_BUS) {
    return `${ON_VIRTIO_BUS} is the microvm's card: a machine ${machine} takes virtio-net-pci`;
  }
  return null;
}

/** A port of the host's loopback that leads to a port of the guest. */
export interface Forward {
  protocol: "tcp" | "udp";
  hostPort: number;
  guestPort: number;
  /** Where the guest will be, if not where QEMU's DHCP server puts it. */
  guestAddress?: string;
}

/**
 * What a card is plugged into.
 * `user`: QEMU's own network, no root needed (the guest is 10.0.2.15, the host 10.0.2.2).
 * `tap`: a TAP interface, which exists in the namespace that `prefix` enters.
 */
export type Network = { kind: "user"; forwards: Forward[] } | { kind: "tap"; interface: string };

/** A bootable image file, in place of a kernel. */
export interface Disk {
  file: string;
  as: "cd" | "disk" | "usb";
}

export interface MachineOptions {
  /** `pc` if not given. */
  machine?: MachineType;
  /** What `-kernel` boots. */
  kernel?: string;
  /** What the firmware boots where there is no `kernel`. */
  disk?: Disk;
  /** `bios`, which is SeaBIOS, if not given; `uefi` is OVMF, and boots only disks. */
  firmware?: "bios" | "uefi";
  initrd?: string;
  /** Kernel command line. */
  append?: string;
  accel: "tcg" | "kvm";
  /** The first card, and what it is plugged into. */
  nic?: Nic;
  network: Network | null;
  /** Further cards. */
  moreNics?: { nic: Nic; network: Network }[];
  /** RAM in MiB; 128 if not given. */
  memory?: number;
  /** Without a serial port, nothing comes out but by the screen. */
  serial?: boolean;
  /** Whether something is typed at the serial port: `Machine.type`. */
  input?: boolean;
  /** A VGA, for `screen`. */
  screen?: boolean;
  /** Starts again when the guest asks for it, instead of ending. */
  reboots?: boolean;
  /** Writes what the first card sends and receives to this pcap file. */
  capture?: string;
  /** Command that QEMU is run by: `ip netns exec …`. */
  prefix?: string[];
  /** Waits for gdb on this TCP port of the loopback before the first instruction. */
  gdbPort?: number;
  /** More of QEMU's arguments. */
  extra?: string[];
}

/** Where distributions put OVMF's firmware in one piece. */
const OVMF = ["/usr/share/ovmf/OVMF.fd", "/usr/share/OVMF/OVMF.fd"];

/** Why UEFI cannot be emulated here, or null. */
export function uefiTrouble(): string | null {
  return OVMF.some(existsSync) ? null : "needs the package ovmf";
}

/** `mac` with `index` added to its last byte: the address of a further card. */
function macOf(index: number): string {
  const last = parseInt(GUEST_MAC.slice(-2), 16) + index;
  return GUEST_MAC.slice(0, -2) + last.toString(16).padStart(2, "0");
}

/** Card `index` is `nic<index>` in the monitor, and its plug `net<index>`. */
function nicArguments(nic: Nic, network: Network, index: number): string[] {
  const [model, ...properties] = nic.split(",");
  const romless = model === ON_VIRTIO_BUS ? [] : ["romfile="];
  const plug = [`id=nic${index}`, `netdev=net${index}`, `mac=${macOf(index)}`];
  const words = [model, ...plug, ...romless, ...properties];
  const back =
    network.kind === "tap"
      ? [`tap,id=net${index},ifname=${network.interface},script=no,downscript=no`]
      : [
          `user,id=net${index}`,
          ...network.forwards.map(
            ({ protocol, hostPort, guestPort, guestAddress = "" }) =>
              `hostfwd=${protocol}:127.0.0.1:${hostPort}-${guestAddress}:${guestPort}`,
          ),
        ];
  return ["-netdev", back.join(","), "-device", words.join(",")];
}

function diskArguments({ file, as }: Disk): string[] {
  // A hard disk must be writable: what is written goes nowhere.
  const rights = as === "disk" ? "snapshot=on" : "readonly=on";
  const drive = `if=none,id=boot,format=raw,${rights},file=${file}`;
  const device = {
    cd: ["-device", "ide-cd,drive=boot,bootindex=0"],
    disk: ["-device", "ide-hd,drive=boot,bootindex=0"],
    usb: ["-device", "qemu-xhci", "-device", "usb-storage,drive=boot,bootindex=0"],
  }[as];
  return ["-drive", as === "cd" ? `${drive},media=cdrom` : drive, ...device];
}

/** QEMU's command line for these options; its monitor is file descriptor 3. */
export function qemuArguments(options: MachineOptions): string[] {
  const { machine = "pc", network, memory = 128, serial = true } = options;
  const { nic = defaultNic(machine) } = options;
  const list = [
    ...["-M", machine, "-accel", options.accel, "-cpu", "max", "-m", String(memory), "-smp", "1"],
    ...["-nodefaults", "-no-user-config", "-display", "none"],
    ...["-serial", serial ? "stdio" : "none"],
    ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
    ...["-chardev", "socket,id=monitor,fd=3", "-mon", "chardev=monitor,mode=control"],
  ];
  if (!options.reboots) list.push("-no-reboot");
  if (options.screen) list.push("-device", "VGA");
  if (options.firmware === "uefi") list.push("-bios", OVMF.find(existsSync) ?? OVMF[0]!);
  if (options.kernel) list.push("-kernel", options.kernel);
  if (options.disk) list.push(...diskArguments(options.disk));
  if (options.initrd) list.push("-initrd", options.initrd);
  if (options.append) list.push("-append", options.append);
  const cards = [...(network ? [{ nic, network }] : []), ...(options.moreNics ?? [])];
  cards.forEach((card, index) => list.push(...nicArguments(card.nic, card.network, index)));
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
  /** QEMU's own monitor. */
  readonly monitor: Monitor;
  private readonly listeners = new Set<(chunk: string) => void>();

  private constructor(readonly child: ChildProcess) {
    running.add(this);
    this.monitor = new Monitor(child.stdio[3] as Duplex);
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => {
      this.console += chunk;
      for (const listener of this.listeners) listener(chunk);
    });
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (this.complaints += chunk));
    // Who has ended reads nothing more.
    child.stdin?.on("error", () => {});
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
    const child = spawn(command[0]!, command.slice(1), {
      stdio: [options.input ? "pipe" : "ignore", "pipe", "pipe", "pipe"],
    });
    return new Machine(child);
  }

  /** Types at the serial port of a machine with `input`. */
  type(text: string | Uint8Array): void {
    this.child.stdin!.write(text);
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
