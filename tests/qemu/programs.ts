import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, relative } from "node:path";
import { compileAppAsGuest, compileC } from "../../tools/cli/compile.ts";
import { project, root, sdkC } from "../../tools/cli/project.ts";
import { buildPack, packEntries } from "../../tools/pack/pack.ts";

/** The programs of apps/ that are guests, and how each becomes a module. */

function run(command: string, ...words: string[]): void {
  const { status, stderr, error } = spawnSync(command, words, { encoding: "utf8" });
  assert.equal(status, 0, `${command} ${words.join(" ")}: ${error?.message ?? stderr}`);
}

/** Debian's compiler, which another one in PATH may hide. */
const RUSTC = "/usr/bin/rustc";

/** Those that are one C file: apps/NAME/NAME.c. */
export async function cProgram(folder: string, name: string): Promise<string> {
  const out = join(folder, `${name}.wasm`);
  await compileC(project("apps", name, `${name}.c`), out);
  return out;
}

/** apps/http as a guest, and the folder of `files` made into what it is to see as /. */
export async function httpServer(
  folder: string,
  files: string,
): Promise<{ module: string; tree: string }> {
  const [module, tree] = [join(folder, "http.wasm"), join(folder, "http-files")];
  await compileAppAsGuest("http", relative(root, module));
  mkdirSync(tree);
  writeFileSync(join(tree, "site.pack"), buildPack(packEntries(files)));
  return { module, tree };
}

/** apps/kv: Rust over WasmEdge's sockets. */
export function rustStore(folder: string): string {
  const out = join(folder, "kv.wasm");
  const options = ["--target", "wasm32-wasi", "--edition", "2021", "-O", "-C", "strip=debuginfo"];
  run(RUSTC, ...options, project("apps/kv/main.rs"), "-o", out);
  return out;
}

const binaryen = (tool: string): string => project("node_modules/.bin", tool);

const FEATURES = ["bulk-memory", "sign-ext", "mutable-globals", "nontrapping-float-to-int"];

/**
 * apps/quickjs: the QuickJS of npm's quickjs-wasi, which is a library of functions, and the program that
 * calls them, linked into one module. The program's data lies below QuickJS's stack, which begins at
 * 1 MiB and is given 128 KiB.
 */
export function quickjs(folder: string): string {
  const engine = createRequire(import.meta.url).resolve("quickjs-wasi/quickjs.wasm");
  const [host, both, out] = ["host", "both", "quickjs"].map((name) => join(folder, `${name}.wasm`));
  const sdk = sdkC();
  const link = "-Wl,--import-memory,--allow-undefined,--global-base=1024,-z,stack-size=65536";
  const source = project("apps/quickjs/host.c");
  run("clang", ...sdk.flags, "-O2", ...sdk.sources, source, link, "-o", host!);
  const features = FEATURES.map((name) => `--enable-${name}`);
  // Each imports from "env" what the other exports; nobody else wants any of it.
  run(binaryen("wasm-merge"), engine, "env", host!, "env", ...features, "-o", both!);
  const roots = join(folder, "roots.json");
  writeFileSync(roots, JSON.stringify([{ name: "start", root: true, export: "_start" }]));
  run(binaryen("wasm-metadce"), both!, "-f", roots, ...features, "-o", out!);
  return out!;
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

/** The source of a Debian package, as apt has it; or why there is none. */
function debianSource(name: string, folder: string): string | Error {
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
  for (const command of [["update"], ["source", name]]) {
    const { status, stderr, error } = spawnSync("apt-get", ["-q", ...words, ...command], {
      cwd: folder,
      encoding: "utf8",
    });
    if (status !== 0) return error ?? new Error(stderr.trim().split("\n").at(-1));
  }
  return join(
    folder,
    readdirSync(folder).find((file) => file.startsWith(`${name}-`))!,
  );
}

/** Debian's lighttpd, of its sources as they are; or why they are not to be had. */
export function lighttpd(folder: string): string | Error {
  const kept = project("build/tests/lighttpd");
  const source = debianSource("lighttpd", kept);
  if (source instanceof Error) return source;
  const made = join(folder, "lighttpd");
  mkdirSync(join(made, "sys"), { recursive: true });
  const defines = Object.entries(LIGHTTPD_CONFIG).map(
    ([name, value]) => `#define ${name} ${value}`,
  );
  writeFileSync(join(made, "config.h"), `${defines.join("\n")}\n`);
  const plugins = [...LIGHTTPD_MODULES, "dirlisting"].map((name) => `PLUGIN_INIT(mod_${name})`);
  writeFileSync(join(made, "plugin-static.h"), `${plugins.join("\n")}\n`);
  // Lists as macros, which need nothing of the system: wasi-libc has no copy.
  cpSync("/usr/include/x86_64-linux-gnu/sys/queue.h", join(made, "sys/queue.h"));
  const src = (name: string): string => join(source, "src", name);
  run("gcc", "-w", "-o", join(made, "lemon"), src("lemon.c"));
  run(join(made, "lemon"), "-q", src("configparser.y"), `T=${src("lempar.c")}`);
  const out = join(folder, "lighttpd.wasm");
  const names = [
    ...LIGHTTPD_SOURCES.trim().split(/\s+/),
    ...LIGHTTPD_MODULES.map((name) => `mod_${name}`),
  ];
  run(
    ...(["clang", "--target=wasm32-wasi", "-O2", "-w", "-D_GNU_SOURCE"] as const),
    ...["-DHAVE_CONFIG_H", "-D_WASI_EMULATED_MMAN", "-lwasi-emulated-mman"],
    ...["-I", made, "-I", join(source, "src"), "-I", project("sdk/c/include")],
    ...names.map((name) => src(`${name}.c`)),
    ...sdkSources(),
    ...["-o", out],
  );
  return out;
}

function sdkSources(): string[] {
  const folder = project("sdk/c");
  const files = readdirSync(folder).filter((name) => name.endsWith(".c"));
  return files.map((name) => join(folder, name));
}
