import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  ACK,
  FIN,
  icmp6Message,
  ICMPV6,
  ipv6Packet,
  tcpSegment,
} from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Domain, SocketError, SocketOption, Sockets } from "../../../tools/sim/sockets.ts";
import { flood } from "../tcp/flood.ts";
import { Program } from "../tcp/program.ts";
import { held } from "../counters.ts";
import { simulate } from "../harness.ts";
import { addresses, HOST, PREFIX, settled } from "./network.ts";

const PEER = `${PREFIX}1`;
const EADDRINUSE = 98;
const ENETUNREACH = 101;
const EAFNOSUPPORT = 97;
const ECONNREFUSED = 111;

const text = (bytes: Uint8Array | null): string => Buffer.from(bytes ?? []).toString();

/** The errno of what `body` throws, or 0. */
function errno(body: () => void): number {
  try {
    body();
    return 0;
  } catch (error) {
    if (error instanceof SocketError) return error.errno;
    throw error;
  }
}

function listener(machine: Machine, address: string, domain = Domain.Inet6, only = false): number {
  const sockets = new Sockets(machine);
  const socket = sockets.stream(domain);
  if (only) sockets.setOption(socket, SocketOption.V6Only, 1);
  sockets.bind(socket, 80, address);
  sockets.listen(socket);
  return socket;
}

describe("TCP over IPv6", () => {
  simulate("opened by the peer: data both ways, and the end", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const l = listener(machine, "::");
    const flow = peer.tcp(HOST, 80, 4000);
    const answer = flow.connect({ mss: 1440 });
    assert.equal(answer.options.mss, 1440);
    world.run(MILLISECOND);
    const socket = sockets.accept(l)!;
    assert.deepEqual(sockets.localAddress(socket), { address: HOST, port: 80 });
    flow.send({ payload: Buffer.from("to us") });
    world.run(MILLISECOND);
    assert.equal(text(sockets.receive(socket, 100)), "to us");
    sockets.send(socket, Buffer.from("to them"));
    sockets.close(socket);
    const data = flow.expect({ length: 7 });
    assert.equal(text(data.payload), "to them");
    flow.take(data);
    if (!(data.flags & FIN)) flow.take(flow.expect({ flags: FIN | ACK }));
    flow.send({ flags: FIN | ACK });
    flow.expect({ flags: ACK });
    assert.equal(held(machine), 0);
  });
  simulate("opened by us, from the address that RFC 6724 would have", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.stream(Domain.Inet6);
    sockets.connect(socket, PEER, 8080);
    const frame = peer.expect((f) => f.tcp !== undefined);
    assert.equal(frame.ipv6!.source, HOST);
    const flow = peer.tcp(HOST, frame.tcp!.sourcePort, 8080);
    flow.take(frame.tcp!);
    flow.send({ flags: ACK | 2, options: { mss: 1440 } });
    flow.expect({ flags: ACK });
    sockets.send(socket, new Uint8Array(3000));
    assert.equal(flow.expect({}).payload.length, 1440);
  });
  simulate("an unreachable port ends the attempt (RFC 4443, 3.1; RFC 1122, 4.2.3.9)", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.stream(Domain.Inet6);
    sockets.connect(socket, PEER, 8080);
    const { tcp, ipv6 } = peer.expect((f) => f.tcp !== undefined);
    const quoted = (seq: number): Uint8Array =>
      ipv6Packet({
        source: HOST,
        destination: PEER,
        protocol: 6,
        payload: tcpSegment(HOST, PEER, { ...tcp!, seq }),
      });
    assert.equal(ipv6!.destination, PEER);
    // One that quotes what we never sent is nobody's news (RFC 5927, 4.1).
    const error = { type: 1, code: 4, rest: 0 };
    peer.sendIcmp6({ destination: HOST }, { ...error, payload: quoted(tcp!.seq + 77) });
    world.run(MILLISECOND);
    assert.equal(sockets.error(socket), 0);
    peer.sendIcmp6({ destination: HOST }, { ...error, payload: quoted(tcp!.seq) });
    world.run(MILLISECOND);
    assert.equal(sockets.error(socket), ECONNREFUSED);
  });
  simulate(
    "a path that carries less: segments shrink, never below 1,280 (RFC 8201, 4)",
    (world) => {
      const { machine, peer } = settled(world);
      const sockets = new Sockets(machine);
      const l = listener(machine, "::");
      const flow = peer.tcp(HOST, 80, 4000);
      flow.connect({ mss: 1440 });
      world.run(MILLISECOND);
      const socket = sockets.accept(l)!;
      sockets.send(socket, new Uint8Array(1440));
      const segment = flow.expect({ length: 1440 });
      const tooBig = (mtu: number): void => {
        const payload = ipv6Packet({
          source: HOST,
          destination: PEER,
          protocol: 6,
          payload: tcpSegment(HOST, PEER, segment),
        });
        const rest = { type: 2, code: 0, rest: mtu, payload: payload.subarray(0, 1232) };
        const message = icmp6Message(PEER, HOST, rest);
        peer.sendIpv6({ destination: HOST, protocol: ICMPV6, payload: message });
      };
      tooBig(600);
      flow.expectNone(100 * MILLISECOND);
      tooBig(1300);
      const again = flow.expect({});
      assert.equal(again.seq, segment.seq);
      assert.equal(again.payload.length, 1240);
    },
  );
  for (const full of [false, true]) {
    simulate(
      `RFC 9293, 3.7.1 (MUST-15): without an MSS option it is 1,220${full ? ", by a cookie, too" : ""}`,
      (world) => {
        const { machine, peer } = settled(world);
        const sockets = new Sockets(machine);
        const l = listener(machine, "::");
        if (full) flood(world, peer, 80, 3000);
        const flow = peer.tcp(HOST, 80, 4000);
        flow.connect({});
        world.run(MILLISECOND);
        sockets.send(sockets.accept(l)!, new Uint8Array(3000));
        for (let i = 0; i < 2; i++) flow.expect({ length: 1220 });
        assert.equal(new Program(machine).tcp.synCookiesOk, Number(full));
      },
    );
  }
  for (const group of ["ff02::1", "ff05::2"]) {
    simulate(
      `RFC 9293, 3.9.2.3 (MUST-46): no connection to ${group}, which is no host`,
      (world) => {
        const { machine, peer } = settled(world);
        const sockets = new Sockets(machine);
        const socket = sockets.stream(Domain.Inet6);
        assert.equal(
          errno(() => sockets.connect(socket, group, 80)),
          ENETUNREACH,
        );
        peer.expectNone((frame) => frame.tcp !== undefined);
      },
    );
  }
});

describe("families of sockets (RFC 3493, 3.7, 5.3)", () => {
  simulate("one for both takes IPv4, and names the peer by its mapped address", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const l = listener(machine, "::");
    peer.tcp("10.0.0.2", 80, 4000).connect();
    world.run(MILLISECOND);
    assert.deepEqual(sockets.localAddress(sockets.accept(l)!), { address: "10.0.0.2", port: 80 });
  });
  simulate("with IPV6_V6ONLY it does not", (world) => {
    const { machine, peer } = settled(world);
    const l = listener(machine, "::", Domain.Inet6, true);
    const flow = peer.tcp("10.0.0.2", 80, 4000);
    flow.send({ flags: 2, options: { mss: 1460 } });
    flow.expect({ flags: 4 | ACK });
    peer.tcp(HOST, 80, 4001).connect({ mss: 1440 });
    world.run(MILLISECOND);
    assert.ok(new Sockets(machine).accept(l));
  });
  simulate("one of IPv4 does not take IPv6", (world) => {
    const { machine, peer } = settled(world);
    listener(machine, "0.0.0.0", Domain.Inet);
    const flow = peer.tcp(HOST, 80, 4001);
    flow.send({ flags: 2, options: { mss: 1440 } });
    flow.expect({ flags: 4 | ACK });
  });
  simulate(
    "one for IPv6 alone and one of IPv4 share a port; one for both with neither",
    (world) => {
      const { machine } = settled(world);
      listener(machine, "::", Domain.Inet6, true);
      listener(machine, "0.0.0.0", Domain.Inet);
      assert.equal(
        errno(() => listener(machine, "::")),
        EADDRINUSE,
      );
    },
  );
  simulate("an address of the other family is refused", (world) => {
    const { machine } = settled(world);
    const sockets = new Sockets(machine);
    const four = sockets.stream(Domain.Inet);
    const six = sockets.stream(Domain.Inet6);
    sockets.setOption(six, SocketOption.V6Only, 1);
    assert.equal(
      errno(() => sockets.connect(four, PEER, 80)),
      EAFNOSUPPORT,
    );
    assert.equal(
      errno(() => sockets.connect(six, "10.0.0.1", 80)),
      EAFNOSUPPORT,
    );
    const bound = sockets.stream(Domain.Inet6);
    sockets.bind(bound, 0, "10.0.0.2");
    assert.equal(
      errno(() => sockets.connect(bound, PEER, 80)),
      EAFNOSUPPORT,
    );
  });
});

describe("UDP over IPv6", () => {
  simulate("there and back, with addresses; a checksum of 0 is none (RFC 8200, 8.1)", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.datagram(Domain.Inet6);
    sockets.bind(socket, 4000, "::");
    peer.sendUdp(HOST, 5000, 4000, Buffer.from("one"));
    world.run(MILLISECOND);
    const got = sockets.receiveFrom(socket)!;
    assert.deepEqual([text(got.bytes), got.address, got.port], ["one", PEER, 5000]);
    sockets.sendTo(socket, Buffer.from("two"), PEER, 5000);
    assert.equal(text(peer.expectUdp(5000).udp!.payload), "two");
    const payload = Uint8Array.of(0x13, 0x88, 0x0f, 0xa0, 0, 9, 0, 0, 1);
    peer.sendIpv6({ destination: HOST, protocol: 17, payload });
    world.run(MILLISECOND);
    assert.equal(sockets.receiveFrom(socket), null);
    assert.equal(held(machine), 0);
  });
  simulate("a link-local peer is answered on its link", (world) => {
    const { machine, peer } = settled(world);
    const sockets = new Sockets(machine);
    const socket = sockets.datagram(Domain.Inet6);
    sockets.bind(socket, 4000, "::");
    peer.ip6 = "fe80::1";
    const own = addresses(machine)["link-local"]!;
    peer.sendUdp(own, 5000, 4000, Buffer.from("one"));
    world.run(MILLISECOND);
    const got = sockets.receiveFrom(socket)!;
    assert.equal(got.address, "fe80::1");
    sockets.sendTo(socket, got.bytes, got.address, got.port);
    const { ipv6 } = peer.expectUdp(5000, SECOND);
    assert.deepEqual([ipv6!.source, ipv6!.destination], [own, "fe80::1"]);
  });
});

describe("the loopback", () => {
  for (const [name, which] of [
    ["::1", () => "::1"],
    ["a global address of our own", () => HOST],
    ["our link-local address", (machine: Machine) => addresses(machine)["link-local"]!],
  ] as const) {
    simulate(`a connection to ${name}`, (world) => {
      const { machine, peer } = settled(world);
      const sockets = new Sockets(machine);
      const l = listener(machine, "::");
      const client = sockets.stream(Domain.Inet6);
      sockets.connect(client, which(machine), 80);
      world.run(10 * MILLISECOND);
      const socket = sockets.accept(l)!;
      sockets.send(client, Buffer.from("hello"));
      world.run(10 * MILLISECOND);
      assert.equal(text(sockets.receive(socket, 10)), "hello");
      assert.deepEqual(sockets.localAddress(socket), { address: which(machine), port: 80 });
      peer.expectNone((frame) => frame.tcp !== undefined, MILLISECOND, "segment");
    });
  }
  simulate("is not there from the link", (world) => {
    const { machine, peer } = settled(world);
    listener(machine, "::");
    peer.sendIpv6(
      { destination: "::1", protocol: 17, payload: new Uint8Array(8) },
      "52:54:00:5a:01:01",
    );
    peer.expectNone((frame) => frame.ipv6 !== undefined, SECOND, "answer");
  });
});
