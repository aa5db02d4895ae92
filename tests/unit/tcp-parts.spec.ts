import { memoryInit } from "../../kernel/memory";
import { randomInit } from "../../kernel/random";
import { Demux, tupleHash } from "../../net/tcp/demux";
import { isnAt, isnInit, tupleSecret } from "../../net/tcp/opening/isn";
import { NO_SCALE, options, parseOptions, putSynOptions } from "../../net/tcp/options";
import { rttInit, rttSample, rtoNs, RTO_MARGIN } from "../../net/tcp/recovery/rtt";
import { seqGreater, seqLess, seqMax } from "../../net/tcp/seq";
import { Tcb, Tuple } from "../../net/tcp/tcb";
import { IpAddress } from "../../net/wire/address";
import { TcpHeader, TcpFlag } from "../../net/wire/tcp";
import { fromHex, random, setRam, toHex } from "./support/host";

const t = changetype<Tcb>(memory.data(320, 64));
const work = memory.data(512, 64);
const local = changetype<IpAddress>(memory.data(16, 8));
const remote = changetype<IpAddress>(memory.data(16, 8));

function parse(hex: string): void {
  const bytes = fromHex(hex);
  parseOptions(changetype<usize>(bytes), bytes.byteLength);
}

function fresh(mss: u32): void {
  memory.fill(changetype<usize>(t), 0, 320);
  memory.fill(work, 0, 512);
  t.setWork(work);
  t.sndMss = <u16>mss;
  rttInit(t);
}

describe("sequence numbers (RFC 9293, 3.4)", () => {
  it("compare on a circle", () => {
    expect(seqLess(0xffff_fff0, 5)).toBe(true);
    expect(seqGreater(5, 0xffff_fff0)).toBe(true);
    expect(seqLess(7, 7)).toBe(false);
    expect(seqMax(0xffff_ffff, 0)).toBe(0);
  });
});

describe("the TCP header (RFC 9293, 3.1)", () => {
  it("reads a real SYN", () => {
    const bytes = fromHex(
      "d9 04 00 50 3a 7c 12 9e 00 00 00 00 a0 02 fa f0 1c 2b 00 00" +
        "02 04 05 b4 04 02 08 0a 5d 3e 7b 10 00 00 00 00 01 03 03 07",
    );
    const header = changetype<TcpHeader>(changetype<usize>(bytes));
    expect(header.sourcePort).toBe(0xd904);
    expect(header.destinationPort).toBe(80);
    expect(header.sequence).toBe(0x3a7c129e);
    expect(header.acknowledgment).toBe(0);
    expect(header.headerLength).toBe(40);
    expect(header.flags).toBe(TcpFlag.SYN);
    expect(header.window).toBe(64240);
    parseOptions(header.options, 20);
    expect(options.mss).toBe(1460);
    expect(options.windowScale).toBe(7);
    expect(options.sackPermitted).toBe(true);
    expect(options.hasTimestamps).toBe(true);
    expect(options.tsVal).toBe(0x5d3e7b10);
  });

  it("writes what it reads", () => {
    const bytes = new ArrayBuffer(20);
    const header = changetype<TcpHeader>(changetype<usize>(bytes));
    header.sourcePort = 0x1234;
    header.destinationPort = 0x5678;
    header.sequence = 0x9abcdef0;
    header.acknowledgment = 0x01020304;
    header.headerLength = 60;
    header.flags = TcpFlag.FIN | TcpFlag.ACK;
    header.window = 0xfedc;
    header.urgentPointer = 1;
    expect(toHex(changetype<usize>(bytes), 20)).toBe("123456789abcdef001020304f011fedc00000001");
  });
});

describe("options (RFC 9293, 3.2)", () => {
  it("timestamps as nearly everybody sends them", () => {
    parse("01 01 08 0a 00 00 00 07 00 00 00 09");
    expect(options.hasTimestamps).toBe(true);
    expect(options.tsVal).toBe(7);
    expect(options.tsEcr).toBe(9);
    expect(options.mss).toBe(0);
  });

  it("unknown ones are stepped over, End ends", () => {
    parse("fe 06 00 00 00 00 02 04 04 00 00 03 03 05");
    expect(options.mss).toBe(1024);
    expect(options.windowScale).toBe(NO_SCALE);
  });

  it("lengths that lie end the reading and touch nothing behind", () => {
    parse("03 03 04 02 00");
    expect(options.windowScale).toBe(4);
    parse("02 01 05 b4");
    expect(options.mss).toBe(0);
    parse("01 01 01 02");
    expect(options.mss).toBe(0);
    parse("08 0a 00 00 00 01");
    expect(options.hasTimestamps).toBe(false);
    parse("02 03 05");
    expect(options.mss).toBe(0);
  });

  it("a shift above 14 is 14 (RFC 7323, 2.3)", () => {
    parse("03 03 ff");
    expect(options.windowScale).toBe(14);
  });

  it("reads back what it builds", () => {
    const bytes = new ArrayBuffer(40);
    const at = changetype<usize>(bytes);
    const length = putSynOptions(at, 1460, 3, false, true, 0x11223344, 0x55667788);
    expect(length).toBe(20);
    expect(toHex(at, 20)).toBe("020405b4010303030101080a1122334455667788");
    parseOptions(at, length);
    expect(options.mss).toBe(1460);
    expect(options.windowScale).toBe(3);
    expect(options.tsVal).toBe(0x11223344);
    expect(options.tsEcr).toBe(0x55667788);
    expect(putSynOptions(at, 536, NO_SCALE, false, false, 0, 0)).toBe(4);
    expect(putSynOptions(at, 1460, 7, true, true, 1, 2)).toBe(20);
    expect(toHex(at, 20)).toBe("020405b4010303070402080a0000000100000002");
    expect(putSynOptions(at, 1460, NO_SCALE, true, false, 0, 0)).toBe(8);
    expect(toHex(at, 8)).toBe("020405b401010402");
  });
});

describe("the retransmission time-out (RFC 6298)", () => {
  it("is one second before the first sample, doubled by back-off", () => {
    fresh(1000);
    expect(rtoNs(t)).toBe(1_000_000_000);
    t.work.backoff = 3;
    expect(rtoNs(t)).toBe(8_000_000_000);
    t.work.backoff = 12;
    expect(rtoNs(t)).toBe(120_000_000_000);
  });

  it("2.2: SRTT = R, RTTVAR = R/2", () => {
    fresh(1000);
    rttSample(t, 400_000);
    expect(t.srtt >> 3).toBe(400_000);
    expect(t.rttvar >> 2).toBe(200_000);
    expect(t.rto).toBe(400_000 + 4 * 200_000);
  });

  it("2.3: follows the formulas, in floating point", () => {
    fresh(1000);
    let srtt: f64 = 0;
    let rttvar: f64 = 0;
    for (let i = 0; i < 200; i++) {
      const us = 50_000 + (random() % 400_000);
      rttSample(t, us);
      const sample = <f64>us;
      if (i == 0) {
        srtt = sample;
        rttvar = sample / 2;
      } else {
        rttvar = 0.75 * rttvar + 0.25 * Math.abs(srtt - sample);
        srtt = 0.875 * srtt + 0.125 * sample;
      }
      expect(Math.abs(<f64>(t.srtt >> 3) - srtt) < 8).toBe(true);
      expect(Math.abs(<f64>(t.rttvar >> 2) - rttvar) < 16).toBe(true);
    }
  });

  it("never comes closer to the round trip than the margin", () => {
    fresh(1000);
    for (let i = 0; i < 100; i++) rttSample(t, 1000);
    expect(t.rto).toBe(1000 + RTO_MARGIN);
  });
});

describe("demultiplexing", () => {
  const TUPLES: u32 = 300;
  const table = changetype<Demux>(memory.data(offsetof<Demux>(), 8));

  beforeAll(() => {
    setRam(1 << 20);
    memoryInit();
    table.init(TUPLES);
  });

  it("holds what a naive table holds, through insertions and removals", () => {
    const tuples = new StaticArray<u8>(TUPLES * 48);
    const present = new StaticArray<bool>(TUPLES);
    const base = changetype<usize>(tuples);
    local.setV4(0x0a000002);
    for (let i: u32 = 0; i < TUPLES; i++) {
      const tuple = changetype<Tuple>(base + i * 48);
      remote.setV4(0x0a000100 + (i >> 4));
      tuple.setTuple(local, 80, remote, 1000 + (i & 15));
      // Few bits, so that runs are long and wrap.
      tuple.hash = tupleHash(local, 80, remote, 1000 + (i & 15)) | 0xffff_ff80;
    }
    let count: u32 = 0;
    let right = true;
    for (let step = 0; step < 6000; step++) {
      const i = <u32>(random() % TUPLES);
      const tuple = changetype<Tuple>(base + i * 48);
      if (present[i]) table.remove(tuple);
      else table.insert(tuple);
      present[i] = !present[i];
      count += present[i] ? 1 : -1;
      right = right && table.length == count;
      const j = <u32>(random() % TUPLES);
      const other = changetype<Tuple>(base + j * 48);
      const found = table.find(other.hash, other.local, 80, other.remote, other.remotePort);
      right = right && changetype<usize>(found) == (present[j] ? changetype<usize>(other) : 0);
    }
    expect(right).toBe(true);
  });
});

describe("initial sequence numbers (RFC 6528)", () => {
  it("go up by one in 4 µs for a tuple, and differ between tuples", () => {
    randomInit();
    isnInit();
    local.setV4(0x0a000002);
    remote.setV4(0x0a000001);
    const secret = tupleSecret(local, 80, remote, 4000);
    expect(tupleSecret(local, 80, remote, 4000)).toBe(secret);
    expect(isnAt(secret, 8_000_000) - isnAt(secret, 4_000_000)).toBe(1000);
    expect(tupleSecret(local, 80, remote, 4001)).not.toBe(secret);
    expect(tupleSecret(local, 4000, remote, 80)).not.toBe(secret);
    expect(tupleSecret(remote, 80, local, 4000)).not.toBe(secret);
  });
});
