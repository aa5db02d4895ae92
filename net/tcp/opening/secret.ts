import { randomFill } from "../../../kernel/random";

/**
 * A secret that is drawn anew every so often, and the one before it: what was signed with either is
 * accepted, so a signature lives between one period and two. Which of the two signed is told by the
 * low bit of the generation, which a signature carries.
 */

const KEY_BYTES: usize = 16;


@unmanaged
export class RotatingSecret {
  private evenLo: u64;
  private evenHi: u64;
  private oddLo: u64;
  private oddHi: u64;
  /** When the current key was drawn, ns. */
  private since: u64;
  /** How many have been drawn. */
  private generation: u32;

  /** Draws a new key if the current one has served for `period` ns; both if it is long ago. */
  refresh(now: u64, period: u64): void {
    const age = now - this.since;
    if (this.generation && age < period) return;
    if (!this.generation || age >= 2 * period) {
      this.draw();
      this.since = now;
    } else {
      this.since += period;
    }
    this.draw();
  }

  private draw(): void {
    this.generation++;
    randomFill(this.key(this.parity), <u32>KEY_BYTES);
  }

  /** The low bit of the current generation. */
  @inline get parity(): u32 {
    return this.generation & 1;
  }

  /** The 16-byte key of the current or the last generation, by its low bit. */
  @inline key(parity: u32): usize {
    return changetype<usize>(this) + <usize>parity * KEY_BYTES;
  }
}
