import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type Control,
  common,
  CONTROLS,
  type FlowOutcome,
  FRAME,
  jain,
  mean,
  type Outcome,
  PAYLOAD,
  runFlows,
  type Sample,
  type Scenario,
} from "../../../tools/sim/flows.ts";
import { plot } from "../../../tools/sim/plot.ts";
import { kernelUnderTest } from "../kernel.ts";
import { MILLISECOND, SECOND } from "./program.ts";

/**
 * The curves of congestion control over a bottleneck: RFC 5681, 9438, 9406, Brakmo and Peterson's
 * Vegas, BBR's draft; what two flows do to each other; pacing. Sizes are in full segments.
 */

const kernel = kernelUnderTest();

/** 10 Mbit/s and 40 ms: the path holds 33 segments, the queue as many. */
const PATH = {
  rate: 10e6,
  delay: 20 * MILLISECOND,
  jitter: 0,
  queue: 33 * FRAME,
  loss: 0,
  mark: Infinity,
};
const HOLDS = 33;
/** What of the rate is payload. */
const GOODPUT = (PATH.rate * PAYLOAD) / FRAME;

function run(controls: Control[], seconds: number, options: Partial<Scenario> = {}): Outcome {
  const duration = seconds * SECOND;
  return runFlows(kernel, {
    ...PATH,
    flows: controls.map((control, i) => ({ control, start: i * SECOND, end: Infinity })),
    duration,
    seed: 1,
    samples: seconds * 50,
    ...options,
  });
}

/** Runs are the same for the same options: those that several tests look at are made once. */
function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

/**
 * With one seed in four BBR leaves Startup while the queue holds some milliseconds, and takes these for part of the
 * path until it looks anew after ten seconds (4.3.5): not what is looked at here.
 */
const SEED = 2;

const alone = Object.fromEntries(
  CONTROLS.map((control) => [control, once(() => run([control], 12, { seed: SEED }).flows[0]!)]),
) as Record<Control, () => FlowOutcome>;

const segments = ({ cwnd }: Sample): number => cwnd / PAYLOAD;
const opened = ({ samples }: FlowOutcome): Sample[] => samples.filter(({ cwnd }) => cwnd);

/** The samples from `from` to `to`, in seconds. */
function between(flow: FlowOutcome, from: number, to: number): Sample[] {
  return flow.samples.filter(({ at }) => at >= from * SECOND && at < to * SECOND);
}

/** What a loss did: the window before it, and after its repair; and how the window grew from there. */
interface Reduction {
  before: number;
  after: number;
  growth: Sample[];
}

/** The losses from `from` seconds on, each at least `apart` samples after the last. */
function reductions(flow: FlowOutcome, from: number, apart: number): Reduction[] {
  const samples = between(flow, from, Infinity);
  const lost = samples
    .map(({ retransmits }, i) => (i && retransmits > samples[i - 1]!.retransmits ? i : 0))
    .filter((i) => i > apart / 2);
  const first = lost.filter((at, i) => !i || at - lost[i - 1]! >= apart);
  return first.map((at, i) => {
    const repaired = at + Math.floor(apart / 2);
    return {
      before: Math.max(...samples.slice(at - 4, at).map(segments)),
      after: Math.min(...samples.slice(at, repaired).map(segments)),
      growth: samples.slice(repaired, (first[i + 1] ?? samples.length) - 4),
    };
  });
}

function near(value: number, wanted: number, share: number, what: string): void {
  assert.ok(
    Math.abs(value - wanted) <= wanted * share,
    `${what}: ${value.toFixed(3)} instead of ${wanted.toFixed(3)} ± ${(share * 100).toFixed(0)} %`,
  );
}

for (const control of ["cubic", "reno"] as const) {
  test(`${control}: RFC 5681, 3.1: slow start doubles the window each round trip`, () => {
    const windows = opened(alone[control]())
      .map(segments)
      .filter((window) => window < HOLDS);
    const first = windows[0]!;
    near(first, 10, 0.01, "initial window");
    // A sample is half a round trip.
    for (let i = 2; i < Math.min(windows.length, 5); i += 2) {
      const gain = windows[i]! / windows[i - 2]!;
      assert.ok(gain > 1.6 && gain < 2.2, `${windows.map((window) => window.toFixed(0))}`);
    }
  });

  test(`${control}: it fills the bottleneck`, () => {
    near(
      mean(alone[control](), ({ rate }) => rate, 2 * SECOND),
      GOODPUT,
      0.02,
      "rate",
    );
  });

  test(`${control}: RFC 5681, 3.2: losses are repaired without time-outs`, () => {
    const flow = alone[control]();
    assert.ok(flow.retransmits > 0);
    assert.equal(flow.timeouts, 0);
  });
}

test("NewReno: RFC 5681, 3.1: a loss takes half of the window", () => {
  const found = reductions(alone.reno(), 1.5, 20);
  assert.ok(found.length >= 3, `${found.length} losses`);
  for (const { before, after } of found) near(after / before, 0.5, 0.08, "share kept");
});

test("NewReno: RFC 5681, 3.1: avoidance adds a segment a round trip", () => {
  const found = reductions(alone.reno(), 1.5, 20).filter(({ growth }) => growth.length > 40);
  assert.ok(found.length >= 2, `${found.length} times of growth`);
  for (const { growth } of found) {
    const [first, last] = [growth[0]!, growth.at(-1)!];
    const trip = growth.reduce((sum, { srtt }) => sum + srtt, 0) / growth.length;
    near(segments(last) - segments(first), (last.at - first.at) / trip, 0.15, "growth");
  }
});

/** CUBIC on a path so long that the cube, not Reno's line, rules. */
const long = once(
  () =>
    run(["cubic"], 24, { rate: 20e6, delay: 60 * MILLISECOND, queue: 33 * FRAME, samples: 480 })
      .flows[0]!,
);

test("CUBIC: RFC 9438, 4.6: a loss leaves seven tenths of the window", () => {
  const found = reductions(long(), 8, 24);
  assert.ok(found.length >= 2, `${found.length} losses`);
  // Two losses in a row count as one here, so not every one.
  const kept = found.map(({ before, after }) => after / before).sort((a, b) => a - b);
  near(kept[Math.floor(kept.length / 2)]!, 0.7, 0.06, "share kept");
});

/** Its longest time of growth, in quarters: what the window gained in each, segments. */
function quarters(): number[] {
  const { growth } = reductions(long(), 8, 24).sort(
    (a, b) => b.growth.length - a.growth.length,
  )[0]!;
  const at = [0, 1, 2, 3, 4].map((i) => growth[Math.floor((i * (growth.length - 1)) / 4)]!);
  return [0, 1, 2, 3].map((i) => segments(at[i + 1]!) - segments(at[i]!));
}

test("CUBIC: RFC 9438, 4.4: concave up to W_max: it grows fast, then slowly", () => {
  const [first, second] = quarters();
  assert.ok(first! > 2 * second! && second! >= 0, `${quarters()} segments`);
});

test("CUBIC: RFC 9438, 4.5: convex beyond W_max: slowly, then fast", () => {
  const [, , third, fourth] = quarters();
  assert.ok(fourth! > 2 * third! && third! >= 0, `${quarters()} segments`);
});

/** A queue that holds eight times what the path does, so that slow start can be seen to end early. */
const deep = { queue: 264 * FRAME };

for (const control of ["cubic", "reno"] as const) {
  test(`${control}: RFC 9406, 4.2: HyStart++ leaves slow start before the queue overflows`, () => {
    const outcome = run([control], 3, { ...deep, delay: 10 * MILLISECOND });
    const flow = outcome.flows[0]!;
    assert.equal(outcome.counts.dropped, 0);
    assert.equal(flow.retransmits, 0);
    // Growth has turned from doubling to avoidance's.
    const [before, after] = [between(flow, 1.5, 2), between(flow, 2.5, 3)].map(
      (samples) => samples.reduce((sum, sample) => sum + segments(sample), 0) / samples.length,
    );
    assert.ok(after! > before! && after! < 1.25 * before!, `${before} then ${after}`);
    near(
      mean(flow, ({ rate }) => rate, SECOND),
      GOODPUT,
      0.02,
      "rate",
    );
  });
}

test("Vegas: slow start ends with little waiting, and the link is full", () => {
  const flow = alone.vegas();
  near(
    mean(flow, ({ rate }) => rate, 2 * SECOND),
    GOODPUT,
    0.02,
    "rate",
  );
  assert.equal(flow.timeouts, 0);
});

test("Vegas: between alpha and beta, 2 to 4 segments, wait in the queue", () => {
  const { queue } = run(["vegas"], 6);
  const waiting = queue
    .filter(({ at }) => at > 3 * SECOND)
    .map(({ delay }) => (delay * PATH.rate) / 8e9 / FRAME);
  const average = waiting.reduce((sum, value) => sum + value, 0) / waiting.length;
  assert.ok(average > 1 && average < 5.5, `${average} segments wait`);
});

test("Vegas: nothing is lost once slow start is over", () => {
  const samples = between(alone.vegas(), 1, Infinity);
  assert.equal(samples.at(-1)!.retransmits, samples[0]!.retransmits);
});

test("BBR: 4.3.2: Startup fills the path in a few round trips", () => {
  near(
    mean(alone.bbr(), ({ rate }) => rate, SECOND, 2 * SECOND),
    GOODPUT,
    0.05,
    "rate",
  );
});

test("BBR: 4.3.3: Drain gives the queue back", () => {
  const { queue } = run(["bbr"], 2);
  const delay = (from: number, to: number): number =>
    Math.max(...queue.filter(({ at }) => at > from && at <= to).map((sample) => sample.delay));
  assert.ok(delay(0, SECOND) > 35 * MILLISECOND);
  assert.ok(delay(SECOND, 2 * SECOND) < 22 * MILLISECOND, `${delay(SECOND, 2 * SECOND)}`);
});

test("BBR: the rate is the bottleneck's, the round trip nearly the shortest", () => {
  const flow = alone.bbr();
  near(
    mean(flow, ({ rate }) => rate, 2 * SECOND, 10 * SECOND),
    GOODPUT,
    0.03,
    "rate",
  );
  const trip = mean(flow, ({ srtt }) => srtt, 3 * SECOND, 10 * SECOND);
  assert.ok(trip < 1.25 * 2 * PATH.delay, `${trip / MILLISECOND} ms`);
});

test("BBR: 4.3.4: it probes: a quarter more for a round trip, then a quarter less", () => {
  const { queue } = run(["bbr"], 6, { samples: 600, seed: SEED });
  const waits = queue.filter(({ at }) => at > 2 * SECOND).map(({ delay }) => delay);
  // Each cycle of eight round trips has its bump in the queue.
  let bumps = 0;
  for (let i = 1; i < waits.length; i++) {
    if (waits[i]! > 5 * MILLISECOND && waits[i - 1]! <= 5 * MILLISECOND) bumps++;
  }
  assert.ok(bumps >= 7, `${bumps} bumps in 4 s`);
});

test("BBR: 4.3.5: after ten seconds ProbeRtt keeps four segments in flight for 200 ms", () => {
  const low = between(alone.bbr(), 9, 12).filter((sample) => segments(sample) <= 4.01);
  assert.ok(low.length >= 10 && low.length <= 20, `${low.length * 20} ms`);
  const after = between(alone.bbr(), 11.2, 12).map(segments);
  assert.ok(Math.min(...after) > HOLDS, "the window is back");
});

const lossy = once(() => run(["bbr"], 6, { loss: 0.01 }).flows[0]!);

test("BBR: with one packet in a hundred lost the rate is within 5 % of the bottleneck's", () => {
  near(
    mean(lossy(), ({ rate }) => rate, 2 * SECOND),
    GOODPUT,
    0.05,
    "rate",
  );
});

test("BBR: with one packet in a hundred lost the round trip stays near the shortest", () => {
  const trip = mean(lossy(), ({ srtt }) => srtt, 2 * SECOND);
  assert.ok(trip < 1.25 * 2 * PATH.delay, `${trip / MILLISECOND} ms`);
});

test("CUBIC with the same losses is far below: what BBR is for", () => {
  const flow = run(["cubic"], 6, { loss: 0.01 }).flows[0]!;
  assert.ok(mean(flow, ({ rate }) => rate, 2 * SECOND) < 0.8 * GOODPUT);
});

for (const control of CONTROLS) {
  test(`${control}: two flows, the second a second later, share fairly (Jain's index of 0.9)`, () => {
    const outcome = run([control, control], 20, { samples: 200 });
    const [from, to] = common(outcome);
    const fairness = jain(outcome, from, to);
    assert.ok(fairness >= 0.9, `${fairness}`);
    const all = outcome.flows.reduce(
      (sum, flow) => sum + mean(flow, ({ rate }) => rate, from, to),
      0,
    );
    near(all, GOODPUT, 0.06, "rate of both");
  });
}

test("CUBIC and NewReno share a short path: RFC 9438, 4.3: no less than Reno's rate, not much more", () => {
  const outcome = run(["cubic", "reno"], 16, { samples: 160 });
  const [from, to] = common(outcome);
  assert.ok(jain(outcome, from, to) >= 0.75, `${jain(outcome, from, to)}`);
});

test("ECN: CUBIC is held below the queue's end by marks, without a loss (RFC 8511)", () => {
  const outcome = run(["cubic"], 6, {
    mark: 12 * FRAME,
    queue: 100 * FRAME,
    commandLine: "ecn=on",
  });
  assert.ok(outcome.counts.marked > 0);
  const late = between(outcome.flows[0]!, 2, 6);
  assert.equal(late.at(-1)!.retransmits, late[0]!.retransmits);
  near(
    mean(outcome.flows[0]!, ({ rate }) => rate, 2 * SECOND),
    GOODPUT,
    0.03,
    "rate",
  );
});

test("a run is a function of its options", () => {
  const [first, second] = [1, 2].map(() => run(["bbr"], 2, { loss: 0.02, jitter: MILLISECOND }));
  assert.deepEqual(first!.flows[0]!.samples, second!.flows[0]!.samples);
});

test("the picture shows each flow's three curves and says what it shows", () => {
  const svg = plot(run(["cubic", "bbr"], 2));
  assert.match(svg, /^<svg [^>]*viewBox=/);
  assert.match(svg, />CUBIC against BBR</);
  for (const word of ["Congestion window", "Rate", "Round trip", "segments", "Mbit/s", "seconds"]) {
    assert.ok(svg.includes(`>${word}<`), word);
  }
  assert.equal(svg.match(/fill="none" stroke="#0072b2" stroke-width="1.7"/g)!.length, 3);
  assert.equal(svg.match(/fill="none" stroke="#d55e00" stroke-width="1.7"/g)!.length, 3);
  assert.doesNotMatch(svg, /NaN|undefined|Infinity/);
});
