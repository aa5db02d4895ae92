import {
  DHCP_BUILD_MAX,
  DhcpMessage,
  DhcpRequest,
  DhcpType,
  dhcpBuild,
  dhcpParse,
} from "../../net/wire/dhcp";
import { ascii, fromHex, random, toHex } from "./support/host";

const area: usize = memory.data(600, 8);
const reply = changetype<DhcpMessage>(memory.data(offsetof<DhcpMessage>(), 8));
const request = changetype<DhcpRequest>(memory.data(offsetof<DhcpRequest>(), 8));
const MAC: u64 = 0x5254_0012_3456;
const XID: u32 = 0xdead_beef;

/** Writes an answer to `MAC` and `XID` with these options; returns its length. */
function answer(options: string, file: string = "", sname: string = ""): u32 {
  memory.fill(area, 0, 600);
  const fixed = fromHex(
    "02010600 deadbeef 0000 0000 00000000 0a00020f 0a000202 00000000 525400123456",
  );
  memory.copy(area, changetype<usize>(fixed), fixed.byteLength);
  const cookie = fromHex("63825363" + options);
  memory.copy(area + 236, changetype<usize>(cookie), cookie.byteLength);
  const inFile = fromHex(file);
  memory.copy(area + 108, changetype<usize>(inFile), inFile.byteLength);
  const inSname = fromHex(sname);
  memory.copy(area + 44, changetype<usize>(inSname), inSname.byteLength);
  return 236 + cookie.byteLength;
}

function parse(length: u32): bool {
  return dhcpParse(area, length, XID, MAC, reply);
}

describe("a DHCP server's message", () => {
  it("of QEMU's user network is read whole", () => {
    const length = answer(
      "350105 360 40a000202 0104ffffff00 03040a000202 06040a000203 330400015180 0f0468 6f6d65 ff",
    );
    expect(parse(length)).toBe(true);
    expect(reply.type).toBe(DhcpType.Ack);
    expect(reply.address).toBe(0x0a00_020f);
    expect(reply.server).toBe(0x0a00_0202);
    expect(reply.mask).toBe(0xffff_ff00);
    expect(reply.router).toBe(0x0a00_0202);
    expect(reply.dnsCount).toBe(1);
    expect(reply.dns(0)).toBe(0x0a00_0203);
    expect(reply.leaseTime).toBe(86400);
    expect(toHex(reply.domain, reply.domainLength)).toBe("686f6d65");
  });

  it("is read across pads, unknown options and lists that are too long", () => {
    const length = answer(
      "00 00 350102 fc03aabbcc 0614 01010101 02020202 03030303 04040404 05050505" +
        "0308 0a000001 0a000002 1a020578 3a0400000064 3b04000000c8 38026e6f ff",
    );
    expect(parse(length)).toBe(true);
    expect(reply.type).toBe(DhcpType.Offer);
    expect(reply.dnsCount).toBe(3);
    expect(reply.dns(2)).toBe(0x0303_0303);
    expect(reply.router).toBe(0x0a00_0001);
    expect(reply.mtu).toBe(1400);
    expect(reply.renewalTime).toBe(100);
    expect(reply.rebindingTime).toBe(200);
    expect(toHex(reply.message, reply.messageLength)).toBe("6e6f");
    expect(reply.server).toBe(0);
  });

  it("goes on in file, then in sname, when it says so (RFC 2132, 9.3)", () => {
    const file = "0104ffffff80 ff";
    const sname = "03040a000001 ff";
    expect(parse(answer("350105 340101 ff", file, sname))).toBe(true);
    expect(reply.mask).toBe(0xffff_ff80);
    expect(reply.router).toBe(0);
    expect(parse(answer("350105 340102 ff", file, sname))).toBe(true);
    expect(reply.mask).toBe(0);
    expect(reply.router).toBe(0x0a00_0001);
    expect(parse(answer("350105 340103 ff", file, sname))).toBe(true);
    expect(reply.mask).toBe(0xffff_ff80);
    expect(reply.router).toBe(0x0a00_0001);
    expect(parse(answer("350105 ff", file, sname))).toBe(true);
    expect(reply.mask).toBe(0);
  });

  it("is refused for another client, another transaction or another protocol", () => {
    const length = answer("350105 ff");
    expect(dhcpParse(area, length, XID ^ 1, MAC, reply)).toBe(false);
    expect(dhcpParse(area, length, XID, MAC ^ 1, reply)).toBe(false);
    expect(parse(length)).toBe(true);
    store<u8>(area, 1);
    expect(parse(length)).toBe(false);
    store<u8>(area, 2);
    store<u8>(area + 239, 0);
    expect(parse(length)).toBe(false);
  });

  it("is refused when an option's length cannot be", () => {
    expect(parse(answer("350205 05 ff"))).toBe(false);
    expect(parse(answer("350105 0103ffffff ff"))).toBe(false);
    expect(parse(answer("350105 0306 0a0000010a00 ff"))).toBe(false);
    expect(parse(answer("350105 0300 ff"))).toBe(false);
    expect(parse(answer("350105 33080001518000015180 ff"))).toBe(false);
    expect(parse(answer("350105 1a0105 ff"))).toBe(false);
    expect(parse(answer("350105 0c00 ff"))).toBe(false);
    expect(parse(answer("350105 3605 0a000202"))).toBe(false);
    expect(parse(answer("350105 36"))).toBe(false);
    expect(parse(answer("ff"))).toBe(false);
  });

  it("of any random bytes is never read beyond its end", () => {
    for (let round = 0; round < 5000; round++) {
      const length = answer("350105");
      for (let i: u32 = length; i < 340; i++) store<u8>(area + i, <u8>random());
      const cut = length + (<u32>random() % 100);
      if (!parse(cut)) continue;
      if (reply.messageLength) expect(reply.message + reply.messageLength <= area + cut).toBe(true);
      if (reply.hostnameLength) {
        expect(reply.hostname + reply.hostnameLength <= area + cut).toBe(true);
      }
      if (reply.domainLength) expect(reply.domain + reply.domainLength <= area + cut).toBe(true);
    }
  });
});

describe("a DHCP client's message", () => {
  it("is as RFC 2131, table 5, wants a DISCOVER", () => {
    const name = ascii("web");
    memory.fill(changetype<usize>(request), 0, offsetof<DhcpRequest>());
    request.type = DhcpType.Discover;
    request.xid = XID;
    request.mac = MAC;
    request.seconds = 0x102;
    request.maximumSize = 1472;
    request.hostname = changetype<usize>(name);
    request.hostnameLength = 3;
    const length = dhcpBuild(area, request);
    expect(length).toBe(300);
    expect(toHex(area, 12)).toBe("01010600deadbeef01020000");
    expect(toHex(area + 28, 16)).toBe("52540012345600000000000000000000");
    expect(toHex(area + 236, 39)).toBe(
      "63825363" +
        "350101" +
        "3d0701525400123456" +
        "390205c0" +
        "0c03776562" +
        "370b017903060f1a333a3b772a" +
        "ff",
    );
  });

  it("never outgrows its room", () => {
    const name = new ArrayBuffer(63);
    memory.fill(changetype<usize>(name), 0x61, 63);
    request.type = DhcpType.Request;
    request.requestedAddress = 0x0a00_020f;
    request.server = 0x0a00_0202;
    request.hostname = changetype<usize>(name);
    request.hostnameLength = 63;
    const length = dhcpBuild(area, request);
    expect(length <= DHCP_BUILD_MAX).toBe(true);
    expect(load<u8>(area + length - 1)).toBe(0xff);
  });

  it("gives an address back without asking for anything", () => {
    request.type = DhcpType.Decline;
    dhcpBuild(area, request);
    expect(toHex(area + 240, 25)).toBe(
      "350104" + "3d0701525400123456" + "32040a00020f" + "36040a000202" + "ff",
    );
  });
});
