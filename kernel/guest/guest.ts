import { SocketEvent } from "../../sdk/assembly/syscalls";
import { GuestRecord } from "../host";
import { Line } from "../log";
import { Timer } from "../timer";
import { Description, Descriptors } from "./descriptors";
import { watchNews } from "./epoll";
import { eventsOf, POLL_NORMAL } from "./objects";
import { Places } from "./leases";
import { GuestSpec } from "./spec";

/**
 * One guest, as the kernel's files about guests share it. A call that cannot be answered yet parks the
 * guest, and is made again as it was when the guest wakes; so a call either changes nothing or is over.
 */

export const enum GuestState {
  Ready = 0,
  /** Has no turn until what it waits for comes. */
  Parked = 1,
  /** Finished, or ended by a trap; started again when its timer says so. */
  Ended = 2,
  /** Has used up its share of the processor, and has no turn until its timer says so. */
  Resting = 3,
}

/** For `waitFor`: any news, whatever holds. */
export const ANY_NEWS: u32 = 0x8000_0000;


@unmanaged
export class Guest {
  record: GuestRecord;
  spec: GuestSpec;
  state: u32;
  index: u32;
  /** What it gave `proc_exit`. */
  exitCode: u32;
  /** Its file descriptors: kernel/guest/descriptors.ts. */
  descriptors: Descriptors;
  /** When a call that waits for a time began to, in `monotonic` ns: set at its first try. */
  since: u64;
  /** Of a call that is made in parts: what is done of it. */
  done: u32;
  /** Its mounts: kernel/guest/mounts.ts. */
  mounts: usize;
  mountCount: u32;
  /** Times that it woke: a description it waits for has this number. */
  waits: u32;
  /** The call in its record is to be made again before it runs. */
  again: bool;
  /** It gave up the rest of its turn. */
  yielded: bool;
  timer: Timer;
  /** What it lives in, and the number of its module: kernel/guest/guests.ts. */
  area: usize;
  areaLength: u32;
  memoryMost: u32;
  /** `MemoryLimit`: why it is no more; and whether this run has been told so. */
  memoryLimit: u32;
  memoryReported: bool;
  module: u32;
  /** When it was started last, and how often it has ended soon after. */
  started: u64;
  failures: u32;
  /** The name that it waits for: the number of a lookup (net/dns/resolver.ts), or 0. */
  lookup: u32;
  /** Rings of its pipes: kernel/guest/pipes.ts. */
  rings: u32;
  /** Time of the processor that it has used since it was started, ns; and since when its turn lasts. */
  used: u64;
  turnSince: u64;
  /** What its turns have left of their slices for a longer one, ns: kernel/guest/guests.ts. */
  saved: u64;
  /** Kinds of refusals that have been reported: kernel/guest/allow.ts. */
  refusals: u32;
  /** Of one with a share of the processor: the ns that it may still use, as of when. */
  credit: i64;
  creditAt: u64;
  /** What is lent to it: kernel/guest/leases.ts; null if its module does not lease. */
  places: Places | null;

  /** `length` bytes at the guest's `address`, or 0 if they are not all its own. */
  @inline memory(address: u32, length: u32): usize {
    const end = <u64>address + length;
    return end <= <u64>this.record.memoryBytes ? this.record.memory + address : 0;
  }


  @inline get parked(): bool {
    return this.state == GuestState.Parked;
  }

  /** Before `park`: it is to wake when one of these `SocketEvent`s of `d` holds, an error or the end. */
  waitFor(d: Description, events: u32): void {
    if (d.waitSerial != this.waits) {
      d.waitSerial = this.waits;
      d.waitEvents = SocketEvent.Error | SocketEvent.Hangup;
    }
    // POLLRDNORM and POLLWRNORM are other names for the first two.
    d.waitEvents |= events | ((events >> 6) & POLL_NORMAL);
  }

  /** Parks it until `wake`, at `moment` at the latest if that is not `u64.MAX_VALUE`. */
  park(moment: u64): void {
    this.state = GuestState.Parked;
    this.again = true;
    if (moment != u64.MAX_VALUE) this.timer.arm(moment);
  }

  /** Parks it until one of these events of `d` holds. */
  parkFor(d: Description, events: u32, moment: u64 = u64.MAX_VALUE): void {
    this.waitFor(d, events);
    this.park(moment);
  }

  /** Ends what it waits for; its call is made again. */
  wake(): void {
    this.waits++;
    this.timer.disarm();
    this.state = GuestState.Ready;
  }

  nameIn(line: Line): Line {
    return line.bytes(this.spec.name, this.spec.nameLength);
  }
}

/** Whether the guest waits for news of `d`. */
@inline function awaits(d: Description): bool {
  return d.guest.parked && d.waitSerial == d.guest.waits;
}

/** Something has happened to what `d` stands for. Cost: one look at it if its guest or an epoll waits for it. */
export function news(d: Description): void {
  const awaited = awaits(d);
  if (!awaited && !d.watches) return;
  const holds = eventsOf(d);
  if (awaited && (holds | ANY_NEWS) & d.waitEvents) d.guest.wake();
  if (d.watches) watchNews(d, holds);
}

/** `news` of what nothing watches, and of which it is known what holds. */
export function newsOf(d: Description, holds: u32): void {
  if (awaits(d) && (holds | ANY_NEWS) & d.waitEvents) d.guest.wake();
}
