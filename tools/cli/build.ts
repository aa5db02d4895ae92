import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { translate } from "../aot/emit.ts";
import { Module } from "../aot/module.ts";
import { buildImage } from "../image/build.ts";
import { buildPack } from "../pack/pack.ts";
import { compile } from "./compile.ts";
import { exclusively } from "./lock.ts";
import { Failure, imageOf, project, root } from "./project.ts";
import { step } from "./progress.ts";
import { hashOfFile, once } from "./stamp.ts";

/**
 * An app's way to an image: AssemblyScript → Wasm → C → ELF. Each stage runs only if something
 * that it depends on has changed.
 */

export interface BuildOptions {
  /** A folder of apps/. */
  app: string;
  /** gcc or clang. */
  cc: string;
}

/** The tools themselves are an input of what they make. */
const toolsHash = hashOfFile(fileURLToPath(import.meta.url));

/** Files of a folder and below. */
function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A program to link with the kernel, and where its image goes. */
export interface Program {
  /** Its first source, relative to the project. */
  entry: string;
  /** Folder of files for its pack. */
  site: string | null;
  /** Where what lies between source and image is kept. */
  folder: string;
  /** Ends in `.elf`; the same with symbols goes beside it as `.debug.elf`. */
  image: string;
  cc: string;
}

/** Builds an app's image unless it is up to date. */
export async function build({ app, cc }: BuildOptions): Promise<void> {
  const { image, folder } = imageOf(app);
  const site = project("apps", app, "site");
  const entry = `apps/${app}/main.ts`;
  await buildProgram({ entry, site: existsSync(site) ? site : null, folder, image, cc });
}

/** Builds a program's image unless it is up to date. Two builds of one image take turns. */
export async function buildProgram(program: Program): Promise<void> {
  mkdirSync(program.folder, { recursive: true });
  await exclusively(join(program.folder, "lock"), () => buildStages(program));
}

async function buildStages({ entry, site, folder, image, cc }: Program): Promise<void> {
  const wasm = join(folder, "kernel.wasm");
  const c = join(folder, "kernel.c");
  const pack = join(folder, "pack");
  const symbols = image.replace(/\.elf$/, ".debug.elf");
  const stamp = (stage: string): string => join(folder, `${stage}.stamp.json`);

  await once(stamp("wasm"), toolsHash, [wasm, `${wasm}.map`], () =>
    step(`compile the kernel with ${entry} (AssemblyScript to Wasm)`, () =>
      compile({ entry, target: "release", outFile: relative(root, wasm) }),
    ),
  );

  await once(stamp("c"), toolsHash, [c], async () => {
    await step("translate (Wasm to C)", () => {
      const sourceMap = readFileSync(`${wasm}.map`, "utf8");
      writeFileSync(c, translate(readFileSync(wasm), { name: "kernel", sourceMap }));
    });
    return [wasm, `${wasm}.map`];
  });

  if (site) {
    const files = filesUnder(site);
    await once(stamp("pack"), toolsHash + files.join(), [pack], async () => {
      writeFileSync(pack, buildPack(site));
      return files;
    });
  }

  const version = spawnSync(cc, ["--version"], { encoding: "utf8" }).stdout;
  const shim = [...filesUnder(project("boot")), ...filesUnder(project("tools/aot/runtime"))];
  await once(stamp("image"), `${toolsHash} ${cc} ${version}`, [image, symbols], async () => {
    await step(`make ${relative(root, image)} (${cc})`, async () => {
      try {
        const memoryPages = new Module(readFileSync(wasm)).memories[0]!.min;
        const files = site ? { pack } : {};
        await buildImage({ kernelC: c, memoryPages, out: image, cc, root, ...files });
      } catch (error) {
        throw new Failure(error instanceof Error ? error.message : String(error));
      }
    });
    return [c, ...shim, ...(site ? [pack] : [])];
  });
}
