/**
 * What the kernel's sources say of its border, as a C header for programs of libskerry.so: the
 * enumerations of sdk/assembly/syscalls.ts as `SOCKET_OPTION_NO_DELAY`, TCP's counters as a structure.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** `NoDelay` → `NO_DELAY`. */
function upper(name: string): string {
  return name.replace(/([a-z0-9])([A-Z])/g, "$1_$2").toUpperCase();
}

/** Members of the constant enumerations of a source. */
function enumerations(source: string): string[] {
  const lines: string[] = [];
  for (const [, name, body] of source.matchAll(/^export const enum (\w+) \{\n(.*?)^\}/gms)) {
    for (const [, member, value] of body!.matchAll(/^ {2}(\w+) = ([^,\n]+),$/gm)) {
      lines.push(`#define ${upper(name!)}_${upper(member!)} (${value})`);
    }
  }
  return lines;
}

export function contract(root: string): string {
  const read = (path: string): string => readFileSync(join(root, path), "utf8");
  const fields = [...read("net/tcp/stats.ts").matchAll(/^ {2}(\w+): (u64|u32);$/gm)];
  const names = (type: string): string[] =>
    fields.filter(([, , its]) => its === type).map(([, name]) => name!);
  const [counters, gauges] = [names("u64"), names("u32")];
  const strings = (list: string[]): string => list.map((name) => `"${name}"`).join(", ");
  return [
    "// Made from sdk/assembly/syscalls.ts and net/tcp/stats.ts.",
    "#pragma once",
    "#include <stdint.h>",
    ...enumerations(read("sdk/assembly/syscalls.ts")),
    "struct tcp_stats {",
    ...fields.map(([, name, type]) => `  ${type === "u64" ? "uint64_t" : "uint32_t"} ${name};`),
    "} __attribute__((packed));",
    "// Counters, u64 each, and behind them gauges, u32 each.",
    `enum { TCP_COUNTERS = ${counters.length}, TCP_GAUGES = ${gauges.length} };`,
    `static const char *const tcp_counter_names[] __attribute__((unused)) = {${strings(counters)}};`,
    `static const char *const tcp_gauge_names[] __attribute__((unused)) = {${strings(gauges)}};`,
    "",
  ].join("\n");
}
