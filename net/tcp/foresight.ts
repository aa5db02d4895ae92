import { prefetch } from "../../kernel/host";
import { Packet, PacketFlag } from "../../kernel/packet";
import { foresee } from "../endpoint";
import { IpAddress, v6Load } from "../wire/address";
import { ETHERNET_HEADER, EtherType, EthernetHeader } from "../wire/ethernet";
import { IPV4_HEADER, Ipv4Header, Protocol } from "../wire/ipv4";
import { IPV6_HEADER, Ipv6Header } from "../wire/ipv6";
import { TCP_HEADER, TcpHeader } from "../wire/tcp";
import { connectionLatestIs, connections, tupleHash } from "./demux";
import { tcbIndex } from "./tcb";

/**
 * A million connections do not fit into any cache: a segment for one that was idle waits for memory in
 * the table, then in the control block and in the socket. Segments come in bursts, so the waits of a
 * burst can pass at the same time: before it is taken apart, the table is asked for all of it, and then the blocks
 * and sockets, whose places follow from each other, are. Nothing is decided here and nothing believed; a frame
 * that is misread costs a useless line in the cache.
 */

/** Fewer frames than this gain nothing. */
const FEWEST: u32 = 3;
const SHORTEST: u32 = ETHERNET_HEADER + IPV4_HEADER + TCP_HEADER;
const SHORTEST6: u32 = ETHERNET_HEADER + IPV6_HEADER + TCP_HEADER;
/** Version 4, a header without options. */
const PLAIN_HEADER: u8 = 0x45;

const local = changetype<IpAddress>(memory.data(16, 8));
const remote = changetype<IpAddress>(memory.data(16, 8));

/** Connections of a burst, at most; those beyond wait each for its own memory. */
const MOST: u32 = 64;
/** Their hashes. */
const hashes: usize = memory.data(64 * 4, 64);

/**
 * Looks ahead at `count` frames from `first` on, received on the link `zone`; their hashes stay with them. A
 * prefetch ends only when its page is known, and so do all instructions before those that come after it: so each
 * step has a loop of its own, short enough for the processor to see many of the burst at once.
 */
export function tcpForesee(first: Packet | null, count: u32, zone: u32): void {
  if (count < FEWEST) return;
  const found = hashAll(changetype<usize>(first), zone);
  if (found < FEWEST) return;
  for (let i: u32 = 0; i < found; i++) connections.foresee(load<u32>(hashes + ((<usize>i) << 2)));
  for (let i: u32 = 0; i < found; i++) {
    const t = connections.likely(load<u32>(hashes + ((<usize>i) << 2)));
    if (!t) continue;
    prefetch(t);
    prefetch(t + 64);
    prefetch(t + 128);
    foresee(tcbIndex(t));
  }
}

/** Notes the hash of each segment's connection, and collects those of connections; how many. */
@inline function hashAll(first: usize, zone: u32): u32 {
  let addresses: u64 = 0;
  let ports: u32 = 0;
  /** The IPv6 header of the segment before; 0 if that was of IPv4. */
  let before6: usize = 0;
  let hash: u32 = 0;
  let known = false;
  let found: u32 = 0;
  for (let at = first; at; at = next(at)) {
    const packet = changetype<Packet>(at);
    const ip = packet.data + ETHERNET_HEADER;
    let tcp: usize;
    let isNew: bool;
    if (isSegment(packet)) {
      tcp = ip + IPV4_HEADER;
      isNew = load<u64>(ip, ADDRESSES) != addresses || load<u32>(tcp) != ports || before6 != 0;
      if (isNew) {
        before6 = 0;
        addresses = load<u64>(ip, ADDRESSES);
        local.setV4(changetype<Ipv4Header>(ip).destination);
        remote.setV4(changetype<Ipv4Header>(ip).source);
      }
    } else if (isSegment6(packet)) {
      tcp = ip + IPV6_HEADER;
      isNew = !before6 || load<u32>(tcp) != ports || !sameEnds(ip, before6);
      if (isNew) {
        v6Load(local, changetype<Ipv6Header>(ip).destinationAt, zone);
        v6Load(remote, changetype<Ipv6Header>(ip).sourceAt, zone);
      }
      before6 = ip;
    } else continue;
    if (isNew) {
      const header = changetype<TcpHeader>(tcp);
      ports = load<u32>(tcp);
      known = connectionLatestIs(local, header.destinationPort, remote, header.sourcePort);
      if (!known) {
        hash = tupleHash(local, header.destinationPort, remote, header.sourcePort);
        if (found < MOST) {
          store<u32>(hashes + ((<usize>found) << 2), hash);
          found++;
        }
      }
    }
    if (known) continue;
    packet.note = hash;
    packet.flags |= <u8>PacketFlag.Hashed;
  }
  return found;
}


@inline function next(packet: usize): usize {
  return changetype<usize>(changetype<Packet>(packet).next);
}

/** Where both addresses stand in an IPv4 header (RFC 791, 3.1), and in one of IPv6 (RFC 8200, 3). */
const ADDRESSES: usize = 12;
const ADDRESSES6: usize = 8;

/** Whether two IPv6 headers have the same addresses. */
@inline function sameEnds(ip: usize, other: usize): bool {
  return (
    load<u64>(ip, ADDRESSES6) == load<u64>(other, ADDRESSES6) &&
    load<u64>(ip, ADDRESSES6 + 8) == load<u64>(other, ADDRESSES6 + 8) &&
    load<u64>(ip, ADDRESSES6 + 16) == load<u64>(other, ADDRESSES6 + 16) &&
    load<u64>(ip, ADDRESSES6 + 24) == load<u64>(other, ADDRESSES6 + 24)
  );
}

/** Whether a frame looks like TCP over IPv4 without options. */
@inline function isSegment(packet: Packet): bool {
  const frame = packet.data;
  if (packet.length < SHORTEST) return false;
  if (changetype<EthernetHeader>(frame).type != EtherType.IPv4) return false;
  if (load<u8>(frame, ETHERNET_HEADER) != PLAIN_HEADER) return false;
  return <u32>changetype<Ipv4Header>(frame + ETHERNET_HEADER).protocol == <u32>Protocol.TCP;
}

/** The same over IPv6 without extension headers. */
@inline function isSegment6(packet: Packet): bool {
  const frame = packet.data;
  if (packet.length < SHORTEST6) return false;
  if (changetype<EthernetHeader>(frame).type != EtherType.IPv6) return false;
  const header = changetype<Ipv6Header>(frame + ETHERNET_HEADER);
  return header.version == 6 && <u32>header.nextHeader == <u32>Protocol.TCP;
}
