import { memoryInit } from "../../kernel/memory";
import {
  FRAGMENTS,
  HEADROOM,
  OWNERS,
  Owner,
  POOLS,
  Packet,
  PacketQueue,
  PoolId,
  Purpose,
  allocate,
  poolInit,
  poolOf,
  poolsInit,
  slotSize,
} from "../../kernel/packet";
import { setRam } from "./support/host";

const SLOTS: u32 = 64;
const held = new StaticArray<usize>(SLOTS);
const queue = changetype<PacketQueue>(memory.data(offsetof<PacketQueue>(), 8));

function take(purpose: Purpose): Packet {
  return allocate(PoolId.Standard, purpose, HEADROOM)!;
}

/** Takes packets until one is refused; returns how many. */
function drain(purpose: Purpose): u32 {
  let count: u32 = 0;
  while (true) {
    const packet = allocate(PoolId.Standard, purpose, 0);
    if (packet === null) return count;
    held[count++] = changetype<usize>(packet);
  }
}

function releaseHeld(count: u32): void {
  for (let i: u32 = 0; i < count; i++) changetype<Packet>(held[i]).release();
}

/** Every packet has an owner: their counts add up to the pool's size. */
function accounted(): bool {
  const pool = poolOf(PoolId.Standard);
  let sum: u32 = 0;
  for (let owner: u32 = 0; owner < OWNERS; owner++) sum += pool.owned(owner);
  return sum == pool.slots;
}

function allFree(): bool {
  return accounted() && poolOf(PoolId.Standard).owned(Owner.Free) == SLOTS;
}

let victim: Packet | null = null;

describe("packets", () => {
  beforeAll(() => {
    setRam(1 << 20);
    memoryInit();
    poolInit(PoolId.Small, 16, 256);
    poolInit(PoolId.Standard, SLOTS, 2048);
  });

  afterEach(() => {
    expect(allFree()).toBe(true);
  });

  it("begin empty, in a slot of their own, behind the headroom", () => {
    const a = take(Purpose.Data);
    const b = take(Purpose.Data);
    expect(a.data).toBe(a.slot + HEADROOM);
    expect(a.length).toBe(0);
    expect(a.totalLength).toBe(0);
    expect(a.references).toBe(1);
    expect(a.tailroom).toBe(2048 - HEADROOM);
    expect(a.slot % 2048).toBe(0);
    expect(max(a.slot, b.slot) - min(a.slot, b.slot)).toBeGreaterThanOrEqual(2048);
    a.release();
    b.release();
  });

  it("move between owners, and every move is counted", () => {
    const packet = take(Purpose.Data);
    const pool = poolOf(PoolId.Standard);
    const owners = [Owner.NicTx, Owner.Socket, Owner.Lease, Owner.NicRx, Owner.Stack];
    for (let i = 0; i < owners.length; i++) {
      packet.give(owners[i]);
      expect(pool.owned(owners[i])).toBe(1);
      expect(pool.owned(Owner.Free)).toBe(SLOTS - 1);
      expect(accounted()).toBe(true);
    }
    packet.release();
  });

  it("grow at the front and the end, shrink at the front", () => {
    const packet = take(Purpose.Data);
    packet.length = 100;
    const data = packet.data;
    expect(packet.prepend(20)).toBe(data - 20);
    expect(packet.length).toBe(120);
    expect(packet.end).toBe(data + 100);
    packet.strip(50);
    expect(packet.data).toBe(data + 30);
    expect(packet.length).toBe(70);
    expect(packet.tailroom).toBe(2048 - HEADROOM - 100);
    packet.release();
  });

  it("stay while anyone holds a reference", () => {
    const packet = take(Purpose.Data);
    packet.retain();
    packet.release();
    expect(poolOf(PoolId.Standard).owned(Owner.Stack)).toBe(1);
    packet.release();
  });

  it("keep the owners of their fragments alive, and let go of them", () => {
    const header = take(Purpose.Control);
    const payload = take(Purpose.Data);
    header.length = 54;
    header.addFragment(payload.data, 1000, payload);
    header.addFragment(1024, 400, null);
    expect(header.totalLength).toBe(1454);
    expect(<u32>header.fragmentCount).toBe(FRAGMENTS);
    expect(header.fragment(0).address).toBe(payload.data);
    expect(header.fragment(1).length).toBe(400);
    expect(payload.references).toBe(2);
    payload.release();
    expect(poolOf(PoolId.Standard).owned(Owner.Free)).toBe(SLOTS - 2);
    header.release();
    expect(poolOf(PoolId.Standard).owned(Owner.Free)).toBe(SLOTS);
  });

  it("give up bytes at the end of their fragments, and the owners of those that are gone", () => {
    const header = take(Purpose.Control);
    const payload = take(Purpose.Data);
    header.addFragment(1024, 400, null);
    header.addFragment(payload.data, 100, payload);
    payload.release();
    header.trimFragments(40);
    expect(header.totalLength).toBe(460);
    expect(<u32>header.fragmentCount).toBe(2);
    expect(payload.references).toBe(1);
    header.trimFragments(90);
    expect(header.totalLength).toBe(370);
    expect(<u32>header.fragmentCount).toBe(1);
    expect(poolOf(PoolId.Standard).owned(Owner.Free)).toBe(SLOTS - 1);
    header.trimFragments(370);
    expect(<u32>header.fragmentCount).toBe(0);
    header.release();
    expect(poolOf(PoolId.Standard).owned(Owner.Free)).toBe(SLOTS);
  });

  it("come back clean", () => {
    const first = take(Purpose.Data);
    first.length = 9;
    first.flags = 7;
    first.segmentSize = 3;
    first.addFragment(1024, 1, null);
    const generation = first.generation;
    first.release();
    const again = take(Purpose.Data);
    expect(changetype<usize>(again)).toBe(
      changetype<usize>(first),
      "the warmest slot is used first",
    );
    expect(again.generation).toBe(generation + 1);
    expect(again.length + again.flags + again.segmentSize + again.fragmentCount).toBe(0);
    again.release();
  });

  it("are poisoned when freed", () => {
    const packet = take(Purpose.Data);
    store<u64>(packet.data, 0);
    const data = packet.data;
    packet.release();
    expect(load<u64>(data)).toBe(0xdbdbdbdbdbdbdbdb);
  });

  it("are kept back for what is more urgent", () => {
    const pool = poolOf(PoolId.Standard);
    for (let purpose: u32 = Purpose.OutOfOrder; purpose <= <u32>Purpose.Refill; purpose++) {
      const refused = pool.refused;
      const count = drain(purpose);
      expect(pool.owned(Owner.Free)).toBe(pool.floor(purpose));
      expect(pool.refused).toBe(refused + 1);
      releaseHeld(count);
    }
    expect(pool.floor(Purpose.OutOfOrder)).toBeGreaterThan(pool.floor(Purpose.Data));
    expect(pool.floor(Purpose.Data)).toBeGreaterThan(pool.floor(Purpose.Control));
    expect(pool.floor(Purpose.Control)).toBeGreaterThan(pool.floor(Purpose.Refill));
    expect(pool.lowest).toBe(0);
  });

  it("may not be released twice", () => {
    victim = take(Purpose.Data);
    victim!.release();
    expect(() => {
      victim!.release();
    }).toThrow();
  });

  it("may not grow past the slot's start, nor carry a fragment too many", () => {
    victim = allocate(PoolId.Standard, Purpose.Data, 4);
    expect(() => {
      victim!.prepend(5);
    }).toThrow();
    victim!.release();
    victim = take(Purpose.Data);
    for (let i: u32 = 0; i < FRAGMENTS; i++) victim!.addFragment(1024, 1, null);
    expect(() => {
      victim!.addFragment(1024, 1, null);
    }).toThrow();
    victim!.release();
  });

  it("survive a random life without a leak", () => {
    let seed: u32 = 1;
    const count = drain(Purpose.Refill);
    releaseHeld(count);
    for (let i: u32 = 0; i < SLOTS; i++) held[i] = 0;
    for (let i = 0; i < 100000; i++) {
      seed = seed * 1664525 + 1013904223;
      const index = (seed >> 8) % SLOTS;
      if (held[index]) {
        const packet = changetype<Packet>(held[index]);
        if (packet.references < 3 && seed >> 30 == 0) packet.retain();
        else if (seed >> 30 == 1) packet.give(((seed >> 16) % 5) + 1);
        else {
          const last = packet.references == 1;
          packet.release();
          if (last) held[index] = 0;
        }
      } else {
        const packet = allocate(PoolId.Standard, Purpose.Refill, 0);
        held[index] = changetype<usize>(packet);
      }
      if (!accounted()) break;
    }
    expect(accounted()).toBe(true);
    for (let i: u32 = 0; i < SLOTS; i++) {
      while (held[i]) {
        const packet = changetype<Packet>(held[i]);
        if (packet.references == 1) held[i] = 0;
        packet.release();
      }
    }
  });
});

describe("a packet queue", () => {
  it("is first in, first out, and can be emptied at once", () => {
    for (let i: u32 = 0; i < 5; i++) {
      const packet = take(Purpose.Data);
      packet.note = i;
      queue.push(packet);
    }
    expect(queue.length).toBe(5);
    for (let i: u32 = 0; i < 2; i++) {
      const packet = queue.pop()!;
      expect(packet.note).toBe(i);
      expect(packet.next === null).toBe(true);
      packet.release();
    }
    queue.clear();
    expect(queue.length).toBe(0);
    expect(queue.pop() === null).toBe(true);
    expect(queue.tail === null).toBe(true);
    expect(allFree()).toBe(true);
  });
});

describe("the pools", () => {
  it("fit 16 MiB and stop growing with large memory", () => {
    const ram: u32[] = [12 << 20, 120 << 20, 600 << 20];
    for (let i = 0; i < ram.length; i++) {
      setRam(ram[i]);
      memoryInit();
      poolsInit();
      let bytes: u64 = 0;
      for (let id: u32 = 0; id < POOLS; id++) {
        bytes += <u64>poolOf(id).slots * (slotSize(id) + 64);
        expect(poolOf(id).owned(Owner.Free)).toBe(poolOf(id).slots);
      }
      expect(bytes).toBeLessThan(ram[i] / 2 + 1);
      // A receive ring takes 256 of them.
      expect(poolOf(PoolId.Standard).slots).toBeGreaterThan(2000);
      expect(poolOf(PoolId.Jumbo).slots).toBeGreaterThan(32);
      expect(slotSize(PoolId.Jumbo)).toBeGreaterThanOrEqual(9728);
    }
    expect(poolOf(PoolId.Standard).slots).toBe(32768);
  });
});
