import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CONFIRM,
  DECLINE,
  Dhcpv6Server,
  type Dhcpv6ServerOptions,
  INF_MAX_RT,
  INFORMATION_REQUEST,
  NO_ADDRS_AVAIL,
  NO_BINDING,
  NOT_ON_LINK,
  option,
  REBIND,
  RECONFIGURE,
  REFRESH_TIME,
  RENEW,
  REPLY,
  REQUEST,
  SOL_MAX_RT,
  SOLICIT,
  UNSPEC_FAIL,
  words,
} from "../../../tools/sim/dhcpv6.ts";
import { macBytes } from "../../../tools/sim/frames.ts";
import type { Machine } from "../../../tools/sim/machine.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { counters, held } from "../counters.ts";
import { simulate, type World } from "../harness.ts";
import { advertise, OWN_MAC, PREFIX, ROUTER } from "./network.ts";

const ADDRESS = "2001:db8:1::50";
const ADDRESSES = 0x80;
const OTHER = 0x40;
const LEASED = /net: eth0 2001:db8:1::50\/128 \(dhcpv6, lease 7200 s\)/;

interface Bench {
  machine: Machine;
  peer: Peer;
  server: Dhcpv6Server;
}

/** A machine with `ip6=dhcp` and a server. */
function bench(world: World, options: Dhcpv6ServerOptions = {}, ip6 = "dhcp"): Bench {
  const peer = world.peer("10.0.0.1", { ip6: ROUTER });
  const server = new Dhcpv6Server(peer, options);
  const { machine } = world.ready({ ip6 });
  return { machine, peer, server };
}

/** That, with a lease. */
function bound(world: World, options: Dhcpv6ServerOptions = {}): Bench {
  const all = bench(world, options);
  all.machine.expectLine(/net: eth0 2001:db8:1::50\/128 \(dhcpv6/, 15 * SECOND);
  return all;
}

/** Whether the machine answers at an address. */
function answers(world: World, peer: Peer, address: string): boolean {
  peer.inbox = [];
  const echo = { type: 128, code: 0, rest: 1, payload: new Uint8Array(8) };
  peer.sendIcmp6({ destination: address, source: ROUTER }, echo, OWN_MAC);
  world.run(20 * MILLISECOND);
  return peer.inbox.some((frame) => frame.icmp6?.type === 129);
}

const seconds = (at: number) => at / SECOND;
const gaps = (log: { at: number }[]) => log.slice(1).map(({ at }, i) => seconds(at - log[i]!.at));
/** Within what RAND can make of it (15), and the timer's tick. */
const near = (value: number, wanted: number, share = 0.1001) =>
  assert.ok(Math.abs(value - wanted) <= wanted * share + 0.01, `${value} is not ${wanted} ± 10 %`);

describe("DHCPv6: started by routers (RFC 4861, 4.2)", () => {
  simulate("nobody is asked without a flag", (world) => {
    const { peer, server } = bench(world, {}, "auto");
    world.run(3 * SECOND);
    advertise(peer, { prefix: PREFIX });
    world.run(60 * SECOND);
    assert.equal(server.log.length, 0);
  });

  simulate("M: addresses, beside those of the router's prefix", (world) => {
    const { machine, peer, server } = bench(world, {}, "auto");
    world.run(3 * SECOND);
    advertise(peer, { prefix: PREFIX, managed: ADDRESSES });
    machine.expectLine(LEASED, 15 * SECOND);
    assert.ok(machine.line(/\(router, stable\)/));
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(server.of(INFORMATION_REQUEST).length, 0);
    assert.equal(held(machine), 0);
  });

  simulate("O: information alone; a router that adds M: addresses, too", (world) => {
    const { machine, peer, server } = bench(world, {}, "auto");
    world.run(3 * SECOND);
    advertise(peer, { prefix: PREFIX, managed: OTHER });
    machine.expectLine(/dhcpv6: eth0: information dns=fe80::1/, 5 * SECOND);
    assert.deepEqual(
      server.log.map(({ type }) => type),
      [INFORMATION_REQUEST],
    );
    advertise(peer, { prefix: PREFIX, managed: ADDRESSES | OTHER });
    machine.expectLine(LEASED, 15 * SECOND);
  });

  simulate("a static address: what routers say of addresses is not followed", (world) => {
    const { machine, peer, server } = bench(world, {}, "2001:db8:1::2/64");
    world.run(3 * SECOND);
    advertise(peer, { managed: ADDRESSES });
    world.run(20 * SECOND);
    assert.equal(server.log.length, 0);
    advertise(peer, { managed: OTHER });
    machine.expectLine(/dhcpv6: eth0: information/, 5 * SECOND);
  });

  simulate("ip6=dhcp: at once, and no address of a prefix", (world) => {
    const { machine, peer, server } = bound(world);
    advertise(peer, { prefix: PREFIX });
    world.run(5 * SECOND);
    assert.equal(machine.line(/\(router, /), undefined);
    assert.deepEqual(
      server.log.map(({ type }) => type),
      [SOLICIT, REQUEST],
    );
  });
});

describe("DHCPv6: getting a lease (RFC 8415, 18.2.1 and 18.2.2)", () => {
  simulate("Solicit, Advertise, Request, Reply: who, what and where", (world) => {
    const { server } = bound(world);
    const [solicit, request] = server.log;
    // 11.4: a DUID-LL, of Ethernet and our address.
    assert.equal(solicit!.client, Buffer.from([0, 3, 0, 1, ...macBytes(OWN_MAC)]).toString("hex"));
    assert.equal(solicit!.rapid, true);
    assert.deepEqual(solicit!.requests, [23, 24, SOL_MAX_RT]);
    assert.deepEqual(request!.requests, [23, 24, SOL_MAX_RT]);
    assert.deepEqual(request!.addresses, [ADDRESS]);
    assert.equal(request!.iaid, solicit!.iaid);
    assert.equal(solicit!.elapsed, 0);
    assert.equal(request!.elapsed, 0);
    assert.notEqual(request!.xid, solicit!.xid);
    // The first RT is over before the Advertise is acted upon: more than a second.
    const waited = seconds(request!.at - solicit!.at);
    assert.ok(waited > 1 && waited < 1.11, `${waited}`);
  });

  simulate("15: Solicits come after 1, 2, 4 … s, each ± 10 %, to SOL_MAX_RT", (world) => {
    const { server } = bench(world);
    server.silent.add(SOLICIT);
    world.run(5 * 3600 * SECOND);
    const waits = gaps(server.of(SOLICIT));
    assert.ok(waits[0]! > 1 && waits[0]! <= 1.101, `RAND is above 0: ${waits[0]}`);
    let previous = waits[0]!;
    for (const wait of waits.slice(1)) {
      if (previous > 1900) near(wait, 3600);
      else near(wait - 2 * previous + previous, previous);
      previous = wait;
    }
    assert.ok(waits.length >= 14);
    const xids = new Set(server.log.map(({ xid }) => xid));
    assert.equal(xids.size, 1);
    // 21.9: hundredths of a second since the first, at most what fits.
    near(server.log[3]!.elapsed, seconds(server.log[3]!.at - server.log[0]!.at), 0.01);
    assert.equal(server.log.at(-1)!.elapsed, 655.35);
  });

  simulate(
    "RFC 7083: another SOL_MAX_RT counts, of a refusal too; one out of bounds does not",
    (world) => {
      const { machine, server } = bench(world, {
        status: NO_ADDRS_AVAIL,
        addresses: [],
        more: [[SOL_MAX_RT, words(59)]],
      });
      world.run(40 * SECOND);
      server.options.more = [[SOL_MAX_RT, words(60)]];
      world.run(900 * SECOND);
      const waits = gaps(server.of(SOLICIT));
      assert.ok(waits.some((wait) => wait > 17 && wait < 40));
      for (const wait of waits.slice(8)) near(wait, 60);
      assert.equal(server.of(REQUEST).length, 0);
      assert.ok(machine.line(/dhcpv6: eth0: the server refused.*status=2 reason="?no/));
    },
  );

  simulate(
    "18.2.1: preference 255 is taken at once, else the most preferred in the first second",
    (world) => {
      const { machine } = bench(world, { preference: 5 });
      const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
      const second = new Dhcpv6Server(other, {
        preference: 9,
        addresses: [{ address: "2001:db8:1::99" }],
      });
      machine.expectLine(/2001:db8:1::99\/128/, 15 * SECOND);
      assert.equal(second.of(REQUEST).length, 1);
    },
  );

  simulate("preference 255: no wait", (world) => {
    const { server } = bound(world, { preference: 255 });
    const [solicit, request] = server.log;
    assert.ok(request!.at - solicit!.at < 100 * MILLISECOND);
  });

  simulate("an Advertise after the first RT is acted upon at once", (world) => {
    const { server } = bench(world);
    server.silent.add(SOLICIT);
    world.run(5 * SECOND);
    server.silent.clear();
    const before = server.of(SOLICIT).length;
    world.simulation.until(() => server.of(SOLICIT).length > before, 20 * SECOND, "Solicit");
    world.run(50 * MILLISECOND);
    assert.equal(server.of(REQUEST).length, 1);
  });

  simulate("21.14: Rapid Commit, two messages", (world) => {
    const { peer, server } = bound(world, { rapid: true });
    assert.equal(server.log.length, 1);
    assert.ok(answers(world, peer, ADDRESS));
  });

  simulate("a Reply to a Solicit without Rapid Commit is dropped", (world) => {
    const { machine, server } = bench(world);
    server.silent.add(SOLICIT);
    world.simulation.until(() => server.log.length > 0, 10 * SECOND, "Solicit");
    server.send(server.log[0]!, REPLY);
    world.run(SECOND / 2);
    assert.equal(machine.line(LEASED), undefined);
    assert.equal(counters(machine, "dhcpv6")["ignored"], 1);
  });

  simulate("a server that offers and then is silent: ten Requests, and anew", (world) => {
    const { machine, server } = bench(world);
    server.silent.add(REQUEST);
    machine.expectLine(/does not answer; looking for another requests=10/, 400 * SECOND);
    const requests = server.of(REQUEST);
    const waits = gaps(requests);
    [1, 2, 4, 8, 16].forEach((wanted, i) => near(waits[i]!, wanted, 0.6));
    for (const wait of waits.slice(6)) near(wait, 30);
    world.run(3 * SECOND);
    assert.equal(server.of(SOLICIT).length, 2);
  });

  simulate("several addresses of an association", (world) => {
    const addresses = [{ address: ADDRESS }, { address: "2001:db8:2::7" }];
    const { peer, machine } = bound(world, { addresses });
    machine.expectLine(/2001:db8:2::7\/128/, 3 * SECOND);
    assert.ok(answers(world, peer, ADDRESS) && answers(world, peer, "2001:db8:2::7"));
  });

  for (const [name, status] of Object.entries({ NOT_ON_LINK, NO_ADDRS_AVAIL })) {
    simulate(`18.2.10.1: ${name} in a Reply: looked for anew, in 10 s`, (world) => {
      const { machine, server } = bench(world);
      world.simulation.until(() => server.of(SOLICIT).length > 0, 10 * SECOND, "Solicit");
      server.options.status = status;
      machine.expectLine(new RegExp(`the server refused.*status=${status}`), 15 * SECOND);
      delete server.options.status;
      world.run(9 * SECOND);
      assert.equal(server.of(SOLICIT).length, 1);
      machine.expectLine(LEASED, 5 * SECOND);
    });
  }

  simulate(
    "18.2.10.1: M, and no address to be had: what else the server knows is used",
    (world) => {
      const { machine, peer, server } = bench(
        world,
        { status: NO_ADDRS_AVAIL, addresses: [] },
        "auto",
      );
      world.run(3 * SECOND);
      advertise(peer, { prefix: PREFIX, managed: ADDRESSES });
      machine.expectLine(/dhcpv6: eth0: information dns=fe80::1/, 5 * SECOND);
      world.run(300 * SECOND);
      assert.equal(server.of(INFORMATION_REQUEST).length, 1);
      assert.ok(server.of(SOLICIT).length > 5);
      server.options.addresses = [{ address: ADDRESS }];
      delete server.options.status;
      machine.expectLine(LEASED, 600 * SECOND);
      world.run(100_000 * SECOND);
      assert.equal(server.of(INFORMATION_REQUEST).length, 1);
      assert.equal(held(machine), 0);
    },
  );

  simulate("18.2.10.1: and again when that is out of date (21.23)", (world) => {
    const { machine, server } = bench(world, {
      status: NO_ADDRS_AVAIL,
      addresses: [],
      more: [[REFRESH_TIME, words(700)]],
    });
    machine.expectLine(/dhcpv6: eth0: information dns=fe80::1/, 5 * SECOND);
    world.run(600 * SECOND);
    assert.equal(server.of(INFORMATION_REQUEST).length, 1);
    // With the next Solicit, which by then are some minutes apart.
    world.run(1000 * SECOND);
    assert.equal(server.of(INFORMATION_REQUEST).length, 2);
  });

  simulate(
    "18.2.10.1: if nobody tells of anything else either, addresses are asked for on",
    (world) => {
      const { machine, server } = bench(world, { status: NO_ADDRS_AVAIL, addresses: [] });
      server.silent.add(INFORMATION_REQUEST);
      world.run(60 * SECOND);
      assert.ok(server.of(SOLICIT).length >= 5);
      const asked = server.of(INFORMATION_REQUEST);
      assert.ok(asked.length >= 3 && asked.at(-1)!.at - asked[0]!.at < 10 * SECOND);
      server.options.addresses = [{ address: ADDRESS }];
      delete server.options.status;
      machine.expectLine(LEASED, 120 * SECOND);
    },
  );

  simulate("18.2.10: UnspecFail: asked again at its time", (world) => {
    const { machine, server } = bench(world, { preference: 255 });
    server.silent.add(REQUEST);
    world.simulation.until(() => server.of(REQUEST).length > 0, 10 * SECOND, "Request");
    server.silent.clear();
    server.options.wholeStatus = UNSPEC_FAIL;
    machine.expectLine(/the server refused.*status=1/, 10 * SECOND);
    delete server.options.wholeStatus;
    machine.expectLine(/2001:db8:1::50\/128/, 20 * SECOND);
    assert.equal(server.of(SOLICIT).length, 1);
  });
});

describe("DHCPv6: keeping a lease (RFC 8415, 18.2.4 and 18.2.5)", () => {
  const addresses = [{ address: ADDRESS, preferred: 800, valid: 1000 }];

  simulate("at T1 the server that gave it is asked; its answer moves everything", (world) => {
    const { peer, server } = bound(world, { addresses, t1: 300, t2: 600 });
    const start = server.of(REQUEST)[0]!.at;
    world.run(305 * SECOND);
    const [renewal] = server.of(RENEW);
    near(seconds(renewal!.at - start), 300, 0.001);
    assert.deepEqual(renewal!.addresses, [ADDRESS]);
    world.run(3000 * SECOND);
    assert.ok(server.of(RENEW).length >= 10);
    assert.equal(server.of(REBIND).length, 0);
    assert.ok(answers(world, peer, ADDRESS));
  });

  simulate("T1 and T2 of 0: half and four fifths of the preferred lifetime", (world) => {
    const { server } = bound(world, { addresses });
    server.silent.add(RENEW).add(REBIND);
    const start = server.of(REQUEST)[0]!.at;
    world.run(800 * SECOND);
    near(seconds(server.of(RENEW)[0]!.at - start), 400, 0.001);
    near(seconds(server.of(REBIND)[0]!.at - start), 640, 0.001);
  });

  simulate("an IA_NA whose T1 is after its T2 is as if it were not there (21.4)", (world) => {
    const { server } = bench(world, { t1: 600, t2: 300 });
    world.run(30 * SECOND);
    assert.ok(server.of(SOLICIT).length > 2);
    assert.equal(server.of(REQUEST).length, 0);
  });

  simulate(
    "10 s, doubling, ± 10 %, to T2; then every server, to the end of the lifetimes",
    (world) => {
      const { machine, peer, server } = bound(world, { addresses, t1: 300, t2: 600 });
      const start = server.of(REQUEST)[0]!.at;
      server.silent.add(RENEW).add(REBIND);
      world.run(990 * SECOND);
      const waits = gaps(server.of(RENEW));
      [10, 20, 40, 80].forEach((wanted, i) => near(waits[i]!, wanted, 0.3));
      const [rebind] = server.of(REBIND);
      near(seconds(rebind!.at - start), 600, 0.001);
      assert.ok(machine.line(/does not renew the lease; asking all servers/));
      assert.ok(answers(world, peer, ADDRESS));
      server.silent.add(SOLICIT);
      world.run(20 * SECOND);
      assert.ok(machine.line(/the lease ended before a server renewed it/));
      assert.equal(answers(world, peer, ADDRESS), false);
      assert.equal(counters(machine, "dhcpv6")["expired"], 1);
      server.silent.clear();
      machine.expectLine(/2001:db8:1::50\/128/, 20 * SECOND);
      assert.equal(held(machine), 0);
    },
  );

  simulate("another server may extend it, and is the one to ask from then on", (world) => {
    const { server } = bound(world, { addresses, t1: 300, t2: 600 });
    server.silent.add(RENEW).add(REBIND);
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    const second = new Dhcpv6Server(other, { addresses, t1: 300, t2: 600 });
    world.run(610 * SECOND);
    assert.equal(second.of(REBIND).length, 1);
    world.run(310 * SECOND);
    assert.ok(
      second
        .of(RENEW)
        .some(({ server: named }) => named === Buffer.from(second.duid).toString("hex")),
    );
  });

  simulate(
    "18.2.10.1: NoBinding: a Request to that server; the address is used meanwhile",
    (world) => {
      const { peer, server } = bound(world, { addresses, t1: 300, t2: 600 });
      server.options.status = NO_BINDING;
      server.silent.add(REQUEST);
      world.run(305 * SECOND);
      assert.deepEqual(server.of(REQUEST).at(-1)!.addresses, [ADDRESS]);
      assert.ok(answers(world, peer, ADDRESS));
      delete server.options.status;
      server.silent.clear();
      world.run(40 * SECOND);
      assert.equal(server.of(SOLICIT).length, 1);
      assert.ok(answers(world, peer, ADDRESS));
    },
  );

  simulate("a valid lifetime of 0 takes an address back; one left out stays as it is", (world) => {
    const both = [...addresses, { address: "2001:db8:2::7", preferred: 800, valid: 1000 }];
    const { peer, server } = bound(world, { addresses: both, t1: 300, t2: 600 });
    world.run(10 * SECOND);
    server.options.addresses = [{ address: "2001:db8:2::7", preferred: 0, valid: 0 }];
    world.run(300 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(answers(world, peer, "2001:db8:2::7"), false);
  });

  simulate(
    "a Reply without the association: asked again at the usual time, not at once",
    (world) => {
      const { server } = bound(world, { addresses, t1: 300, t2: 600 });
      server.options.noAssociation = true;
      world.run(335 * SECOND);
      const waits = gaps(server.of(RENEW));
      assert.equal(waits.length, 2);
      near(waits[0]!, 10);
    },
  );

  simulate(
    "5.5.4 of RFC 4862: past its preferred lifetime an address starts nothing new",
    (world) => {
      const { peer, server } = bound(world, { addresses, t1: 300, t2: 600 });
      server.silent.add(RENEW).add(REBIND);
      world.run(810 * SECOND);
      assert.ok(answers(world, peer, ADDRESS));
    },
  );

  simulate("lifetimes without end", (world) => {
    const forever = 0xffff_ffff;
    const { machine, server } = bound(world, {
      addresses: [{ address: ADDRESS, preferred: forever, valid: forever }],
    });
    assert.ok(machine.line(/\(dhcpv6, lease for ever\)/));
    world.run(100_000 * SECOND);
    assert.equal(server.log.length, 2);
  });
});

describe("DHCPv6: conflict (RFC 8415, 18.2.8)", () => {
  simulate("an address that another station has is declined, and asked for anew", (world) => {
    const { machine, server } = bench(world);
    const other = world.peer("10.0.0.9", { ip6: ADDRESS });
    // An answer to a probe goes to all nodes (RFC 4861, 7.2.4).
    other.handler = (frame) => {
      if (frame.icmp6?.type === 135 && frame.ipv6!.source === "::")
        other.advertise(ADDRESS, "ff02::1", 0x20);
      return false;
    };
    server.silent.add(DECLINE);
    machine.expectLine(
      /declining the leased address, another station has it address=2001:db8:1::50/,
      15 * SECOND,
    );
    world.run(9 * SECOND);
    const declines = server.of(DECLINE);
    assert.deepEqual(declines[0]!.addresses, [ADDRESS]);
    const waits = gaps(declines);
    near(waits[0]!, 1);
    near(waits[1]!, 2, 0.25);
    server.silent.clear();
    server.options.addresses = [{ address: "2001:db8:1::51" }];
    machine.expectLine(/2001:db8:1::51\/128/, 40 * SECOND);
    assert.equal(machine.line(/2001:db8:1::50\/128/), undefined);
    assert.equal(held(machine), 0);
  });

  simulate("the others of the association stay", (world) => {
    const { machine, peer, server } = bench(world, {
      addresses: [{ address: ADDRESS }, { address: "2001:db8:2::7" }],
    });
    const other = world.peer("10.0.0.9", { ip6: ADDRESS });
    other.handler = (frame) => {
      if (frame.icmp6?.type === 135 && frame.ipv6!.source === "::")
        other.advertise(ADDRESS, "ff02::1", 0x20);
      return false;
    };
    machine.expectLine(/declining/, 15 * SECOND);
    world.run(20 * SECOND);
    assert.ok(answers(world, peer, "2001:db8:2::7"));
    assert.equal(server.of(SOLICIT).length, 1);
  });
});

describe("DHCPv6: a link that went and came (RFC 8415, 18.2.3 and 18.2.12)", () => {
  function flap(world: World): void {
    world.link.isUp = false;
    world.run(3 * SECOND);
    world.link.isUp = true;
  }

  simulate("the lease is confirmed, not asked for anew", (world) => {
    const { peer, server } = bound(world);
    flap(world);
    world.run(10 * SECOND);
    const [confirm] = server.of(CONFIRM);
    assert.deepEqual(confirm!.addresses, [ADDRESS]);
    assert.equal(server.of(SOLICIT).length, 1);
    assert.ok(answers(world, peer, ADDRESS));
  });

  simulate("18.2.10.3: NotOnLink, and no server that says otherwise: a new lease", (world) => {
    const { machine, peer, server } = bound(world);
    server.options.wholeStatus = NOT_ON_LINK;
    server.options.addresses = [{ address: "2001:db8:9::1" }];
    flap(world);
    machine.expectLine(/not of this link; asking anew/, 15 * SECOND);
    delete server.options.wholeStatus;
    machine.expectLine(/2001:db8:9::1\/128/, 15 * SECOND);
    assert.equal(answers(world, peer, ADDRESS), false);
  });

  simulate("one server that says yes outweighs one that says no", (world) => {
    const { peer, server } = bound(world);
    server.options.wholeStatus = NOT_ON_LINK;
    const other = world.peer("10.0.0.3", { ip6: "fe80::3" });
    new Dhcpv6Server(other);
    flap(world);
    world.run(12 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(server.of(SOLICIT).length, 1);
  });

  simulate("no answer for ten seconds: it is used until it ends", (world) => {
    const { machine, peer, server } = bound(world);
    server.silent.add(CONFIRM);
    flap(world);
    machine.expectLine(/no server confirms the lease; using it until it ends/, 20 * SECOND);
    assert.ok(server.of(CONFIRM).length >= 4);
    assert.ok(answers(world, peer, ADDRESS));
  });

  simulate("only informed: asked for information again", (world) => {
    const { machine, peer, server } = bench(world, {}, "auto");
    world.run(3 * SECOND);
    advertise(peer, { prefix: PREFIX, managed: OTHER });
    machine.expectLine(/information/, 5 * SECOND);
    flap(world);
    world.run(10 * SECOND);
    assert.equal(server.of(INFORMATION_REQUEST).length, 2);
  });
});

describe("DHCPv6: information (RFC 8415, 18.2.6 and 21.23)", () => {
  function informed(world: World, options: Dhcpv6ServerOptions): Bench {
    const all = bench(world, options, "auto");
    world.run(3 * SECOND);
    advertise(all.peer, { prefix: PREFIX, managed: OTHER, lifetime: 9000 });
    world.run(2 * SECOND);
    return all;
  }

  simulate("it asks for the refresh time and INF_MAX_RT, without an association", (world) => {
    const { server } = informed(world, {});
    const [asked] = server.of(INFORMATION_REQUEST);
    assert.deepEqual(asked!.requests, [23, 24, REFRESH_TIME, INF_MAX_RT]);
  });

  simulate(
    "again when the refresh time is over, a second later at most; 600 s at least",
    (world) => {
      const { server } = informed(world, { more: [[REFRESH_TIME, words(30)]] });
      world.run(610 * SECOND);
      server.options.more = [[REFRESH_TIME, words(1000)]];
      world.run(600 * SECOND);
      world.run(1010 * SECOND);
      const [first, second, third] = gaps(server.log);
      assert.ok(first! >= 600 && first! <= 601.1, `${first}`);
      assert.ok(second! >= 600 && second! <= 601.1, `${second}`);
      assert.ok(third! >= 1000 && third! <= 1001.1, `${third}`);
    },
  );

  simulate("a day where nothing is said; never where it says so", (world) => {
    const { server } = informed(world, {});
    world.run(86_399 * SECOND);
    assert.equal(server.log.length, 1);
    server.options.more = [[REFRESH_TIME, words(0xffff_ffff)]];
    world.run(5 * SECOND);
    assert.equal(server.log.length, 2);
    world.run(200_000 * SECOND);
    assert.equal(server.log.length, 2);
  });

  simulate("15: unanswered ones come after 1, 2, 4 … s, to INF_MAX_RT", (world) => {
    const { server } = bench(world, {}, "auto");
    server.silent.add(INFORMATION_REQUEST);
    world.run(3 * SECOND);
    advertise(server.peer, { managed: OTHER });
    world.run(4 * 3600 * SECOND);
    const waits = gaps(server.log);
    near(waits[0]!, 1);
    near(waits.at(-1)!, 3600);
  });
});

describe("DHCPv6: what is not believed (RFC 8415, 16)", () => {
  simulate("answers with a part that is wrong", (world) => {
    const { machine, server } = bench(world);
    server.silent.add(SOLICIT);
    world.simulation.until(() => server.log.length > 0, 10 * SECOND, "Solicit");
    const asked = server.log[0]!;
    const { iaid, xid } = asked;
    const client = [...Buffer.from(asked.client, "hex")];
    const ids = [...option(1, client), ...option(2, server.duid)];
    const given = [...ids, ...option(7, [255]), ...server.association(iaid!)];
    const advertisement = [2, ...words(xid, 3), ...given];
    const wrong: number[][] = [
      [],
      [2],
      [2, 0, 0],
      // Another transaction, another type.
      [2, ...words(xid ^ 1, 3), ...given],
      [RECONFIGURE, ...words(xid, 3), ...given],
      [SOLICIT, ...words(xid, 3), ...given],
      [99, ...words(xid, 3), ...given],
      // 16.3: without server, without client, another client, a server's DUID too short and too long.
      [2, ...words(xid, 3), ...option(1, client), ...server.association(iaid!)],
      [2, ...words(xid, 3), ...option(2, server.duid), ...server.association(iaid!)],
      [2, ...words(xid, 3), ...option(1, [...client.slice(0, 9), 9]), ...option(2, server.duid)],
      [2, ...words(xid, 3), ...option(1, client), ...option(2, [0, 3])],
      [2, ...words(xid, 3), ...option(1, client), ...option(2, Array<number>(131).fill(1))],
      // Options that run out of the message, or of the association; lengths that no such option has.
      advertisement.slice(0, -1),
      [...advertisement, 0, 23],
      [...advertisement, ...option(23, [1, 2, 3])],
      [...advertisement, ...option(23, [])],
      [...advertisement, ...option(7, [])],
      [...advertisement, ...option(13, [0])],
      [...advertisement, ...option(14, [1])],
      [...advertisement, ...option(82, [1])],
      [2, ...words(xid, 3), ...ids, ...option(3, words(iaid!))],
      [
        2,
        ...words(xid, 3),
        ...ids,
        ...option(3, [...words(iaid!), ...words(0), ...words(0), 0, 5, 0, 200]),
      ],
    ];
    for (const bytes of wrong) server.sendBytes(asked.from, bytes);
    world.run(SECOND / 5);
    assert.equal(server.of(REQUEST).length, 0);
    assert.equal(counters(machine, "dhcpv6")["ignored"], wrong.length);
    assert.equal(held(machine), 0);
    server.sendBytes(asked.from, advertisement);
    world.run(SECOND / 5);
    assert.equal(server.of(REQUEST).length, 1);
  });

  simulate(
    "addresses that no host has, or that are preferred for longer than valid (21.6)",
    (world) => {
      const addresses = ["ff02::7", "fe80::7", "::1", "::ffff:10.0.0.1"].map((address) => ({
        address,
      }));
      const { server } = bench(world, {
        addresses: [...addresses, { address: "2001:db8:1::8", preferred: 100, valid: 50 }],
      });
      world.run(20 * SECOND);
      assert.equal(server.of(REQUEST).length, 0);
      assert.ok(server.of(SOLICIT).length > 2);
    },
  );

  simulate("another association of the same server is not ours", (world) => {
    const { server } = bench(world);
    server.association = () => {
      const inside = option(5, [...Array<number>(16).fill(0x20), ...words(1), ...words(2)]);
      return option(3, [...words(77), ...words(0), ...words(0), ...inside]);
    };
    world.run(20 * SECOND);
    assert.equal(server.of(REQUEST).length, 0);
  });
});
