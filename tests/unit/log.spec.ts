import { IpAddress } from "../../net/wire/address";
import { Level, debug, error, info, logCopy, logLength, setLogLevel, warn } from "../../kernel/log";
import { ascii, consoleText, setClock } from "./support/host";

const address = changetype<IpAddress>(memory.data(16, 8));

function ip(hi: u64, lo: u64): string {
  consoleText();
  address.set(hi, lo);
  info("t").ip(address).end();
  const line = consoleText();
  return line.substring(line.indexOf(": ") + 2, line.length - 1);
}

function newest(length: u32): string {
  const copy = new ArrayBuffer(length);
  logCopy(changetype<usize>(copy), length);
  return String.UTF8.decode(copy);
}

describe("the log", () => {
  beforeEach(() => {
    setLogLevel(Level.Info);
    setClock(0);
    consoleText();
  });

  it("is one line an event: time, level, source, words, pairs", () => {
    setClock(12_345_678_901);
    error("a").text("lost").key("count").number(3).end();
    warn("b").text("odd").end();
    info("c").text("new").key("x").hex(0xbeef, 4).key("y").signed(-5).end();
    expect(consoleText()).toBe(
      "12.345678 error a: lost count=3\n12.345678 warn  b: odd\n12.345678 info  c: new x=beef y=-5\n",
    );
  });

  it("drops what is below the level, whatever is in it", () => {
    address.set(0, 1);
    debug("d")
      .text("t")
      .key("k")
      .number(1)
      .signed(-1)
      .hex(1, 1)
      .mac(1)
      .ipv4(1)
      .ip(address)
      .bytes(1, 1)
      .seconds(1, 1)
      .end();
    expect(consoleText()).toBe("");
    setLogLevel(Level.Debug);
    debug("d").text("t").end();
    expect(consoleText()).toBe("0.000000 debug d: t\n");
    setLogLevel(Level.Error);
    warn("w").end();
    expect(consoleText()).toBe("");
  });

  it("formats numbers to their ends", () => {
    info("n")
      .number(0)
      .text(" ")
      .number(u64.MAX_VALUE)
      .text(" ")
      .signed(i64.MIN_VALUE)
      .text(" ")
      .signed(0)
      .end();
    expect(consoleText()).toBe("0.000000 info  n: 0 18446744073709551615 -9223372036854775808 0\n");
    info("n").hex(0, 1).text(" ").hex(u64.MAX_VALUE, 16).text(" ").hex(0x1abc, 2).end();
    expect(consoleText()).toBe("0.000000 info  n: 0 ffffffffffffffff bc\n");
    info("n").seconds(59_999_999_999, 3).text(" ").seconds(1_000_000_007, 9).end();
    expect(consoleText()).toBe("0.000000 info  n: 59.999 1.000000007\n");
  });

  it("formats addresses: MAC, IPv4, and IPv6 by RFC 5952, 4", () => {
    info("m").mac(0x525400123456).text(" ").ipv4(0xc0a80001).end();
    expect(consoleText()).toBe("0.000000 info  m: 52:54:00:12:34:56 192.168.0.1\n");
    expect(ip(0, 0xffff_0a00_0002)).toBe("10.0.0.2");
    expect(ip(0, 0)).toBe("::");
    expect(ip(0, 1)).toBe("::1");
    expect(ip(0x20010db8_00000000, 0)).toBe("2001:db8::");
    expect(ip(0x20010db8_00000000, 0x0001)).toBe("2001:db8::1");
    expect(ip(0xfe800000_00000000, 0x5054_00ff_fe12_3456)).toBe("fe80::5054:ff:fe12:3456");
    // 4.2.2: one group of zeros stays; 4.2.3: the longest run, the first of equals.
    expect(ip(0x20010db8_00000001, 0x0001_0001_0001_0001)).toBe("2001:db8:0:1:1:1:1:1");
    expect(ip(0x20010000_00000001, 0x0000_0000_0000_0001)).toBe("2001:0:0:1::1");
    expect(ip(0x20010db8_00000000, 0x0001_0000_0000_0001)).toBe("2001:db8::1:0:0:1");
    expect(ip(0x00010002_00030004, 0x0005_0006_0007_0008)).toBe("1:2:3:4:5:6:7:8");
    expect(ip(0x00010002_00030004, 0x0005_0006_0000_0000)).toBe("1:2:3:4:5:6::");
  });

  it("shows nothing from outside but printable ASCII", () => {
    const raw = ascii("a\n\x1b[31m\x7fé~ ");
    info("x").bytes(changetype<usize>(raw), raw.byteLength).end();
    expect(consoleText()).toBe("0.000000 info  x: a??[31m???~ \n");
    info("x").text("é").end();
    expect(consoleText()).toBe("0.000000 info  x: ?\n");
  });

  it("cuts a line at 256 bytes and says so, and the next is whole again", () => {
    for (let extra = 0; extra < 4; extra++) {
      // 18 bytes come before the text; 252 in all are the most that are not cut.
      info("x")
        .text("y".repeat(233 + extra))
        .end();
      const line = consoleText();
      if (extra < 2) expect(line).toBe("0.000000 info  x: " + "y".repeat(233 + extra) + "\n");
      else expect(line).toBe("0.000000 info  x: " + "y".repeat(234) + "...\n");
    }
    info("x").text("z".repeat(10000)).end();
    expect(consoleText().length).toBe(256);
    info("x").text("next").end();
    expect(consoleText()).toBe("0.000000 info  x: next\n");
  });

  it("keeps the newest lines, also across the ring's end", () => {
    let all = "";
    for (let i = 0; i < 2000; i++) {
      info("ring").text("line ").number(i).end();
    }
    all = consoleText();
    expect(logLength()).toBe(16384);
    expect(newest(16384)).toBe(all.substring(all.length - 16384));
    expect(newest(30)).toBe(all.substring(all.length - 30));
    expect(newest(0)).toBe("");
  });
});
