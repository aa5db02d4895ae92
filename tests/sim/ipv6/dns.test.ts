import assert from "node:assert/strict";
import { describe } from "node:test";
import { DhcpServer } from "../../../tools/sim/dhcp.ts";
import { Dhcpv6Server } from "../../../tools/sim/dhcpv6.ts";
import { CODE, DnsServer, a, aaaa, answerFlags, soa } from "../../../tools/sim/dns.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Sockets } from "../../../tools/sim/sockets.ts";
import { simulate, type World } from "../harness.ts";
import { PREFIX, ROUTER, advertise } from "./network.ts";

/** Adds a server that knows these addresses of web.test. */
function serve(peer: Peer, ...records: ReturnType<typeof a>[]): DnsServer {
  return new DnsServer(peer, ({ type }) => {
    const answers = records.filter((record) => record.type === type);
    return answers.length
      ? { answers }
      : { flags: answerFlags(CODE.NOERROR), authorities: [soa("test", 60)] };
  });
}

/** The addresses of web.test, in order. */
function find(world: World, machine: Machine): string[] {
  const sockets = new Sockets(machine);
  const lookup = sockets.resolve("web.test");
  world.run(5 * SECOND);
  return sockets.resolved(lookup)!.addresses;
}

describe("DNS over IPv6", () => {
  simulate("the server that a router tells of is asked (RFC 8106)", (world) => {
    const { machine } = world.ready({ ip6: "auto" });
    const router = world.peer("10.0.0.1", { ip6: ROUTER });
    router.isRouter = true;
    const server = serve(router, aaaa("web.test", "2001:db8:9::1"));
    world.run(5 * SECOND);
    advertise(router, { prefix: PREFIX, dns: [ROUTER] });
    world.run(3 * SECOND);
    assert.deepEqual(find(world, machine), ["2001:db8:9::1"]);
    assert.ok(server.log.length === 2 && server.log.every(({ from }) => from.startsWith("fe80::")));
  });

  simulate("one that DHCPv6 tells of is asked before it (RFC 8106, 5.3.1; RFC 3646)", (world) => {
    const { machine } = world.ready({ ip6: "auto" });
    const router = world.peer("10.0.0.1", { ip6: ROUTER });
    const idle = serve(router, aaaa("web.test", "2001:db8:9::1"));
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    const server = serve(other, aaaa("web.test", "2001:db8:9::2"));
    new Dhcpv6Server(router, { dns: ["fe80::3"] });
    world.run(5 * SECOND);
    advertise(router, { prefix: PREFIX, dns: [ROUTER], managed: 0x40 });
    world.run(3 * SECOND);
    assert.deepEqual(find(world, machine), ["2001:db8:9::2"]);
    assert.equal(server.log.length, 2);
    assert.equal(idle.log.length, 0);
  });

  simulate("search lists of both leases are tried, each domain once (RFC 3646, 4)", (world) => {
    const peer = world.peer("10.0.0.1", { ip6: ROUTER });
    new DhcpServer(peer, { domain: "lab.test" });
    const asked = new DnsServer(peer, () => ({ flags: answerFlags(CODE.NXDOMAIN) }));
    const server6 = new Dhcpv6Server(peer, { domains: ["LAB.test", "far.test"] });
    const { machine } = world.station({ ip: "dhcp", ip6: "dhcp" });
    machine.expectLine(/\(dhcpv6, lease/, 20 * SECOND);
    const names = () => {
      asked.log.length = 0;
      const sockets = new Sockets(machine);
      const lookup = sockets.resolve("web");
      world.run(5 * SECOND);
      assert.throws(() => sockets.resolved(lookup), /errno 2$/);
      return [...new Set(asked.log.map(({ name }) => name.toLowerCase()))].sort();
    };
    assert.deepEqual(names(), ["web", "web.far.test", "web.lab.test"]);
    // What a renewal does not say any more is over (RFC 8415, 18.2.10).
    server6.options.domains = [];
    world.run(2000 * SECOND);
    assert.deepEqual(names(), ["web", "web.lab.test"]);
  });

  simulate("so is one of the command line", (world) => {
    const dns = `${PREFIX}53`;
    const { machine } = world.ready({ ip6: `${PREFIX}2/64`, commandLine: `dns=${dns}` });
    const server = serve(world.peer("10.0.0.53", { ip6: dns }), a("web.test", "10.0.0.9"));
    world.run(5 * SECOND);
    assert.deepEqual(find(world, machine), ["10.0.0.9"]);
    assert.ok(server.log.every(({ from }) => from === `${PREFIX}2`));
  });
});

describe("which address to connect to first (RFC 6724, 10.2)", () => {
  const cases: [what: string, own: string[], better: string, worse: string][] = [
    ["the higher precedence", ["10.1.2.4/24", "2001:db8:1::2/64"], "2001:db8:1::1", "10.1.2.3"],
    [
      "the matching label",
      ["10.1.2.4/24", "2002:c633:6401::2/64"],
      "2002:c633:6401::1",
      "2001:db8:1::1",
    ],
    ["one that can be reached", ["10.1.2.4/24", "off"], "198.51.100.121", "2001:db8:1::1"],
    [
      "the longest matching prefix",
      ["10.1.2.4/24", "2001:db8:1::2/48"],
      "2001:db8:1:1::1",
      "2001:db8:3ffe::1",
    ],
    [
      "what is not for a site alone",
      ["10.1.2.4/24", "2001:db8:1::2/64"],
      "2001:db8:5::1",
      "fd00::1",
    ],
  ];
  for (const [what, [ip, ip6], better, worse] of cases) {
    for (const given of [
      [better, worse],
      [worse, better],
    ]) {
      simulate(`${what}: of ${given.join(" and ")} ${better}`, (world) => {
        const gateway6 = ip6 === "off" ? "" : "gw6=fe80::1";
        const commandLine = `gw=10.1.2.1 dns=10.1.2.1 ${gateway6}`;
        const { machine } = world.ready({ ip: ip!, ip6: ip6!, commandLine });
        const records = given.map((address) =>
          address.includes(":") ? aaaa("web.test", address) : a("web.test", address),
        );
        serve(world.peer("10.1.2.1", { ip6: "fe80::1" }), ...records);
        world.run(5 * SECOND);
        assert.deepEqual(find(world, machine), [better, worse]);
      });
    }
  }

  simulate("of two that have a source of their own kind, the higher precedence", (world) => {
    const { machine } = world.ready({ ip6: "auto", commandLine: "gw=10.0.0.1 dns=10.0.0.1" });
    const router = world.peer("10.0.0.1", { ip6: ROUTER });
    router.isRouter = true;
    serve(router, aaaa("web.test", "2002:c633:6401::1"), aaaa("web.test", "2001:db8:1::1"));
    world.run(5 * SECOND);
    for (const prefix of ["2002:c633:6401::", "2001:db8:1::"]) advertise(router, { prefix });
    world.run(3 * SECOND);
    assert.deepEqual(find(world, machine), ["2001:db8:1::1", "2002:c633:6401::1"]);
  });

  simulate("a matching scope: without an address beyond the link IPv4 goes first", (world) => {
    const { machine } = world.ready({ ip6: "auto", commandLine: "gw=10.0.0.1 dns=10.0.0.1" });
    const router = world.peer("10.0.0.1", { ip6: ROUTER });
    router.isRouter = true;
    serve(router, aaaa("web.test", "2001:db8:1::1"), a("web.test", "198.51.100.121"));
    world.run(5 * SECOND);
    advertise(router, {});
    world.run(10 * MILLISECOND);
    assert.deepEqual(find(world, machine), ["198.51.100.121", "2001:db8:1::1"]);
  });
});
