import { existsSync, readFileSync, statSync } from "node:fs";
import { delimiter, join, relative, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { ACCELS } from "../qemu/accel.ts";
import { MACHINES, NICS } from "../qemu/machine.ts";
import { bench } from "../bench/bench.ts";
import { type BuildOptions, build, buildDisks, buildHostedBoth, imageFor } from "./build.ts";
import { check, format } from "./check.ts";
import { ConfigFailure, readConfig } from "../config/config.ts";
import { create, templateNames } from "../create/create.ts";
import {
  CONFIG_NAME,
  DEFAULT_APP,
  Failure,
  appNames,
  configuredFolder,
  disksOf,
  guestAppNames,
  hostedOf,
  project,
  root,
  shownPath,
} from "./project.ts";
import { FUZZ_TARGETS, fuzz } from "./fuzz.ts";
import { duration, note } from "./progress.ts";
import { DEFAULT_MEMORY, type RunOptions, run } from "./run.ts";
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
  const names = [...appNames(), ...guestAppNames()];
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
const MODULES =
  "a folder with a skerry.toml, or WASI programs (.wasm); without: the skerry.toml here or above";

/** The app, unless modules or a folder take its place. */
function target<T extends BuildOptions>(words: string[], options: T, command: Command): T {
  const folder =
    words.length === 1 && statSync(words[0]!, { throwIfNoEntry: false })?.isDirectory();
  if (folder) return { ...options, project: resolve(words[0]!) };
  const wrong = words.find((word) => !statSync(word, { throwIfNoEntry: false })?.isFile());
  if (wrong !== undefined) throw new Failure(`there is no file ${wrong}`);
  if (words.length) return { ...options, guests: words };
  if (command.getOptionValueSource("app") !== "default") return options;
  const here = configuredFolder(process.cwd());
  if (here !== null) return { ...options, project: here };
  if (!relative(root, process.cwd()).startsWith("..")) return options;
  throw new Failure(
    "there is no skerry.toml here or above: `npx skerry create NAME` makes a folder with one",
  );
}

const program = new Command("skerry")
  .description("Builds and runs operating-system images written in TypeScript.")
  .version(
    (JSON.parse(readFileSync(project("package.json"), "utf8")) as { version: string }).version,
  )
  .helpCommand(true)
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "skerry: ")) });

/** For work on Skerry itself: not shown where it is installed as a package. */
const ours = { hidden: !existsSync(project("tests")) };

program
  .command("create")
  .description("make a folder with a program, ready to run")
  .argument("<folder>", "where; its last part is the program's name")
  .addOption(
    new Option("--template <name>", "what to begin with").choices(templateNames()).default("http"),
  )
  .action((folder: string, { template }: { template: string }) => create(folder, template));

program
  .command("build")
  .description("make the image")
  .argument("[modules...]", MODULES)
  .addOption(app())
  .addOption(compiler())
  .action(async (words: string[], options: BuildOptions, command: Command) => {
    const start = performance.now();
    const chosen = target(words, options, command);
    await build(chosen);
    note(`${shownPath(imageFor(chosen).image)} is ready (${duration(performance.now() - start)})`);
  });

program
  .command("image")
  .description("make the file that boots as a CD and as a USB disk, on BIOS and UEFI")
  .argument("[modules...]", MODULES)
  .addOption(app())
  .addOption(compiler())
  .addOption(append())
  .action(async (words: string[], options: BuildOptions & { append: string }, command: Command) => {
    const chosen = target(words, options, command);
    await buildDisks(chosen, options.append);
    const { iso, disk } = disksOf(imageFor(chosen));
    const names = [iso, disk].map(shownPath).join(" and ");
    const kib = Math.ceil(statSync(iso).size / 1024);
    note(`${names} are ready, one file of ${kib} KiB; docs/hardware.md says how to boot it`);
  });

program
  .command("hosted", ours)
  .description("make the Linux process over TAP, and the library with a C interface")
  .addOption(app())
  .addOption(compiler())
  .action(async (options: BuildOptions) => {
    const start = performance.now();
    if (guestAppNames().includes(options.app)) {
      throw new Failure(`${options.app} is made of guests, which the Linux process cannot run`);
    }
    await buildHostedBoth(options);
    const { program, library } = hostedOf(options.app);
    const names = [program, library].map(shownPath).join(" and ");
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
      new Option("--machine <type>", `kind of machine, ${MACHINES[0]} unless told`)
        .env("MACHINE")
        .choices(MACHINES),
    )
    .addOption(new Option("--nic <model>", `network card: ${NICS.join(", ")}`).env("NIC"))
    .addOption(
      new Option("--memory <MiB>", `memory, ${DEFAULT_MEMORY} unless told`)
        .env("MEM")
        .argParser(parseMemory),
    )
    .addOption(new Option("--accel <kind>", "how").env("ACCEL").choices(ACCELS).default("auto"))
    .addOption(append());
}

for (const [name, description, debug] of [
  ["run", "build, boot under QEMU, print the URL", false],
  ["debug", "boot and wait for gdb", true],
] as const) {
  runLike(name, description).action(
    async (words: string[], options: RunOptions, command: Command) => {
      process.exitCode = await run(target(words, options, command), debug);
    },
  );
}

program
  .command("test", ours)
  .description("run every test")
  .option("--only <suite...>", "only these suites: check, unit, tools, aot, sim, hosted, qemu")
  .action(async (options: { only?: string[] }) => {
    process.exitCode = (await test(options.only)) ? 0 : 1;
  });

program
  .command("soak", ours)
  .description("simulate two machines over a network that loses, delays and spoils, by seed")
  .addOption(new Option("--seeds <number>", "how many").default(10_000).argParser(parseCount))
  .addOption(new Option("--first <number>", "the first one").default(1).argParser(parseCount))
  .action(async ({ first, seeds }: { first: number; seeds: number }) => soak(first, seeds));

program
  .command("fuzz", ours)
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
  .description("check skerry.toml; in Skerry's own folder, check formatting and types")
  .argument("[folder]", "a folder with a skerry.toml; without: the one here or above")
  .action(async (word?: string) => {
    const folder = word === undefined ? configuredFolder(process.cwd()) : resolve(word);
    if (folder) {
      const { guests } = readConfig(folder);
      note(
        `${shownPath(join(folder, CONFIG_NAME))} is right: ${guests.map(({ name }) => name).join(", ")}`,
      );
      return;
    }
    const failed = (await check()).filter(({ passed }) => !passed);
    if (failed.length) throw new Failure(`check: ${failed.map(({ name }) => name).join(", ")}`);
  });

program.command("format", ours).description("format every source in place").action(format);

program.addCommand(simCommand().copyInheritedSettings(program), ours);

program
  .command("bench", ours)
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
  let { message } = error;
  if (error instanceof ConfigFailure) {
    process.stderr.write(`${message}\n`);
    const count = error.problems.length;
    message = `${count === 1 ? "one thing" : `${count} things`} to put right in ${CONFIG_NAME}`;
  }
  process.stderr.write(`skerry: ${message}\n`);
  process.exitCode = 1;
}
