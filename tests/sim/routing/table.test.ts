import assert from "node:assert/strict";
import { describe } from "node:test";
import { SECOND } from "../../../tools/sim/simulation.ts";
import { isUdp, pass, routed } from "./network.ts";

describe("the routing table", () => {
  routed(
    "the longest prefix wins, and its router is asked for, not the destination",
    (network) => {
      const left = network.peer(1);
      const wide = network.peer(2, 254);
      const narrow = network.peer(2, 253);
      pass(left, "10.9.1.1");
      wide.expect(isUdp);
      pass(left, "10.9.2.1");
      narrow.expect(isUdp);
      pass(left, "2001:db8:9:1::1");
      wide.expect(isUdp);
      pass(left, "2001:db8:9:2::1");
      narrow.expect(isUdp);
      wide.expectNone(isUdp);
    },
    "route=10.9.0.0/16,10.2.0.254 route=10.9.2.0/24,10.2.0.253 " +
      "route=2001:db8:9::/48,2001:db8:2::fe route=2001:db8:9:2::/64,2001:db8:2::fd",
  );

  routed(
    "the less metric wins; who falls silent is left, and taken again when he speaks (RFC 1122, 3.3.1.4)",
    (network) => {
      const left = network.peer(1);
      const second = network.peer(2, 253);
      const first = network.peer(2, 254);
      pass(left, "198.51.100.1");
      first.expect(isUdp);
      first.answersArp = false;
      // Once a second, until nobody can but have noticed.
      for (let i = 0; i < 90; i++) {
        pass(left, "198.51.100.1");
        network.simulation.run(SECOND);
      }
      second.inbox = [];
      first.inbox = [];
      pass(left, "198.51.100.1");
      second.expect(isUdp);
      assert.ok(!first.inbox.some(isUdp));
      first.answersArp = true;
      network.simulation.run(300 * SECOND);
      pass(left, "198.51.100.1");
      first.expect(isUdp);
      second.expectNone(isUdp);
    },
    "route=0.0.0.0/0,10.2.0.254,100 route=0.0.0.0/0,10.2.0.253,200",
  );

  routed(
    "routes that are alike share the destinations; each keeps its own (RFC 2992)",
    (network) => {
      const left = network.peer(1);
      const routers = [network.peer(2, 254), network.peer(2, 253), network.peer(2, 252)];
      const taken = (): number[] => {
        for (let host = 1; host <= 60; host++) pass(left, `198.51.100.${host}`);
        network.simulation.run(SECOND);
        const counts = routers.map((router) => router.inbox.filter(isUdp).length);
        for (const router of routers) router.inbox = [];
        return counts;
      };
      taken(); // finds the routers
      const counts = taken();
      assert.equal(
        counts.reduce((a, b) => a + b),
        60,
      );
      for (const count of counts) assert.ok(count >= 8, `${counts}`);
      assert.deepEqual(taken(), counts);
    },
    "route=198.51.100.0/24,10.2.0.254 route=198.51.100.0/24,10.2.0.253 " +
      "route=198.51.100.0/24,10.2.0.252",
  );

  routed(
    "a link-local router is one of its link",
    (network) => {
      const left = network.peer(1);
      const router = network.peer(2, 9, { alsoAnswers: (ip) => ip === "fe80::99" });
      pass(left, "2001:db8:ff::1");
      router.expect(isUdp);
    },
    "route=::/0,fe80::99%eth1",
  );
});
