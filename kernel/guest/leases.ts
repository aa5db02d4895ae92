import { Layout, SocketEvent } from "../../sdk/assembly/syscalls";
import { Errno } from "../errno";
import { GUEST_PLACES, guestMap, guestUnmap } from "../host";
import { reserve } from "../memory";
import * as sockets from "../socket";
import { SocketAddress } from "../socket";
import { Description } from "./descriptors";
import { WasiErrno } from "./errno";
import { Guest } from "./guest";
import { SocketDescription } from "./sockets";
import { result, waiting } from "./transfer";

/**
 * Leases of guests: packets that a guest reads where they lie, in pages of its window that show nothing else.
 * A place is room for one packet there. So that no two packets share a page, an image with a guest that leases
 * has half as many slots of packets (`poolsInit`); what else is in a page of a packet's is cleared before it is
 * lent: 2.6 KB for a full one.
 *
 * A lease ends with `release`, with its socket's last descriptor, and with its guest.
 */

/** A packet is three pages at most. */
const PLACE_PAGES: u32 = 4;
const PLACES: u32 = GUEST_PLACES / PLACE_PAGES;
const PAGE_MASK: u32 = 4095;
/** `struct skerry_lease`: address, bytes, number. */
const LEASE_BYTES: u32 = 12;


@unmanaged
class Place {
  /** Number of the kernel's lease; 0 while it is free. */
  lease: u32;
  socket: u32;
  pages: u32;
  /** Its number in the list, and above it how often it has been used: what the guest knows it by. */
  number: u32;
}

/** A guest's places. */
@unmanaged
export class Places {
  /** A bit for each that is free. */
  free0: u64;
  free1: u64;
  used: u32;


  @inline at(index: u32): Place {
    return changetype<Place>(
      changetype<usize>(this) + offsetof<Places>() + <usize>index * offsetof<Place>(),
    );
  }

  /** The first free one, or `PLACES`. */
  @inline get free(): u32 {
    if (this.free0) return <u32>ctz(this.free0);
    return this.free1 ? 64 + <u32>ctz(this.free1) : PLACES;
  }

  /** Takes a free one, or gives one back. */
  @inline flip(index: u32): void {
    if (index < 64) this.free0 ^= (<u64>1) << index;
    else this.free1 ^= (<u64>1) << (index - 64);
  }
}

/** Places for a guest whose module leases. Start-up only. */
export function placesMake(): Places {
  const places = changetype<Places>(reserve(offsetof<Places>() + PLACES * offsetof<Place>(), 8));
  places.free0 = places.free1 = u64.MAX_VALUE;
  for (let i: u32 = 0; i < PLACES; i++) places.at(i).number = i;
  return places;
}

/**
 * `lease_from` (fd, into, address or 0): takes the first unread bytes of a stream, or the oldest datagram, and
 * tells where they are to be read, and where they came from. Their number; 0 at the end of a stream and for a
 * datagram of nothing, for which there is nothing to release. `lease` is the same without the address.
 */
export function lease(guest: Guest, d: SocketDescription, at: u32, fromAt: u32, again: bool): i32 {
  const into = guest.memory(at, LEASE_BYTES);
  const address = fromAt ? guest.memory(fromAt, Layout.Address) : 0;
  if (!into || (fromAt && !address)) return -WasiErrno.Fault;
  const places = guest.places;
  if (places === null) return -WasiErrno.Nosys;
  const index = places.free;
  if (index == PLACES) return -WasiErrno.Nobufs;
  const from = changetype<SocketAddress | null>(address);
  const length = sockets.lease(d.object, true, from);
  if (length == -Errno.EAGAIN) {
    return waiting(guest, d, SocketEvent.Readable, 0, false, again);
  }
  if (length >= 0 && from !== null) d.sign(from);
  if (length <= 0) return result(length);
  const run = sockets.runAddress();
  const first = run & ~(<usize>PAGE_MASK);
  const end = (run + length + PAGE_MASK) & ~(<usize>PAGE_MASK);
  memory.fill(first, 0, run - first);
  memory.fill(run + length, 0, end - run - length);
  const place = places.at(index);
  place.lease = sockets.leaseNumber();
  place.socket = d.object;
  place.pages = (<u32>(end - first)) >> 12;
  place.number += PLACES;
  places.flip(index);
  places.used++;
  const base = guestMap(changetype<usize>(guest.record), index * PLACE_PAGES, first, place.pages);
  store<u32>(into, base + <u32>(run - first));
  store<u32>(into, length, 4);
  store<u32>(into, place.number, 8);
  return length;
}

/** Takes a place back, whose lease goes elsewhere. */
function clear(guest: Guest, places: Places, index: u32): void {
  const place = places.at(index);
  guestUnmap(changetype<usize>(guest.record), index * PLACE_PAGES, place.pages);
  place.lease = 0;
  places.flip(index);
  places.used--;
}

/** `release` (number), in any order. */
export function release(guest: Guest, number: u32): i32 {
  const places = guest.places;
  if (places === null) return -WasiErrno.Inval;
  const index = number % PLACES;
  const place = places.at(index);
  const leased = place.lease;
  if (!leased || place.number != number) return -WasiErrno.Inval;
  clear(guest, places, index);
  return result(sockets.release(leased));
}

/** A socket is about to be closed, and its leases with it. Cost: a look at each place, if any is used. */
export function leasesClosed(d: Description): void {
  const guest = d.guest;
  const places = guest.places;
  if (places === null || !places.used) return;
  for (let i: u32 = 0; i < PLACES; i++) {
    const place = places.at(i);
    if (place.lease && place.socket == d.object) clear(guest, places, i);
  }
}
