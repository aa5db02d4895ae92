import { instantiateSync } from "@assemblyscript/loader";
import { DriverFault, type Host, type PciDevice } from "./device.ts";
import { acpiTables, type Tables } from "./acpi.ts";
import { FRAMES_BYTES, Guests } from "./guest/guests.ts";
import type { GuestProgram } from "./guest/program.ts";
import type { ScriptedGuest } from "./guest/scripted.ts";
import { IO_APIC_BASE, IO_APIC_BYTES, IoApic } from "./ioapic.ts";
import { explain, type Kernel } from "./kernel.ts";
import { ConfigMechanism1, Ecam, PciBridge, PciBus, PciFunction } from "./pci.ts";
import { Random } from "./random.ts";
import { type Event, MICROSECOND, SECOND, Simulation } from "./simulation.ts";

/** The kernel found one of its own invariants broken. */
export class KernelPanic extends Error {
  override name = "KernelPanic";
}

/** Thrown through the kernel by `exit` and `restart`, which do not return. */
class Exit extends Error {}

export interface MachineOptions {
  kernel: Kernel;
  name?: string;
  commandLine?: string;
  /** Bytes of memory in all. 16 MiB unless told. */
  memory?: number;
  /** The file pack. */
  pack?: Uint8Array;
  /** The Wasm programs that are part of its image. */
  guests?: (GuestProgram | ScriptedGuest)[];
  /** What is said of its guests: `encodeSpecs` of tools/guest/spec.ts. */
  setup?: Uint8Array;
  /** Plugged in on bus 0. */
  devices?: PciDevice[];
  /** Plugged in on bus 1, behind a bridge. */
  behindBridge?: PciDevice[];
  /** `wallClock()` at the simulation's start, ns since 1970; 0 for a machine without a clock. */
  wallClock?: bigint;
  /** The interrupt lines that the host cannot route. */
  unroutable?: number;
  /** Whether devices can send messages: they can unless told. */
  messages?: boolean;
  /**
   * An I/O APIC, told of by ACPI. `pic`: there are 8259s too. `level`: the lines that the MADT gives as
   * level-triggered. `wired`: whether the lines do reach its inputs of the same number.
   */
  ioApic?: { pic: boolean; level: number[]; wired?: boolean };
  /**
   * Memory-mapped configuration space, told of by ACPI. `ports`: mechanism #1 is there too. `believable`:
   * what it shows is the bus, and not some other memory.
   */
  ecam?: { ports: boolean; lastBus: number; believable?: boolean };
  /** What firmware got wrong: changes the bytes of RSDP (first) and tables. */
  spoilAcpi?: (tables: Uint8Array) => void;
  /** Virtual time of one `step` without work. */
  stepTime?: number;
}

/** What one access costs in virtual time: so that a driver that waits by reading makes time pass. */
const MMIO_READ_TIME = 400;
const MMIO_WRITE_TIME = 100;
const PORT_TIME = 500;
const CLOCK_TIME = 20;
/** Longest that one call into the kernel may take in virtual time before it counts as hung. */
const CALL_LIMIT = 20 * SECOND;
const PAGE = 65536;
/** Where on bus 0 the first of `MachineOptions.devices` is. */
export const FIRST_SLOT = 3;
/** Memory that only the test uses, for what it passes to system calls. */
const SCRATCH = 4 * PAGE;
/** From an asserted line to the first instruction of the handler. */
const INTERRUPT_TIME = 2 * MICROSECOND;
/** Where configuration space lies, if the machine has it in memory. */
const ECAM_BASE = 0xb0000000;
/** Where messages go, and the vector of number 0: those of a processor's local APIC. */
const PROCESSOR = 1;
const MESSAGE_ADDRESS = 0xfee00000 + (PROCESSOR << 12);
const MESSAGE_VECTOR = 0x40n;
const NEVER = 2n ** 64n - 1n;

type Exports = {
  init(): void;
  step(): bigint;
  syscall?(number: number, a0: number, a1: number, a2: number, a3: number, a4: number): number;
};

/** Memories of machines that are gone, to be used again: a fresh one costs more than clearing. */
const spareMemories = new Map<number, WebAssembly.Memory[]>();

/** A PC: one kernel, RAM, PCI devices, an interrupt controller and a console, in virtual time. */
export class Machine implements Host {
  readonly simulation: Simulation;
  readonly name: string;
  readonly kernel: Kernel;
  /** Console lines, without their line ends. */
  readonly console: string[] = [];
  /** The code given to `exit`, once it was; 0 for `restart`, after which a machine here stays off. */
  exitCode: number | undefined;
  /** Steps taken. */
  steps = 0;
  /** Runs after each step, as a program's turn: it may make system calls. */
  program: (() => void) | undefined;
  readonly memory: Uint8Array;
  readonly view: DataView;
  /** Where `copyIn` puts things. */
  readonly scratch: number;

  private readonly options: MachineOptions;
  private readonly exports: Exports;
  readonly wasmMemory: WebAssembly.Memory;
  private readonly random: Random;
  private readonly pci = new ConfigMechanism1(new PciBus(0));
  private readonly devices: PciDevice[] = [];
  private readonly ram: number;
  private readonly ramEnd: number;
  private readonly ioApic: IoApic | undefined;
  private readonly ecam: Ecam | undefined;
  /** Pages of it that the kernel has mapped. */
  private readonly ecamPages = new Set<number>();
  private pack = 0;
  private setup = 0;
  private rsdp = 0;
  private commandLine = 0;
  private commandLineLength = 0;
  private partialLine = "";
  /** What was typed and the kernel has not taken. */
  private typed = Buffer.alloc(0);
  private hungUp = false;
  private decoder = new TextDecoder();
  private bootTime = 0;
  /** Virtual time that the call under way has taken. */
  private spent = 0;
  private running = false;
  /** Looks at the clock since anything else was done. */
  private clockReads = 0;
  private wake: Event | undefined;
  private sleeping = false;
  private levels = 0;
  private opened = 0;
  private masked = 0;
  private fired = 0n;
  /** Messages that nobody has been woken by yet, and those that the kernel has asked for: a bit each. */
  private messages = 0n;
  private addressed = 0n;

  constructor(simulation: Simulation, options: MachineOptions) {
    this.simulation = simulation;
    this.options = options;
    this.kernel = options.kernel;
    this.name = options.name ?? "machine";
    this.random = simulation.random.fork();
    const ramEnd = align(options.memory ?? 16 << 20, PAGE);
    const pages = (ramEnd + (options.guests ? FRAMES_BYTES : 0)) / PAGE;
    this.wasmMemory =
      spareMemories.get(pages)?.pop() ?? new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.memory = new Uint8Array(this.wasmMemory.buffer);
    this.view = new DataView(this.wasmMemory.buffer);
    // Static data is defined to start as zeros; RAM is what its last user left.
    this.memory.fill(0, 0, this.kernel.staticPages * PAGE);
    let at = this.kernel.staticPages * PAGE;
    const named = (options.devices ?? []).flatMap(({ fixed, line }) =>
      fixed ? [`virtio_mmio.device=${fixed.size}@0x${fixed.address.toString(16)}:${line}`] : [],
    );
    const text = new TextEncoder().encode([options.commandLine ?? "", ...named].join(" ").trim());
    this.memory.set(text, at);
    this.commandLine = at;
    this.commandLineLength = text.length;
    at = align(at + text.length, PAGE);
    if (options.pack) {
      this.pack = at;
      this.memory.set(options.pack, at);
      at = align(at + options.pack.length, PAGE);
    }
    if (options.setup) {
      this.setup = at;
      this.memory.set(options.setup, at);
      at = align(at + options.setup.length, PAGE);
    }
    const tables: Tables = {};
    if (options.ioApic) {
      const { pic, level } = options.ioApic;
      this.ioApic = new IoApic(PROCESSOR);
      tables.madt = { pic, level, ioApics: [{ address: IO_APIC_BASE, first: 0 }] };
    }
    if (options.ecam) {
      const { lastBus } = options.ecam;
      this.ecam = new Ecam(this.pci.root, ECAM_BASE, lastBus);
      tables.mcfg = { base: ECAM_BASE, lastBus };
    }
    if (options.ioApic || options.ecam) {
      this.rsdp = at;
      const bytes = acpiTables(tables, at);
      options.spoilAcpi?.(bytes);
      this.memory.set(bytes, at);
      at += PAGE;
    }
    this.scratch = at;
    this.ram = at + SCRATCH;
    this.ramEnd = ramEnd;
    this.plugIn(options);
    const imports = { env: { memory: this.wasmMemory }, host: this.imports() };
    this.exports = instantiateSync<Exports>(this.kernel.module, imports).exports;
  }

  // ---- Running ---------------------------------------------------------------------------

  /** Switches the machine on. */
  start(): void {
    this.bootTime = this.simulation.now;
    this.call(() => this.exports.init());
    this.scheduleStep(this.simulation.now + this.spent);
  }

  /** Gives its memory to a machine of another simulation; this one must not run on. */
  release(): void {
    this.wake?.cancel();
    this.exitCode ??= -1;
    const spare = spareMemories.get(this.memory.length / PAGE) ?? [];
    spareMemories.set(this.memory.length / PAGE, spare);
    spare.push(this.wasmMemory);
  }

  get stopped(): boolean {
    return this.exitCode !== undefined;
  }

  /** Calls the kernel's `syscall`; then steps it, as it would be after a program's turn. */
  syscall(number: number, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0): number {
    const result = this.inquire(number, a0, a1, a2, a3, a4);
    const ready = this.simulation.now + this.spent;
    if (this.sleeping || (this.wake && this.wake.at < ready)) this.scheduleStep(ready);
    return result;
  }

  /** A system call that gives the kernel nothing to do, and so does not end its sleep. */
  inquire(number: number, a0 = 0, a1 = 0, a2 = 0, a3 = 0, a4 = 0): number {
    const { syscall } = this.exports;
    if (!syscall) throw new Error("this kernel exports no syscall");
    let result = 0;
    this.call(() => {
      result = syscall(number, a0, a1, a2, a3, a4);
    });
    return result;
  }

  private scheduleStep(at: number): void {
    this.wake?.cancel();
    this.sleeping = false;
    this.wake = this.simulation.at(at, () => this.step());
  }

  private step(): void {
    if (this.stopped) return;
    this.advance();
    if (!this.stopped) this.program?.();
  }

  /** One step of the kernel, and when the next is due. */
  private advance(): void {
    this.steps++;
    let deadline = NEVER;
    this.call(() => {
      deadline = BigInt.asUintN(64, this.exports.step());
    });
    if (this.stopped) return;
    const cost = this.spent + (this.options.stepTime ?? 2 * MICROSECOND);
    const ready = this.simulation.now + cost;
    if (deadline <= BigInt(Math.floor(ready - this.bootTime))) return this.scheduleStep(ready);
    this.sleeping = true;
    if (deadline < BigInt(Number.MAX_SAFE_INTEGER)) {
      const at = this.bootTime + Number(deadline);
      this.wake = this.simulation.at(at, () => this.step());
    } else {
      this.wake = undefined;
    }
    this.deliver();
  }

  /** An unmasked line that is up, or a message, ends the sleep. */
  private deliver(): void {
    const lines = this.levels & this.opened & ~this.masked;
    let raised = BigInt(lines >>> 0) | this.messages;
    const inputs = this.options.ioApic?.wired === false ? 0 : this.levels;
    for (const vector of this.ioApic?.vectors(inputs) ?? []) raised |= this.number(vector);
    if (!this.sleeping || !raised) return;
    this.fired |= raised;
    this.messages = 0n;
    this.scheduleStep(this.simulation.now + INTERRUPT_TIME);
  }

  private call(what: () => void): void {
    if (this.stopped) throw new Error(`${this.name} has stopped (exit code ${this.exitCode})`);
    this.spent = 0;
    this.clockReads = 0;
    this.running = true;
    try {
      what();
    } catch (error) {
      if (error instanceof Exit) return;
      this.exitCode ??= 255;
      if (error instanceof Error) {
        explain(error, this.kernel);
        const where = `${this.name} at ${this.time / SECOND} s, seed ${this.simulation.seed}`;
        const tail = this.console.slice(-10).join("\n    ");
        error.message = `${error.message}\n  ${where}; console:\n    ${tail}`;
        error.stack = `${error.name}: ${error.message}\n${(error.stack ?? "").replace(/^[^]*?\n(?= +at )/, "")}`;
      }
      throw error;
    } finally {
      this.running = false;
    }
  }

  /** Lets virtual time pass within a call into the kernel. */
  spend(ns: number): void {
    this.clockReads = 0;
    this.spent += ns;
    this.checkSpent();
  }

  private checkSpent(): void {
    if (this.spent > CALL_LIMIT) throw new Error("the kernel did not return from a call: it hangs");
  }

  // ---- Memory and console ------------------------------------------------------------------

  /** Copies bytes to the scratch area at `offset`; returns their address. */
  copyIn(bytes: Uint8Array, offset = 0): number {
    if (offset + bytes.length > SCRATCH) throw new RangeError("scratch area exceeded");
    this.memory.set(bytes, this.scratch + offset);
    return this.scratch + offset;
  }

  /** Bytes of the scratch area. */
  get scratchBytes(): number {
    return SCRATCH;
  }

  /** The console line that matches, if there is one. */
  line(pattern: RegExp): RegExpExecArray | undefined {
    for (const line of this.console) {
      const match = pattern.exec(line);
      if (match) return match;
    }
    return undefined;
  }

  /** Lets time pass until a console line matches. */
  expectLine(pattern: RegExp, duration = 30 * SECOND): RegExpExecArray {
    this.simulation.until(
      () => this.line(pattern) !== undefined,
      duration,
      () => `${this.name}: no console line ${pattern}; console:\n${this.console.join("\n")}\n`,
    );
    return this.line(pattern)!;
  }

  private consoleWrite(address: number, length: number): void {
    this.write(this.decoder.decode(this.bytes(address, length), { stream: true }));
  }

  /** Types at its console. */
  type(text: string | Uint8Array): void {
    const bytes = typeof text === "string" ? Buffer.from(text) : text;
    this.typed = Buffer.concat([this.typed, bytes]);
  }

  /** Nobody will type any more. */
  hangUp(): void {
    this.hungUp = true;
  }

  private consoleRead(into: number, room: number): number {
    const taken = this.typed.subarray(0, room);
    if (!taken.length && this.hungUp) return -1;
    this.bytes(into, room).set(taken);
    this.typed = this.typed.subarray(taken.length);
    return taken.length;
  }

  /** Prints a line of the host's. */
  print(line: string): void {
    this.write(`${this.partialLine ? "\n" : ""}${line}\n`);
  }

  private write(text: string): void {
    this.partialLine += text;
    const lines = this.partialLine.split("\n");
    this.partialLine = lines.pop()!;
    for (const line of lines) {
      this.console.push(line);
      if (process.env["SIM_CONSOLE"]) console.log(`[${this.name}] ${line}`);
    }
  }

  private bytes(address: number, length: number): Uint8Array {
    address >>>= 0;
    length >>>= 0;
    if (address === 0 || address + length > this.memory.length) {
      throw new RangeError(`the kernel passed ${length} bytes at 0x${address.toString(16)}`);
    }
    return this.memory.subarray(address, address + length);
  }

  // ---- What devices see (Host) ----------------------------------------------------------------

  /** Nanoseconds since it was switched on. */
  uptime(): number {
    return this.time - this.bootTime;
  }

  get time(): number {
    return this.running ? this.simulation.now + this.spent : this.simulation.now;
  }

  readable(address: number, length: number): boolean {
    const pack = this.options.pack?.length ?? 0;
    if (pack && address >= this.pack && address + length <= this.pack + pack) return true;
    return this.writable(address, length);
  }

  writable(address: number, length: number): boolean {
    return address >= this.ram && address + length <= this.ramEnd;
  }

  setLine(line: number, level: boolean): void {
    if (level) this.levels |= 1 << line;
    else this.levels &= ~(1 << line);
    if (level) this.deliver();
  }

  message(address: number, data: number): void {
    if (address !== MESSAGE_ADDRESS || data >>> 8) {
      throw new DriverFault(`message 0x${data.toString(16)} to 0x${address.toString(16)}`);
    }
    this.messages |= this.number(data);
    this.deliver();
  }

  /** The bit of the number whose vector it is. */
  private number(vector: number): bigint {
    const bit = 1n << (BigInt(vector) - MESSAGE_VECTOR);
    if (this.addressed & bit) return bit;
    throw new DriverFault(`interrupt by vector 0x${vector.toString(16)}, which nobody gave out`);
  }

  // ---- PCI -------------------------------------------------------------------------------------

  private plugIn(options: MachineOptions): void {
    const { root } = this.pci;
    root.add(0, 0, new PciFunction({ vendor: 0x8086, device: 0x1237, classCode: 0x060000 }));
    // Two functions of one device, as a real south bridge has.
    const isa = { vendor: 0x8086, device: 0x7000, classCode: 0x060100, multifunction: true };
    root.add(1, 0, new PciFunction(isa));
    const ide = { vendor: 0x8086, device: 0x7010, classCode: 0x010180, multifunction: true };
    const ideBar = { kind: "io", size: 16, address: 0xc040 } as const;
    root.add(1, 1, new PciFunction({ ...ide, bars: [ideBar] }));
    options.devices?.forEach((device, i) => this.plug(FIRST_SLOT + i, device));
    if (!options.behindBridge) return;
    const bus = new PciBus(1);
    const bridge = new PciBridge(
      { vendor: 0x8086, device: 0x244e, classCode: 0x060400, command: 0x0007 },
      bus,
    );
    root.add(30, 0, bridge);
    options.behindBridge.forEach((device, i) => {
      bus.add(1 + i, 0, device.pci);
      device.plugged(this, () => bridge.forwards);
      this.devices.push(device);
    });
  }

  /** Puts a device into bus 0's slot `slot` while the machine runs. */
  plug(slot: number, device: PciDevice): void {
    if (!device.fixed) this.pci.root.add(slot, 0, device.pci);
    device.plugged(this, () => true);
    this.devices.push(device);
  }

  /** Pulls the device out of bus 0's slot `slot`, without asking anybody. */
  unplug(slot: number, device: PciDevice): void {
    this.pci.root.remove(slot, 0);
    this.devices.splice(this.devices.indexOf(device), 1);
    device.unplugged?.();
  }

  /** The device that decodes an address of memory or I/O space, the BAR and the offset in it. */
  private decode(kind: "memory" | "io", address: number): [PciDevice, number, number] | undefined {
    for (const device of this.devices) {
      if (device.fixed) {
        const at = address - device.fixed.address;
        if (kind === "memory" && at >= 0 && at < device.fixed.size) return [device, 0, at];
        continue;
      }
      for (let i = 0; i < device.pci.bars.length; i++) {
        const bar = device.pci.bars[i]!;
        if ((bar.kind === "io") !== (kind === "io")) continue;
        const base = device.pci.barAddress(i);
        if (base >= 0 && address >= base && address < base + bar.size) {
          return [device, i, address - base];
        }
      }
    }
    return undefined;
  }

  private isConfigPort(port: number): boolean {
    return port >= 0xcf8 && port <= 0xcff && this.options.ecam?.ports !== false;
  }

  private portIn(port: number, width: number): number {
    this.spend(PORT_TIME);
    if (this.isConfigPort(port)) return this.pci.read(port, width);
    const target = this.decode("io", port);
    return target ? target[0].read(target[1], target[2], width) : 2 ** (width * 8) - 1;
  }

  private portOut(port: number, width: number, value: number): void {
    this.spend(PORT_TIME);
    if (this.isConfigPort(port)) return this.pci.write(port, width, value >>> 0);
    const target = this.decode("io", port);
    target?.[0].write(target[1], target[2], width, value >>> 0);
  }

  private mmioMap(physical: bigint, length: number): number {
    const start = BigInt.asUintN(64, physical);
    const end = start + BigInt(length >>> 0);
    // Like the shim: no RAM, and nothing above 4 GiB.
    if (start < BigInt(this.memory.length) || end > 2n ** 32n) return 0;
    for (let page = start & ~4095n; page < end; page += 4096n) {
      this.ecamPages.add((Number(page) - ECAM_BASE) >>> 12);
    }
    return Number(start);
  }

  private mmioRead(address: number, width: number): number {
    this.spend(MMIO_READ_TIME);
    const controller = this.interruptController(address >>> 0);
    if (controller >= 0) return this.ioApic!.read(controller, width);
    const config = this.configuration(address >>> 0);
    if (config >= 0) {
      return this.options.ecam!.believable === false ? 0 : this.ecam!.read(config, width);
    }
    const target = this.decode("memory", address >>> 0);
    return target ? target[0].read(target[1], target[2], width) : 2 ** (width * 8) - 1;
  }

  private mmioWrite(address: number, width: number, value: number): void {
    this.spend(MMIO_WRITE_TIME);
    const controller = this.interruptController(address >>> 0);
    if (controller >= 0) return this.ioApic!.write(controller, width, value >>> 0);
    const config = this.configuration(address >>> 0);
    if (config >= 0) return this.ecam!.write(config, width, value >>> 0);
    const target = this.decode("memory", address >>> 0);
    target?.[0].write(target[1], target[2], width, value >>> 0);
  }

  /** The offset in the I/O APIC's registers, or -1. */
  private interruptController(address: number): number {
    const offset = address - IO_APIC_BASE;
    return this.ioApic && offset >= 0 && offset < IO_APIC_BYTES ? offset : -1;
  }

  /** The offset in ECAM, or -1. */
  private configuration(address: number): number {
    const offset = address - ECAM_BASE;
    if (!this.ecam || offset < 0 || offset >= this.ecam.size) return -1;
    if (!this.ecamPages.has(offset >>> 12)) throw new RangeError("ECAM page that is not mapped");
    return offset;
  }

  private dma(address: number, length: number): number {
    address >>>= 0;
    if (!this.writable(address, length) || address % length) {
      throw new RangeError(`DMA access of ${length} bytes at 0x${address.toString(16)}`);
    }
    return address;
  }

  // ---- The host interface (kernel/host.ts) ---------------------------------------------------

  private imports(): Record<string, unknown> {
    const { view } = this;
    return {
      consoleWrite: (text: number, length: number) => this.consoleWrite(text, length),
      consoleRead: (into: number, room: number) => this.consoleRead(into, room),
      exit: (code: number) => {
        this.exitCode = code;
        throw new Exit();
      },
      restart: () => {
        this.exitCode = 0;
        throw new Exit();
      },
      panic: (text: number, length: number) => {
        throw new KernelPanic(new TextDecoder().decode(this.bytes(text, length)));
      },
      monotonic: () => {
        // Who only looks at the clock waits: the longer, the less exactly.
        const waiting = ++this.clockReads > 256;
        this.spent += waiting ? MICROSECOND : CLOCK_TIME;
        this.checkSpent();
        return BigInt(Math.floor(this.uptime()));
      },
      wallClock: () => {
        const start = this.options.wallClock ?? 1_700_000_000_000_000_000n;
        return start && start + BigInt(Math.floor(this.time));
      },
      entropy: (into: number, length: number) => this.random.fill(this.bytes(into, length)),
      bootInfo: (into: number) => this.writeBootInfo(into >>> 0),
      portIn8: (port: number) => this.portIn(port, 1),
      portIn16: (port: number) => this.portIn(port, 2),
      portIn32: (port: number) => this.portIn(port, 4),
      portOut8: (port: number, value: number) => this.portOut(port, 1, value),
      portOut16: (port: number, value: number) => this.portOut(port, 2, value),
      portOut32: (port: number, value: number) => this.portOut(port, 4, value),
      mmioMap: (physical: bigint, length: number) => this.mmioMap(physical, length),
      mmioRead8: (address: number) => this.mmioRead(address, 1),
      mmioRead16: (address: number) => this.mmioRead(address, 2),
      mmioRead32: (address: number) => this.mmioRead(address, 4),
      mmioWrite8: (address: number, value: number) => this.mmioWrite(address, 1, value),
      mmioWrite16: (address: number, value: number) => this.mmioWrite(address, 2, value),
      mmioWrite32: (address: number, value: number) => this.mmioWrite(address, 4, value),
      dmaRead16: (address: number) => view.getUint16(this.dma(address, 2), true),
      dmaRead32: (address: number) => view.getUint32(this.dma(address, 4), true),
      dmaRead64: (address: number) => view.getBigUint64(this.dma(address, 8), true),
      dmaWrite16: (address: number, value: number) =>
        view.setUint16(this.dma(address, 2), value, true),
      dmaWrite32: (address: number, value: number) =>
        view.setUint32(this.dma(address, 4), value, true),
      dmaWrite64: (address: number, value: bigint) =>
        view.setBigUint64(this.dma(address, 8), value, true),
      prefetch: () => {},
      dmaReadBarrier: () => {},
      dmaWriteBarrier: () => {},
      dmaFullBarrier: () => {},
      interruptMessage: (number: number) => {
        if (this.options.messages === false || number > 63) return 0n;
        this.addressed |= 1n << BigInt(number);
        return ((MESSAGE_VECTOR + BigInt(number)) << 32n) | BigInt(MESSAGE_ADDRESS);
      },
      interruptOpen: (line: number) => {
        if (this.options.ioApic?.pic === false) throw new DriverFault("8259s: there are none");
        if (line > 15 || line < 0 || (this.options.unroutable ?? 0) & (1 << line)) return 0;
        this.opened |= 1 << line;
        return 1;
      },
      interruptMask: (line: number, masked: number) => {
        if (masked) this.masked |= 1 << line;
        else this.masked &= ~(1 << line);
      },
      interruptsPending: () => {
        const { fired } = this;
        this.fired = 0n;
        return fired;
      },
      ...new Guests(this, this.options.guests ?? [], this.ramEnd).imports(),
    };
  }

  /** Lays out kernel/host.ts's `BootInfo`. */
  private writeBootInfo(into: number): void {
    const { view } = this;
    const packLength = this.options.pack?.length ?? 0;
    const fields = [
      2,
      this.commandLineLength,
      this.commandLine,
      this.pack,
      packLength,
      this.setup,
      this.options.setup?.length ?? 0,
      this.rsdp,
      this.ram,
      this.ramEnd - this.ram,
      this.ramEnd >> 10,
    ];
    fields.forEach((value, i) => view.setUint32(into + i * 4, value, true));
    view.setBigUint64(into + 48, 0n, true);
  }
}

function align(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** A locally administered MAC address (IEEE 802, 8.4) that ends in `last`. */
export function macAddress(last: number): Uint8Array {
  return Uint8Array.of(0x52, 0x54, 0x00, 0x5a, last >> 8, last);
}
