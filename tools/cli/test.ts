import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { stripVTControlCharacters } from "node:util";
import { build as bundle } from "esbuild";
import { build, buildFuzz, buildHostedBoth } from "./build.ts";
import { check } from "./check.ts";
import { hasFuzzer } from "./fuzz.ts";
import { DEFAULT_APP, Failure, appNames, guestAppNames, project, root } from "./project.ts";
import { duration, note } from "./progress.ts";

/** `skerry test`: every suite in turn, and the counts at the end. */

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** Longest that one test file may take. */
const FILE_MS = 10 * 60_000;

/** The files of tests/<suite> that hold tests. */
function testFiles(suite: string): string[] {
  const folder = project("tests", suite);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".test.ts"))
    .sort()
    .map((name) => join(folder, name));
}

interface Fault {
  name: string;
  /** The beginning of what it said. */
  why: string;
}

/** What a suite came to; `failures` are the tests that failed, `repeated` those that passed only when repeated. */
interface Outcome extends Counts {
  failures: Fault[];
  repeated: Fault[];
}

/** How often a file of a live suite is run at most. */
const TRIES = 3;
const MOST_SAID = 600;

const nothing = (): Outcome => ({ passed: 0, failed: 0, skipped: 0, failures: [], repeated: [] });

/** Runs bundled test files, `concurrency` at a time, showing how they go; what each came to, by its path. */
async function runFiles(files: string[], concurrency: number): Promise<Map<string, Outcome>> {
  const outcomes = new Map(files.map((file) => [file, nothing()]));
  const events = run({ files, concurrency, timeout: FILE_MS });
  // What fails as a whole, by time or a crash, may name itself alone.
  const of = (file: string | undefined, name: string): Outcome =>
    outcomes.get(file ?? "") ?? outcomes.get(name) ?? outcomes.get(files[0]!)!;
  events.on("test:pass", ({ name, file, skip, details }) => {
    if (details.type === "suite") return;
    if (skip === undefined) of(file, name).passed++;
    else of(file, name).skipped++;
  });
  events.on("test:fail", ({ name, file, details }) => {
    if (details.type === "suite") return;
    of(file, name).failed++;
    const { cause } = details.error as { cause?: unknown };
    const why = cause instanceof Error ? cause.message : String(cause ?? details.error.message);
    of(file, name).failures.push({ name, why: why.slice(0, MOST_SAID) });
  });
  const shown = events.compose(new spec());
  shown.pipe(process.stdout, { end: false });
  await new Promise((resolve, reject) => shown.on("end", resolve).on("error", reject));
  return outcomes;
}

/**
 * Bundles a suite's files and runs them with Node's test runner, `concurrency` files at a time. A `live` suite has peers
 * and clocks of the machine that it runs on, which other work may hold up: a file of it that fails is run again,
 * alone, up to TRIES times in all, and what it says last counts; what failed before is still named.
 */
async function nodeSuite(suite: string, concurrency: number, live = false): Promise<Outcome> {
  const sources = testFiles(suite);
  if (sources.length === 0) return nothing();
  const outdir = project("build", "tests", suite);
  rmSync(outdir, { recursive: true, force: true });
  await bundle({
    entryPoints: sources,
    outdir,
    outbase: project("tests", suite),
    outExtension: { ".js": ".mjs" },
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    logLevel: "error",
  });
  const files = sources.map((source) =>
    join(outdir, relative(project("tests", suite), source).replace(/\.ts$/, ".mjs")),
  );
  const outcomes = await runFiles(files, concurrency);
  for (let tries = 1; live && tries < TRIES; tries++) {
    const failed = files.filter((file) => outcomes.get(file)!.failed > 0);
    if (failed.length === 0) break;
    note(`\n== ${suite}: what failed, again`);
    for (const [file, again] of await runFiles(failed, 1)) {
      const { failures, repeated } = outcomes.get(file)!;
      const still = new Set(again.failures.map(({ name }) => name));
      again.repeated = [...repeated, ...failures].filter(({ name }) => !still.has(name));
      outcomes.set(file, again);
    }
  }
  const all = nothing();
  for (const outcome of outcomes.values()) add(all, outcome);
  return all;
}

const indented = (text: string): string => text.replace(/^/gm, "  ");

function add(to: Outcome, more: Counts & Partial<Outcome>): void {
  for (const key of ["passed", "failed", "skipped"] as const) to[key] += more[key];
  for (const key of ["failures", "repeated"] as const) to[key].push(...(more[key] ?? []));
}

/** Runs a script of package.json; its status and what it printed, which is also shown. */
async function script(name: string): Promise<{ status: number | null; output: string }> {
  const child = spawn("npm", ["run", "--silent", name], {
    cwd: root,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
    process.stdout.write(chunk);
  });
  const status = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { status, output };
}

/** as-pect's own runner; its summary is read for the counts. */
async function unitSuite(): Promise<Counts> {
  const { status, output } = await script("test:unit");
  const summary = /\[Tests\]: (\d+) \/ (\d+)/.exec(stripVTControlCharacters(output));
  const [passed, all] = summary ? [Number(summary[1]), Number(summary[2])] : [0, 0];
  // A run that dies may have no summary, and still has failed.
  return { passed, failed: all - passed || (status === 0 ? 0 : 1), skipped: 0 };
}

async function qemuSuite(): Promise<Outcome> {
  for (const app of [...appNames(), ...guestAppNames()]) await build({ app, cc: "gcc" });
  return nodeSuite("qemu", 1, true);
}

async function hostedSuite(): Promise<Outcome> {
  await buildHostedBoth({ app: DEFAULT_APP, cc: "gcc" });
  if (hasFuzzer()) for (const app of [null, "http"]) await buildFuzz(app);
  return nodeSuite("hosted", 1, true);
}

async function checkSuite(): Promise<Counts> {
  const results = await check();
  const passed = results.filter((result) => result.passed).length;
  return { passed, failed: results.length - passed, skipped: 0 };
}

const SUITES: { [name: string]: () => Promise<Counts & Partial<Outcome>> } = {
  check: checkSuite,
  unit: unitSuite,
  tools: () => nodeSuite("tools", 2),
  aot: () => nodeSuite("aot", 2),
  sim: () => nodeSuite("sim", 2),
  hosted: hostedSuite,
  qemu: qemuSuite,
};

function inWords({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`;
}

/** Runs the suites, or those named; true if nothing failed. */
export async function test(only: string[] = Object.keys(SUITES)): Promise<boolean> {
  mkdirSync(project("build"), { recursive: true });
  process.chdir(root);
  const total = nothing();
  const lines: string[] = [];
  for (const name of only) {
    const suite = SUITES[name];
    if (!suite) {
      throw new Failure(`no test suite "${name}"; there is ${Object.keys(SUITES).join(", ")}`);
    }
    note(`\n== ${name}`);
    const start = performance.now();
    const counts = await suite();
    lines.push(`${name.padEnd(6)} ${inWords(counts)}  (${duration(performance.now() - start)})`);
    add(total, counts);
  }
  console.log();
  for (const { name, why } of total.failures) console.log(`failed: ${name}\n${indented(why)}`);
  for (const { name, why } of total.repeated) {
    console.log(`passed only when repeated: ${name}\n${indented(why)}`);
  }
  console.log(`${lines.join("\n")}\n${inWords(total)}`);
  return total.failed === 0;
}
