import { addressHash } from "../hash";
import { Interface } from "../interface";
import { virtualStats } from "./stats";

/**
 * Which station is behind which port: what bridges have learnt (IEEE 802.1D, 7.8 and 7.9). A fixed table in sets of
 * four, so that a flood of made-up stations pushes out a few others and costs a lookup no more than before.
 */

/** A station of a bridge. 16 bytes. */
@unmanaged
class Station {
  mac: u64;
  /** Index of the port's interface and, above it, of the bridge's, from 1 on; 0: the place is free. */
  where: u32;
  /** When it was last heard, s. */
  heard: u32;
}

const SETS: u32 = 512;
const WAYS: u32 = 4;
/** The ageing time that the standard recommends, s (7.9.2, table 7-5). */
const AGEING: u32 = 300;
const stations: usize = memory.data(512 * 4 * 16, 64);


@inline function setOf(bridge: Interface, mac: u64): usize {
  const hash = addressHash(mac, bridge.index, 0) & (SETS - 1);
  return stations + <usize>hash * (WAYS * offsetof<Station>());
}


@inline function keyOf(bridge: Interface, port: Interface): u32 {
  return ((<u32>bridge.index + 1) << 16) | port.index;
}

/** Notes that a station spoke behind a port, at second `time`. */
export function stationHeard(bridge: Interface, port: Interface, mac: u64, time: u32): void {
  const where = keyOf(bridge, port);
  let oldest = changetype<Station>(setOf(bridge, mac));
  for (let i: u32 = 0; i < WAYS; i++) {
    const station = changetype<Station>(setOf(bridge, mac) + i * offsetof<Station>());
    if (station.mac == mac && station.where >>> 16 == where >>> 16) {
      if (station.where != where) virtualStats.moved++;
      station.where = where;
      station.heard = time;
      return;
    }
    if (!station.where || (oldest.where && station.heard < oldest.heard)) oldest = station;
  }
  if (oldest.where && time - oldest.heard < AGEING) virtualStats.evicted++;
  virtualStats.learnt++;
  oldest.mac = mac;
  oldest.where = where;
  oldest.heard = time;
}

/** The index of the port behind which a station is, or -1 when nobody knows. */
export function stationPort(bridge: Interface, mac: u64, time: u32): i32 {
  const set = setOf(bridge, mac);
  for (let i: u32 = 0; i < WAYS; i++) {
    const station = changetype<Station>(set + i * offsetof<Station>());
    if (station.mac != mac || station.where >>> 16 != <u32>bridge.index + 1) continue;
    return time - station.heard < AGEING ? <i32>(station.where & 0xffff) : -1;
  }
  return -1;
}

/** Forgets who is behind a port: its link has gone (802.1D, 7.9.2 leaves it to topology changes). */
export function stationsForget(port: Interface): void {
  for (let i: u32 = 0; i < SETS * WAYS; i++) {
    const station = changetype<Station>(stations + i * offsetof<Station>());
    if (station.where && (station.where & 0xffff) == port.index) station.where = 0;
  }
}
