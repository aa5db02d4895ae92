import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Where things lie in the project, and how a command reports that it cannot go on. */

/** What the user did or lacks: its message is shown as one line, without a stack trace. */
export class Failure extends Error {}

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "asconfig.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Failure("asconfig.json is nowhere above this tool");
    folder = parent;
  }
  return folder;
}

/** The project's folder; the bundled tools find it from their own place under build/. */
export const root = findRoot();

/** A path in the project, absolute. */
export function project(...parts: string[]): string {
  return join(root, ...parts);
}

/** What clang is given for a C program that is to be a guest: the headers of sdk/c, and its sources. */
export function sdkC(): { flags: string[]; sources: string[] } {
  const folder = project("sdk/c");
  const sources = readdirSync(folder).filter((name) => name.endsWith(".c"));
  const prefix = `-ffile-prefix-map=${root}/=`; // what debuggers and asserts call its files
  const flags = ["--target=wasm32-wasi", "-I", join(folder, "include"), prefix];
  return { flags, sources: sources.map((name) => join(folder, name)) };
}

/** A path for people: from where they are if it lies below. */
export function shownPath(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
}

/** The app that `build/skerry.elf` holds. */
export const DEFAULT_APP = "http";

/** The apps there are: the folders of apps/ with a main.ts. */
export function appNames(): string[] {
  const folder = project("apps");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, "main.ts")))
    .sort();
}

/** The file that says what an image of guests is made of. */
export const CONFIG_NAME = "skerry.toml";

/** The apps that are guests: the folders of apps/ with a skerry.toml. */
export function guestAppNames(): string[] {
  const folder = project("apps");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => existsSync(join(folder, name, CONFIG_NAME)))
    .sort();
}

/** The folder with a skerry.toml that `folder` lies in, or null. */
export function configuredFolder(folder: string): string | null {
  for (let at = folder; ; at = dirname(at)) {
    if (existsSync(join(at, CONFIG_NAME))) return at;
    if (at === dirname(at)) return null;
  }
}

/** How an app is reached once it is up. */
export interface Service {
  /** The guest's TCP port that is forwarded from the host. */
  port: number;
  /** UDP, too. */
  udp: boolean;
  /** Port of the host when none is asked for. */
  hostPort: number;
}

/** The port that an app serves: iperf3's own for iperf3, HTTP's for all others. */
export function serviceOf(app: string): Service {
  return app === "iperf3"
    ? { port: 5201, udp: true, hostPort: 5201 }
    : { port: 80, udp: false, hostPort: 8080 };
}

/** Where an image is built. */
export interface Places {
  image: string;
  symbols: string;
  /** Where what lies between source and image is kept. */
  folder: string;
}

function placesIn(out: string, name: string, folder: string): Places {
  return { image: join(out, `${name}.elf`), symbols: join(out, `${name}.debug.elf`), folder };
}

/** Where an app's image is built: the default app's is build/skerry.elf. */
export function imageOf(app: string): Places {
  const name = app === DEFAULT_APP ? "skerry" : app;
  return placesIn(project("build"), name, project("build", "apps", app));
}

/** Where the image of Wasm modules is built, by the first one's file. */
export function imageOfGuests(modules: string[]): Places {
  const name = basename(modules[0]!).replace(/\.wasm$/, "");
  return placesIn(project("build", "guests"), name, project("build", "guests", name));
}

/** Where the image of a folder with a skerry.toml is built: in its own build/, but for those of apps/. */
export function imageOfFolder(folder: string): Places {
  const name = basename(folder);
  if (dirname(folder) === project("apps")) return imageOf(name);
  return placesIn(join(folder, "build"), name, join(folder, "build", "parts"));
}

/** Where what boots on real machines is built, beside the image: the same file for a CD and for a disk. */
export function disksOf({ image, folder }: Places): { iso: string; disk: string; folder: string } {
  const name = image.replace(/\.elf$/, "");
  return { iso: `${name}.iso`, disk: `${name}.img`, folder: join(folder, "disk") };
}

/** Where the Linux-process build goes: the default app's program is build/skerry-hosted. */
export function hostedOf(app: string): {
  program: string;
  library: string;
  /** Where what lies before the library is kept. */
  libraryFolder: string;
} {
  const name = app === DEFAULT_APP ? "skerry" : app;
  return {
    program: project("build", `${name}-hosted`),
    library: project("build", "libskerry.so"),
    libraryFolder: project("build", "hosted"),
  };
}
