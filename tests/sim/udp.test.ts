import assert from "node:assert/strict";
import { describe } from "node:test";
import { BROADCAST, UDP, udpDatagram } from "../../tools/sim/frames.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { SocketEvent, SocketOption, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held, moved } from "./counters.ts";
import { OWN, fails, settled, simulate } from "./harness.ts";

const EACCES = 13;
const EINVAL = 22;
const EDESTADDRREQ = 89;
const EMSGSIZE = 90;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENETUNREACH = 101;

const bytes = (length: number, seed = 0) =>
  Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 255);

/** A socket bound to a port. */
function bound(sockets: Sockets, port: number, address?: string): number {
  const socket = sockets.datagram();
  sockets.bind(socket, port, address);
  return socket;
}

describe("UDP (RFC 768; RFC 1122, 4.1)", () => {
  simulate("datagrams of all sizes come with their sender and in order", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = bound(sockets, 7);
    const sizes = [0, 1, 2, 3, 100, 1471, 1472];
    for (const size of sizes) peer.sendUdp(OWN, 4000 + size, 7, bytes(size, size));
    world.run(10 * MILLISECOND);
    assert.deepEqual(sockets.poll(), [[socket, SocketEvent.Readable]]);
    for (const size of sizes) {
      const datagram = sockets.receiveFrom(socket)!;
      assert.deepEqual(datagram, { bytes: bytes(size, size), address: peer.ip, port: 4000 + size });
    }
    assert.equal(sockets.receiveFrom(socket), null);
    assert.equal(held(machine), 0);
  });

  simulate("what we send arrives whole, with a right checksum", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = bound(sockets, 9);
    for (const size of [0, 1, 2, 100, 1471, 1472]) {
      assert.equal(sockets.sendTo(socket, bytes(size), peer.ip, 5), size);
      const { udp } = peer.expectUdp(5, SECOND);
      assert.equal(udp!.sourcePort, 9);
      assert.deepEqual(Buffer.from(udp!.payload), Buffer.from(bytes(size)));
    }
    fails(EMSGSIZE, () => sockets.sendTo(socket, bytes(65508), peer.ip, 5));
    world.run(10 * MILLISECOND);
    assert.equal(held(machine), 0);
  });

  simulate("a checksum of zero means none, a wrong one is dropped (RFC 1122, 4.1.3.4)", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = bound(sockets, 7);
    const payload = bytes(31);
    const make = (change: (datagram: Uint8Array) => void): Uint8Array => {
      const datagram = udpDatagram(peer.ip, OWN, { sourcePort: 4, destinationPort: 7, payload });
      change(datagram);
      return datagram;
    };
    const send = (datagram: Uint8Array) =>
      peer.sendIpv4({ destination: OWN, protocol: UDP, payload: datagram });
    const change = moved(machine, "udp", () => {
      send(make((d) => d.set([0, 0], 6)));
      send(make((d) => (d[20]! ^= 1)));
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { received: 2, delivered: 1, badChecksum: 1, queued: 1 });
    assert.deepEqual(sockets.receiveFrom(socket)!.bytes, payload);
    const lengths = moved(machine, "udp", () => {
      send(make((d) => d.set([0, 7], 4)));
      send(make((d) => d.set([0, 40], 4)));
      send(make(() => {}).slice(0, 7));
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(lengths, { received: 3, badLength: 3 });
    assert.equal(held(machine), 0);
  });

  simulate("bytes behind the datagram are not part of it", (world) => {
    const { peer, sockets } = settled(world);
    const socket = bound(sockets, 7);
    const udp = { sourcePort: 4, destinationPort: 7, payload: bytes(10) };
    const datagram = udpDatagram(peer.ip, OWN, udp);
    const payload = new Uint8Array(datagram.length + 6).fill(0xaa);
    payload.set(datagram);
    peer.sendIpv4({ destination: OWN, protocol: UDP, payload });
    world.run(10 * MILLISECOND);
    assert.deepEqual(sockets.receiveFrom(socket)!.bytes, bytes(10));
  });

  simulate(
    "a full queue drops what comes, is counted, and holds no more than its limit",
    (world) => {
      const { machine, peer, sockets } = settled(world);
      const socket = bound(sockets, 7);
      sockets.setOption(socket, SocketOption.ReceiveBuffer, 16 * 2048);
      const change = moved(machine, "udp", () => {
        for (let i = 0; i < 50; i++) peer.sendUdp(OWN, 4, 7, bytes(10, i));
        world.run(10 * MILLISECOND);
      });
      assert.deepEqual(change, { received: 50, delivered: 16, queueFull: 34, queued: 16 });
      assert.equal(held(machine), 16);
      assert.deepEqual(sockets.receiveFrom(socket)!.bytes, bytes(10, 0));
      sockets.close(socket);
      assert.equal(held(machine), 0);
      assert.equal(counters(machine, "udp")["queued"], 0);
    },
  );

  simulate("all queues together leave the receive ring its slots", (world) => {
    const { machine, peer, sockets } = settled(world);
    const open = Array.from({ length: 40 }, (_, i) => bound(sockets, 100 + i));
    for (const socket of open) sockets.setOption(socket, SocketOption.ReceiveBuffer, 1 << 30);
    for (let round = 0; round < 200; round++) {
      for (let i = 0; i < open.length; i++) peer.sendUdp(OWN, 4, 100 + i, bytes(10));
      world.run(MILLISECOND);
    }
    peer.inbox = [];
    peer.sendIcmp(OWN, { type: 8, code: 0, rest: 1, payload: bytes(1000) });
    peer.expectIcmp(0, SECOND);
    assert.ok(counters(machine, "udp")["queueFull"]! > 0);
    for (const socket of open) sockets.close(socket);
    assert.equal(held(machine), 0);
  });

  simulate(
    "broadcasts reach a socket bound to any address; sending them needs the option",
    (world) => {
      const { peer, sockets } = settled(world);
      const socket = bound(sockets, 7);
      for (const destination of ["255.255.255.255", "10.0.0.255"]) {
        const udp = { sourcePort: 4, destinationPort: 7, payload: bytes(3) };
        const payload = udpDatagram(peer.ip, destination, udp);
        peer.sendIpv4({ destination, protocol: UDP, payload }, BROADCAST);
        world.run(10 * MILLISECOND);
        assert.deepEqual(sockets.receiveFrom(socket)!.bytes, bytes(3));
        fails(EACCES, () => sockets.sendTo(socket, bytes(3), destination, 9));
      }
      sockets.setOption(socket, SocketOption.Broadcast, 1);
      for (const destination of ["255.255.255.255", "10.0.0.255"]) {
        sockets.sendTo(socket, bytes(3), destination, 9);
        const frame = peer.expectUdp(9, SECOND);
        assert.equal(frame.destination, BROADCAST);
        assert.equal(frame.ipv4!.destination, destination);
      }
    },
  );
});

describe("UDP endpoints", () => {
  simulate("a connected socket hears its peer alone, another one the rest", (world) => {
    const { peer, sockets } = settled(world);
    const listening = sockets.datagram();
    sockets.setOption(listening, SocketOption.ReuseAddress, 1);
    sockets.bind(listening, 7);
    const talking = sockets.datagram();
    sockets.setOption(talking, SocketOption.ReuseAddress, 1);
    fails(EADDRINUSE, () => sockets.bind(talking, 7));
    sockets.connect(listening, peer.ip, 4001);
    sockets.bind(talking, 7);
    peer.sendUdp(OWN, 4001, 7, bytes(1, 1));
    peer.sendUdp(OWN, 4002, 7, bytes(1, 2));
    world.run(10 * MILLISECOND);
    assert.deepEqual(sockets.receiveFrom(listening)!.bytes, bytes(1, 1));
    assert.equal(sockets.receiveFrom(listening), null);
    assert.deepEqual(sockets.receiveFrom(talking)!.bytes, bytes(1, 2));
    assert.equal(sockets.send(listening, bytes(5)), 5);
    assert.equal(peer.expectUdp(4001, SECOND).udp!.sourcePort, 7);
  });

  simulate("SO_REUSEPORT: senders are dealt out among those who share a port", (world) => {
    const { peer, sockets } = settled(world);
    const group = [0, 1, 2].map(() => {
      const socket = sockets.datagram();
      sockets.setOption(socket, SocketOption.ReusePort, 1);
      sockets.bind(socket, 7);
      return socket;
    });
    fails(EADDRINUSE, () => sockets.bind(sockets.datagram(), 7));
    const heard = (): number[][] =>
      group.map((socket) => {
        const senders = [];
        for (let got = sockets.receiveFrom(socket); got; got = sockets.receiveFrom(socket)) {
          senders.push(got.port);
        }
        return senders.sort();
      });
    const round = (): number[][] => {
      for (let i = 0; i < 60; i++) peer.sendUdp(OWN, 4000 + i, 7, bytes(1));
      world.run(10 * MILLISECOND);
      return heard();
    };
    const first = round();
    assert.equal(first.flat().length, 60);
    assert.ok(first.every((senders) => senders.length >= 8));
    assert.deepEqual(round(), first);
  });

  simulate("a port is one socket's; a closed one's is free again", (world) => {
    const { sockets } = settled(world);
    const first = bound(sockets, 7);
    const second = sockets.datagram();
    fails(EADDRINUSE, () => sockets.bind(second, 7));
    fails(EADDRINUSE, () => sockets.bind(second, 7, OWN));
    fails(EADDRNOTAVAIL, () => sockets.bind(second, 7, "10.0.0.3"));
    sockets.close(first);
    sockets.bind(second, 7, OWN);
    fails(EINVAL, () => sockets.bind(second, 8));
    // The same port on another address of ours is another one's to have.
    bound(sockets, 7, "127.0.0.1");
  });

  simulate("ephemeral ports are random, high and different (RFC 6056)", (world) => {
    const { sockets } = settled(world);
    const ports = Array.from({ length: 100 }, () => {
      const socket = bound(sockets, 0);
      return sockets.localAddress(socket).port;
    });
    assert.equal(new Set(ports).size, 100);
    assert.ok(ports.every((port) => port >= 32768));
    const steps = ports.slice(1).map((port, i) => port - ports[i]!);
    assert.ok(new Set(steps).size > 90, "ports in a pattern");
  });

  simulate("errors name what is missing", (world) => {
    const { sockets, peer } = settled(world);
    const socket = sockets.datagram();
    fails(EDESTADDRREQ, () => sockets.send(socket, bytes(1)));
    fails(EINVAL, () => sockets.sendTo(socket, bytes(1), peer.ip, 0));
  });

  simulate("without a route a datagram is refused", (world) => {
    const { machine } = world.ready({ commandLine: "" });
    const sockets = new Sockets(machine);
    fails(ENETUNREACH, () => sockets.sendTo(sockets.datagram(), bytes(1), "192.0.2.1", 9));
  });

  simulate("datagrams to ourselves go by the loopback", (world) => {
    const { machine, sockets, peer } = settled(world);
    const socket = bound(sockets, 7);
    for (const [address, size] of [
      ["127.0.0.1", 3],
      [OWN, 8000],
      ["127.5.6.7", 100],
    ] as const) {
      const sender = sockets.datagram();
      assert.equal(sockets.sendTo(sender, bytes(size), address, 7), size);
      world.run(10 * MILLISECOND);
      const datagram = sockets.receiveFrom(socket)!;
      assert.equal(datagram.address, address);
      assert.equal(datagram.bytes.length, size);
      sockets.close(sender);
    }
    assert.equal(peer.inbox.length, 0);
    assert.equal(held(machine), 0);
  });
});
