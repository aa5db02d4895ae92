import { spawnSync } from "node:child_process";
import { buildLibrary } from "../cli/build.ts";
import { DEFAULT_APP, Failure, hostedOf, root } from "../cli/project.ts";
import { buildTestProgram } from "../hosted/programs.ts";
import { median } from "./measure.ts";
import { benchSignatures } from "./signatures.ts";
import { figure, printTable } from "./table.ts";

/** What a name costs that the resolver's cache knows, by the calls of a program: tests/hosted/names; and what validating one does. */

const LOOKUPS = 2_000_000;

/** Measures `rounds` times; prints the median and returns all, ns a lookup. */
export async function benchNames(
  rounds: number,
): Promise<{ lookups: number[]; signatures: { [algorithm: string]: number[] } }> {
  const { library, libraryFolder } = hostedOf(DEFAULT_APP);
  await buildLibrary(null, library, libraryFolder, "gcc");
  const program = buildTestProgram({ name: "names", root });
  const lookups = Array.from({ length: rounds }, () => {
    const { status, stdout, stderr } = spawnSync(program, [String(LOOKUPS)], { encoding: "utf8" });
    if (status !== 0) throw new Failure(`${program}: ${stdout}${stderr}`.trim());
    return Number(/^lookup-ns ([\d.]+)$/m.exec(stdout)?.[1]);
  });
  const ns = median(lookups);
  printTable(
    [
      ["names", "Skerry", ""],
      ["one of 200 names, from the cache", figure(ns), "ns"],
      ["", figure(1e6 / ns), "thousand/s"],
    ],
    2,
  );
  return { lookups, signatures: benchSignatures(rounds) };
}
