import { memoryInit, reserve, reserveUncleared, unreserved } from "../../kernel/memory";
import { panics, setRam } from "./support/host";

describe("start-up memory", () => {
  beforeEach(() => {
    setRam(65536);
    memoryInit();
  });

  it("is zeroed, aligned and handed out once", () => {
    const first = reserveUncleared(100, 64);
    memory.fill(first, 0xff, 100);
    let last = first + 100;
    for (let align: u32 = 1; align <= 4096; align <<= 1) {
      const at = reserve(24, align);
      expect(at % align).toBe(0);
      expect(at).toBeGreaterThanOrEqual(last);
      for (let i: usize = 0; i < 24; i += 8) expect(load<u64>(at + i)).toBe(0);
      last = at + 24;
    }
  });

  it("can be taken to the last byte", () => {
    expect(unreserved()).toBe(65536);
    reserve(65536, 1);
    expect(unreserved()).toBe(0);
    reserve(0, 1);
  });

  it("panics when it runs out, however large the wish", () => {
    const before = panics();
    expect(() => {
      reserve(65537, 1);
    }).toThrow();
    expect(() => {
      reserve(0xffff_ffff, 1);
    }).toThrow();
    expect(() => {
      reserve(1, 0x8000_0000);
    }).toThrow();
    expect(panics()).toBe(before + 3);
    expect(unreserved()).toBe(65536);
  });
});
