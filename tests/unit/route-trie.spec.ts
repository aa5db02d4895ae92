import { arrayGive, arrayTake, arraysBytes, arraysInit, arraysUsed } from "../../net/route/arrays";
import { aheadAdd, aheadEnd, aheadFound, aheadKnows, aheadRun } from "../../net/route/ahead";
import {
  Node,
  foundLength,
  trieExact,
  trieInit,
  trieLongest,
  trieRemove,
  trieSet,
} from "../../net/route/trie";
import { interfacesChanged } from "../../net/interface";
import { random } from "./support/host";

const BLOCKS: u32 = 64;
const BLOCK: u32 = 2048;
const arena: usize = memory.data(64 * 2064, 32);
const root = changetype<Node>(memory.data(32, 8));

/** The model: prefixes in no order, compared one by one. */
const MOST: u32 = 600;
const his = new StaticArray<u64>(<i32>MOST);
const los = new StaticArray<u64>(<i32>MOST);
const lengths = new StaticArray<u32>(<i32>MOST);
/** 0: not in the table. */
const values = new StaticArray<u32>(<i32>MOST);
let count: u32 = 0;

function start(blocks: u32): void {
  memory.fill(arena, 0, arraysBytes(BLOCKS));
  memory.fill(changetype<usize>(root), 0, 32);
  count = 0;
  trieInit();
  arraysInit(arena, blocks);
}

/** `bits` with everything behind the first `length` zero, as `hi` or `lo`. */
function masked(bits: u64, length: i32): u64 {
  return length <= 0 ? 0 : length >= 64 ? bits : bits & ~(u64.MAX_VALUE >> length);
}

function within(hi: u64, lo: u64, i: u32): bool {
  const length = <i32>lengths[i];
  return masked(hi, length) == his[i] && masked(lo, length - 64) == los[i];
}

/** What the model says of a key, as value << 8 | length. */
function expected(hi: u64, lo: u64, most: u32): u64 {
  let best: u64 = 0;
  let length: i32 = -1;
  for (let i: u32 = 0; i < count; i++) {
    if (!values[i] || lengths[i] > most || <i32>lengths[i] <= length) continue;
    if (!within(hi, lo, i)) continue;
    length = lengths[i];
    best = ((<u64>values[i]) << 8) | length;
  }
  return best;
}

function actual(hi: u64, lo: u64, most: u32): u64 {
  const value = trieLongest(root, hi, lo, most);
  return value ? ((<u64>value) << 8) | foundLength : 0;
}

/** A key whose first bits are those of few others, so that prefixes lie within each other. */
function narrowKey(bits: u64): u64 {
  return bits & 0xc0c3_0c3c_c0c3_0c3c;
}

/** Adds and removes at random, `most` bits at most, and compares after each. */
function compare(rounds: u32, most: u32): void {
  for (let round: u32 = 0; round < rounds; round++) {
    const at = <u32>(random() % MOST);
    if (at < count && values[at]) {
      expect(trieRemove(root, his[at], los[at], lengths[at])).toBe(values[at]);
      values[at] = 0;
      expect(trieExact(root, his[at], los[at], lengths[at])).toBe(0);
    } else if (count < MOST) {
      const length = <u32>(random() % (most + 1));
      const hi = masked(narrowKey(random()), length);
      const lo = masked(narrowKey(random()), <i32>length - 64);
      if (trieExact(root, hi, lo, length)) continue;
      const value = round + 1;
      if (!trieSet(root, hi, lo, length, value)) continue;
      his[count] = hi;
      los[count] = lo;
      lengths[count] = length;
      values[count++] = value;
    }
    const hi = narrowKey(random());
    const lo = narrowKey(random());
    const limit = random() & 1 ? most : <u32>(random() % (most + 1));
    expect(actual(hi, lo, limit)).toBe(expected(hi, lo, limit));
  }
}

/** Removes everything; nothing is left of the arrays then, and they are whole again. */
function empty(blocks: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    if (values[i]) expect(trieRemove(root, his[i], los[i], lengths[i])).toBe(values[i]);
    values[i] = 0;
  }
  expect(root.inner | root.outer).toBe(0);
  expect(arraysUsed()).toBe(0);
  for (let i: u32 = 0; i < blocks; i++) expect(arrayTake(BLOCK)).not.toBe(0);
  expect(arrayTake(1)).toBe(0);
}

describe("The routing trie", () => {
  it("finds what a search one by one finds, for 32 bits", () => {
    start(BLOCKS);
    compare(3000, 32);
    expect(count).toBeGreaterThan(500);
    empty(BLOCKS);
  });

  it("finds what a search one by one finds, for 128 bits", () => {
    start(BLOCKS);
    compare(3000, 128);
    empty(BLOCKS);
  });

  it("finds the same for many keys at once, and forgets it when the table changes", () => {
    start(BLOCKS);
    compare(800, 128);
    const keys = new StaticArray<u64>(2 * 40);
    for (let round = 0; round < 20; round++) {
      for (let i = 0; i < 40; i++) {
        keys[2 * i] = narrowKey(random());
        keys[2 * i + 1] = narrowKey(random());
        aheadAdd(root, keys[2 * i], keys[2 * i + 1]);
      }
      aheadRun();
      for (let i = 0; i < 40; i++) {
        // Some are never asked for, and the last eight were too many.
        if (i % 5 == 3) continue;
        const known = aheadKnows(root, keys[2 * i], keys[2 * i + 1]);
        expect(known).toBe(i < 32);
        if (known) expect(aheadFound()).toBe(trieLongest(root, keys[2 * i], keys[2 * i + 1], 128));
      }
      aheadEnd();
    }
    aheadAdd(root, keys[0], keys[1]);
    aheadRun();
    interfacesChanged();
    expect(aheadKnows(root, keys[0], keys[1])).toBe(false);
    aheadEnd();
    empty(BLOCKS);
  });

  it("refuses what there is no room for and changes nothing", () => {
    start(2);
    compare(2000, 128);
    expect(arraysUsed()).toBeGreaterThan(BLOCK);
    let refused: u32 = 0;
    for (let i: u32 = 0; i < 100; i++) {
      const used = arraysUsed();
      const lo = random();
      if (trieSet(root, random(), lo, 128, 1)) continue;
      refused++;
      expect(arraysUsed()).toBe(used);
    }
    expect(refused).toBeGreaterThan(0);
  });

  it("knows the default, a host, and neighbours of one bit", () => {
    start(BLOCKS);
    expect(trieLongest(root, 0, 0, 128)).toBe(0);
    expect(trieSet(root, 0, 0, 0, 7)).toBe(true);
    expect(actual(u64.MAX_VALUE, 5, 128)).toBe(7 << 8);
    expect(trieSet(root, u64.MAX_VALUE, u64.MAX_VALUE, 128, 8)).toBe(true);
    expect(actual(u64.MAX_VALUE, u64.MAX_VALUE, 128)).toBe((8 << 8) | 128);
    expect(actual(u64.MAX_VALUE, u64.MAX_VALUE, 127)).toBe(7 << 8);
    expect(actual(u64.MAX_VALUE, u64.MAX_VALUE - 1, 128)).toBe(7 << 8);
    expect(trieSet(root, 0, 0, 0, 9)).toBe(true);
    expect(actual(1, 0, 128)).toBe(9 << 8);
    expect(trieRemove(root, 0, 0, 1)).toBe(0);
    expect(trieRemove(root, 0, 0, 0)).toBe(9);
    expect(actual(1, 0, 128)).toBe(0);
  });
});

describe("Arrays of the trie", () => {
  it("keep what is in them while others come and go", () => {
    start(8);
    const at = new StaticArray<usize>(100);
    const bytes = new StaticArray<u32>(100);
    for (let round = 0; round < 5000; round++) {
      const i = <i32>(random() % 100);
      if (at[i]) {
        for (let b: u32 = 0; b < bytes[i]; b++) assert(load<u8>(at[i] + b) == <u8>i);
        arrayGive(at[i], bytes[i]);
        at[i] = 0;
      } else {
        bytes[i] = 1 + <u32>(random() % 500);
        at[i] = arrayTake(bytes[i]);
        if (at[i]) memory.fill(at[i], <u8>i, bytes[i]);
      }
    }
    for (let i = 0; i < 100; i++) if (at[i]) arrayGive(at[i], bytes[i]);
    expect(arraysUsed()).toBe(0);
    for (let i = 0; i < 8; i++) expect(arrayTake(BLOCK)).not.toBe(0);
  });
});
