import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CE,
  ECT0,
  type Frame,
  fragmentHeader,
  ICMP,
  icmp6Message,
  icmpMessage,
  ICMPV6,
  TCP,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Domain, SocketOption, Sockets } from "../../tools/sim/sockets.ts";
import { counters, held, moved } from "./counters.ts";
import { OWN, type World, fails, simulate } from "./harness.ts";
import { HOST, PREFIX, settled as settled6 } from "./ipv6/network.ts";

const PEER6 = `${PREFIX}1`;
const EMSGSIZE = 90;

const bytes = (length: number, seed = 0) =>
  Uint8Array.from({ length }, (_, i) => (i * 13 + (i >> 8) + seed) & 255);
const equal = (a: Uint8Array, b: Uint8Array) => assert.ok(Buffer.from(a).equals(Buffer.from(b)));

/** What one family's tests need: everything below runs for both. */
interface Family {
  name: string;
  layer: "ip" | "ipv6";
  domain: Domain;
  own: string;
  /** Bytes of a fragment's headers; of the largest UDP datagram. */
  headers: number;
  largest: number;
  settle(world: World): { machine: Machine; peer: Peer };
  from(peer: Peer): string;
  echo(peer: Peer, length: number): Uint8Array;
  isEchoReply(payload: Uint8Array): boolean;
  send(peer: Peer, piece: Piece): void;
  /** The fragment that a frame is. */
  piece(frame: Frame): Piece | undefined;
}

interface Piece {
  id: number;
  offset: number;
  more: boolean;
  protocol: number;
  payload: Uint8Array;
  ecn?: number;
  source?: string;
}

const FAMILIES: Family[] = [
  {
    name: "IPv4",
    layer: "ip",
    domain: Domain.Inet,
    own: OWN,
    headers: 20,
    largest: 65507,
    settle(world) {
      const { machine } = world.ready();
      const peer = world.peer();
      world.run(5 * SECOND);
      peer.sendArp({ operation: "request", targetIp: OWN });
      peer.expectArp("reply");
      return { machine, peer };
    },
    from: (peer) => peer.ip,
    echo: (_, length) => icmpMessage({ type: 8, code: 0, rest: 0x70001, payload: bytes(length) }),
    isEchoReply: (payload) => payload[0] === 0,
    send(peer, { id, offset, more, protocol, payload, ecn, source }) {
      peer.sendIpv4({
        destination: OWN,
        protocol,
        id,
        dontFragment: false,
        moreFragments: more,
        fragmentOffset: offset,
        trafficClass: ecn ?? 0,
        payload,
        ...(source && { source }),
      });
    },
    piece: ({ ipv4 }) =>
      ipv4 && (ipv4.moreFragments || ipv4.fragmentOffset > 0)
        ? {
            id: ipv4.id,
            offset: ipv4.fragmentOffset,
            more: ipv4.moreFragments,
            protocol: ipv4.protocol,
            payload: ipv4.payload,
          }
        : undefined,
  },
  {
    name: "IPv6",
    layer: "ipv6",
    domain: Domain.Inet6,
    own: HOST,
    headers: 48,
    largest: 65527,
    settle: settled6,
    from: () => PEER6,
    echo: (_, length) =>
      icmp6Message(PEER6, HOST, { type: 128, code: 0, rest: 0x70001, payload: bytes(length) }),
    isEchoReply: (payload) => payload[0] === 129,
    send(peer, { id, offset, more, protocol, payload, ecn, source }) {
      peer.sendIpv6({
        destination: HOST,
        protocol: protocol === ICMP ? ICMPV6 : protocol,
        payload,
        trafficClass: ecn ?? 0,
        extensions: [fragmentHeader(id, offset, more)],
        ...(source && { source }),
      });
    },
    piece: ({ ipv6 }) =>
      ipv6?.fragment && {
        ...ipv6.fragment,
        protocol: ipv6.protocol,
        payload: ipv6.payload,
      },
  },
];

/** Cuts a message into pieces of `size` bytes. */
function cut(message: Uint8Array, size: number, id = 77, protocol = ICMP): Piece[] {
  const pieces: Piece[] = [];
  for (let offset = 0; offset < message.length; offset += size) {
    const payload = message.slice(offset, offset + size);
    pieces.push({ id, offset, more: offset + size < message.length, protocol, payload });
  }
  return pieces;
}

/** A permutation, the same for each seed. */
function shuffled<T>(items: T[], seed: number): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    const j = seed % (i + 1);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}

/** Collects a message that comes in fragments, or whole; checks that they are what a host may send. */
function collect(family: Family, peer: Peer, mtu = 1500): Uint8Array {
  const pieces: Piece[] = [];
  let length: number | undefined;
  let got = 0;
  while (length === undefined || got < length) {
    const piece = family.piece(
      peer.expect((frame) => family.piece(frame) !== undefined, SECOND, "fragment"),
    )!;
    assert.ok(piece.payload.length + family.headers <= mtu);
    assert.ok(!piece.more || piece.payload.length % 8 === 0);
    if (pieces[0]) assert.equal(piece.id, pieces[0].id);
    pieces.push(piece);
    got += piece.payload.length;
    if (!piece.more) length = piece.offset + piece.payload.length;
  }
  const message = new Uint8Array(length);
  for (const { payload, offset } of pieces) message.set(payload, offset);
  assert.equal(got, length);
  return message;
}

for (const family of FAMILIES) {
  const { name, layer } = family;
  const send = (peer: Peer, pieces: Piece[]) => pieces.forEach((piece) => family.send(peer, piece));
  const isAnswer = ({ icmp, icmp6 }: Frame) => icmp !== undefined || (icmp6?.type ?? 255) < 130;

  describe(`${name}: fragments received`, () => {
    simulate("an echo of any size, in any order, is answered in fragments", (world) => {
      const { machine, peer } = family.settle(world);
      const sizes = [1464, 1472, 1473, 2000, 9000, 9600, 20000, 65000, 65507];
      for (const [i, length] of sizes.entries()) {
        const message = family.echo(peer, length);
        for (const pieces of [
          cut(message, 1448, 3 * i),
          cut(message, 1448, 3 * i + 1).reverse(),
          shuffled(cut(message, 1024, 3 * i + 2), i + 1),
        ]) {
          if (pieces.length === 1) continue;
          send(peer, pieces);
          if (message.length + family.headers <= 1500 || (layer === "ipv6" && length <= 1452)) {
            peer.expect(isAnswer, SECOND, "echo reply");
            continue;
          }
          const answer = collect(family, peer);
          assert.ok(family.isEchoReply(answer));
          equal(answer.subarray(8), bytes(length));
        }
      }
      world.run(10 * MILLISECOND);
      assert.equal(held(machine), 0);
      assert.equal(counters(machine, layer)["overlaps"], 0);
    });

    simulate("UDP datagrams of all sizes come whole", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      sockets.bind(socket, 7, layer === "ip" ? "0.0.0.0" : "::");
      for (const length of [1473, 3000, 9500, 30000, family.largest]) {
        const datagram = udpDatagram(family.from(peer), family.own, {
          sourcePort: 4000,
          destinationPort: 7,
          payload: bytes(length),
        });
        const change = moved(machine, layer, () => {
          send(peer, cut(datagram, 1440, length, UDP));
          world.run(20 * MILLISECOND);
        });
        assert.equal(change["reassembled"], 1);
        const got = sockets.receiveFrom(socket)!;
        assert.deepEqual([got.address, got.port], [family.from(peer), 4000]);
        equal(got.bytes, bytes(length));
      }
      assert.equal(held(machine), 0);
    });

    simulate("exact doubles are dropped; the rest still makes the whole", (world) => {
      const { machine, peer } = family.settle(world);
      const pieces = cut(family.echo(peer, 4000), 1024);
      const change = moved(machine, layer, () => {
        send(peer, [...pieces.slice(0, 2), ...pieces]);
        collect(family, peer);
      });
      assert.equal(change["duplicateFragments"], 2);
      world.run(MILLISECOND);
      assert.equal(held(machine), 0);
    });

    const overlapping: [string, (pieces: Piece[]) => Piece[]][] = [
      [
        "teardrop: one within another",
        ([a, b]) => [a!, { ...b!, offset: 64, payload: bytes(64), more: true }, b!],
      ],
      [
        "one over the end of the one before",
        ([a, b]) => [a!, { ...b!, offset: b!.offset - 8 }, b!],
      ],
      [
        "one over the beginning of the one behind",
        ([a, b, c]) => [b!, { ...a!, payload: bytes(a!.payload.length + 8) }, a!, c!],
      ],
      [
        "two ends that contradict each other",
        (pieces) => [pieces.at(-1)!, { ...pieces[1]!, more: false }, ...pieces.slice(0, -1)],
      ],
      [
        "bytes behind the end",
        (pieces) => [
          pieces.at(-1)!,
          { ...pieces[0]!, offset: 32768, payload: bytes(8) },
          ...pieces.slice(0, -1),
        ],
      ],
      [
        "an end before what has come",
        (pieces) => [
          { ...pieces[0]!, offset: 32768, payload: bytes(8) },
          pieces.at(-1)!,
          ...pieces.slice(0, -1),
        ],
      ],
    ];
    for (const [what, order] of overlapping) {
      simulate(`${what}: refused whole, without a word (RFC 5722, 3)`, (world) => {
        const { machine, peer } = family.settle(world);
        const change = moved(machine, layer, () => {
          send(peer, order(cut(family.echo(peer, 4000), 1024)));
          peer.expectNone(isAnswer, 70 * SECOND);
        });
        assert.equal(change["overlaps"], 1, JSON.stringify(change));
        assert.equal(change["reassemblyTimeouts"] ?? 0, 0);
        assert.equal(held(machine), 0);
        // The identification is free again.
        send(peer, cut(family.echo(peer, 4000), 1024));
        collect(family, peer);
      });
    }

    simulate("what never comes whole is given up after 60 s; the sender hears of it", (world) => {
      const { machine, peer } = family.settle(world);
      const pieces = cut(family.echo(peer, 4000), 1024);
      const change = moved(machine, layer, () => {
        send(peer, pieces.slice(0, 2));
        world.run(50 * SECOND);
        // Which fragment is late does not put it off (RFC 8200, 4.5: the first to arrive counts).
        send(peer, pieces.slice(2, 3));
        peer.expectNone(isAnswer, 9 * SECOND);
        const frame = peer.expect(isAnswer, 2 * SECOND, "time exceeded");
        const error = (frame.icmp ?? frame.icmp6)!;
        assert.deepEqual([error.type, error.code], [layer === "ip" ? 11 : 3, 1]);
        const quoted = layer === "ip" ? 20 : 40;
        assert.equal(error.payload[layer === "ip" ? 9 : 6], layer === "ip" ? 1 : 44);
        assert.ok(error.payload.length > quoted + 8);
      });
      assert.equal(change["reassemblyTimeouts"], 1);
      assert.equal(held(machine), 0);
    });

    simulate("nobody hears of it without the first fragment", (world) => {
      const { machine, peer } = family.settle(world);
      send(peer, cut(family.echo(peer, 4000), 1024).slice(1));
      const change = moved(machine, layer, () => peer.expectNone(isAnswer, 70 * SECOND));
      assert.equal(change["reassemblyTimeouts"], 1);
      assert.equal(held(machine), 0);
    });

    simulate("sources, protocols and identifications are told apart", (world) => {
      const { machine, peer } = family.settle(world);
      const [first, second] = cut(family.echo(peer, 1600), 1024);
      const change = moved(machine, layer, () => {
        send(peer, [first!, { ...second!, id: 78 }]);
        if (layer === "ip") send(peer, [{ ...second!, protocol: UDP }]);
        const other = layer === "ip" ? "10.0.0.7" : `${PREFIX}7`;
        send(peer, [{ ...second!, source: other }]);
        peer.expectNone(isAnswer, SECOND);
        send(peer, [second!]);
        collect(family, peer);
      });
      assert.equal(change["reassembled"], 1);
      world.run(60 * SECOND);
      assert.equal(held(machine), 0);
    });

    simulate(
      "congestion marks: any of them counts, unless one cannot have it (RFC 3168, 5.3)",
      (world) => {
        const { machine, peer } = family.settle(world);
        const sockets = new Sockets(machine);
        const raw = sockets.raw(UDP, family.domain);
        const [a, b] = cut(bytes(1600), 1024, 5, UDP);
        const change = moved(machine, layer, () => {
          send(peer, [
            { ...a!, ecn: ECT0 },
            { ...b!, ecn: CE },
          ]);
          send(peer, [
            { ...a!, id: 6, ecn: 0 },
            { ...b!, id: 6, ecn: CE },
          ]);
          world.run(10 * MILLISECOND);
        });
        assert.equal(change["reassembled"], 1);
        assert.equal(change["badFragments"], 2);
        const got = sockets.receiveFrom(raw)!;
        assert.equal(sockets.receiveFrom(raw), null);
        if (layer === "ip") assert.equal(got.bytes[1]! & 3, CE);
      },
    );

    simulate("fragments of no length, of an odd length, or beyond 65,535 octets", (world) => {
      const { machine, peer } = family.settle(world);
      const piece = (offset: number, length: number, more: boolean): Piece => {
        return { id: 9, offset, more, protocol: ICMP, payload: bytes(length) };
      };
      const change = moved(machine, layer, () => {
        send(peer, [piece(1024, 0, true), piece(1024, 9, true), piece(65528, 8, false)]);
        world.run(10 * MILLISECOND);
      });
      assert.deepEqual([change["fragments"], change["badFragments"]], [3, 3]);
      const said = peer.inbox.filter(isAnswer).map((frame) => {
        const { type, code, rest } = (frame.icmp ?? frame.icmp6)!;
        return [type, code, rest];
      });
      // RFC 8200, 4.5, tells the sender where the mistake is; IPv4 has no words for it.
      assert.deepEqual(
        said,
        layer === "ip"
          ? []
          : [
              [4, 0, 4],
              [4, 0, 42],
            ],
      );
      assert.equal(held(machine), 0);
    });

    simulate(
      "a TCP segment in fragments; ones that hide its flags (RFC 1858, RFC 3128)",
      (world) => {
        const { machine, peer } = family.settle(world);
        world.checker.followsTcp = false;
        const port = peer.tcp(family.own, 80, 5000);
        const sent: Uint8Array[] = [];
        const stop = world.link.observe((frame, from) => {
          if (from === peer) sent.push(frame.slice());
        });
        port.send({ flags: 2, options: { mss: 1460, windowScale: 7, sackPermitted: true } });
        peer.expect((frame) => frame.tcp !== undefined, SECOND, "reset");
        void stop;
        const segment = sent[0]!.slice(14 + (layer === "ip" ? 20 : 40));
        const change = moved(machine, layer, () => {
          send(peer, cut(segment, 24, 1, TCP));
          peer.expect((frame) => frame.tcp !== undefined, SECOND, "reset");
          send(peer, cut(segment, 8, 2, TCP));
          peer.expectNone((frame) => frame.tcp !== undefined, SECOND);
        });
        assert.equal(change["reassembled"], 1);
        assert.ok(change["badFragments"]! >= (layer === "ip" ? 2 : 1));
        const large = moved(machine, layer, () => {
          const flood = new Uint8Array(4000);
          flood.set(segment);
          send(peer, cut(flood, 1024, 3, TCP));
          peer.expectNone((frame) => frame.tcp !== undefined, SECOND);
        });
        assert.ok(large["badFragments"]! >= 1);
      },
    );

    simulate("a flood holds a bounded part of memory, and others still come through", (world) => {
      const { machine, peer } = family.settle(world);
      const prefix = layer === "ip" ? "10.0.0." : PREFIX;
      let id = 1;
      const flood = (count: number, source?: string) => {
        for (let i = 0; i < count; i++) {
          send(peer, [
            {
              id: id++,
              offset: 1024,
              more: true,
              protocol: ICMP,
              payload: bytes(8),
              ...(source && { source }),
            },
          ]);
          if (i % 16 === 15) world.run(MILLISECOND / 2);
        }
      };
      // One source alone fills its part, and another's datagram under way is not touched.
      const [first, ...rest] = cut(family.echo(peer, 4000), 1024, 1_000);
      send(peer, [first!]);
      flood(3000, `${prefix}9`);
      send(peer, rest);
      collect(family, peer);
      const one = held(machine);
      assert.ok(one > 0 && one <= 1 << 9, `${one}`);
      // From very many sources, a datagram whose fragments follow each other still comes through.
      for (let source = 10; source < 250; source++) flood(16, `${prefix}${source}`);
      assert.ok(held(machine) <= 1 << 12, `${held(machine)}`);
      for (let i = 0; i < 10; i++) {
        send(peer, cut(family.echo(peer, 4000), 1024, 2_000 + i));
        collect(family, peer);
        flood(16, `${prefix}${10 + i}`);
      }
      assert.ok(counters(machine, layer)["reassemblyEvicted"]! > 0);
      world.run(70 * SECOND);
      assert.equal(held(machine), 0);
      const all = counters(machine, layer);
      assert.equal(
        all["received"],
        all["delivered"]! - all["reassembled"]! + all["fragments"]! + all["notForUs"]!,
      );
    });

    simulate("to itself: the loopback, too, has a largest packet", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      sockets.bind(socket, 7, layer === "ip" ? "0.0.0.0" : "::");
      for (const length of [8900, 9000, 30000, family.largest]) {
        assert.equal(sockets.sendTo(socket, bytes(length), family.own, 7), length);
        world.run(10 * MILLISECOND);
        equal(sockets.receiveFrom(socket)!.bytes, bytes(length));
      }
      assert.equal(peer.inbox.length, 0);
      assert.equal(held(machine), 0);
    });
  });

  describe(`${name}: fragments sent`, () => {
    simulate("UDP datagrams of all sizes leave, in fragments that may", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      sockets.bind(socket, 9, layer === "ip" ? "0.0.0.0" : "::");
      const ids = new Set<number>();
      for (const length of [1473, 1480, 2952, 9000, 40000, family.largest]) {
        assert.equal(sockets.sendTo(socket, bytes(length), family.from(peer), 5), length);
        const first = peer.expect((frame) => family.piece(frame) !== undefined, SECOND);
        if (first.ipv4) assert.equal(first.ipv4.dontFragment, false);
        ids.add(family.piece(first)!.id);
        peer.inbox.unshift(first);
        const datagram = collect(family, peer);
        const sent = { sourcePort: 9, destinationPort: 5, payload: bytes(length) };
        equal(datagram, udpDatagram(family.own, family.from(peer), sent));
      }
      assert.equal(ids.size, 6);
      fails(EMSGSIZE, () =>
        sockets.sendTo(socket, bytes(family.largest + 1), family.from(peer), 5),
      );
      world.run(10 * MILLISECOND);
      assert.equal(held(machine), 0);
    });

    simulate("a neighbour that is yet to be found gets all fragments", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      const other = world.peer("10.0.0.5", { ip6: `${PREFIX}5` });
      sockets.sendTo(socket, bytes(family.largest), layer === "ip" ? "10.0.0.5" : `${PREFIX}5`, 5);
      equal(collect(family, other).subarray(8), bytes(family.largest));
      void peer;
      world.run(10 * MILLISECOND);
      assert.equal(held(machine), 0);
    });

    simulate("a router's word about the path is believed if it quotes what is ours", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      const to = family.from(peer);
      sockets.connect(socket, to, 5);
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), 1500);
      sockets.send(socket, bytes(1400));
      const sent = peer.expectUdp(5);
      let packet: Uint8Array | undefined;
      world.link.observe((frame, from) => {
        if (from !== peer) packet = frame.slice(14);
      });
      sockets.send(socket, bytes(1400));
      peer.expectUdp(5);
      assert.equal(sent.ipv4?.dontFragment ?? true, true);
      const tooBig = (quoted: Uint8Array, mtu: number) => {
        if (layer === "ip") {
          peer.sendIcmp(OWN, { type: 3, code: 4, rest: mtu, payload: quoted });
        } else {
          peer.sendIcmp6({ destination: HOST }, { type: 2, code: 0, rest: mtu, payload: quoted });
        }
        world.run(10 * MILLISECOND);
      };
      const quoted = packet!.slice(0, 300);
      const forged = quoted.slice();
      forged[layer === "ip" ? 21 : 41]! ^= 1;
      tooBig(forged, 1300);
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), 1500);
      tooBig(quoted, 1300);
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), 1300);
      // Nobody is told larger (RFC 1191, 4; RFC 8201, 4), nor so small that nothing is left.
      tooBig(quoted, 1400);
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), 1300);
      assert.equal(sockets.error(socket), 0);
      sockets.send(socket, bytes(1400));
      equal(collect(family, peer, 1300).subarray(8), bytes(1400));
      tooBig(quoted, 100);
      const least = layer === "ip" ? 552 : 1300;
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), least);
      // After ten minutes a larger size is tried (RFC 1191, 6.3).
      world.run(601 * SECOND);
      assert.equal(sockets.getOption(socket, SocketOption.PathMtu), 1500);
      assert.equal(held(machine), 0);
    });

    simulate("who wants no fragments is refused what does not fit", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram(family.domain);
      const most = 1500 - (layer === "ip" ? 28 : 48);
      for (const discovery of [2, 3]) {
        sockets.setOption(socket, SocketOption.MtuDiscovery, discovery);
        assert.equal(sockets.sendTo(socket, bytes(most), family.from(peer), 5), most);
        const { ipv4 } = peer.expectUdp(5);
        assert.equal(ipv4?.dontFragment ?? true, true);
        fails(EMSGSIZE, () => sockets.sendTo(socket, bytes(most + 1), family.from(peer), 5));
      }
      sockets.setOption(socket, SocketOption.MtuDiscovery, 0);
      sockets.sendTo(socket, bytes(most), family.from(peer), 5);
      const { ipv4 } = peer.expectUdp(5);
      assert.equal(ipv4?.dontFragment ?? false, false);
      sockets.sendTo(socket, bytes(most + 1), family.from(peer), 5);
      collect(family, peer);
      world.run(MILLISECOND);
      assert.equal(held(machine), 0);
    });

    simulate("raw packets and echo requests larger than the link", (world) => {
      const { machine, peer } = family.settle(world);
      const sockets = new Sockets(machine);
      const raw = sockets.raw(253, family.domain);
      sockets.sendTo(raw, bytes(5000), family.from(peer), 0);
      equal(collect(family, peer), bytes(5000));
      const echo = sockets.echo(family.domain);
      const request = Uint8Array.of(layer === "ip" ? 8 : 128, 0, 0, 0, 0, 0, 0, 1, ...bytes(5000));
      sockets.sendTo(echo, request, family.from(peer), 0);
      equal(collect(family, peer).subarray(8), bytes(5000));
      fails(EMSGSIZE, () => sockets.sendTo(raw, bytes(65536), family.from(peer), 0));
      world.run(MILLISECOND);
      assert.equal(held(machine), 0);
    });
  });
}

describe("IPv6: fragments and headers", () => {
  const message = (length: number) =>
    icmp6Message(PEER6, HOST, { type: 128, code: 0, rest: 1, payload: bytes(length) });
  const PAD = Uint8Array.of(1, 4, 0, 0, 0, 0);

  simulate("headers before and behind the fragment header", (world) => {
    const { machine, peer } = settled6(world);
    const whole = Uint8Array.from([ICMPV6, 0, ...PAD, ...message(3000)]);
    for (const { offset, more, payload } of cut(whole, 1024)) {
      peer.sendIpv6({
        destination: HOST,
        protocol: 60,
        payload,
        extensions: [[0, PAD], [60, PAD], fragmentHeader(5, offset, more)],
      });
    }
    equal(collect(FAMILIES[1]!, peer).subarray(8), bytes(3000));
    // What is wrong behind it is told by its place in the packet put together.
    const bad = Uint8Array.from([ICMPV6, 0, 0x80, 4, 0, 0, 0, 0, ...message(2000)]);
    for (const { offset, more, payload } of cut(bad, 1024)) {
      const extensions: [number, Uint8Array][] = [[60, PAD], fragmentHeader(6, offset, more)];
      peer.sendIpv6({ destination: HOST, protocol: 60, payload, extensions });
    }
    const { icmp6 } = peer.expectIcmp6(4);
    assert.deepEqual([icmp6!.code, icmp6!.rest], [2, 50]);
    world.run(MILLISECOND);
    assert.equal(held(machine), 0);
  });

  simulate("a first fragment must have all headers (RFC 7112, 5)", (world) => {
    const { machine, peer } = settled6(world);
    const cases: [number, Uint8Array][] = [
      [60, Uint8Array.of(ICMPV6, 1, 1, 4, 0, 0, 0, 0)],
      [60, Uint8Array.of(ICMPV6, 0, 1, 4, 0, 0, 0, 0)],
      [TCP, new Uint8Array(16)],
    ];
    for (const [protocol, payload] of cases) {
      const change = moved(machine, "ipv6", () => {
        const extensions = [fragmentHeader(5, 0, true)];
        peer.sendIpv6({ destination: HOST, protocol, payload, extensions });
        const { icmp6 } = peer.expectIcmp6(4);
        assert.deepEqual([icmp6!.code, icmp6!.rest], [3, 0]);
      });
      assert.equal(change["badFragments"], 1);
    }
    assert.equal(held(machine), 0);
  });

  simulate(
    "an atomic fragment is taken by itself, whatever is under way (RFC 6946, 4)",
    (world) => {
      const { machine, peer } = settled6(world);
      const family = FAMILIES[1]!;
      const [first, ...rest] = cut(message(3000), 1024, 7);
      family.send(peer, first!);
      family.send(peer, { id: 7, offset: 0, more: false, protocol: ICMP, payload: message(40) });
      assert.equal(peer.expectIcmp6(129).icmp6!.payload.length, 40);
      rest.forEach((piece) => family.send(peer, piece));
      collect(family, peer);
      world.run(MILLISECOND);
      assert.equal(held(machine), 0);
    },
  );
});
