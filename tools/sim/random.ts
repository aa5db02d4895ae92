/**
 * The one source of chance in a simulation: sfc32 (Chris Doty-Humphrey, PractRand). The same seed
 * gives the same numbers on every machine, so a failing seed replays exactly.
 */
export class Random {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number) {
    this.a = seed | 0;
    this.b = Math.floor(seed / 2 ** 32) | 0;
    this.c = 0x9e3779b9 | 0;
    for (let i = 0; i < 15; i++) this.u32();
  }

  /** 0 to 2^32 − 1. */
  u32(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    this.c |= 0;
    return sum >>> 0;
  }

  /** 0 (included) to 1 (excluded). */
  float(): number {
    return this.u32() / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.float() * (high - low + 1));
  }

  /** True with this probability. Draws nothing at 0, so that an unused fault costs no randomness. */
  chance(probability: number): boolean {
    return probability > 0 && this.float() < probability;
  }

  /** An integer from `low` to `high` whose logarithm is uniform: sizes from tiny to huge. */
  logarithmic(low: number, high: number): number {
    return Math.round(low * (high / low) ** this.float());
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.integer(0, choices.length - 1)]!;
  }

  fill(bytes: Uint8Array): void {
    for (let i = 0; i < bytes.length; i++) bytes[i] = this.u32();
  }

  /** An independent generator: what one part draws does not shift another part's numbers. */
  fork(): Random {
    return new Random(this.u32() * 2 ** 21 + (this.u32() >>> 11));
  }
}
