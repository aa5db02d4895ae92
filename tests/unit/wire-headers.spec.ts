import { ARP_LENGTH, ArpOperation, ArpPacket, arpBuild, arpValid } from "../../net/wire/arp";
import { EthernetHeader, ethernetBuild, isGroupMac, multicastMacV4 } from "../../net/wire/ethernet";
import { Ipv4Fault, Ipv4Fragment, Ipv4Header, ipv4Build, ipv4Check } from "../../net/wire/ipv4";
import { IcmpFault, IcmpType, Icmpv4Header, icmpv4Check } from "../../net/wire/icmpv4";
import { UdpHeader, udpBuild, udpValid } from "../../net/wire/udp";
import { sum } from "../../net/wire/checksum";
import { fromHex, toHex } from "./support/host";

const area: usize = memory.data(256, 8);

/** Puts the bytes that `hex` spells into `area`; returns how many. */
function put(hex: string): u32 {
  const bytes = fromHex(hex);
  memory.copy(area, changetype<usize>(bytes), bytes.byteLength);
  return bytes.byteLength;
}

/** An IPv4 header with a right checksum, whatever else is wrong with it. */
function putSummed(hex: string): u32 {
  const length = put(hex);
  const headerLength = ((<u32>load<u8>(area)) & 15) << 2;
  store<u16>(area, 0, 10);
  store<u16>(area, ~(<u16>sum(area, headerLength, 0)), 10);
  return length;
}

describe("Ethernet", () => {
  it("reads a header", () => {
    put("ffffffffffff 525400123456 0806 0001");
    const header = changetype<EthernetHeader>(area);
    expect(header.destination).toBe(0xffff_ffff_ffff);
    expect(header.source).toBe(0x5254_0012_3456);
    expect(header.type).toBe(0x0806);
  });

  it("writes a header and nothing beside it", () => {
    memory.fill(area, 0xee, 32);
    ethernetBuild(area + 8, 0x0102_0304_0506, 0xa1a2_a3a4_a5a6, 0x86dd);
    expect(toHex(area + 7, 16)).toBe("ee010203040506a1a2a3a4a5a686ddee");
  });

  it("knows groups, and the MAC address of an IPv4 one (RFC 1112, 6.4)", () => {
    expect(isGroupMac(0xffff_ffff_ffff)).toBe(true);
    expect(isGroupMac(0x0100_5e00_0001)).toBe(true);
    expect(isGroupMac(0x5254_0000_0001)).toBe(false);
    expect(multicastMacV4(0xe0ff_0102)).toBe(0x0100_5e7f_0102);
    expect(multicastMacV4(0xe080_0001)).toBe(0x0100_5e00_0001);
  });
});

describe("ARP", () => {
  const REQUEST = "0001 0800 06 04 0001 525400123456 0a000001 000000000000 0a000002";

  it("reads a request", () => {
    const length = put(REQUEST);
    expect(arpValid(area, length)).toBe(true);
    const arp = changetype<ArpPacket>(area);
    expect(arp.operation).toBe(1);
    expect(arp.senderMac).toBe(0x5254_0012_3456);
    expect(arp.senderAddress).toBe(0x0a00_0001);
    expect(arp.targetMac).toBe(0);
    expect(arp.targetAddress).toBe(0x0a00_0002);
  });

  it("refuses other hardware, protocols, lengths and cut packets", () => {
    for (let at = 0; at < 6; at++) {
      put(REQUEST);
      store<u8>(area + at, load<u8>(area + at) ^ 1);
      expect(arpValid(area, ARP_LENGTH)).toBe(false);
    }
    put(REQUEST);
    for (let length: u32 = 0; length < ARP_LENGTH; length++) {
      expect(arpValid(area, length)).toBe(false);
    }
  });

  it("writes what it reads", () => {
    arpBuild(
      area,
      ArpOperation.Reply,
      0x5254_0012_3456,
      0x0a00_0001,
      0x0200_0000_0009,
      0x0a00_0002,
    );
    expect(toHex(area, 28)).toBe("00010800060400025254001234560a0000010200000000090a000002");
  });
});

describe("IPv4", () => {
  /** A datagram of Linux: DF, TTL 64, UDP, 28 bytes, checksum 26b7. */
  const DATAGRAM = "4500 001c 1234 4000 4011 0000 0a000001 0a000002 1388 0035 0008 0000";

  it("reads a header", () => {
    const length = putSummed(DATAGRAM);
    expect(ipv4Check(area, length, false)).toBe(Ipv4Fault.None);
    const header = changetype<Ipv4Header>(area);
    expect(header.version).toBe(4);
    expect(header.headerLength).toBe(20);
    expect(header.totalLength).toBe(28);
    expect(header.id).toBe(0x1234);
    expect(header.fragment).toBe(Ipv4Fragment.DontFragment);
    expect(header.isFragment).toBe(false);
    expect(header.ttl).toBe(64);
    expect(header.protocol).toBe(17);
    expect(header.source).toBe(0x0a00_0001);
    expect(header.destination).toBe(0x0a00_0002);
  });

  it("finds every single wrong bit of a header by its sum", () => {
    const length = putSummed(DATAGRAM);
    for (let bit: u32 = 0; bit < 160; bit++) {
      const at = area + (bit >> 3);
      store<u8>(at, (<u32>load<u8>(at)) ^ (1 << (bit & 7)));
      expect(ipv4Check(area, length, false)).not.toBe(Ipv4Fault.None);
      store<u8>(at, (<u32>load<u8>(at)) ^ (1 << (bit & 7)));
    }
  });

  it("believes a device that checked the sum, and checks the rest", () => {
    const length = putSummed(DATAGRAM);
    store<u8>(area + 10, load<u8>(area + 10) ^ 1);
    expect(ipv4Check(area, length, false)).toBe(Ipv4Fault.Checksum);
    expect(ipv4Check(area, length, true)).toBe(Ipv4Fault.None);
    expect(ipv4Check(area, 27, true)).toBe(Ipv4Fault.Length);
    expect(ipv4Check(area, 19, true)).toBe(Ipv4Fault.Short);
    expect(ipv4Check(area, 0, true)).toBe(Ipv4Fault.Short);
  });

  it("holds lengths against each other", () => {
    putSummed("4500 0013 1234 4000 4011 0000 0a000001 0a000002");
    expect(ipv4Check(area, 60, false)).toBe(Ipv4Fault.Length);
    putSummed("4400 001c 1234 4000 4011 0000 0a000001 0a000002");
    expect(ipv4Check(area, 60, false)).toBe(Ipv4Fault.Length);
    putSummed("4600 0014 1234 4000 4011 0000 0a000001 0a000002 00000000");
    expect(ipv4Check(area, 60, false)).toBe(Ipv4Fault.Length);
    putSummed("6500 001c 1234 4000 4011 0000 0a000001 0a000002");
    expect(ipv4Check(area, 60, false)).toBe(Ipv4Fault.Version);
  });

  it("walks options to the end of the header and no further", () => {
    const header = "4600 0018 1234 4000 4001 0000 0a000001 0a000002 ";
    putSummed(header + "94040000");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.None);
    putSummed(header + "01010100");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.None);
    // Behind the end of the list anything may stand.
    putSummed(header + "00830000");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.None);
    putSummed(header + "94050000");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.Options);
    putSummed(header + "94000000");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.Options);
    putSummed(header + "94010000");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.Options);
    putSummed(header + "01010194");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.Options);
    putSummed(header + "83040400");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.SourceRoute);
    putSummed(header + "89040400");
    expect(ipv4Check(area, 24, false)).toBe(Ipv4Fault.SourceRoute);
  });

  it("tells fragments", () => {
    const header = changetype<Ipv4Header>(area);
    put("4500 001c 1234 2000 4011 0000 0a000001 0a000002");
    expect(header.isFragment).toBe(true);
    put("4500 001c 1234 0001 4011 0000 0a000001 0a000002");
    expect(header.isFragment).toBe(true);
    put("4500 001c 1234 8000 4011 0000 0a000001 0a000002");
    expect(header.isFragment).toBe(false);
  });

  it("writes a header whose sum is right", () => {
    ipv4Build(area, 1500, 0xb8, 64, 6, 0xc0a8_0001, 0x0808_0808);
    expect(ipv4Check(area, 1500, false)).toBe(Ipv4Fault.None);
    expect(toHex(area, 10)).toBe("45b805dc000040004006");
    expect(toHex(area + 12, 8)).toBe("c0a8000108080808");
  });
});

describe("ICMP", () => {
  it("reads an echo request and finds a wrong sum", () => {
    const length = put("0800 f7f8 0001 0006");
    expect(icmpv4Check(area, length)).toBe(IcmpFault.None);
    expect(changetype<Icmpv4Header>(area).type).toBe(IcmpType.EchoRequest);
    expect(icmpv4Check(area, 7)).toBe(IcmpFault.Short);
    store<u8>(area, 7, 7);
    expect(icmpv4Check(area, length)).toBe(IcmpFault.Checksum);
  });

  it("reads the next hop's MTU (RFC 1191, 4)", () => {
    put("0304 0000 0000 0578");
    expect(changetype<Icmpv4Header>(area).nextHopMtu).toBe(1400);
  });
});

describe("UDP", () => {
  it("reads a header and holds its length against the bytes", () => {
    const length = put("0035 c000 000c 1234 01020304");
    expect(udpValid(area, length)).toBe(true);
    const header = changetype<UdpHeader>(area);
    expect(header.sourcePort).toBe(53);
    expect(header.destinationPort).toBe(0xc000);
    expect(header.length).toBe(12);
    expect(udpValid(area, 11)).toBe(false);
    expect(udpValid(area, 7)).toBe(false);
    expect(udpValid(area, 0)).toBe(false);
    expect(udpValid(area, 60)).toBe(true);
    put("0035 c000 0007 1234");
    expect(udpValid(area, 60)).toBe(false);
  });

  it("writes a header", () => {
    udpBuild(area, 68, 67, 308, 0x3412);
    expect(toHex(area, 8)).toBe("0044004301341234");
  });
});
