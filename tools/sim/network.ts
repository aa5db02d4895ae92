import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { configuredParts } from "../cli/build.ts";
import { compile } from "../cli/compile.ts";
import { project, root } from "../cli/project.ts";
import { step } from "../cli/progress.ts";
import { commandLineOf, type NetworkTable } from "../config/config.ts";
import { hashOfFile, once } from "../cli/stamp.ts";
import { encodeSpecs, type GuestSpec } from "../guest/spec.ts";
import { capture } from "./capture.ts";
import { type GuestProgram, guestFile } from "./guest/program.ts";
import { type Kernel, loadKernel } from "./kernel.ts";
import { Link, type LinkConditions } from "./link.ts";
import { macAddress, Machine } from "./machine.ts";
import type { Nic } from "./nic.ts";
import { NICS } from "./nics.ts";
import { type Connection, Program } from "./program.ts";
import { SocketError } from "./sockets.ts";
import { Domain } from "../../sdk/assembly/syscalls.ts";
import { MILLISECOND, SECOND, Simulation } from "./simulation.ts";

/**
 * `skerry/sim`: a network of machines with guests in virtual time, for tests of one's own programs.
 * docs/simulation.md is the guide.
 */
export { type Connection } from "./program.ts";
export { MICROSECOND, MILLISECOND, SECOND, TimeOut } from "./simulation.ts";

/** What the network does to frames, and what its chance begins with. Times are ns, shares 0 to 1. */
export interface NetworkOptions extends Partial<LinkConditions> {
  seed?: number;
}

/** A guest: its module, and what a [guests.NAME] of skerry.toml may say. */
export interface GuestOptions extends Partial<Omit<GuestSpec, "name" | "module">> {
  /** A .wasm file. */
  module: string;
}

/** Where a machine is, and what its kernel is told. */
export interface MachineOptions {
  /** Of its first card: IPv4, with its prefix, as in `10.0.0.2/24`. What `network` or `append` says counts more. */
  address?: string;
  /** Ethernets by name: its cards eth0, eth1, … are on them. The one without a name unless told. */
  links?: string[];
  /** As [network] of skerry.toml has it: `interfaces`, `routes`, `forward` and the others. */
  network?: NetworkTable;
  /** MiB of RAM; 64 unless told. */
  memory?: number;
  /** More words for the kernel's command line. */
  append?: string;
}

export interface HostOptions extends MachineOptions {
  /** What runs on it, by name: a .wasm file, or more about it. */
  guests?: { [name: string]: string | GuestOptions };
  /** A folder with a skerry.toml, in place of `guests`. */
  project?: string;
}

/** The kernel alone, compiled unless it is up to date. */
async function kernelAlone(): Promise<Kernel> {
  const kernel = project("build", "sim", "kernel.wasm");
  const made = [kernel, `${kernel}.map`];
  await once(`${kernel}.stamp.json`, hashOfFile(fileURLToPath(import.meta.url)), made, () =>
    step("compile the kernel alone (AssemblyScript to Wasm)", () =>
      compile({ entry: null, target: "release", outFile: relative(root, kernel) }),
    ),
  );
  return loadKernel(kernel);
}

/** Ethernets with machines on them. Nothing happens but in `run`, `until` and what is made of them. */
export class Network {
  readonly simulation: Simulation;
  private readonly links = new Map<string, Link>();
  private readonly conditions: Partial<LinkConditions>;
  private readonly plugged = new Map<Machine, { nic: Nic; link: Link }[]>();
  private readonly endCaptures: (() => void)[] = [];

  private constructor(
    private readonly kernel: Kernel,
    { seed = 1, ...conditions }: NetworkOptions,
  ) {
    this.simulation = new Simulation(seed);
    this.conditions = conditions;
  }

  /** The first time it compiles the kernel, unless it is given one, which takes some seconds. */
  static async create(options: NetworkOptions = {}, kernel?: Kernel): Promise<Network> {
    return new Network(kernel ?? (await kernelAlone()), options);
  }

  /** Adds a machine and switches it on. A module's first time takes seconds. */
  async host(options: HostOptions): Promise<Host> {
    return new Host(this.plug(options, await partsOf(options)));
  }

  /** Adds a machine that the test itself is the program of. */
  peer(options: string | MachineOptions): Peer {
    const machine = this.plug(typeof options === "string" ? { address: options } : options, {});
    machine.expectLine(/eth0 link up/, 3 * SECOND);
    this.run(10 * MILLISECOND);
    return new Peer(machine);
  }

  /**
   * Adds a machine without a program of its own and switches it on: a router, say. `network.run(4 * SECOND)` is enough
   * for it to have its addresses.
   */
  machine(options: MachineOptions): Peer {
    return new Peer(this.plug(options, {}));
  }

  /** Changes what the network, or one Ethernet of it, does from now on. */
  set(conditions: Partial<LinkConditions>, link?: string): void {
    if (link === undefined) Object.assign(this.conditions, conditions);
    const changed = link === undefined ? [...this.links.values()] : [this.link(link)];
    for (const it of changed) Object.assign(it.conditions, conditions);
  }

  /** Cuts an Ethernet, or mends it: all cards on it lose their link. */
  cut(link: string, isCut = true): void {
    this.link(link).isUp = !isCut;
  }

  /** Pulls the cable of a machine's card, or plugs it in again; the others on its Ethernet do not see it. */
  unplug(machine: Host | Peer, card: number, isOut = true): void {
    const { nic, link } = this.plugsOf(machine)[card]!;
    link.silence(nic, isOut, true);
  }

  /** Loses all frames from and to a machine, or none any more; nobody's link goes down. */
  silence(machine: Host | Peer, isSilent = true): void {
    for (const { nic, link } of this.plugsOf(machine)) link.silence(nic, isSilent);
  }

  private plugsOf(machine: Host | Peer): { nic: Nic; link: Link }[] {
    return this.plugged.get(machine[MACHINE])!;
  }

  /** Records every frame of the Ethernet without a name, or of `link`, from now on in a pcap file, for Wireshark. */
  record(file: string, link = ""): void {
    this.endCaptures.push(capture(this.link(link), file));
  }

  /** The Ethernet of a name; made when it is first named. */
  private link(name: string): Link {
    let link = this.links.get(name);
    if (!link) this.links.set(name, (link = new Link(this.simulation, this.conditions)));
    return link;
  }

  /** Nanoseconds since its beginning. */
  get now(): number {
    return this.simulation.now;
  }

  /** Lets `ns` pass. */
  run(ns: number): void {
    this.simulation.run(ns);
  }

  /** Runs until `condition` holds; throws a `TimeOut` that names `what` if it does not within `ns`. */
  until(condition: () => boolean, ns: number, what: string): void {
    this.simulation.until(condition, ns, what);
  }

  /** Ends it. */
  close(): void {
    for (const end of this.endCaptures) end();
    for (const machine of this.plugged.keys()) machine.release();
  }

  private plug(options: MachineOptions, parts: Parts): Machine {
    const { address, links = [""], network, memory = 64, append = "" } = options;
    const place = this.plugged.size + 1;
    const cards = links.map((link, i) => ({
      nic: NICS[0]!.make({
        mac: macAddress(0x100 + place + 0x1000 * i),
        line: 10 + (i % 2),
        base: 0xfe000000 + i * 0x40000,
        ports: 0xc100 + i * 0x100,
      }),
      link: this.link(link),
    }));
    const { commandLine = "", ...rest } = parts;
    // The later word counts.
    const words = [
      commandLine,
      address && `ip=${address}`,
      commandLineOf({ ...(network && { network }) }),
      append,
    ];
    const machine = new Machine(this.simulation, {
      kernel: this.kernel,
      name: network?.hostname ?? address ?? `machine ${place}`,
      memory: memory << 20,
      devices: cards.map(({ nic }) => nic),
      ...rest,
      commandLine: words.filter(Boolean).join(" "),
    });
    for (const { nic, link } of cards) nic.connect(link);
    this.plugged.set(machine, cards);
    machine.start();
    return machine;
  }
}

/** What a machine is made of beside the kernel. */
interface Parts {
  guests?: GuestProgram[];
  setup?: Uint8Array;
  pack?: Uint8Array;
  commandLine?: string;
}

async function partsOf({ guests = {}, project: folder }: HostOptions): Promise<Parts> {
  if (folder !== undefined) {
    const { guests: modules, specs, ...rest } = await configuredParts(folder);
    const programs = modules.map(({ name, file }) => guestFile(name, file));
    return { guests: programs, setup: encodeSpecs(specs), ...rest };
  }
  const plain = { arguments: [], environment: {}, restart: "never", files: [] } as const;
  const specs = Object.entries(guests).map(([name, guest]): GuestSpec => {
    const more = typeof guest === "string" ? { module: guest } : guest;
    return { ...plain, arguments: [], files: [], ...more, name };
  });
  const modules = [...new Set(specs.map(({ module }) => module))];
  return {
    guests: modules.map((file, i) => guestFile(`module-${i}`, file)),
    setup: encodeSpecs(
      specs.map((spec) => ({ ...spec, module: `module-${modules.indexOf(spec.module)}` })),
    ),
  };
}

/** What only the network asks of a host or peer. */
const MACHINE = Symbol("machine");

/** A machine with guests. */
export class Host {
  readonly [MACHINE]: Machine;

  constructor(private readonly machine: Machine) {
    this[MACHINE] = machine;
  }

  /** Its console, line by line. */
  get console(): readonly string[] {
    return this.machine.console;
  }

  /** Types at its console: `console = true` says for which guest. */
  type(text: string): void {
    this.machine.type(text);
  }

  /** The first line of the console that matches, which may have to come within `ns`; or a `TimeOut`. */
  expect(pattern: RegExp, ns = 10 * SECOND): RegExpExecArray {
    return this.machine.expectLine(pattern, ns);
  }
}

/** A machine whose program is the test. */
export class Peer {
  readonly [MACHINE]: Machine;
  private readonly program: Program;
  private readonly echoes = new Map<Domain, number>();
  private readonly answers = new Set<number>();
  private asked = 0;

  constructor(machine: Machine) {
    this[MACHINE] = machine;
    this.program = new Program(machine);
  }

  /** Its console, line by line. */
  get console(): readonly string[] {
    return this[MACHINE].console;
  }

  /** Sends an echo request; whether it was answered can be asked later. */
  ping(address: string): Ping {
    const { sockets } = this.program;
    const domain = address.includes(":") ? Domain.Inet6 : Domain.Inet;
    if (!this.echoes.has(domain)) this.echoes.set(domain, sockets.echo(domain));
    const echo = this.echoes.get(domain)!;
    const sequence = (this.asked = (this.asked + 1) & 0xffff);
    const type = domain === Domain.Inet ? 8 : 128;
    this.answers.delete(sequence);
    // Type, code, checksum and identifier, which are the kernel's business; sequence number (RFC 792, RFC 4443).
    const request = Uint8Array.of(type, 0, 0, 0, 0, 0, sequence >> 8, sequence);
    try {
      sockets.sendTo(echo, request, address, 0);
    } catch (error) {
      if (!(error instanceof SocketError)) throw error;
      // There is no way, now: it stays unanswered.
    }
    return { isAnswered: () => this.answered(sequence) };
  }

  private answered(sequence: number): boolean {
    for (const echo of this.echoes.values()) {
      for (let it = this.received(echo); it !== null; it = this.received(echo)) {
        if (it.length >= 8) this.answers.add((it[6]! << 8) | it[7]!);
      }
    }
    return this.answers.has(sequence);
  }

  private received(echo: number): Uint8Array | null {
    try {
      return this.program.sockets.receiveFrom(echo)?.bytes ?? null;
    } catch (error) {
      // A router's error about an earlier request: the next may be an answer.
      if (error instanceof SocketError) return new Uint8Array();
      throw error;
    }
  }

  /** Connects, says `text`, and keeps what comes. */
  talk(address: string, port: number, text = ""): Talk {
    return new Talk(this.program.connect(address, port), text);
  }

  /** Accepts connections from now on. */
  listen(port: number, accepted: (talk: Talk) => void): void {
    this.program.listen(port, (connection) => accepted(new Talk(connection, "")));
  }
}

/** An echo request on its way. */
export interface Ping {
  isAnswered(): boolean;
}

/** One side of a TCP connection, as text (each byte a character from 0 to 255). */
export class Talk {
  /** What has come. */
  text = "";
  /** The other side has said all. */
  ended = false;
  /** Linux's number of the error that it failed with. */
  error = 0;
  /** More has come: it is part of `text` already. */
  onText: (text: string) => void = () => {};

  constructor(
    private readonly connection: Connection,
    text: string,
  ) {
    connection.onData = (bytes) => {
      const more = Buffer.from(bytes).toString("latin1");
      this.text += more;
      this.onText(more);
    };
    connection.onEnd = () => void (this.ended = true);
    connection.onError = (errno) => void (this.error = errno);
    this.say(text);
  }

  say(text: string): void {
    if (text) this.connection.send(Buffer.from(text, "latin1"));
  }

  /** Says no more. */
  end(): void {
    this.connection.end();
  }

  close(): void {
    this.connection.close();
  }
}
