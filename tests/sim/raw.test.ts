import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  BROADCAST,
  checksum,
  icmp6Message,
  icmpMessage,
  ICMP,
  ICMPV6,
  ipv4Packet,
  UDP,
} from "../../tools/sim/frames.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import {
  Domain,
  ECONNREFUSED,
  EHOSTUNREACH,
  SocketEvent,
  SocketOption,
  Sockets,
} from "../../tools/sim/sockets.ts";
import { SocketType, Syscall } from "../../sdk/assembly/syscalls.ts";
import { held, moved } from "./counters.ts";
import { OWN, type World, fails, settled, simulate } from "./harness.ts";
import { HOST, PREFIX, settled as settledV6 } from "./ipv6/network.ts";

const PEER6 = `${PREFIX}1`;
/** A protocol that nobody in the stack takes. */
const OTHER = 253;
const EACCES = 13;
const EINVAL = 22;
const EDESTADDRREQ = 89;
const EMSGSIZE = 90;
const ENOPROTOOPT = 92;
const EPROTONOSUPPORT = 93;
const EAFNOSUPPORT = 97;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;

const bytes = (length: number, seed = 0) =>
  Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 255);
const equal = (a: Uint8Array, b: Uint8Array) => assert.deepEqual(Buffer.from(a), Buffer.from(b));

function settled6(world: World) {
  const { machine, peer } = settledV6(world);
  return { machine, peer, sockets: new Sockets(machine) };
}

const ping = (peer: Peer, payload: Uint8Array) =>
  peer.sendIcmp(OWN, { type: 8, code: 0, rest: 0x70001, payload });

describe("raw sockets over IPv4", () => {
  simulate(
    "each hears every packet of its protocol, with its header, and answers go on",
    (world) => {
      const { machine, peer, sockets } = settled(world);
      const both = [sockets.raw(ICMP), sockets.raw(ICMP)];
      const other = sockets.raw(OTHER);
      for (const length of [0, 1, 57, 1000, 1472]) {
        ping(peer, bytes(length));
        equal(peer.expectIcmp(0, SECOND).payload, bytes(length));
        for (const socket of both) {
          const got = sockets.receiveFrom(socket)!;
          assert.equal(got.address, peer.ip);
          assert.equal(got.port, 0);
          assert.equal(got.bytes[0], 0x45);
          assert.equal((got.bytes[2]! << 8) | got.bytes[3]!, got.bytes.length);
          assert.equal(checksum(got.bytes.subarray(0, 20)), 0);
          equal(
            got.bytes.slice(20),
            icmpMessage({ type: 8, code: 0, rest: 0x70001, payload: bytes(length) }),
          );
          assert.equal(sockets.receiveFrom(socket), null);
        }
      }
      assert.equal(sockets.receiveFrom(other), null);
      assert.equal(held(machine), 0);
    },
  );

  simulate("one that nobody else takes is no reason for an error while it is heard", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = sockets.raw(OTHER);
    peer.sendIpv4({ destination: OWN, protocol: OTHER, payload: bytes(9) });
    peer.expectNone((frame) => frame.icmp !== undefined, 100 * MILLISECOND);
    assert.deepEqual(sockets.poll(), [[socket, SocketEvent.Readable]]);
    assert.equal(sockets.receiveFrom(socket)!.bytes.length, 29);
    sockets.close(socket);
    peer.sendIpv4({ destination: OWN, protocol: OTHER, payload: bytes(9) });
    assert.equal(peer.expectIcmp(3, SECOND).code, 2);
    assert.equal(held(machine), 0);
  });

  simulate("what is sent gets a header, the socket's time to live and class", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = sockets.raw(OTHER);
    sockets.setOption(socket, SocketOption.TimeToLive, 3);
    sockets.setOption(socket, SocketOption.TypeOfService, 0x2c);
    assert.equal(sockets.getOption(socket, SocketOption.TimeToLive), 3);
    for (const length of [0, 1, 200, 1480]) {
      assert.equal(sockets.sendTo(socket, bytes(length), peer.ip, 0), length);
      const { ipv4 } = peer.expect((frame) => frame.ipv4?.protocol === OTHER, SECOND);
      assert.equal(ipv4!.ttl, 3);
      assert.equal(ipv4!.trafficClass, 0x2c);
      equal(ipv4!.payload, bytes(length));
    }
    sockets.setOption(socket, SocketOption.TimeToLive, -1);
    sockets.sendTo(socket, bytes(1), peer.ip, 0);
    assert.equal(peer.expect((f) => f.ipv4?.protocol === OTHER).ipv4!.ttl, 64);
    fails(EINVAL, () => sockets.setOption(socket, SocketOption.TimeToLive, 256));
    world.run(MILLISECOND);
    assert.equal(held(machine), 0);
  });

  simulate("IP_HDRINCL: length, checksum and a source of zero are filled in", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = sockets.raw(OTHER);
    sockets.setOption(socket, SocketOption.HeaderIncluded, 1);
    const packet = ipv4Packet({
      source: "0.0.0.0",
      destination: peer.ip,
      protocol: OTHER,
      ttl: 7,
      id: 0x1234,
      options: Uint8Array.of(148, 4, 0, 0),
      payload: bytes(20),
    });
    packet.set([0, 0], 2);
    packet.set([9, 9], 10);
    assert.equal(sockets.sendTo(socket, packet, peer.ip, 0), packet.length);
    const { ipv4 } = peer.expect((frame) => frame.ipv4?.protocol === OTHER, SECOND);
    assert.deepEqual([ipv4!.source, ipv4!.ttl, ipv4!.id], [OWN, 7, 0x1234]);
    assert.equal(ipv4!.headerLength, 24);
    equal(ipv4!.payload, bytes(20));
    for (const bad of [bytes(19), packet.map((b, i) => (i ? b : 0x65)), packet.slice(0, 20)]) {
      fails(EINVAL, () => sockets.sendTo(socket, bad, peer.ip, 0));
    }
    fails(EMSGSIZE, () => sockets.sendTo(socket, bytes(1501), peer.ip, 0));
    const sender = sockets.raw(255);
    assert.equal(sockets.getOption(sender, SocketOption.HeaderIncluded), 1);
    world.run(MILLISECOND);
    assert.equal(held(machine), 0);
  });

  simulate("bind and connect choose by address", (world) => {
    const { peer, sockets } = settled(world);
    const here = sockets.raw(OTHER);
    const loop = sockets.raw(OTHER);
    const near = sockets.raw(OTHER);
    const far = sockets.raw(OTHER);
    sockets.bind(here, 0, OWN);
    sockets.bind(loop, 0, "127.0.0.1");
    sockets.connect(near, peer.ip, 0);
    sockets.connect(far, "10.0.0.9", 0);
    assert.equal(sockets.peerAddress(near).address, peer.ip);
    assert.equal(sockets.localAddress(near).address, OWN);
    peer.sendIpv4({ destination: OWN, protocol: OTHER, payload: bytes(1) });
    world.run(10 * MILLISECOND);
    assert.deepEqual(
      [here, loop, near, far].map((socket) => sockets.receiveFrom(socket) !== null),
      [true, false, true, false],
    );
    assert.equal(sockets.send(near, bytes(3)), 3);
    equal(peer.expect((f) => f.ipv4?.protocol === OTHER).ipv4!.payload, bytes(3));
    fails(EDESTADDRREQ, () => sockets.send(here, bytes(1)));
    fails(EADDRNOTAVAIL, () => sockets.bind(here, 0, "10.0.0.3"));
    fails(EAFNOSUPPORT, () => sockets.sendTo(here, bytes(1), PEER6, 0));
    fails(EACCES, () => sockets.sendTo(here, bytes(1), "10.0.0.255", 0));
    sockets.setOption(here, SocketOption.Broadcast, 1);
    assert.equal(sockets.sendTo(here, bytes(1), "10.0.0.255", 0), 1);
    assert.equal(peer.expect((f) => f.ipv4?.protocol === OTHER).destination, BROADCAST);
  });

  simulate("ICMP_FILTER keeps types away", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = sockets.raw(ICMP);
    // All but echo replies.
    sockets.setOptionData(socket, SocketOption.IcmpFilter, Uint8Array.of(0xfe, 255, 255, 255));
    const change = moved(machine, "raw", () => {
      ping(peer, bytes(4));
      peer.sendIcmp(OWN, { type: 0, code: 0, rest: 5, payload: bytes(4) });
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { delivered: 1, filtered: 1, queued: 1 });
    assert.equal(sockets.receiveFrom(socket)!.bytes[20], 0);
    const udp = sockets.raw(UDP);
    fails(ENOPROTOOPT, () =>
      sockets.setOptionData(udp, SocketOption.IcmpFilter, new Uint8Array(4)),
    );
  });

  simulate(
    "UDP and TCP are heard beside the stack; groups by who asks for the protocol",
    (world) => {
      const { peer, sockets } = settled(world);
      const socket = sockets.raw(UDP);
      const bound = sockets.datagram();
      sockets.bind(bound, 7);
      peer.sendUdp(OWN, 5, 7, bytes(3));
      const tcp = sockets.raw(6);
      peer.tcp(OWN, 80, 5000).send({ flags: 2 });
      peer.expect((frame) => frame.tcp !== undefined, SECOND, "reset");
      assert.equal(sockets.receiveFrom(bound)!.bytes.length, 3);
      assert.equal(sockets.receiveFrom(socket)!.bytes.length, 31);
      assert.equal(sockets.receiveFrom(tcp)!.bytes[9], 6);
      const other = sockets.raw(OTHER);
      for (const destination of ["255.255.255.255", "10.0.0.255", "224.0.0.1"]) {
        peer.sendIpv4({ destination, protocol: OTHER, payload: bytes(1) }, BROADCAST);
        peer.sendIpv4({ destination, protocol: 6, payload: bytes(40) }, BROADCAST);
        world.run(10 * MILLISECOND);
        assert.equal(sockets.receiveFrom(other)!.bytes.length, 21);
        assert.equal(sockets.receiveFrom(tcp), null);
      }
    },
  );

  simulate("a queue is bounded and counted; closing lets go of it", (world) => {
    const { machine, peer, sockets } = settled(world);
    const socket = sockets.raw(OTHER);
    sockets.setOption(socket, SocketOption.ReceiveBuffer, 16 * 2048);
    const change = moved(machine, "raw", () => {
      for (let i = 0; i < 40; i++) {
        peer.sendIpv4({ destination: OWN, protocol: OTHER, payload: bytes(5) });
      }
      world.run(10 * MILLISECOND);
    });
    assert.deepEqual(change, { delivered: 16, queueFull: 24, queued: 16 });
    assert.equal(held(machine), 16);
    sockets.close(socket);
    assert.equal(held(machine), 0);
  });

  simulate("a connected one hears that its packets met an error (RFC 1122, 3.2.2)", (world) => {
    const { peer, sockets } = settled(world);
    const socket = sockets.raw(OTHER);
    sockets.connect(socket, peer.ip, 0);
    sockets.send(socket, bytes(20));
    const { ipv4 } = peer.expect((frame) => frame.ipv4?.protocol === OTHER);
    const payload = ipv4Packet({ ...ipv4!, payload: bytes(20) });
    peer.sendIcmp(OWN, { type: 3, code: 2, rest: 0, payload });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.error(socket), ECONNREFUSED);
    peer.sendIcmp(OWN, { type: 3, code: 1, rest: 0, payload });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.error(socket), EHOSTUNREACH);
  });

  simulate(
    "protocols that there are none of; sockets are as many as there is room for",
    (world) => {
      const { machine, sockets } = settled(world);
      for (const protocol of [0, 256, -1]) fails(EPROTONOSUPPORT, () => sockets.raw(protocol));
      const open = (type: number, domain: number, protocol: number) =>
        machine.syscall(Syscall.Socket, type, domain, protocol);
      assert.equal(open(SocketType.Datagram, Domain.Inet, ICMPV6), -EPROTONOSUPPORT);
      assert.equal(open(SocketType.Datagram, Domain.Inet6, ICMP), -EPROTONOSUPPORT);
      assert.equal(open(SocketType.Stream, Domain.Inet, UDP), -EPROTONOSUPPORT);
      const many = Array.from({ length: 64 }, () => sockets.raw(OTHER));
      fails(105, () => sockets.raw(OTHER));
      for (const socket of many) sockets.close(socket);
      assert.equal(sockets.getOption(sockets.raw(OTHER), SocketOption.Protocol), OTHER);
      assert.equal(sockets.getOption(sockets.raw(OTHER), SocketOption.Type), SocketType.Raw);
    },
  );
});

describe("raw sockets over IPv6 (RFC 3542, 3)", () => {
  const echo6 = (peer: Peer, payload: Uint8Array, destination = HOST) =>
    peer.sendIcmp6({ destination }, { type: 128, code: 0, rest: 0x70001, payload });

  simulate("come without their headers; ICMPv6 only with a right checksum", (world) => {
    const { machine, peer, sockets } = settled6(world);
    const socket = sockets.raw(ICMPV6, Domain.Inet6);
    echo6(peer, bytes(11));
    peer.expectIcmp6(129);
    const got = sockets.receiveFrom(socket)!;
    assert.equal(got.address, PEER6);
    const sent = { type: 128, code: 0, rest: 0x70001, payload: bytes(11) };
    equal(got.bytes, icmp6Message(PEER6, HOST, sent));
    while (sockets.receiveFrom(socket));
    const wrong = icmp6Message(PEER6, HOST, sent);
    wrong[9]! ^= 1;
    peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload: wrong });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.receiveFrom(socket), null);
    assert.equal(held(machine), 0);
  });

  simulate("the kernel fills in ICMPv6's checksum, and where it is told to (3.1)", (world) => {
    const { machine, peer, sockets } = settled6(world);
    const icmp = sockets.raw(ICMPV6, Domain.Inet6);
    const message = Uint8Array.of(128, 0, 7, 7, 0, 1, 0, 2, ...bytes(5));
    assert.equal(sockets.sendTo(icmp, message, PEER6, 0), 13);
    equal(peer.expectIcmp6(128).icmp6!.payload, bytes(5));
    fails(EINVAL, () => sockets.sendTo(icmp, bytes(3), PEER6, 0));
    fails(EINVAL, () => sockets.setOption(icmp, SocketOption.ChecksumOffset, 4));
    assert.equal(sockets.getOption(icmp, SocketOption.ChecksumOffset), 2);

    const other = sockets.raw(OTHER, Domain.Inet6);
    assert.equal(sockets.getOption(other, SocketOption.ChecksumOffset), -1);
    fails(EINVAL, () => sockets.setOption(other, SocketOption.ChecksumOffset, 3));
    sockets.setOption(other, SocketOption.ChecksumOffset, 6);
    sockets.setOption(other, SocketOption.TimeToLive, 9);
    sockets.sendTo(other, bytes(21), PEER6, 0);
    const { ipv6 } = peer.expect((frame) => frame.ipv6?.protocol === OTHER);
    assert.equal(ipv6!.hopLimit, 9);
    const payload = ipv6!.payload.slice();
    fails(EINVAL, () => sockets.sendTo(other, bytes(7), PEER6, 0));
    // The sum of both ends is the same the other way round.
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload });
    payload[0]! ^= 1;
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload: payload.slice() });
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload: payload.slice(0, 7) });
    const change = moved(machine, "raw", () => world.run(10 * MILLISECOND));
    assert.deepEqual(change, { delivered: 1, filtered: 2, queued: 1 });
    assert.equal(sockets.receiveFrom(other)!.bytes.length, 21);
  });

  simulate("ICMP6_FILTER has a bit for each of 256 types (3.2)", (world) => {
    const { peer, sockets } = settled6(world);
    const socket = sockets.raw(ICMPV6, Domain.Inet6);
    const filter = new Uint8Array(32).fill(255);
    filter[129 >> 3]! &= ~(1 << (129 & 7));
    sockets.setOptionData(socket, SocketOption.IcmpFilter, filter);
    echo6(peer, bytes(4));
    peer.sendIcmp6({ destination: HOST }, { type: 129, code: 0, rest: 9, payload: bytes(4) });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.receiveFrom(socket)!.bytes[0], 129);
    assert.equal(sockets.receiveFrom(socket), null);
  });

  simulate("have nothing to do with IPv4, nor sockets of IPv4 with IPv6", (world) => {
    const { peer, sockets } = settled6(world);
    const six = sockets.raw(OTHER, Domain.Inet6);
    const four = sockets.raw(OTHER);
    peer.sendIpv4({ destination: OWN, protocol: OTHER, payload: bytes(1) });
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload: bytes(2) });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.receiveFrom(six)!.bytes.length, 2);
    assert.equal(sockets.receiveFrom(six), null);
    assert.equal(sockets.receiveFrom(four)!.bytes.length, 21);
    assert.equal(sockets.receiveFrom(four), null);
    fails(EAFNOSUPPORT, () => sockets.sendTo(six, bytes(1), peer.ip, 0));
    fails(ENOPROTOOPT, () => sockets.setOption(six, SocketOption.HeaderIncluded, 1));
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload: bytes(2) });
    peer.expectNone((frame) => frame.icmp6?.type === 4, SECOND);
    sockets.close(six);
    peer.sendIpv6({ destination: HOST, protocol: OTHER, payload: bytes(2) });
    assert.equal(peer.expectIcmp6(4).icmp6!.code, 1);
  });
});

describe("sockets of ICMP's echo", () => {
  for (const [family, domain, to, settle] of [
    ["IPv4", Domain.Inet, "10.0.0.1", settled],
    ["IPv6", Domain.Inet6, PEER6, settled6],
  ] as const) {
    simulate(`${family}: the identifier is the socket's port, and replies find it`, (world) => {
      const { machine, peer, sockets } = settle(world);
      const v6 = domain === Domain.Inet6;
      const request = (data: Uint8Array) =>
        Uint8Array.of(v6 ? 128 : 8, 0, 9, 9, 3, 3, 0, 5, ...data);
      const open = Array.from({ length: 3 }, () => sockets.echo(domain));
      sockets.bind(open[0]!, 77, v6 ? "::" : "0.0.0.0");
      fails(EADDRINUSE, () => sockets.bind(open[1]!, 77, v6 ? "::" : "0.0.0.0"));
      for (const socket of open) assert.equal(sockets.sendTo(socket, request(bytes(9)), to, 0), 17);
      const seen = open.map(() => {
        const frame = v6 ? peer.expectIcmp6(128) : peer.expect((f) => f.icmp?.type === 8);
        return (frame.icmp ?? frame.icmp6)!;
      });
      assert.equal(new Set(seen.map(({ rest }) => rest >>> 16)).size, 3);
      assert.equal(seen[0]!.rest, (77 << 16) | 5);
      for (const { rest, payload } of seen.reverse()) {
        const answer = { type: v6 ? 129 : 0, code: 0, rest, payload };
        if (v6) peer.sendIcmp6({ destination: HOST }, answer);
        else peer.sendIcmp(OWN, answer);
      }
      const stray = { type: v6 ? 129 : 0, code: 0, rest: 1, payload: bytes(1) };
      if (v6) peer.sendIcmp6({ destination: HOST }, stray);
      else peer.sendIcmp(OWN, stray);
      world.run(10 * MILLISECOND);
      for (const socket of open) {
        const got = sockets.receiveFrom(socket)!;
        assert.equal(got.address, to);
        assert.equal((got.bytes[4]! << 8) | got.bytes[5]!, sockets.localAddress(socket).port);
        equal(got.bytes.slice(8), bytes(9));
        assert.equal(sockets.receiveFrom(socket), null);
      }
      fails(EINVAL, () =>
        sockets.sendTo(
          open[0]!,
          request(bytes(1)).map((b, i) => (i ? b : 13)),
          to,
          0,
        ),
      );
      fails(EINVAL, () => sockets.sendTo(open[0]!, bytes(7), to, 0));
      assert.equal(sockets.getOption(open[0]!, SocketOption.Type), SocketType.Datagram);
      for (const socket of open) sockets.close(socket);
      assert.equal(held(machine), 0);
    });
  }

  simulate("a connected one hears that the host cannot be reached", (world) => {
    const { peer, sockets } = settled(world);
    const socket = sockets.echo();
    sockets.connect(socket, peer.ip, 0);
    sockets.send(socket, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 1));
    const { ipv4 } = peer.expect((frame) => frame.icmp?.type === 8);
    const quote = (payload: Uint8Array) => ipv4Packet({ ...ipv4!, payload });
    peer.sendIcmp(OWN, { type: 3, code: 1, rest: 0, payload: quote(ipv4!.payload) });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.error(socket), EHOSTUNREACH);
    const another = ipv4!.payload.slice();
    another[5]! ^= 1;
    peer.sendIcmp(OWN, { type: 3, code: 1, rest: 0, payload: quote(another) });
    world.run(10 * MILLISECOND);
    assert.equal(sockets.error(socket), 0);
  });
});

describe("UDP with options of IP", () => {
  simulate("time to live and class, over both families", (world) => {
    const { peer, sockets } = settled6(world);
    for (const [domain, to] of [
      [Domain.Inet, peer.ip],
      [Domain.Inet6, PEER6],
      [Domain.Inet6, peer.ip],
    ] as const) {
      const socket = sockets.datagram(domain);
      sockets.setOption(socket, SocketOption.TimeToLive, 2);
      sockets.setOption(socket, SocketOption.TypeOfService, 0xb8);
      sockets.sendTo(socket, bytes(3), to, 9);
      const { ip, ipv4, ipv6 } = peer.expectUdp(9);
      assert.equal(ip!.trafficClass, 0xb8);
      assert.equal(ipv4?.ttl ?? ipv6?.hopLimit, 2);
    }
  });
});
