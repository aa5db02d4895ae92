import { memoryInit } from "../../kernel/memory";
import {
  allocate,
  HEADROOM,
  Owner,
  Packet,
  PoolId,
  poolInit,
  poolOf,
  Purpose,
} from "../../kernel/packet";
import {
  reassemblyClear,
  reassemblyDeliver,
  reassemblyInsert,
} from "../../net/tcp/queues/reassembly";
import {
  receiveAppend,
  receiveClear,
  receiveCopy,
  receiveDrop,
} from "../../net/tcp/queues/receivequeue";
import { tcpStats } from "../../net/tcp/stats";
import { Tcb } from "../../net/tcp/tcb";
import { random, setRam } from "./support/host";

const SLOTS: u32 = 1024;
const STREAM: u32 = 60_000;
const t = changetype<Tcb>(memory.data(320, 64));
const work = memory.data(512, 64);
const read = memory.data(65536, 8);
const arrived = new StaticArray<bool>(STREAM);

/** The byte at this place of the stream. */
function byteAt(place: u32): u8 {
  return <u8>((place * 131) ^ (place >> 7));
}

/** A packet as IP leaves it once TCP has read its header. */
function segment(place: u32, length: u32): Packet {
  const packet = allocate(PoolId.Standard, Purpose.Refill, HEADROOM)!;
  for (let i: u32 = 0; i < length; i++) store<u8>(packet.data + i, byteAt(place + i));
  packet.length = length;
  return packet;
}

function begin(limit: u32, start: u32): void {
  setRam(4 << 20);
  memoryInit();
  poolInit(PoolId.Standard, SLOTS, 2048);
  memory.fill(changetype<usize>(t), 0, 320);
  memory.fill(work, 0, 512);
  t.setWork(work);
  t.receiveLimit = <u16>limit;
  t.rcvNxt = start;
}

function held(): u32 {
  return poolOf(PoolId.Standard).slots - poolOf(PoolId.Standard).owned(Owner.Free);
}

/** What input.ts does with a segment in the window. */
function arrive(start: u32, place: u32, length: u32): void {
  const packet = segment(place, length);
  let seq = start + place;
  const known = <i32>(t.rcvNxt - seq);
  if (known > 0) {
    if (<u32>known >= length) {
      packet.release();
      return;
    }
    packet.strip(known);
    seq += known;
  }
  if (seq != t.rcvNxt) {
    reassemblyInsert(t, packet, seq, 0);
    return;
  }
  t.rcvNxt += packet.length;
  receiveAppend(t, packet);
  reassemblyDeliver(t);
}

describe("reassembly", () => {
  it("agrees with a naive model on random segments, across the wrap of sequence numbers", () => {
    for (let round = 0; round < 16; round++) {
      const start: u32 = 0xffff_ff00 - <u32>(random() % 60_000);
      begin(1000, start);
      for (let i: u32 = 0; i < STREAM; i++) arrived[i] = false;
      const largest = round & 1 ? 1460 : 200;
      const total = <u32>(random() % 4000) + 1000;
      const drops = tcpStats.memoryDrops;
      let right = true;
      let model: u32 = 0;
      let taken: u32 = 0;
      for (let steps = 0; model < total && steps < 3000; steps++) {
        const place = <u32>(random() % total);
        const length = min<u32>(<u32>(random() % largest) + 1, total - place);
        arrive(start, place, length);
        for (let i = place; i < place + length; i++) arrived[i] = true;
        while (model < total && arrived[model]) model++;
        const got = t.rcvNxt - start;
        // Of more runs than are kept some are dropped; until then every byte counts.
        right = right && (tcpStats.memoryDrops == drops ? got == model : got <= model);
        if (steps % 7 == 0) {
          const bytes = receiveCopy(t, read, t.receiveBytes, false);
          for (let i: u32 = 0; i < bytes; i++) {
            right = right && load<u8>(read + i) == byteAt(taken + i);
          }
          taken += bytes;
          right = right && taken == got;
        }
        right = right && held() == <u32>t.receiveSlots + t.outOfOrderSlots;
      }
      expect(right).toBe(true);
      // Whatever was dropped comes again in order, as a sender does.
      for (let place: u32 = t.rcvNxt - start; place < total; place = t.rcvNxt - start) {
        arrive(start, place, min<u32>(1000, total - place));
      }
      expect(t.rcvNxt - start).toBe(total);
      expect(t.outOfOrder).toBe(0);
      expect(t.outOfOrderSlots).toBe(0);
      receiveClear(t);
      expect(held()).toBe(0);
    }
  });

  it("keeps every byte while there are few gaps", () => {
    begin(1000, 5000);
    // Every other block of 1000, then the others from the back: as much overlap as can be.
    for (let place: u32 = 1000; place < 30_000; place += 2000) arrive(5000, place, 1000);
    expect(t.work.outOfOrderRuns).toBe(15);
    for (let place: u32 = 28_000; place > 0; place -= 2000) arrive(5000, place - 100, 1200);
    expect(t.work.outOfOrderRuns).toBe(1);
    expect(t.rcvNxt).toBe(5000);
    arrive(5000, 0, 1000);
    expect(t.rcvNxt).toBe(35_000);
    expect(t.outOfOrderSlots).toBe(0);
    const bytes = receiveCopy(t, read, 40_000, false);
    expect(bytes).toBe(30_000);
    let same = true;
    for (let i: u32 = 0; i < bytes; i++) same = same && load<u8>(read + i) == byteAt(i);
    expect(same).toBe(true);
    expect(held()).toBe(0);
  });

  it("bounds its runs, and lets go of all", () => {
    begin(1000, 0);
    for (let i: u32 = 1; i < 200; i++) arrive(0, i * 10, 1);
    expect(t.work.outOfOrderRuns).toBe(32);
    expect(held()).toBe(32);
    reassemblyClear(t);
    expect(held()).toBe(0);
  });

  it("goes first when memory is short", () => {
    begin(1000, 0);
    const floor = poolOf(PoolId.Standard).floor(Purpose.OutOfOrder);
    for (let i: u32 = 0; i < SLOTS; i++) {
      if (poolOf(PoolId.Standard).owned(Owner.Free) <= floor + 1) break;
      receiveAppend(t, segment(0, 1900));
    }
    const before = held();
    arrive(t.rcvNxt, 100, 1500);
    expect(held()).toBe(before);
    expect(t.outOfOrderSlots).toBe(0);
  });
});

describe("the receive queue", () => {
  it("leaves segments where they are as long as there are slots", () => {
    begin(1000, 0);
    for (let i: u32 = 0; i < 100; i++) receiveAppend(t, segment(i * 20, 20));
    expect(t.receiveSlots).toBe(100);
    receiveClear(t);
    expect(held()).toBe(0);
  });

  it("puts small segments together when half of its slots are taken", () => {
    begin(4, 0);
    for (let i: u32 = 0; i < 100; i++) receiveAppend(t, segment(i * 20, 20));
    expect(t.receiveSlots).toBe(3);
    expect(t.receiveBytes).toBe(2000);
    expect(receiveCopy(t, read, 3000, true)).toBe(2000);
    receiveDrop(t, 1999);
    expect(t.receiveBytes).toBe(1);
    expect(load<u8>(t.receiveHead!.data)).toBe(byteAt(1999));
    receiveDrop(t, 1);
    expect(held()).toBe(0);
  });
});
