import assert from "node:assert/strict";
import { describe } from "node:test";
import { BROADCAST, icmpMessage, ICMP, UDP } from "../../../tools/sim/frames.ts";
import { SECOND } from "../../../tools/sim/simulation.ts";
import { advertise } from "../ipv6/network.ts";
import { counters, held } from "../counters.ts";
import { isPing, isUdp, pass, ping, routed } from "./network.ts";

describe("forwarding (RFC 1812, 5; RFC 8200, 3)", () => {
  routed("a datagram goes on as it came, but for one hop, both ways", (network) => {
    const left = network.peer(1);
    const right = network.peer(2);
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      pass(from, to.ip, { ttl: 17 });
      const { ipv4, udp } = to.expect(isUdp);
      assert.deepEqual([ipv4!.source, ipv4!.ttl], [from.ip, 16]);
      assert.equal(new TextDecoder().decode(udp!.payload), "passing");
      pass(from, to.ip6!, { ttl: 17 });
      const { ipv6 } = to.expect(isUdp);
      assert.deepEqual([ipv6!.source, ipv6!.hopLimit], [from.ip6!, 16]);
    }
    assert.equal(counters(network.router, "ip")["forwarded"], 2);
    assert.equal(counters(network.router, "ipv6")["forwarded"], 2);
    assert.equal(held(network.router), 0);
  });

  // Of many destinations those of a burst are looked up together, beginning with the second burst.
  const routes = [9, 10, 11].flatMap((host, i) => [
    `route=198.18.${i}.0/24,10.2.0.${host}`,
    `route=2001:db8:10${i}::/48,2001:db8:2::${host.toString(16)}`,
  ]);
  routed(
    "bursts to many destinations, each by the way of the longest prefix",
    (network) => {
      const left = network.peer(1);
      const right = [9, 10, 11, 12].map((host) => network.peer(2, host));
      const ways = [...right.keys()];
      const bursts = 6;
      const to = (burst: number, n: number): string[] => {
        const [way, host] = [n % ways.length, burst * 20 + n + 1];
        const v4 = way < 3 ? `198.18.${way}.${host}` : `198.18.200.${host}`;
        const v6 = way < 3 ? `2001:db8:10${way}::${host}` : `2001:db8:2ff::${host}`;
        return [v4, v6];
      };
      // Until all routers are known.
      for (const way of ways) for (const destination of to(0, way)) pass(left, destination);
      network.simulation.run(SECOND);
      for (const peer of right) peer.inbox.length = 0;
      for (let burst = 1; burst < bursts; burst++) {
        const sent = Array.from({ length: 20 }, (_, n) => to(burst, n)).flat();
        for (const destination of sent) pass(left, destination);
        network.simulation.run(SECOND);
        for (const way of ways) {
          const got = right[way]!.inbox.splice(0).filter(isUdp);
          assert.deepEqual(
            got.map(({ ipv4, ipv6 }) => (ipv4 ?? ipv6)!.destination),
            sent.filter((_, i) => (i >> 1) % ways.length === way),
          );
        }
      }
      assert.equal(held(network.router), 0);
    },
    [...routes, "route=198.18.0.0/16,10.2.0.12", "route=2001:db8::/32,2001:db8:2::c"].join(" "),
  );

  routed("a full frame goes on, with what the link padded left out", (network) => {
    const left = network.peer(1);
    const right = network.peer(2);
    pass(left, right.ip, { payload: new Uint8Array(1472).fill(7) });
    assert.equal(right.expect(isUdp).udp!.payload.length, 1472);
    pass(left, right.ip, { payload: Uint8Array.of(1) });
    assert.equal(right.expect(isUdp).ipv4!.payload.length, 9);
  });

  routed(
    "the last hop ends it: time exceeded from where the answer leaves, about pings, too",
    (network) => {
      const left = network.peer(1);
      const right = network.peer(2);
      for (const ttl of [0, 1]) {
        pass(left, right.ip, { ttl });
        const answer = left.expect(({ icmp }) => icmp?.type === 11);
        assert.deepEqual([answer.ipv4!.source, answer.icmp!.code], ["10.1.0.1", 0]);
        ping(left, right.ip, ttl);
        left.expectIcmp(11);
        pass(left, right.ip6!, { ttl });
        const answer6 = left.expect(({ icmp6 }) => icmp6?.type === 3);
        assert.deepEqual([answer6.ipv6!.source, answer6.icmp6!.code], ["2001:db8:1::1", 0]);
        ping(left, right.ip6!, ttl);
        left.expectIcmp6(3);
      }
      right.expectNone((frame) => isUdp(frame) || isPing(frame));
      assert.equal(counters(network.router, "ip")["expired"], 4);
    },
  );

  routed("what has no route is told of", (network) => {
    const left = network.peer(1);
    pass(left, "192.0.2.1");
    const answer = left.expect(({ icmp }) => icmp?.type === 3);
    assert.deepEqual([answer.ipv4!.source, answer.icmp!.code], ["10.1.0.1", 0]);
    pass(left, "2001:db8:77::1");
    assert.equal(left.expectIcmp6(1).icmp6!.code, 0);
  });

  routed("no error about an error (RFC 1122, 3.2.2)", (network) => {
    const left = network.peer(1);
    network.peer(2);
    const error = { type: 3, code: 1, rest: 0, payload: new Uint8Array(28) };
    pass(left, "10.2.0.9", { protocol: ICMP, payload: icmpMessage(error), ttl: 1 });
    left.expectNone((frame) => frame.icmp !== undefined);
  });

  routed("a larger packet than the next link takes is told of (RFC 4443, 3.2)", (network) => {
    const left = network.peer(1);
    const right = network.peer(2);
    advertise(right, { mtu: 1300, lifetime: 0 }, { source: "fe80::9" });
    network.simulation.run(SECOND);
    pass(left, right.ip6!, { payload: new Uint8Array(1400) });
    assert.equal(left.expectIcmp6(2).icmp6!.rest, 1300);
    pass(left, right.ip6!, { payload: new Uint8Array(1252) });
    right.expect(isUdp);
  });

  routed(
    "what is of one link or of nobody stays (RFC 1812, 5.3.7; RFC 3927, 7; RFC 4291, 2.5)",
    (network) => {
      const left = network.peer(1);
      const right = network.peer(2);
      pass(left, "127.0.0.1");
      pass(left, "10.2.0.9", { source: "127.0.0.9" });
      pass(left, "10.2.0.9", { source: "169.254.1.1" });
      pass(left, "169.254.1.2");
      pass(left, "255.255.255.255");
      pass(left, "224.0.0.9");
      pass(left, "250.0.0.1");
      pass(left, "10.2.0.9", { source: "250.0.0.1" });
      pass(left, "10.2.0.255");
      pass(left, "10.2.0.9", {}, BROADCAST);
      pass(left, "2001:db8:2::9", { source: "fe80::9" });
      pass(left, "2001:db8:2::9", { source: "::" });
      pass(left, "2001:db8:2::9", { source: "ff02::9" });
      pass(left, "::1");
      pass(left, "ff0e::9", {}, "33:33:00:00:00:09");
      right.expectNone(isUdp);
      // Until nobody is asked for any more.
      network.simulation.run(10 * SECOND);
      assert.equal(held(network.router), 0);
    },
  );

  routed("all addresses of a router are it (RFC 1812, 5.2.3)", (network) => {
    const left = network.peer(1);
    ping(left, "10.2.0.1");
    assert.equal(left.expect(({ icmp }) => icmp?.type === 0).ipv4!.source, "10.2.0.1");
    ping(left, "2001:db8:2::1");
    assert.equal(left.expectIcmp6(129).ipv6!.source, "2001:db8:2::1");
  });

  routed(
    "what the next link does not carry whole goes in fragments, if it may (RFC 791, 3.2; RFC 1191, 4)",
    (network) => {
      const left = network.peer(1);
      const right = network.peer(2);
      const bytes = Uint8Array.from({ length: 1400 }, (_, i) => (i * 7) & 255);
      pass(left, right.ip, { payload: bytes });
      const told = left.expectIcmp(3);
      assert.deepEqual([told.code, told.rest], [4, 1300]);
      // One that is a fragment already, with an option for all of its fragments, and one for the first alone.
      const options = Uint8Array.of(0x82, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1);
      const fields = { source: left.ip, destination: right.ip, protocol: UDP, id: 77 };
      const more = { dontFragment: false, moreFragments: true, fragmentOffset: 800, ttl: 9 };
      left.sendIpv4({ ...fields, ...more, options, payload: bytes }, left.resolve("10.1.0.1"));
      const parts = [0, 1].map(() => right.expect(({ ipv4 }) => ipv4?.id === 77).ipv4!);
      assert.deepEqual(
        parts.map((part) => [part.fragmentOffset, part.moreFragments, part.headerLength, part.ttl]),
        [
          [800, true, 32, 8],
          [800 + 1264, true, 32, 8],
        ],
      );
      assert.deepEqual(Buffer.concat(parts.map(({ payload }) => payload)), Buffer.from(bytes));
      assert.equal(counters(network.router, "ip")["fragmented"], 1);
      network.simulation.run(SECOND);
      assert.equal(held(network.router), 0);
    },
    "eth1=mtu=1300",
  );

  routed(
    "a host sends nothing on",
    (network) => {
      const left = network.peer(1);
      const right = network.peer(2);
      pass(left, right.ip);
      pass(left, right.ip6!);
      right.expectNone(isUdp);
      assert.equal(counters(network.router, "ip")["notForUs"], 1);
    },
    "forward=off",
  );
});
