import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
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

/** Where an app's image is built: the default app's is build/skerry.elf. */
export function imageOf(app: string): { image: string; symbols: string; folder: string } {
  const name = app === DEFAULT_APP ? "skerry" : app;
  return {
    image: project("build", `${name}.elf`),
    symbols: project("build", `${name}.debug.elf`),
    folder: project("build", "apps", app),
  };
}

/** Where what boots on real machines is built: the same file for a CD and for a disk. */
export function disksOf(app: string): { iso: string; disk: string; folder: string } {
  const name = app === DEFAULT_APP ? "skerry" : app;
  return {
    iso: project("build", `${name}.iso`),
    disk: project("build", `${name}.img`),
    folder: project("build", "apps", app, "disk"),
  };
}

/** Where the image of Wasm modules is built, by the first one's file. */
export function imageOfGuests(modules: string[]): {
  image: string;
  symbols: string;
  folder: string;
} {
  const name = basename(modules[0]!).replace(/\.wasm$/, "");
  return {
    image: project("build", "guests", `${name}.elf`),
    symbols: project("build", "guests", `${name}.debug.elf`),
    folder: project("build", "guests", name),
  };
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
