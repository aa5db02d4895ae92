import { GuestModule, GuestRecord } from "../host";
import { Line } from "../log";
import { Timer } from "../timer";

/**
 * One guest, as the kernel's files about guests share it. A call that cannot be answered yet parks the
 * guest, and is made again as it was when the guest wakes; so a call either changes nothing or is over.
 */

export const enum GuestState {
  Ready = 0,
  /** Has no turn until what it waits for comes. */
  Parked = 1,
  /** Finished, or ended by a trap. */
  Ended = 2,
}

/** For `Guest.park`: any of its sockets, or none. */
export const ANY_SOCKET: u32 = 0xffff_ffff;
export const NO_SOCKET: u32 = 0;


@unmanaged
export class Guest {
  record: GuestRecord;
  module: GuestModule;
  state: u32;
  index: u32;
  /** What it gave `proc_exit`. */
  exitCode: u32;
  /** Its file descriptors: kernel/guest/descriptors.ts. */
  descriptors: usize;
  /** When a call that waits for a time has waited long enough: set at its first try. */
  deadline: u64;
  /** While it is parked: the socket whose news wake it. */
  private waitsFor: u32;
  /** The call in its record is to be made again before it runs. */
  again: bool;
  /** It gave up the rest of its turn. */
  yielded: bool;
  timer: Timer;

  /** `length` bytes at the guest's `address`, or 0 if they are not all its own. */
  @inline memory(address: u32, length: u32): usize {
    const end = <u64>address + length;
    return end <= <u64>this.record.memoryBytes ? this.record.memory + address : 0;
  }


  @inline get parked(): bool {
    return this.state == GuestState.Parked;
  }

  /** Parks it until news of `socket`, or until `moment` if that is not `u64.MAX_VALUE`. */
  park(socket: u32, moment: u64): void {
    this.state = GuestState.Parked;
    this.waitsFor = socket;
    this.again = true;
    if (moment != u64.MAX_VALUE) this.timer.arm(moment);
  }

  /** Something happened to one of its sockets. */
  news(socket: u32): void {
    if (this.parked && (this.waitsFor == ANY_SOCKET || this.waitsFor == socket)) this.wake();
  }

  wake(): void {
    this.timer.cancel();
    this.state = GuestState.Ready;
  }

  nameIn(line: Line): Line {
    return line.bytes(this.module.name, this.module.nameLength);
  }
}
