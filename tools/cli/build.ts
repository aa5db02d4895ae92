import { spawnSync } from "node:child_process";
import {
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { translate } from "../aot/emit.ts";
import { Module } from "../aot/module.ts";
import { buildHosted } from "../hosted/build.ts";
import { buildFuzzer } from "../hosted/fuzzer.ts";
import { type GuestCode, guestCode } from "../guest/guest.ts";
import { buildImage } from "../image/build.ts";
import { buildDisk } from "../image/disk.ts";
import { buildPack } from "../pack/pack.ts";
import { compile } from "./compile.ts";
import { exclusively } from "./lock.ts";
import { Failure, disksOf, hostedOf, imageOf, imageOfGuests, project, root } from "./project.ts";
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
  /** Wasm programs in place of the app. */
  guests?: string[];
}

/** The image that these options ask for, and the one with its symbols. */
export function imageFor({ app, guests = [] }: BuildOptions): { image: string; symbols: string } {
  return guests.length ? imageOfGuests(guests) : imageOf(app);
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
  /** Its first source, relative to the project; null for the kernel alone. */
  entry: string | null;
  /** Wasm modules that become guests, each named by its file. */
  guests?: string[];
  /** Folder of files for its pack. */
  site: string | null;
  /** Where what lies between source and image is kept. */
  folder: string;
  /** Ends in `.elf`; the same with symbols goes beside it as `.debug.elf`. */
  image: string;
  cc: string;
}

/** Builds an image, of an app or of Wasm modules, unless it is up to date. */
export async function build({ app, cc, guests = [] }: BuildOptions): Promise<void> {
  if (guests.length) {
    const { image, folder } = imageOfGuests(guests);
    return buildProgram({ entry: null, guests, site: null, folder, image, cc });
  }
  const { image, folder } = imageOf(app);
  const site = project("apps", app, "site");
  const entry = `apps/${app}/main.ts`;
  await buildProgram({ entry, site: existsSync(site) ? site : null, folder, image, cc });
}

/** What a program becomes before any host: C, and the pack of its files. */
interface Translated {
  c: string;
  pack: string | null;
  /** Pages of 64 KiB that the module declares. */
  memoryPages: () => number;
}

/** AssemblyScript → Wasm → C, and a site → pack. Without an entry the kernel is by itself. */
async function translated(
  entry: string | null,
  site: string | null,
  folder: string,
  target: "release" | "debug" = "release",
): Promise<Translated> {
  const wasm = join(folder, "kernel.wasm");
  const c = join(folder, "kernel.c");
  const pack = join(folder, "pack");
  const stamp = (stage: string): string => join(folder, `${stage}.stamp.json`);

  await once(stamp("wasm"), toolsHash, [wasm, `${wasm}.map`], () =>
    step(`compile the kernel ${entry ? `with ${entry}` : "alone"} (AssemblyScript to Wasm)`, () =>
      compile({ entry, target, outFile: relative(root, wasm) }),
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
  const memoryPages = () => new Module(readFileSync(wasm)).memories[0]!.min;
  return { c, pack: site ? pack : null, memoryPages };
}

/** A failure of a compiler or linker, in one line. */
async function orFailure(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

/** The compiler, as an input of what it makes. */
function compilerKey(cc: string): string {
  return `${toolsHash} ${cc} ${spawnSync(cc, ["--version"], { encoding: "utf8" }).stdout}`;
}

/** Does `work` in a folder of build/; two builds of one folder take turns. */
async function inFolder(folder: string, work: () => Promise<void>): Promise<void> {
  mkdirSync(folder, { recursive: true });
  await exclusively(join(folder, "lock"), work);
}

/** Builds a program's image unless it is up to date. */
export async function buildProgram(program: Program): Promise<void> {
  await inFolder(program.folder, () => buildStages(program));
}

/** A file's module as a guest; its source map, where one lies beside it, gives its lines. */
function guestOf(file: string): GuestCode {
  const map = `${file}.map`;
  try {
    return guestCode(
      basename(file).replace(/\.wasm$/, ""),
      readFileSync(file),
      existsSync(map) ? readFileSync(map, "utf8") : undefined,
    );
  } catch (error) {
    throw new Failure(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function buildStages(program: Program): Promise<void> {
  const { entry, site, folder, image, cc, guests: modules = [] } = program;
  const guests = modules.map(guestOf);
  const { c, pack, memoryPages } = await translated(entry, site, folder);
  const symbols = image.replace(/\.elf$/, ".debug.elf");
  const shim = [...filesUnder(project("boot")), ...filesUnder(project("tools/aot/runtime"))];
  await once(
    join(folder, "image.stamp.json"),
    compilerKey(cc) + modules.join(),
    [image, symbols],
    async () => {
      const files = pack ? { pack } : {};
      const kernel = { kernelC: c, memoryPages: memoryPages(), guests };
      const options = { ...kernel, out: image, cc, root, ...files };
      await step(`make ${relative(root, image)} (${cc})`, () =>
        orFailure(() => buildImage(options)),
      );
      return [c, ...shim, ...modules, ...(pack ? [pack] : [])];
    },
  );
}

/** Makes the Linux process, or its library, of a translated kernel, unless it is up to date. */
async function makeHosted(
  kind: "program" | "library",
  out: string,
  from: string,
  cc: string,
  { c, pack, memoryPages }: Translated,
): Promise<void> {
  const shim = [...filesUnder(project("hosted")), ...filesUnder(project("tools/aot/runtime"))];
  await once(join(from, "hosted.stamp.json"), compilerKey(cc), [out], async () => {
    const files = pack ? { pack } : {};
    const kernel = { kernelC: c, memoryPages: memoryPages(), ...files };
    const options = { ...kernel, kind, out, objects: join(from, "hosted"), cc, root };
    await step(`make ${relative(root, out)} (${cc})`, () => orFailure(() => buildHosted(options)));
    return [c, ...shim, ...(pack ? [pack] : [])];
  });
}

/** Builds the Linux process with an app, and the library without one, unless they are up to date. */
export async function buildHostedBoth({ app, cc }: BuildOptions): Promise<void> {
  const { folder } = imageOf(app);
  const { program, library, libraryFolder } = hostedOf(app);
  await inFolder(folder, async () => {
    const site = project("apps", app, "site");
    const withApp = await translated(`apps/${app}/main.ts`, existsSync(site) ? site : null, folder);
    await makeHosted("program", program, folder, cc, withApp);
  });
  await buildLibrary(null, library, libraryFolder, cc);
}

/** Builds the library, with a program linked into its kernel or without, unless it is up to date. */
export async function buildLibrary(
  entry: string | null,
  library: string,
  folder: string,
  cc: string,
): Promise<void> {
  await inFolder(folder, async () =>
    makeHosted("library", library, folder, cc, await translated(entry, null, folder)),
  );
}

/** Builds the fuzzer of the kernel with an app, or alone, asserts included, unless it is up to date. */
export async function buildFuzz(app: string | null): Promise<string> {
  const folder = project("build", "fuzz", app ?? "kernel");
  const out = join(folder, "fuzz");
  const sources = ["hosted", "tools/aot/runtime", "tests/hosted/fuzz", "tests/hosted/lib"];
  const shim = sources
    .flatMap((name) => filesUnder(project(name)))
    .filter((path) => /\.[ch]$/.test(path));
  await inFolder(folder, async () => {
    const entry = app && `apps/${app}/main.ts`;
    const { c, memoryPages } = await translated(entry, null, folder, "debug");
    await once(join(folder, "fuzz.stamp.json"), compilerKey("clang"), [out], async () => {
      const options = { kernelC: c, memoryPages: memoryPages(), out, root };
      await step(`make ${relative(root, out)} (clang)`, () =>
        orFailure(() => buildFuzzer(options)),
      );
      return [c, ...shim, project("net/tcp/stats.ts"), project("sdk/assembly/syscalls.ts")];
    });
  });
  return out;
}

/** Seconds that the boot menu waits: long enough to press a key. */
const MENU_SECONDS = 3;

/** Builds an app's image, and from it the file that boots as a CD and as a disk. */
export async function buildDisks(options: BuildOptions, append: string): Promise<void> {
  await build(options);
  const { image, folder } = imageOf(options.app);
  const { iso, disk, folder: work } = disksOf(options.app);
  await inFolder(folder, () =>
    step(`make ${relative(root, iso)}`, () =>
      orFailure(async () => {
        buildDisk({ image, out: iso, work, append, timeout: MENU_SECONDS });
        rmSync(disk, { force: true });
        linkSync(iso, disk);
      }),
    ),
  );
}
