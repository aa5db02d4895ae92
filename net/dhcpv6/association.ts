import { now } from "../../kernel/clock";
import { warn } from "../../kernel/log";
import { NEVER, SECOND } from "../../kernel/timer";
import { AddressOrigin, Interface, InterfaceAddress, findAddress } from "../interface";
import { v6Add, v6Remove } from "../ndp/addresses";
import { lentUntil, lifetimesChanged } from "../ndp/slaac";
import { IpAddress } from "../wire/address";
import { DHCPV6_ADDRESSES, DHCPV6_INFINITY, Dhcpv6Reply } from "../wire/dhcpv6";

/** An identity association (RFC 8415, 12): the addresses that a server leases to an interface, and their times. */

/** What T1 is at least where the server leaves it to us (14.2). */
const RENEWAL_LEAST: u64 = 30 * SECOND;

/** An address that we have. 32 bytes. */
@unmanaged
export class Lease {
  hi: u64;
  lo: u64;
  preferredUntil: u64;
  /** 0: the place is free. */
  validUntil: u64;


  @inline get address(): IpAddress {
    return changetype<IpAddress>(changetype<usize>(this));
  }
}

/** Bytes of an association, leases included. */
export const ASSOCIATION_BYTES: i32 = 24 + 4 * 32;


@unmanaged
export class Association {
  /** T1 and T2: `host.monotonic` ns. */
  renewAt: u64;
  rebindAt: u64;
  iface: Interface;
  /** Table index of `(address: InterfaceAddress, mac: u64) => void`: another station has it. The callee drops it. */
  conflictFn: u32;

  /** Lease `index`, below `DHCPV6_ADDRESSES`. */
  @inline lease(index: u32): Lease {
    const at = changetype<usize>(this) + offsetof<Association>();
    return changetype<Lease>(at + ((<usize>index) << 5));
  }

  /** Addresses that are ours now. */
  get count(): u32 {
    const time = now();
    let count: u32 = 0;
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) if (this.lease(i).validUntil > time) count++;
    return count;
  }

  /** When the last of them ends. */
  get end(): u64 {
    let end: u64 = 0;
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) end = max<u64>(end, this.lease(i).validUntil);
    return end;
  }

  /** Writes them at `into`, which has room for `DHCPV6_ADDRESSES`: how many. */
  list(into: usize): u32 {
    const time = now();
    let count: u32 = 0;
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) {
      const lease = this.lease(i);
      if (lease.validUntil <= time) continue;
      changetype<IpAddress>(into + ((<usize>count) << 4)).copy(lease.address);
      count++;
    }
    return count;
  }

  /** The lease of an address, else a free place, else null. */
  find(address: IpAddress): Lease | null {
    let free: Lease | null = null;
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) {
      const lease = this.lease(i);
      if (lease.validUntil && lease.address.equals(address)) return lease;
      if (!lease.validUntil && free === null) free = lease;
    }
    return free;
  }

  /** Stops using an address. */
  drop(lease: Lease): void {
    lease.validUntil = 0;
    const record = this.recordOf(lease);
    if (record !== null) v6Remove(record);
  }

  /** Stops using all of them. */
  clear(): void {
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) {
      if (this.lease(i).validUntil) this.drop(this.lease(i));
    }
  }

  /** The interface's address of a lease, or null: it may be past its life, or not have been made yet. */
  private recordOf(lease: Lease): InterfaceAddress | null {
    const record = findAddress(lease.hi, lease.lo);
    if (record === null || record.iface != this.iface) return null;
    return record.origin == AddressOrigin.Dhcpv6 ? record : null;
  }

  /** Takes over what a reply says (18.2.10.1): new addresses, other lifetimes, and addresses that are ours no more. */
  take(reply: Dhcpv6Reply): void {
    const time = now();
    for (let i: u32 = 0; i < reply.addressCount; i++) {
      const given = reply.address(i);
      const lease = this.find(given.address);
      if (lease === null) continue;
      if (!given.valid) {
        if (lease.validUntil) this.drop(lease);
        continue;
      }
      lease.address.copy(given.address);
      lease.preferredUntil = lifeEnd(time, given.preferred);
      lease.validUntil = lifeEnd(time, given.valid);
    }
    this.use();
    this.setTimes(reply, time);
  }

  /** Gives the interface the addresses that it lacks, and all of them their lifetimes. */
  use(): void {
    const time = now();
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) {
      const lease = this.lease(i);
      if (lease.validUntil > time && !this.useOne(lease)) lease.validUntil = 0;
    }
    lifetimesChanged(time);
  }

  /** False if the interface cannot have it. */
  private useOne(lease: Lease): bool {
    let record = this.recordOf(lease);
    if (record === null) {
      // All that is known of what is on the link comes from routers: no prefix goes with it (18.2.10.1).
      const origin = AddressOrigin.Dhcpv6;
      record = v6Add(this.iface, lease.address, 128, origin, false, 0, this.conflictFn);
    }
    if (record === null) {
      this.iface.device
        .nameIn(warn("dhcpv6"))
        .text(": no use for a leased address: it is ours already, or there are too many")
        .key("address")
        .ip(lease.address)
        .end();
      return false;
    }
    lentUntil(record, lease.validUntil, lease.preferredUntil);
    return true;
  }

  /** T1 and T2 (21.4): the server's; what it leaves to us is 0.5 and 0.8 of the shortest preferred lifetime. */
  private setTimes(reply: Dhcpv6Reply, time: u64): void {
    let shortest: u64 = NEVER;
    for (let i: u32 = 0; i < DHCPV6_ADDRESSES; i++) {
      const lease = this.lease(i);
      if (lease.validUntil <= time) continue;
      // One that is only to be used up counts by its end.
      const end = lease.preferredUntil > time ? lease.preferredUntil : lease.validUntil;
      shortest = min<u64>(shortest, end);
    }
    const endless = shortest == NEVER;
    const life = shortest - time;
    const least = time + RENEWAL_LEAST;
    let renewal = lifeEnd(time, reply.renewal);
    let rebinding = lifeEnd(time, reply.rebinding);
    if (!reply.rebinding) {
      rebinding = endless ? NEVER : max<u64>(time + (life / 10) * 8, least);
      if (reply.renewal) rebinding = max<u64>(rebinding, renewal);
    }
    if (!reply.renewal) {
      renewal = endless ? NEVER : max<u64>(time + (life >> 1), least);
      renewal = min<u64>(renewal, rebinding);
    }
    this.renewAt = renewal;
    this.rebindAt = rebinding;
  }
}

/** The end of what lasts for `seconds` from `time` on (7.7). */
@inline export function lifeEnd(time: u64, seconds: u32): u64 {
  return seconds == DHCPV6_INFINITY ? NEVER : time + <u64>seconds * SECOND;
}
