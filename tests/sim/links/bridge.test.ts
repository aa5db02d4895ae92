/** A bridge between cards (IEEE 802.1D, 7). */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  BROADCAST,
  ethernet,
  ETHERTYPE_IPV4,
  ipv4Packet,
  mac,
  macBytes,
  UDP,
  udpDatagram,
} from "../../../tools/sim/frames.ts";
import { Link, type Port } from "../../../tools/sim/link.ts";
import { macAddress, Machine } from "../../../tools/sim/machine.ts";
import { nicKind } from "../../../tools/sim/nics.ts";
import { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND, Simulation } from "../../../tools/sim/simulation.ts";
import { Trunk } from "../../../tools/sim/trunk.ts";
import { copied, counters, held } from "../counters.ts";
import { kernelUnderTest } from "../kernel.ts";

/** A machine with three cards, and what is on their links. */
class Bridged {
  readonly simulation = new Simulation(1);
  readonly links: Link[];
  readonly machine: Machine;

  constructor(commandLine: string, nic = "e1000") {
    this.links = [1, 2, 3].map(() => new Link(this.simulation));
    const nics = this.links.map((_, i) =>
      nicKind(nic).make({
        mac: macAddress(0x200 + i),
        line: 10 + (i % 2),
        base: 0xfe000000 + i * 0x40000,
        ports: 0xc100 + i * 0x100,
      }),
    );
    this.machine = new Machine(this.simulation, {
      kernel: kernelUnderTest(),
      name: "bridge",
      commandLine,
      devices: nics,
    });
    nics.forEach((card, i) => card.connect(this.links[i]!));
    this.machine.start();
    this.machine.expectLine(/br0 link up/, 3 * SECOND);
    this.simulation.run(4 * SECOND);
  }

  /** 10.0.0.<host> on a link, from 1 on; likewise its MAC address. */
  peer(link: number, host: number): Peer {
    const ip6 = `2001:db8::${host.toString(16)}`;
    return new Peer(this.links[link - 1]!, { ip: `10.0.0.${host}`, ip6, mac: macAddress(host) });
  }

  /** Frames that arrive on a link, by where they are from and for. */
  heard(link: number): [from: string, to: string][] {
    const frames: [string, string][] = [];
    const port: Port = {
      name: "listener",
      receive: (frame) => frames.push([mac(frame, 6), mac(frame, 0)]),
    };
    this.links[link - 1]!.attach(port);
    return frames;
  }

  virtual(): Record<string, number> {
    return counters(this.machine, "virtual");
  }
}

function bridged(name: string, body: (network: Bridged) => void, words = "", nic = "e1000"): void {
  test(name, () => {
    const network = new Bridged(
      `br0=ports=eth0+eth1+eth2,10.0.0.1/24,2001:db8::1/64 ${words}`,
      nic,
    );
    try {
      body(network);
      network.simulation.run(SECOND);
      assert.equal(held(network.machine), 0);
    } finally {
      network.machine.release();
    }
  });
}

/** A datagram in a frame, whatever either says. */
function frame(source: string, destination: string, bytes = 1): Uint8Array {
  const udp = { sourcePort: 1, destinationPort: 2, payload: new Uint8Array(bytes) };
  const payload = udpDatagram("10.0.0.9", "10.0.0.10", udp);
  const ends = { source: "10.0.0.9", destination: "10.0.0.10" };
  return ethernet(
    destination,
    source,
    ETHERTYPE_IPV4,
    ipv4Packet({ ...ends, protocol: UDP, payload }),
  );
}

const A = "52:54:00:5a:0a:0a";
const B = "52:54:00:5a:0b:0b";

describe("bridge (IEEE 802.1D, 7)", () => {
  for (const nic of ["e1000", "rtl8139", "virtio-net-pci"]) {
    bridged(
      `hosts of its links are on one, and the machine with them; known ones by one port (${nic})`,
      (network) => {
        const [a, b] = [network.peer(1, 9), network.peer(2, 10)];
        const third = network.heard(3);
        for (const destination of [b.ip, b.ip6!]) {
          const payload = new Uint8Array(1452).fill(3);
          a.sendUdp(destination, 1, 2, payload);
          assert.deepEqual(b.expectUdp(2).udp!.payload, payload);
          b.sendUdp(a.addressFor(destination), 2, 1, payload);
          assert.deepEqual(a.expectUdp(1).udp!.payload, payload);
        }
        a.sendIcmp("10.0.0.1", { type: 8, code: 0, rest: 1, payload: Uint8Array.of(1) });
        a.expectIcmp(0);
        b.sendIcmp("10.0.0.1", { type: 8, code: 0, rest: 1, payload: Uint8Array.of(1) });
        b.expectIcmp(0);
        // Of what hosts said to one another, the third link heard only what is for all.
        const strays = third.filter(
          ([from, to]) =>
            to !== BROADCAST && !(macBytes(to)[0]! & 1) && from !== "52:54:00:5a:02:00",
        );
        assert.deepEqual(strays, []);
        assert.ok(network.virtual()["forwarded"]! > network.virtual()["flooded"]!);
      },
      "ip6=off",
      nic,
    );
  }

  bridged(
    "what nobody has answered to yet goes to every other port, and only there (7.7)",
    (network) => {
      const [one, two, three] = [network.heard(1), network.heard(2), network.heard(3)];
      const port: Port = { name: "a", receive: () => undefined };
      network.links[0]!.attach(port);
      const before = [one, two, three].map((list) => list.length);
      network.links[0]!.send(port, frame(A, B, 1000));
      network.simulation.run(MILLISECOND);
      const after = [one, two, three].map((list, i) => list.slice(before[i]).length);
      // The listener on the first link hears the sender itself.
      assert.deepEqual(after, [1, 1, 1]);
      // Nothing but headers was copied: a unicast frame for others is not for this machine.
      assert.equal(copied(network.machine), 0);
      assert.equal(network.virtual()["flooded"], 1);
    },
  );

  bridged("a station that moves is followed, and forgotten after 300 s (7.9.2)", (network) => {
    const ports = network.links.map((link, i): Port => {
      const port: Port = { name: `port ${i}`, receive: () => undefined };
      link.attach(port);
      return port;
    });
    const say = (at: number, from: string, to: string): number[] => {
      const lists = [1, 2, 3].map((i) => network.heard(i));
      network.links[at]!.send(ports[at]!, frame(from, to));
      network.simulation.run(MILLISECOND);
      return lists.map((list, i) => (i === at ? 0 : list.length));
    };
    assert.deepEqual(say(1, B, A), [1, 0, 1]);
    assert.deepEqual(say(0, A, B), [0, 1, 0]);
    // B is now behind the third port.
    assert.deepEqual(say(2, B, A), [1, 0, 0]);
    assert.deepEqual(say(0, A, B), [0, 0, 1]);
    assert.equal(network.virtual()["moved"], 1);
    // A is where the frame comes from: it has it.
    assert.deepEqual(say(0, B, A), [0, 0, 0]);
    assert.equal(network.virtual()["filtered"], 1);
    network.simulation.run(299 * SECOND);
    assert.deepEqual(say(2, "52:54:00:5a:0c:0c", A), [1, 0, 0]);
    network.simulation.run(2 * SECOND);
    assert.deepEqual(say(2, "52:54:00:5a:0c:0c", A), [1, 1, 0]);
  });

  bridged("a link that goes takes its stations with it", (network) => {
    const [a, b] = [network.peer(1, 9), network.peer(2, 10)];
    a.sendUdp(b.ip, 1, 2, Uint8Array.of(1));
    b.expectUdp(2);
    b.sendUdp(a.ip, 2, 1, Uint8Array.of(1));
    a.expectUdp(1);
    network.links[1]!.isUp = false;
    network.simulation.run(3 * SECOND);
    const moved = new Peer(network.links[2]!, { ip: "10.0.0.10", mac: macAddress(10) });
    a.sendUdp(b.ip, 1, 2, Uint8Array.of(2));
    assert.deepEqual(moved.expectUdp(2).udp!.payload, Uint8Array.of(2));
  });

  bridged(
    "frames of bridges, of groups, and our own come round a loop stop here (7.12.6)",
    (network) => {
      const peer = network.peer(1, 9);
      const others = [network.heard(2), network.heard(3)];
      const before = others.map((list) => list.length);
      for (let last = 0; last < 16; last++) {
        peer.sendFrame(frame(A, `01:80:c2:00:00:0${last.toString(16)}`));
      }
      peer.sendFrame(frame("01:00:5e:00:00:01", B));
      peer.sendFrame(frame("52:54:00:5a:02:00", B));
      peer.sendFrame(frame("52:54:00:5a:02:00", BROADCAST));
      network.simulation.run(MILLISECOND);
      assert.deepEqual(
        others.map((list) => list.length),
        before,
      );
      const { reserved, badSource } = network.virtual();
      assert.deepEqual([reserved, badSource], [16, 3]);
      peer.sendFrame(frame(A, "01:80:c2:00:00:10"));
      network.simulation.run(MILLISECOND);
      assert.deepEqual(
        others.map((list, i) => list.length - before[i]!),
        [1, 1],
      );
    },
  );

  bridged("a flood of stations costs room for some, and nothing else", (network) => {
    const [a, b] = [network.peer(1, 9), network.peer(2, 10)];
    a.sendUdp(b.ip, 1, 2, Uint8Array.of(1));
    b.expectUdp(2);
    for (let i = 0; i < 10_000; i++) {
      a.sendFrame(
        frame(
          `52:${((i * 7) % 256).toString(16).padStart(2, "0")}:aa:bb:${(i >> 8).toString(16).padStart(2, "0")}:${(i & 255).toString(16).padStart(2, "0")}`,
          a.mac,
        ),
      );
      if (i % 100 === 0) network.simulation.run(10 * MILLISECOND);
    }
    network.simulation.run(SECOND);
    const { learnt, evicted } = network.virtual();
    assert.ok(learnt! >= 9000 && evicted! >= learnt! - 2048 - 100, `${learnt} ${evicted}`);
    a.sendUdp(b.ip, 1, 2, Uint8Array.of(2));
    assert.deepEqual(b.expectUdp(2).udp!.payload, Uint8Array.of(2));
  });

  test("a port may be a VLAN, whose frames get and lose their tags; a router between it and the bridge", () => {
    const network = new Bridged(
      "br0=ports=eth0.5+eth1,10.0.0.1/24 eth2=10.3.0.1/24 forward=on ip6=off",
    );
    try {
      const trunk = new Trunk(network.links[0]!);
      const a = new Peer(trunk.vlan(5), { ip: "10.0.0.9", mac: macAddress(9) });
      const b = network.peer(2, 10);
      const most = new Uint8Array(1472).fill(9);
      a.sendUdp(b.ip, 1, 2, most);
      assert.deepEqual(b.expectUdp(2).udp!.payload, most);
      b.sendUdp(a.ip, 2, 1, most);
      assert.deepEqual(a.expectUdp(1).udp!.payload, most);
      const c = new Peer(network.links[2]!, { ip: "10.3.0.9", mac: macAddress(3) });
      a.sendUdp(c.ip, 1, 3, most, a.resolve("10.0.0.1"));
      assert.deepEqual(c.expectUdp(3).udp!.payload, most);
      network.simulation.run(SECOND);
      assert.equal(held(network.machine), 0);
    } finally {
      network.machine.release();
    }
  });

  test("what cannot be is named: a port with addresses, a link that stands on itself, one that nobody gave", () => {
    const network = new Bridged(
      "br0=ports=eth0,10.0.0.1/24 eth0=10.9.0.1/24 br1=ports=br1.5 eth0.5=10.1.0.1/24 route=2001:db8:9::/48,fe80::1%br7 br2=ports=eth0",
    );
    try {
      const { machine } = network;
      machine.expectLine(/eth0 is a port: its addresses are ignored; give them to br0/);
      machine.expectLine(/br1 left out: a link under it is not there, or stands on it/);
      machine.expectLine(/eth0\.5 left out: the link under it is a port; make it a VLAN of br0/);
      machine.expectLine(/no such link.*key=br7/);
      machine.expectLine(/ports of no other bridge.*key=br2/);
    } finally {
      network.machine.release();
    }
  });
});
