/** Tunnels: IP in IP (RFC 2003, 2473, 4213) and GRE (RFC 2784, 2890, 7676). */
import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  checksum,
  ethernet,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  GRE,
  ICMP,
  icmp6Message,
  icmpMessage,
  ICMPV6,
  IPV4_IN_IP,
  ipv4Packet,
  IPV6_IN_IP,
  ipv6Packet,
  parse,
  type Frame,
  UDP,
  udpDatagram,
} from "../../../tools/sim/frames.ts";
import { Devices } from "../../../tools/sim/devices.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { SECOND } from "../../../tools/sim/simulation.ts";
import { counters, held } from "../counters.ts";
import { isUdp, pass, routed, type Routed } from "../routing/network.ts";

/** The router's ends of the tunnels on link 2, where the other end is; hosts are on link 1. */
const OWN = { v4: "10.2.0.1", v6: "2001:db8:2::1" };

/** What the other end sees of a packet that came through: the packet around it, and it as if in a frame. */
interface Carried {
  outer: Frame;
  inner: Frame;
  /** Bytes between both headers. */
  between: Uint8Array;
}

/** Takes apart what a tunnel sends. */
function carried(outer: Frame): Carried {
  const { protocol, payload } = (outer.ipv4 ?? outer.ipv6)!;
  let at = 0;
  if (protocol === GRE) {
    const flags = payload[0]!;
    at = 4 + (flags & 0x80 ? 4 : 0) + (flags & 0x20 ? 4 : 0) + (flags & 0x10 ? 4 : 0);
  }
  const packet = payload.subarray(at);
  const type = packet[0]! >> 4 === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
  const mac = "52:54:00:00:00:01";
  return {
    outer,
    inner: parse(ethernet(mac, mac, type, packet)),
    between: payload.subarray(0, at),
  };
}

const isTunnel = ({ ipv4, ipv6 }: Frame): boolean =>
  [IPV4_IN_IP, IPV6_IN_IP, GRE].includes((ipv4 ?? ipv6)?.protocol ?? 0);

const next = (peer: Peer): Carried => carried(peer.expect(isTunnel));

/** A host on link 1 and the other end on link 2, both known to the router. */
function stations(network: Routed): [host: Peer, other: Peer] {
  const peers: [Peer, Peer] = [network.peer(1), network.peer(2)];
  // Until who was asked for before anybody was there is asked for again.
  network.simulation.run(8 * SECOND);
  peers.forEach((peer, i) => {
    peer.resolve(`10.${i + 1}.0.1`);
    peer.resolve(`2001:db8:${i + 1}::1`);
    peer.inbox.length = 0;
  });
  return peers;
}

interface Inner {
  source?: string;
  destination?: string;
  trafficClass?: number;
  ttl?: number;
  bytes?: number;
}

/** A datagram of the network behind the other end for a host on link 1. */
function datagram(v6: boolean, fields: Inner = {}): Uint8Array {
  const source = fields.source ?? (v6 ? "2001:db8:99::9" : "10.99.0.9");
  const destination = fields.destination ?? (v6 ? "2001:db8:1::9" : "10.1.0.9");
  const { trafficClass = 0, ttl = 64, bytes = 5 } = fields;
  const udp = { sourcePort: 1, destinationPort: 2, payload: new Uint8Array(bytes).fill(1) };
  const payload = udpDatagram(source, destination, udp);
  const common = { source, destination, protocol: UDP, payload, trafficClass };
  return v6 ? ipv6Packet({ ...common, hopLimit: ttl }) : ipv4Packet({ ...common, ttl });
}

/** Sends a packet through the tunnel from its other end. */
function carry(
  peer: Peer,
  outerV6: boolean,
  protocol: number,
  payload: Uint8Array,
  outer: { trafficClass?: number; source?: string } = {},
): void {
  const destination = outerV6 ? OWN.v6 : OWN.v4;
  if (outerV6)
    peer.sendIpv6({ destination, protocol, payload, ...outer }, peer.resolve(destination));
  else peer.sendIpv4({ destination, protocol, payload, ...outer }, peer.resolve(destination));
}

function gre(flags: number, type: number, fields: number[], payload: Uint8Array): Uint8Array {
  return Uint8Array.of(flags >> 8, flags & 255, type >> 8, type & 255, ...fields, ...payload);
}

const words = (name: string, ends: string): string =>
  `${name}=${ends},10.77.0.1/30,2001:db8:77::1/64 route=10.99.0.0/16,10.77.0.2 route=2001:db8:99::/48,2001:db8:77::2`;

const OUTER = [
  { family: "IPv4", v6: false, ends: "local=10.2.0.1,remote=10.2.0.9", bytes: 20 },
  { family: "IPv6", v6: true, ends: "remote=2001:db8:2::9,local=2001:db8:2::1", bytes: 40 },
];

for (const { family, v6, ends, bytes } of OUTER) {
  describe(`IP in ${family}`, () => {
    routed(
      "either family goes in as it is, and comes out (RFC 2003, 3.1; RFC 2473, 3; RFC 4213, 3.5)",
      (network) => {
        const [host, other] = stations(network);
        for (const inner6 of [false, true]) {
          pass(host, inner6 ? "2001:db8:99::9" : "10.99.0.9", { ttl: 17 });
          const { outer, inner } = next(other);
          const header = (outer.ipv4 ?? outer.ipv6)!;
          assert.deepEqual(
            [header.source, header.destination, header.protocol],
            [v6 ? OWN.v6 : OWN.v4, v6 ? other.ip6 : other.ip, inner6 ? 41 : 4],
          );
          assert.equal(outer.ipv4?.ttl ?? outer.ipv6?.hopLimit, 64);
          // Forwarding took one hop, the tunnel none.
          assert.equal(inner.ipv4?.ttl ?? inner.ipv6?.hopLimit, 16);
          assert.equal(new TextDecoder().decode(inner.udp!.payload), "passing");
          carry(other, v6, inner6 ? 41 : 4, datagram(inner6, { ttl: 9 }));
          const out = host.expect(isUdp);
          assert.equal(out.ipv4?.ttl ?? out.ipv6?.hopLimit, 8);
        }
        // This machine's own end answers.
        const echo = { type: 8, code: 0, rest: 7, payload: Uint8Array.of(1) };
        const ping = { source: "10.77.0.2", destination: "10.77.0.1", protocol: ICMP };
        carry(other, v6, 4, ipv4Packet({ ...ping, payload: icmpMessage(echo) }));
        assert.equal(next(other).inner.icmp!.type, 0);
        network.simulation.run(SECOND);
        assert.equal(held(network.router), 0);
      },
      words("ipip1", ends),
    );

    routed(
      "only the peer is believed, and what comes out is what a link may bring",
      (network) => {
        const [host, other] = stations(network);
        const stranger = network.peer(2, 10);
        carry(stranger, v6, 4, datagram(false));
        carry(other, v6, 4, datagram(false, { source: "127.0.0.1" }));
        carry(other, v6, 4, datagram(false, { source: "10.2.0.1" }));
        carry(other, v6, 41, datagram(true, { source: "::1" }));
        // Nothing at all, half a header, another version than the protocol says.
        for (const bytes of [0, 1, 19, 20, 25]) {
          carry(other, v6, 4, datagram(false).subarray(0, bytes));
          carry(other, v6, 41, datagram(true).subarray(0, bytes));
        }
        host.expectNone(isUdp);
        assert.equal(counters(network.router, "virtual")["strangers"], 1);
        network.simulation.run(SECOND);
        assert.equal(held(network.router), 0);
      },
      words("ipip1", ends),
    );

    routed(
      "the tunnel's MTU is the path's less its headers: more is told of, and the path is heard (RFC 2003, 3.1 and 5.1; RFC 2473, 7)",
      (network) => {
        const [host, other] = stations(network);
        // Something came from there: what was wrong with the path before is forgotten.
        carry(other, v6, 4, datagram(false));
        host.expect(isUdp);
        const most = 1500 - bytes;
        // No path of IPv6 carries less than 1,280.
        const path = v6 ? 1300 : 1200;
        const mtu = (): number => new Devices(network.router).info(3).mtu;
        assert.equal(mtu(), most);
        pass(host, "10.99.0.9", { payload: new Uint8Array(most - 28) });
        assert.equal(next(other).inner.udp!.payload.length, most - 28);
        pass(host, "10.99.0.9", { payload: new Uint8Array(most - 27) });
        assert.equal(host.expectIcmp(3).rest, most);
        pass(host, "2001:db8:99::9", { payload: new Uint8Array(most - 47) });
        assert.equal(host.expectIcmp6(2).icmp6!.rest, most);
        // What may be fragmented is, inside.
        pass(host, "10.99.0.9", { payload: new Uint8Array(1400), dontFragment: false });
        assert.equal(next(other).inner.udp!.payload.length, 1400);
        pass(host, "10.99.0.9", { payload: new Uint8Array(1472), dontFragment: false });
        const parts = [next(other), next(other)].map(({ inner }) => inner.ipv4!);
        assert.deepEqual(
          parts.map((part) => part.moreFragments),
          [true, false],
        );
        // A router on the path says what it carries.
        pass(host, "10.99.0.9", { payload: new Uint8Array(1300) });
        const { outer } = next(other);
        assert.equal(outer.ipv4?.dontFragment ?? true, true);
        const quote = v6
          ? ipv6Packet({
              source: OWN.v6,
              destination: other.ip6!,
              protocol: 4,
              payload: outer.ipv6!.payload,
            })
          : ipv4Packet({
              source: OWN.v4,
              destination: other.ip,
              protocol: 4,
              payload: outer.ipv4!.payload,
            });
        const message = { code: v6 ? 0 : 4, rest: path, payload: quote.subarray(0, 200) };
        if (v6) {
          const payload = icmp6Message(other.ip6!, OWN.v6, { type: 2, ...message });
          other.sendIpv6({ destination: OWN.v6, protocol: ICMPV6, payload });
        } else {
          other.sendIpv4({
            destination: OWN.v4,
            protocol: ICMP,
            payload: icmpMessage({ type: 3, ...message }),
          });
        }
        network.simulation.run(SECOND);
        assert.equal(mtu(), path - bytes);
        pass(host, "10.99.0.9", { payload: new Uint8Array(1300) });
        assert.equal(host.expectIcmp(3).rest, path - bytes);
        // IPv6 has its 1,280 bytes: the tunnel itself fragments them (RFC 2473, 7.1; RFC 4213, 3.2.1).
        pass(host, "2001:db8:99::9", { payload: new Uint8Array(1280 - 48) });
        if (v6) {
          const first = other.expect(isFragment);
          const second = other.expect(isFragment);
          assert.ok(first.length <= path + 14 && second.length < first.length);
        } else {
          // Here routers may, too.
          assert.equal(other.expect(isTunnel).ipv4!.dontFragment, false);
        }
        // After ten minutes a larger one is tried again (RFC 1191, 6.3; RFC 8201, 4).
        network.simulation.run(601 * SECOND);
        assert.equal(mtu(), most);
      },
      words("ipip1", ends),
    );

    routed(
      "an error on the path comes to who sends next (RFC 2003, 4 and 5; RFC 2473, 8)",
      (network) => {
        const [host, other] = stations(network);
        pass(host, "10.99.0.9");
        const before = counters(network.router, "virtual")["errors"]!;
        const { outer } = next(other);
        const quote = v6
          ? ipv6Packet({
              source: OWN.v6,
              destination: other.ip6!,
              protocol: 4,
              payload: outer.ipv6!.payload,
            })
          : ipv4Packet({
              source: OWN.v4,
              destination: other.ip,
              protocol: 4,
              payload: outer.ipv4!.payload,
            });
        if (v6) {
          const payload = icmp6Message(other.ip6!, OWN.v6, {
            type: 1,
            code: 3,
            rest: 0,
            payload: quote,
          });
          other.sendIpv6({ destination: OWN.v6, protocol: ICMPV6, payload });
        } else {
          const payload = icmpMessage({ type: 3, code: 1, rest: 0, payload: quote });
          other.sendIpv4({ destination: OWN.v4, protocol: ICMP, payload });
        }
        network.simulation.run(SECOND);
        host.inbox.length = 0;
        pass(host, "10.99.0.9");
        const told = host.expectIcmp(3);
        assert.equal(told.code, 1);
        pass(host, "10.99.0.9");
        host.expectNone(({ icmp }) => icmp !== undefined);
        assert.equal(counters(network.router, "virtual")["errors"]! - before, 1);
      },
      words("ipip1", ends),
    );
  });

  describe(`GRE over ${family}`, () => {
    routed(
      "the header is type alone, byte by byte (RFC 2784, 2.1; RFC 7676, 3)",
      (network) => {
        const [host, other] = stations(network);
        for (const inner6 of [false, true]) {
          pass(host, inner6 ? "2001:db8:99::9" : "10.99.0.9");
          const { outer, inner, between } = next(other);
          assert.equal((outer.ipv4 ?? outer.ipv6)!.protocol, 47);
          assert.equal(Buffer.from(between).toString("hex"), inner6 ? "000086dd" : "00000800");
          assert.equal(new TextDecoder().decode(inner.udp!.payload), "passing");
          carry(other, v6, GRE, gre(0, inner6 ? 0x86dd : 0x800, [], datagram(inner6)));
          host.expect(isUdp);
        }
        assert.equal(new Devices(network.router).info(3).mtu, 1500 - bytes - 4);
        // A key where there is none; routing, a version, an unknown type; less than the flags say.
        carry(other, v6, GRE, gre(0x2000, 0x800, [0, 0, 0, 0], datagram(false)));
        assert.equal(counters(network.router, "virtual")["strangers"], 0);
        network.simulation.run(SECOND);
        assert.equal(counters(network.router, "virtual")["strangers"], 1);
        const before = counters(network.router, "virtual")["malformed"]!;
        for (const flags of [0x4000, 0x0800, 0x0400, 1, 7]) {
          carry(other, v6, GRE, gre(flags, 0x800, [0, 0, 0, 0], datagram(false)));
        }
        carry(other, v6, GRE, gre(0, 0x6558, [], datagram(false)));
        carry(other, v6, GRE, gre(0, 0x86dd, [], datagram(false)));
        carry(other, v6, GRE, gre(0, 0x800, [], new Uint8Array(0)));
        for (const short of [0, 1, 3]) carry(other, v6, GRE, new Uint8Array(short));
        carry(other, v6, GRE, Uint8Array.of(0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0));
        host.expectNone(isUdp);
        assert.equal(counters(network.router, "virtual")["malformed"]! - before, 12);
        // Bits kept for later are not looked at (RFC 2784, 2.2).
        carry(other, v6, GRE, gre(0x0200, 0x800, [], datagram(false)));
        host.expect(isUdp);
        network.simulation.run(SECOND);
        assert.equal(held(network.router), 0);
      },
      words("gre1", ends),
    );

    routed(
      "key, sequence number and checksum (RFC 2890, 2; RFC 2784, 2.3)",
      (network) => {
        const [host, other] = stations(network);
        let first = -1;
        for (let i = 0; i < 3; i++) {
          pass(host, "10.99.0.9", { payload: new Uint8Array(7 + i).fill(i) });
          const { outer, between } = next(other);
          const all = (outer.ipv4 ?? outer.ipv6)!.payload;
          assert.equal(checksum(all), 0);
          if (first < 0) first = between[15]!;
          assert.equal(between[15], first + i);
          assert.equal(Buffer.from(between.subarray(0, 4)).toString("hex"), "b0000800");
          assert.equal(Buffer.from(between.subarray(6, 15)).toString("hex"), "000000000007000000");
        }
        const send = (key: number, sequence: number, wrong = 0): void => {
          const header = (sum: number): Uint8Array =>
            gre(
              0xb000,
              0x800,
              [sum >> 8, sum & 255, 0, 0, 0, 0, 0, key, 0, 0, 0, sequence],
              datagram(false),
            );
          carry(other, v6, GRE, header(checksum(header(0)) ^ wrong));
        };
        const taken = (count: number): void => {
          for (let i = 0; i < count; i++) host.expect(isUdp);
          host.expectNone(isUdp, SECOND / 10);
        };
        send(7, 200);
        taken(1);
        send(8, 201);
        send(7, 201, 1);
        taken(0);
        // Late, twice, and on: only what is newer (2.2).
        send(7, 199);
        send(7, 200);
        send(7, 202);
        send(7, 201);
        taken(1);
        const { strangers, badChecksum, outOfOrder } = counters(network.router, "virtual");
        assert.deepEqual([strangers, badChecksum, outOfOrder], [1, 1, 3]);
        // Without a number where one is wanted.
        carry(other, v6, GRE, gre(0x2000, 0x800, [0, 0, 0, 7], datagram(false)));
        taken(0);
      },
      words("gre1", `${ends},key=7,seq,csum`),
    );
  });

  describe(`ECN and DSCP in ${family} (RFC 6040; RFC 2983)`, () => {
    /** Figure 4: the inner codepoint that arrives, or null for dropped, by inner and outer. */
    const NOT = 0;
    const [ECT1, ECT0, CE] = [1, 2, 3];
    const figure: [inner: number, outer: number, arriving: number | null][] = [
      [NOT, NOT, NOT],
      [NOT, ECT0, NOT],
      [NOT, ECT1, NOT],
      [NOT, CE, null],
      [ECT0, NOT, ECT0],
      [ECT0, ECT0, ECT0],
      [ECT0, ECT1, ECT1],
      [ECT0, CE, CE],
      [ECT1, NOT, ECT1],
      [ECT1, ECT0, ECT1],
      [ECT1, ECT1, ECT1],
      [ECT1, CE, CE],
      [CE, NOT, CE],
      [CE, ECT0, CE],
      [CE, ECT1, CE],
      [CE, CE, CE],
    ];
    routed(
      "out of the tunnel as figure 4 has it; into it as inside (4.1, normal mode)",
      (network) => {
        const [host, other] = stations(network);
        for (const inner6 of [false, true]) {
          for (const [inner, outer, arriving] of figure) {
            const bytes = datagram(inner6, { trafficClass: 0xb8 | inner });
            carry(other, v6, inner6 ? 41 : 4, bytes, { trafficClass: outer });
            const label = `inner ${inner}, outer ${outer}`;
            if (arriving === null) host.expectNone(isUdp, SECOND / 10, label);
            else assert.equal(host.expect(isUdp).ip!.trafficClass, 0xb8 | arriving, label);
          }
        }
        assert.equal(counters(network.router, "virtual")["badEcn"], 2);
        for (const trafficClass of [0, 0xb8 | ECT0, 0x28 | ECT1, CE]) {
          const bytes = datagram(false, {
            source: "10.1.0.9",
            destination: "10.99.0.9",
            trafficClass,
          });
          host.sendFrame(ethernet(host.resolve("10.1.0.1"), host.mac, ETHERTYPE_IPV4, bytes));
          const { outer, inner } = next(other);
          assert.deepEqual(
            [outer.ip!.trafficClass, inner.ip!.trafficClass],
            [trafficClass, trafficClass],
          );
        }
      },
      words("ipip1", ends),
    );
  });
}

const isFragment = ({ ipv4, ipv6 }: Frame): boolean =>
  ipv6?.fragment !== undefined || ipv4?.moreFragments === true || (ipv4?.fragmentOffset ?? 0) > 0;

describe("tunnels", () => {
  routed(
    "one that leads into itself is refused, counted and named, alone and by another",
    (network) => {
      const host = network.peer(1);
      network.router.expectLine(
        /ipip1 leads into itself, and carries nothing.*remote=10\.99\.0\.1/,
      );
      network.router.expectLine(/gre1 leads into itself/);
      network.router.expectLine(/gre2 leads into itself/);
      pass(host, "10.99.0.9");
      assert.equal(host.expectIcmp(3).code, 1);
      pass(host, "10.88.1.9");
      host.expectIcmp(3);
      assert.ok(counters(network.router, "virtual")["looped"]! >= 2);
      network.simulation.run(SECOND);
      assert.equal(held(network.router), 0);
    },
    "ipip1=remote=10.99.0.1,10.77.0.1/30 route=10.99.0.0/16,10.77.0.2 " +
      "gre1=remote=10.88.2.1,10.78.0.1/30 gre2=remote=10.88.1.1,10.79.0.1/30 " +
      "route=10.88.1.0/24,10.78.0.2 route=10.88.2.0/24,10.79.0.2",
  );

  routed(
    "one goes through another, and over a VLAN; each takes its headers off the MTU",
    (network) => {
      const [host, other] = stations(network);
      pass(host, "10.99.0.9", { payload: new Uint8Array(1500 - 20 - 28 - 28) });
      const outer = carried(other.expect(isTunnel));
      const inner = carried(outer.inner);
      assert.deepEqual(
        [outer.outer.ipv4!.protocol, outer.inner.ipv4!.protocol, inner.inner.ipv4!.protocol],
        [4, 47, UDP],
      );
      assert.equal(inner.inner.udp!.payload.length, 1500 - 20 - 28 - 28);
    },
    "gre9=remote=10.77.0.2,key=1.2.3.4,10.78.0.1/30 ipip1=remote=10.2.0.9,10.77.0.1/30 route=10.99.0.0/16,10.78.0.2",
  );

  /** A destination options header of an IPv6 packet: its octets from the third on. */
  const options = (...octets: number[]): [number, Uint8Array] => [60, Uint8Array.from(octets)];
  /** A datagram of a tunnel over IPv6 that another entrance sends by us, with these headers. */
  const tunnelled = (host: Peer, extensions: [number, Uint8Array][]): void =>
    host.sendIpv6(
      { destination: "2001:db8:99::9", protocol: 41, payload: datagram(true), extensions },
      host.resolve("2001:db8:1::1"),
    );
  /** A tunnel in a tunnel over IPv6, with a limit or without. Tunnels also send what every link of IPv6 is asked. */
  const isNested = ({ ipv6 }: Frame): boolean =>
    ipv6?.protocol === 41 && [41, 60].includes(ipv6.payload[6]!);
  /** The limit in what a tunnel sends: RFC 2473, 4.1.1 and 5.1, octet by octet. */
  const limitOf = (frame: Frame): number | undefined => {
    const { extensions, protocol } = frame.ipv6!;
    if (!extensions.length) return undefined;
    assert.deepEqual([extensions, protocol], [[60], 41]);
    const behind = frame.ipv6!.payload;
    const header = new Uint8Array(behind.buffer, behind.byteOffset - 8, 8);
    assert.equal(
      Buffer.from(header)
        .toString("hex")
        .replace(/^(.{8})../, "$1LL"),
      "29000401LL010100",
    );
    return header[4];
  };

  routed(
    "RFC 2473, 4.1.1: the encapsulation limit is one less in each tunnel, and there where a tunnel has one",
    (network) => {
      const third = network.peer(2, 10);
      const [host, other] = stations(network);
      const devices = new Devices(network.router);
      assert.deepEqual(
        [3, 4].map((i) => devices.info(i).mtu),
        [1460, 1452],
      );
      tunnelled(host, []);
      assert.equal(limitOf(other.expect(isNested)), undefined);
      tunnelled(host, [options(4, 1, 7, 1, 1, 0)]);
      assert.equal(limitOf(other.expect(isNested)), 6);
      // Behind what else there may be, and other options (a).
      const first = options(1, 4, 0, 0, 0, 0);
      tunnelled(host, [first, options(0, 0x1e, 1, 9, 0, 4, 1, 1, 1, 3, 0, 0, 0, 0)]);
      assert.equal(limitOf(other.expect(isNested)), 0);
      // By the tunnel that has a limit, the packet's own counts (c); without one, the tunnel's (d).
      for (const [limit, sent] of [
        [9, 8],
        [undefined, 4],
      ]) {
        const extensions = limit ? [options(4, 1, limit, 1, 1, 0)] : [];
        host.sendIpv6(
          { destination: "2001:db8:98::9", protocol: 41, payload: datagram(true), extensions },
          host.resolve("2001:db8:1::1"),
        );
        assert.equal(limitOf(third.expect(isNested)), sent);
      }
      // In the packet inside that, nothing is looked for; half a header and half an option are none.
      tunnelled(host, [options(4, 2, 0, 0, 1, 0)]);
      assert.equal(limitOf(other.expect(isNested)), undefined);
      tunnelled(host, [options(1, 2, 0, 0, 4, 1)]);
      assert.equal(limitOf(other.expect(isNested)), undefined);
      assert.equal(counters(network.router, "virtual")["limited"], 0);
      network.simulation.run(SECOND);
      assert.equal(held(network.router), 0);
    },
    `ipip1=remote=2001:db8:2::9,local=${OWN.v6},2001:db8:77::1/64 route=2001:db8:99::/48,2001:db8:77::2 ` +
      `ipip2=remote=2001:db8:2::a,local=${OWN.v6},encaplimit=4,2001:db8:78::1/64 route=2001:db8:98::/48,2001:db8:78::2`,
  );

  routed(
    "RFC 2473, 4.1.1 b: at zero its last entrance is told which octet says so, and nothing is sent",
    (network) => {
      const [host, other] = stations(network);
      tunnelled(host, [options(1, 4, 0, 0, 0, 0), options(0, 0, 0, 4, 1, 0)]);
      const { icmp6, ipv6 } = host.expectIcmp6(4);
      assert.deepEqual([icmp6!.code, icmp6!.rest], [0, 40 + 8 + 7]);
      assert.equal(ipv6!.destination, host.ip6);
      other.expectNone(isNested);
      assert.equal(counters(network.router, "virtual")["limited"], 1);
      network.simulation.run(SECOND);
      assert.equal(held(network.router), 0);
    },
    words("ipip1", `remote=2001:db8:2::9,local=${OWN.v6}`),
  );

  routed(
    "RFC 2473, 4.1.1: tunnels in tunnels here: each counts, and the one around it hears when there may be no more",
    (network) => {
      const [host, other] = stations(network);
      const isPassing = (frame: Frame): boolean =>
        isNested(frame) && Buffer.from(frame.ipv6!.payload).includes("passing");
      pass(host, "2001:db8:99::9");
      const outer = other.expect(isPassing);
      assert.equal(limitOf(outer), 0);
      other.inbox.length = 0;
      const inner = carried(outer).inner;
      assert.deepEqual([inner.ipv6!.extensions, inner.ipv6!.protocol], [[60], 41]);
      // One with nothing left: its own error comes to who sends next (8.1).
      const before = counters(network.router, "virtual")["limited"]!;
      pass(host, "2001:db8:97::9");
      other.expectNone(isPassing);
      assert.ok(counters(network.router, "virtual")["limited"]! > before);
      host.inbox.length = 0;
      pass(host, "2001:db8:97::9");
      assert.equal(host.expectIcmp6(1).icmp6!.code, 3);
    },
    `ipip1=remote=2001:db8:2::9,local=${OWN.v6},2001:db8:77::1/64 ` +
      "ipip2=remote=2001:db8:77::2,local=2001:db8:77::1,encaplimit=1,2001:db8:78::1/64 route=2001:db8:99::/48,2001:db8:78::2 " +
      "ipip3=remote=2001:db8:77::3,local=2001:db8:77::1,encaplimit=0,2001:db8:79::1/64 route=2001:db8:97::/48,2001:db8:79::2",
  );

  routed(
    "an address with its peer, on a tunnel and on a card; links of two (RFC 3021; RFC 6164)",
    (network) => {
      const [host, other] = stations(network);
      pass(host, "10.77.0.2");
      assert.equal(next(other).inner.ipv4!.destination, "10.77.0.2");
      pass(host, "10.99.0.9");
      assert.equal(next(other).inner.ipv4!.destination, "10.99.0.9");
      pass(host, "10.31.0.0");
      assert.equal(next(other).inner.ipv4!.destination, "10.31.0.0");
      pass(host, "2001:db8:31::");
      assert.equal(next(other).inner.ipv6!.destination, "2001:db8:31::");
      // Nobody is asked for at the other end of a tunnel.
      other.expectNone((frame) => frame.arp?.targetIp === "10.77.0.2");
    },
    "ipip1=remote=10.2.0.9,10.77.0.1,peer=10.77.0.2 route=10.99.0.0/16,10.77.0.2 " +
      "gre1=remote=10.2.0.9,10.31.0.1/31,2001:db8:31::1/127",
  );

  routed(
    "what makes no sense is named",
    (network) => {
      const { router } = network;
      for (const [word, value] of [
        ["gre1", "local=10.2.0.1"],
        ["gre2", "local=10.2.0.1,remote=2001:db8::1"],
        ["gre3", "remote=224.0.0.1"],
        ["gre4", "remote=10.2.0.9,key=x"],
        ["ipip5", "remote=10.2.0.9,key=7"],
        ["ipip6", "remote=fe80::1"],
        ["ipip7", "remote=10.2.0.9,ttl=0"],
        ["ipip9", "remote=2001:db8::1,encaplimit=256"],
      ] as const) {
        router.expectLine(new RegExp(`both ends of one family.*key=${word} value=${value}`));
      }
      router.expectLine(
        /ends of IPv6, whose headers.*key=ipip8 value=remote=10.2.0.9,encaplimit=4/,
      );
      router.expectLine(/ignored, unknown key key=gre256/);
      router.expectLine(/ignored, unknown key key=eth0\.4095/);
      router.expectLine(/ignored, unknown key key=eth0\.0/);
      router.expectLine(/gre8\.5 left out: a tunnel has no VLANs/);
    },
    "gre1=local=10.2.0.1 gre2=local=10.2.0.1,remote=2001:db8::1 gre3=remote=224.0.0.1 gre4=remote=10.2.0.9,key=x " +
      "ipip5=remote=10.2.0.9,key=7 ipip6=remote=fe80::1 ipip7=remote=10.2.0.9,ttl=0 ipip8=remote=10.2.0.9,encaplimit=4 " +
      "ipip9=remote=2001:db8::1,encaplimit=256 gre256=remote=10.2.0.9 " +
      "eth0.4095=10.1.1.1/24 eth0.0=10.1.1.1/24 gre8=remote=10.2.0.9 gre8.5=10.4.0.1/24",
  );
});
