import { existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { ACCELS } from "../qemu/accel.ts";
import { MACHINES, NICS, type Nic, defaultNic, nicTrouble } from "../qemu/machine.ts";
import { bench } from "../bench/bench.ts";
import { type BuildOptions, build, buildDisks, buildHostedBoth, imageFor } from "./build.ts";
import { check, format } from "./check.ts";
import { DEFAULT_APP, Failure, appNames, disksOf, hostedOf, project } from "./project.ts";
import { FUZZ_TARGETS, fuzz } from "./fuzz.ts";
import { duration, note } from "./progress.ts";
import { type RunOptions, run } from "./run.ts";
import { simCommand } from "./sim.ts";
import { soak } from "./soak.ts";
import { test } from "./test.ts";

/** The `skerry` command. Every option is also an environment variable, so that make passes it on. */

function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65535) return port;
  throw new InvalidArgumentError("a port is a number from 1 to 65535");
}

function parseMemory(text: string): number {
  const match = /^(\d+)(M|G)?$/i.exec(text);
  const mib = match ? Number(match[1]) * (match[2]?.toUpperCase() === "G" ? 1024 : 1) : 0;
  if (mib >= 16 && mib <= 1 << 20) return mib;
  throw new InvalidArgumentError("memory is a number of MiB from 16, as in 128 or 1G");
}

function parseApp(text: string): string {
  const names = appNames();
  if (names.includes(text)) return text;
  throw new InvalidArgumentError(`there is no apps/${text}; there is ${names.join(", ")}`);
}

function parseCompiler(text: string): string {
  const found = (process.env.PATH ?? "")
    .split(delimiter)
    .some((folder) => existsSync(join(folder, text)));
  if (text && (found || (text.includes("/") && existsSync(text)))) return text;
  throw new InvalidArgumentError(`no such compiler in PATH`);
}

function parseCount(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1) return count;
  throw new InvalidArgumentError("a count is a number from 1");
}

const app = (): Option =>
  new Option("--app <name>", "a folder of apps/")
    .env("APP")
    .default(DEFAULT_APP)
    .argParser(parseApp);
const compiler = (): Option =>
  new Option("--cc <command>", "gcc or clang").env("CC").default("gcc").argParser(parseCompiler);

const append = (): Option =>
  new Option("--append <words>", "kernel command line").env("APPEND").default("");

// A make variable that is set to nothing asks for nothing.
for (const name of ["APP", "CC", "PORT", "MACHINE", "NIC", "MEM", "ACCEL"]) {
  if (process.env[name] === "") delete process.env[name];
}

/** What `build` and `run` take. */
const MODULES = "WASI programs to run in place of the app: .wasm files";

const program = new Command("skerry")
  .description("Builds and runs operating-system images written in TypeScript.")
  .version(
    (JSON.parse(readFileSync(project("package.json"), "utf8")) as { version: string }).version,
  )
  .helpCommand(true)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "skerry: ")) });

program
  .command("build")
  .description("make the image")
  .argument("[modules...]", MODULES)
  .addOption(app())
  .addOption(compiler())
  .action(async (guests: string[], options: BuildOptions) => {
    const start = performance.now();
    await build({ ...options, guests });
    const { image } = imageFor({ ...options, guests });
    note(`${image.slice(project().length + 1)} is ready (${duration(performance.now() - start)})`);
  });

program
  .command("image")
  .description("make the file that boots as a CD and as a USB disk, on BIOS and UEFI")
  .addOption(app())
  .addOption(compiler())
  .addOption(append())
  .action(async (options: BuildOptions & { append: string }) => {
    await buildDisks(options, options.append);
    const { iso, disk } = disksOf(options.app);
    const names = [iso, disk].map((path) => path.slice(project().length + 1)).join(" and ");
    const kib = Math.ceil(statSync(iso).size / 1024);
    note(`${names} are ready, one file of ${kib} KiB; docs/hardware.md says how to boot it`);
  });

program
  .command("hosted")
  .description("make the Linux process over TAP, and the library with a C interface")
  .addOption(app())
  .addOption(compiler())
  .action(async (options: BuildOptions) => {
    const start = performance.now();
    await buildHostedBoth(options);
    const { program, library } = hostedOf(options.app);
    const names = [program, library].map((path) => path.slice(project().length + 1)).join(" and ");
    note(`${names} are ready (${duration(performance.now() - start)}); see hosted/skerry.h`);
  });

function runLike(name: string, description: string): Command {
  return program
    .command(name)
    .description(description)
    .argument("[modules...]", MODULES)
    .addOption(app())
    .addOption(compiler())
    .addOption(
      new Option("--port <number>", "port of 127.0.0.1 that leads to the app")
        .env("PORT")
        .argParser(parsePort),
    )
    .addOption(
      new Option("--machine <type>", "kind of machine")
        .env("MACHINE")
        .choices(MACHINES)
        .default("pc"),
    )
    .addOption(new Option("--nic <model>", `network card: ${NICS.join(", ")}`).env("NIC"))
    .addOption(
      new Option("--memory <MiB>", "memory").env("MEM").argParser(parseMemory).default(128),
    )
    .addOption(new Option("--accel <kind>", "how").env("ACCEL").choices(ACCELS).default("auto"))
    .addOption(append());
}

/** The options with a card that the machine can have. */
function withNic(options: Omit<RunOptions, "nic"> & { nic?: string }): RunOptions {
  const { machine, nic = defaultNic(machine) } = options;
  const trouble = nicTrouble(nic, machine);
  if (trouble) throw new Failure(`NIC=${nic}: ${trouble}`);
  return { ...options, nic: nic as Nic };
}

runLike("run", "build, boot under QEMU, print the URL").action(
  async (guests: string[], options: RunOptions) => {
    process.exitCode = await run(withNic({ ...options, guests }));
  },
);
runLike("debug", "boot and wait for gdb").action(async (guests: string[], options: RunOptions) => {
  process.exitCode = await run(withNic({ ...options, guests }), true);
});

program
  .command("test")
  .description("run every test")
  .option("--only <suite...>", "only these suites: check, unit, aot, sim, hosted, qemu")
  .action(async (options: { only?: string[] }) => {
    process.exitCode = (await test(options.only)) ? 0 : 1;
  });

program
  .command("soak")
  .description("simulate two machines over a network that loses, delays and spoils, by seed")
  .addOption(new Option("--seeds <number>", "how many").default(10_000).argParser(parseCount))
  .addOption(new Option("--first <number>", "the first one").default(1).argParser(parseCount))
  .action(async ({ first, seeds }: { first: number; seeds: number }) => soak(first, seeds));

program
  .command("fuzz")
  .description("give parsers and whole connections inputs that a coverage-guided fuzzer makes up")
  .argument("[targets...]", `of ${Object.keys(FUZZ_TARGETS).join(", ")}`)
  .addOption(
    new Option("--time <seconds>", "for each target")
      .env("FUZZ_TIME")
      .default(600)
      .argParser(parseCount),
  )
  .action(async (targets: string[], { time }: { time: number }) => {
    const wrong = targets.find((name) => !(name in FUZZ_TARGETS));
    if (wrong) throw new Failure(`fuzz: there is no target "${wrong}"`);
    await fuzz(targets.length ? targets : Object.keys(FUZZ_TARGETS), time);
  });

program
  .command("check")
  .description("check formatting and types")
  .action(async () => {
    const failed = (await check()).filter(({ passed }) => !passed);
    if (failed.length) throw new Failure(`check: ${failed.map(({ name }) => name).join(", ")}`);
  });

program.command("format").description("format every source in place").action(format);

program.addCommand(simCommand().copyInheritedSettings(program));

program
  .command("bench")
  .description("measure against a Debian Linux guest, and against lwIP")
  .addOption(
    new Option("--rounds <number>", "rounds of each measurement")
      .env("BENCH_ROUNDS")
      .default(5)
      .argParser(parseCount),
  )
  .addOption(new Option("--only <names>", "measurements, with commas between").env("BENCH_ONLY"))
  .addOption(
    new Option("--nics <names>", "NICs of the guests, with commas between").env("BENCH_NICS"),
  )
  .action(async ({ rounds, only, nics }: { rounds: number; only?: string; nics?: string }) => {
    await bench({ rounds, only: only?.split(",") ?? null, nics: nics?.split(",") ?? null });
  });

try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof Failure)) throw error;
  process.stderr.write(`skerry: ${error.message}\n`);
  process.exitCode = 1;
}
