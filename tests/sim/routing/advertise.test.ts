import assert from "node:assert/strict";
import { describe } from "node:test";
import { discoveryOptions, type Frame, ip6, macBytes } from "../../../tools/sim/frames.ts";
import { Machine, macAddress } from "../../../tools/sim/machine.ts";
import { nicKind } from "../../../tools/sim/nics.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { counters, moved } from "../counters.ts";
import { addresses, advertise, words } from "../ipv6/network.ts";
import { kernelUnderTest } from "../kernel.ts";
import { isUdp, pass, ping, type Routed, routed } from "./network.ts";

const HOST = "fe80::9";
const isAdvertisement = ({ icmp6 }: Frame): boolean => icmp6?.type === 134;

/** Asks the routers of the link to speak. */
function solicit(peer: Peer, fields: { source?: string; hopLimit?: number } = {}): void {
  const message = {
    type: 133,
    code: 0,
    rest: 0,
    payload: Uint8Array.of(1, 1, ...macBytes(peer.mac)),
  };
  peer.sendIcmp6({ source: HOST, destination: "ff02::2", hopLimit: 255, ...fields }, message);
}

/** What an advertisement says, its options by type. */
function said({ ipv6, icmp6 }: Frame) {
  const rest = icmp6!.rest;
  return {
    destination: ipv6!.destination,
    hopLimit: rest >>> 24,
    flags: (rest >>> 16) & 255,
    lifetime: rest & 0xffff,
    times: [...icmp6!.payload.slice(0, 8)],
    options: discoveryOptions(icmp6!.payload.subarray(8)),
  };
}

/** Asks, and hears. */
function heard(peer: Peer) {
  peer.inbox = [];
  solicit(peer);
  return said(peer.expect(isAdvertisement, 4 * SECOND, "router advertisement"));
}

describe("router advertisements (RFC 4861, 6.2)", () => {
  routed(
    "who asks hears of router, link and prefix, as 6.2.1 has it unless told",
    (network) => {
      const peer = network.peer(1);
      const { options, times, ...header } = heard(peer);
      assert.deepEqual(header, { destination: "ff02::1", hopLimit: 64, flags: 0, lifetime: 1800 });
      assert.deepEqual(times, [0, 0, 0, 0, 0, 0, 0, 0]);
      assert.deepEqual([...options.keys()], [1, 5, 3]);
      assert.deepEqual([...options.get(1)!], [...macAddress(0x200)]);
      assert.deepEqual([...options.get(5)!], [0, 0, ...words([1500, 4])]);
      const prefix = options.get(3)!;
      assert.deepEqual([...prefix.slice(0, 2)], [64, 0xc0]);
      assert.deepEqual([...prefix.slice(2, 10)], words([2592000, 4], [604800, 4]));
      assert.equal(ip6(prefix.subarray(14)), "2001:db8:1::");
    },
    "advertise=eth0",
  );

  routed(
    "and of all that the operator says (RFC 4191, 2.2; RFC 8106, 5)",
    (network) => {
      const { options, flags, lifetime } = heard(network.peer(1));
      assert.deepEqual([flags, lifetime], [0x80 | 0x40 | 0x08, 900]);
      assert.deepEqual([...options.get(5)!], [0, 0, ...words([1400, 4])]);
      const dns = options.get(25)!;
      assert.deepEqual([...dns.slice(0, 6)], [0, 0, ...words([900, 4])]);
      assert.deepEqual(
        [ip6(dns.subarray(6, 22)), ip6(dns.subarray(22))],
        ["2001:db8::53", "2001:db8::54"],
      );
      const search = Buffer.from(options.get(31)!.slice(6));
      assert.equal(search.toString("latin1"), "\x03lab\x07example\0\x07example\0".padEnd(24, "\0"));
    },
    "advertise=eth0,preference=high,managed,other,interval=300,mtu=1400," +
      "dns=2001:db8::53,dns=2001:db8::54,search=lab.example,search=example",
  );

  routed(
    "unasked: three at 16 s at most, then at 200 s to 600 s (6.2.1, 6.2.4)",
    (network) => {
      const peer = network.peer(1);
      const times: number[] = [];
      peer.handler = (frame) => {
        if (isAdvertisement(frame)) times.push(network.simulation.now);
        return true;
      };
      network.simulation.run(6000 * SECOND);
      const waits = times.slice(1).map((time, i) => (time - times[i]!) / SECOND);
      // The first came before the peer.
      assert.ok(waits[0]! < 16.01, `${waits[0]}`);
      const steady = waits.slice(1);
      assert.ok(
        steady.length >= 9 && steady.every((wait) => wait >= 199 && wait <= 601),
        `${waits}`,
      );
      assert.ok(Math.max(...steady) - Math.min(...steady) > 50, "at random");
    },
    "advertise=eth0",
  );

  routed(
    "to all once in three seconds at most, whoever asks (6.2.6)",
    (network) => {
      const peer = network.peer(1);
      network.simulation.run(60 * SECOND);
      const change = moved(network.router, "ndp", () => {
        for (let i = 0; i < 300; i++) {
          solicit(peer);
          network.simulation.run(100 * MILLISECOND);
        }
      });
      assert.equal(change["routerSolicitationsReceived"], 300);
      const sent = change["routerAdvertisementsSent"]!;
      assert.ok(sent >= 8 && sent <= 11, `${sent}`);
    },
    "advertise=eth0",
  );

  routed(
    "no answer to what is no solicitation (6.1.1), or where nothing is advertised",
    (network) => {
      const peer = network.peer(1);
      const other = network.peer(2);
      network.simulation.run(60 * SECOND);
      peer.inbox = [];
      const change = moved(network.router, "ndp", () => {
        // From nobody, with where he is.
        solicit(peer, { source: "::" });
        solicit(peer, { hopLimit: 254 });
        solicit(other);
        peer.expectNone(isAdvertisement, 5 * SECOND);
      });
      assert.equal(change["malformed"], 2);
      assert.equal(other.inbox.filter(isAdvertisement).length, 0);
    },
    "advertise=eth0",
  );

  routed(
    "a host sends none (6.2.4), and the operator hears why",
    (network) => {
      const peer = network.peer(1);
      solicit(peer);
      peer.expectNone(isAdvertisement, 5 * SECOND);
      assert.ok(network.router.console.some((line) => /advertise needs forward=on/.test(line)));
      assert.equal(flagsOf(network, peer) & 0x80, 0);
    },
    "advertise=eth0 forward=off",
  );

  routed(
    "a router says that it is one (4.4), and is in the groups of routers (RFC 4291, 2.8)",
    (network) => {
      const peer = network.peer(1);
      assert.equal(flagsOf(network, peer) & 0x80, 0x80);
      const query = { type: 130, code: 0, rest: 1000 << 16, payload: new Uint8Array(20) };
      peer.sendIcmp6({ source: HOST, destination: "ff02::1", hopLimit: 1 }, query);
      const report = peer.expectIcmp6(143).icmp6!.payload;
      const groups = Array.from({ length: report.length / 20 }, (_, i) =>
        ip6(report.subarray(20 * i + 4, 20 * i + 20)),
      );
      assert.ok(groups.includes("ff02::2") && groups.includes("ff05::2"), `${groups}`);
    },
  );

  routed(
    "another router's is not taken, and what contradicts ours is told of (6.2.7)",
    (network) => {
      const other = network.peer(1, 3);
      const told = () =>
        network.router.console.filter((line) => /advertises differently/.test(line));
      const one = { source: "fe80::3" };
      const same = { prefix: "2001:db8:1::", valid: 2592000, preferred: 604800, mtu: 1500 };
      advertise(other, { ...same, prefix: "2001:db8:77::", valid: 5, preferred: 5 }, one);
      advertise(other, { ...same, hopLimit: 0, lifetime: 0 }, one);
      advertise(other, same, one);
      network.simulation.run(5 * SECOND);
      assert.deepEqual(told(), []);
      assert.equal(addresses(network.router)["stable"], undefined);
      const far = "2001:db8:ffff::9";
      pass(network.peer(2), far);
      other.expectNone(isUdp);
      for (const wrong of [{ hopLimit: 32 }, { valid: 86400 }, { mtu: 1400 }]) {
        advertise(other, { ...same, ...wrong }, one);
      }
      network.simulation.run(MILLISECOND);
      assert.equal(counters(network.router, "ndp")["inconsistent"], 3);
      // Once in ten minutes.
      assert.equal(told().length, 1);
      assert.match(told()[0]!, /router=fe80::3 what="?hop limit/);
    },
    "advertise=eth0",
  );

  routed(
    "another machine makes its address of it, and sends by it",
    (network) => {
      const nic = nicKind("e1000").make({ mac: macAddress(0x300) });
      const host = new Machine(network.simulation, {
        kernel: kernelUnderTest(),
        name: "host",
        commandLine: "ip=10.1.0.7/24 gw=10.1.0.1",
        devices: [nic],
      });
      try {
        nic.connect(network.links[0]!);
        host.start();
        host.expectLine(/\(router, stable\)/, 20 * SECOND);
        const far = network.peer(2);
        ping(far, addresses(host)["stable"]!);
        assert.equal(far.expectIcmp6(129).ipv6!.source, addresses(host)["stable"]);
      } finally {
        host.release();
      }
    },
    "advertise=eth0",
  );
});

/** The flags of the neighbour advertisement that answers a question for the router's address. */
function flagsOf(network: Routed, peer: Peer): number {
  let flags = 0;
  network.links[0]!.observe((bytes) => {
    if (bytes[12] === 0x86 && bytes[54] === 136) flags = bytes[58]!;
  });
  peer.solicit("2001:db8:1::1");
  network.simulation.run(10 * MILLISECOND);
  return flags;
}
