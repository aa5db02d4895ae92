import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { configuredParts } from "../cli/build.ts";
import { compile } from "../cli/compile.ts";
import { project, root } from "../cli/project.ts";
import { step } from "../cli/progress.ts";
import { hashOfFile, once } from "../cli/stamp.ts";
import { encodeSpecs, type GuestSpec } from "../guest/spec.ts";
import { capture } from "./capture.ts";
import { type GuestProgram, guestFile } from "./guest/program.ts";
import { type Kernel, loadKernel } from "./kernel.ts";
import { Link, type LinkConditions } from "./link.ts";
import { macAddress, Machine } from "./machine.ts";
import { NICS } from "./nics.ts";
import { type Connection, Program } from "./program.ts";
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

export interface HostOptions {
  /** IPv4, with its prefix: `10.0.0.2/24`. */
  address: string;
  /** What runs on it, by name: a .wasm file, or more about it. */
  guests?: { [name: string]: string | GuestOptions };
  /** A folder with a skerry.toml, in place of `guests`. */
  project?: string;
  /** MiB of RAM; 64 unless told. */
  memory?: number;
  /** More words for the kernel's command line. */
  append?: string;
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

/** One Ethernet with machines on it. Nothing happens but in `run`, `until` and what is made of them. */
export class Network {
  readonly simulation: Simulation;
  private readonly link: Link;
  private readonly machines: Machine[] = [];
  private endCapture: (() => void) | undefined;

  private constructor(
    private readonly kernel: Kernel,
    { seed = 1, ...conditions }: NetworkOptions,
  ) {
    this.simulation = new Simulation(seed);
    this.link = new Link(this.simulation, conditions);
  }

  /** The first time it compiles the kernel, which takes some seconds. */
  static async create(options: NetworkOptions = {}): Promise<Network> {
    return new Network(await kernelAlone(), options);
  }

  /** Adds a machine and switches it on. A module's first time takes seconds. */
  async host(options: HostOptions): Promise<Host> {
    return new Host(this.plug(options.address, options, await partsOf(options)));
  }

  /** Adds a machine that the test itself is the program of. */
  peer(address: string): Peer {
    const machine = this.plug(address, {}, {});
    machine.expectLine(/eth0 link up/, 3 * SECOND);
    this.run(10 * MILLISECOND);
    return new Peer(machine);
  }

  /** Changes what the network does from now on. */
  set(conditions: Partial<LinkConditions>): void {
    Object.assign(this.link.conditions, conditions);
  }

  /** Records every frame from now on in a pcap file, for Wireshark. */
  record(file: string): void {
    this.endCapture = capture(this.link, file);
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
    this.endCapture?.();
    for (const machine of this.machines) machine.release();
  }

  private plug(
    address: string,
    { memory = 64, append = "" }: Partial<HostOptions>,
    parts: Parts,
  ): Machine {
    const place = this.machines.length + 1;
    const nic = NICS[0]!.make({ mac: macAddress(0x100 + place) });
    const { commandLine = "", ...rest } = parts;
    const machine = new Machine(this.simulation, {
      kernel: this.kernel,
      name: address,
      memory: memory << 20,
      devices: [nic],
      ...rest,
      // The later word counts.
      commandLine: `${commandLine} ip=${address} ${append}`.trim(),
    });
    nic.connect(this.link);
    this.machines.push(machine);
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

/** A machine with guests. */
export class Host {
  constructor(private readonly machine: Machine) {}

  /** Its console, line by line. */
  get console(): readonly string[] {
    return this.machine.console;
  }

  /** The first line of the console that matches, which may have to come within `ns`; or a `TimeOut`. */
  expect(pattern: RegExp, ns = 10 * SECOND): RegExpExecArray {
    return this.machine.expectLine(pattern, ns);
  }
}

/** A machine whose program is the test. */
export class Peer {
  private readonly program: Program;

  constructor(machine: Machine) {
    this.program = new Program(machine);
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
