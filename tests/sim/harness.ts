import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { capture } from "../../tools/sim/capture.ts";
import { Checker } from "../../tools/sim/checker.ts";
import { Link, type LinkConditions, type Port } from "../../tools/sim/link.ts";
import { macAddress, Machine, type MachineOptions } from "../../tools/sim/machine.ts";
import type { Nic, NicFaults, NicKind } from "../../tools/sim/nic.ts";
import { nicKind, NICS } from "../../tools/sim/nics.ts";
import { Peer, type PeerOptions } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { kernelUnderTest } from "./kernel.ts";

export interface StationOptions extends Partial<MachineOptions> {
  /** `a.b.c.d/n`, or `dhcp`. */
  ip?: string;
  /** `auto`, or `address/n`; no IPv6 without it. */
  ip6?: string;
  /** The NIC's kind by name (tools/sim/nics.ts); the world's unless told. */
  nic?: string;
  faults?: Partial<NicFaults>;
  bridged?: boolean;
}

/** A machine and its NIC. */
export interface Station {
  machine: Machine;
  nic: Nic;
}

const kernel = kernelUnderTest();
let worlds = 0;

/** What stations have unless told: `SIM_NIC=rtl8139` runs any test on another NIC. */
const NIC = process.env["SIM_NIC"] ?? NICS[0]!.name;

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

  constructor(
    seed = 1,
    conditions: Partial<LinkConditions> = {},
    private readonly nic = NIC,
  ) {
    this.simulation = new Simulation(seed);
    this.link = new Link(this.simulation, conditions);
    const nicOf = (port: Port) => this.stations.find(({ nic }) => nic === port)?.nic;
    this.checker = new Checker(
      this.link,
      (port) => nicOf(port) !== undefined,
      (port) => nicOf(port)?.mayHaveLost === true,
    );
    const path = process.env["SIM_PCAP"];
    if (path) this.endCapture = capture(this.link, worlds ? `${path}.${worlds}` : path);
    worlds++;
  }

  /** Adds a machine, switched on. Its MAC address ends in its place. */
  station(options: StationOptions = {}): Station {
    const place = this.stations.length + 1;
    const nic = nicKind(options.nic ?? this.nic).make({
      mac: macAddress(0x100 + place),
      ...(options.faults && { faults: options.faults }),
    });
    const address = `${options.ip === undefined ? "" : `ip=${options.ip} `}ip6=${options.ip6 ?? "off"} `;
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

/** Where the machines of `ready` are. */
export const OWN = "10.0.0.2";

/** A machine and a peer that knows its link address. */
export function settled(world: World) {
  const { machine } = world.ready();
  const peer = world.peer();
  world.run(5 * SECOND);
  peer.sendArp({ operation: "request", targetIp: OWN });
  peer.expectArp("reply");
  peer.inbox = [];
  return { machine, peer, sockets: new Sockets(machine) };
}

/** `body`, a call of `Sockets`, fails with this errno. */
export function fails(errno: number, body: () => void): void {
  assert.throws(body, (error) => error instanceof SocketError && error.errno === errno);
}

/** A test in a world of its own. */
export function simulate(
  name: string,
  body: (world: World) => void,
  conditions: Partial<LinkConditions> = {},
  nic?: string,
): void {
  test(name, () => inWorld(1, body, conditions, nic));
}

/** Tests that every NIC must pass. `share`: of the seeds that are worth running; all on the first. */
export function onEachNic(body: (nic: NicKind, share: number) => void): void {
  NICS.forEach((nic, i) => describe(nic.name, () => body(nic, i === 0 ? 1 : 1 / 12)));
}

export function inWorld(
  seed: number,
  body: (world: World) => void,
  conditions: Partial<LinkConditions> = {},
  nic?: string,
): void {
  const world = new World(seed, conditions, nic);
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
