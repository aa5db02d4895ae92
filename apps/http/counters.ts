import { DHCPD } from "../../kernel/features";
import { copyStats } from "../../kernel/copies";
import { poolCount } from "../../net/dhcp/pool";
import { dhcpServerStats, dhcpStats } from "../../net/dhcp/stats";
import { dhcpv6Stats } from "../../net/dhcpv6/stats";
import { IcmpStats, icmpStats, icmpv6Stats } from "../../net/icmp/stats";
import { IpStats, ipStats, ipv6Stats } from "../../net/ip/stats";
import { arpStats } from "../../net/link/arp";
import { neighbourStats } from "../../net/link/neighbour";
import { ndpStats } from "../../net/ndp/stats";
import { tcpStats } from "../../net/tcp/stats";
import { udpStats } from "../../net/udp/stats";
import { JsonWriter } from "../lib/json";

/** What each layer of the stack has counted, by the names of its class of counters. */

export function writeCounters(json: JsonWriter): void {
  writeArp(json);
  writeIp(json, "ip", ipStats);
  writeIcmp(json, "icmp", icmpStats);
  writeIp(json, "ipv6", ipv6Stats);
  writeIcmp(json, "icmpv6", icmpv6Stats);
  writeNdp(json);
  writeUdp(json);
  writeTcp(json);
  writeCopies(json);
  writeDhcp(json);
}

function writeArp(json: JsonWriter): void {
  const a = arpStats;
  json.key("arp").object();
  json.count("requestsReceived", a.requestsReceived).count("repliesReceived", a.repliesReceived);
  json.count("requestsSent", a.requestsSent).count("repliesSent", a.repliesSent);
  json.count("probesSent", a.probesSent).count("announcementsSent", a.announcementsSent);
  json.count("malformed", a.malformed).count("noBuffer", a.noBuffer);
  json.count("conflicts", a.conflicts).endObject();
  const n = neighbourStats;
  json.key("neighbours").object();
  json.count("entries", n.entries).count("pending", n.pending);
  json.count("solicitations", n.solicitations).count("throttled", n.throttled);
  json.count("resolved", n.resolved).count("failed", n.failed);
  json.count("pendingDropped", n.pendingDropped).count("unresolvedDropped", n.unresolvedDropped);
  json.count("changed", n.changed).count("evicted", n.evicted).endObject();
}

function writeIp(json: JsonWriter, name: string, i: IpStats): void {
  json.key(name).object();
  json.count("received", i.received).count("delivered", i.delivered);
  json.count("badLength", i.badLength).count("badVersion", i.badVersion);
  json.count("badChecksum", i.badChecksum).count("badOptions", i.badOptions);
  json.count("sourceRouted", i.sourceRouted).count("badSource", i.badSource);
  json.count("notForUs", i.notForUs).count("badBroadcast", i.badBroadcast);
  json.count("fragments", i.fragments).count("unknownProtocol", i.unknownProtocol);
  json.count("sent", i.sent).count("noRoute", i.noRoute);
  json.count("tooBig", i.tooBig).count("noNeighbour", i.noNeighbour);
  json.count("forwarded", i.forwarded).count("expired", i.expired);
  json.count("reassembled", i.reassembled).count("badFragments", i.badFragments);
  json.count("duplicateFragments", i.duplicateFragments).count("overlaps", i.overlaps);
  json.count("reassemblyTimeouts", i.reassemblyTimeouts);
  json.count("reassemblyEvicted", i.reassemblyEvicted);
  json.count("reassemblyNoBuffer", i.reassemblyNoBuffer);
  json.count("fragmented", i.fragmented).endObject();
}

function writeIcmp(json: JsonWriter, name: string, i: IcmpStats): void {
  json.key(name).object();
  json.count("received", i.received).count("badLength", i.badLength);
  json.count("badChecksum", i.badChecksum).count("echoRequests", i.echoRequests);
  json.count("echoReplies", i.echoReplies).count("echoToGroup", i.echoToGroup);
  json.count("errorsDelivered", i.errorsDelivered).count("errorsInvalid", i.errorsInvalid);
  json.count("refused", i.refused).count("unknownType", i.unknownType);
  json.count("echoRepliesSent", i.echoRepliesSent).count("errorsSent", i.errorsSent);
  json.count("errorsLimited", i.errorsLimited).count("noBuffer", i.noBuffer);
  json.count("redirects", i.redirects).count("redirectsSent", i.redirectsSent).endObject();
}

function writeNdp(json: JsonWriter): void {
  const n = ndpStats;
  json.key("ndp").object();
  json.count("solicitationsReceived", n.solicitationsReceived);
  json.count("advertisementsReceived", n.advertisementsReceived);
  json.count("routersHeard", n.routersHeard).count("malformed", n.malformed);
  json.count("solicitationsSent", n.solicitationsSent);
  json.count("advertisementsSent", n.advertisementsSent);
  json.count("routerSolicitationsSent", n.routerSolicitationsSent);
  json.count("probesSent", n.probesSent).count("conflicts", n.conflicts);
  json.count("limited", n.limited).count("refused", n.refused);
  json.count("noBuffer", n.noBuffer);
  json.count("routerSolicitationsReceived", n.routerSolicitationsReceived);
  json.count("routerAdvertisementsSent", n.routerAdvertisementsSent);
  json.count("inconsistent", n.inconsistent).endObject();
}

function writeUdp(json: JsonWriter): void {
  const u = udpStats;
  json.key("udp").object();
  json.count("received", u.received).count("delivered", u.delivered);
  json.count("badLength", u.badLength).count("badChecksum", u.badChecksum);
  json.count("noPort", u.noPort).count("queueFull", u.queueFull);
  json.count("errors", u.errors).count("sent", u.sent);
  json.count("noBuffer", u.noBuffer).count("queued", u.queued).endObject();
}

function writeTcp(json: JsonWriter): void {
  const t = tcpStats;
  json.key("tcp").object();
  json.count("segmentsIn", t.segmentsIn).count("segmentsOut", t.segmentsOut);
  json.count("retransmits", t.retransmits).count("timeouts", t.timeouts);
  json.count("fastRetransmits", t.fastRetransmits).count("duplicateAcks", t.duplicateAcks);
  json.count("outOfOrder", t.outOfOrder).count("duplicates", t.duplicates);
  json.count("checksumErrors", t.checksumErrors).count("malformed", t.malformed);
  json.count("resetsIn", t.resetsIn).count("resetsOut", t.resetsOut);
  json.count("challengeAcks", t.challengeAcks).count("pawsDrops", t.pawsDrops);
  json.count("memoryDrops", t.memoryDrops).count("windowProbes", t.windowProbes);
  json.count("keepaliveProbes", t.keepaliveProbes).count("icmpIgnored", t.icmpIgnored);
  json.count("congestionMarks", t.congestionMarks).count("ecnReductions", t.ecnReductions);
  json.count("activeOpens", t.activeOpens).count("passiveOpens", t.passiveOpens);
  json.count("aborted", t.aborted).count("listenOverflows", t.listenOverflows);
  json.count("synCookiesSent", t.synCookiesSent).count("synCookiesOk", t.synCookiesOk);
  json.count("synCookiesBad", t.synCookiesBad);
  json.count("fastOpenActive", t.fastOpenActive);
  json.count("fastOpenActiveFailed", t.fastOpenActiveFailed);
  json.count("fastOpenPassive", t.fastOpenPassive).count("fastOpenRefused", t.fastOpenRefused);
  json.count("pathProbes", t.pathProbes).count("pathRaises", t.pathRaises);
  json.count("pathShrinks", t.pathShrinks).count("blackHoles", t.blackHoles);
  json.count("fastOpenOverflows", t.fastOpenOverflows).count("established", t.established);
  json.count("connections", t.connections).count("halfOpen", t.halfOpen);
  json.count("timeWait", t.timeWait).count("transmissions", t.transmissions);
  json.count("dsacksOut", t.dsacksOut).count("dsacksIn", t.dsacksIn);
  json.count("sackBlocksIn", t.sackBlocksIn).count("rackLosses", t.rackLosses);
  json.count("tlpProbes", t.tlpProbes).count("tlpRecoveries", t.tlpRecoveries);
  json.count("spuriousTimeouts", t.spuriousTimeouts).count("undos", t.undos);
  json.count("reneges", t.reneges).count("working", t.working);
  json.count("workRefused", t.workRefused).endObject();
}

/** Bytes of streams that programs took and gave, and how many of them were copied for it. */
function writeCopies(json: JsonWriter): void {
  const c = copyStats;
  json.key("copies").object();
  json.count("received", c.received).count("receivedCopied", c.receivedCopied);
  json.count("sent", c.sent).count("sentCopied", c.sentCopied);
  json.count("looped", c.looped);
  json.count("bouncedIn", c.bouncedIn).count("bouncedOut", c.bouncedOut).endObject();
}

function writeDhcp(json: JsonWriter): void {
  const d = dhcpStats;
  json.key("dhcp").object();
  json.count("discovers", d.discovers).count("offers", d.offers);
  json.count("requests", d.requests).count("acks", d.acks).count("naks", d.naks);
  json.count("declines", d.declines).count("ignored", d.ignored);
  json.count("expired", d.expired).count("noBuffer", d.noBuffer);
  json.count("releases", d.releases).endObject();
  if (DHCPD && poolCount()) writeDhcpServer(json);
  const six = dhcpv6Stats;
  json.key("dhcpv6").object();
  json.count("solicits", six.solicits).count("advertises", six.advertises);
  json.count("requests", six.requests).count("renewals", six.renewals);
  json.count("confirms", six.confirms).count("informationRequests", six.informationRequests);
  json.count("declines", six.declines).count("releases", six.releases);
  json.count("replies", six.replies).count("ignored", six.ignored);
  json.count("expired", six.expired).count("noBuffer", six.noBuffer).endObject();
}

function writeDhcpServer(json: JsonWriter): void {
  const d = dhcpServerStats;
  json.key("dhcpServer").object();
  json.count("leases", d.leases).count("discovers", d.discovers).count("offers", d.offers);
  json.count("requests", d.requests).count("acks", d.acks).count("naks", d.naks);
  json.count("declines", d.declines).count("releases", d.releases).count("informs", d.informs);
  json.count("conflicts", d.conflicts).count("exhausted", d.exhausted);
  json.count("limited", d.limited).count("expired", d.expired).count("ignored", d.ignored);
  json.count("rarpReplies", d.rarpReplies).count("noBuffer", d.noBuffer).endObject();
}
