import { scaleLinear, type ScaleLinear } from "d3-scale";
import { area, curveMonotoneX, line } from "d3-shape";
import { common, type FlowOutcome, jain, mean, type Outcome, PAYLOAD, FRAME } from "./flows.ts";

/**
 * The course of congestion control as an SVG picture: window, rate and round trip of each flow over
 * time, one above the other, with what the path itself allows as dashed lines.
 */

const WIDTH = 1000;
const LEFT = 78;
const RIGHT = 196;
const TOP = 112;
const PANEL = 190;
const GAP = 42;
const BOTTOM = 64;
const HEIGHT = TOP + 3 * PANEL + 2 * GAP + BOTTOM;
const PLOT = WIDTH - LEFT - RIGHT;

/** Colours that colour-blind readers can tell apart (Okabe and Ito, 2008). */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const INK = "#1f2430";
const FAINT = "#6b7280";
const GRID = "#e5e7eb";
const QUEUE = "#d9dde5";

/** What people call the controls. */
export const TITLES = { cubic: "CUBIC", reno: "NewReno", vegas: "Vegas", bbr: "BBR" } as const;

type Point = [x: number, y: number];

interface Series {
  colour: string;
  points: Point[];
}

interface Guide {
  y: number;
  label: string;
}

interface Panel {
  title: string;
  unit: string;
  series: Series[];
  guides: Guide[];
  /** An area behind the lines, between two values at each x. */
  shade?: { points: [x: number, low: number, high: number][]; label: string };
  /** Moments to mark at the foot. */
  ticks?: { colour: string; x: number[] }[];
  /** The axis reaches this far at least. */
  top: number;
}

function escape(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** A number for people: three digits or so, without needless zeros. */
export function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `1.5 Mbit/s`, `40 kbit/s`. */
export function inRate(rate: number): string {
  const [factor, unit] =
    rate >= 1e9 ? [1e9, "Gbit/s"] : rate >= 1e6 ? [1e6, "Mbit/s"] : [1e3, "kbit/s"];
  return `${+(rate / factor).toPrecision(3)} ${unit}`;
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escape(content)}</text>`;
}

/** What the picture says of the path under its title. */
export function describe({ scenario }: Outcome): string {
  const { rate, delay, queue, loss, mark, jitter, seed } = scenario;
  const product = (rate * 2 * delay) / 8e9;
  const parts = [
    inRate(rate),
    `${+((2 * delay) / 1e6).toPrecision(3)} ms round trip`,
    `queue of ${Math.round(queue / FRAME)} packets (${+(queue / product).toPrecision(2)} × rate × round trip)`,
  ];
  if (loss) parts.push(`${+(loss * 100).toPrecision(3)} % random loss`);
  if (Number.isFinite(mark)) parts.push(`ECN marks from ${Math.round(mark / FRAME)} packets`);
  if (jitter) parts.push(`${+(jitter / 1e6).toPrecision(3)} ms jitter`);
  parts.push(`seed ${seed}`);
  return parts.join(", ");
}

/** `CUBIC`, `two CUBIC flows`, `CUBIC, BBR`. */
function titleOf({ scenario }: Outcome): string {
  const names = scenario.flows.map(({ control }) => TITLES[control]);
  const counts = ["", "", "Two", "Three", "Four", "Five", "Six"];
  if (new Set(names).size > 1) return names.join(" against ");
  return names.length > 1 ? `${counts[names.length] ?? names.length} ${names[0]} flows` : names[0]!;
}

/** The panels of an outcome; what they show is in segments, Mbit/s and ms. */
function panelsOf(outcome: Outcome): Panel[] {
  const { scenario, flows, queue } = outcome;
  const product = (scenario.rate * 2 * scenario.delay) / 8e9 / FRAME;
  const room = scenario.queue / FRAME;
  const base = (2 * scenario.delay) / 1e6;
  const goodput = (scenario.rate * PAYLOAD) / FRAME / 1e6;
  const course = (value: (sample: FlowOutcome["samples"][number]) => number): Series[] =>
    flows.map(({ samples }, i) => ({
      colour: COLOURS[i % COLOURS.length]!,
      points: samples.filter(({ srtt }) => srtt).map((sample) => [sample.at / 1e9, value(sample)]),
    }));
  const windows = course(({ cwnd }) => cwnd / PAYLOAD);
  const rates = course(({ rate }) => rate / 1e6);
  const trips = course(({ srtt }) => srtt / 1e6);
  const highest = (series: Series[]): number =>
    Math.max(...series.flatMap(({ points }) => points.map(([, y]) => y)), 0);
  const share = goodput / flows.length;
  return [
    {
      title: "Congestion window",
      unit: "segments",
      series: windows,
      guides: [
        { y: product, label: "rate × round trip" },
        { y: product + room, label: "and a full queue" },
      ],
      ticks: flows.map(({ samples }, i) => ({
        colour: COLOURS[i % COLOURS.length]!,
        x: samples
          .filter(({ retransmits }, at) => retransmits > (samples[at - 1]?.retransmits ?? 0))
          .map(({ at }) => at / 1e9),
      })),
      top: Math.max(highest(windows), product) * 1.08,
    },
    {
      title: "Rate",
      unit: "Mbit/s",
      series: rates,
      guides: [
        { y: goodput, label: "the bottleneck" },
        ...(flows.length > 1 ? [{ y: share, label: "a fair share" }] : []),
      ],
      top: Math.max(highest(rates), goodput) * 1.08,
    },
    {
      title: "Round trip",
      unit: "ms",
      series: trips,
      guides: [{ y: base, label: "an empty path" }],
      shade: {
        points: queue.map(({ at, delay }) => [at / 1e9, base, base + delay / 1e6]),
        label: "waiting in the queue",
      },
      top: Math.max(highest(trips), ...queue.map(({ delay }) => base + delay / 1e6)) * 1.12,
    },
  ];
}

function drawPanel(panel: Panel, y0: number, x: ScaleLinear<number, number>): string {
  const y = scaleLinear([0, panel.top], [y0 + PANEL, y0]);
  const out: string[] = [];
  for (const tick of y.ticks(5)) {
    out.push(
      `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${round(y(tick))}" y2="${round(y(tick))}" stroke="${GRID}"/>`,
      text(LEFT - 8, y(tick) + 4, String(tick), `class="tick" text-anchor="end"`),
    );
  }
  for (const tick of x.ticks(10)) {
    out.push(
      `<line x1="${round(x(tick))}" x2="${round(x(tick))}" y1="${y0}" y2="${y0 + PANEL}" stroke="${GRID}"/>`,
    );
  }
  // Labels at the right edge; those that would touch move apart.
  const labels: { at: number; text: string }[] = [];
  if (panel.shade) {
    const shape = area<[number, number, number]>()
      .x(([at]) => x(at))
      .y0(([, low]) => y(low))
      .y1(([, , high]) => y(high));
    out.push(`<path d="${shape(panel.shade.points)}" fill="${QUEUE}"/>`);
  }
  for (const { y: value, label } of panel.guides) {
    if (value > panel.top) continue;
    const at = round(y(value));
    out.push(
      `<line x1="${LEFT}" x2="${LEFT + PLOT}" y1="${at}" y2="${at}" stroke="${FAINT}" stroke-dasharray="5 4"/>`,
    );
    labels.push({ at: y(value), text: label });
  }
  if (panel.shade) {
    const last = panel.shade.points.at(-1)!;
    labels.push({ at: (y(last[1]) + y(last[2])) / 2, text: panel.shade.label });
  }
  const shape = line<Point>()
    .x(([at]) => x(at))
    .y(([, value]) => y(value))
    .curve(curveMonotoneX);
  for (const { colour, points } of panel.series) {
    out.push(
      `<path d="${shape(points)}" fill="none" stroke="${colour}" stroke-width="1.7" stroke-linejoin="round"/>`,
    );
  }
  for (const { colour, x: moments } of panel.ticks ?? []) {
    for (const moment of moments) {
      const at = round(x(moment));
      out.push(
        `<line x1="${at}" x2="${at}" y1="${y0 + PANEL - 7}" y2="${y0 + PANEL}" stroke="${colour}" stroke-width="1.4"/>`,
      );
    }
  }
  labels.sort((a, b) => a.at - b.at);
  labels.forEach((label, i) => {
    if (i && label.at - labels[i - 1]!.at < 14) label.at = labels[i - 1]!.at + 14;
    out.push(text(LEFT + PLOT + 8, label.at + 4, label.text, `class="guide"`));
  });
  out.push(
    `<path d="M${LEFT} ${y0}V${y0 + PANEL}H${LEFT + PLOT}" fill="none" stroke="${INK}"/>`,
    text(LEFT, y0 - 10, panel.title, `class="panel"`),
    text(
      0,
      0,
      panel.unit,
      `class="unit" text-anchor="middle" transform="translate(${LEFT - 54} ${y0 + PANEL / 2}) rotate(-90)"`,
    ),
  );
  return out.join("\n");
}

/** Colour, name and figures of each flow. */
function legend(outcome: Outcome): string {
  const [from, to] = common(outcome);
  let at = LEFT;
  return outcome.flows
    .map((flow, i) => {
      const colour = COLOURS[i % COLOURS.length]!;
      const rate = mean(flow, ({ rate }) => rate, flow.flow.start);
      const label = `${outcome.flows.length > 1 ? `${i + 1}: ` : ""}${TITLES[flow.flow.control]}, ${short(rate / 1e6)} Mbit/s, ${flow.retransmits} sent again`;
      const entry = `<line x1="${at}" x2="${at + 22}" y1="${TOP - 38}" y2="${TOP - 38}" stroke="${colour}" stroke-width="3"/>${text(at + 28, TOP - 34, label, `class="legend"`)}`;
      at += 56 + label.length * 6.6;
      return entry;
    })
    .concat(
      outcome.flows.length > 1
        ? [
            text(
              LEFT + PLOT + RIGHT - 16,
              TOP - 34,
              `fairness ${jain(outcome, from, to).toFixed(3)}`,
              `class="legend" text-anchor="end"`,
            ),
          ]
        : [],
    )
    .join("\n");
}

/** The picture of an outcome. */
export function plot(outcome: Outcome): string {
  const end = outcome.scenario.duration / 1e9;
  const x = scaleLinear([0, end], [LEFT, LEFT + PLOT]);
  const panels = panelsOf(outcome).map((panel, i) => drawPanel(panel, TOP + i * (PANEL + GAP), x));
  const foot = TOP + 3 * PANEL + 2 * GAP;
  const times = x
    .ticks(10)
    .map((tick) => text(x(tick), foot + 18, String(tick), `class="tick" text-anchor="middle"`));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">
<title>${escape(`${titleOf(outcome)}: ${describe(outcome)}`)}</title>
<style>
text { font-family: "DejaVu Sans", Verdana, sans-serif; fill: ${INK}; font-size: 12px }
.title { font-size: 20px; font-weight: bold }
.under, .guide, .tick, .unit { fill: ${FAINT} }
.under { font-size: 12.5px }
.panel { font-size: 13.5px; font-weight: bold }
.guide, .tick { font-size: 11px }
</style>
<rect width="100%" height="100%" fill="#ffffff"/>
${text(LEFT, 32, titleOf(outcome), `class="title"`)}
${text(LEFT, 54, describe(outcome), `class="under"`)}
${legend(outcome)}
${panels.join("\n")}
${times.join("\n")}
${text(LEFT + PLOT / 2, foot + 40, "seconds", `class="unit" text-anchor="middle"`)}
${text(LEFT, foot + 40, "ticks at the foot of the window: segments sent again", `class="guide"`)}
</svg>
`;
}
