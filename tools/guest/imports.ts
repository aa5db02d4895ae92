import { GuestCall } from "../../kernel/guest/calls.ts";
import type { Translation } from "../aot/emit.ts";
import type { FuncType, Import, Module } from "../aot/module.ts";

/** What a guest may import, and the C that turns an import into a call of the kernel. */

type Signatures = { readonly [name: string]: string };

/** Parameters of each call: `i` is 32 bits, `I` 64. */
const PREVIEW1: Signatures = {
  args_get: "ii",
  args_sizes_get: "ii",
  environ_get: "ii",
  environ_sizes_get: "ii",
  clock_res_get: "ii",
  clock_time_get: "iIi",
  fd_advise: "iIIi",
  fd_allocate: "iII",
  fd_close: "i",
  fd_datasync: "i",
  fd_fdstat_get: "ii",
  fd_fdstat_set_flags: "ii",
  fd_fdstat_set_rights: "iII",
  fd_filestat_get: "ii",
  fd_filestat_set_size: "iI",
  fd_filestat_set_times: "iIIi",
  fd_pread: "iiiIi",
  fd_prestat_get: "ii",
  fd_prestat_dir_name: "iii",
  fd_pwrite: "iiiIi",
  fd_read: "iiii",
  fd_readdir: "iiiIi",
  fd_renumber: "ii",
  fd_seek: "iIii",
  fd_sync: "i",
  fd_tell: "ii",
  fd_write: "iiii",
  path_create_directory: "iii",
  path_filestat_get: "iiiii",
  path_filestat_set_times: "iiiiIIi",
  path_link: "iiiiiii",
  path_open: "iiiiiIIii",
  path_readlink: "iiiiii",
  path_remove_directory: "iii",
  path_rename: "iiiiii",
  path_symlink: "iiiii",
  path_unlink_file: "iii",
  poll_oneoff: "iiii",
  proc_exit: "i",
  proc_raise: "i",
  sched_yield: "",
  random_get: "ii",
  sock_accept: "iii",
  sock_recv: "iiiiii",
  sock_send: "iiiii",
  sock_shutdown: "ii",
};

/**
 * WasmEdge's socket extension; a call of two versions is told from the other by its parameters. Programs may
 * also import the second of any call by that name (`sock_open_v2`): those that are not here are as the first.
 */
const WASMEDGE: Signatures = {
  sock_open: "iii",
  sock_bind: "iii",
  sock_listen: "ii",
  sock_connect: "iii",
  sock_accept_v1: "ii",
  sock_recv_from: "iiiiiii",
  sock_recv_from_v2: "iiiiiiii",
  sock_send_to: "iiiiiii",
  sock_getsockopt: "iiiii",
  sock_setsockopt: "iiiii",
  sock_getlocaladdr: "iiii",
  sock_getlocaladdr_v2: "iii",
  sock_getpeeraddr: "iiii",
  sock_getpeeraddr_v2: "iii",
  sock_getaddrinfo: "iiiiiiii",
};

/**
 * WasmEdge's edge-triggered `poll_oneoff`. It arms what it is asked for anew in each call (Poller::read and write of
 * its lib/host/wasi/inode-linux.cpp), which tells of all that holds then: so the two are the same.
 */
const EDGE_POLL = "epoll_oneoff";

const SKERRY: Signatures = {
  socket: "iii",
  bind: "ii",
  listen: "ii",
  accept: "iii",
  connect: "ii",
  send: "iiii",
  receive: "iiii",
  send_to: "iiii",
  receive_from: "iiii",
  local_address: "ii",
  peer_address: "ii",
  set_option: "iii",
  get_option: "ii",
  set_option_data: "iiii",
  get_option_data: "iiii",
  send_message: "iii",
  receive_message: "iii",
  available: "i",
  duplicate: "iii",
  duplicate_to: "iii",
  close_on_exec: "ii",
  poll: "iiI",
  epoll_create: "i",
  epoll_ctl: "iiii",
  epoll_wait: "iiiI",
  eventfd: "Ii",
  pipe: "ii",
  pair: "iii",
  timerfd_create: "ii",
  timerfd_settime: "iiii",
  timerfd_gettime: "ii",
  resolve: "iiiii",
  lease: "ii",
  lease_from: "iii",
  release: "i",
  send_file: "iiIi",
  interface_info: "ii",
  interface_address: "iii",
};

const MODULES: { readonly [module: string]: Signatures } = {
  wasi_snapshot_preview1: { ...PREVIEW1, ...WASMEDGE },
  skerry: SKERRY,
  env: { abort: "iiii" },
};

const NO_RESULT = new Set(["proc_exit", "abort"]);

interface Call {
  number: number;
  params: string;
  results: string;
}

/** The calls that an import of this name may mean: more than one where a call has versions. */
function callsOf(module: string, field: string): Call[] {
  const calls = MODULES[module];
  const first = field === EDGE_POLL ? "poll_oneoff" : /^(sock_.+)_v2$/.exec(field)?.[1];
  const names = first && !calls?.[field] ? [first] : [field, `${field}_v1`, `${field}_v2`];
  return names.flatMap((name) => {
    const params = calls?.[name];
    if (params === undefined) return [];
    const number = GuestCall[name as keyof typeof GuestCall];
    return [{ number, params, results: NO_RESULT.has(name) ? "" : "i" }];
  });
}

const letters = (types: FuncType["params"]): string =>
  types.map((type) => (type === "i32" ? "i" : type === "i64" ? "I" : "?")).join("");

/**
 * What each imported function of a module is to call. Throws an error that lists what there is no call for.
 */
export function guestCalls(module: Module): Call[] {
  const missing = new Set<string>();
  const found: Call[] = [];
  for (const { imported, type } of module.funcs) {
    if (!imported) continue;
    const calls = callsOf(imported.module, imported.field);
    const call = calls.find(
      (one) => letters(type.params) === one.params && letters(type.results) === one.results,
    );
    if (call) found.push(call);
    else missing.add(`${nameOf(imported)}${calls.length ? ", with another signature" : ""}`);
  }
  for (const { imported } of [...module.globals, ...module.tables, ...module.memories]) {
    if (imported) missing.add(`${nameOf(imported)}, which is no function`);
  }
  if (missing.size) {
    const hints = new Set([...missing].flatMap((name) => hintFor(name)));
    const what = [...missing].join("; ");
    throw new Error(`it imports what Skerry does not have: ${[what, ...hints].join(". ")}`);
  }
  return found;
}

/** What to do about modules that are made for other hosts: the beginning of the import's name says which. */
const HINTS: readonly (readonly [pattern: RegExp, hint: string])[] = [
  [/^wasi:/, "It is of WASI preview 2: build it for preview 1 (Rust: --target wasm32-wasip1)"],
  [/^wasi_unstable\./, "It is of WASI before preview 1: build it with a newer compiler"],
  [
    /^(wbg|__wbindgen.*)\./,
    "It is made for browsers: build it for WASI (Rust: --target wasm32-wasip1)",
  ],
  [/^(go|gojs)\./, "It is made for browsers: build it with GOOS=wasip1 GOARCH=wasm"],
  [
    /^(a\.|env\._?emscripten_)/,
    "Emscripten made it for browsers: build it with -sSTANDALONE_WASM or by clang --target=wasm32-wasi",
  ],
  [
    /^env\.(console\.|seed|trace|Date\.|performance\.|process\.)/,
    "AssemblyScript imports it from browsers: give the source to skerry.toml, or build it with @assemblyscript/wasi-shim",
  ],
  [
    /^env\./,
    "A linker took an undefined function for an import: is a source or a library missing?",
  ],
];

const hintFor = (name: string): string[] =>
  HINTS.filter(([pattern]) => pattern.test(name))
    .slice(0, 1)
    .map(([, hint]) => hint);

const nameOf = ({ module, field }: Import): string => `${module}.${field}`;

/** Whether a module leases packets, so that memory may be lent to its guests. */
export function leases(module: Module): boolean {
  return module.funcs.some(
    ({ imported }) => imported?.module === "skerry" && /^lease(_from)?$/.test(imported.field),
  );
}

/** The call that is mostly answered without the kernel: `clock_time_get` (clock, precision, into). */
const CLOCK_MONOTONIC = 1;
const MONOTONIC = `if (p0 == ${CLOCK_MONOTONIC} && guest_monotonic(p2)) return 0;`;

/**
 * The header that the guest's C includes: a function for each import, which leaves its arguments in the
 * guest's record and calls the kernel. Throws as `guestCalls` does.
 */
export function importsHeader({ module, imports }: Translation): string {
  const lines = ['#include "guest.h"'];
  const done = new Set<string>();
  guestCalls(module).forEach(({ number }, index) => {
    const name = imports.funcs[index]!;
    if (done.has(name)) return;
    done.add(name);
    const { params, results } = module.funcs[index]!.type;
    const declared = params.map((t, i) => `${t === "i64" ? "u64" : "u32"} p${i}`).join(", ");
    const filled = params.map((_, i) => `GUEST.arguments[${i}] = p${i};`).join(" ");
    lines.push(
      `static ${results.length ? "u32" : "void"} ${name}(${declared || "void"}) {`,
      ...(number === GuestCall.clock_time_get ? [`  ${MONOTONIC}`] : []),
      `  ${filled}`,
      `  ${results.length ? "return (u32)" : ""}guest_call(${number}u);`,
      "}",
    );
  });
  return lines.join("\n") + "\n";
}
