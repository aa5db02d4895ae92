import { Errno } from "../../kernel/errno";
import {
  HEADROOM,
  Owner,
  Packet,
  PoolId,
  PacketFlag,
  Purpose,
  allocate,
  poolOf,
} from "../../kernel/packet";
import { random32 } from "../../kernel/random";
import { addressHash } from "../hash";
import { DEVICE_QUEUE_MAX } from "../interface";
import { IpAddress } from "../wire/address";
import { completeChecksum } from "../wire/checksum";
import { Route } from "./route";

/**
 * A datagram that its path does not carry whole is sent in fragments (RFC 791, 3.2; RFC 8200, 4.5), each a
 * header in a small slot with the bytes where they lie, so that nothing is copied.
 */

/**
 * Identifications by bucket of both addresses and the protocol: one after the other, so that none comes again
 * before it must (RFC 6864, 4.3), from a place that nobody can foresee (RFC 7739, 5.3).
 */
const COUNTERS: u32 = 256;
const counters: usize = memory.data(256 * 4, 64);

/** The next identification for a source, destination and protocol; IPv4 takes the lower 16 bits. */
export function nextIdentification(source: IpAddress, destination: IpAddress, protocol: u32): u32 {
  const far = addressHash(destination.hi, destination.lo, protocol);
  const hash = addressHash(source.hi, source.lo, far);
  const counter = counters + ((<usize>(hash & (COUNTERS - 1))) << 2);
  let next = load<u32>(counter);
  if (!next) next = random32();
  store<u32>(counter, next + 1);
  // Destinations that share a counter do not show each other its place.
  return next + rotl(hash, 16);
}

/**
 * Whether all fragments of a packet can be made and queued: a part of a datagram is of no use to anybody.
 * 0, or -ENOBUFS.
 */
export function fragmentsFit(route: Route, count: u32): i32 {
  const pool = poolOf(PoolId.Small);
  const room = pool.owned(Owner.Free) > pool.floor(Purpose.Data) + count;
  return room && route.iface.device.pendingLength + count <= DEVICE_QUEUE_MAX ? 0 : -Errno.ENOBUFS;
}

/** Payload bytes of all fragments but the last on a path of `mtu`, behind headers of `headers` bytes. */
@inline export function fragmentUnit(mtu: u32, headers: u32): u32 {
  return (mtu - headers) & ~7;
}

/** Prepares a packet, whose `data` is the transport header, for being cut: its bytes are final. */
export function fragmentPrepare(packet: Packet): void {
  if (packet.flags & PacketFlag.ChecksumPending) completeChecksum(packet);
  assert(!packet.fragmentCount && packet.references == 1);
  // Its bytes are the device's until the last fragment has gone.
  packet.give(Owner.NicTx);
}

/** A packet without headers that carries `length` bytes of another from `offset` on; `fragmentsFit` found room. */
export function fragmentOf(packet: Packet, offset: u32, length: u32): Packet {
  const fragment = changetype<Packet>(allocate(PoolId.Small, Purpose.Data, HEADROOM));
  fragment.addFragment(packet.data + offset, length, packet);
  fragment.trafficClass = packet.trafficClass;
  return fragment;
}
