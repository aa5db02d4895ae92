/** Socket calls one by one, on Linux and on Skerry: sockets.c has the scenarios. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { before, describe, test } from "node:test";
import { libraryProgram } from "./program.ts";

let program = "";

/** Where Skerry answers otherwise on purpose: scenario and call, its answer, and why. */
const DELIBERATE: Record<string, [theirs: number, ours: number, why: string]> = {
  "fresh_send 1 do_send(c, 9, 0)": [
    -32,
    -107,
    "POSIX: ENOTCONN, and a pipe that never was is not broken",
  ],
  "listener_send 1 do_send(l, 1, 0)": [-32, -107, "likewise"],
  "listener_connect 1 do_connect(l, port)": [
    -106,
    -95,
    "POSIX: EOPNOTSUPP for a socket that listens",
  ],
  "same_tuple 2 do_bind(d, INADDR_LOOPBACK, (uint16_t)port_of(c))": [
    -98,
    0,
    "a connection is no obstacle to a listener on its port: their segments are told apart by tuple",
  ],
  "shut_read_data 3 do_receive(c, 4, 0)": [
    4,
    0,
    "POSIX: further receives are disabled; memory goes back",
  ],
  "shut_read_data 4 do_receive(c, 40, 0)": [6, 0, "likewise"],
  "reset_unaccepted 4 s < 0 ? s : 0": [
    0,
    -11,
    "a connection that is dead before it is accepted is not shown",
  ],
};

function transcript(kernel: string): string[] {
  return execFileSync(program, [kernel], { encoding: "utf8", timeout: 60_000 }).trim().split("\n");
}

describe("sockets as Linux has them", () => {
  const theirs = new Map<string, string>();
  const ours = new Map<string, string>();

  before(() => {
    program = libraryProgram("sockets", "-D_GNU_SOURCE");
    for (const [kernel, lines] of [
      ["linux", theirs],
      ["skerry", ours],
    ] as const) {
      for (const line of transcript(kernel)) {
        const [what, result] = line.split(" = ");
        lines.set(what!, result!);
      }
    }
  });

  test("the same calls were made on both, in 40 scenarios and more", () => {
    assert.deepEqual([...ours.keys()], [...theirs.keys()]);
    assert.ok(new Set([...ours.keys()].map((what) => what.split(" ")[0])).size >= 40);
  });

  test("each call's result, errno and poll bits are the same", () => {
    const different: string[] = [];
    for (const [what, result] of ours) {
      const expected = DELIBERATE[what];
      const [linux, skerry] = expected
        ? [`${expected[0]}`, `${expected[1]}`]
        : [theirs.get(what), theirs.get(what)];
      if (theirs.get(what) === linux && result === skerry) continue;
      different.push(`${what}: Linux ${theirs.get(what)}, Skerry ${result}`);
    }
    assert.deepEqual(different, []);
  });
});
