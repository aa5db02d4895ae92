/** VLANs (IEEE 802.1Q): links in the frames of another. */
import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  CUSTOMER_TAG,
  ethernet,
  ETHERTYPE_IPV4,
  ipv4Packet,
  SERVICE_TAG,
  UDP,
  udpDatagram,
} from "../../../tools/sim/frames.ts";
import { Devices } from "../../../tools/sim/devices.ts";
import { macAddress } from "../../../tools/sim/machine.ts";
import { Peer } from "../../../tools/sim/peer.ts";
import { SECOND } from "../../../tools/sim/simulation.ts";
import { tagged, Trunk } from "../../../tools/sim/trunk.ts";
import { copied, counters, held } from "../counters.ts";
import { isUdp, pass, ping, routed } from "../routing/network.ts";

/** A host in VLAN `id` of the first link: 10.<id>.0.9. */
function member(trunk: Trunk, id: number, type = CUSTOMER_TAG): Peer {
  const link = trunk.vlan(id, type);
  return new Peer(link, {
    ip: `10.${id}.0.9`,
    ip6: `2001:db8:${id}::9`,
    mac: macAddress(0x500 + id),
  });
}

const five = "eth0.5=10.5.0.1/24,2001:db8:5::1/64 eth0.6=10.6.0.1/24,2001:db8:6::1/64";

describe("VLANs", () => {
  routed(
    "frames have their VLAN's tag, byte by byte, priority 0 (802.1Q, 9.6)",
    (network) => {
      const trunk = new Trunk(network.links[0]!);
      const host = member(trunk, 5);
      const sent: Uint8Array[] = [];
      network.links[0]!.observe((frame, from) => {
        if (from !== trunk) sent.push(frame);
      });
      ping(host, "10.5.0.1");
      host.expectIcmp(0);
      const mine = sent.filter((frame) => frame[12] === 0x81);
      const arp = Buffer.from(mine[0]!);
      // Destination, source, 0x8100, VLAN 5, ARP.
      assert.equal(arp.subarray(0, 6).toString("hex"), host.mac.replaceAll(":", ""));
      assert.equal(arp.subarray(12, 18).toString("hex"), "810000050806");
      assert.ok(mine.every((frame) => frame.length >= 60));
      const reply = Buffer.from(mine.at(-1)!);
      assert.equal(reply.subarray(12, 18).toString("hex"), "810000050800");
      ping(host, "2001:db8:5::1");
      host.expectIcmp6(129);
    },
    five,
  );

  routed(
    "a router on a stick: from VLAN to VLAN and to a link, full frames, without a copy",
    (network) => {
      const trunk = new Trunk(network.links[0]!);
      const [a, b] = [member(trunk, 5), member(trunk, 6)];
      const c = network.peer(2);
      const most = new Uint8Array(1472).fill(7);
      for (const [from, to] of [
        [a, b],
        [b, a],
        [a, c],
        [c, b],
      ] as const) {
        for (const family of ["ip", "ip6"] as const) {
          const payload = family === "ip" ? most : most.subarray(20);
          pass(from, to[family]!, { payload });
          assert.deepEqual(to.expect(isUdp).udp!.payload, payload);
        }
      }
      assert.equal(counters(network.router, "ip")["forwarded"], 4);
      network.simulation.run(SECOND);
      assert.equal(held(network.router), 0);
      assert.equal(copied(network.router), 0);
    },
    five,
  );

  routed(
    "a VLAN that is not ours, a number that none has, and half a tag are dropped and counted",
    (network) => {
      const peer = network.peer(1);
      const router = peer.resolve("10.1.0.1");
      const frame = (): Uint8Array => {
        const udp = { sourcePort: 1, destinationPort: 2, payload: Uint8Array.of(1) };
        const payload = udpDatagram(peer.ip, "10.2.0.9", udp);
        const packet = ipv4Packet({
          source: peer.ip,
          destination: "10.2.0.9",
          protocol: UDP,
          payload,
        });
        return ethernet(router, peer.mac, ETHERTYPE_IPV4, packet);
      };
      const right = network.peer(2);
      peer.sendFrame(tagged(frame(), 7));
      peer.sendFrame(tagged(frame(), 4095));
      // A provider's tag is another kind.
      peer.sendFrame(tagged(frame(), 5, SERVICE_TAG));
      right.expectNone(isUdp);
      assert.equal(counters(network.router, "virtual")["vlanUnknown"], 3);
      // Nothing but a tag's type, as short as a frame can be.
      peer.sendFrame(Uint8Array.of(...frame().subarray(0, 12), 0x81, 0));
      network.simulation.run(SECOND);
      // Priority alone: the link's own (6.9), whatever the priority, and twice.
      peer.sendFrame(tagged(frame(), 0, CUSTOMER_TAG, 5));
      right.expect(isUdp);
      peer.sendFrame(tagged(tagged(frame(), 0), 0));
      right.expect(isUdp);
      assert.equal(held(network.router), 0);
    },
    five,
  );

  routed(
    "a VLAN in a provider's: two tags, each with its own MTU (802.1ad)",
    (network) => {
      const outer = new Trunk(network.links[0]!);
      const inner = new Trunk(outer.vlan(100, SERVICE_TAG));
      const host = member(inner, 7);
      const right = network.peer(2);
      pass(host, right.ip, { payload: new Uint8Array(100) });
      right.expect(isUdp);
      // Only one tag is beyond a frame's size: the second takes its room of the packet.
      pass(right, host.ip, { payload: new Uint8Array(1472) });
      assert.deepEqual(
        [right.expectIcmp(3).rest, new Devices(network.router).info(4).mtu],
        [1496, 1496],
      );
      pass(right, host.ip, { payload: new Uint8Array(1468) });
      assert.equal(host.expect(isUdp).length, 1510);
    },
    "eth0.100.7=10.7.0.1/24,2001:db8:7::1/64 eth0.100=proto=802.1ad",
  );

  routed(
    "names, addresses and counters of their own; the link's state is the card's",
    (network) => {
      const devices = new Devices(network.router);
      assert.deepEqual(
        [0, 1, 2, 3].map((i) => devices.info(i).name),
        ["eth0", "eth1", "lo", "eth0.5"],
      );
      const { mac, linkUp, mtu, driver, model } = devices.info(3);
      assert.deepEqual(
        { mac, linkUp, mtu, driver, model },
        {
          mac: devices.info(0).mac,
          linkUp: true,
          mtu: 1500,
          driver: "virtual",
          model: "802.1Q VLAN",
        },
      );
      const trunk = new Trunk(network.links[0]!);
      const host = member(trunk, 5);
      ping(host, "10.5.0.1");
      host.expectIcmp(0);
      assert.ok(devices.counters(3).receivedPackets >= 2 && devices.counters(3).sentPackets >= 2);
      network.links[0]!.isUp = false;
      network.router.expectLine(/eth0\.5 link down/, 5 * SECOND);
      network.links[0]!.isUp = true;
      network.router.expectLine(/eth0\.5 link up mbit=1000/, 5 * SECOND);
      assert.equal(devices.control(3, 3), -95);
    },
    "eth0.5=10.5.0.1/24",
  );
});
