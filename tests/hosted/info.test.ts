/** TCP_INFO's layout against the header that C programs read it with. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";

const PROGRAM = "build/tests/hosted/info";
const LAYOUT = "net/tcp/infolayout.ts";
const HEADER = "/usr/include/linux/tcp.h";

/** In versions of the header younger than some: what they append, the others lack. */
const YOUNG = ["tcpi_rcv_wnd"];

/** Bit fields, which have no offset, and the member before them, of one byte. */
const BEFORE: Record<string, string> = { Scales: "tcpi_options" };

function linuxName(name: string): string {
  return `tcpi${name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
}

test("every field of TCP_INFO that we fill stands where Linux's header has it", () => {
  const header = readFileSync(HEADER, "utf8");
  const ours = new Map<string, number>();
  for (const [, name, at] of readFileSync(LAYOUT, "utf8").matchAll(/^ {2}(\w+) = (\d+),$/gm)) {
    const member = linuxName(name!);
    if (YOUNG.includes(member) && !header.includes(member)) continue;
    ours.set(name!, Number(at));
  }
  assert.ok(ours.size >= 40);
  const lines = [...ours.keys()].map((name) => {
    const before = BEFORE[name];
    const place = before
      ? `offsetof(struct tcp_info, ${before}) + 1`
      : `offsetof(struct tcp_info, ${linuxName(name)})`;
    return `printf("${name} %zu\\n", ${place});`;
  });
  const source = [
    "#include <linux/tcp.h>",
    "#include <stddef.h>",
    "#include <stdio.h>",
    `int main(void) { ${lines.join("\n")} }`,
  ];
  mkdirSync("build/tests/hosted", { recursive: true });
  writeFileSync(`${PROGRAM}.c`, source.join("\n"));
  execFileSync("gcc", ["-std=gnu11", "-Wall", "-Werror", `${PROGRAM}.c`, "-o", PROGRAM]);
  const theirs = new Map<string, number>();
  for (const line of execFileSync(PROGRAM, { encoding: "utf8" }).trim().split("\n")) {
    const [name, at] = line.split(" ");
    theirs.set(name!, Number(at));
  }
  assert.deepEqual(ours, theirs);
});
