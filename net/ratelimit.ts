import { SECOND } from "../kernel/timer";

/**
 * A token bucket: at most `burst` events at once and `rate` a second over time. Counted in
 * nanoseconds of credit, so that it needs no timer and no division.
 */
@unmanaged
export class TokenBucket {
  /** When the bucket would have been empty: the credit is what has passed since. */
  private emptyAt: u64;
  /** Credit that an event costs. */
  private cost: u64;
  /** Most credit that can gather. */
  private most: u64;

  /** Starts it full; `rate` and `burst` are at least 1. */
  init(rate: u32, burst: u32): void {
    this.cost = SECOND / rate;
    this.most = this.cost * burst;
    this.emptyAt = 0;
  }

  /** Takes a token, if there is one. */
  take(now: u64): bool {
    // The clock starts at 0: the shift lets a full bucket exist then.
    const time = now + this.most;
    if (time - this.emptyAt > this.most) this.emptyAt = time - this.most;
    if (time - this.emptyAt < this.cost) return false;
    this.emptyAt += this.cost;
    return true;
  }
}
