import { GuestCall } from "../../kernel/guest/calls.ts";
import type { Translation } from "../aot/emit.ts";
import type { FuncType } from "../aot/module.ts";

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

const SKERRY: Signatures = {
  socket: "i",
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
};

const MODULES: { readonly [module: string]: Signatures } = {
  wasi_snapshot_preview1: PREVIEW1,
  skerry: SKERRY,
  env: { abort: "iiii" },
};

const NO_RESULT = new Set(["proc_exit", "abort"]);

interface Call {
  number: number;
  params: string;
  results: string;
}

function callOf(module: string, field: string): Call | undefined {
  const params = MODULES[module]?.[field];
  if (params === undefined) return undefined;
  const number = GuestCall[field as keyof typeof GuestCall];
  return { number, params, results: NO_RESULT.has(field) ? "" : "i" };
}

const letters = (types: FuncType["params"]): string =>
  types.map((type) => (type === "i32" ? "i" : type === "i64" ? "I" : "?")).join("");

/**
 * The header that the guest's C includes: a function for each import, which leaves its arguments in the
 * guest's record and calls the kernel. Throws an error that lists what there is no call for.
 */
export function importsHeader({ module, imports }: Translation): string {
  const lines = ['#include "guest.h"'];
  const missing = new Set<string>();
  const done = new Set<string>();
  module.funcs
    .filter((func) => func.imported)
    .forEach(({ imported, type }, index) => {
      const name = imports.funcs[index]!;
      const from = imported!;
      const call = callOf(from.module, from.field);
      const { params, results } = type;
      if (!call || letters(params) !== call.params || letters(results) !== call.results) {
        missing.add(`${from.module}.${from.field}${call ? ", with another signature" : ""}`);
        return;
      }
      if (done.has(name)) return;
      done.add(name);
      const declared = params.map((t, i) => `${t === "i64" ? "u64" : "u32"} p${i}`).join(", ");
      const filled = params.map((_, i) => `GUEST.arguments[${i}] = p${i};`).join(" ");
      lines.push(
        `static ${results.length ? "u32" : "void"} ${name}(${declared || "void"}) {`,
        `  ${filled}`,
        `  ${results.length ? "return (u32)" : ""}guest_call(${call.number}u);`,
        "}",
      );
    });
  for (const { imported } of [...module.globals, ...module.tables, ...module.memories]) {
    if (imported) missing.add(`${imported.module}.${imported.field}, which is no function`);
  }
  if (missing.size) {
    throw new Error(`it imports what Skerry does not have: ${[...missing].join("; ")}`);
  }
  return lines.join("\n") + "\n";
}
