/** What a running image says of an address, against addr2line over the same file. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { test } from "node:test";
import { readSections } from "../../tools/image/elf.ts";
import { symbolTable } from "../../tools/image/symbols.ts";

/** Every so many bytes. */
const STEP = 3;
const folder = resolve("build/tests-aot/symbols");

/** Functions inlined into each other, from more files than are remembered, in more scopes than that. */
function subject(): string {
  const parts = ["extern volatile int seen;"];
  for (let i = 0; i < 90; i++) {
    parts.push(`#line ${1 + ((i * 7919) % 3000)} "net/part${i % 41}/file_${i}.ts"`);
    const inner = i % 5 ? `part_${i - 1}(x + seen, y ^ ${i});` : "seen;";
    const kind = i % 5 === 4 ? "int" : "static inline __attribute__((always_inline)) int";
    parts.push(`${kind} part_${i}(int x, int y) {
  int z = x * y + seen;
  if (z > ${i}) seen = x / (y | 1);

  z += ${inner}
  return z ^ seen;
}`);
  }
  return parts.join("\n");
}

test("a backtrace's lines are addr2line's, all over a file", () => {
  mkdirSync(folder, { recursive: true });
  const at = (name: string) => `${folder}/${name}`;
  const run = (command: string, ...words: string[]) =>
    execFileSync(command, words, { encoding: "utf8", maxBuffer: 1 << 28 });
  writeFileSync(at("subject.c"), subject());
  const link = ["-nostdlib", "-static", "-Wl,-e,part_4", "-Wl,--defsym=seen=0x500000"];
  run(
    "gcc",
    "-g",
    "-O2",
    "-fcf-protection=none",
    ...link,
    at("subject.c"),
    "-o",
    at("subject.elf"),
  );
  writeFileSync(at("table"), symbolTable(at("subject.elf"), "addr2line"));
  writeFileSync(
    at("reader.c"),
    `#include "boot/backtrace.c"
#include "boot/coder.c"
#include <stdarg.h>
int printf(const char *, ...);
int vprintf(const char *, va_list);
unsigned long long strtoull(const char *, char **, int);
asm(".section .rodata\\n.balign 8\\n.global symbols\\nsymbols: .incbin \\"${at("table")}\\"\\n.text");
void print(const char *format, ...) {
  va_list words;
  va_start(words, format);
  vprintf(format, words);
}
bool guest_is_stack(u64 address) { return !address; }
bool paging_is_guard(u64 address) { return !address; }
u8 kernel_stack_guard[1], ist_stacks[1], code_end[1];
int main(int count, char **words) {
  for (u64 i = 0, end = strtoull(words[1], 0, 10); i < end; print_frames())
    for (frame_count = 0; i < end && frame_count < MOST_FRAMES; i += ${STEP}) add_frame("", i);
  return count != 2;
}
`,
  );
  const reading = [
    "-w",
    "-DWASM_MEMORY_CHECKED",
    "-DKERNEL_MEMORY_BYTES=65536",
    "-no-pie",
    "-Wl,--defsym=image_start=0",
    "-I.",
    "-I",
    "tools/aot/runtime",
  ];
  run("gcc", "-O1", ...reading, at("reader.c"), "-o", at("reader"));

  const { address, size } = readSections(readFileSync(at("subject.elf"))).get(".text")!;
  const ours = run(at("reader"), String(size));
  const input = Array.from(
    { length: Math.ceil(size / STEP) },
    (_, i) => `${(address + BigInt(i * STEP)).toString(16)}\n`,
  );
  const theirs = execFileSync("addr2line", ["-f", "-i", "-e", at("subject.elf")], {
    encoding: "utf8",
    input: input.join(""),
    maxBuffer: 1 << 28,
  });
  const pairs = [...theirs.matchAll(/^(\w+)\n(.*):(\d+)/gm)];
  const said = [...ours.matchAll(/^ +(\w+) {2}(.*):(\d+)$/gm)];
  assert.ok(said.length > (2 * size) / STEP, "hardly anything is inlined");
  assert.deepEqual(
    said.map((line) => line.slice(1)),
    pairs.map((line) => line.slice(1)),
  );
});
