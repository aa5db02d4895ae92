import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  DESTINATION_OPTIONS,
  fragmentHeader,
  HOP_BY_HOP,
  icmp6Message,
  ICMPV6,
  ROUTING,
} from "../../../tools/sim/frames.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { held, moved } from "../counters.ts";
import { simulate } from "../harness.ts";
import { HOST, PREFIX, settled } from "./network.ts";

const PEER = `${PREFIX}1`;
const PAD = Uint8Array.of(1, 4, 0, 0, 0, 0);

type Extensions = [number, Uint8Array][];

/** Sends an echo request behind extension headers. */
function echo(peer: Peer, extensions: Extensions, destination = HOST): void {
  const payload = icmp6Message(PEER, destination, {
    type: 128,
    code: 0,
    rest: 1,
    payload: new Uint8Array(8),
  });
  peer.sendIpv6({ destination, protocol: ICMPV6, payload, extensions });
}

/** An option of `type` and four octets. */
const option = (type: number): Uint8Array => Uint8Array.of(type, 4, 0, 0, 0, 0);

describe("extension headers", () => {
  const taken: [string, Extensions][] = [
    [
      "hop-by-hop, then destination options (RFC 8200, 4.1)",
      [
        [HOP_BY_HOP, PAD],
        [DESTINATION_OPTIONS, PAD],
      ],
    ],
    [
      "destination options twice",
      [
        [DESTINATION_OPTIONS, PAD],
        [DESTINATION_OPTIONS, PAD],
      ],
    ],
    ["a router alert (RFC 2711)", [[HOP_BY_HOP, Uint8Array.of(5, 2, 0, 0, 1, 0)]]],
    ["an unknown option to be skipped (4.2)", [[DESTINATION_OPTIONS, option(0x3e)]]],
    ["Pad1 only", [[HOP_BY_HOP, new Uint8Array(6)]]],
    ["a routing header of type 0 with nothing left (RFC 5095, 3)", [[ROUTING, new Uint8Array(6)]]],
    ["an atomic fragment (RFC 6946, 4)", [fragmentHeader(77, 0, false)]],
    [
      "eight headers",
      Array.from({ length: 8 }, (): [number, Uint8Array] => [DESTINATION_OPTIONS, PAD]),
    ],
  ];
  describe("taken", () => {
    for (const [name, extensions] of taken) {
      simulate(name, (world) => {
        const { machine, peer } = settled(world);
        echo(peer, extensions);
        peer.expectIcmp6(129);
        world.run(MILLISECOND);
        assert.equal(held(machine), 0);
      });
    }
  });

  const refused: [string, Extensions, code: number, pointer: number][] = [
    [
      "hop-by-hop that is not first (4.1)",
      [
        [DESTINATION_OPTIONS, PAD],
        [HOP_BY_HOP, PAD],
      ],
      1,
      40,
    ],
    ["an unknown option that wants a report (4.2)", [[DESTINATION_OPTIONS, option(0x80)]], 2, 42],
    ["one that wants it unless for many", [[HOP_BY_HOP, option(0xc0)]], 2, 42],
    [
      "its place behind others",
      [
        [HOP_BY_HOP, PAD],
        [DESTINATION_OPTIONS, Uint8Array.of(0, 0, 0x80, 0, 0, 0)],
      ],
      2,
      52,
    ],
    ["a jumbo payload (RFC 2675)", [[HOP_BY_HOP, option(0xc2)]], 2, 42],
    ["routing type 0 (RFC 5095, 3)", [[ROUTING, Uint8Array.of(0, 1, 0, 0, 0, 0)]], 0, 42],
    ["another unknown routing type (4.4)", [[ROUTING, Uint8Array.of(9, 1, 0, 0, 0, 0)]], 0, 42],
  ];
  describe("refused with a word", () => {
    for (const [name, extensions, code, pointer] of refused) {
      simulate(name, (world) => {
        const { machine, peer } = settled(world);
        echo(peer, extensions);
        const { icmp6 } = peer.expectIcmp6(4);
        assert.deepEqual([icmp6!.code, icmp6!.rest], [code, pointer]);
        world.run(MILLISECOND);
        assert.equal(held(machine), 0);
      });
    }
    simulate("an option that wants a report even of what is for many (4.2)", (world) => {
      const { peer } = settled(world);
      echo(peer, [[DESTINATION_OPTIONS, option(0x80)]], "ff02::1");
      assert.equal(peer.expectIcmp6(4).icmp6!.code, 2);
    });
  });

  const dropped: [string, Extensions, destination?: string][] = [
    ["an option to be discarded (4.2)", [[DESTINATION_OPTIONS, option(0x40)]]],
    [
      "one that wants a report unless for many, for many",
      [[DESTINATION_OPTIONS, option(0xc0)]],
      "ff02::1",
    ],
    [
      "an option that runs out of its header",
      [[DESTINATION_OPTIONS, Uint8Array.of(1, 9, 0, 0, 0, 0)]],
    ],
    [
      "an option whose length is missing",
      [[DESTINATION_OPTIONS, Uint8Array.of(1, 3, 0, 0, 0, 0x3e)]],
    ],
    [
      "nine options in a header (RFC 8504, 5.3)",
      [
        [
          DESTINATION_OPTIONS,
          Uint8Array.from([...new Array(9).fill([0x3e, 0]).flat(), 1, 2, 0, 0]),
        ],
      ],
    ],
    [
      "nine headers (RFC 8504, 5.3)",
      Array.from({ length: 9 }, (): [number, Uint8Array] => [DESTINATION_OPTIONS, PAD]),
    ],
  ];
  describe("dropped without one", () => {
    for (const [name, extensions, destination] of dropped) {
      simulate(name, (world) => {
        const { machine, peer } = settled(world);
        const change = moved(machine, "ipv6", () => {
          echo(peer, extensions, destination);
          world.run(10 * MILLISECOND);
        });
        assert.equal(change["badOptions"], 1, JSON.stringify(change));
        peer.expectNone((frame) => frame.icmp6 !== undefined, SECOND, "answer");
        assert.equal(held(machine), 0);
      });
    }
    simulate("a header longer than the packet", (world) => {
      const { machine, peer } = settled(world);
      const change = moved(machine, "ipv6", () => {
        peer.sendIpv6({
          destination: HOST,
          protocol: 60,
          payload: Uint8Array.of(58, 1, 1, 4, 0, 0, 0, 0),
        });
        peer.sendIpv6({ destination: HOST, protocol: 60, payload: Uint8Array.of(58, 0, 1) });
        peer.sendIpv6({ destination: HOST, protocol: 44, payload: Uint8Array.of(58, 0, 0, 0) });
        world.run(10 * MILLISECOND);
      });
      assert.equal(change["badOptions"], 3, JSON.stringify(change));
      assert.equal(held(machine), 0);
    });
    simulate("no next header at all (RFC 8200, 4.7)", (world) => {
      const { machine, peer } = settled(world);
      peer.sendIpv6({ destination: HOST, protocol: 59, payload: new Uint8Array(4) });
      peer.expectNone((frame) => frame.icmp6 !== undefined, SECOND, "answer");
      assert.equal(held(machine), 0);
    });
  });
});
