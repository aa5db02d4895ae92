import {
  completeChecksum,
  finish,
  fold,
  pseudoHeaderSum,
  sum,
  swapped,
  transportChecksumValid,
  update16,
  update32,
} from "../../net/wire/checksum";
import { IpAddress } from "../../net/wire/address";
import { memoryInit } from "../../kernel/memory";
import {
  HEADROOM,
  Packet,
  PacketFlag,
  PoolId,
  Purpose,
  allocate,
  poolsInit,
} from "../../kernel/packet";
import { fromHex, random } from "./support/host";

/** The sum as RFC 1071, 1 words it: 16-bit words, most significant byte first, carries added in. */
function naive(at: usize, length: u32): u32 {
  let total: u32 = 0;
  for (let i: u32 = 0; i < length; i++) {
    total += i & 1 ? <u32>load<u8>(at + i) : (<u32>load<u8>(at + i)) << 8;
    if (total > 0xffff) total = (total & 0xffff) + 1;
  }
  return total;
}

/** A sum in load order as the number that RFCs print. */
function printed(sum: u32): u32 {
  return bswap<u16>(<u16>sum);
}

const area: usize = memory.data(2100, 8);

function fill(length: u32): void {
  for (let i: u32 = 0; i < length; i++) store<u8>(area + i, <u8>random());
}

describe("the Internet checksum", () => {
  it("sums RFC 1071's example (3) to ddf2", () => {
    const bytes = fromHex("0001 f203 f4f5 f6f7");
    expect(printed(sum(changetype<usize>(bytes), 8, 0))).toBe(0xddf2);
  });

  it("checks a header captured elsewhere", () => {
    // Echo request of Linux's ping; its checksum field is b861.
    const header = fromHex("4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7");
    const at = changetype<usize>(header);
    expect(sum(at, 20, 0)).toBe(0xffff);
    store<u16>(at, 0, 10);
    store<u16>(at, <u16>finish(sum(at, 20, 0)), 10);
    expect(bswap<u16>(load<u16>(at, 10))).toBe(0xb861);
  });

  it("agrees with the plain sum at every length and alignment", () => {
    fill(2100);
    for (let length: u32 = 0; length < 200; length++) {
      for (let offset: u32 = 0; offset < 9; offset++) {
        const wanted = naive(area + offset, length);
        expect(printed(sum(area + offset, length, 0))).toBe(wanted);
      }
    }
    for (let length: u32 = 1490; length < 2050; length += 7) {
      expect(printed(sum(area + 1, length, 0))).toBe(naive(area + 1, length));
    }
  });

  it("carries through words of all ones", () => {
    memory.fill(area, 0xff, 1500);
    expect(sum(area, 1500, 0)).toBe(0xffff);
    expect(sum(area, 1499, 0xffff)).toBe(fold(0xffff + 0xff));
    memory.fill(area, 0, 1500);
    expect(sum(area, 1500, 0)).toBe(0);
  });

  it("goes on from another sum, of any size", () => {
    fill(512);
    const whole = sum(area, 512, 0);
    for (let cut: u32 = 0; cut <= 512; cut += 2) {
      expect(sum(area + cut, 512 - cut, sum(area, cut, 0))).toBe(whole);
    }
    expect(sum(area, 512, 0xffff_0000)).toBe(fold(whole + 0xffff));
  });

  it("swaps the sum of what begins at an odd byte (RFC 1071, 2.B)", () => {
    fill(301);
    for (let cut: u32 = 1; cut < 301; cut += 2) {
      const total = fold(sum(area, cut, 0) + swapped(sum(area + cut, 301 - cut, 0)));
      expect(total).toBe(sum(area, 301, 0));
    }
  });

  it("follows a change of one word (RFC 1624, 3 and 4)", () => {
    // The RFC's example: checksum dd2f, a word of 5555 becomes 3285: 0000, where RFC 1141 gave ffff.
    expect(update16(0xdd2f, 0x5555, 0x3285)).toBe(0);
    for (let i = 0; i < 500; i++) {
      fill(64);
      store<u16>(area, 0, 10);
      const before = finish(sum(area, 64, 0));
      const old16 = load<u16>(area, 20);
      const old32 = load<u32>(area, 40);
      store<u16>(area, <u16>random(), 20);
      store<u32>(area, <u32>random(), 40);
      const after = finish(sum(area, 64, 0));
      const first = update16(before, old16, load<u16>(area, 20));
      expect(update32(first, old32, load<u32>(area, 40))).toBe(after);
    }
  });

  it("sums pseudo-headers of both families", () => {
    const source = changetype<IpAddress>(memory.data(16, 8));
    const destination = changetype<IpAddress>(memory.data(16, 8));
    source.setV4(0xc0a8_0001);
    destination.setV4(0x0a00_02ff);
    const v4 = fromHex("c0a80001 0a0002ff 0006 0514");
    expect(pseudoHeaderSum(source, destination, 6, 0x514)).toBe(sum(changetype<usize>(v4), 12, 0));
    source.set(0x2001_0db8_0000_0001, 0xffff_ffff_ffff_fffe);
    destination.set(0xfe80_0000_0000_0000, 0x0211_22ff_fe33_4455);
    const v6 = fromHex(
      "20010db800000001 fffffffffffffffe fe80000000000000 021122fffe334455 00000514 00000011",
    );
    expect(pseudoHeaderSum(source, destination, 17, 0x514)).toBe(sum(changetype<usize>(v6), 40, 0));
  });

  it("is filled in over fragments of odd lengths, and found right", () => {
    memoryInit();
    poolsInit();
    const source = changetype<IpAddress>(memory.data(16, 8));
    const destination = changetype<IpAddress>(memory.data(16, 8));
    source.setV4(0x0a00_0001);
    destination.setV4(0x0a00_0002);
    for (let first: u32 = 0; first < 40; first++) {
      fill(400);
      const packet = changetype<Packet>(allocate(PoolId.Standard, Purpose.Data, HEADROOM));
      const bytes = 20 + first + 33 + 57;
      packet.length = 20 + first;
      memory.copy(packet.data, area + 200, packet.length);
      packet.addFragment(area, 33, null);
      packet.addFragment(area + 33, 57, null);
      packet.checksumStart = 0;
      packet.checksumOffset = 16;
      packet.flags = <u8>PacketFlag.ChecksumPending;
      store<u16>(packet.data, <u16>pseudoHeaderSum(source, destination, 6, bytes), 16);
      completeChecksum(packet);
      expect(packet.flags).toBe(0);
      const whole = changetype<Packet>(allocate(PoolId.Standard, Purpose.Data, HEADROOM));
      memory.copy(whole.data, packet.data, packet.length);
      memory.copy(whole.data + packet.length, area, 90);
      whole.length = bytes;
      expect(transportChecksumValid(whole, 6, source, destination)).toBe(true);
      store<u8>(whole.data + bytes - 1, load<u8>(whole.data + bytes - 1) ^ 4);
      expect(transportChecksumValid(whole, 6, source, destination)).toBe(false);
      whole.flags = <u8>PacketFlag.TransportChecksumGood;
      expect(transportChecksumValid(whole, 6, source, destination)).toBe(true);
      whole.release();
      packet.release();
    }
  });

  it("of UDP is never sent as zero (RFC 768)", () => {
    memoryInit();
    poolsInit();
    const packet = changetype<Packet>(allocate(PoolId.Standard, Purpose.Data, HEADROOM));
    packet.length = 10;
    memory.fill(packet.data, 0, 10);
    store<u16>(packet.data, 0xffff, 8);
    packet.checksumStart = 0;
    packet.checksumOffset = 6;
    packet.flags = <u8>PacketFlag.ChecksumPending;
    completeChecksum(packet);
    expect(load<u16>(packet.data, 6)).toBe(0xffff);
  });
});
