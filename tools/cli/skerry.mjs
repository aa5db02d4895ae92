#!/usr/bin/env node
// Starts the `skerry` command: bundles tools/cli when a source under tools/ is newer than the
// bundle, then runs it. A package has the bundle in it. The one tool that is not TypeScript, because nothing has compiled yet.
import { createRequire } from "node:module";
import { existsSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const bundle = join(root, "build/tools/skerry.js");

function fail(message) {
  console.error(`skerry: ${message}`);
  process.exit(1);
}

/** When the youngest source of the bundle changed, in ms since 1970. */
function newestSource() {
  const sources = readdirSync(join(root, "tools"), { recursive: true })
    .filter((name) => !name.includes("node_modules"))
    .map((name) => join(root, "tools", name));
  const others = [join(root, "package.json"), join(root, "package-lock.json")].filter(existsSync);
  return Math.max(...[...sources, ...others].map((path) => statSync(path).mtimeMs));
}

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  fail(`Node 20.19 or later is needed, this is ${process.version}: install it from nodejs.org`);
}
try {
  createRequire(import.meta.url).resolve("esbuild");
} catch {
  fail(`the npm packages are missing: run \`npm ci\` in ${root} (or use make, which does)`);
}
if (!existsSync(bundle) || statSync(bundle).mtimeMs < newestSource()) {
  const esbuild = await import("esbuild");
  const result = await esbuild.build({
    entryPoints: [join(root, "tools/cli/main.ts")],
    outfile: bundle,
    write: false,
    bundle: true,
    packages: "external",
    platform: "node",
    target: "node20",
    format: "esm",
    sourcemap: "inline",
    logLevel: "error",
  });
  await esbuild.stop(); // else its process stays as long as ours
  // Written whole and then renamed: another `skerry` may be starting at the same moment.
  mkdirSync(join(root, "build/tools"), { recursive: true });
  const partial = `${bundle}.${process.pid}`;
  writeFileSync(partial, result.outputFiles[0].contents);
  renameSync(partial, bundle);
}
process.setSourceMapsEnabled(true);
await import(pathToFileURL(bundle).href);
