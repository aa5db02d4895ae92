import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { Failure, project } from "../cli/project.ts";
import { benchForwarding } from "./forwarding.ts";
import { MEASURES, benchGuests } from "./guests.ts";
import { benchNames } from "./names.ts";
import { benchPhases } from "./phases.ts";
import { benchPrograms } from "./programs.ts";
import { benchScale } from "./scale.ts";
import { benchFamilies, benchStacks } from "./stacks.ts";

/** `skerry bench`: what is measured, in which order, and where the figures are kept. */

/** Beside the measures of guests.ts: everything of stacks.ts, scale.ts, forwarding.ts, names.ts, phases.ts and programs.ts. */
const STACKS = "stacks";
const FAMILIES = "families";
const SCALE = "scale";
const FORWARDING = "forwarding";
const NAMES = "names";
const PHASES = "phases";
const PROGRAMS = "guests";

export interface BenchOptions {
  rounds: number;
  /** Measures by name; all if null. */
  only: string[] | null;
  /** NICs for the measures of guests; all if null. */
  nics: string[] | null;
}

/**
 * Measures `rounds` times, all or only what is named; prints the tables, writes build/bench.json. What
 * is not measured this time stays in that file.
 */
export async function bench({ rounds, only, nics }: BenchOptions): Promise<void> {
  const known = [...MEASURES, STACKS, FAMILIES, SCALE, FORWARDING, NAMES, PHASES, PROGRAMS];
  const unknown = only?.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Failure(`BENCH_ONLY: no "${unknown}"; there is ${known.join(", ")}`);
  }
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} CPUs`;
  const wanted = new Set(only ?? known);
  const found: { [key: string]: unknown } = {};
  if (MEASURES.some((measure) => wanted.has(measure))) {
    found.guests = { date, machine, ...(await benchGuests(rounds, wanted, nics)) };
  }
  if (wanted.has(STACKS)) found.stacks = { date, machine, ...(await benchStacks(rounds)) };
  if (wanted.has(FAMILIES)) found.families = { date, machine, ...(await benchFamilies(rounds)) };
  if (wanted.has(SCALE)) found.scale = { date, machine, samples: await benchScale(rounds) };
  if (wanted.has(FORWARDING)) {
    found.forwarding = { date, machine, ...(await benchForwarding(rounds)) };
  }
  if (wanted.has(NAMES)) found.names = { date, machine, ...(await benchNames(rounds)) };
  if (wanted.has(PROGRAMS)) {
    found.programs = { date, machine, ...(await benchPrograms(rounds)) };
  }
  if (wanted.has(PHASES)) found.phases = { date, machine, ...(await benchPhases(rounds)) };
  const file = project("build/bench.json");
  const before = existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as object) : {};
  writeFileSync(file, JSON.stringify({ ...before, ...found }, null, 2));
}
