import type { Machine } from "../../tools/sim/machine.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { Layout, Statistics } from "../../sdk/assembly/syscalls.ts";

/** The stack's counters by name: the fields of its classes in order, each 8 bytes. */
const FIELDS = {
  ip: [
    Statistics.Ip,
    "received delivered badLength badVersion badChecksum badOptions sourceRouted badSource " +
      "notForUs badBroadcast fragments unknownProtocol sent noRoute tooBig noNeighbour " +
      "forwarded expired " +
      "reassembled badFragments duplicateFragments overlaps reassemblyTimeouts reassemblyEvicted " +
      "reassemblyNoBuffer fragmented",
  ],
  icmp: [
    Statistics.Icmp,
    "received badLength badChecksum echoRequests echoReplies echoToGroup errorsDelivered " +
      "errorsInvalid refused unknownType echoRepliesSent errorsSent errorsLimited noBuffer " +
      "redirects redirectsSent",
  ],
  udp: [
    Statistics.Udp,
    "received delivered badLength badChecksum noPort queueFull errors sent noBuffer queued",
  ],
  raw: [Statistics.Raw, "delivered filtered queueFull errors sent noBuffer queued"],
  arp: [
    Statistics.Arp,
    "requestsReceived repliesReceived malformed requestsSent repliesSent probesSent " +
      "announcementsSent noBuffer conflicts",
  ],
  // The first two share 8 bytes: entries, and packets pending above them.
  neighbours: [
    Statistics.Neighbours,
    "entriesPending solicitations throttled resolved failed pendingDropped unresolvedDropped " +
      "changed evicted",
  ],
  ipv6: [
    Statistics.Ipv6,
    "received delivered badLength badVersion badChecksum badOptions sourceRouted badSource " +
      "notForUs badBroadcast fragments unknownProtocol sent noRoute tooBig noNeighbour " +
      "forwarded expired " +
      "reassembled badFragments duplicateFragments overlaps reassemblyTimeouts reassemblyEvicted " +
      "reassemblyNoBuffer fragmented",
  ],
  icmpv6: [
    Statistics.Icmpv6,
    "received badLength badChecksum echoRequests echoReplies echoToGroup errorsDelivered " +
      "errorsInvalid refused unknownType echoRepliesSent errorsSent errorsLimited noBuffer " +
      "redirects redirectsSent",
  ],
  ndp: [
    Statistics.Ndp,
    "solicitationsReceived advertisementsReceived routersHeard malformed solicitationsSent " +
      "advertisementsSent routerSolicitationsSent probesSent conflicts limited refused noBuffer " +
      "routerSolicitationsReceived routerAdvertisementsSent inconsistent",
  ],
  dhcp: [
    Statistics.Dhcp,
    "discovers requests declines offers acks naks ignored expired noBuffer releases",
  ],
  dhcpServer: [
    Statistics.DhcpServer,
    "discovers offers requests acks naks declines releases informs ignored conflicts exhausted " +
      "limited expired rarpReplies noBuffer leases",
  ],
  dhcpv6: [
    Statistics.Dhcpv6,
    "solicits requests confirms renewals informationRequests declines releases advertises replies " +
      "ignored expired noBuffer",
  ],
  dns: [
    Statistics.Dns,
    "lookups cacheHits joined sent streams retries answers ignored otherCase truncated refused " +
      "timeouts failed noRoom evicted secure insecure bogus signatures hashes",
  ],
  virtual: [
    Statistics.Virtual,
    "vlanUnknown noBuffer forwarded flooded filtered reserved badSource learnt moved evicted strangers " +
      "malformed badChecksum outOfOrder badEcn tooLong looped noRoute errors limited",
  ],
  link: [Statistics.Link, "runts notForUs unknownType badSource downDropped queueFull"],
} as const;

export type Layer = keyof typeof FIELDS;

/** One layer's counters now. */
export function counters(machine: Machine, layer: Layer): Record<string, number> {
  const [which, names] = FIELDS[layer];
  const fields = names.split(" ");
  const view = new Sockets(machine).statistics(which, fields.length * 8);
  return Object.fromEntries(
    fields.map((name, i) => [
      name,
      i * 8 + 8 <= view.byteLength
        ? Number(view.getBigUint64(i * 8, true))
        : view.getUint32(i * 8, true),
    ]),
  );
}

/** What of a layer's counters `body` moves, and by how much. */
export function moved(machine: Machine, layer: Layer, body: () => void): Record<string, number> {
  const before = counters(machine, layer);
  body();
  const after = counters(machine, layer);
  const changes = Object.keys(after).map((name) => [name, after[name]! - before[name]!] as const);
  return Object.fromEntries(changes.filter(([, change]) => change !== 0));
}

/** Packets that the stack or a socket holds, over all pools: none, when nothing is under way. */
export function held(machine: Machine): number {
  const view = new Sockets(machine).statistics(Statistics.Pools, 4 * Layout.Pool);
  let total = 0;
  for (let pool = 0; pool < 4; pool++) {
    // By `Owner` from byte 16: Stack, Socket and Lease.
    for (const owner of [2, 3, 4])
      total += view.getUint32(pool * Layout.Pool + 16 + owner * 4, true);
  }
  return total;
}

/** Bytes that links over links have copied: the last of the class `CopyStats`. */
export function copied(machine: Machine): number {
  const view = new Sockets(machine).statistics(Statistics.Copies, 64);
  return Number(view.getBigUint64(56, true));
}
