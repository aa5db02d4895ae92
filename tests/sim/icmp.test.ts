import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  BROADCAST,
  checksum,
  ethernet,
  ETHERTYPE_IPV4,
  type Frame,
  icmpMessage,
  ipv4Packet,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { ECONNREFUSED, EHOSTUNREACH, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held, moved } from "./counters.ts";
import { OWN, type World, settled, simulate } from "./harness.ts";

const isIcmp = (frame: Frame) => frame.icmp !== undefined;

const be16 = (value: number) => [value >> 8, value & 255];
const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 7) & 255);

/** Sends a UDP datagram to a port that nobody has. */
const knock = (peer: Peer, port: number, length = 8) =>
  peer.sendUdp(OWN, 5000, port, bytes(length));

describe("echo (RFC 792; RFC 1122, 3.2.2.6)", () => {
  simulate("the answer has the request's identifier, sequence and data, up to the MTU", (world) => {
    const { machine, peer } = settled(world);
    for (const length of [0, 1, 2, 3, 55, 56, 1023, 1471, 1472]) {
      const payload = bytes(length);
      peer.sendIcmp(OWN, { type: 8, code: 0, rest: 0xabcd0000 + length, payload });
      const answer = peer.expectIcmp(0, SECOND);
      assert.equal(answer.rest >>> 0, 0xabcd0000 + length);
      assert.deepEqual(Buffer.from(answer.payload), Buffer.from(payload));
    }
    assert.equal(counters(machine, "icmp")["echoRepliesSent"], 9);
    assert.equal(held(machine), 0);
  });

  simulate("a wrong checksum or a cut message is dropped and counted", (world) => {
    const { machine, peer } = settled(world);
    const change = moved(machine, "icmp", () => {
      const wrong = icmpMessage({ type: 8, code: 0, rest: 1, payload: bytes(10) });
      wrong[12]! ^= 0x10;
      peer.sendIpv4({ destination: OWN, protocol: 1, payload: wrong });
      peer.sendIpv4({ destination: OWN, protocol: 1, payload: wrong.slice(0, 7) });
      peer.expectNone(isIcmp, SECOND, "ICMP");
    });
    assert.deepEqual(change, { received: 2, badChecksum: 1, badLength: 1 });
  });

  for (const group of ["255.255.255.255", "10.0.0.255", "224.0.0.1"]) {
    simulate(`a request to ${group} is not answered`, (world) => {
      const { machine, peer } = settled(world);
      const payload = icmpMessage({ type: 8, code: 0, rest: 1, payload: bytes(10) });
      const change = moved(machine, "icmp", () => {
        peer.sendIpv4({ destination: group, protocol: 1, payload }, BROADCAST);
        peer.expectNone(isIcmp, SECOND, "ICMP");
      });
      assert.equal(change["echoToGroup"], 1);
      assert.equal(held(machine), 0);
    });
  }

  simulate("the answer has the request's traffic class without its ECN bits", (world) => {
    const { peer } = settled(world);
    const payload = icmpMessage({ type: 8, code: 0, rest: 1, payload: bytes(10) });
    const packet = ipv4Packet({ source: peer.ip, destination: OWN, protocol: 1, payload });
    packet.set([0xb9], 1);
    packet.set([0, 0], 10);
    packet.set(be16(checksum(packet.subarray(0, 20))), 10);
    let answer: Uint8Array | undefined;
    world.link.observe((frame, from) => {
      if (from !== peer && frame[23] === 1) answer = frame;
    });
    peer.sendFrame(ethernet(peer.resolve(OWN), peer.mac, ETHERTYPE_IPV4, packet));
    peer.expectIcmp(0, SECOND);
    assert.equal(answer![15], 0xb8);
  });
});

describe("errors that we send (RFC 1122, 3.2.2)", () => {
  simulate("port unreachable quotes header and datagram", (world) => {
    const { machine, peer } = settled(world);
    knock(peer, 4444, 8);
    const error = peer.expectIcmp(3, SECOND);
    assert.equal(error.code, 3);
    assert.equal(error.rest, 0);
    assert.equal(error.payload.length, 20 + 8 + 8);
    assert.deepEqual([...error.payload.slice(12, 24)], [10, 0, 0, 1, 10, 0, 0, 2, 19, 136, 17, 92]);
    assert.equal(held(machine), 0);
  });

  simulate("not about an error, a broadcast, or a fragment; not to a group", (world) => {
    const { peer } = settled(world);
    const quoted = ipv4Packet({
      source: OWN,
      destination: peer.ip,
      protocol: 200,
      payload: bytes(8),
    });
    const silent = () => peer.expectNone(isIcmp, SECOND, "ICMP error");
    peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload: quoted });
    silent();
    peer.sendIcmp(OWN, { type: 99, code: 0, rest: 0, payload: bytes(8) });
    silent();
    for (const destination of ["255.255.255.255", "10.0.0.255"]) {
      const udp = { sourcePort: 5, destinationPort: 4444, payload: bytes(8) };
      const payload = udpDatagram(peer.ip, destination, udp);
      peer.sendIpv4({ destination, protocol: UDP, payload }, BROADCAST);
      silent();
    }
    const udp = { sourcePort: 5, destinationPort: 4444, payload: bytes(8) };
    const payload = udpDatagram(peer.ip, OWN, udp);
    peer.sendIpv4({ destination: OWN, protocol: UDP, payload }, BROADCAST);
    silent();
    peer.sendIpv4({ destination: OWN, protocol: 200, payload, moreFragments: true });
    silent();
  });

  simulate("at most 20 at once and 100 a second of a type", (world) => {
    const { machine, peer } = settled(world);
    const change = moved(machine, "icmp", () => {
      for (let i = 0; i < 500; i++) {
        knock(peer, 4444);
        world.run(2 * MILLISECOND);
      }
    });
    assert.ok(
      change["errorsSent"]! >= 100 && change["errorsSent"]! <= 121,
      `${change["errorsSent"]}`,
    );
    assert.equal(change["errorsSent"]! + change["errorsLimited"]!, 500);
    assert.equal(held(machine), 0);
  });
});

describe("errors that we receive", () => {
  /** A connected socket that has sent a datagram; the peer has it. */
  function connected(world: World) {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.datagram();
    sockets.connect(socket, peer.ip, 7000);
    sockets.send(socket, bytes(20));
    const sent = peer.expectUdp(7000, SECOND);
    const quote = (change: (packet: Uint8Array) => void = () => {}): Uint8Array => {
      const { ipv4, udp } = sent;
      const payload = udpDatagram(OWN, peer.ip, udp!);
      const packet = ipv4Packet({ ...ipv4!, payload }).slice(0, 28);
      change(packet);
      return packet;
    };
    return { machine, peer, sockets, socket, quote };
  }

  simulate("port unreachable refuses the connected socket (RFC 1122, 4.1.3.3)", (world) => {
    const { machine, peer, sockets, socket, quote } = connected(world);
    peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload: quote() });
    world.run(10 * MILLISECOND);
    assert.throws(
      () => sockets.send(socket, bytes(1)),
      (error) => error instanceof SocketError && error.errno === ECONNREFUSED,
    );
    assert.equal(sockets.send(socket, bytes(1)), 1);
    assert.equal(counters(machine, "icmp")["errorsDelivered"], 1);
  });

  simulate("time exceeded and host unreachable are told as such", (world) => {
    const { peer, sockets, socket, quote } = connected(world);
    for (const [type, code] of [
      [11, 0],
      [3, 1],
      [3, 7],
    ] as const) {
      peer.sendIcmp(OWN, { type, code, rest: 0, payload: quote() });
      world.run(10 * MILLISECOND);
      assert.equal(sockets.error(socket), EHOSTUNREACH);
    }
  });

  simulate("one that quotes no packet of ours changes nothing (RFC 5927, 4)", (world) => {
    const { machine, peer, sockets, socket, quote } = connected(world);
    const forged: Uint8Array[] = [
      quote((p) => (p[0] = 0x65)),
      quote((p) => (p[0] = 0x44)),
      quote((p) => (p[0] = 0x4f)),
      quote((p) => (p[7] = 1)),
      quote((p) => (p[15] = 9)),
      quote().slice(0, 27),
      quote().slice(0, 20),
      new Uint8Array(0),
    ];
    const invalid = moved(machine, "icmp", () => {
      for (const payload of forged) peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload });
      peer.sendIcmp(OWN, { type: 3, code: 99, rest: 0, payload: quote() });
      world.run(10 * MILLISECOND);
    });
    assert.equal(invalid["errorsInvalid"], forged.length + 1);
    // Well formed, but about other ports or another peer.
    peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload: quote((p) => (p[20]! ^= 1)) });
    peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload: quote((p) => (p[23]! ^= 1)) });
    peer.sendIcmp(OWN, { type: 3, code: 3, rest: 0, payload: quote((p) => (p[19] = 9)) });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.error(socket), 0);
    assert.equal(held(machine), 0);
  });

  simulate("redirects about hosts on the link and source quenches are not believed", (world) => {
    const { machine, peer, quote } = connected(world);
    const change = moved(machine, "icmp", () => {
      peer.sendIcmp(OWN, { type: 5, code: 1, rest: 0x0a000009, payload: quote() });
      peer.sendIcmp(OWN, { type: 4, code: 0, rest: 0, payload: quote() });
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { received: 2, refused: 2 });
  });

  simulate("a neighbour that does not answer ARP is an unreachable host", (world) => {
    const { machine } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.datagram();
    sockets.connect(socket, "10.0.0.66", 7000);
    sockets.send(socket, bytes(5));
    world.run(4 * SECOND);
    assert.equal(sockets.error(socket), EHOSTUNREACH);
    assert.equal(held(machine), 0);
  });
});
