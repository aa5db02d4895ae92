import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "../cli/build.ts";
import { Failure, project } from "../cli/project.ts";
import { note, step } from "../cli/progress.ts";
import { figure, printTable } from "./table.ts";

/**
 * Skerry beside lwIP: two stacks of a kind in one thread, joined by memory, in turns with the other
 * kind. Both have Ethernet, ARP and frames of 1,514 bytes, and a program linked in (stacks/app,
 * stacks/lwip/node.c); a frame is copied once on its way. The same compiler makes both, each with the
 * optimisation that serves it best.
 */

interface Row {
  name: string;
  unit: string;
  /** What a unit counts for: bytes become megabytes. */
  scale: number;
  /** Skerry over lwIP that we ask of ourselves. */
  wanted: number | null;
}

const ROWS = {
  bulk: { name: "bulk, in place", unit: "MB/s", scale: 1e-6, wanted: 2 },
  copied: { name: "bulk, copied in and out", unit: "MB/s", scale: 1e-6, wanted: 2 },
  trips: { name: "round trips of 64 bytes", unit: "thousand/s", scale: 1e-3, wanted: 1.5 },
  abort: { name: "connect and abort", unit: "thousand/s", scale: 1e-3, wanted: 1.5 },
  close: { name: "connect and close", unit: "thousand/s", scale: 1e-3, wanted: 1.5 },
  "trips-many": {
    name: "round trips, 100 connections",
    unit: "thousand/s",
    scale: 1e-3,
    wanted: 1.5,
  },
  "abort-many": {
    name: "connect and abort, 100 at a time",
    unit: "thousand/s",
    scale: 1e-3,
    wanted: 1.5,
  },
  datagrams: { name: "UDP of 18 bytes", unit: "thousand/s", scale: 1e-3, wanted: 1.5 },
} satisfies { [key: string]: Row };

type Load = keyof typeof ROWS;
const LOADS = Object.keys(ROWS) as Load[];
const MODES = ["checksums", "none"] as const;
const STACKS = ["skerry", "lwip"] as const;
type Mode = (typeof MODES)[number];
type Stack = (typeof STACKS)[number];

const RUN_MS = 300;
/** Rounds in which instructions are counted. */
const COUNTED_ROUNDS = 512;
/** Callgrind counts a `rep movsb` as an instruction a byte, so memcpy is to do without. */
const NO_STRING_MOVES = "glibc.cpu.x86_rep_movsb_threshold=1000000000";
const FLAGS = ["-std=gnu11", "-O3", "-Wall", "-Wextra"];

function run(command: string, words: string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, words, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status === 0) return stdout;
  throw new Failure(`${command} ${words.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/**
 * The sources of Debian's package lwip, fetched once. The machine's own list of sources may name no
 * source packages, so a list of ours does, with lists of packages apart from the machine's.
 */
async function lwipSources(folder: string): Promise<string> {
  const find = (): string | undefined =>
    existsSync(folder)
      ? readdirSync(folder).find((name) => existsSync(join(folder, name, "src/core/tcp.c")))
      : undefined;
  if (!find()) {
    const policy = run("apt-cache", ["policy", "liblwip-dev"], project());
    const place = /(https?:\S+) (\S+)\/(\S+) \S+ Packages/.exec(policy);
    if (!place) throw new Failure("apt knows no liblwip-dev: run apt-get update");
    await step("fetch the sources of Debian's lwip (10 MB)", () => {
      const lists = join(folder, "lists");
      mkdirSync(join(lists, "partial"), { recursive: true });
      const keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
      const signed = existsSync(keys) ? `[signed-by=${keys}] ` : "";
      const list = join(folder, "sources.list");
      writeFileSync(list, `deb-src ${signed}${place[1]} ${place[2]} ${place[3]}\n`);
      const settings = [
        ...["-o", `Dir::Etc::SourceList=${list}`, "-o", "Dir::Etc::SourceParts=/dev/null"],
        ...["-o", `Dir::State::Lists=${lists}`],
      ];
      run("apt-get", ["-q", ...settings, "update"], folder);
      run("apt-get", ["-q", ...settings, "source", "--download-only", "lwip"], folder);
      const archive = readdirSync(folder).find((name) => /^lwip_.*\.orig\.tar/.test(name));
      if (!archive) throw new Failure("Debian's source package lwip has no .orig.tar");
      run("tar", ["-xf", archive], folder);
    });
  }
  return join(folder, find()!);
}

const HERE = "tools/bench/stacks";
const gcc = (...words: string[]): string => run("gcc", [...FLAGS, ...words], project(HERE));

/** Makes the program of two Skerry machines; its path. */
async function skerryProgram(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const library = join(folder, "libskerry.so");
  await buildLibrary("tools/bench/stacks/app/main.ts", library, join(folder, "kernel"), "gcc");
  const program = join(folder, "skerry");
  gcc(
    ...["-I", project("hosted"), "main.c", "skerry.c", "-o", program],
    ...[library, `-Wl,-rpath,${folder}`],
  );
  return program;
}

/** Makes the program of each stack: their paths, and lwIP's version. */
async function programs(folder: string): Promise<{ paths: Record<Stack, string>; lwip: string }> {
  const sources = await lwipSources(join(folder, "lwip"));
  const paths = { skerry: await skerryProgram(folder), lwip: join(folder, "lwip-pair") };
  await step("make lwIP's program (gcc)", () => {
    const node = [0, 1].map((i) => join(folder, `lwip-node-${i}.so`));
    const core = join(sources, "src/core");
    const files = [core, join(core, "ipv4")].flatMap((from) =>
      readdirSync(from)
        .filter((name) => name.endsWith(".c"))
        .map((name) => join(from, name)),
    );
    gcc(
      ...["-w", "-g", "-fPIC", "-shared", "-fvisibility=hidden", "-Wl,-Bsymbolic", "-Ilwip"],
      ...["-I", join(sources, "src/include"), ...files, join(sources, "src/netif/ethernet.c")],
      ...["lwip/node.c", "-o", node[0]!],
    );
    copyFileSync(node[0]!, node[1]!);
    gcc(
      ...["-Ilwip", `-DLWIP_NODE_0="${node[0]}"`, `-DLWIP_NODE_1="${node[1]}"`],
      ...["main.c", "lwip/pair.c", "-rdynamic", "-ldl", "-o", paths.lwip],
    );
  });
  return { paths, lwip: sources.split("/").at(-1)! };
}

interface Sample {
  units: number;
  seconds: number;
  frames: number;
  /** Seconds a unit took in the least tenth of short times: what other work on the machine left alone. */
  least: number;
}

function sample(program: string, load: string, mode: Mode): Sample {
  return JSON.parse(run(program, [load, mode, String(RUN_MS)], project())) as Sample;
}

/** Instructions a frame, as callgrind counts them; null without valgrind. */
function instructions(program: string, load: string, mode: Mode): number | null {
  const { status, stdout, stderr } = spawnSync(
    "valgrind",
    [
      ...["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=measure"],
      ...[program, load, mode, `rounds=${COUNTED_ROUNDS}`],
    ],
    { encoding: "utf8", env: { ...process.env, GLIBC_TUNABLES: NO_STRING_MOVES } },
  );
  const collected = /Collected : (\d+)/.exec(stderr ?? "");
  if (status !== 0 || !collected) return null;
  return Number(collected[1]) / (JSON.parse(stdout) as Sample).frames;
}

/**
 * Measures every load `rounds` times, prints the table and returns what goes into build/bench.json. A rate is that of
 * the least tenth of short times, in the best of the rounds: medians of whole rounds say what else the machine did.
 */
export async function benchStacks(rounds: number): Promise<object> {
  const folder = project("build", "bench", "stacks");
  mkdirSync(folder, { recursive: true });
  const { paths, lwip } = await programs(folder);
  const samples = new Map<string, Sample[]>();
  for (let round = 1; round <= rounds; round++) {
    note(`both stacks, round ${round} of ${rounds}`);
    for (const load of LOADS) {
      for (const mode of MODES) {
        for (const stack of round % 2 ? STACKS : [...STACKS].reverse()) {
          const key = `${stack} ${load} ${mode}`;
          samples.set(key, [...(samples.get(key) ?? []), sample(paths[stack], load, mode)]);
        }
      }
    }
  }
  note("count instructions (valgrind)");
  const table = [["in memory", "Skerry", "lwIP", "", "ratio", "wanted", "instructions a frame"]];
  const results: { [key: string]: object } = {};
  for (const mode of MODES) {
    for (const load of LOADS) {
      const { name, unit, scale, wanted } = ROWS[load] as Row;
      const rates = STACKS.map((stack) =>
        samples.get(`${stack} ${load} ${mode}`)!.map(({ least }) => scale / least),
      );
      const [skerry, other] = rates.map((values) => Math.max(...values)) as [number, number];
      const counted = STACKS.map((stack) => instructions(paths[stack], load, mode));
      const ratio = skerry / other;
      table.push([
        `${name}, ${mode === "none" ? "no sums" : "checksums"}`,
        ...[figure(skerry), figure(other), unit, `${ratio.toFixed(1)} ×`],
        wanted === null ? "" : `≥ ${wanted} ${ratio >= wanted ? "✓" : "✗"}`,
        counted.map((count) => (count === null ? "?" : figure(count))).join(" : "),
      ]);
      const values = { unit, skerry, lwip: other, ratio, wanted };
      results[`${load}-${mode}`] = { ...values, instructionsPerFrame: counted, samples: rates };
    }
  }
  console.log(
    `\ntwo stacks in one thread against ${lwip}; best of ${rounds} rounds, by the least tenth of short times\n`,
  );
  printTable(table, 3);
  return { lwip, rounds, results };
}

/** IPv6 may cost so much more than IPv4. */
const FAMILY_WANTED = 1.05;
const FAMILY_LOADS = ["bulk", "copied", "trips", "abort", "datagrams"] as const;

/** IPv6 beside IPv4, in turns: two Skerry machines, measured as in `benchStacks`. */
export async function benchFamilies(rounds: number): Promise<object> {
  const program = await skerryProgram(project("build", "bench", "stacks"));
  const table = [
    ["two machines of Skerry", "IPv6", "IPv4", "", "ratio", "instructions a frame", "ratio"],
  ];
  const results: { [key: string]: object } = {};
  note("IPv6 beside IPv4");
  for (const mode of MODES) {
    for (const load of FAMILY_LOADS) {
      const { name, unit, scale } = ROWS[load] as Row;
      const kinds = [`${load}6`, load];
      const samples: number[][] = [[], []];
      for (let round = 0; round < rounds; round++) {
        kinds.forEach((kind, i) => {
          samples[i]!.push(scale / sample(program, kind, mode).least);
        });
      }
      const [six, four] = samples.map((rates) => Math.max(...rates)) as [number, number];
      const counted = kinds.map((kind) => instructions(program, kind, mode));
      const [c6, c4] = counted;
      const cost = c6 && c4 ? c6 / c4 : null;
      table.push([
        `${name}, ${mode === "none" ? "no sums" : "checksums"}`,
        ...[figure(six), figure(four), unit, `${(six / four).toFixed(2)} ×`],
        counted.map((count) => (count === null ? "?" : figure(count))).join(" : "),
        cost === null ? "?" : `${cost.toFixed(2)} × ${cost <= FAMILY_WANTED ? "✓" : "✗"}`,
      ]);
      results[`${load}-${mode}`] = { unit, six, four, instructionsPerFrame: counted, samples };
    }
  }
  console.log(
    `\nIPv6 beside IPv4, best of ${rounds} rounds, by the least tenth of short times;` +
      ` wanted: ≤ ${FAMILY_WANTED} × the instructions\n`,
  );
  printTable(table, 3);
  return { rounds, results };
}
