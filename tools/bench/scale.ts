import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { buildHostedBoth } from "../cli/build.ts";
import { DEFAULT_APP, Failure, project, root } from "../cli/project.ts";
import { note } from "../cli/progress.ts";
import { buildTestProgram } from "../hosted/programs.ts";
import { plotCourses } from "./plot.ts";
import { figure, printTable } from "./table.ts";

/**
 * What connections cost by their number: bytes of each while it is idle, and time of a packet among
 * so many. Requests of 64 bytes, answered, go over a hundred of the connections (the same working set
 * whatever the number) and over any of them (tests/hosted/scale). Writes build/scale.csv and
 * build/scale.svg.
 */

const COUNTS = [100, 1_000, 10_000, 100_000, 1_000_000];
const PACKETS = 1_200_000;
/** What a packet may cost more than among a hundred. */
const WANTED = 1.2;

interface Sample {
  connections: number;
  /** Memory of the machine that the connections brought into RAM, each. */
  bytes: number;
  /** ns a packet: over a hundred of them, over any, and over one, a packet at a time. */
  active: number;
  random: number;
  single: number;
  /** Instructions a packet over any; 0 where the system counts none for us. */
  instructions: number;
}

function measure(program: string, connections: number): Sample {
  const words = ["load", String(connections), String(PACKETS)];
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: "utf8" });
  if (status !== 0) throw new Failure(`${program} ${words.join(" ")}: ${stdout}${stderr}`.trim());
  const value = (name: string): number =>
    Number(new RegExp(`^${name} ([\\d.]+)$`, "m").exec(stdout)?.[1]);
  return {
    connections,
    bytes: value("bytes"),
    active: value("active-ns"),
    random: value("random-ns"),
    single: value("single-ns"),
    instructions: value("random-instructions"),
  };
}

const COURSES = [
  { key: "active", name: "over 100 of them", colour: "#0072b2" },
  { key: "random", name: "over any of them", colour: "#d55e00" },
] as const;

/** A number of bytes that a source of net/tcp states. */
function constant(file: string, name: string): number {
  const source = readFileSync(project(`net/tcp/${file}.ts`), "utf8");
  const value = new RegExp(`const ${name}: \\w+ = (\\d+);`).exec(source)?.[1];
  if (value === undefined) throw new Failure(`net/tcp/${file}.ts has no constant ${name}`);
  return Number(value);
}

/** The least of what each costs in so many runs: a run may have a slow processor all the time. */
function leastOf(program: string, connections: number, rounds: number): Sample {
  const samples = Array.from({ length: rounds }, () => measure(program, connections));
  const least = (key: keyof Sample): number => Math.min(...samples.map((sample) => sample[key]));
  return {
    ...samples[0]!,
    active: least("active"),
    random: least("random"),
    single: least("single"),
  };
}

/** Measures every number of connections `rounds` times; prints the table. */
export async function benchScale(rounds: number): Promise<Sample[]> {
  await buildHostedBoth({ app: DEFAULT_APP, cc: "gcc" });
  const program = buildTestProgram({ name: "scale", root });
  const samples: Sample[] = [];
  for (const count of COUNTS) {
    note(`    ${count.toLocaleString("en")} connections`);
    samples.push(leastOf(program, count, rounds));
  }
  const columns = ["connections", "bytes each", "ns, 100 active", "ns, any", "ns, one by one"];
  console.log(
    `\nConnections of the Linux-process build, idle but for these packets; best of ${rounds} rounds\n`,
  );
  const rows = samples.map(({ connections, bytes, active, random, single }) => [
    connections.toLocaleString("en"),
    ...[bytes, active, random, single].map(figure),
  ]);
  printTable([columns, ...rows], -1);
  const [few, many] = [samples[0]!, samples.at(-1)!];
  for (const { key, name } of COURSES) {
    const ratio = many[key] / few[key];
    const verdict = ratio <= WANTED ? "✓" : "✗";
    console.log(`${name}: ${ratio.toFixed(2)} × the cost at 100 (wanted: ≤ ${WANTED} ${verdict})`);
  }
  const request = constant("opening/syncache", "REQUEST_BYTES");
  const wait = constant("timewait", "ENTRY_BYTES");
  const work = constant("tcb", "CONTROL_AT") + constant("tcb", "CONTROL_BYTES");
  console.log(
    `half open a connection takes ${request} bytes, in TIME-WAIT ${wait}, at work ${work} more`,
  );
  const keys = ["connections", "bytes", "active", "random", "single", "instructions"] as const;
  const lines = samples.map((sample) => keys.map((key) => sample[key]).join(","));
  writeFileSync(project("build/scale.csv"), [keys.join(","), ...lines, ""].join("\n"));
  const courses = COURSES.map(({ key, ...look }) => ({
    ...look,
    values: samples.map((sample) => sample[key]),
  }));
  const title = "A packet among so many connections, ns";
  writeFileSync(project("build/scale.svg"), plotCourses(title, COUNTS, courses));
  return samples;
}
