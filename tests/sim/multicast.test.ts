import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  checksum,
  ethernet,
  ETHERTYPE_IPV4,
  type Frame,
  groupMac,
  HOP_BY_HOP,
  icmp6Message,
  ICMPV6,
  IGMP,
  ip6,
  ip6Bytes,
  ipNumber,
  ipv4Packet,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Domain, SocketOption, Sockets } from "../../tools/sim/sockets.ts";
import { held, moved } from "./counters.ts";
import { OWN, type World, fails, settled, simulate } from "./harness.ts";
import { HOST, ROUTER, settled as settled6 } from "./ipv6/network.ts";

const GROUP = "239.1.2.3";
const GROUP6 = "ff02::4321";
const EINVAL = 22;
const EADDRINUSE = 98;
const EADDRNOTAVAIL = 99;
const ENOBUFS = 105;

const bytes = (length: number, seed = 0) =>
  Uint8Array.from({ length }, (_, i) => (i * 13 + seed) & 255);

const isIgmp = (frame: Frame) => frame.igmp !== undefined;

/** The MAC address of an IPv4 group (RFC 1112, 6.4). */
function macOf(group: string): string {
  const low = ipNumber(group) & 0x7f_ffff;
  const octets = [1, 0, 0x5e, low >> 16, (low >> 8) & 255, low & 255];
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

/** A query: version 1 has no code, version 3 is longer. */
function query(
  peer: Peer,
  version: 1 | 2 | 3,
  { group = "0.0.0.0", code = version === 1 ? 0 : 10, ttl = 1, source = peer.ip } = {},
): void {
  const octets = [24, 16, 8, 0].map((shift) => (ipNumber(group) >>> shift) & 255);
  const message = Uint8Array.of(
    0x11,
    code,
    0,
    0,
    ...octets,
    ...(version === 3 ? [2, 125, 0, 0] : []),
  );
  const sum = checksum(message);
  message.set([sum >> 8, sum & 255], 2);
  const destination = group === "0.0.0.0" ? "224.0.0.1" : group;
  const options = Uint8Array.of(0x94, 4, 0, 0);
  const packet = ipv4Packet({
    source,
    destination,
    protocol: IGMP,
    payload: message,
    ttl,
    options,
  });
  peer.sendFrame(ethernet(macOf(destination), peer.mac, ETHERTYPE_IPV4, packet));
}

/** A UDP datagram to a group. */
function toGroup(peer: Peer, group: string, port: number, payload: Uint8Array): void {
  const v6 = group.includes(":");
  const udp = { sourcePort: 4000, destinationPort: port, payload };
  const datagram = udpDatagram(peer.addressFor(group), group, udp);
  const packet = { destination: group, protocol: UDP, payload: datagram };
  if (v6) peer.sendIpv6(packet, groupMac(group));
  else peer.sendIpv4(packet, macOf(group));
}

/** A bound socket that has joined a group. */
function listening(sockets: Sockets, group: string, port = 7, join = true): number {
  const v6 = group.includes(":");
  const socket = sockets.datagram(v6 ? Domain.Inet6 : Domain.Inet);
  sockets.setOption(socket, SocketOption.ReusePort, 1);
  sockets.bind(socket, port, v6 ? "::" : "0.0.0.0");
  if (join) sockets.joinGroup(socket, group);
  return socket;
}

describe("IGMPv3 (RFC 3376)", () => {
  simulate("joining and leaving are told twice, within a second (5.1)", (world) => {
    const { peer, sockets } = settled(world);
    const socket = listening(sockets, GROUP);
    for (const within of [10 * MILLISECOND, SECOND + 10 * MILLISECOND]) {
      assert.deepEqual(peer.expect(isIgmp, within).igmp!.records, [[4, GROUP]]);
    }
    peer.expectNone(isIgmp, 3 * SECOND);
    // A second member is no news, nor is the first one that leaves.
    const other = listening(sockets, GROUP);
    sockets.joinGroup(socket, GROUP, 0, true);
    peer.expectNone(isIgmp, 3 * SECOND);
    sockets.close(other);
    for (const within of [10 * MILLISECOND, SECOND + 10 * MILLISECOND]) {
      assert.deepEqual(peer.expect(isIgmp, within).igmp!.records, [[3, GROUP]]);
    }
    peer.expectNone(isIgmp, 3 * SECOND);
  });

  simulate(
    "a query is answered within its time with all groups but 224.0.0.1 (5.2)",
    (world) => {
      const { peer, sockets } = settled(world);
      const socket = listening(sockets, GROUP);
      sockets.joinGroup(socket, "224.0.0.251");
      sockets.joinGroup(socket, "224.0.0.1");
      world.run(5 * SECOND);
      peer.inbox = [];
      query(peer, 3, { code: 5 });
      const { records } = peer.expect(isIgmp, 510 * MILLISECOND).igmp!;
      assert.deepEqual(records.sort(), [
        [2, "224.0.0.251"],
        [2, GROUP],
      ]);
      query(peer, 3, { group: GROUP, code: 5 });
      peer.expect(isIgmp, 510 * MILLISECOND);
      query(peer, 3, { group: "239.9.9.9", code: 5 });
      query(peer, 3, { code: 5, ttl: 2 });
      peer.expectNone(isIgmp, 2 * SECOND);
      // From a switch without an address (RFC 4541, 2.1.1).
      query(peer, 3, { code: 1, source: "0.0.0.0" });
      peer.expect(isIgmp, SECOND);
      // 4.1.1: 0x9f is (15 | 16) << 4 tenths of a second.
      query(peer, 3, { code: 0x9f });
      peer.expect(isIgmp, 50 * SECOND);
      // A card with a hash of its own, for which no group of IPv6 stands in for 224.0.0.1.
    },
    {},
    "rtl8139",
  );

  simulate("routers of version 2, and of 1, are answered in kind for 260 s (7.2.1)", (world) => {
    const { peer, sockets } = settled(world);
    const socket = listening(sockets, GROUP);
    world.run(5 * SECOND);
    peer.inbox = [];
    query(peer, 2, { code: 5 });
    assert.deepEqual(peer.expect(isIgmp, SECOND).igmp, { type: 0x16, group: GROUP, records: [] });
    sockets.joinGroup(socket, "239.0.0.9");
    assert.equal(peer.expect(isIgmp, SECOND).igmp!.group, "239.0.0.9");
    peer.expect(isIgmp, 2 * SECOND);
    sockets.joinGroup(socket, "239.0.0.9", 0, true);
    assert.equal(peer.expect(isIgmp, SECOND).igmp!.type, 0x17);
    peer.expectNone(isIgmp, 3 * SECOND);
    query(peer, 1);
    assert.equal(peer.expect(isIgmp, 11 * SECOND).igmp!.type, 0x12);
    sockets.joinGroup(socket, "239.0.0.9");
    assert.equal(peer.expect(isIgmp, SECOND).igmp!.type, 0x12);
    world.run(3 * SECOND);
    peer.inbox = [];
    sockets.joinGroup(socket, "239.0.0.9", 0, true);
    peer.expectNone(isIgmp, 3 * SECOND);
    world.run(261 * SECOND);
    query(peer, 3, { code: 5 });
    assert.equal(peer.expect(isIgmp, SECOND).igmp!.type, 0x22);
  });
});

describe("MLD for older routers (RFC 3810, 8.3.2)", () => {
  simulate("version 1 is spoken with who speaks it", (world) => {
    const { machine, peer } = settled6(world);
    const sockets = new Sockets(machine);
    const socket = listening(sockets, GROUP6);
    world.run(3 * SECOND);
    peer.inbox = [];
    const message = icmp6Message(ROUTER, "ff02::1", {
      type: 130,
      code: 0,
      rest: 500 << 16,
      payload: new Uint8Array(16),
    });
    peer.sendIpv6({
      source: ROUTER,
      destination: "ff02::1",
      protocol: ICMPV6,
      payload: message,
      hopLimit: 1,
      extensions: [[HOP_BY_HOP, Uint8Array.of(5, 2, 0, 0, 1, 0)]],
    });
    const reported = Array.from({ length: 3 }, () =>
      ip6(peer.expectIcmp6(131, SECOND).icmp6!.payload.subarray(0, 16)),
    );
    assert.ok(reported.includes(GROUP6));
    sockets.joinGroup(socket, GROUP6, 0, true);
    const done = peer.expectIcmp6(132, SECOND);
    assert.deepEqual([...done.icmp6!.payload.subarray(0, 16)], ip6Bytes(GROUP6));
  });
});

for (const [name, group, own, settle] of [
  ["IPv4", GROUP, OWN, settled],
  [
    "IPv6",
    GROUP6,
    HOST,
    (world: World) => {
      const { machine, peer } = settled6(world);
      return { machine, peer, sockets: new Sockets(machine) };
    },
  ],
] as const) {
  describe(`groups of programs, ${name} (RFC 1112, 7; RFC 3493, 5.2)`, () => {
    simulate("who has joined hears, all of them, and nobody else", (world) => {
      const { machine, peer, sockets } = settle(world);
      const members = [listening(sockets, group), listening(sockets, group)];
      const stranger = listening(sockets, group, 7, false);
      sockets.setOption(stranger, SocketOption.MulticastAll, 0);
      const elsewhere = listening(sockets, group, 8);
      toGroup(peer, group, 7, bytes(100));
      world.run(10 * MILLISECOND);
      for (const socket of members) {
        const got = sockets.receiveFrom(socket)!;
        assert.deepEqual([got.address, got.port], [peer.addressFor(group), 4000]);
        assert.deepEqual(got.bytes, bytes(100));
      }
      for (const socket of [stranger, elsewhere]) assert.equal(sockets.receiveFrom(socket), null);
      for (const socket of members) sockets.joinGroup(socket, group, 0, true);
      sockets.close(elsewhere);
      const change = moved(machine, "udp", () => {
        toGroup(peer, group, 7, bytes(100));
        world.run(10 * MILLISECOND);
      });
      assert.deepEqual(change, {});
      assert.equal(held(machine), 0);
    });

    simulate("a group that nobody has joined gets no answer", (world) => {
      const { machine, peer, sockets } = settle(world);
      listening(sockets, group, 9);
      toGroup(peer, group, 7, bytes(10));
      peer.expectNone((f) => f.icmp !== undefined || (f.icmp6?.type ?? 9) < 5, SECOND);
      assert.equal(held(machine), 0);
    });

    simulate("sending: one hop unless told, and back to who has joined", (world) => {
      const { machine, peer, sockets } = settle(world);
      const member = listening(sockets, group);
      const sender = sockets.datagram(group.includes(":") ? Domain.Inet6 : Domain.Inet);
      assert.equal(sockets.getOption(sender, SocketOption.MulticastHops), 1);
      assert.equal(sockets.sendTo(sender, bytes(50), group, 7), 50);
      const frame = peer.expectUdp(7);
      assert.equal(frame.destination, group.includes(":") ? groupMac(group) : macOf(group));
      assert.equal(frame.ipv4?.ttl ?? frame.ipv6!.hopLimit, 1);
      const back = sockets.receiveFrom(member)!;
      assert.deepEqual(back.bytes, bytes(50));
      if (name === "IPv4") assert.equal(back.address, own);
      sockets.setOption(sender, SocketOption.MulticastHops, 5);
      sockets.setOption(sender, SocketOption.MulticastLoop, 0);
      sockets.setOption(sender, SocketOption.MulticastInterface, 1);
      sockets.sendTo(sender, bytes(50), group, 7);
      const second = peer.expectUdp(7);
      assert.equal(second.ipv4?.ttl ?? second.ipv6!.hopLimit, 5);
      assert.equal(sockets.receiveFrom(member), null);
      // Not on the wire at all (RFC 1112, 6.1).
      sockets.setOption(sender, SocketOption.MulticastHops, 0);
      sockets.setOption(sender, SocketOption.MulticastLoop, 1);
      sockets.sendTo(sender, bytes(3), group, 7);
      peer.expectNone((f) => f.udp !== undefined, SECOND);
      assert.deepEqual(sockets.receiveFrom(member)!.bytes, bytes(3));
      fails(19, () => sockets.setOption(sender, SocketOption.MulticastInterface, 9));
      assert.equal(held(machine), 0);
    });

    simulate("a datagram larger than the link, to a group and back", (world) => {
      const { machine, peer, sockets } = settle(world);
      const member = listening(sockets, group);
      sockets.sendTo(member, bytes(20_000), group, 7);
      world.run(20 * MILLISECOND);
      assert.equal(sockets.receiveFrom(member)!.bytes.length, 20_000);
      peer.expect((f) => f.ipv4?.moreFragments === true || f.ipv6?.fragment !== undefined);
      assert.equal(held(machine), 0);
    });

    simulate("what cannot be joined or left; closing leaves", (world) => {
      const { machine, sockets } = settle(world);
      const socket = listening(sockets, group);
      fails(EADDRINUSE, () => sockets.joinGroup(socket, group));
      fails(EINVAL, () => sockets.joinGroup(socket, own));
      fails(19, () => sockets.joinGroup(socket, group, 7));
      const other = (i: number) =>
        group.includes(":") ? `ff02::99:${(i + 1).toString(16)}` : `239.0.1.${i + 1}`;
      fails(EADDRNOTAVAIL, () => sockets.joinGroup(socket, other(0), 0, true));
      for (let i = 0; i < 19; i++) sockets.joinGroup(socket, other(i));
      fails(ENOBUFS, () => sockets.joinGroup(socket, other(19)));
      sockets.close(socket);
      world.run(5 * SECOND);
      // All places are free again.
      for (let round = 0; round < 20; round++) {
        const again = listening(sockets, group);
        for (let i = 0; i < 19; i++) sockets.joinGroup(again, other(i));
        sockets.close(again);
        world.run(3 * SECOND);
      }
      assert.equal(held(machine), 0);
    });
  });
}

describe("datagrams for many", () => {
  simulate("a broadcast reaches all who have the port", (world) => {
    const { machine, peer, sockets } = settled(world);
    const all = [0, 1, 2].map(() => listening(sockets, GROUP, 7, false));
    for (const destination of ["255.255.255.255", "10.0.0.255", "224.0.0.1"]) {
      const udp = { sourcePort: 4, destinationPort: 7, payload: bytes(3) };
      const payload = udpDatagram(peer.ip, destination, udp);
      peer.sendIpv4({ destination, protocol: UDP, payload }, "ff:ff:ff:ff:ff:ff");
      world.run(10 * MILLISECOND);
      for (const socket of all) assert.equal(sockets.receiveFrom(socket)!.bytes.length, 3);
    }
    assert.equal(held(machine), 0);
  });
});
