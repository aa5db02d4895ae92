import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  DECLINE,
  DHCP_ACK,
  DhcpServer,
  type DhcpServerOptions,
  DISCOVER,
  NAK,
  REQUEST,
} from "../../tools/sim/dhcp.ts";
import {
  ETHERTYPE_IPV4,
  ethernet,
  type Frame,
  ipv4Packet,
  macBytes,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Domain, Sockets } from "../../tools/sim/sockets.ts";
import { Statistics } from "../../sdk/assembly/syscalls.ts";
import { counters, held } from "./counters.ts";
import { simulate, type World } from "./harness.ts";

const ADDRESS = "10.0.0.50";
const MAC = "52:54:00:5a:01:01";
const MINUTE = 60 * SECOND;

interface Bench {
  machine: Machine;
  peer: Peer;
  server: DhcpServer;
}

function bench(world: World, options: DhcpServerOptions = {}, words = "", ip6 = "off"): Bench {
  const peer = world.peer();
  const server = new DhcpServer(peer, options);
  const { machine } = world.station({ ip: "dhcp", ip6, commandLine: words });
  return { machine, peer, server };
}

function bound(world: World, options: DhcpServerOptions = {}): Bench {
  const all = bench(world, options);
  all.machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 10 * SECOND);
  return all;
}

/** Whether the machine answers at an address. */
function answers(world: World, peer: Peer, address: string): boolean {
  peer.inbox = [];
  peer.sendIpv4(
    {
      destination: address,
      protocol: 1,
      payload: Uint8Array.of(8, 0, 0xf7, 0xfe, 0, 0, 0, 1),
    },
    MAC,
  );
  world.run(20 * MILLISECOND);
  return peer.inbox.some((frame) => frame.icmp?.type === 0);
}

const seconds = (at: number) => at / SECOND;
const gaps = (log: { at: number }[]) => log.slice(1).map(({ at }, i) => seconds(at - log[i]!.at));
const near = (value: number, wanted: number, by = 1.05) =>
  assert.ok(Math.abs(value - wanted) <= by, `${value} is not ${wanted} ± ${by}`);

describe("DHCP: getting a lease (RFC 2131, 3.1)", () => {
  simulate("discover, offer, request, ack; the line says what is in force", (world) => {
    const { machine, peer, server } = bound(world, { lease: 86400 });
    assert.ok(
      machine.line(/net: eth0 10\.0\.0\.50\/24 gateway 10\.0\.0\.1 \(dhcp, lease 86400 s\)/),
    );
    assert.ok(seconds(world.simulation.now) < 0.2, "not at once");
    const [discover, request] = server.log;
    assert.deepEqual(
      server.log.map(({ type }) => type),
      [DISCOVER, REQUEST],
    );
    assert.equal(request!.requested, ADDRESS);
    assert.equal(request!.server, peer.ip);
    // RFC 2131, 4.4.1: the same xid and secs as the discover's.
    assert.equal(request!.xid, discover!.xid);
    assert.equal(request!.secs, discover!.secs);
    for (const { options } of server.log) {
      // RFC 2132, 9.14, 3.14, 9.8, 9.10: who we are, what we are called, what we ask for, what we take.
      assert.deepEqual([...options.get(61)!], [1, ...macBytes(MAC)]);
      assert.equal(new TextDecoder().decode(options.get(12)), "skerry");
      for (const code of [1, 3, 6, 15, 26, 42, 51, 58, 59, 121])
        assert.ok(options.get(55)!.includes(code));
      assert.deepEqual([...options.get(57)!], [1472 >> 8, 1472 & 255]);
    }
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(held(machine), 0);
  });

  simulate("the host name of the command line is sent", (world) => {
    const { machine, server } = bench(world, {}, "hostname=web-7");
    machine.expectLine(/dhcp, lease/, SECOND * 5);
    assert.equal(new TextDecoder().decode(server.log[0]!.options.get(12)), "web-7");
  });

  simulate("4.1: unanswered discovers come after 4, 8, 16, 32, 64, 64 s, each ± 1 s", (world) => {
    const { server } = bench(world);
    server.silent.add(DISCOVER);
    world.run(4 * MINUTE);
    const discovers = server.of(DISCOVER);
    const waits = gaps(discovers);
    [4, 8, 16, 32, 64, 64].forEach((wanted, i) => near(waits[i]!, wanted));
    assert.ok(
      waits.some((wait, i) => Math.abs(wait - [4, 8, 16, 32, 64, 64][i]!) > 0.01),
      "no jitter",
    );
    assert.ok(discovers.every(({ xid }) => xid === discovers[0]!.xid));
    near(discovers[3]!.secs, 28, 3);
  });

  simulate("a server that offers and then is silent is given up after 4 requests", (world) => {
    const { machine, server } = bench(world);
    server.silent.add(REQUEST);
    world.run(65 * SECOND);
    const [first] = server.log;
    assert.equal(server.of(REQUEST).filter(({ xid }) => xid === first!.xid).length, 4);
    assert.ok(
      machine.line(/does not answer; falling back, asking anew.*server=10\.0\.0\.1.*requests=4/),
    );
    machine.expectLine(/link-local\)/, 10 * SECOND);
    server.silent.clear();
    machine.expectLine(/dhcp, lease/, 40 * SECOND);
    assert.notEqual(server.of(DISCOVER)[1]!.xid, server.of(DISCOVER)[0]!.xid);
  });

  simulate(
    "a refusal is told with its server; the next try is at once, later ones wait",
    (world) => {
      const { machine, server } = bench(world);
      server.refuses = true;
      world.run(40 * SECOND);
      assert.ok(machine.line(/dhcp: eth0: the server refused the address.*address=10\.0\.0\.50/));
      const waits = gaps(server.of(DISCOVER));
      [0, 2, 4, 8, 16].forEach((wanted, i) => near(waits[i]!, wanted, 0.1));
      server.refuses = false;
      machine.expectLine(/dhcp, lease/, 70 * SECOND);
    },
  );

  simulate("a network without DHCP server", (world) => {
    const { machine } = world.station({ ip: "dhcp" });
    machine.expectLine(/no DHCP server answers; falling back and asking on/, MINUTE);
  });

  simulate("the fallback address serves until a server gives a lease", (world) => {
    const { machine, peer, server } = bench(
      world,
      { lease: 86400 },
      "fallback=10.0.0.9/24 gw=10.0.0.1",
    );
    server.silent.add(DISCOVER);
    machine.expectLine(/net: eth0 10\.0\.0\.9\/24 gateway 10\.0\.0\.1 \(static\)/, MINUTE);
    assert.ok(answers(world, peer, "10.0.0.9"));
    assert.equal(machine.line(/link-local\)/), undefined);
    server.silent.delete(DISCOVER);
    machine.expectLine(/net: eth0 10\.0\.0\.50\/24 gateway 10\.0\.0\.1 \(dhcp/, 2 * MINUTE);
    assert.ok(answers(world, peer, "10.0.0.50"));
    assert.ok(!answers(world, peer, "10.0.0.9"));
  });

  simulate(
    "a lease takes the fallback's router away, and no other route of the operator's",
    (world) => {
      const words = "fallback=10.0.0.9/24 gw=10.0.0.1 gw6=2001:db8:1::1 route=10.9.0.0/16,10.0.0.1";
      const { machine, peer, server } = bench(world, { lease: 86400 }, words, "2001:db8:1::2/64");
      peer.ip6 = "2001:db8:1::1";
      server.silent.add(DISCOVER);
      machine.expectLine(/net: eth0 10\.0\.0\.9\/24/, MINUTE);
      server.silent.delete(DISCOVER);
      machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 2 * MINUTE);
      const sockets = new Sockets(machine);
      for (const [to, domain] of [
        ["2001:db8:99::1", Domain.Inet6],
        ["10.9.0.1", Domain.Inet],
      ] as const) {
        peer.inbox = [];
        const socket = sockets.datagram(domain);
        sockets.sendTo(socket, Uint8Array.of(1), to, 4000);
        peer.expectUdp(4000);
      }
    },
  );

  simulate(
    "a wrong mask gives way to the class's, T1 and T2 without sense to 1/2 and 7/8",
    (world) => {
      const { machine, server } = bench(world, {
        mask: "255.0.255.0",
        lease: 800,
        renewal: 790,
        rebinding: 900,
      });
      machine.expectLine(/net: eth0 10\.0\.0\.50\/8/, 5 * SECOND);
      const start = world.simulation.now;
      server.silent.add(REQUEST);
      world.run(705 * SECOND);
      const requests = server.of(REQUEST).slice(1);
      // 4.4.5: a bit earlier, at random.
      near(seconds(requests[0]!.at - start), 387, 14);
      near(seconds(requests.find(({ toAll }) => toAll)!.at - start), 700, 1);
    },
  );

  simulate(
    "NTP servers are kept, shown, and forgotten when a renewal names none (RFC 2132, 8.3)",
    (world) => {
      const { machine, server } = bound(world, {
        lease: 1000,
        renewal: 400,
        ntp: ["10.0.0.7", "255.255.255.255", "10.0.0.8"],
      });
      assert.ok(machine.line(/\(dhcp, lease 1000 s\) ntp=10\.0\.0\.7 ntp=10\.0\.0\.8/));
      const sockets = new Sockets(machine);
      const known = () => {
        const view = sockets.statistics(Statistics.Ntp, 96);
        return Array.from({ length: view.byteLength / 16 }, (_, i) =>
          view.getUint32(16 * i + 8, true),
        );
      };
      assert.deepEqual(known(), [0x0a000007, 0x0a000008]);
      delete server.options.ntp;
      world.run(410 * SECOND);
      assert.deepEqual(known(), []);
    },
  );
});

describe("DHCP: conflict (RFC 2131, 3.1, 5; RFC 5227)", () => {
  simulate(
    "a leased address that another station has is declined, and asked for anew in 10 s",
    (world) => {
      const { machine, peer, server } = bench(world);
      const other = world.peer(ADDRESS);
      machine.expectLine(
        /declining the leased address.*address=10\.0\.0\.50 mac=52:54:00:5a:00:32/,
        SECOND,
      );
      world.run(SECOND);
      const [declined] = server.of(DECLINE);
      assert.equal(declined!.requested, ADDRESS);
      assert.equal(declined!.server, peer.ip);
      assert.equal(declined!.ciaddr, "0.0.0.0");
      assert.equal(declined!.toAll, true);
      assert.equal(answers(world, other, "10.0.0.51"), false);
      server.options.address = "10.0.0.51";
      machine.expectLine(/net: eth0 10\.0\.0\.51\/24/, 15 * SECOND);
      const again = server.of(DISCOVER)[1]!;
      assert.ok(again.at - declined!.at >= 10 * SECOND);
      // Nobody was told of an address that was not ours.
      const announced = (frame: Frame) => frame.arp?.senderIp === ADDRESS && frame.source === MAC;
      assert.equal(peer.inbox.some(announced), false);
    },
  );

  simulate("a later claim is fought off once, then the address is declined", (world) => {
    const { machine, server } = bound(world);
    world.run(5 * SECOND);
    const other = world.peer("10.0.0.9");
    const claim = () =>
      other.sendArp({ operation: "request", senderIp: ADDRESS, targetIp: "10.0.0.8" });
    claim();
    world.run(SECOND);
    assert.equal(server.of(DECLINE).length, 0);
    assert.ok(other.inbox.some((frame) => frame.arp?.senderIp === ADDRESS));
    claim();
    world.run(SECOND);
    assert.equal(server.of(DECLINE).length, 1);
    assert.ok(machine.line(/declining/));
  });
});

describe("DHCP: keeping a lease (RFC 2131, 4.4.5)", () => {
  const times = { lease: 1000, renewal: 400, rebinding: 800 };

  simulate("at T1 the server that gave it is asked, in person", (world) => {
    const { machine, peer, server } = bound(world, times);
    const start = world.simulation.now;
    world.run(410 * SECOND);
    const renewal = server.of(REQUEST)[1]!;
    near(seconds(renewal.at - start), 400, 1);
    assert.equal(renewal.toAll, false);
    assert.equal(renewal.ciaddr, ADDRESS);
    assert.equal(renewal.requested, undefined);
    assert.equal(renewal.server, undefined);
    // Its answer moves everything: the next renewal is T1 later again.
    world.run(2000 * SECOND);
    near(seconds(server.of(REQUEST)[2]!.at - renewal.at), 400, 1);
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(machine.console.filter((line) => line.includes("(dhcp, lease")).length, 1);
    assert.equal(counters(machine, "dhcp")["expired"], 0);
  });

  simulate("without an answer it asks again after half the time to T2, 60 s at least", (world) => {
    const { server } = bound(world, times);
    server.silent.add(REQUEST);
    world.run(795 * SECOND);
    const waits = gaps(server.of(REQUEST).slice(1));
    [200, 100, 60].forEach((wanted, i) => near(waits[i]!, wanted, 1));
  });

  simulate("at T2 every server is asked, and any may extend it", (world) => {
    const { machine, peer, server } = bound(world, times);
    const start = world.simulation.now;
    server.silent.add(REQUEST);
    world.run(810 * SECOND);
    const rebinding = server.of(REQUEST).find(({ toAll, ciaddr }) => toAll && ciaddr === ADDRESS)!;
    near(seconds(rebinding.at - start), 800, 1);
    assert.equal(rebinding.from, ADDRESS);
    assert.ok(machine.line(/does not renew the lease; asking all servers/));
    server.silent.clear();
    world.run(110 * SECOND);
    world.run(300 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(counters(machine, "dhcp")["expired"], 0);
  });

  simulate("at its end the address is given up at once, and asked for anew", (world) => {
    const { machine, peer, server } = bound(world, times);
    server.silent.add(REQUEST);
    world.run(998 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    world.run(3 * SECOND);
    assert.equal(answers(world, peer, ADDRESS), false);
    assert.ok(machine.line(/lease ended before a server renewed it.*10\.0\.0\.50/));
    assert.equal(server.of(DISCOVER).length, 2);
    server.silent.clear();
    world.run(70 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    assert.equal(held(machine), 0);
  });

  simulate("a refusal while renewing ends the use of the address at once", (world) => {
    const { machine, peer, server } = bound(world, times);
    server.options.address = "10.0.0.60";
    machine.expectLine(/refused the address/, 500 * SECOND);
    machine.expectLine(/net: eth0 10\.0\.0\.60\/24/, 5 * SECOND);
    assert.equal(answers(world, peer, ADDRESS), false);
    assert.ok(answers(world, peer, "10.0.0.60"));
  });

  simulate("a lease of all ones never ends", (world) => {
    const { machine, server } = bound(world, { lease: 0xffff_ffff });
    assert.ok(machine.line(/dhcp, lease for ever\)/));
    world.run(5 * MINUTE);
    assert.equal(server.log.length, 2);
  });
});

describe("DHCP: a link that went and came (RFC 2131, 3.2, 4.4.2)", () => {
  function flap(world: World): void {
    world.link.isUp = false;
    world.run(3 * SECOND);
    world.link.isUp = true;
  }

  simulate("the lease is confirmed, not asked for anew", (world) => {
    const { peer, server } = bound(world);
    flap(world);
    world.run(8 * SECOND);
    assert.equal(server.of(DISCOVER).length, 1);
    const reboot = server.of(REQUEST)[1]!;
    assert.equal(reboot.requested, ADDRESS);
    assert.equal(reboot.server, undefined);
    assert.equal(reboot.ciaddr, "0.0.0.0");
    assert.ok(answers(world, peer, ADDRESS));
  });

  simulate("another network's server refuses it: a new address", (world) => {
    const { machine, peer, server } = bound(world);
    server.options.address = "10.0.0.60";
    flap(world);
    machine.expectLine(/net: eth0 10\.0\.0\.60\/24/, 20 * SECOND);
    assert.equal(answers(world, peer, ADDRESS), false);
  });

  simulate("without an answer it is used until it ends", (world) => {
    const { machine, peer, server } = bound(world, { lease: 200 });
    server.silent.add(REQUEST).add(DISCOVER);
    flap(world);
    machine.expectLine(/no server confirms the lease; using it until it ends/, 30 * SECOND);
    assert.ok(answers(world, peer, ADDRESS));
    machine.expectLine(/lease ended/, 200 * SECOND);
    assert.equal(answers(world, peer, ADDRESS), false);
  });

  simulate("a machine without a cable waits for one", (world) => {
    world.link.isUp = false;
    const { machine, server } = bench(world);
    world.run(MINUTE);
    assert.equal(server.log.length, 0);
    world.link.isUp = true;
    machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 10 * SECOND);
  });
});

describe("link-local addresses (RFC 3927)", () => {
  const isProbe = (frame: Frame) =>
    frame.arp?.senderIp === "0.0.0.0" && frame.arp.targetIp.startsWith("169.254.");

  simulate("2.2: three probes, an announcement, then it is in use", (world) => {
    const { machine } = world.station({ ip: "dhcp" });
    const peer = world.peer("169.254.7.7");
    const probes: number[] = [];
    let announced = 0;
    peer.handler = (frame) => {
      if (isProbe(frame)) probes.push(world.simulation.now);
      if (frame.arp?.senderIp.startsWith("169.254.")) announced ||= world.simulation.now;
      return false;
    };
    const [, address] = machine.expectLine(
      /net: eth0 (169\.254\.\d+\.\d+)\/16 \(link-local\)/,
      MINUTE,
    );
    assert.equal(probes.length, 3);
    for (const wait of [probes[1]! - probes[0]!, probes[2]! - probes[1]!]) {
      assert.ok(wait >= SECOND && wait <= 2.01 * SECOND, `${wait}`);
    }
    world.run(10 * MILLISECOND);
    assert.ok(announced - probes[2]! >= 2 * SECOND);
    const third = Number(address!.split(".")[2]);
    assert.ok(third >= 1 && third <= 254);
    world.run(5 * SECOND);
    peer.inbox = [];
    peer.sendIcmp(address!, { type: 8, code: 0, rest: 1, payload: new Uint8Array(8) });
    peer.expectIcmp(0, SECOND);
  });

  simulate("2.1: the same station chooses the same address again", (world) => {
    const chosen = () => {
      const { machine } = world.station({ ip: "dhcp" });
      return machine.expectLine(/eth0 (169\.254\.\d+\.\d+)/, MINUTE)[1];
    };
    const first = chosen();
    const { machine } = world.stations[0]!;
    assert.ok(machine.line(/link-local/));
    // Another station, another address.
    assert.notEqual(chosen(), first);
  });

  simulate("2.2.1: an address that is taken is not used; after ten, one try a minute", (world) => {
    const { machine } = world.station({ ip: "dhcp" });
    const peer = world.peer("169.254.7.7", { alsoAnswers: (ip) => ip.startsWith("169.254.") });
    const tried: { at: number; ip: string }[] = [];
    peer.handler = () => false;
    world.link.observe((bytes, from) => {
      if (from === peer || bytes[12] !== 8 || bytes[13] !== 6 || bytes[28] !== 0) return;
      if (bytes[38] !== 169) return;
      tried.push({ at: world.simulation.now, ip: bytes.slice(38, 42).join(".") });
    });
    world.run(5 * MINUTE);
    assert.equal(machine.line(/link-local\)/), undefined);
    assert.equal(new Set(tried.map(({ ip }) => ip)).size, tried.length);
    const late = gaps(tried.slice(10));
    assert.ok(late.length >= 2);
    for (const wait of late) assert.ok(wait >= 60, `${wait} s`);
  });

  simulate("1.9, 2.11: a DHCP server that appears replaces it", (world) => {
    const { machine } = world.station({ ip: "dhcp" });
    const [, local] = machine.expectLine(/eth0 (169\.254\.\d+\.\d+)/, MINUTE);
    const peer = world.peer();
    new DhcpServer(peer);
    machine.expectLine(/net: eth0 10\.0\.0\.50\/24/, 70 * SECOND);
    assert.equal(answers(world, peer, local!), false);
    assert.ok(answers(world, peer, ADDRESS));
  });
});

describe("DHCP: what is not believed", () => {
  /** A server's message, built by hand so that any part of it can be wrong. */
  function message(type: number, xid: number, options: number[][] = []): Uint8Array {
    const bytes = new Uint8Array(400);
    bytes.set([2, 1, 6]);
    new DataView(bytes.buffer).setUint32(4, xid);
    bytes.set([10, 0, 0, 66], 16);
    bytes.set(macBytes(MAC), 28);
    bytes.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, 54, 4, 10, 0, 0, 1], 236);
    const lease = [51, 4, 0, 0, 14, 16];
    bytes.set([...lease, ...options.flat(), 255], 249);
    return bytes;
  }

  function deliver(peer: Peer, payload: Uint8Array, sourcePort = 67): void {
    const destination = "255.255.255.255";
    const udp = udpDatagram(peer.ip, destination, { sourcePort, destinationPort: 68, payload });
    const packet = ipv4Packet({ source: peer.ip, destination, protocol: UDP, payload: udp });
    peer.sendFrame(ethernet("ff:ff:ff:ff:ff:ff", peer.mac, ETHERTYPE_IPV4, packet));
  }

  /** A client in SELECTING whose xid is known. */
  function selecting(world: World) {
    const all = bench(world);
    all.server.silent.add(DISCOVER).add(REQUEST);
    world.run(SECOND);
    return { ...all, xid: all.server.log[0]!.xid };
  }

  simulate("offers with a field that is wrong", (world) => {
    const { machine, peer, server, xid } = selecting(world);
    const spoil = (at: number, value: number): Uint8Array => {
      const bytes = message(2, xid);
      bytes[at] = value;
      return bytes;
    };
    const wrong = [
      spoil(0, 1),
      spoil(1, 6),
      spoil(2, 8),
      spoil(7, (xid & 255) ^ 1),
      spoil(33, 0xff),
      spoil(236, 0),
      // yiaddr 224.0.0.66, 127.0.0.66 and 0.0.0.66; no server identifier; one of a wrong length.
      spoil(16, 224),
      spoil(16, 127),
      spoil(16, 0),
      spoil(243, 200),
      spoil(244, 3),
      // An option that runs out of the message; a type that is none; a type of two bytes.
      spoil(250, 255),
      spoil(242, 9),
      spoil(241, 2),
      message(2, xid).slice(0, 239),
      message(2, xid, [[6, 3, 1, 2, 3]]),
      message(2, xid, [[3, 0]]),
      message(DHCP_ACK, xid),
      message(NAK, xid),
    ];
    for (const bytes of wrong) deliver(peer, bytes);
    deliver(peer, message(2, xid), 6767);
    world.run(SECOND);
    assert.equal(server.of(REQUEST).length, 0);
    assert.equal(counters(machine, "dhcp")["ignored"], wrong.length + 1);
    assert.equal(held(machine), 0);
    deliver(peer, message(2, xid));
    world.run(SECOND);
    assert.equal(server.of(REQUEST).length, 1);
  });

  simulate("acks and refusals from a server that was not asked", (world) => {
    const { machine, peer, server, xid } = selecting(world);
    server.silent.add(REQUEST);
    deliver(peer, message(2, xid));
    world.run(100 * MILLISECOND);
    for (const type of [DHCP_ACK, NAK]) {
      const bytes = message(type, xid);
      bytes[248] = 9;
      deliver(peer, bytes);
    }
    const noLease = message(DHCP_ACK, xid);
    noLease[249] = 0x80;
    deliver(peer, noLease);
    world.run(100 * MILLISECOND);
    assert.equal(counters(machine, "dhcp")["ignored"], 3);
    assert.equal(machine.line(/dhcp, lease/), undefined);
    deliver(peer, message(DHCP_ACK, xid));
    machine.expectLine(/net: eth0 10\.0\.0\.66/, SECOND);
  });

  simulate("option overload: what stands in sname and file counts (RFC 2132, 9.3)", (world) => {
    const { machine, peer, server, xid } = selecting(world);
    deliver(peer, message(2, xid));
    world.run(100 * MILLISECOND);
    const ack = message(DHCP_ACK, xid, [[52, 1, 3]]);
    ack.set([1, 4, 255, 255, 255, 128, 255], 108);
    ack.set([3, 4, 10, 0, 0, 3, 255], 44);
    deliver(peer, ack);
    machine.expectLine(/net: eth0 10\.0\.0\.66\/25 gateway 10\.0\.0\.3 /, SECOND);
    assert.equal(server.of(REQUEST).length, 1);
  });

  simulate(
    "classless routes, in two parts, count in place of the router (RFC 3442, 3396)",
    (world) => {
      const { machine, peer, xid } = selecting(world);
      const [wide, narrow, unused] = [
        world.peer("10.0.0.3"),
        world.peer("10.0.0.4"),
        world.peer("10.0.0.5"),
      ];
      deliver(peer, message(2, xid));
      world.run(100 * MILLISECOND);
      const routes = [
        ...[0, 10, 0, 0, 3],
        ...[12, 172, 16, 10, 0, 0, 4],
        ...[32, 192, 0, 2, 9, 0, 0, 0, 0],
      ];
      const parts = [routes.slice(0, 9), routes.slice(9)].map((part) => [
        121,
        part.length,
        ...part,
      ]);
      const router = [3, 4, 10, 0, 0, 5];
      deliver(peer, message(DHCP_ACK, xid, [[1, 4, 255, 255, 255, 0], router, ...parts]));
      machine.expectLine(/net: eth0 10\.0\.0\.66\/24 with routes/, SECOND);
      const sockets = new Sockets(machine);
      const socket = sockets.datagram();
      for (const to of ["198.51.100.1", "172.17.0.1", "192.0.2.9"]) {
        sockets.sendTo(socket, Uint8Array.of(1), to, 9);
      }
      assert.equal(wide.expectUdp(9).ipv4!.destination, "198.51.100.1");
      assert.equal(narrow.expectUdp(9).ipv4!.destination, "172.17.0.1");
      // On the link: it is asked for itself.
      peer.expect(({ arp }) => arp?.operation === "request" && arp.targetIp === "192.0.2.9");
      unused.expectNone(({ udp }) => udp?.destinationPort === 9);
    },
  );

  simulate("classless routes that make no sense end where they do (RFC 3442)", (world) => {
    const { machine, peer, xid } = selecting(world);
    const router = world.peer("10.0.0.3");
    deliver(peer, message(2, xid));
    world.run(100 * MILLISECOND);
    const routes = [8, 44, 10, 0, 0, 3, 33, 1, 2, 3, 4, 5, 10, 0, 0, 3];
    deliver(peer, message(DHCP_ACK, xid, [[121, routes.length, ...routes]]));
    machine.expectLine(/net: eth0 10\.0\.0\.66\/8 with routes/, SECOND);
    const sockets = new Sockets(machine);
    const socket = sockets.datagram();
    sockets.sendTo(socket, Uint8Array.of(1), "44.0.0.1", 9);
    router.expectUdp(9);
    assert.throws(() => sockets.sendTo(socket, Uint8Array.of(1), "1.2.3.4", 9), /errno 101/);
  });

  simulate("a server's MTU is used, within reason (RFC 2132, 5.1)", (world) => {
    const { machine, peer, xid } = selecting(world);
    deliver(peer, message(2, xid));
    world.run(100 * MILLISECOND);
    deliver(
      peer,
      message(DHCP_ACK, xid, [
        [26, 2, 2, 88],
        [1, 4, 255, 255, 255, 0],
      ]),
    );
    machine.expectLine(/net: eth0 10\.0\.0\.66\/24/, SECOND);
    world.run(SECOND);
    peer.sendIcmp("10.0.0.66", { type: 8, code: 0, rest: 1, payload: new Uint8Array(572) });
    peer.expectIcmp(0, SECOND);
    peer.sendIcmp("10.0.0.66", { type: 8, code: 0, rest: 2, payload: new Uint8Array(573) });
    peer.expectNone((frame) => frame.icmp !== undefined, SECOND, "answer beyond the MTU");
  });
});
