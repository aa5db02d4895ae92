import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Command, InvalidArgumentError, Option } from "commander";
import { build as bundle } from "esbuild";
import {
  common,
  type Control,
  CONTROLS,
  type Flow,
  FRAME,
  jain,
  mean,
  type Outcome,
  runFlows,
  type Scenario,
} from "../sim/flows.ts";
import { loadKernel } from "../sim/kernel.ts";
import { describe, inRate, plot, short, TITLES } from "../sim/plot.ts";
import { compile } from "./compile.ts";
import { duration as inTime, step } from "./progress.ts";
import { Failure, project, root } from "./project.ts";
import { hashOfFile, once } from "./stamp.ts";

/**
 * `skerry sim`: tests of guests on simulated machines, or flows through a bottleneck in virtual time, as a
 * picture and a table.
 */

interface Options {
  flow?: Flow[];
  rate: number;
  rtt: number;
  queue: (product: number) => number;
  loss: number;
  ecn: number;
  jitter: number;
  duration: number;
  seed: number;
  output?: string;
}

/** A number with one of `units` behind it, in the unit's multiples. */
function parseUnit(text: string, units: { [unit: string]: number }, example: string): number {
  const match = /^(\d+(?:\.\d+)?)([a-z/%]*)$/i.exec(text);
  const factor = match && units[match[2]!.toLowerCase()];
  if (!match || typeof factor !== "number")
    throw new InvalidArgumentError(`it should be as in ${example}`);
  return Number(match[1]) * factor;
}

const parseRate = (text: string): number => {
  const rate = parseUnit(text, { "": 1, k: 1e3, m: 1e6, g: 1e9 }, "20M (bit/s)");
  if (rate >= 64e3 && rate <= 1e9) return rate;
  throw new InvalidArgumentError("a rate is from 64k to 1G bit/s");
};

const TIMES = { us: 1e3, ms: 1e6, s: 1e9, "": 1e6 };
const parseTime = (text: string): number => parseUnit(text, TIMES, "40ms");
const parseRoundTrip = (text: string): number => {
  const time = parseTime(text);
  if (time >= 1e5 && time <= 2e9) return time;
  throw new InvalidArgumentError("a round trip is from 100us to 2s");
};

const parseDuration = (text: string): number => {
  const time = parseUnit(text, { ...TIMES, "": 1e9 }, "30s");
  if (time >= 1e8 && time <= 600e9) return time;
  throw new InvalidArgumentError("a duration is from 100ms to 600s");
};

/** Packets, `kb`, or multiples of what the path itself holds. */
const parseQueue = (text: string): Options["queue"] => {
  const example = "50 (packets), 64kb, or 1bdp (what the path holds)";
  const value = parseUnit(text, { "": FRAME, kb: 1e3, mb: 1e6, bdp: 0 }, example);
  const share = value ? 0 : parseFloat(text);
  if (!value && !share) throw new InvalidArgumentError("a queue holds a packet at least");
  return (product) => Math.max(value || share * product, FRAME);
};

const parseShare = (text: string): number => {
  const share = parseUnit(text, { "%": 0.01, "": 1 }, "1% or 0.01");
  if (share < 1) return share;
  throw new InvalidArgumentError("a share is below 100%");
};

const parseSeed = (text: string): number => {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("a seed is a number of up to 9 digits");
};

/** `bbr`, `bbr@5` (begins after 5 s), `bbr@5-20` (and ends after 20 s). */
function parseFlow(text: string, before: Flow[] = []): Flow[] {
  const match = /^(\w+)(?:@(\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?)?$/.exec(text);
  const control = match?.[1] as Control | undefined;
  if (!match || !control || !CONTROLS.includes(control)) {
    throw new InvalidArgumentError(
      `a flow is one of ${CONTROLS.join(", ")}, perhaps with its start and end in seconds as in cubic@5-20`,
    );
  }
  const start = Number(match[2] ?? 0) * 1e9;
  const end = match[3] === undefined ? Infinity : Number(match[3]) * 1e9;
  if (end <= start) throw new InvalidArgumentError(`${text} ends before it begins`);
  if (before.length === 6) throw new InvalidArgumentError("six flows are what a picture can show");
  return [...before, { control, start, end }];
}

/** The command, to be added to the program. */
export function simCommand(): Command {
  return new Command("sim")
    .description(
      "run tests of guests on simulated machines; or draw congestion control over a bottleneck",
    )
    .argument("[tests...]", "test files (.ts, .js) that import skerry/sim: docs/simulation.md")
    .addOption(
      new Option(
        "-f, --flow <control[@start[-end]]>",
        `one of ${CONTROLS.join(", ")}, and its seconds; once for each flow (default: cubic, and another @10)`,
      ).argParser(parseFlow),
    )
    .addOption(
      new Option("--rate <bit/s>", "of the bottleneck").default(20e6, "20M").argParser(parseRate),
    )
    .addOption(
      new Option("--rtt <time>", "round trip of the empty path")
        .default(40e6, "40ms")
        .argParser(parseRoundTrip),
    )
    .addOption(
      new Option("--queue <size>", "what may wait before it: packets, kb, or bdp")
        .default(parseQueue("1bdp"), "1bdp: rate × round trip")
        .argParser(parseQueue),
    )
    .addOption(
      new Option("--loss <share>", "frames lost by chance").default(0).argParser(parseShare),
    )
    .addOption(
      new Option("--ecn <size>", "marks packets from this much of a queue on")
        .default(Infinity, "no marks")
        .argParser((text) => parseUnit(text, { "": FRAME, kb: 1e3 }, "20 (packets) or 30kb")),
    )
    .addOption(
      new Option("--jitter <time>", "added to the delay by chance, at most")
        .default(0)
        .argParser(parseTime),
    )
    .addOption(
      new Option("--duration <time>", "virtual time").default(30e9, "30s").argParser(parseDuration),
    )
    .addOption(new Option("--seed <number>", "of chance").default(1).argParser(parseSeed))
    .addOption(new Option("-o, --output <file>", "the SVG file (default: build/sim/<flows>.svg)"))
    .addHelpText(
      "after",
      `
Examples:
  skerry sim app.test.ts                          tests of one's own guests
  skerry sim                                      two CUBIC flows, the second ten seconds later
  skerry sim -f bbr --loss 1%                     BBR where a hundredth of all packets is lost
  skerry sim -f cubic -f bbr@5 --queue 2bdp       CUBIC against BBR
  skerry sim -f vegas --rate 50M --rtt 20ms --duration 10s -o vegas.svg

docs/congestion.md explains the curves.`,
    )
    .action((tests: string[], options: Options) => (tests.length ? runTests(tests) : sim(options)));
}

/** Bundles what users' tests import, and then the tests, and has Node run them. */
async function runTests(tests: string[]): Promise<void> {
  const wrong = tests.find((file) => !existsSync(file));
  if (wrong !== undefined) throw new Failure(`there is no file ${wrong}`);
  const library = project("build", "tools", "sim.js");
  const common = {
    bundle: true,
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    logLevel: "error",
    absWorkingDir: root,
  } as const;
  const entry = project("tools/sim/network.ts");
  await bundle({ ...common, entryPoints: [entry], outfile: library, packages: "external" });
  const outdir = resolve("build", "sim", "tests");
  const outputs = tests.map((file) => join(outdir, `${basename(file).replace(/\.\w+$/, "")}.mjs`));
  for (const [i, file] of tests.entries()) {
    await bundle({
      ...common,
      entryPoints: [resolve(file)],
      outfile: outputs[i]!,
      packages: "external",
      plugins: [
        {
          name: "skerry/sim",
          setup: (build) => {
            build.onResolve({ filter: /^skerry\/sim$/ }, () => ({
              path: pathToFileURL(library).href,
              external: true,
            }));
          },
        },
      ],
    });
  }
  const { status } = spawnSync(process.execPath, ["--enable-source-maps", "--test", ...outputs], {
    stdio: "inherit",
  });
  if (status !== 0) process.exitCode = status ?? 1;
}

async function sim(options: Options): Promise<void> {
  const flows = (options.flow ?? parseFlow("cubic@10", parseFlow("cubic"))).map((flow) => ({
    ...flow,
    end: Math.min(flow.end, options.duration),
  }));
  const late = flows.find(({ start }) => start >= options.duration);
  if (late) {
    throw new Failure(
      `--flow ${late.control}@${late.start / 1e9} begins after the end; give a longer --duration`,
    );
  }
  const scenario: Scenario = {
    flows,
    rate: options.rate,
    delay: options.rtt / 2,
    queue: options.queue((options.rate * options.rtt) / 8e9),
    loss: options.loss,
    mark: options.ecn,
    jitter: options.jitter,
    duration: options.duration,
    seed: options.seed,
    samples: 400,
  };
  const kernel = project("build", "sim", "kernel.wasm");
  await once(
    `${kernel}.stamp.json`,
    hashOfFile(fileURLToPath(import.meta.url)),
    [kernel, `${kernel}.map`],
    () =>
      step("compile the kernel alone (AssemblyScript to Wasm)", () =>
        compile({ entry: null, target: "release", outFile: relative(root, kernel) }),
      ),
  );
  const outcome = await step(`simulate ${inTime(scenario.duration / 1e6)}`, () =>
    runFlows(loadKernel(kernel), scenario),
  );
  const name = flows.map(({ control }) => control).join("-");
  const output = resolve(options.output ?? project("build", "sim", `${name}.svg`));
  mkdirSync(dirname(output), { recursive: true });
  writeFileSync(output, plot(outcome));
  console.log(`${table(outcome)}\n${relative(process.cwd(), output)}`);
}

/** The figures of each flow, and of all together. */
function table(outcome: Outcome): string {
  const { flows, counts } = outcome;
  const rows = [
    ["flow", "control", "Mbit/s", "mean RTT ms", "sent again", "time-outs"],
    ...flows.map((flow, i) => [
      String(i + 1),
      TITLES[flow.flow.control],
      short(mean(flow, ({ rate }) => rate, flow.flow.start, flow.flow.end) / 1e6),
      short(mean(flow, ({ srtt }) => srtt, flow.flow.start, flow.flow.end) / 1e6),
      `${flow.retransmits} (${((100 * flow.retransmits) / Math.max(flow.sent, 1)).toFixed(2)} %)`,
      String(flow.timeouts),
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i < 2 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join("  ")
      .trimEnd(),
  );
  const [from, to] = common(outcome);
  const used = flows.reduce((sum, flow) => sum + mean(flow, ({ rate }) => rate, from, to), 0);
  lines.push(
    "",
    `${describe(outcome)}`,
    `dropped at the queue: ${counts.dropped}, lost by chance: ${counts.lost}, marked: ${counts.marked}`,
  );
  if (from < to) {
    lines.push(
      `from ${short(from / 1e9)} to ${short(to / 1e9)} s: ${inRate(used)} in all` +
        (flows.length > 1 ? `, Jain's fairness index ${jain(outcome, from, to).toFixed(3)}` : ""),
    );
  }
  return lines.join("\n");
}
