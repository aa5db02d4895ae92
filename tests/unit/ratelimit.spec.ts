import { TokenBucket } from "../../net/ratelimit";
import { MILLISECOND, SECOND } from "../../kernel/timer";

const bucket = changetype<TokenBucket>(memory.data(offsetof<TokenBucket>(), 8));

/** Events let through when one is tried each `step` from `from` to `to`. */
function passed(from: u64, to: u64, step: u64): u32 {
  let count: u32 = 0;
  for (let at = from; at < to; at += step) if (bucket.take(at)) count++;
  return count;
}

describe("a token bucket", () => {
  it("is full when the machine starts, and lets a burst through", () => {
    bucket.init(100, 20);
    expect(passed(0, 50, 1)).toBe(20);
    expect(bucket.take(50)).toBe(false);
  });

  it("lets its rate through in the long run", () => {
    bucket.init(100, 20);
    expect(passed(0, 10 * SECOND, MILLISECOND)).toBe(20 + 999);
  });

  it("gathers no more than a burst, however long it is left alone", () => {
    bucket.init(10, 5);
    expect(passed(0, 50, 1)).toBe(5);
    expect(passed(3600 * SECOND, 3600 * SECOND + 50, 1)).toBe(5);
  });

  it("fills by one in the time of one", () => {
    bucket.init(10, 5);
    passed(SECOND, SECOND + 50, 1);
    expect(bucket.take(SECOND + 99 * MILLISECOND)).toBe(false);
    expect(bucket.take(SECOND + 101 * MILLISECOND)).toBe(true);
    expect(bucket.take(SECOND + 102 * MILLISECOND)).toBe(false);
  });
});
