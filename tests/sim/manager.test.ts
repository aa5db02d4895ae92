import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DeviceCommand, DeviceStatus } from "../../sdk/assembly/syscalls.ts";
import type { PciDevice } from "../../tools/sim/device.ts";
import { Devices } from "../../tools/sim/devices.ts";
import { DhcpServer } from "../../tools/sim/dhcp.ts";
import { E1000 } from "../../tools/sim/e1000.ts";
import { Link } from "../../tools/sim/link.ts";
import { FIRST_SLOT, macAddress, Machine, type MachineOptions } from "../../tools/sim/machine.ts";
import type { Nic } from "../../tools/sim/nic.ts";
import { NICS } from "../../tools/sim/nics.ts";
import { PciFunction } from "../../tools/sim/pci.ts";
import { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND, Simulation } from "../../tools/sim/simulation.ts";
import { poolCounts } from "../../tools/sim/statistics.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { kernelUnderTest } from "./kernel.ts";

/** Devices at run time: the life of NICs, and what becomes of those that stop working. */

const ENODEV = 19;
const ENXIO = 6;
const EIO = 5;
const EINVAL = 22;
const EOPNOTSUPP = 95;
const ENETDOWN = 100;
const EALREADY = 114;

/** Memory registers of one NIC, and where the first one's are. */
const REGISTERS = 0x80000;
const BASE = 0xf0000000;
/** The same for ports. */
const PORT_COUNT = 0x100;
const PORTS = 0xc100;

/** A machine with NICs, each on a link of its own with one peer. */
class Rack {
  readonly simulation = new Simulation(1);
  readonly links: Link[] = [];
  private readonly linkOf = new Map<Nic, Link>();
  readonly peers: Peer[] = [];
  readonly nics: Nic[] = [];
  readonly machine: Machine;
  readonly devices: Devices;

  constructor(kinds: string[], options: Partial<MachineOptions> = {}, onRoot = 27) {
    for (const kind of kinds) this.nics.push(this.nic(kind));
    this.machine = new Machine(this.simulation, {
      kernel: kernelUnderTest(),
      memory: 32 << 20,
      commandLine: "ip=10.0.0.2/24 ip6=off",
      devices: this.nics.slice(0, onRoot),
      ...(this.nics.length > onRoot && { behindBridge: this.nics.slice(onRoot) }),
      ...options,
    });
    this.devices = new Devices(this.machine);
    for (const nic of this.nics) nic.connect(this.linkOf.get(nic)!);
    this.machine.start();
    this.run(200 * MILLISECOND);
  }

  /** A NIC that is not plugged in yet, on a link of its own. */
  nic(kind: string): Nic {
    const place = this.links.length;
    const link = new Link(this.simulation);
    this.links.push(link);
    this.peers.push(new Peer(link, { ip: `10.0.${place}.1`, mac: macAddress(1 + place) }));
    const make = NICS.find(({ name }) => name === kind)!.make;
    const nic = make({
      mac: macAddress(0x100 + place),
      base: BASE + place * REGISTERS,
      ports: PORTS + place * PORT_COUNT,
      line: [5, 9, 10, 11][place % 4]!,
    });
    this.linkOf.set(nic, link);
    return nic;
  }

  /** Plugs it into bus 0 with its cable. */
  plug(slot: number, nic: Nic, machine = this.machine): void {
    machine.plug(slot, nic);
    nic.connect(this.linkOf.get(nic)!);
  }

  run(duration: number): void {
    this.simulation.run(duration);
  }

  /** Asks for it, and lets the time pass that the chip takes. */
  control(index: number, command: DeviceCommand, value = 0): number {
    const result = this.devices.control(index, command, value);
    this.run(10 * MILLISECOND);
    return result;
  }

  /** Lines on the console that match. */
  lines(pattern: RegExp): number {
    return this.machine.console.filter((line) => pattern.test(line)).length;
  }

  /** Whether peer `index` gets an answer to a ping. */
  ping(index = 0, to = "10.0.0.2"): boolean {
    const peer = this.peers[index]!;
    peer.inbox.length = 0;
    peer.sendIcmp(to, { type: 8, code: 0, rest: 1, payload: new Uint8Array(56) });
    this.run(20 * MILLISECOND);
    return peer.inbox.some((frame) => frame.icmp?.type === 0);
  }

  pools(): unknown {
    return poolCounts(new Sockets(this.machine)).map(
      ({ lowest: _lowest, refused: _refused, ...owned }) => owned,
    );
  }
}

describe("load and unload", () => {
  test("an unloaded device is down and silent; loaded it has its name and address again", () => {
    const rack = new Rack(["e1000", "e1000"]);
    const { devices, machine } = rack;
    assert.ok(rack.ping());
    const before = devices.counters(0);
    assert.equal(rack.control(0, DeviceCommand.Unload), 0);
    machine.expectLine(/eth0 unloaded/, 1);
    assert.deepEqual(
      [0, 1].map((i) => devices.info(i).state),
      [DeviceStatus.Unloaded, DeviceStatus.Running],
    );
    assert.equal(devices.info(0).linkUp, false);
    assert.equal(rack.nics[0]!.pci.command & 4, 0, "bus master");
    assert.equal(rack.ping(), false);
    // It stays so, whatever time passes.
    rack.run(200 * SECOND);
    assert.equal(devices.info(0).state, DeviceStatus.Unloaded);
    assert.equal(rack.control(0, DeviceCommand.Load), 0);
    rack.run(200 * MILLISECOND);
    assert.equal(devices.info(0).name, "eth0");
    assert.equal(devices.info(1).name, "eth1");
    assert.ok(rack.ping());
    assert.ok(devices.counters(0).receivedPackets > before.receivedPackets, "counters go on");
  });

  test("other interfaces lose nothing meanwhile", () => {
    const rack = new Rack(["e1000", "virtio-net-pci", "rtl8139"], { commandLine: "" });
    const { devices } = rack;
    rack.peers.forEach((peer, i) => new DhcpServer(peer, { address: `10.0.${i}.2` }));
    rack.run(10 * SECOND);
    for (let i = 0; i < 100; i++) {
      devices.control(0, [DeviceCommand.Unload, DeviceCommand.Load][i % 2]!);
      for (const other of [1, 2]) assert.ok(rack.ping(other, `10.0.${other}.2`), `round ${i}`);
    }
    rack.run(5 * SECOND);
    assert.ok(rack.ping(0, "10.0.0.2"));
    assert.equal(devices.counters(1).resets + devices.counters(2).resets, 0);
  });

  for (const { name } of NICS) {
    test(`${name}: a thousand times leaves everything where it was`, () => {
      const rack = new Rack([name]);
      const { devices, machine } = rack;
      const cycle = () => {
        assert.equal(rack.control(0, DeviceCommand.Unload), 0);
        assert.equal(rack.control(0, DeviceCommand.Load), 0);
        machine.console.length = 0;
      };
      cycle();
      rack.run(SECOND);
      assert.ok(rack.ping());
      const [pools, unreserved] = [rack.pools(), devices.unreserved()];
      for (let i = 0; i < 1000; i++) cycle();
      rack.run(SECOND);
      assert.ok(rack.ping());
      assert.deepEqual(rack.pools(), pools);
      assert.equal(devices.unreserved(), unreserved);
    });
  }

  test("errors say what is wrong", () => {
    const rack = new Rack(["e1000"]);
    const { devices, machine } = rack;
    assert.equal(devices.count(), 2);
    assert.equal(devices.info(1).name, "lo");
    assert.equal(rack.control(2, DeviceCommand.Load), -ENODEV);
    assert.equal(rack.control(1, DeviceCommand.Unload), -EOPNOTSUPP);
    assert.equal(rack.control(0, 99 as DeviceCommand), -EINVAL);
    assert.equal(rack.control(0, DeviceCommand.Promiscuous, 2), -EINVAL);
    assert.equal(rack.control(0, DeviceCommand.Load), -EALREADY);
    assert.equal(rack.control(0, DeviceCommand.Unload), 0);
    assert.equal(rack.control(0, DeviceCommand.Unload), -EALREADY);
    assert.equal(rack.control(0, DeviceCommand.Reset), -ENETDOWN);
    machine.unplug(FIRST_SLOT, rack.nics[0]!);
    assert.equal(rack.control(0, DeviceCommand.Load), -ENXIO);
  });

  test("promiscuous mode outlives resets and unloading", () => {
    const rack = new Rack(["e1000"]);
    const { devices } = rack;
    const stray = () => {
      const before = devices.counters(0).receivedPackets;
      rack.links[0]!.send(rack.peers[0]!, strayFrame());
      rack.run(10 * MILLISECOND);
      return devices.counters(0).receivedPackets - before;
    };
    assert.equal(stray(), 0);
    assert.equal(rack.control(0, DeviceCommand.Promiscuous, 1), 0);
    assert.equal(stray(), 1);
    rack.control(0, DeviceCommand.Reset);
    rack.run(100 * MILLISECOND);
    assert.equal(stray(), 1);
    rack.control(0, DeviceCommand.Unload);
    rack.control(0, DeviceCommand.Load);
    rack.run(100 * MILLISECOND);
    assert.equal(stray(), 1);
    assert.ok(devices.info(0).promiscuous);
    rack.control(0, DeviceCommand.Promiscuous, 0);
    assert.equal(stray(), 0);
  });
});

function strayFrame(): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.set(macAddress(0x77));
  bytes.set(macAddress(0x78), 6);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
}

describe("plugged in and out", () => {
  test("a NIC that is pulled out is missed within a second, and back after a rescan", () => {
    const rack = new Rack(["e1000", "e1000"]);
    const { devices, machine, nics } = rack;
    rack.run(2 * SECOND);
    const pools = rack.pools();
    machine.unplug(FIRST_SLOT, nics[0]!);
    machine.expectLine(/eth0 has gone: nothing answers at 00:03.0/, 1.1 * SECOND);
    assert.equal(devices.info(0).state, DeviceStatus.Gone);
    assert.equal(devices.info(1).state, DeviceStatus.Running);
    assert.equal(devices.rescan(), 0);
    rack.plug(FIRST_SLOT, nics[0]!);
    assert.equal(devices.rescan(), 1);
    rack.run(200 * MILLISECOND);
    assert.equal(devices.info(0).name, "eth0");
    assert.ok(rack.ping());
    rack.run(2 * SECOND);
    assert.deepEqual(rack.pools(), pools);
  });

  test("it comes back by itself, too", () => {
    const rack = new Rack(["e1000"]);
    const { machine, nics } = rack;
    machine.unplug(FIRST_SLOT, nics[0]!);
    machine.expectLine(/eth0 has gone/, 1.1 * SECOND);
    rack.plug(FIRST_SLOT, nics[0]!);
    rack.run(62 * SECOND);
    assert.ok(rack.ping());
  });

  test("a card changed for another between two looks is noticed", () => {
    const rack = new Rack(["e1000"]);
    const { devices, machine, nics } = rack;
    machine.unplug(FIRST_SLOT, nics[0]!);
    const other = rack.nic("e1000-82545em");
    rack.plug(FIRST_SLOT, other);
    machine.expectLine(/eth0 has gone/, 1.1 * SECOND);
    devices.rescan();
    rack.run(200 * MILLISECOND);
    assert.equal(devices.info(0).model, "Intel 82545EM");
    rack.peers[1]!.ip = "10.0.0.1";
    assert.ok(rack.ping(1));
  });

  test("a NIC that is new gets the next name and an address", () => {
    const rack = new Rack(["e1000"], { commandLine: "" });
    const { devices, machine } = rack;
    const nic = rack.nic("e1000");
    rack.plug(FIRST_SLOT + 4, nic);
    assert.equal(devices.rescan(), 1);
    assert.equal(devices.rescan(), 0);
    machine.expectLine(/eth1 link up/, SECOND);
    machine.expectLine(/eth1 169\.254\.\d+\.\d+\/16 \(link-local\)/, 60 * SECOND);
    assert.equal(devices.count(), 3);
  });

  test("no NIC at boot: one that is plugged in later serves", () => {
    const rack = new Rack([]);
    const { devices, machine } = rack;
    machine.expectLine(/no network device found/, 1);
    rack.plug(FIRST_SLOT, rack.nic("e1000"));
    assert.equal(devices.rescan(), 1);
    rack.run(200 * MILLISECOND);
    assert.ok(rack.ping());
  });
});

describe("what does not start", () => {
  test("is a clear line, has a name, and does not keep the next from the address", () => {
    const broken: PciDevice = {
      pci: new PciFunction({
        vendor: 0x8086,
        device: 0x100e,
        classCode: 0x020000,
        bars: [{ kind: "memory32", size: 0x1000, address: 0xfe000000 }],
      }),
      plugged() {},
      read: () => assert.fail("read"),
      write: () => assert.fail("written"),
    };
    const rack = new Rack(["e1000"], {});
    const machine = new Machine(rack.simulation, {
      kernel: kernelUnderTest(),
      commandLine: "ip=10.0.0.2/24 ip6=off",
      devices: [broken],
    });
    rack.plug(FIRST_SLOT + 1, rack.nic("e1000"), machine);
    machine.start();
    rack.run(200 * MILLISECOND);
    machine.expectLine(/error intel: BAR 0 is no assigned memory/, 1);
    machine.expectLine(
      /eth0 Intel 82540EM at 00:03.0 8086:100e could not be started, see above/,
      1,
    );
    machine.expectLine(/eth1 10\.0\.0\.2\/24/, 1);
    const devices = new Devices(machine);
    assert.equal(devices.info(0).state, DeviceStatus.Failed);
    assert.equal(devices.control(0, DeviceCommand.Load), -EIO);
    rack.peers[1]!.ip = "10.0.0.1";
    assert.ok(rack.ping(1));
    // Tried again once a minute, which is one line more each time.
    rack.run(125 * SECOND);
    const told = machine.console.filter((line) => /could not be started/.test(line)).length;
    assert.ok(told >= 3 && told <= 4, `${told} lines`);
  });
});

describe("health", () => {
  test("a transmitter that no reset helps: tries grow rarer, it is given up, and tried again", () => {
    const rack = new Rack(["e1000", "e1000"]);
    const { devices, machine, nics, simulation } = rack;
    nics[0]!.faults.hang = 1;
    const poke = () => {
      if (devices.info(0).linkUp) rack.ping();
    };
    const start = simulation.now;
    while (devices.info(0).failures === 0 && simulation.now < start + 200 * SECOND) {
      poke();
      rack.run(500 * MILLISECOND);
    }
    machine.expectLine(/eth0 failed: resets do not help; it is tried again seconds=60/, 1);
    assert.equal(rack.lines(/eth0 transmitter hung, resetting/), 5);
    assert.ok(simulation.now - start > 16 * SECOND, "back-off");
    assert.equal(devices.info(0).state, DeviceStatus.Failed);
    assert.equal(devices.info(0).linkUp, false);
    nics[0]!.faults.hang = 0;
    rack.run(62 * SECOND);
    assert.equal(devices.info(0).state, DeviceStatus.Running);
    assert.ok(rack.ping());
    assert.equal(devices.info(1).failures, 0);
  });

  test("a receiver that goes deaf is reset", () => {
    const rack = new Rack(["e1000"]);
    const { devices, machine, nics } = rack;
    const nic = nics[0] as E1000;
    assert.ok(rack.ping());
    nic.faults.deaf = 1;
    assert.equal(rack.ping(), false);
    nic.faults.deaf = 0;
    for (let i = 0; i < 3; i++) {
      rack.ping();
      rack.run(SECOND);
    }
    machine.expectLine(/eth0 receiver deaf, resetting arrived=\d+/, 1);
    assert.ok(rack.ping());
    assert.equal(devices.counters(0).resets, 1);
  });

  test("a quiet network is no deaf receiver", () => {
    const rack = new Rack(["e1000"]);
    rack.run(100 * SECOND);
    assert.equal(rack.devices.counters(0).resets, 0);
  });

  test("a link that flaps is told a few times, and where it came to rest", () => {
    const rack = new Rack(["e1000"]);
    const { machine, links } = rack;
    const before = rack.lines(/eth0 link/);
    for (let i = 0; i < 200; i++) {
      links[0]!.isUp = i % 2 === 1;
      rack.run(150 * MILLISECOND);
    }
    const told = rack.lines(/eth0 link/) - before;
    assert.ok(told <= 8, `${told} lines`);
    machine.expectLine(/eth0 link flaps/, 1);
    machine.expectLine(/eth0 link up mbit=1000 duplex=full changes=\d+/, 15 * SECOND);
    assert.ok(rack.ping());
  });
});

describe("tables", () => {
  test("32 NICs in one machine, some behind a bridge; one more is refused with a clear line", () => {
    const kinds = Array.from({ length: 33 }, (_, i) => NICS[i % NICS.length]!.name);
    const rack = new Rack(kinds, { memory: 128 << 20, commandLine: "" });
    const { devices, machine } = rack;
    assert.equal(devices.count(), 33);
    machine.expectLine(/01:06\.0 \w{4}:\w{4} not started: the table is full interfaces=32/, 1);
    for (let i = 0; i < 32; i++) {
      const options = { address: `10.0.${i}.2`, router: `10.0.${i}.1` };
      new DhcpServer(rack.peers[i]!, options);
    }
    rack.run(10 * SECOND);
    for (let i = 0; i < 32; i++) {
      assert.equal(devices.info(i).name, `eth${i}`);
      machine.expectLine(new RegExp(`eth${i} 10\\.0\\.${i}\\.2/24`), 1);
      assert.ok(rack.ping(i, `10.0.${i}.2`), `eth${i}`);
    }
    assert.equal(devices.info(32).name, "lo");
    assert.equal(rack.control(7, DeviceCommand.Unload), 0);
    assert.equal(rack.control(7, DeviceCommand.Load), 0);
    assert.equal(devices.info(7).name, "eth7");
    rack.run(5 * SECOND);
    assert.ok(rack.ping(7, "10.0.7.2"), "its lease is good again");
  });
});
