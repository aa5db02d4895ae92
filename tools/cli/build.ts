import { spawnSync } from "node:child_process";
import {
  accessSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { translate } from "../aot/emit.ts";
import { heapUse } from "../aot/heap.ts";
import { Module } from "../aot/module.ts";
import { buildHosted } from "../hosted/build.ts";
import { buildFuzzer } from "../hosted/fuzzer.ts";
import { type GuestCode, guestCode } from "../guest/guest.ts";
import { type GuestSpec, encodeSpecs } from "../guest/spec.ts";
import { buildImage } from "../image/build.ts";
import { buildDisk } from "../image/disk.ts";
import { buildPack, packEntries } from "../pack/pack.ts";
import { type Config, ConfigFailure, readConfig } from "../config/config.ts";
import { type Feature, compile, compileSource, isApp } from "./compile.ts";
import { isCold } from "./cold.ts";
import { exclusively } from "./lock.ts";
import {
  Failure,
  type Places,
  disksOf,
  guestAppNames,
  hostedOf,
  imageOf,
  imageOfFolder,
  imageOfGuests,
  project,
  root,
  shownPath,
} from "./project.ts";
import { step } from "./progress.ts";
import { hashOfFile, once } from "./stamp.ts";
import { NO_GUESTS, unusedByApp, unusedByGuests, unusedBySpecs, unusedByWords } from "./unused.ts";

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
  /** A folder with a skerry.toml, in place of the app. Absolute. */
  project?: string;
  /** Words of the kernel command line that it will be started with: what they ask for has to be in the image. */
  append?: string;
}

/** The folder with a skerry.toml that these options ask for, or null. */
export function configuredBy({ app, guests = [], project: folder }: BuildOptions): string | null {
  if (guests.length) return null;
  if (folder !== undefined) return folder;
  return guestAppNames().includes(app) ? project("apps", app) : null;
}

/** Where the image that these options ask for is built. */
export function imageFor(options: BuildOptions): Places {
  if (options.guests?.length) return imageOfGuests(options.guests);
  const folder = configuredBy(options);
  return folder ? imageOfFolder(folder) : imageOf(options.app);
}

/** The tools themselves are an input of what they make. */
const toolsHash = hashOfFile(fileURLToPath(import.meta.url));

/** Files of a folder and below. */
function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** A module that becomes guests. */
export interface GuestModule {
  name: string;
  file: string;
}

/** A program to link with the kernel, and where its image goes. */
export interface Program {
  /** Its first source, relative to the project; null for the kernel alone. */
  entry: string | null;
  /** Wasm modules that become guests, each named by its file unless it is given a name. */
  guests?: (string | GuestModule)[];
  /** The guests that there are of them; absent: one of each, which may do everything. */
  specs?: GuestSpec[];
  /** Folder of files for its pack. */
  site: string | null;
  /**
   * More folders for its pack, each with the path that its files have there; or single files. What is `served` is
   * a pack of its own in one file, with media types and tags: what a guest that is an app finds its files in.
   */
  trees?: { folder: string; tree: string; served?: boolean }[];
  /** Words of the kernel command line that are part of the image; those at boot override them. */
  commandLine?: string;
  /** Words at boot, as far as they are known. */
  append?: string;
  /** Where what lies between source and image is kept. */
  folder: string;
  /** Ends in `.elf`; the same with symbols goes beside it as `.debug.elf`. */
  image: string;
  cc: string;
}

/** Builds an image, of an app, of Wasm modules or of what a skerry.toml says, unless it is up to date. */
export async function build(options: BuildOptions): Promise<void> {
  const { app, cc, guests = [], append = "" } = options;
  const { image, folder } = imageFor(options);
  const from = configuredBy(options);
  const common = { folder, image, cc, append };
  if (from) {
    await buildProgram({ ...(await configured(readConfig(from))), ...common });
  } else if (guests.length) {
    await buildProgram({ entry: null, guests, site: null, ...common });
  } else {
    const site = project("apps", app, "site");
    const entry = `apps/${app}/main.ts`;
    await buildProgram({ entry, site: existsSync(site) ? site : null, ...common });
  }
}

/** What a skerry.toml says, with its sources compiled. */
async function configured(config: Config) {
  const { folder } = imageOfFolder(config.folder);
  const modules = new Map<string, GuestModule>();
  const problems: string[] = [];
  for (const guest of config.guests) {
    const name = guest.specs[0]!.module;
    const file = modules.get(name)?.file ?? (await moduleOf(guest.program, name, config, folder));
    modules.set(name, { name, file });
    problems.push(...config.moduleProblems(guest, readFileSync(file)));
  }
  if (problems.length) throw new ConfigFailure(problems);
  return {
    entry: null,
    guests: [...modules.values()],
    specs: config.guests.flatMap(({ specs }) => specs),
    site: null,
    trees: [
      ...config.trees,
      ...config.guests.flatMap(({ program, trees }) =>
        trees.map((tree) => ({ ...tree, served: isApp(program) })),
      ),
    ],
    commandLine: config.commandLine,
    folder,
  };
}

/** What simulation needs of a folder with a skerry.toml. */
export async function configuredParts(from: string) {
  const { guests, specs, trees, commandLine, folder } = await configured(readConfig(from));
  const pack = await packed(trees, folder);
  return { guests, specs, commandLine, ...(pack && { pack: readFileSync(pack) }) };
}

/** The module of a guest's program: itself, or what it is compiled to. */
async function moduleOf(
  program: string,
  name: string,
  config: Config,
  folder: string,
): Promise<string> {
  if (program.endsWith(".wasm")) return program;
  const out = join(folder, "modules", `${name}.wasm`);
  const from = relative(config.folder, program);
  const kind = program.endsWith(".c") ? "C" : "AssemblyScript";
  await once(join(folder, "modules", `${name}.stamp.json`), toolsHash + program, [out], () =>
    step(`compile ${from} (${kind} to Wasm)`, () => compileSource(program, config.folder, out)),
  );
  return out;
}

/** What the kernel becomes before any host. */
interface Translated {
  c: string;
  /** Pages of 64 KiB that the module declares. */
  memoryPages: () => number;
}

interface Source {
  /** As `Program.entry`. */
  entry: string | null;
  folder: string;
  target?: "release" | "debug";
  /** What the image does not carry of the kernel. */
  without: Feature[];
}

/** The kernel has no heap: what would ask for one traps when it first runs, and is better found out here. */
function requireNoHeap(kernel: Module): void {
  const use = heapUse(kernel);
  if (!use) return;
  const way = use.by.length ? ` by ${use.by.join(", ")}` : "";
  throw new Failure(
    `${use.name} uses AssemblyScript's heap${way}: the kernel has none. Write texts with Line (kernel/log.ts) in ` +
      "place of joining them, and classes @unmanaged over memory.data() or reserve()",
  );
}

/** AssemblyScript → Wasm → C. Without an entry the kernel is by itself. */
async function translated(source: Source): Promise<Translated> {
  const { entry, folder, target = "release", without } = source;
  const wasm = join(folder, "kernel.wasm");
  const c = join(folder, "kernel.c");
  const stamp = (stage: string): string => join(folder, `${stage}.stamp.json`);

  await once(stamp("wasm"), toolsHash + without.join(), [wasm, `${wasm}.map`], () =>
    step(`compile the kernel ${entry ? `with ${entry}` : "alone"} (AssemblyScript to Wasm)`, () =>
      compile({ entry, target, without, outFile: relative(root, wasm) }).then((looked) => {
        requireNoHeap(new Module(readFileSync(wasm)));
        return looked;
      }),
    ),
  );

  await once(stamp("c"), toolsHash, [c], async () => {
    await step("translate (Wasm to C)", () => {
      const sourceMap = readFileSync(`${wasm}.map`, "utf8");
      writeFileSync(c, translate(readFileSync(wasm), { name: "kernel", sourceMap, cold: isCold }));
    });
    return [wasm, `${wasm}.map`];
  });

  const memoryPages = () => new Module(readFileSync(wasm)).memories[0]!.min;
  return { c, memoryPages };
}

type Trees = NonNullable<Program["trees"]>;

/** Contract: sdk/assembly/kernel/host.ts. */
const SERVED = "/site.pack";

const treesOf = (site: string | null): Trees => (site ? [{ folder: site, tree: "" }] : []);

/** Folders → pack; null without any. */
async function packed(trees: Trees, folder: string): Promise<string | null> {
  if (!trees.length) return null;
  const pack = join(folder, "pack");
  const isFile = (path: string) => statSync(path).isFile();
  const files = trees.flatMap(({ folder: at }) => (isFile(at) ? [at] : filesUnder(at)));
  const key = toolsHash + JSON.stringify([trees, files]);
  await once(join(folder, "pack.stamp.json"), key, [pack], async () => {
    const entries = trees.flatMap(({ folder: at, tree, served = false }) => {
      if (isFile(at)) return [{ path: tree, body: readFileSync(at) }];
      if (served) return [{ path: tree + SERVED, body: buildPack(packEntries(at)) }];
      return packEntries(at).map((entry) => ({ ...entry, path: tree + entry.path }));
    });
    writeFileSync(pack, buildPack(entries));
    return files;
  });
  return pack;
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

/**
 * Images of guests share their kernels: each is built once for all of them, unless Skerry's own folder cannot be
 * written.
 */
function sharedKernel(folder: string, without: Feature[]): string {
  const variant = ["kernel", ...without.map((part) => `without-${part.toLowerCase()}`)].join("-");
  const shared = project("build", "kernels", variant);
  try {
    mkdirSync(shared, { recursive: true });
    accessSync(shared, constants.W_OK);
    return shared;
  } catch {
    return join(folder, "kernel");
  }
}

/** A file's module as a guest; its source map, where one lies beside it, gives its lines. */
function guestOf({ name, file }: GuestModule): GuestCode {
  const map = `${file}.map`;
  try {
    return guestCode(
      name,
      readFileSync(file),
      existsSync(map) ? readFileSync(map, "utf8") : undefined,
    );
  } catch (error) {
    throw new Failure(`${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** The guests as the kernel reads them. */
function setupOf(specs: GuestSpec[], modules: GuestCode[]): Uint8Array {
  for (const { name, module } of specs) {
    if (!modules.some((code) => code.name === module))
      throw new Failure(`guest ${name}: no module of the image is called ${module}`);
  }
  try {
    return encodeSpecs(specs);
  } catch (error) {
    throw new Failure(error instanceof Error ? error.message : String(error));
  }
}

async function buildStages(program: Program): Promise<void> {
  const { entry, site, trees = [], commandLine = "", folder, image, cc, specs } = program;
  const modules = (program.guests ?? []).map((guest) =>
    typeof guest === "string"
      ? { name: basename(guest).replace(/\.wasm$/, ""), file: guest }
      : guest,
  );
  const guests = modules.map(guestOf);
  const setup = specs && join(folder, "setup");
  if (setup) writeFileSync(setup, setupOf(specs, guests));
  const pack = await packed([...treesOf(site), ...trees], folder);
  const words = `${commandLine} ${program.append ?? ""}`;
  const sources = entry ? filesUnder(project(dirname(entry))) : [];
  const without = [
    ...(guests.length
      ? [...unusedByGuests(guests, words), ...unusedBySpecs(specs ?? [])]
      : unusedByApp(sources, words)),
    ...unusedByWords(words),
  ];
  const kernelFolder = guests.length ? sharedKernel(folder, without) : folder;
  const link = async (): Promise<void> => {
    const { c, memoryPages } = await translated({ entry, folder: kernelFolder, without });
    const symbols = image.replace(/\.elf$/, ".debug.elf");
    const shim = [...filesUnder(project("boot")), ...filesUnder(project("tools/aot/runtime"))];
    await once(
      join(folder, "image.stamp.json"),
      compilerKey(cc) + JSON.stringify([modules, commandLine, setup]),
      [image, symbols],
      async () => {
        const files = { ...(pack ? { pack } : {}), ...(setup ? { setup } : {}) };
        const kernel = { kernelC: c, memoryPages: memoryPages(), guests, commandLine };
        const objects = guests.length ? { kernelObjects: join(kernelFolder, "objects") } : {};
        const options = { ...kernel, ...objects, out: image, cc, root, ...files };
        await step(`make ${shownPath(image)} (${cc})`, () => orFailure(() => buildImage(options)));
        const data = [...(pack ? [pack] : []), ...(setup ? [setup] : [])];
        return [c, ...shim, ...modules.map(({ file }) => file), ...data];
      },
    );
  };
  await (guests.length ? inFolder(kernelFolder, link) : link());
}

/** Makes the Linux process, or its library, of a translated kernel, unless it is up to date. */
async function makeHosted(
  kind: "program" | "library",
  out: string,
  from: string,
  cc: string,
  { c, memoryPages }: Translated,
  pack: string | null,
): Promise<void> {
  const shim = [...filesUnder(project("hosted")), ...filesUnder(project("tools/aot/runtime"))];
  await once(join(from, "hosted.stamp.json"), compilerKey(cc), [out], async () => {
    const files = pack ? { pack } : {};
    const kernel = { kernelC: c, memoryPages: memoryPages(), ...files };
    const options = { ...kernel, kind, out, objects: join(from, "hosted"), cc, root };
    await step(`make ${shownPath(out)} (${cc})`, () => orFailure(() => buildHosted(options)));
    return [c, ...shim, ...(pack ? [pack] : [])];
  });
}

/** Builds the Linux process with an app, and the library without one, unless they are up to date. */
export async function buildHostedBoth({ app, cc }: BuildOptions): Promise<void> {
  const { folder } = imageOf(app);
  const { program, library, libraryFolder } = hostedOf(app);
  await inFolder(folder, async () => {
    const site = project("apps", app, "site");
    const entry = `apps/${app}/main.ts`;
    // Nobody knows what words it will be started with.
    const without = unusedByApp(filesUnder(project("apps", app)), "");
    const withApp = await translated({ entry, folder, without });
    const pack = await packed(treesOf(existsSync(site) ? site : null), folder);
    await makeHosted("program", program, folder, cc, withApp, pack);
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
    makeHosted(
      "library",
      library,
      folder,
      cc,
      await translated({ entry, folder, without: NO_GUESTS }),
      null,
    ),
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
    const { c, memoryPages } = await translated({
      entry,
      folder,
      target: "debug",
      without: NO_GUESTS,
    });
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

/** Builds an image, and from it the file that boots as a CD and as a disk. */
export async function buildDisks(options: BuildOptions, append: string): Promise<void> {
  await build({ ...options, append });
  const places = imageFor(options);
  const { iso, disk, folder: work } = disksOf(places);
  await inFolder(places.folder, () =>
    step(`make ${shownPath(iso)}`, () =>
      orFailure(async () => {
        buildDisk({ image: places.image, out: iso, work, append, timeout: MENU_SECONDS });
        rmSync(disk, { force: true });
        linkSync(iso, disk);
      }),
    ),
  );
}
