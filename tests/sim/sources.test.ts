import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  checksum,
  ethernet,
  ETHERTYPE_IPV4,
  type Frame,
  groupMac,
  type GroupRecord,
  HOP_BY_HOP,
  icmp6Message,
  ICMPV6,
  IGMP,
  ip6Bytes,
  ipNumber,
  ipv4Packet,
  mldRecords,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Domain, SocketError, SocketOption, Sockets } from "../../tools/sim/sockets.ts";
import { held } from "./counters.ts";
import { assemblyProgram } from "./guest-programs.ts";
import { type World, fails, forSeeds, inWorld, simulate } from "./harness.ts";
import { ROUTER, settled as settled6 } from "./ipv6/network.ts";

/**
 * Groups by source: sockets' filters (RFC 3678), the interface's state that they come to, and what routers are told of
 * it (RFC 3376; RFC 3810). Sections are RFC 3376's; RFC 3810 has the same rules for IPv6.
 */

const EINVAL = 22;
const ENODEV = 19;
const EADDRNOTAVAIL = 99;
const ENOBUFS = 105;
const PORT = 7;

/** Types of records (4.2.12). */
const IS_IN = 1;
const IS_EX = 2;
const TO_IN = 3;
const TO_EX = 4;
const ALLOW = 5;
const BLOCK = 6;

interface Bench {
  world: World;
  machine: Machine;
  peer: Peer;
  sockets: Sockets;
}

interface Query {
  /** Milliseconds in which to answer, and the sources asked for. */
  within?: number;
  group?: string;
  sources?: string[];
  /** How many sources it says that it has. */
  count?: number;
  /** The version before. */
  older?: boolean;
}

/** A family: what differs between IGMP and MLD. */
interface Family {
  name: string;
  domain: Domain;
  group: string;
  other: string;
  /** Sources that a filter may name. */
  most: number;
  source(i: number): string;
  settle(world: World): Omit<Bench, "world">;
  /** The records of a report, or null for another frame. */
  records(frame: Frame): GroupRecord[] | null;
  query(peer: Peer, query: Query): void;
  /** What the older version says of a group: a report, or that it was left. */
  older(frame: Frame): string | null;
}

function macOf(group: string): string {
  const low = ipNumber(group) & 0x7f_ffff;
  const octets = [1, 0, 0x5e, low >> 16, (low >> 8) & 255, low & 255];
  return octets.map((octet) => octet.toString(16).padStart(2, "0")).join(":");
}

const v4Octets = (address: string): number[] => address.split(".").map(Number);

const IPV4: Family = {
  name: "IGMPv3",
  domain: Domain.Inet,
  group: "239.1.2.3",
  other: "239.9.9.9",
  most: 10,
  source: (i) => `10.0.${1 + (i >> 7)}.${1 + (i & 127)}`,
  settle(world) {
    const { machine } = world.ready();
    const peer = world.peer();
    world.run(5 * SECOND);
    peer.sendArp({ operation: "request", targetIp: "10.0.0.2" });
    peer.expectArp("reply");
    return { machine, peer, sockets: new Sockets(machine) };
  },
  records: (frame) => (frame.igmp?.type === 0x22 ? frame.igmp.records : null),
  query(
    peer,
    { within = 100, group = "0.0.0.0", sources = [], count = sources.length, older = false },
  ) {
    const many = [2, 125, count >> 8, count & 255, ...sources.flatMap(v4Octets)];
    const head = [0x11, within / 100, 0, 0, ...v4Octets(group)];
    const message = Uint8Array.from([...head, ...(older ? [] : many)]);
    const sum = checksum(message);
    message.set([sum >> 8, sum & 255], 2);
    const destination = group === "0.0.0.0" ? "224.0.0.1" : group;
    const packet = ipv4Packet({
      source: peer.ip,
      destination,
      protocol: IGMP,
      payload: message,
      ttl: 1,
      options: Uint8Array.of(0x94, 4, 0, 0),
    });
    peer.sendFrame(ethernet(macOf(destination), peer.mac, ETHERTYPE_IPV4, packet));
  },
  older({ igmp }) {
    if (igmp?.type === 0x16) return `report ${igmp.group}`;
    return igmp?.type === 0x17 ? `left ${igmp.group}` : null;
  },
};

const IPV6: Family = {
  name: "MLDv2",
  domain: Domain.Inet6,
  group: "ff05::4321",
  other: "ff05::9999",
  most: 64,
  source: (i) => `2001:db8:2::${(i + 1).toString(16)}`,
  settle(world) {
    const { machine, peer } = settled6(world);
    world.run(5 * SECOND);
    return { machine, peer, sockets: new Sockets(machine) };
  },
  records: ({ icmp6 }) => (icmp6?.type === 143 ? mldRecords(icmp6) : null),
  query(peer, { within = 100, group = "::", sources = [], count = sources.length, older = false }) {
    const many = [2, 125, count >> 8, count & 255, ...sources.flatMap(ip6Bytes)];
    const payload = Uint8Array.from([...ip6Bytes(group), ...(older ? [] : many)]);
    const destination = group === "::" ? "ff02::1" : group;
    const icmp = { type: 130, code: 0, rest: within << 16, payload };
    peer.sendIpv6({
      source: ROUTER,
      destination,
      protocol: ICMPV6,
      payload: icmp6Message(ROUTER, destination, icmp),
      hopLimit: 1,
      extensions: [[HOP_BY_HOP, Uint8Array.of(5, 2, 0, 0, 1, 0)]],
    });
  },
  older({ icmp6 }) {
    if (icmp6?.type !== 131 && icmp6?.type !== 132) return null;
    const group = [...icmp6.payload.subarray(0, 16)];
    const known = [IPV6.group, IPV6.other].find((each) => ip6Bytes(each).join() === group.join());
    return known ? `${icmp6.type === 131 ? "report" : "left"} ${known}` : null;
  },
};

function bound({ domain }: Family, sockets: Sockets): number {
  const socket = sockets.datagram(domain);
  sockets.setOption(socket, SocketOption.ReusePort, 1);
  sockets.bind(socket, PORT, domain === Domain.Inet ? "0.0.0.0" : "::");
  return socket;
}

/** What is said of the family's own group within a time: of each report the records, sources in order. */
function told(family: Family, { world, peer }: Bench, duration: number): GroupRecord[][] {
  peer.inbox = [];
  world.run(duration);
  return peer.inbox
    .map((frame) =>
      (family.records(frame) ?? [])
        .filter(([, group]) => group === family.group)
        .map(([type, , ...sources]): GroupRecord => [type, family.group, ...sources.sort()]),
    )
    .filter((records) => records.length > 0);
}

/** A UDP datagram from a source to a group. */
function send(peer: Peer, group: string, source: string): void {
  const udp = { sourcePort: 4000, destinationPort: PORT, payload: Buffer.from(source) };
  const payload = udpDatagram(source, group, udp);
  const packet = { source, destination: group, protocol: UDP, payload };
  if (group.includes(":")) peer.sendIpv6(packet, groupMac(group));
  else peer.sendIpv4(packet, macOf(group));
}

/** Whose datagrams a socket has heard since the last look. */
function heard(sockets: Sockets, socket: number): string[] {
  const from: string[] = [];
  for (let got = sockets.receiveFrom(socket); got; got = sockets.receiveFrom(socket)) {
    assert.equal(Buffer.from(got.bytes).toString(), got.address);
    from.push(got.address);
  }
  return from;
}

for (const family of [IPV4, IPV6]) {
  const { group, source } = family;
  const [a, b, c, d, e, f] = [source(0), source(1), source(2), source(3), source(4), source(5)];
  const record = (type: number, ...sources: string[]): GroupRecord => [type, group, ...sources];
  const rule = (name: string, body: (bench: Bench) => void) =>
    simulate(name, (world) => {
      const bench = { world, ...family.settle(world) };
      body(bench);
      assert.equal(held(bench.machine), 0);
    });

  describe(`source filters, ${family.name}`, () => {
    rule("each change of state is told by its records, twice (5.1)", (bench) => {
      const { sockets } = bench;
      const socket = bound(family, sockets);
      const twice = (...records: GroupRecord[]) => {
        const reports = told(family, bench, 3 * SECOND);
        assert.deepEqual(reports, [records, records]);
      };
      sockets.nameSource(SocketOption.JoinSource, socket, group, a);
      twice(record(ALLOW, a));
      sockets.setFilter(socket, group, true, [a, b, c]);
      twice(record(ALLOW, b, c));
      sockets.setFilter(socket, group, true, [b, c, d]);
      twice(record(ALLOW, d), record(BLOCK, a));
      sockets.setFilter(socket, group, false, [a, b]);
      twice(record(TO_EX, a, b));
      sockets.setFilter(socket, group, false, [b, c]);
      twice(record(ALLOW, a), record(BLOCK, c));
      sockets.nameSource(SocketOption.UnblockSource, socket, group, b);
      twice(record(ALLOW, b));
      sockets.nameSource(SocketOption.BlockSource, socket, group, d);
      twice(record(BLOCK, d));
      sockets.setFilter(socket, group, true, [a, b]);
      twice(record(TO_IN, a, b));
      sockets.nameSource(SocketOption.LeaveSource, socket, group, b);
      twice(record(BLOCK, b));
      sockets.nameSource(SocketOption.LeaveSource, socket, group, a);
      twice(record(BLOCK, a));
      sockets.joinGroup(socket, group);
      twice(record(TO_EX));
      sockets.nameSource(SocketOption.JoinSource, socket, group, a);
      twice(record(TO_IN, a));
      sockets.setFilter(socket, group, false, [a]);
      twice(record(TO_EX, a));
      sockets.setFilter(socket, group, true, []);
      twice(record(TO_IN));
      sockets.close(socket);
      assert.deepEqual(told(family, bench, 3 * SECOND), []);
    });

    rule("the interface's state is what all sockets want (3.2)", (bench) => {
      const { sockets, peer } = bench;
      const s1 = bound(family, sockets);
      const s2 = bound(family, sockets);
      const s3 = bound(family, sockets);
      const state = (...expected: GroupRecord[]) => {
        told(family, bench, 3 * SECOND);
        family.query(peer, { within: 100 });
        assert.deepEqual(told(family, bench, SECOND), [expected]);
      };
      for (const each of [a, b, c, d]) sockets.nameSource(SocketOption.JoinSource, s1, group, each);
      for (const each of [b, c, d, e]) sockets.nameSource(SocketOption.JoinSource, s2, group, each);
      state(record(IS_IN, a, b, c, d, e));
      // The RFC's example.
      sockets.setFilter(s1, group, false, [a, b, c, d]);
      sockets.setFilter(s2, group, false, [b, c, d, e]);
      sockets.nameSource(SocketOption.JoinSource, s3, group, d);
      sockets.setFilter(s3, group, true, [d, e, f]);
      state(record(IS_EX, b, c));
      sockets.close(s1);
      state(record(IS_EX, b, c));
      sockets.close(s2);
      state(record(IS_IN, d, e, f));
    });

    rule("a change before the last one was told twice goes with it (5.1)", (bench) => {
      const { sockets } = bench;
      const socket = bound(family, sockets);
      const soon = () => told(family, bench, 3 * MILLISECOND);
      const rest = () => told(family, bench, 3 * SECOND);
      sockets.nameSource(SocketOption.JoinSource, socket, group, a);
      assert.deepEqual(soon(), [[record(ALLOW, a)]]);
      sockets.nameSource(SocketOption.JoinSource, socket, group, b);
      assert.deepEqual(soon(), [[record(ALLOW, a, b)]]);
      assert.deepEqual(rest(), [[record(ALLOW, b)]]);
      sockets.nameSource(SocketOption.LeaveSource, socket, group, b);
      assert.deepEqual(soon(), [[record(BLOCK, b)]]);
      sockets.nameSource(SocketOption.JoinSource, socket, group, b);
      assert.deepEqual(soon(), [[record(ALLOW, b)]]);
      assert.deepEqual(rest(), [[record(ALLOW, b)]]);
      // A change of the mode says all, as often as it is told.
      sockets.setFilter(socket, group, false, [a]);
      assert.deepEqual(soon(), [[record(TO_EX, a)]]);
      sockets.nameSource(SocketOption.BlockSource, socket, group, b);
      assert.deepEqual(soon(), [[record(TO_EX, a, b)]]);
      assert.deepEqual(rest(), [[record(BLOCK, b)]]);
    });

    rule("queries about a group, and about sources of it (5.2)", (bench) => {
      const { sockets, peer } = bench;
      const socket = bound(family, sockets);
      const answers = (query: Query, ...expected: GroupRecord[][]) => {
        family.query(peer, { group, ...query });
        assert.deepEqual(told(family, bench, SECOND), expected);
      };
      for (const each of [a, b]) sockets.nameSource(SocketOption.JoinSource, socket, group, each);
      told(family, bench, 3 * SECOND);
      answers({}, [record(IS_IN, a, b)]);
      answers({ sources: [b, c] }, [record(IS_IN, b)]);
      answers({ sources: [c, d] });
      sockets.setFilter(socket, group, false, [a, b]);
      told(family, bench, 3 * SECOND);
      answers({}, [record(IS_EX, a, b)]);
      answers({ sources: [b, c, d] }, [record(IS_IN, c, d)]);
      answers({ sources: [a, b] });
      // Too many to be noted: all is told.
      const flood = Array.from({ length: family.most === 10 ? 300 : 80 }, (_, i) =>
        source(100 + i),
      );
      if (family.most === 10) answers({ sources: flood }, [record(IS_EX, a, b)]);
      else answers({ sources: flood }, [record(IS_IN, ...flood.sort())]);
      // One that says that it has more sources than it has is none.
      answers({ sources: [c], count: 2 });
      answers({ sources: [c] }, [record(IS_IN, c)]);
    });

    rule("one answer for several queries (5.2, rules 1, 4 and 5)", (bench) => {
      const { sockets, peer } = bench;
      const socket = bound(family, sockets);
      for (const each of [a, b, c])
        sockets.nameSource(SocketOption.JoinSource, socket, group, each);
      told(family, bench, 3 * SECOND);
      // 1: the general answer comes sooner.
      family.query(peer, { within: 100 });
      family.query(peer, { within: 12_000, group });
      assert.deepEqual(told(family, bench, 13 * SECOND), [[record(IS_IN, a, b, c)]]);
      // 4: whoever asks for all gets all.
      family.query(peer, { within: 12_000, group, sources: [a] });
      family.query(peer, { within: 100, group });
      assert.deepEqual(told(family, bench, 13 * SECOND), [[record(IS_IN, a, b, c)]]);
      family.query(peer, { within: 12_000, group });
      family.query(peer, { within: 100, group, sources: [a] });
      assert.deepEqual(told(family, bench, 13 * SECOND), [[record(IS_IN, a, b, c)]]);
      // 5: what is asked for adds up, for the earlier of both.
      family.query(peer, { within: 12_000, group, sources: [a] });
      family.query(peer, { within: 100, group, sources: [c, d] });
      assert.deepEqual(told(family, bench, SECOND), [[record(IS_IN, a, c)]]);
      assert.deepEqual(told(family, bench, 13 * SECOND), []);
      // One that was left meanwhile gets no answer.
      family.query(peer, { within: 3000, group, sources: [a] });
      sockets.close(socket);
      const said = told(family, bench, 5 * SECOND).flat();
      assert.deepEqual(said, [record(BLOCK, a, b, c), record(BLOCK, a, b, c)]);
    });

    rule("sources that one report does not carry are told in several (4.2.16)", (bench) => {
      const { sockets, peer } = bench;
      const count = family.most === 10 ? 40 : 3;
      const all: string[] = [];
      for (let i = 0; i < count; i++) {
        const socket = bound(family, sockets);
        const own = Array.from({ length: family.most }, (_, j) => source(i * family.most + j));
        sockets.nameSource(SocketOption.JoinSource, socket, group, own[0]!);
        sockets.setFilter(socket, group, true, own);
        all.push(...own);
      }
      const first = told(family, bench, 5 * MILLISECOND);
      assert.ok(first.length > 1);
      assert.deepEqual(
        first
          .flat()
          .flatMap(([, , ...sources]) => sources)
          .sort(),
        all.sort(),
      );
      told(family, bench, 3 * SECOND);
      family.query(peer, { within: 100 });
      const answer = told(family, bench, SECOND).flat();
      assert.ok(answer.length > 1 && answer.every(([type]) => type === IS_IN));
      assert.deepEqual(answer.flatMap(([, , ...sources]) => sources).sort(), all.sort());
    });

    rule("routers of the version before hear of groups, not of sources (7.2.1)", (bench) => {
      const { sockets, peer, world } = bench;
      const socket = bound(family, sockets);
      const said = (duration = 3 * SECOND) => {
        peer.inbox = [];
        world.run(duration);
        return peer.inbox.map(family.older).filter((each) => each !== null);
      };
      family.query(peer, { within: 100, older: true });
      world.run(SECOND);
      sockets.nameSource(SocketOption.JoinSource, socket, group, a);
      assert.deepEqual(said(), [`report ${group}`, `report ${group}`]);
      sockets.nameSource(SocketOption.JoinSource, socket, group, b);
      sockets.nameSource(SocketOption.LeaveSource, socket, group, a);
      sockets.setFilter(socket, group, false, [c]);
      assert.deepEqual(said(), []);
      family.query(peer, { within: 100, older: true });
      assert.deepEqual(said(), [`report ${group}`]);
      family.query(peer, { within: 100, group, older: true });
      assert.deepEqual(said(), [`report ${group}`]);
      sockets.setFilter(socket, group, true, []);
      assert.deepEqual(said(), [`left ${group}`]);
    });

    rule("a socket hears whom it wants to, and a stranger what others do", (bench) => {
      const { sockets, peer, world } = bench;
      const joined = bound(family, sockets);
      const chosen = bound(family, sockets);
      const blocking = bound(family, sockets);
      const stranger = bound(family, sockets);
      const strict = bound(family, sockets);
      sockets.nameSource(SocketOption.JoinSource, chosen, group, a);
      sockets.setOption(strict, SocketOption.MulticastAll, 0);
      assert.equal(sockets.getOption(stranger, SocketOption.MulticastAll), 1);
      assert.equal(sockets.getOption(strict, SocketOption.MulticastAll), 0);
      const all = [joined, chosen, blocking, stranger, strict];
      const hear = (...expected: string[][]) => {
        for (const each of [a, b, c]) send(peer, group, each);
        world.run(10 * MILLISECOND);
        assert.deepEqual(
          all.map((socket) => heard(sockets, socket)),
          expected,
        );
      };
      // The interface does not listen to the others.
      hear([a], [a], [a], [a], []);
      sockets.setOption(joined, SocketOption.MulticastAll, 0);
      sockets.setOption(blocking, SocketOption.MulticastAll, 0);
      hear([], [a], [], [a], []);
      sockets.joinGroup(blocking, group);
      sockets.nameSource(SocketOption.BlockSource, blocking, group, b);
      hear([], [a], [a, c], [a, c], []);
      sockets.joinGroup(joined, group);
      hear([a, b, c], [a], [a, c], [a, b, c], []);
      sockets.close(blocking);
      sockets.joinGroup(joined, group, 0, true);
      all.splice(2, 1);
      hear([], [a], [a], []);
    });

    rule("what comes back of our own is filtered, too", (bench) => {
      const { sockets, world } = bench;
      const sender = bound(family, sockets);
      const member = bound(family, sockets);
      sockets.joinGroup(member, group);
      const own = () => {
        sockets.sendTo(sender, Buffer.from("hello"), group, PORT);
        world.run(MILLISECOND);
        return sockets.receiveFrom(member)?.address;
      };
      const address = own()!;
      assert.ok(address);
      sockets.nameSource(SocketOption.BlockSource, member, group, address);
      assert.equal(own(), undefined);
      sockets.nameSource(SocketOption.UnblockSource, member, group, address);
      assert.equal(own(), address);
      sockets.setFilter(member, group, true, [a]);
      assert.equal(own(), undefined);
      sockets.nameSource(SocketOption.JoinSource, member, group, address);
      assert.equal(own(), address);
      for (const socket of [sender, member]) while (sockets.receiveFrom(socket));
    });

    rule("filters are read as they were set", (bench) => {
      const { sockets } = bench;
      const socket = bound(family, sockets);
      fails(EADDRNOTAVAIL, () => sockets.filter(socket, group));
      sockets.joinGroup(socket, group);
      assert.deepEqual(sockets.filter(socket, group), { include: false, count: 0, sources: [] });
      sockets.setFilter(socket, group, true, [c, a, b]);
      const sources = [c, a, b];
      assert.deepEqual(sockets.filter(socket, group), { include: true, count: 3, sources });
      assert.deepEqual(sockets.filter(socket, group, 2).sources, [c, a]);
      assert.equal(sockets.filter(socket, group, 0).count, 3);
      sockets.nameSource(SocketOption.LeaveSource, socket, group, a);
      assert.deepEqual(sockets.filter(socket, group).sources, [c, b]);
    });

    rule("what cannot be named (RFC 3678, 4.1.3, and Linux's numbers)", (bench) => {
      const { sockets } = bench;
      const socket = bound(family, sockets);
      const stranger = family === IPV4 ? IPV6.source(1) : IPV4.source(1);
      const name = (option: SocketOption, from = a, to = group, number = 0) =>
        sockets.nameSource(option, socket, to, from, number);
      for (const option of [
        SocketOption.LeaveSource,
        SocketOption.BlockSource,
        SocketOption.UnblockSource,
      ]) {
        fails(EINVAL, () => name(option));
      }
      fails(EINVAL, () => name(SocketOption.JoinSource, a, a));
      fails(ENODEV, () => name(SocketOption.JoinSource, a, group, 9));
      fails(EADDRNOTAVAIL, () => name(SocketOption.JoinSource, stranger));
      fails(EINVAL, () => sockets.setFilter(socket, group, false, [a]));
      fails(EADDRNOTAVAIL, () => sockets.setFilter(socket, group, true, []));
      name(SocketOption.JoinSource);
      fails(EADDRNOTAVAIL, () => name(SocketOption.JoinSource));
      fails(EADDRNOTAVAIL, () => name(SocketOption.LeaveSource, b));
      fails(EINVAL, () => name(SocketOption.BlockSource, b));
      fails(EINVAL, () => name(SocketOption.UnblockSource));
      const many = Array.from({ length: family.most + 1 }, (_, i) => source(i));
      fails(ENOBUFS, () => sockets.setFilter(socket, group, true, many));
      sockets.setFilter(socket, group, true, many.slice(1));
      fails(ENOBUFS, () => name(SocketOption.JoinSource));
      assert.deepEqual(sockets.filter(socket, group).sources, many.slice(1));
      fails(EADDRNOTAVAIL, () => sockets.setFilter(socket, group, true, [stranger]));
      fails(EINVAL, () => sockets.setOption(socket, SocketOption.MulticastAll, 2));
      const stream = sockets.stream();
      fails(92, () => sockets.nameSource(SocketOption.JoinSource, stream, group, a));
      sockets.joinGroup(socket, group, 0, true);
      fails(EADDRNOTAVAIL, () => sockets.joinGroup(socket, group, 0, true));
    });
  });
}

test("a guest joins, and is told what it cannot", async () => {
  const program = await assemblyProgram("tests/sim/guests/groups.ts", "groups");
  inWorld(1, (world) => {
    const { machine } = world.ready({ guests: [program] });
    const peer = world.peer();
    machine.expectLine(/^ready$/, 5 * SECOND);
    const told = machine.console.filter((line) => !/^\d+\.\d{6} /.test(line));
    assert.deepEqual(told, [
      "join 10.0.0.1: no group: they are 224.0.0.0/4 and ff00::/8",
      "leave 239.1.2.3: the socket has not joined it",
      "block 239.1.2.3 from 10.0.0.1: not joined, or the other way: from some sources, or from all but some",
      "join 239.1.2.3: no interface has that number, or leads there",
      "join 239.1.2.3: the socket has joined it already",
      "block 239.1.2.3 from 10.0.0.1: it is named already, or is of the other family",
      "join 239.1.2.3 from 10.0.0.9: no group, or joined from all sources but some",
      "unblock 239.1.2.3 from 10.0.0.9: it is not blocked",
      "leave 239.1.2.3 from 10.0.0.9: the socket does not hear it by name",
      "ready",
    ]);
    for (const source of ["10.0.0.9", "10.0.0.1"]) send(peer, "239.1.2.3", source);
    machine.expectLine(/^10\.0\.0\.1 from 10\.0\.0\.1$/, SECOND);
    assert.ok(!machine.console.some((line) => line.startsWith("10.0.0.9")));
  });
});

// ---- At random -------------------------------------------------------------------------------

/** A filter: to hear these sources alone, or all others. */
interface Filter {
  include: boolean;
  sources: Set<string>;
}

/** The interface's state, of all filters of a group (3.2). */
function merged(filters: Filter[]): Filter {
  const excluding = filters.filter(({ include }) => !include);
  const wanted = new Set(filters.flatMap(({ include, sources }) => (include ? [...sources] : [])));
  if (!excluding.length) return { include: true, sources: wanted };
  const [first, ...others] = excluding;
  const both = [...first!.sources].filter((each) => others.every((o) => o.sources.has(each)));
  return { include: false, sources: new Set(both.filter((each) => !wanted.has(each))) };
}

const passes = ({ include, sources }: Filter, source: string): boolean =>
  sources.has(source) === include;

/** What a router that hears only us makes of a record (6.4, without its timers). */
function learn(state: Filter, [type, , ...sources]: GroupRecord): void {
  if (type <= TO_EX) {
    state.include = type === IS_IN || type === TO_IN;
    state.sources = new Set(sources);
    return;
  }
  for (const each of sources) {
    if ((type === ALLOW) === state.include) state.sources.add(each);
    else state.sources.delete(each);
  }
}

const plain = ({ include, sources }: Filter) => ({ include, sources: [...sources].sort() });

for (const family of [IPV4, IPV6]) {
  /**
   * Sockets change their filters at random; of two reports in a row one is lost at most. A router knows afterwards what
   * the sockets want, and each hears what its own filter says.
   */
  forSeeds(`sockets at random, and lost reports, ${family.name}`, 12, (seed) =>
    inWorld(seed, (world) => {
      const bench = { world, ...family.settle(world) };
      const { peer, sockets, machine } = bench;
      const random = world.simulation.random.fork();
      const pick = (count: number) => random.integer(0, count - 1);
      const pool = Array.from({ length: 6 }, (_, i) => family.source(i));
      const groups = [family.group, family.other];
      const some = () => pool.filter(() => pick(2));
      const members = [0, 1, 2, 3].map(() => ({
        socket: bound(family, sockets),
        all: pick(2) === 1,
        filters: new Map<string, Filter>(),
      }));
      for (const { socket, all } of members) {
        sockets.setOption(socket, SocketOption.MulticastAll, Number(all));
      }
      const router = new Map(groups.map((g) => [g, { include: true, sources: new Set<string>() }]));
      /** Says what has been told since the last look; those that are lost are not heard. */
      let lost = false;
      const listen = () => {
        for (const frame of peer.inbox) {
          const records = family.records(frame)?.filter(([, g]) => router.has(g));
          if (!records?.length) continue;
          lost = !lost && pick(3) === 0;
          if (!lost) for (const record of records) learn(router.get(record[1])!, record);
        }
        peer.inbox = [];
      };
      const change = () => {
        const { socket, filters } = members[pick(members.length)]!;
        const group = groups[pick(2)]!;
        const source = pool[pick(pool.length)]!;
        const filter = filters.get(group);
        const may = (body: () => void): boolean => {
          try {
            body();
            return true;
          } catch (error) {
            assert.ok(error instanceof SocketError);
            return false;
          }
        };
        const name = (option: SocketOption) =>
          may(() => sockets.nameSource(option, socket, group, source));
        const leaves = () => filters.delete(group);
        const named = filter?.sources.has(source) ?? false;
        const free = !filter || filter.include || filter.sources.size === 0;
        switch (pick(7)) {
          case 0:
            assert.equal(
              may(() => sockets.joinGroup(socket, group)),
              !filter,
            );
            if (!filter) filters.set(group, { include: false, sources: new Set() });
            return;
          case 1:
            assert.equal(
              may(() => sockets.joinGroup(socket, group, 0, true)),
              !!filter,
            );
            leaves();
            return;
          case 2: {
            const good = name(SocketOption.JoinSource);
            assert.equal(good, free && !named);
            if (!good) return;
            if (filter?.include) filter.sources.add(source);
            else filters.set(group, { include: true, sources: new Set([source]) });
            return;
          }
          case 3: {
            const good = name(SocketOption.LeaveSource);
            assert.equal(good, filter?.include === true && named);
            if (!good) return;
            filter!.sources.delete(source);
            if (!filter!.sources.size) leaves();
            return;
          }
          case 4: {
            const good = name(SocketOption.BlockSource);
            assert.equal(good, filter?.include === false && !named);
            if (good) filter!.sources.add(source);
            return;
          }
          case 5: {
            const good = name(SocketOption.UnblockSource);
            assert.equal(good, filter?.include === false && named);
            if (good) filter!.sources.delete(source);
            return;
          }
          default: {
            const include = pick(2) === 1;
            const sources = some();
            const good = may(() => sockets.setFilter(socket, group, include, sources));
            assert.equal(good, !!filter);
            if (!good) return;
            if (include && !sources.length) leaves();
            else filters.set(group, { include, sources: new Set(sources) });
          }
        }
      };
      for (let round = 0; round < 15; round++) {
        for (let n = 1 + pick(6); n > 0; n--) {
          change();
          world.run(pick(3) === 0 ? pick(1200) * MILLISECOND : pick(3) * MILLISECOND);
          listen();
        }
        world.run(3 * SECOND);
        listen();
        for (const group of groups) {
          const state = merged(members.flatMap(({ filters }) => filters.get(group) ?? []));
          assert.deepEqual(plain(router.get(group)!), plain(state), `${group}, round ${round}`);
          for (const source of pool) send(peer, group, source);
          world.run(10 * MILLISECOND);
          for (const { socket, all, filters } of members) {
            const filter = filters.get(group);
            const expected = pool.filter(
              (source) => passes(state, source) && (filter ? passes(filter, source) : all),
            );
            assert.deepEqual(heard(sockets, socket), expected);
            if (!filter) continue;
            const told = sockets.filter(socket, group);
            assert.deepEqual(plain({ ...told, sources: new Set(told.sources) }), plain(filter));
          }
        }
      }
      for (const { socket } of members) sockets.close(socket);
      world.run(3 * SECOND);
      listen();
      for (const state of router.values())
        assert.deepEqual(plain(state), { include: true, sources: [] });
      assert.equal(held(machine), 0);
    }),
  );
}
