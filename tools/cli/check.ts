import { spawn } from "node:child_process";
import { readConfig } from "../config/config.ts";
import { compile, compileSource } from "./compile.ts";
import { Failure, appNames, guestAppNames, project, root } from "./project.ts";
import { step } from "./progress.ts";

/** Formatting (prettier), types of the tools and tests (tsc) and of the kernel (asc). */

export interface Checked {
  name: string;
  passed: boolean;
}

/** Runs a tool of node_modules; fails with what it printed. */
function tool(script: string, ...words: string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [project("node_modules", script), ...words], {
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    }
    child.once("close", (code) => (code === 0 ? resolve() : reject(new Failure(output.trim()))));
  });
}

function prettier(mode: "--check" | "--write"): Promise<void> {
  return tool("prettier/bin/prettier.cjs", mode, "--log-level", "warn", ".");
}

export async function format(): Promise<void> {
  await step("format", () => prettier("--write"));
}

/** A folder's skerry.toml, and its guests in AssemblyScript. */
async function checkConfigured(folder: string): Promise<void> {
  const sources = readConfig(folder).guests.map(({ program }) => program);
  for (const source of new Set(sources)) {
    if (!source.endsWith(".wasm")) await compileSource(source, folder, null);
  }
}

/** Runs every check, shows what is wrong, and says how each went. */
export async function check(): Promise<Checked[]> {
  const results: Checked[] = [];
  const one = async (name: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await step(name, work);
      results.push({ name, passed: true });
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      process.stderr.write(`${error.message}\n`);
      results.push({ name, passed: false });
    }
  };
  await one("formatting (make format puts it right)", () => prettier("--check"));
  await one("types of tools and tests", () => tool("typescript/bin/tsc", "-p", "."));
  for (const app of guestAppNames()) {
    await one(`skerry.toml and types of ${app}`, () => checkConfigured(project("apps", app)));
  }
  for (const app of appNames()) {
    const entry = `apps/${app}/main.ts`;
    await one(`types of the kernel with ${app}`, () =>
      compile({ entry, target: "debug", outFile: null }),
    );
  }
  return results;
}
