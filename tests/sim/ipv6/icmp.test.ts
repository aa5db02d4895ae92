import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  ethernet,
  ETHERTYPE_IPV6,
  icmp6Message,
  ICMPV6,
  type Ipv6Fields,
  ipv6Packet,
  UDP,
  udpDatagram,
} from "../../../tools/sim/frames.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { held, moved } from "../counters.ts";
import { simulate, type World } from "../harness.ts";
import { HOST, OWN_MAC, PREFIX, settled } from "./network.ts";

const PEER = `${PREFIX}1`;
const ECHO = { type: 128, code: 0, rest: 0x70001, payload: new Uint8Array(32).fill(7) };

/** An echo request, and its IPv6 packet, of which `fields` may change anything. */
function packet(fields: Partial<Ipv6Fields> = {}): Uint8Array {
  const { source = PEER, destination = HOST } = fields;
  const payload = icmp6Message(source, destination, ECHO);
  return ipv6Packet({ source, destination, protocol: ICMPV6, payload, ...fields });
}

/** Holds that a packet is dropped without a word and counted. */
function dropped(world: World, bytes: Uint8Array, counter: string, to = OWN_MAC): void {
  const { machine, peer } = settled(world);
  const change = moved(machine, "ipv6", () => {
    peer.sendFrame(ethernet(to, peer.mac, ETHERTYPE_IPV6, bytes));
    world.run(10 * MILLISECOND);
  });
  assert.equal(change[counter], 1, JSON.stringify(change));
  peer.expectNone((frame) => frame.ipv6 !== undefined, 100 * MILLISECOND, "answer");
  assert.equal(held(machine), 0);
}

describe("IPv6 input: what is dropped without a word", () => {
  const spoil = (change: (bytes: Uint8Array) => void) => {
    const bytes = packet();
    change(bytes);
    return bytes;
  };
  const cases: [string, Uint8Array, string][] = [
    ["version 4 in an IPv6 frame (RFC 8200, 3)", spoil((b) => (b[0] = 0x45)), "badVersion"],
    ["a payload length beyond the frame", spoil((b) => (b[4] = 1)), "badLength"],
    ["a group as source (RFC 4291, 2.7)", packet({ source: "ff02::5" }), "badSource"],
    ["::1 as source (RFC 4291, 2.5.3)", packet({ source: "::1" }), "badSource"],
    ["an IPv4-mapped source (RFC 4291, 2.5.5.2)", packet({ source: "::ffff:a00:1" }), "badSource"],
    ["fe80::/10 outside fe80::/64 as source", packet({ source: "fe80:0:0:1::1" }), "badSource"],
    ["our own address as source", packet({ source: HOST }), "badSource"],
    ["another host's address", packet({ destination: `${PREFIX}3` }), "notForUs"],
    ["::1 from outside", packet({ destination: "::1" }), "notForUs"],
    ["a group that we are not in", packet({ destination: "ff02::99" }), "notForUs"],
    ["a group of interface scope (RFC 4291, 2.7)", packet({ destination: "ff01::1" }), "notForUs"],
  ];
  for (const [name, bytes, counter] of cases) {
    simulate(name, (world) => dropped(world, bytes, counter));
  }
});

describe("ICMPv6 echo", () => {
  simulate("an answer has the request's data, class and addresses (RFC 4443, 4.2)", (world) => {
    const { machine, peer } = settled(world);
    const payload = icmp6Message(PEER, HOST, ECHO);
    peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload, trafficClass: 0xb9 });
    const { icmp6, ipv6 } = peer.expectIcmp6(129);
    assert.deepEqual(icmp6!.payload, ECHO.payload);
    assert.equal(icmp6!.rest, ECHO.rest);
    assert.equal(ipv6!.source, HOST);
    assert.equal(ipv6!.trafficClass, 0xb8);
    world.run(MILLISECOND);
    assert.equal(held(machine), 0);
  });
  simulate("one to all nodes is answered from a unicast address (RFC 4443, 4.2)", (world) => {
    const { peer } = settled(world);
    peer.sendIcmp6({ destination: "ff02::1" }, ECHO);
    assert.equal(peer.expectIcmp6(129).ipv6!.source, HOST);
  });
  simulate("one from nobody is not", (world) => {
    const { peer } = settled(world);
    peer.sendIcmp6({ destination: "ff02::1", source: "::" }, ECHO);
    peer.expectNone((frame) => frame.icmp6?.type === 129, SECOND, "answer");
  });
  simulate("a wrong checksum, and a short message", (world) => {
    const { machine, peer } = settled(world);
    const change = moved(machine, "icmpv6", () => {
      const wrong = icmp6Message(PEER, HOST, ECHO);
      wrong[3]! ^= 1;
      peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload: wrong });
      peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload: wrong.subarray(0, 7) });
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { received: 2, badChecksum: 1, badLength: 1 });
    assert.equal(held(machine), 0);
  });
});

describe("ICMPv6 errors that we send", () => {
  const toClosed = (source = PEER, destination = HOST, length = 8): Uint8Array =>
    udpDatagram(source, destination, {
      sourcePort: 4000,
      destinationPort: 9,
      payload: new Uint8Array(length),
    });
  simulate("port unreachable quotes what fits into 1,280 octets (RFC 4443, 2.4 c)", (world) => {
    const { peer } = settled(world);
    peer.sendIpv6({ destination: HOST, protocol: UDP, payload: toClosed(PEER, HOST, 1400) });
    const { icmp6, ipv6 } = peer.expectIcmp6(1);
    assert.equal(icmp6!.code, 4);
    assert.equal(ipv6!.payload.length, 1240);
    assert.equal(icmp6!.payload[6], UDP);
  });
  simulate("an unknown next header points at what announced it (RFC 8200, 4)", (world) => {
    const { peer } = settled(world);
    peer.sendIpv6({ destination: HOST, protocol: 253, payload: new Uint8Array(16) });
    const { icmp6 } = peer.expectIcmp6(4);
    assert.deepEqual([icmp6!.code, icmp6!.rest], [1, 6]);
    const extensions: [number, Uint8Array][] = [[60, Uint8Array.of(1, 4, 0, 0, 0, 0)]];
    peer.sendIpv6({ destination: HOST, protocol: 253, payload: new Uint8Array(16), extensions });
    assert.deepEqual(peer.expectIcmp6(4).icmp6!.rest, 40);
  });
  simulate("IPv4's ICMP in IPv6 is no protocol of ours", (world) => {
    const { peer } = settled(world);
    peer.sendIpv6({
      destination: HOST,
      protocol: 1,
      payload: Uint8Array.of(8, 0, 0xf7, 0xff, 0, 0, 0, 0),
    });
    assert.equal(peer.expectIcmp6(4).icmp6!.code, 1);
  });
  const silent: [string, (world: World) => void][] = [
    [
      "to a group (RFC 4443, 2.4 e.3)",
      (world) => {
        const { peer } = settled(world);
        peer.sendIpv6({
          destination: "ff02::1",
          protocol: UDP,
          payload: toClosed(PEER, "ff02::1"),
        });
        peer.expectNone((frame) => (frame.icmp6?.type ?? 128) < 128, SECOND, "error");
      },
    ],
    [
      "in a frame for many (e.4)",
      (world) => {
        const { peer } = settled(world);
        peer.sendIpv6(
          { destination: HOST, protocol: UDP, payload: toClosed() },
          "33:33:00:00:00:01",
        );
        peer.expectNone((frame) => (frame.icmp6?.type ?? 128) < 128, SECOND, "error");
      },
    ],
    [
      "from nobody (e.6)",
      (world) => {
        const { peer } = settled(world);
        peer.sendIpv6({ source: "::", destination: HOST, protocol: UDP, payload: toClosed("::") });
        peer.expectNone((frame) => (frame.icmp6?.type ?? 128) < 128, SECOND, "error");
      },
    ],
    [
      "that is an error itself, behind an extension header (e.1)",
      (world) => {
        const { peer } = settled(world);
        const error = { type: 1, code: 4, rest: 0, payload: packet() };
        const payload = icmp6Message(PEER, HOST, error);
        const option = Uint8Array.of(0x80, 4, 0, 0, 0, 0);
        peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload, extensions: [[60, option]] });
        peer.expectNone((frame) => (frame.icmp6?.type ?? 128) < 128, SECOND, "error");
      },
    ],
  ];
  describe("none about a packet", () => {
    for (const [name, body] of silent) simulate(name, body);
  });
  simulate("their number is limited (RFC 4443, 2.4 f)", (world) => {
    const { machine, peer } = settled(world);
    const change = moved(machine, "icmpv6", () => {
      for (let i = 0; i < 200; i++) {
        peer.sendIpv6({ destination: HOST, protocol: UDP, payload: toClosed() });
      }
      world.run(20 * MILLISECOND);
    });
    assert.equal(change["errorsSent"]! + change["errorsLimited"]!, 200);
    assert.ok(change["errorsSent"]! <= 25, JSON.stringify(change));
    assert.equal(held(machine), 0);
  });
});
