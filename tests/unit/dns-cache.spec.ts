import { clockUpdate } from "../../kernel/clock";
import { memoryInit } from "../../kernel/memory";
import { randomInit } from "../../kernel/random";
import { SECOND } from "../../kernel/timer";
import {
  AnswerKind,
  CacheEntry,
  cacheFind,
  cacheInit,
  cacheStore,
  nameHash,
} from "../../net/dns/cache";
import { dnsStats } from "../../net/dns/stats";
import { random, setClock, setRam } from "./support/host";

const NAMES: u32 = 300;
const TYPES: u32 = 2;
/** Of each name and type: what was stored last, its length, and until when it is good. */
const seeds = new StaticArray<u32>(600);
const lengths = new StaticArray<u32>(600);
const until = new StaticArray<u64>(600);

const name: usize = memory.data(256);
const data: usize = memory.data(4096, 8);
let time: u64 = 0;

/** The name of this number, of 1 to 60 bytes and some more. */
function nameOf(number: u32): u32 {
  const length = 4 + ((number * 7) % 57);
  memory.fill(name, <u8>(0x61 + (number % 26)), length);
  store<u32>(name, number);
  return length;
}

/** The bytes that belong to a seed. */
function fill(seed: u32, length: u32): void {
  for (let i: u32 = 0; i < length; i++) store<u8>(data + i, <u8>((seed * 31 + i * 7) >> (i & 3)));
}

function put(number: u32, type: u32, length: u32, seconds: u64): CacheEntry | null {
  const seed = <u32>random();
  const place = number * TYPES + type;
  fill(seed, length);
  unchecked((seeds[place] = seed));
  unchecked((lengths[place] = length));
  unchecked((until[place] = time + seconds * SECOND));
  const size = nameOf(number);
  const hash = nameHash(name, size, type);
  return cacheStore(
    hash,
    name,
    size,
    type,
    AnswerKind.Records,
    time + seconds * SECOND,
    data,
    length,
  );
}

function find(number: u32, type: u32): CacheEntry | null {
  const size = nameOf(number);
  return cacheFind(nameHash(name, size, type), name, size, type);
}

/** Whether an entry is what was stored last, and in time. */
function isRight(entry: CacheEntry, number: u32, type: u32): bool {
  const place = number * TYPES + type;
  const length = unchecked(lengths[place]);
  fill(unchecked(seeds[place]), length);
  return (
    unchecked(until[place]) > time &&
    entry.expiresAt == unchecked(until[place]) &&
    entry.dataLength == length &&
    (entry.data & 7) == 0 &&
    memory.compare(entry.data, data, length) == 0
  );
}

function advance(ns: u64): void {
  time += ns;
  setClock(time);
  clockUpdate();
}

describe("the cache of names", () => {
  beforeAll(() => {
    setRam(4 << 20);
    memoryInit();
    randomInit();
    cacheInit(0);
  });

  it("never says what was not stored last, whatever is stored, and keeps its bounds", () => {
    let hits = 0;
    for (let round = 0; round < 60000; round++) {
      const r = <u32>random();
      // Few names are wanted often, as it is with names.
      const number = r & 1 ? (r >> 8) % 20 : (r >> 8) % NAMES;
      const type = (r >> 1) & 1;
      if (r & 12) {
        const entry = find(number, type);
        if (entry !== null) {
          hits++;
          if (!isRight(entry, number, type)) expect(round).toBe(-1);
        }
      } else {
        const large = (r & 0x70) == 0;
        const length = <u32>random() % (large ? 4096 : 200);
        const entry = put(number, type, length, random() % 400);
        if (entry === null) expect(round).toBe(-2);
        else if (unchecked(until[number * TYPES + type]) > time) {
          const found = find(number, type);
          if (found === null || !isRight(found, number, type)) expect(round).toBe(-3);
        }
      }
      if ((r & 0xff000000) == 0) advance(random() % (100 * SECOND));
      if (dnsStats.bytes > 32 << 10) expect(round).toBe(-4);
    }
    expect(hits > 10000).toBe(true);
    expect(dnsStats.evicted > 1000).toBe(true);
    expect(dnsStats.entries <= NAMES * TYPES).toBe(true);
  });

  it("keeps what is used before what is not", () => {
    advance(1000 * SECOND);
    put(0, 0, 100, 10000);
    // Three times what there is room for.
    for (let i: u32 = 1; i < NAMES; i++) {
      put(i, 0, 400, 10000);
      if (i % 10 == 0) expect(find(0, 0) !== null).toBe(true);
    }
    expect(find(NAMES - 1, 0) !== null).toBe(true);
    expect(find(1, 0) === null).toBe(true);
  });

  it("refuses what would push out too much", () => {
    expect(cacheStore(1, name, 4, 1, AnswerKind.Records, time, data, 9000) === null).toBe(true);
  });
});
