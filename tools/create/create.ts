import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative, resolve } from "node:path";
import { Failure, project, root } from "../cli/project.ts";
import { note, step } from "../cli/progress.ts";

/** `skerry create`: a folder with a program, all that it takes to build and boot it, and a test of it. */

const TEMPLATES = project("sdk/templates");
/** Files that every template has. */
const COMMON = "common";

/** What there is to begin with. */
export function templateNames(): string[] {
  return readdirSync(TEMPLATES)
    .filter((name) => name !== COMMON)
    .sort();
}

/** Copies a template's files; NAME in them is the new folder's name. */
function copyFiles(from: string, to: string, name: string): void {
  for (const item of readdirSync(from)) {
    const [source, target] = [
      join(from, item),
      join(to, item === "gitignore" ? ".gitignore" : item),
    ];
    if (statSync(source).isDirectory()) {
      mkdirSync(target, { recursive: true });
      copyFiles(source, target, name);
    } else {
      writeFileSync(target, readFileSync(source, "utf8").replaceAll("NAME", name));
    }
  }
}

/** What npm and editors want to know. */
function writeManifests(folder: string, name: string): void {
  const scripts = {
    start: "skerry run",
    build: "skerry build",
    image: "skerry image",
    check: "skerry check",
    test: "node --test",
  };
  // Skerry is where this command is.
  const dependencies = { skerry: `file:${relative(folder, root)}` };
  const manifest = { name, private: true, type: "module", scripts, dependencies };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);
  if (!existsSync(join(folder, "assembly"))) return;
  const editor = { extends: "skerry/sdk/assembly/tsconfig.json", include: ["./**/*.ts"] };
  writeFileSync(join(folder, "assembly/tsconfig.json"), `${JSON.stringify(editor, null, 2)}\n`);
}

/** Lets npm put what the folder needs into node_modules: Skerry is on this computer, so that is a link. */
async function install(folder: string): Promise<void> {
  const words = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
  const child = spawn("npm", words, { cwd: folder, stdio: ["ignore", "ignore", "pipe"] });
  let complaint = "";
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => (complaint += chunk));
  const status = await new Promise<number | null>((done) => {
    child.once("close", done);
    child.once("error", () => done(null));
  });
  if (status === 0) return;
  const reason = complaint.split("\n").find(Boolean) ?? "npm cannot be run";
  throw new Failure(`npm install failed in ${folder}: ${reason}`);
}

/** Makes a folder from a template. */
export async function create(path: string, template: string): Promise<void> {
  const folder = resolve(path);
  const name = basename(folder);
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
    throw new Failure(`${name}: a name is lower-case letters, digits and hyphens, 63 at most`);
  }
  if (existsSync(folder) && (!statSync(folder).isDirectory() || readdirSync(folder).length)) {
    throw new Failure(`${path} is there already, and not empty`);
  }
  // Whole or not at all: the folder has its name when all is in it.
  const partial = `${folder}.part-${process.pid}`;
  mkdirSync(dirname(folder), { recursive: true });
  mkdirSync(partial);
  copyFiles(join(TEMPLATES, COMMON), partial, name);
  copyFiles(join(TEMPLATES, template), partial, name);
  writeManifests(partial, name);
  renameSync(partial, folder);
  await step("npm install", () => install(folder));
  note(`\n${path} is ready:\n\n  cd ${path}\n  npx skerry run\n`);
}
