import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  checksum,
  ethernet,
  ETHERTYPE_IPV4,
  type Frame,
  icmpMessage,
  type Ipv4Fields,
  ipv4Packet,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { held, type Layer, moved } from "./counters.ts";
import { OWN, type World, settled, simulate } from "./harness.ts";

const OWN_MAC = "52:54:00:5a:01:01";
const BROADCAST = "ff:ff:ff:ff:ff:ff";

const ECHO = icmpMessage({ type: 8, code: 0, rest: 0x70001, payload: new Uint8Array(32) });

/** An echo request in an IPv4 packet that `change` may spoil. */
function packet(
  fields: Partial<Ipv4Fields> = {},
  change?: (bytes: Uint8Array) => void,
): Uint8Array {
  const bytes = ipv4Packet({
    source: "10.0.0.1",
    destination: OWN,
    protocol: 1,
    payload: ECHO,
    ...fields,
  });
  if (change) {
    const headerLength = (bytes[0]! & 15) * 4;
    change(bytes);
    bytes.set([0, 0], 10);
    const sum = checksum(bytes.subarray(0, Math.max(headerLength, 20)));
    bytes.set([sum >> 8, sum & 255], 10);
  }
  return bytes;
}

/** Sends a packet and holds that nothing comes back, that it is counted as told, and is freed. */
function dropped(
  world: World,
  bytes: Uint8Array,
  layer: Layer,
  counter: string,
  to = OWN_MAC,
): void {
  const { machine, peer } = settled(world);
  const change = moved(machine, layer, () => {
    peer.sendFrame(ethernet(to, peer.mac, ETHERTYPE_IPV4, bytes));
    world.run(10 * MILLISECOND);
  });
  assert.equal(change[counter], 1, JSON.stringify(change));
  assert.equal(change["delivered"], undefined);
  peer.expectNone((frame) => frame.ipv4 !== undefined, 100 * MILLISECOND, "answer");
  assert.equal(held(machine), 0);
}

/** Sends a packet and holds that it is answered. */
function answered(world: World, bytes: Uint8Array): Frame {
  const { machine, peer } = settled(world);
  peer.sendFrame(ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, bytes));
  const answer = peer.expect((frame) => frame.icmp?.type === 0, SECOND, "echo reply");
  world.run(MILLISECOND);
  assert.equal(held(machine), 0);
  return answer;
}

describe("IPv4 input: what is dropped", () => {
  const cases: [string, Uint8Array, string][] = [
    [
      "version 6 in an IPv4 frame (RFC 1122, 3.2.1.1)",
      packet({}, (b) => (b[0] = 0x65)),
      "badVersion",
    ],
    ["a header length of 16 (RFC 791, 3.1)", packet({}, (b) => (b[0] = 0x44)), "badLength"],
    ["a header longer than the packet", packet({}, (b) => (b[3] = 19)), "badLength"],
    ["a total length beyond the frame", packet({}, (b) => (b[2] = 4)), "badLength"],
    ["a wrong header checksum (RFC 1122, 3.2.1.2)", spoiled(), "badChecksum"],
    ["loopback as source (RFC 1122, 3.2.1.3 g)", packet({ source: "127.0.0.1" }), "badSource"],
    ["a group as source", packet({ source: "224.0.0.1" }), "badSource"],
    ["all ones as source", packet({ source: "255.255.255.255" }), "badSource"],
    ["the subnet's broadcast as source", packet({ source: "10.0.0.255" }), "badSource"],
    ["0.0.0.0 as source", packet({ source: "0.0.0.0" }), "badSource"],
    ["our own address as source (the land attack)", packet({ source: OWN }), "badSource"],
    ["another host's address", packet({ destination: "10.0.0.3" }), "notForUs"],
    ["loopback from outside", packet({ destination: "127.0.0.1" }), "notForUs"],
    ["a group that we are not in", packet({ destination: "239.1.2.3" }), "notForUs"],
    [
      "a loose source route (RFC 1122, 3.2.1.8 c)",
      packet({ options: Uint8Array.of(131, 7, 4, 10, 0, 0, 9, 0) }),
      "sourceRouted",
    ],
    [
      "a strict source route behind another option",
      packet({ options: Uint8Array.of(1, 137, 7, 4, 10, 0, 0, 9) }),
      "sourceRouted",
    ],
    [
      "TCP to the broadcast address (RFC 1122, 4.2.3.10)",
      packet({ destination: "10.0.0.255", protocol: 6 }),
      "badBroadcast",
    ],
  ];
  for (const [name, bytes, counter] of cases) {
    simulate(name, (world) => dropped(world, bytes, "ip", counter));
  }

  const options: [string, number[], pointer: number][] = [
    ["an option of length 0", [7, 0, 0, 0], 20],
    ["an option of length 1", [7, 1, 0, 0], 20],
    ["an option that runs out of the header", [7, 9, 4, 0], 20],
    ["an option without its length", [1, 1, 1, 7], 23],
  ];
  for (const [name, option, pointer] of options) {
    simulate(`${name}: the sender hears where (RFC 1122, 3.2.2.5)`, (world) => {
      const { machine, peer } = settled(world);
      const bytes = packet({ options: Uint8Array.from(option) });
      const change = moved(machine, "ip", () => {
        peer.sendFrame(ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, bytes));
        const { code, rest, payload } = peer.expectIcmp(12, SECOND);
        assert.deepEqual([code, rest >>> 24], [0, pointer]);
        assert.deepEqual(Buffer.from(payload), Buffer.from(bytes.subarray(0, payload.length)));
      });
      assert.equal(change["badOptions"], 1);
      // From nobody, to many, or in a frame for many: without a word.
      for (const [fields, to] of [
        [{ source: "224.0.0.1" }, OWN_MAC],
        [{ destination: "10.0.0.255" }, BROADCAST],
        [{}, BROADCAST],
      ] as const) {
        const bad = packet({ ...fields, options: Uint8Array.from(option) });
        peer.sendFrame(ethernet(to, peer.mac, ETHERTYPE_IPV4, bad));
        peer.expectNone((frame) => frame.icmp !== undefined, 100 * MILLISECOND);
      }
      assert.equal(held(machine), 0);
    });
  }

  function spoiled(): Uint8Array {
    const bytes = packet();
    bytes[10]! ^= 1;
    return bytes;
  }

  simulate("a unicast packet in a broadcast frame (RFC 1122, 3.3.6)", (world) =>
    dropped(world, packet(), "ip", "badBroadcast", BROADCAST),
  );

  simulate("every cut of a packet", (world) => {
    const { machine, peer } = settled(world);
    const whole = ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, packet());
    for (let length = 1; length < 14 + 20 + ECHO.length; length++) {
      peer.sendFrame(whole.slice(0, length));
    }
    world.run(100 * MILLISECOND);
    peer.expectNone((frame) => frame.ipv4 !== undefined, 100 * MILLISECOND, "answer");
    assert.equal(held(machine), 0);
  });
});

describe("IPv4 input: what is taken", () => {
  simulate("options that we do not know are skipped (RFC 1122, 3.2.1.8)", (world) => {
    answered(world, packet({ options: Uint8Array.of(0x94, 4, 0, 0, 1, 0, 0, 0) }));
  });

  simulate("record route is not acted on", (world) => {
    const answer = answered(world, packet({ options: Uint8Array.of(7, 7, 4, 0, 0, 0, 0, 0) }));
    assert.equal(answer.ipv4!.headerLength, 20);
  });

  simulate("a time to live of 1 is no reason to drop (RFC 1122, 3.2.1.7)", (world) => {
    answered(
      world,
      packet({}, (b) => (b[8] = 0)),
    );
  });

  simulate("link padding is cut off by the total length", (world) => {
    const bytes = packet();
    const padded = new Uint8Array(bytes.length + 40).fill(0xee);
    padded.set(bytes);
    assert.equal(answered(world, padded).icmp!.payload.length, 32);
  });

  simulate("the reserved flag does not matter to us", (world) => {
    answered(
      world,
      packet({}, (b) => (b[6]! |= 0x80)),
    );
  });

  simulate("an unknown protocol is refused by ICMP (RFC 1122, 3.2.2.1)", (world) => {
    const { peer } = settled(world);
    const bytes = packet({ protocol: 132 });
    peer.sendFrame(ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, bytes));
    const error = peer.expectIcmp(3);
    assert.equal(error.code, 2);
    assert.deepEqual(error.payload.slice(0, 28), bytes.slice(0, 28));
  });
});

describe("IPv4 output", () => {
  simulate("atomic datagrams: DF set, identification 0 (RFC 6864, 4.1), TTL 64", (world) => {
    const { ipv4 } = answered(world, packet({ id: 0x1234 }));
    assert.equal(ipv4!.dontFragment, true);
    assert.equal(ipv4!.id, 0);
    assert.equal(ipv4!.ttl, 64);
  });

  simulate("what is not on the link goes to the router (RFC 1122, 3.3.1.1)", (world) => {
    const { peer } = settled(world);
    const bytes = packet({ source: "192.0.2.77" });
    peer.sendFrame(ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, bytes));
    const answer = peer.expect((frame) => frame.icmp?.type === 0, SECOND, "echo reply");
    assert.equal(answer.ipv4!.destination, "192.0.2.77");
    assert.equal(answer.destination, peer.mac);
  });

  simulate("without a router it is not sent", (world) => {
    const { machine } = world.ready({ commandLine: "" });
    const peer = world.peer();
    world.run(5 * SECOND);
    peer.resolve(OWN);
    const change = moved(machine, "ip", () => {
      const bytes = packet({ source: "192.0.2.77" });
      peer.sendFrame(ethernet(OWN_MAC, peer.mac, ETHERTYPE_IPV4, bytes));
      peer.expectNone((frame) => frame.ipv4 !== undefined, SECOND, "packet");
    });
    assert.equal(change["noRoute"], 1);
    assert.equal(held(machine), 0);
  });
});

describe("Ethernet input", () => {
  const frame = (destination: string, source: string, type: number) =>
    ethernet(destination, source, type, packet());
  const cases: [string, Uint8Array, string][] = [
    ["an unknown type", frame(OWN_MAC, "52:54:00:5a:00:01", 0x88b5), "unknownType"],
    ["an 802.3 length", frame(OWN_MAC, "52:54:00:5a:00:01", 46), "unknownType"],
    ["a group as source", frame(OWN_MAC, "53:54:00:5a:00:01", ETHERTYPE_IPV4), "badSource"],
  ];
  for (const [name, bytes, counter] of cases) {
    simulate(`${name} is dropped and counted`, (world) => {
      const { machine, peer } = settled(world);
      const change = moved(machine, "link", () => {
        peer.sendFrame(bytes);
        world.run(10 * MILLISECOND);
      });
      assert.deepEqual(change, { [counter]: 1 });
      assert.equal(held(machine), 0);
    });
  }

  simulate(
    "UDP to the broadcast address without a taker is not answered (RFC 1122, 3.2.2)",
    (world) => {
      const { peer } = settled(world);
      const payload = udpDatagram("10.0.0.1", "10.0.0.255", {
        sourcePort: 9,
        destinationPort: 9,
        payload: new Uint8Array(8),
      });
      const bytes = packet({ destination: "10.0.0.255", protocol: 17, payload });
      peer.sendFrame(ethernet(BROADCAST, peer.mac, ETHERTYPE_IPV4, bytes));
      peer.expectNone((f) => f.icmp !== undefined, SECOND, "ICMP");
    },
  );
});
