import {
  congestionOf,
  congestionStart,
  CWND_MAX,
  initialWindow,
} from "../../net/tcp/congestion/congestion";
import {
  CongestionId,
  congestionName,
  congestionNamed,
  CONTROLS,
} from "../../net/tcp/congestion/controls";
import { cubeRoot, Cubic, cubicInit, cubicK, cubicWindow } from "../../net/tcp/congestion/cubic";
import { delivery, deliveryRate } from "../../net/tcp/recovery/delivery";
import { quantumOf } from "../../net/tcp/congestion/pacing";
import { newRenoInit } from "../../net/tcp/congestion/newreno";
import { rttInit, rttSample } from "../../net/tcp/recovery/rtt";
import { Tcb, TcbFlag } from "../../net/tcp/tcb";
import { vegasInit, vegasQueued } from "../../net/tcp/congestion/vegas";
import { ascii, random } from "./support/host";

const MSS: u32 = 1000;
const MILLISECOND: u64 = 1_000_000;
const t = changetype<Tcb>(memory.data(320, 64));
const work = memory.data(1024, 64);
let now: u64 = 0;
/** What was out when the last lap ended. */
let lapEnd: u32 = 0;

/** A connection of segments of 1,000 bytes, with this control and an initial window of ten. */
function fresh(id: CongestionId): void {
  memory.fill(changetype<usize>(t), 0, 320);
  memory.fill(work, 0, 1024);
  t.setWork(work);
  t.sndMss = <u16>MSS;
  t.congestion = <u8>id;
  t.cwnd = 10 * MSS;
  t.ssthresh = CWND_MAX;
  t.sndUna = 1;
  t.sndMax = 1 + t.cwnd;
  t.work.recover = 1;
  rttInit(t);
  delivery.roundTrip = 0;
  now = 1_000_000_000;
  lapEnd = t.sndMax;
  congestionStart(t);
}

/** An ACK of a segment whose round trip was `rtt` µs (0: not known); a full window is out again. */
function ack(rtt: u32 = 0, segments: u32 = 1): void {
  delivery.roundTrip = <u64>rtt * 1000;
  t.sndUna += segments * MSS;
  congestionOf(t.congestion).onAck(t, segments * MSS, now);
  t.sndMax = t.sndUna + t.cwnd;
}

/** A round trip of `rtt` µs: the window's segments are acknowledged one by one, in that time. */
function round(rtt: u32): void {
  const segments = t.cwnd / MSS;
  for (let i: u32 = 0; i < segments; i++) {
    now += (<u64>rtt * 1000) / segments;
    ack(rtt);
  }
}

/**
 * A round trip as the algorithms see it: until all is acknowledged that was out when the last one
 * ended, before its last ACK was answered. Returns how many segments that were.
 */
function lap(rtt: u32): u32 {
  const end = lapEnd;
  let segments: u32 = 0;
  do {
    lapEnd = t.sndMax;
    ack(rtt);
    segments++;
  } while (t.sndUna < end);
  now += <u64>rtt * 1000;
  return segments;
}

/** Fast retransmit and recovery, done with. */
function lose(): void {
  congestionOf(t.congestion).onLoss(t, t.cwnd, now);
  t.cwnd = t.ssthresh;
}


@inline function cubic(): Cubic {
  return changetype<Cubic>(t.work.control);
}

function near(value: u32, wanted: u32, tolerance: u32): void {
  const difference = value > wanted ? value - wanted : wanted - value;
  expect(difference <= tolerance).toBe(true, value.toString() + " for " + wanted.toString());
}

describe("the controls", () => {
  it("are found by the names that Linux gives them", () => {
    for (let id: u32 = 0; id < CONTROLS; id++) {
      const name = ascii(congestionName(id));
      expect(congestionNamed(changetype<usize>(name), name.byteLength)).toBe(id);
    }
    const unknown = ascii("cubi");
    expect(congestionNamed(changetype<usize>(unknown), unknown.byteLength)).toBe(-1);
  });

  it("change in mid-connection with the window as it is and no word of the old one's", () => {
    cubicInit();
    newRenoInit();
    fresh(CongestionId.Cubic);
    for (let i = 0; i < 4; i++) round(100_000);
    lose();
    round(100_000);
    const cwnd = t.cwnd;
    const ssthresh = t.ssthresh;
    t.congestion = <u8>CongestionId.NewReno;
    congestionStart(t);
    expect(t.cwnd).toBe(cwnd);
    expect(t.ssthresh).toBe(ssthresh);
    expect(cubic().wMax).toBe(0);
    expect(cubic().epoch).toBe(0);
    round(100_000);
    near(t.cwnd, cwnd + MSS, MSS);
  });
});

describe("CUBIC (RFC 9438)", () => {
  it("the cube root is the largest whose cube is no more", () => {
    for (let i = 0; i < 2000; i++) {
      const value = random() >> (random() & 63);
      const root = <u64>cubeRoot(value);
      expect(root * root * root <= value).toBe(true);
      if (root < 2_642_245) expect((root + 1) * (root + 1) * (root + 1) > value).toBe(true);
    }
    expect(cubeRoot(u64.MAX_VALUE)).toBe(2_642_245);
    expect(cubeRoot(0)).toBe(0);
  });

  it("4.2: K and the curve agree with floating point", () => {
    for (let i = 0; i < 2000; i++) {
      const mss = 500 + <u32>(random() % 9000);
      const wMax = mss * (10 + <u32>(random() % 5000));
      const from = <u32>(<f64>wMax * 0.7);
      const k = Math.cbrt(<f64>(wMax - from) / <f64>mss / 0.4);
      expect(Math.abs(<f64>cubicK(wMax, from, mss) - k * 1000) <= 1.001).toBe(true);
      const ms = random() % 30_000;
      const kMs = cubicK(wMax, from, mss);
      const offset = (<f64>ms - <f64>kMs) / 1000;
      const wanted = 0.4 * offset * offset * offset * <f64>mss + <f64>wMax;
      const got = <f64>cubicWindow(ms, kMs, wMax, mss);
      if (wanted >= 0 && wanted < 1e9) expect(Math.abs(got - wanted) <= 4).toBe(true);
    }
  });

  it("4.2: begins at the reduced window and is back at W_max after K", () => {
    const k = cubicK(1_460_000, 1_022_000, 1460);
    expect(Math.abs(<f64>cubicWindow(0, k, 1_460_000, 1460) - 1_022_000) < 1000).toBe(true);
    expect(cubicWindow(k, k, 1_460_000, 1460)).toBe(1_460_000);
  });

  it("4.6: a loss takes 3/10 of what is in flight, but leaves two segments", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    lose();
    expect(t.ssthresh).toBe(70_000);
    expect(cubic().wMax).toBe(100_000);
    expect(cubic().cwndPrior).toBe(100_000);
    congestionOf(CongestionId.Cubic).onLoss(t, 1000, now);
    expect(t.ssthresh).toBe(2 * MSS);
  });

  it("4.7: fast convergence: who loses below the last W_max leaves room for others", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    lose();
    t.cwnd = 80_000;
    lose();
    expect(cubic().wMax).toBe(68_000);
    t.cwnd = 90_000;
    lose();
    expect(cubic().wMax).toBe(90_000);
  });

  it("4.2: grows as the curve says, driven by ACKs: concave, back at W_max after K, then convex", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 1_000_000;
    rttSample(t, 100_000);
    lose();
    const k = cubicK(1_000_000, 700_000, MSS);
    let before = t.cwnd;
    let gain: u32 = u32.MAX_VALUE;
    for (let ms: u64 = 0; ms + 1000 < k; ms += 1000) {
      for (let i = 0; i < 10; i++) round(100_000);
      expect(t.cwnd - before < gain).toBe(true);
      gain = t.cwnd - before;
      before = t.cwnd;
    }
    while (t.cwnd < 999_000) round(100_000);
    near(<u32>((now - 1_000_000_000) / MILLISECOND), k, k / 8);
    for (let i = 0; i < 30; i++) round(100_000);
    before = t.cwnd;
    for (let i = 0; i < 10; i++) round(100_000);
    gain = t.cwnd - before;
    before = t.cwnd;
    for (let i = 0; i < 10; i++) round(100_000);
    expect(t.cwnd - before > gain).toBe(true);
  });

  it("4.3: on a short path it is as fast as Reno's 9/17 of a segment, and a whole one beyond cwnd_prior", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    rttSample(t, 1000);
    lose();
    for (let i = 0; i < 20; i++) round(1000);
    near(t.cwnd, 70_000 + (20 * 9 * MSS) / 17, MSS);
    while (t.cwnd < 101_000) round(1000);
    const before = t.cwnd;
    for (let i = 0; i < 20; i++) round(1000);
    near(t.cwnd, before + 20 * MSS, MSS);
  });

  it("4.4: the window grows by half in a round trip at most", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 1_000_000;
    rttSample(t, 100_000);
    lose();
    round(100_000);
    cubic().epoch = now - 90_000 * MILLISECOND;
    const before = t.cwnd;
    round(100_000);
    expect(t.cwnd <= before + before / 2).toBe(true);
    near(t.cwnd, before + before / 2, before / 8);
  });

  it("4.2, 5.8: a pause, or a time of little use, is no part of the epoch", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 1_000_000;
    rttSample(t, 100_000);
    lose();
    for (let i = 0; i < 20; i++) round(100_000);
    const before = t.cwnd;
    now += 60_000 * MILLISECOND;
    round(100_000);
    expect(t.cwnd - before < 20_000).toBe(true);
  });

  it("4.8: after a time-out the curve begins where slow start ends, with K 0", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    congestionOf(CongestionId.Cubic).onTimeout(t, 100_000, now);
    t.cwnd = MSS;
    expect(t.ssthresh).toBe(70_000);
    while (t.cwnd < t.ssthresh) round(100_000);
    round(100_000);
    expect(cubic().k).toBe(0);
    near(cubic().wMax, 70_000, 3000);
  });

  it("4.9: what proves to be no loss leaves window, W_max, K and epoch as they were", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    rttSample(t, 100_000);
    lose();
    for (let i = 0; i < 10; i++) round(100_000);
    const cwnd = t.cwnd;
    const ssthresh = t.ssthresh;
    const epoch = cubic().epoch;
    const k = cubic().k;
    lose();
    expect(t.cwnd < cwnd).toBe(true);
    congestionOf(CongestionId.Cubic).onUndo(t, now);
    expect(t.cwnd).toBe(cwnd);
    expect(t.ssthresh).toBe(ssthresh);
    expect(cubic().epoch).toBe(epoch);
    expect(cubic().k).toBe(k);
    expect(cubic().wMax).toBe(100_000);
    expect(cubic().cwndPrior).toBe(100_000);
  });

  it("4.9: a time-out in recovery is undone to before the recovery", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    t.cwnd = 100_000;
    lose();
    t.raise(TcbFlag.Recovery);
    congestionOf(CongestionId.Cubic).onTimeout(t, 70_000, now);
    t.cwnd = MSS;
    congestionOf(CongestionId.Cubic).onUndo(t, now);
    expect(t.cwnd).toBe(100_000);
    expect(t.ssthresh).toBe(CWND_MAX);
  });
});

describe("HyStart++ (RFC 9406)", () => {
  it("4.2: a steady round trip: the window doubles, eight segments an ACK at most", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    for (let i = 1; i <= 5; i++) {
      round(50_000);
      expect(t.cwnd).toBe((10 * MSS) << i);
    }
    const before = t.cwnd;
    ack(50_000, 20);
    expect(t.cwnd).toBe(before + 8 * MSS);
  });

  it("4.2: a round trip longer by an eighth slows growth to a quarter", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    for (let i = 0; i < 3; i++) lap(80_000);
    const before = t.cwnd;
    // The eighth sample tells; from it on each counts a quarter.
    const segments = lap(90_000);
    expect(t.cwnd).toBe(before + 7 * MSS + ((segments - 7) * MSS) / 4);
    expect(t.ssthresh).toBe(CWND_MAX);
  });

  it("4.3: less than 4 ms of difference is noise, 16 ms are enough on any path", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    lap(1000);
    let before = t.cwnd;
    let segments = lap(4900);
    expect(t.cwnd).toBe(before + segments * MSS);
    fresh(CongestionId.Cubic);
    lap(400_000);
    before = t.cwnd;
    segments = lap(416_000);
    expect(t.cwnd < before + segments * MSS).toBe(true);
  });

  it("4.2: fewer than eight samples in a round tell nothing", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    lap(50_000);
    const before = t.cwnd;
    for (let i = 0; i < 15; i++) ack(i < 7 ? 90_000 : 0);
    expect(t.cwnd).toBe(before + 15 * MSS);
  });

  it("4.2: five conservative rounds end slow start where the window is", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    for (let i = 0; i < 3; i++) lap(50_000);
    let laps = 0;
    for (; t.ssthresh == CWND_MAX && laps < 20; laps++) lap(60_000);
    expect(laps).toBe(5);
    expect(t.ssthresh).toBe(t.cwnd);
    expect(cubic().cwndPrior).toBe(t.cwnd);
  });

  it("4.2: a round trip back below where CSS began resumes slow start", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    for (let i = 0; i < 3; i++) lap(50_000);
    lap(60_000);
    lap(50_000);
    const before = t.cwnd;
    const segments = lap(50_000);
    expect(t.cwnd).toBe(before + segments * MSS);
  });

  it("4.3: only the first slow start is watched; a later one ends at ssthresh", () => {
    cubicInit();
    fresh(CongestionId.Cubic);
    for (let i = 0; i < 4; i++) lap(50_000);
    congestionOf(CongestionId.Cubic).onTimeout(t, 160_000, now);
    t.cwnd = MSS;
    t.sndMax = t.sndUna + MSS;
    lapEnd = t.sndMax;
    while (t.cwnd < 32 * MSS) lap(50_000);
    const before = t.cwnd;
    const segments = lap(150_000);
    expect(t.cwnd).toBe(before + segments * MSS);
  });
});

describe("NewReno (RFC 5681)", () => {
  it("3.1: slow start doubles, avoidance adds a segment a round trip, a loss halves", () => {
    newRenoInit();
    fresh(CongestionId.NewReno);
    t.ssthresh = 20_000;
    round(50_000);
    expect(t.cwnd).toBe(20_000);
    round(50_000);
    expect(t.cwnd).toBe(21_000);
    lose();
    expect(t.ssthresh).toBe(10_500);
    congestionOf(CongestionId.NewReno).onLoss(t, 1000, 0);
    expect(t.ssthresh).toBe(2000);
  });

  it("RFC 9406, 4: its first slow start is HyStart++", () => {
    newRenoInit();
    fresh(CongestionId.NewReno);
    for (let i = 0; i < 3; i++) lap(50_000);
    for (let i = 0; i < 5; i++) lap(60_000);
    expect(t.ssthresh).toBe(t.cwnd);
    const before = t.cwnd;
    round(60_000);
    round(60_000);
    near(t.cwnd, before + 2 * MSS, MSS);
  });

  it("an undone loss leaves the window as it was", () => {
    newRenoInit();
    fresh(CongestionId.NewReno);
    t.cwnd = 50_000;
    lose();
    expect(t.cwnd).toBe(25_000);
    congestionOf(CongestionId.NewReno).onUndo(t, now);
    expect(t.cwnd).toBe(50_000);
    expect(t.ssthresh).toBe(CWND_MAX);
  });

  it("RFC 5681, 4.1: after a pause it begins with the initial window", () => {
    newRenoInit();
    fresh(CongestionId.NewReno);
    t.cwnd = 50_000;
    congestionOf(CongestionId.NewReno).onIdle(t, now);
    expect(t.cwnd).toBe(10_000);
  });

  it("the initial window (RFC 6928, 2)", () => {
    expect(initialWindow(1000)).toBe(10_000);
    expect(initialWindow(1460)).toBe(14_600);
    expect(initialWindow(2000)).toBe(14_600);
    expect(initialWindow(8960)).toBe(17_920);
  });
});

describe("Vegas (Brakmo and Peterson, 1995)", () => {
  it("counts the bytes of the window that wait: cwnd (rtt - base) / rtt", () => {
    expect(vegasQueued(100_000, 50_000, 40_000)).toBe(20_000);
    expect(vegasQueued(100_000, 40_000, 40_000)).toBe(0);
    expect(vegasQueued(1 << 30, 2_000_000_000, 1_000_000_000)).toBe(1 << 29);
  });

  it("slow start grows in every other round", () => {
    vegasInit();
    fresh(CongestionId.Vegas);
    for (let i = 0; i < 6; i++) {
      const before = t.cwnd;
      const segments = lap(50_000);
      expect(t.cwnd).toBe(i & 1 ? before : before + segments * MSS);
    }
  });

  it("more than gamma in queues ends slow start, and what waits is given back", () => {
    vegasInit();
    fresh(CongestionId.Vegas);
    for (let i = 0; i < 4; i++) lap(50_000);
    const before = t.cwnd;
    const segments = lap(60_000);
    const full = before + segments * MSS;
    expect(t.cwnd).toBe(full - full / 6 + MSS);
    expect(t.ssthresh).toBe(t.cwnd);
  });

  it("below alpha a segment more a round trip, above beta one less, between them none", () => {
    vegasInit();
    fresh(CongestionId.Vegas);
    t.cwnd = 40 * MSS;
    t.ssthresh = 20 * MSS;
    lap(50_000);
    const before = t.cwnd;
    lap(51_000);
    expect(t.cwnd).toBe(before + MSS);
    // 3 of 42 segments wait.
    lap(54_000);
    lap(54_000);
    expect(t.cwnd).toBe(before + MSS);
    lap(60_000);
    lap(60_000);
    expect(t.cwnd).toBe(before - MSS);
  });

  it("a loss halves the window as RFC 5681 has it", () => {
    vegasInit();
    fresh(CongestionId.Vegas);
    t.cwnd = 40 * MSS;
    lose();
    expect(t.cwnd).toBe(20 * MSS);
  });
});

describe("pacing", () => {
  it("a quantum is a segment, two, a millisecond's worth, and at most a packet", () => {
    expect(quantumOf(100_000, MSS)).toBe(MSS);
    expect(quantumOf(1_000_000, MSS)).toBe(2 * MSS);
    expect(quantumOf(5_500_000, MSS)).toBe(5 * MSS);
    expect(quantumOf(10_000_000_000, MSS)).toBe(65 * MSS);
  });
});

describe("the rate of delivery (draft-cheng-iccrg-delivery-rate-estimation)", () => {
  it("3.3: is what was delivered in the longer of sending and acknowledging", () => {
    fresh(CongestionId.NewReno);
    t.work.delivered = 150_000;
    delivery.priorDelivered = 50_000;
    delivery.priorTime = 1;
    delivery.sendElapsed = 10 * MILLISECOND;
    delivery.ackElapsed = 20 * MILLISECOND;
    expect(deliveryRate(t, 0)).toBe(5_000_000);
    delivery.sendElapsed = 40 * MILLISECOND;
    expect(deliveryRate(t, 0)).toBe(2_500_000);
  });

  it("3.3: tells nothing over less than the shortest round trip, or without a transmission", () => {
    fresh(CongestionId.NewReno);
    t.work.delivered = 150_000;
    delivery.priorDelivered = 50_000;
    delivery.priorTime = 1;
    delivery.sendElapsed = 10 * MILLISECOND;
    delivery.ackElapsed = 20 * MILLISECOND;
    expect(deliveryRate(t, 20_001)).toBe(0);
    expect(deliveryRate(t, 20_000)).toBe(5_000_000);
    delivery.priorTime = 0;
    expect(deliveryRate(t, 0)).toBe(0);
  });
});
