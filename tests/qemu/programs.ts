import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync } from "node:fs";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { project, sdkC } from "../../tools/cli/project.ts";
import { hashOfFile, once } from "../../tools/cli/stamp.ts";

/** Programs that are guests and have build systems of their own, and how each becomes a module. */

function run(command: string, ...words: string[]): void {
  const { status, stderr, error } = spawnSync(command, words, { encoding: "utf8" });
  assert.equal(status, 0, `${command} ${words.join(" ")}: ${error?.message ?? stderr}`);
}

/** Where what is made is kept. */
const KEPT = project("build/tests/modules");

/** A module that `make` makes, and says of which files, unless it is there and they are as they were. */
async function made(name: string, key: string, make: (out: string) => string[]): Promise<string> {
  const out = join(KEPT, `${name}.wasm`);
  mkdirSync(KEPT, { recursive: true });
  const tools = hashOfFile(project("tests/qemu/programs.ts"));
  await once(join(KEPT, `${name}.stamp.json`), tools + key, [out], async () => make(out));
  return out;
}

/** What clang takes of sdk/c beside the source. */
const sdkFiles = (): string[] =>
  readdirSync(project("sdk/c"), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.[ch]$/.test(name))
    .map((name) => project("sdk/c", name));

/** Debian's compiler, which another one in PATH may hide. */
const RUSTC = "/usr/bin/rustc";

/** apps/kv: Rust over WasmEdge's sockets. */
export async function rustStore(): Promise<string> {
  const folder = project("apps/kv");
  const options = ["--target", "wasm32-wasi", "--edition", "2021", "-O", "-C", "strip=debuginfo"];
  return made("kv", [RUSTC, ...options].join(" "), (out) => {
    run(RUSTC, ...options, join(folder, "main.rs"), "-o", out);
    return readdirSync(folder).map((name) => join(folder, name));
  });
}

const binaryen = (tool: string): string => project("node_modules/.bin", tool);

const FEATURES = ["bulk-memory", "sign-ext", "mutable-globals", "nontrapping-float-to-int"];

/**
 * apps/quickjs: the QuickJS of npm's quickjs-wasi, which is a library of functions, and the program that
 * calls them, linked into one module. The program's data lies below QuickJS's stack, which begins at
 * 1 MiB and is given 128 KiB.
 */
export async function quickjs(): Promise<string> {
  const engine = createRequire(import.meta.url).resolve("quickjs-wasi/quickjs.wasm");
  const source = project("apps/quickjs/host.c");
  const sdk = sdkC();
  const link = "-Wl,--import-memory,--allow-undefined,--global-base=1024,-z,stack-size=65536";
  return made("quickjs", "", (out) => {
    const [host, both] = ["host", "both"].map((name) => join(KEPT, `quickjs-${name}.wasm`));
    run("clang", ...sdk.flags, "-O2", ...sdk.sources, source, link, "-o", host!);
    const features = FEATURES.map((name) => `--enable-${name}`);
    // Each imports from "env" what the other exports; nobody else wants any of it.
    run(binaryen("wasm-merge"), engine, "env", host!, "env", ...features, "-o", both!);
    const roots = join(KEPT, "quickjs-roots.json");
    writeFileSync(roots, JSON.stringify([{ name: "start", root: true, export: "_start" }]));
    run(binaryen("wasm-metadce"), both!, "-f", roots, ...features, "-o", out);
    return [engine, source, ...sdkFiles()];
  });
}

/** What configure would find of sdk/c, and the modules that are part of the program. */
const LIGHTTPD_CONFIG = {
  ...{ PACKAGE_NAME: '"lighttpd"', PACKAGE_VERSION: '"1.4.69"', LIGHTTPD_VERSION_ID: "0x10445" },
  ...{ LIBRARY_DIR: '"/lib"', LIGHTTPD_STATIC: 1, SIZEOF_LONG: 4, SIZEOF_OFF_T: 8 },
  ...{ HAVE_SYS_UIO_H: 1, HAVE_UNISTD_H: 1, HAVE_STDINT_H: 1, HAVE_INTTYPES_H: 1 },
  ...{ HAVE_POLL_H: 1, HAVE_POLL: 1, HAVE_STDLIB_H: 1, HAVE_STRING_H: 1, HAVE_SYS_TIME_H: 1 },
  ...{ HAVE_SYSLOG_H: 1, HAVE_SYS_WAIT_H: 1, HAVE_SYS_UN_H: 1, HAVE_SIGNAL: 1, HAVE_IPV6: 1 },
  ...{ HAVE_SOCKLEN_T: 1, HAVE_INET_PTON: 1, HAVE_WRITEV: 1, HAVE_PREAD: 1, HAVE_GETENTROPY: 1 },
  ...{ HAVE_GMTIME_R: 1, HAVE_LOCALTIME_R: 1, HAVE_TIMEGM: 1, HAVE_STRUCT_TM_GMTOFF: 1 },
};
const LIGHTTPD_MODULES = ["rewrite", "redirect", "access", "alias", "indexfile", "staticfile"];
const LIGHTTPD_SOURCES = `
  server response connections h2 reqpool plugin sock_addr_cache network network_write ls-hpack/lshpack
  algo_xxhash fdevent_impl http_range data_config configfile configparser base64 buffer burl log
  http_header http_kv keyvalue chunk http_chunk fdevent fdevent_fdnode gw_backend stat_cache http_etag
  array algo_md5 algo_sha1 algo_splaytree configfile-glue http-header-glue http_cgi http_date rand
  request sock_addr fdlog_maint fdlog sys-setjmp ck mod_dirlisting`;

/** The source of a Debian package, as apt has it; throws why there is none. */
function debianSource(name: string, folder: string): string {
  const there = (): string | undefined =>
    existsSync(folder)
      ? readdirSync(folder).find((file) => file.startsWith(`${name}-`))
      : undefined;
  const known = there();
  if (known !== undefined) return join(folder, known);
  const list = join(folder, "sources.list");
  for (const part of ["lists/partial", "cache/archives/partial"]) {
    mkdirSync(join(folder, part), { recursive: true });
  }
  writeFileSync(list, "deb-src http://deb.debian.org/debian bookworm main\n");
  const options = {
    ...{ "Dir::Etc::sourcelist": list, "Dir::Etc::sourceparts": "-", "APT::Sandbox::User": "root" },
    ...{ "Dir::State::lists": join(folder, "lists"), "Dir::Cache": join(folder, "cache") },
  };
  const words = Object.entries(options).flatMap(([key, value]) => ["-o", `${key}=${value}`]);
  // Unpacked elsewhere, so that what stands in its place is whole.
  const unpacked = join(folder, "unpacked");
  rmSync(unpacked, { recursive: true, force: true });
  mkdirSync(unpacked);
  for (const command of [["update"], ["source", name]]) {
    const { status, stderr, error } = spawnSync("apt-get", ["-q", ...words, ...command], {
      cwd: unpacked,
      encoding: "utf8",
    });
    if (status !== 0) throw error ?? new Error(stderr.trim().split("\n").at(-1));
  }
  const tree = readdirSync(unpacked, { withFileTypes: true }).find((entry) => entry.isDirectory())!;
  renameSync(join(unpacked, tree.name), join(folder, tree.name));
  return join(folder, tree.name);
}

/** Debian's lighttpd, of its sources as they are; or why they are not to be had. */
export async function lighttpd(): Promise<string | Error> {
  let source: string;
  try {
    source = debianSource("lighttpd", project("build/tests/lighttpd"));
  } catch (error) {
    return error as Error;
  }
  return made("lighttpd", source, (out) => {
    const own = join(KEPT, "lighttpd");
    mkdirSync(join(own, "sys"), { recursive: true });
    const defines = Object.entries(LIGHTTPD_CONFIG).map(
      ([name, value]) => `#define ${name} ${value}`,
    );
    writeFileSync(join(own, "config.h"), `${defines.join("\n")}\n`);
    const plugins = [...LIGHTTPD_MODULES, "dirlisting"].map((name) => `PLUGIN_INIT(mod_${name})`);
    writeFileSync(join(own, "plugin-static.h"), `${plugins.join("\n")}\n`);
    // Lists as macros, which need nothing of the system: wasi-libc has no copy.
    cpSync("/usr/include/x86_64-linux-gnu/sys/queue.h", join(own, "sys/queue.h"));
    const src = (name: string): string => join(source, "src", name);
    run("gcc", "-w", "-o", join(own, "lemon"), src("lemon.c"));
    run(join(own, "lemon"), "-q", src("configparser.y"), `T=${src("lempar.c")}`);
    const names = [
      ...LIGHTTPD_SOURCES.trim().split(/\s+/),
      ...LIGHTTPD_MODULES.map((name) => `mod_${name}`),
    ];
    const sources = names.map((name) => src(`${name}.c`));
    const sdk = sdkC();
    run(
      ...(["clang", "-O2", "-w", "-D_GNU_SOURCE"] as const),
      ...["-DHAVE_CONFIG_H", "-D_WASI_EMULATED_MMAN", "-lwasi-emulated-mman"],
      ...["-I", own, "-I", join(source, "src"), ...sdk.flags, ...sources, ...sdk.sources],
      ...["-o", out],
    );
    return [...sources, ...sdkFiles()];
  });
}
