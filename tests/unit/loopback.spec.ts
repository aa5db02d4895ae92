import { Device, deviceAt, deviceCount } from "../../drivers/device";
import { loopbackStart } from "../../drivers/loopback";
import { memoryInit, reserve } from "../../kernel/memory";
import {
  HEADROOM,
  Owner,
  POOLS,
  Packet,
  PacketFlag,
  PoolId,
  Purpose,
  allocate,
  poolOf,
  poolsInit,
} from "../../kernel/packet";

function lo(): Device {
  return deviceAt(0);
}

function packet(length: u32): Packet {
  const packet = allocate(PoolId.Standard, Purpose.Data, HEADROOM)!;
  packet.length = length;
  for (let i: u32 = 0; i < length; i++) store<u8>(packet.data + i, <u8>(i * 3));
  return packet;
}

function free(): u32 {
  let sum: u32 = 0;
  for (let id: u32 = 0; id < POOLS; id++) sum += poolOf(id).owned(Owner.Free);
  return sum;
}

function slots(): u32 {
  let sum: u32 = 0;
  for (let id: u32 = 0; id < POOLS; id++) sum += poolOf(id).slots;
  return sum;
}

let content: usize = 0;

describe("the loopback", () => {
  beforeAll(() => {
    memoryInit();
    poolsInit();
    content = reserve(16384, 64);
    for (let i: usize = 0; i < 16384; i++) store<u8>(content + i, <u8>(i * 7 + 1));
    expect(loopbackStart() !== null).toBe(true);
    expect(deviceCount()).toBe(1);
  });

  afterEach(() => {
    lo().received.clear();
    expect(free()).toBe(slots());
  });

  it("hands the very packet on, checksum vouched for", () => {
    const sent = packet(100);
    sent.flags = <u8>PacketFlag.ChecksumPending;
    lo().pending.push(sent);
    lo().transmit();
    expect(lo().pendingLength).toBe(0);
    expect(lo().receivedLength).toBe(1);
    const got = lo().received.pop()!;
    expect(changetype<usize>(got)).toBe(changetype<usize>(sent));
    expect<u32>(got.flags).toBe(PacketFlag.NetworkChecksumGood | PacketFlag.TransportChecksumGood);
    got.release();
  });

  it("copies what someone else still reads, and leaves that one alone", () => {
    const sent = packet(100);
    sent.retain();
    lo().pending.push(sent);
    lo().transmit();
    const got = lo().received.pop()!;
    expect(changetype<usize>(got)).not.toBe(changetype<usize>(sent));
    expect(memory.compare(got.data, sent.data, 100)).toBe(0);
    got.release();
    expect(sent.references).toBe(1);
    sent.release();
  });

  it("puts fragments into one run, as large as its MTU", () => {
    const lengths: u32[] = [10, 1800, 1900, 5000, 9000 - 60];
    for (let i = 0; i < lengths.length; i++) {
      const sent = packet(40);
      const payload = packet(20);
      sent.addFragment(payload.data, 20, payload);
      payload.release();
      sent.addFragment(content, lengths[i], null);
      lo().pending.push(sent);
      lo().transmit();
      const got = lo().received.pop()!;
      expect(got.length).toBe(60 + lengths[i]);
      expect(got.fragmentCount).toBe(0);
      for (let at: u32 = 0; at < 40; at++) expect(load<u8>(got.data + at)).toBe(<u8>(at * 3));
      for (let at: u32 = 0; at < 20; at++) expect(load<u8>(got.data + 40 + at)).toBe(<u8>(at * 3));
      expect(memory.compare(got.data + 60, content, lengths[i])).toBe(0);
      got.release();
    }
  });

  it("drops and counts what no slot holds", () => {
    const dropped = lo().receiveDropped;
    const sent = packet(40);
    sent.addFragment(content, 9700, null);
    lo().pending.push(sent);
    lo().transmit();
    expect(lo().receivedLength).toBe(0);
    expect(lo().receiveDropped).toBe(dropped + 1);
  });

  it("keeps the order and counts", () => {
    const before = lo().receivedPackets;
    for (let i: u32 = 0; i < 40; i++) lo().pending.push(packet(i + 20));
    lo().transmit();
    for (let i: u32 = 0; i < 40; i++) {
      const got = lo().received.pop()!;
      expect(got.length).toBe(i + 20);
      got.release();
    }
    expect(lo().receivedPackets).toBe(before + 40);
    expect(lo().sentPackets).toBe(lo().receivedPackets);
    expect(lo().sentBytes).toBe(lo().receivedBytes);
  });
});
