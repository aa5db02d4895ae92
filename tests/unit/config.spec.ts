import { fixedAt, fixedCount, poolAt, poolCount } from "../../net/dhcp/pool";
import { AddressMode, AddressMode6, config, configParse, EcnMode } from "../../kernel/config";
import { virtioMmioAt, virtioMmioCount } from "../../drivers/virtio/bus";
import { CongestionId } from "../../net/tcp/congestion/controls";
import { Level, logLevel, setLogLevel } from "../../kernel/log";
import { ascii, consoleText } from "./support/host";

function parse(text: string): void {
  const bytes = ascii(text);
  configParse(changetype<usize>(bytes), bytes.byteLength);
}

function hostname(): string {
  return String.UTF8.decodeUnsafe(config.hostname, config.hostnameLength);
}

/** Parses a line with one fault and returns what the console says of it. */
function complaint(text: string): string {
  consoleText();
  parse(text);
  return consoleText();
}

function mentions(text: string, part: string): void {
  expect(text.includes(part)).toBe(true, part + " in " + text);
}

describe("the command line", () => {
  beforeEach(() => {
    setLogLevel(Level.Info);
    consoleText();
  });

  it("is DHCP with a name of its own when empty, and says nothing", () => {
    parse("");
    expect(config.mode).toBe(AddressMode.Dhcp);
    expect(config.address.isAny).toBe(true);
    expect(config.gateway.isAny).toBe(true);
    expect(config.dnsCount).toBe(0);
    expect(hostname()).toBe("skerry");
    expect(consoleText()).toBe("");
  });

  it("takes every key", () => {
    parse("ip=10.0.0.2/24 gw=10.0.0.1 dns=1.1.1.1,8.8.8.8 hostname=web-1 loglevel=debug");
    expect(config.mode).toBe(AddressMode.Static);
    expect(config.address.v4).toBe(0x0a000002);
    expect(config.prefix).toBe(24);
    expect(config.gateway.v4).toBe(0x0a000001);
    expect(config.dnsCount).toBe(2);
    expect(config.dns(0).v4).toBe(0x01010101);
    expect(config.dns(1).v4).toBe(0x08080808);
    expect(hostname()).toBe("web-1");
    expect<u32>(logLevel()).toBe(Level.Debug);
    expect(consoleText()).toBe("");
  });

  it("has a name on its links only if one is given, and none with mdns=off", () => {
    parse("ip=dhcp");
    expect(config.named).toBe(false);
    expect(config.mdns).toBe(true);
    parse("hostname=web mdns=off");
    expect(config.named).toBe(true);
    expect(config.mdns).toBe(false);
    expect(consoleText()).toBe("");
    parse("mdns=never");
    expect(config.mdns).toBe(true);
    mentions(consoleText(), "on or off");
  });

  it("takes virtio devices in the words of QEMU and Firecracker, in the order of their addresses", () => {
    parse("virtio_mmio.device=512@0xfeb00e00:12 virtio_mmio.device=4K@0xd0000000:5:1");
    expect(virtioMmioCount()).toBe(2);
    expect(virtioMmioAt(0).address).toBe(0xd0000000);
    expect(virtioMmioAt(0).length).toBe(4096);
    expect(virtioMmioAt(0).input).toBe(5);
    expect(virtioMmioAt(1).address).toBe(0xfeb00e00);
    expect(virtioMmioAt(1).length).toBe(512);
    expect(virtioMmioAt(1).input).toBe(12);
    parse("virtio_mmio.device=0x200@0xfeb00000:40");
    expect(virtioMmioCount()).toBe(1);
    expect(virtioMmioAt(0).input).toBe(40);
    expect(consoleText()).toBe("");
  });

  it("names virtio devices that make no sense", () => {
    const wrong = [
      "512",
      "512@0xfeb00000",
      "@0xfeb00000:5",
      "512@0xfeb00001:5",
      "512@0x1feb00000:5",
      "512@0xfeb0g000:5",
      "512@0xfeb00000:",
      "2M@0xfeb00000:5",
      "K@0xfeb00000:5",
      "512:5@0xfeb00000",
    ];
    for (let i = 0; i < wrong.length; i++) {
      mentions(complaint("virtio_mmio.device=" + wrong[i]), "ignored, bad value");
      expect(virtioMmioCount()).toBe(0, wrong[i]);
    }
    let many = "";
    for (let i = 0; i < 33; i++)
      many += " virtio_mmio.device=512@" + (0x10000 + i * 512).toString() + ":5";
    mentions(complaint(many), "at most 32");
    expect(virtioMmioCount()).toBe(32);
  });

  it("takes IPv6 addresses as RFC 4291, 2.2 writes them", () => {
    parse("");
    expect(config.mode6).toBe(AddressMode6.Auto);
    parse("ip6=2001:DB8::8:800:200c:417a/64 gw6=fe80::1");
    expect(config.mode6).toBe(AddressMode6.Static);
    expect(config.address6.hi).toBe(0x2001_0db8_0000_0000);
    expect(config.address6.lo).toBe(0x0008_0800_200c_417a);
    expect(config.prefix6).toBe(64);
    expect(config.gateway6.hi).toBe(0xfe80_0000_0000_0000);
    expect(config.gateway6.lo).toBe(1);
    parse("ip6=2001:db8:1:2:3:4:5:6/128");
    expect(config.address6.hi).toBe(0x2001_0db8_0001_0002);
    expect(config.address6.lo).toBe(0x0003_0004_0005_0006);
    parse("ip6=2001:db8::13.1.68.3/96");
    expect(config.address6.lo).toBe(0x0d01_4403);
    parse("ip6=2001::/16");
    expect(config.address6.hi).toBe(0x2001_0000_0000_0000);
    expect(config.address6.lo).toBe(0);
    parse("ip6=dhcp");
    expect(config.mode6).toBe(AddressMode6.Dhcp);
    parse("ip6=off");
    expect(config.mode6).toBe(AddressMode6.Off);
    expect(consoleText()).toBe("");
  });

  it("refuses what is no host's IPv6 address, and says what it wants", () => {
    const bad: string[] = [
      "2001:db8::2",
      "2001:db8::2/0",
      "2001:db8::2/129",
      "::1/64",
      "::/0",
      "ff02::1/64",
      "fe80::1/64",
      "1:2:3:4:5:6:7/64",
      "1:2:3:4:5:6:7:8:9/64",
      "2001::1::2/64",
      "2001:12345::/64",
      "2001:g::/64",
      "2001:/64",
      ":2001::/64",
      "2001:db8:::1/64",
      "2001::1.2.3/64",
      "2001::1.2.3.4:5/64",
      "2001:1:2:3:4:5:6:1.2.3.4/64",
    ];
    for (let i = 0; i < bad.length; i++) {
      mentions(complaint("ip6=" + bad[i]), "key=ip6 value=" + bad[i]);
      expect(config.mode6).toBe(AddressMode6.Auto, bad[i]);
    }
    mentions(complaint("gw6=fe80::1"), "gw6 needs a static ip6");
    mentions(complaint("ip6=2001:db8::2/64 gw6=2001:db9::1"), "must be on its link");
  });

  it("takes the default congestion control, and says which there are", () => {
    parse("");
    expect(config.congestion).toBe(CongestionId.Cubic);
    parse("congestion=reno");
    expect(config.congestion).toBe(CongestionId.NewReno);
    const said = complaint("congestion=tahoe");
    expect(config.congestion).toBe(CongestionId.Cubic);
    mentions(said, "bad value; expected cubic, reno");
    mentions(said, "key=congestion value=tahoe");
  });

  it("takes any run of blanks between words, and the last of a key given twice", () => {
    parse("  ip=10.0.0.2/8\t\nip=dhcp \0hostname=a hostname=b ");
    expect(config.mode).toBe(AddressMode.Dhcp);
    expect(config.prefix).toBe(0);
    expect(hostname()).toBe("b");
  });

  it("takes an address for when DHCP gives none, in any order", () => {
    parse("fallback=10.0.0.2/24 ip=dhcp gw=10.0.0.1");
    expect(config.mode).toBe(AddressMode.Dhcp);
    expect(config.address.v4).toBe(0x0a000002);
    expect(config.prefix).toBe(24);
    expect(config.gateway.v4).toBe(0x0a000001);
    expect(consoleText()).toBe("");
    mentions(complaint("ip=10.0.0.2/24 fallback=10.0.0.3/24"), "beside ip=dhcp key=fallback");
    expect(config.address.v4).toBe(0x0a000002);
    mentions(complaint("fallback=10.0.0.0/24"), "key=fallback value=10.0.0.0/24");
    expect(config.address.isAny).toBe(true);
  });

  it("takes pools of the DHCP server, with stations of their own", () => {
    parse(
      "dhcpd=eth1,10.1.0.100-10.1.0.199,lease=7200,t1=600,t2=900,router=10.1.0.1,dns=10.1.0.2,dns=10.1.0.3," +
        "ntp=10.1.0.4,domain=lab.example,52:54:00:12:34:56=10.1.0.5 dhcpd=eth0,10.9.0.10-10.9.0.19/16",
    );
    expect(poolCount()).toBe(2);
    const pool = poolAt(0);
    expect(pool.link).toBe(1);
    expect(pool.first).toBe(0x0a01_0064);
    expect(pool.size).toBe(100);
    expect(pool.prefix).toBe(0);
    expect(pool.lease).toBe(7200);
    expect(pool.renewal).toBe(600);
    expect(pool.rebinding).toBe(900);
    expect(pool.router).toBe(0x0a01_0001);
    expect(pool.dnsCount).toBe(2);
    expect(pool.dns1).toBe(0x0a01_0003);
    expect(pool.ntp0).toBe(0x0a01_0004);
    expect(pool.domainLength).toBe(11);
    expect(fixedCount()).toBe(1);
    expect(fixedAt(0).mac).toBe(0x5254_0012_3456);
    expect(fixedAt(0).address).toBe(0x0a01_0005);
    expect(poolAt(1).prefix).toBe(16);
    expect(poolAt(1).lease).toBe(3600);
  });

  it("refuses pools that make no sense, whole", () => {
    const bad = [
      "",
      "eth1",
      "eth32,10.1.0.1-10.1.0.2",
      "tap0,10.1.0.1-10.1.0.2",
      "eth1,10.1.0.1",
      "eth1,10.1.0.2-10.1.0.1",
      "eth1,10.1.0.0-10.1.16.0",
      "eth1,224.0.0.1-224.0.0.2",
      "eth1,10.1.0.1-10.1.1.2/24",
      "eth1,10.1.0.1-10.1.0.2/31",
      "eth1,10.1.0.1-10.1.0.2,",
      "eth1,10.1.0.1-10.1.0.2,lease=119",
      "eth1,10.1.0.1-10.1.0.2,lease=x",
      "eth1,10.1.0.1-10.1.0.2,lease=600,t1=600",
      "eth1,10.1.0.1-10.1.0.2,t1=900,t2=800",
      "eth1,10.1.0.1-10.1.0.2,router=x",
      "eth1,10.1.0.1-10.1.0.2,dns=1.1.1.1,dns=1.1.1.1,dns=1.1.1.1,dns=1.1.1.1",
      "eth1,10.1.0.1-10.1.0.2,domain=",
      "eth1,10.1.0.1-10.1.0.2,colour=red",
      "eth1,10.1.0.1-10.1.0.2,52:54:00:12:34=10.1.0.5",
      "eth1,10.1.0.1-10.1.0.2,53:54:00:12:34:56=10.1.0.5",
      "eth1,10.1.0.1-10.1.0.2,52:54:00:12:34:56=0.0.0.0",
      "eth1,10.1.0.1-10.1.0.2,52:54:00:12:34:56=10.1.0.5,lease=1",
    ];
    for (let i = 0; i < bad.length; i++) {
      mentions(complaint("dhcpd=" + bad[i]), "expected a card and its range");
      expect(poolCount()).toBe(0, bad[i]);
      expect(fixedCount()).toBe(0, bad[i]);
    }
  });

  it("takes a link of two and one address (RFC 3021)", () => {
    parse("ip=10.0.0.0/31 gw=10.0.0.1");
    expect(config.address.v4).toBe(0x0a000000);
    parse("ip=10.0.0.255/32");
    expect(config.address.v4).toBe(0x0a0000ff);
    expect(consoleText()).toBe("");
  });

  it("names an unknown key and its value", () => {
    const text = complaint("speed=1000 ip=10.0.0.2/24");
    mentions(text, "unknown key");
    mentions(text, "key=speed value=1000");
    expect(config.mode).toBe(AddressMode.Static);
    mentions(complaint("word"), "word=word");
    mentions(complaint("=x"), "unknown key");
  });

  it("refuses addresses that no host can have, names them, and goes on", () => {
    const bad = [
      "10.0.0.2",
      "10.0.0.2/",
      "10.0.0.2/0",
      "10.0.0.2/33",
      "10.0.0.2/024",
      "10.0.0/24",
      "10.0.0.2.3/24",
      "10.0.0.256/24",
      "10.0.0.02/24",
      "10..0.2/24",
      "10.0.0.2/24x",
      "/24",
      "",
      "0.0.0.1/8",
      "127.0.0.2/8",
      "224.0.0.1/4",
      "240.0.0.1/4",
      "255.255.255.255/32",
      "10.0.0.0/24",
      "10.0.0.255/24",
      "DHCP",
      "2001:db8::1/64",
      "4294967298.0.0.1/8",
      "-1.0.0.1/8",
      "10.0.0.2/99999999999",
    ];
    for (let i = 0; i < bad.length; i++) {
      const text = complaint("ip=" + bad[i] + " hostname=still");
      mentions(text, "key=ip value=" + bad[i]);
      expect(config.mode).toBe(AddressMode.Dhcp, bad[i]);
      expect(hostname()).toBe("still");
    }
  });

  it("refuses a router that cannot be reached", () => {
    mentions(complaint("ip=10.0.0.2/24 gw=10.0.1.1"), "not on the subnet");
    expect(config.gateway.isAny).toBe(true);
    mentions(complaint("gw=10.0.0.1"), "needs a static ip");
    expect(config.gateway.isAny).toBe(true);
    expect(complaint("gw=10.0.0.1 ip=10.0.0.2/24")).toBe("");
    expect(config.gateway.v4).toBe(0x0a000001);
    mentions(complaint("ip=10.0.0.2/24 gw=0.0.0.0"), "key=gw value=0.0.0.0");
  });

  it("takes all of a DNS list or none", () => {
    const bad = [
      "",
      ",",
      "1.1.1.1,",
      ",1.1.1.1",
      "1.1.1.1,,8.8.8.8",
      "1.1.1.1,x",
      "1.1.1.1,2.2.2.2,3.3.3.3,4.4.4.4",
    ];
    for (let i = 0; i < bad.length; i++) {
      mentions(complaint("dns=" + bad[i]), "key=dns");
      expect(config.dnsCount).toBe(0, bad[i]);
    }
    expect(complaint("dns=1.1.1.1,2.2.2.2,3.3.3.3")).toBe("");
    expect(config.dnsCount).toBe(3);
    expect(config.dns(2).v4).toBe(0x03030303);
  });

  it("holds host names to RFC 1123, 2.1", () => {
    const bad = ["", "-a", "a-", "a_b", "a.b", "é", "a".repeat(64)];
    for (let i = 0; i < bad.length; i++) {
      mentions(complaint("hostname=" + bad[i]), "key=hostname");
      expect(hostname()).toBe("skerry", bad[i]);
    }
    expect(complaint("hostname=" + "9".repeat(63))).toBe("");
    expect(config.hostnameLength).toBe(63);
    expect(complaint("hostname=A-z0")).toBe("");
    expect(hostname()).toBe("A-z0");
  });

  it("refuses a log level that is none", () => {
    setLogLevel(Level.Warn);
    mentions(complaint("loglevel=loud"), "expected error, warn, info or debug");
    expect<u32>(logLevel()).toBe(Level.Warn);
  });

  it("console= is the shim's, and checked", () => {
    expect(complaint("console=screen")).toBe("");
    expect(complaint("console=serial")).toBe("");
    expect(complaint("console=both")).toBe("");
    mentions(complaint("console=printer"), "expected serial, screen or both");
  });

  it("takes how connections use ECN, and refuses another way", () => {
    parse("");
    expect<u32>(config.ecn).toBe(EcnMode.Passive);
    expect(complaint("ecn=accurate")).toBe("");
    expect<u32>(config.ecn).toBe(EcnMode.Accurate);
    expect(complaint("ecn=on")).toBe("");
    expect<u32>(config.ecn).toBe(EcnMode.On);
    expect(complaint("ecn=off")).toBe("");
    expect<u32>(config.ecn).toBe(EcnMode.Off);
    mentions(complaint("ecn=yes"), "expected off, passive, on or accurate");
    expect<u32>(config.ecn).toBe(EcnMode.Passive);
  });

  it("rtl8139=: classic at will, else what the chip has", () => {
    parse("");
    expect(config.rtl8139Classic).toBe(false);
    expect(complaint("rtl8139=classic")).toBe("");
    expect(config.rtl8139Classic).toBe(true);
    expect(complaint("rtl8139=classic rtl8139=auto")).toBe("");
    expect(config.rtl8139Classic).toBe(false);
    mentions(complaint("rtl8139=c+"), "expected auto (C+ where the chip has it) or classic");
  });

  it("cuts what no sane command line holds, and never prints what is not text", () => {
    const text = complaint("x".repeat(5000) + " ip=10.0.0.2/24");
    mentions(text, "command line cut");
    expect(config.mode).toBe(AddressMode.Dhcp);
    mentions(complaint("ip=\x1b[2J"), "value=?[2J");
  });
});
