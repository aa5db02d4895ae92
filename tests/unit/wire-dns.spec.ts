import {
  DNS_HEADER,
  DNS_NAME_MAX,
  DNS_RECORD_BYTES,
  DNS_TEXT_MAX,
  DnsAsked,
  DnsHeader,
  DnsRecord,
  DnsType,
  dnsAsked,
  dnsBehindQuestion,
  dnsFromText,
  dnsName,
  dnsNameLength,
  dnsQuery,
  dnsRecord,
  dnsTextAbsolute,
  dnsTextDots,
  dnsToText,
  dnsWithin,
} from "../../net/wire/dns";
import { ascii, fromHex, random, toHex } from "./support/host";

const area: usize = memory.data(2048, 8);
const name: usize = memory.data(256, 8);
const other: usize = memory.data(256, 8);
const text: usize = memory.data(1024, 8);
const record = changetype<DnsRecord>(memory.data(DNS_RECORD_BYTES, 8));

/** An answer about www.example.com by way of a CNAME, and the server's EDNS. */
const ANSWER: string =
  "1a2b 8180 0001 0002 0000 0001 03777777076578616d706c6503636f6d00 0001 0001" +
  "c00c 0005 0001 00000e10 0007 04686f7374c010" +
  "c02d 0001 0001 80000001 0004 c0000201" +
  "00 0029 04d0 00000000 0000";

/** Puts bytes into the message; how many. */
function put(hex: string, at: usize = 0): u32 {
  const bytes = fromHex(hex);
  memory.copy(area + at, changetype<usize>(bytes), bytes.byteLength);
  return bytes.byteLength;
}

/** The name at `offset` as text, and where it ends. */
function nameAt(length: u32, offset: u32): string {
  const end = dnsName(area, length, offset, name);
  if (!end) return "none";
  const size = dnsToText(name, text);
  return `${String.UTF8.decodeUnsafe(text, size)} ${end}`;
}

function fromText(source: string): string {
  const bytes = ascii(source);
  const size = dnsFromText(changetype<usize>(bytes), bytes.byteLength, name);
  return size ? toHex(name, size) : "none";
}

describe("names on the wire (RFC 1035, 4.1.4)", () => {
  it("are those of the RFC's own example", () => {
    memory.fill(area, 0, 100);
    put("014603495349044152504100", 20);
    put("03464f4fc014", 40);
    put("c01a", 64);
    const length: u32 = 93;
    expect(nameAt(length, 20)).toBe("F.ISI.ARPA 32");
    expect(nameAt(length, 40)).toBe("FOO.F.ISI.ARPA 46");
    expect(nameAt(length, 64)).toBe("ARPA 66");
    expect(nameAt(length, 92)).toBe(". 93");
    expect(dnsNameLength()).toBe(1);
  });

  it("end within the message", () => {
    const length = put("03777777076578616d706c6500");
    for (let cut: u32 = 0; cut < length; cut++) expect(nameAt(cut, 0)).toBe("none");
    expect(nameAt(length, 0)).toBe("www.example 13");
    expect(nameAt(length, length)).toBe("none");
    expect(nameAt(put("0361c0"), 2)).toBe("none");
  });

  it("have pointers that lead back only", () => {
    // To themselves, forward, to a name that comes back to them.
    expect(nameAt(put("c000"), 0)).toBe("none");
    expect(nameAt(put("c00203617a7a00"), 0)).toBe("none");
    expect(nameAt(put("0161c0040162c000"), 4)).toBe("none");
    expect(nameAt(put("0161c000"), 0)).toBe("none");
    expect(nameAt(put("0161c0040162c000"), 0)).toBe("none");
    // Back twice is good.
    expect(nameAt(put("016100 0162c000 0163c003"), 7)).toBe("c.b.a 11");
  });

  it("have no labels of kinds that are gone", () => {
    expect(nameAt(put("416100"), 0)).toBe("none");
    expect(nameAt(put("816100"), 0)).toBe("none");
  });

  it("have 255 bytes at most, however they are put together", () => {
    let labels = "";
    for (let i = 0; i < 127; i++) labels += "0161";
    expect(nameAt(put(labels + "00"), 0)).toBe("a" + ".a".repeat(126) + " 255");
    expect(dnsNameLength()).toBe(DNS_NAME_MAX);
    expect(nameAt(put(labels + "016100"), 0)).toBe("none");
    // One pointer more.
    expect(nameAt(put(labels + "00" + "0162c000"), 255)).toBe("none");
  });

  it("never make the reader leave the message, or run for ever", () => {
    for (let round = 0; round < 20000; round++) {
      const length = <u32>(random() % 64);
      for (let i: u32 = 0; i < length; i++) {
        const r = <u32>random();
        store<u8>(area + i, r & 3 ? (r & 4 ? 0xc0 : 1) : <u8>(r >> 8));
      }
      const offset = <u32>(random() % 64);
      const end = dnsName(area, length, offset, name);
      if (end) {
        expect(end > offset && end <= length).toBe(true);
        expect(dnsNameLength() <= DNS_NAME_MAX).toBe(true);
      }
    }
  });
});

describe("names as text", () => {
  it("become labels", () => {
    expect(fromText("www.example")).toBe("03777777076578616d706c6500");
    expect(dnsTextDots()).toBe(1);
    expect(dnsTextAbsolute()).toBe(false);
    expect(fromText("example.")).toBe("076578616d706c6500");
    expect(dnsTextDots()).toBe(0);
    expect(dnsTextAbsolute()).toBe(true);
    expect(fromText(".")).toBe("00");
  });

  it("may have any byte behind a backslash", () => {
    expect(fromText("a\\.b.c")).toBe("03612e62016300");
    expect(fromText("\\000\\255")).toBe("0200ff00");
    expect(fromText("a\\256")).toBe("none");
    expect(fromText("a\\25")).toBe("none");
    expect(fromText("a\\2x5")).toBe("none");
    expect(fromText("a\\")).toBe("none");
  });

  it("are none when a label or the whole is too short or too long", () => {
    expect(fromText("")).toBe("none");
    expect(fromText("..")).toBe("none");
    expect(fromText("a..b")).toBe("none");
    expect(fromText(".a")).toBe("none");
    expect(fromText("a b")).toBe("none");
    const label = "x".repeat(63);
    expect(fromText(label)).toBe("3f" + "78".repeat(63) + "00");
    expect(fromText(label + "x")).toBe("none");
    const most = label + "." + label + "." + label + "." + "x".repeat(61);
    expect(fromText(most).length).toBe(2 * 255);
    expect(fromText(most + ".").length).toBe(2 * 255);
    expect(fromText(most + "x")).toBe("none");
    expect(fromText(most + "x.")).toBe("none");
  });

  it("come out as they went in", () => {
    const bytes = fromHex("04612e625c 03 00207f 00");
    const size = dnsToText(changetype<usize>(bytes), text);
    expect(String.UTF8.decodeUnsafe(text, size)).toBe("a\\.b\\\\.\\000\\032\\127");
    expect(dnsFromText(text, size, name)).toBe(<u32>bytes.byteLength);
    expect(memory.compare(name, changetype<usize>(bytes), bytes.byteLength)).toBe(0);
    // The longest that there can be.
    for (let i = 0; i < 255; i++) store<u8>(name + i, i & 63 ? 1 : 63);
    store<u8>(name + 192, 62);
    store<u8>(name + 254, 0);
    expect(dnsToText(name, text) <= <u32>DNS_TEXT_MAX).toBe(true);
  });

  it("lie in zones by whole labels", () => {
    const within = (a: string, b: string): bool => {
      const inner = ascii(a);
      const outer = ascii(b);
      const length = dnsFromText(changetype<usize>(inner), inner.byteLength, name);
      const zone = dnsFromText(changetype<usize>(outer), outer.byteLength, other);
      return dnsWithin(name, length, other, zone);
    };
    expect(within("www.EXAMPLE.com", "example.COM")).toBe(true);
    expect(within("example.com", "example.com")).toBe(true);
    expect(within("example.com", ".")).toBe(true);
    expect(within("badexample.com", "example.com")).toBe(false);
    expect(within("com", "example.com")).toBe(false);
  });
});

describe("messages", () => {
  it("are taken apart", () => {
    const length = put(ANSWER);
    const header = changetype<DnsHeader>(area);
    expect(header.id).toBe(0x1a2b);
    expect(header.isAnswer).toBe(true);
    expect(header.truncated).toBe(false);
    expect(header.complete).toBe(true);
    expect(header.code).toBe(0);
    expect(header.answers).toBe(2);
    expect(header.additionals).toBe(1);
    const asked = ascii("wWw.Example.com");
    const size = dnsFromText(changetype<usize>(asked), asked.byteLength, other);
    expect(dnsAsked(area, length, other, size, DnsType.A)).toBe(DnsAsked.OtherCase);
    expect(dnsAsked(area, length, other, size, DnsType.AAAA)).toBe(DnsAsked.Other);
    expect(dnsAsked(area, 32, other, size, DnsType.A)).toBe(DnsAsked.Other);
    memory.copy(other, area + DNS_HEADER, size);
    expect(dnsAsked(area, length, other, size, DnsType.A)).toBe(DnsAsked.Same);
    let at = dnsRecord(area, length, dnsBehindQuestion(size), record);
    expect(record.type).toBe(DnsType.CNAME);
    expect(record.ttl).toBe(3600);
    expect(nameAt(length, record.dataAt)).toBe(`host.example.com ${at}`);
    at = dnsRecord(area, length, at, record);
    expect(record.type).toBe(DnsType.A);
    expect(toHex(record.owner, record.ownerLength)).toBe("04686f7374076578616d706c6503636f6d00");
    // RFC 2181, 8: such a TTL is none.
    expect(record.ttl).toBe(0);
    expect(toHex(area + record.dataAt, record.dataLength)).toBe("c0000201");
    at = dnsRecord(area, length, at, record);
    expect(record.type).toBe(DnsType.OPT);
    expect(at).toBe(length);
    expect(dnsRecord(area, length, at, record)).toBe(0);
  });

  it("have records that end within them", () => {
    const length = put(ANSWER);
    for (let cut: u32 = 45; cut < length; cut++) {
      let at: u32 = 33;
      for (let i = 0; i < 3 && at; i++) {
        at = dnsRecord(area, cut, at, record);
        if (at) expect(record.dataAt + record.dataLength <= cut).toBe(true);
      }
      expect(at).toBe(0);
    }
  });

  it("ask as RFC 1035, 4.1 and RFC 6891, 6.1.2 have it", () => {
    const asked = ascii("www.example");
    const size = dnsFromText(changetype<usize>(asked), asked.byteLength, other);
    let length = dnsQuery(area, 0xbeef, other, size, DnsType.AAAA, 1232);
    expect(toHex(area, length)).toBe(
      "beef01000001000000000001" +
        "03777777076578616d706c6500" +
        "001c0001" +
        "00002904d0000000000000",
    );
    length = dnsQuery(area, 1, other, size, DnsType.A, 0);
    expect(toHex(area, length)).toBe(
      "000101000001000000000000" + "03777777076578616d706c6500" + "00010001",
    );
  });
});
