import { test } from "node:test";
import { capture } from "../../tools/sim/capture.ts";
import { Checker } from "../../tools/sim/checker.ts";
import { E1000, type Faults, type Variant, VARIANTS } from "../../tools/sim/e1000.ts";
import { Link, type LinkConditions } from "../../tools/sim/link.ts";
import { macAddress, Machine, type MachineOptions } from "../../tools/sim/machine.ts";
import { Peer, type PeerOptions } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { kernelUnderTest } from "./kernel.ts";

export interface StationOptions extends Partial<MachineOptions> {
  /** `a.b.c.d/n`, or `dhcp`. */
  ip?: string;
  variant?: Variant;
  faults?: Partial<Faults>;
  bridged?: boolean;
}

/** A machine and its NIC. */
export interface Station {
  machine: Machine;
  nic: E1000;
}

const kernel = kernelUnderTest();
let worlds = 0;

/**
 * One simulation: a link with machines and peers on it. Every frame that a machine sends is held
 * against the protocols' rules (`Checker`). `SIM_PCAP=file` records what is sent.
 */
export class World {
  readonly simulation: Simulation;
  readonly link: Link;
  readonly checker: Checker;
  readonly stations: Station[] = [];
  private readonly endCapture: (() => void) | undefined;

  constructor(seed = 1, conditions: Partial<LinkConditions> = {}) {
    this.simulation = new Simulation(seed);
    this.link = new Link(this.simulation, conditions);
    this.checker = new Checker(
      this.link,
      (port) => port instanceof E1000,
      (port) => port instanceof E1000 && (port.counts.resets > 1 || port.counts.linkLosses > 0),
    );
    const path = process.env["SIM_PCAP"];
    if (path) this.endCapture = capture(this.link, worlds ? `${path}.${worlds}` : path);
    worlds++;
  }

  /** Adds a machine, switched on. Its MAC address ends in its place. */
  station(options: StationOptions = {}): Station {
    const place = this.stations.length + 1;
    const nic = new E1000({
      variant: options.variant ?? VARIANTS["82540EM"],
      mac: macAddress(0x100 + place),
      ...(options.faults && { faults: options.faults }),
    });
    const address = options.ip === undefined ? "" : `ip=${options.ip} `;
    const machine = new Machine(this.simulation, {
      kernel,
      name: `machine ${place}`,
      ...options,
      commandLine: address + (options.commandLine ?? ""),
      [options.bridged ? "behindBridge" : "devices"]: [nic],
    });
    nic.connect(this.link);
    const station = { machine, nic };
    this.stations.push(station);
    machine.start();
    return station;
  }

  /** Adds a machine with a static address and waits for its link. */
  ready(options: StationOptions = {}): Station {
    const station = this.station({ ip: "10.0.0.2/24", commandLine: "gw=10.0.0.1", ...options });
    station.machine.expectLine(/eth0 link up/, 3 * SECOND);
    this.run(10 * MILLISECOND);
    return station;
  }

  peer(ip = "10.0.0.1", options: Partial<PeerOptions> = {}): Peer {
    return new Peer(this.link, { ip, mac: macAddress(Number(ip.split(".")[3])), ...options });
  }

  run(duration: number): void {
    this.simulation.run(duration);
  }

  /** Ends it: closes the capture and gives the machines' memory back. */
  close(): void {
    this.endCapture?.();
    for (const { machine } of this.stations) machine.release();
  }
}

/** A test in a world of its own. */
export function simulate(
  name: string,
  body: (world: World) => void,
  conditions: Partial<LinkConditions> = {},
): void {
  test(name, () => inWorld(1, body, conditions));
}

export function inWorld(
  seed: number,
  body: (world: World) => void,
  conditions: Partial<LinkConditions> = {},
): void {
  const world = new World(seed, conditions);
  try {
    body(world);
  } finally {
    world.close();
  }
}

/**
 * A test for each of `count` seeds. `SEEDS=` runs more of them (as a factor of 100 %: 200 runs
 * twice the seeds), `SEED=` just the one that failed.
 */
export function forSeeds(name: string, count: number, body: (seed: number) => void): void {
  const only = process.env["SEED"];
  const factor = Number(process.env["SEEDS"] ?? 100) / 100;
  const seeds = only
    ? [Number(only)]
    : Array.from({ length: Math.max(1, Math.round(count * factor)) }, (_, i) => i + 1);
  test(`${name} (${seeds.length} seeds)`, () => {
    for (const seed of seeds) {
      try {
        body(seed);
      } catch (error) {
        if (error instanceof Error) error.message = `seed ${seed}: ${error.message}`;
        throw error;
      }
    }
  });
}
