import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  HOP_BY_HOP,
  icmp6Message,
  ICMPV6,
  mldRecords,
  ip6Bytes,
  solicitedNode,
} from "../../../tools/sim/frames.ts";
import type { Peer } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { simulate } from "../harness.ts";
import { addresses, HOST, PREFIX, ROUTER, settled } from "./network.ts";

/** A query for `group`, or general, to be answered within `ms`. */
function query(peer: Peer, ms: number, group = "::", hopLimit = 1, source = ROUTER): void {
  const destination = group === "::" ? "ff02::1" : group;
  const payload = Uint8Array.of(...ip6Bytes(group), 2, 125, 0, 0);
  const message = icmp6Message(source, destination, {
    type: 130,
    code: 0,
    rest: ms << 16,
    payload,
  });
  const extensions: [number, Uint8Array][] = [[HOP_BY_HOP, Uint8Array.of(5, 2, 0, 0, 1, 0)]];
  peer.sendIpv6({ source, destination, protocol: ICMPV6, payload: message, hopLimit, extensions });
}

describe("MLDv2 (RFC 3810)", () => {
  simulate("each group is reported when it is joined, and once more (6.1)", (world) => {
    const { machine } = world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
    const peer = world.peer("10.0.0.1", { ip6: ROUTER });
    world.run(5 * SECOND);
    const reports = peer.inbox.filter((f) => f.icmp6?.type === 143);
    const groups = reports.flatMap((report) => mldRecords(report.icmp6!));
    for (const address of [HOST, addresses(machine)["link-local"]!]) {
      const of = groups.filter(([, group]) => group === solicitedNode(address));
      assert.deepEqual(
        of.map(([type]) => type),
        [4, 4],
      );
    }
    assert.ok(!groups.some(([, group]) => group === "ff02::1"));
  });
  simulate("from nobody before there is an address to send from (RFC 3590, 4)", (world) => {
    world.station({ ip: "10.0.0.2/24", ip6: `${HOST}/64` });
    const peer = world.peer("10.0.0.1", { ip6: ROUTER });
    assert.equal(peer.expectIcmp6(143).ipv6!.source, "::");
  });
  simulate("a general query is answered within its time with all groups (6.2)", (world) => {
    const { machine, peer } = settled(world);
    query(peer, 500);
    const report = peer.expectIcmp6(143, 510 * MILLISECOND);
    assert.match(report.ipv6!.source, /^fe80::/);
    const wanted = [HOST, addresses(machine)["link-local"]!].map(solicitedNode).sort();
    const found = mldRecords(report.icmp6!);
    assert.deepEqual(found.map(([, group]) => group).sort(), wanted);
    assert.ok(found.every(([type]) => type === 2));
  });
  simulate("one for a group that we are in is, for another is not", (world) => {
    const { peer } = settled(world);
    query(peer, 100, solicitedNode(HOST));
    peer.expectIcmp6(143, SECOND);
    query(peer, 100, "ff02::1:ff99:9999");
    peer.expectNone((f) => f.icmp6?.type === 143, SECOND, "report");
  });
  simulate("one that came through a router, or from no neighbour, is not (6.2)", (world) => {
    const { peer } = settled(world);
    query(peer, 100, "::", 2);
    query(peer, 100, "::", 1, `${PREFIX}1`);
    peer.expectNone((f) => f.icmp6?.type === 143, SECOND, "report");
  });
});
