/** What is no module, no valid one, or beyond the translator is refused, with the place and the reason. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { translate } from "../../tools/aot/emit.ts";
import { WasmError } from "../../tools/aot/reader.ts";
import { leb, section } from "./edit.ts";

const HEADER = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];
const I32 = 0x7f;
const I64 = 0x7e;
const END = 0x0b;
const TYPES = 1,
  IMPORTS = 2,
  FUNCS = 3,
  TABLES = 4,
  MEMORIES = 5,
  GLOBALS = 6,
  EXPORTS = 7,
  START = 8,
  CODE = 10;

const vec = (...items: readonly (readonly number[])[]): number[] => [
  ...leb(items.length),
  ...items.flat(),
];
const func = (params: readonly number[], results: readonly number[]): number[] => [
  0x60,
  ...vec(...params.map((type) => [type])),
  ...vec(...results.map((type) => [type])),
];
const code = (...instructions: number[]): number[] => {
  const body = [0, ...instructions, END];
  return [...leb(body.length), ...body];
};

/** A module of one function () -> i32 with this body, and a page of memory. */
const withBody = (...instructions: number[]): number[] => [
  ...HEADER,
  ...section(TYPES, vec(func([], [I32]))),
  ...section(FUNCS, vec([0])),
  ...section(MEMORIES, vec([0, 1])),
  ...section(CODE, vec(code(...instructions))),
];
/** Where the first instruction of `withBody` stands. */
const BODY = HEADER.length + 7 + 4 + 5 + 3 + 2;

const refusals: readonly (readonly [
  what: string,
  bytes: readonly number[],
  offset: number,
  reason: RegExp,
])[] = [
  ["nothing", [], 0, /not a Wasm module/],
  ["another file", [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0], 0, /not a Wasm module/],
  ["another version", [0, 0x61, 0x73, 0x6d, 2, 0, 0, 0], 4, /unknown binary version/],
  ["a section that is cut off", [...HEADER, TYPES, 5, 1], 10, /length out of bounds/],
  ["an unknown section", [...HEADER, 77, 0], 8, /malformed section id 77/],
  [
    "sections out of order",
    [...HEADER, ...section(MEMORIES, vec([0, 1])), ...section(FUNCS, [0])],
    13,
    /out of order/,
  ],
  [
    "a length beyond all input",
    [...HEADER, ...section(TYPES, [1, 0x60, ...leb(4_000_000_000)])],
    12,
    /length out of bounds/,
  ],
  [
    "bytes left over in a section",
    [...HEADER, ...section(TYPES, [...vec(func([], [])), 0])],
    14,
    /section size mismatch/,
  ],
  [
    "a number too long",
    [...HEADER, TYPES, 0x80, 0x80, 0x80, 0x80, 0x80, 0],
    9,
    /integer representation too long/,
  ],
  ["a number too large", [...HEADER, TYPES, 0x80, 0x80, 0x80, 0x80, 0x10], 9, /integer too large/],
  ["a name that is not UTF-8", [...HEADER, ...section(EXPORTS, [1, 1, 0xff, 0, 0])], 11, /UTF-8/],
  [
    "functions without code",
    [...HEADER, ...section(TYPES, vec(func([], []))), ...section(FUNCS, vec([0]))],
    18,
    /inconsistent lengths/,
  ],
  ["an unknown type", [...HEADER, ...section(FUNCS, vec([3]))], 11, /unknown type 3/],
  [
    "an export of nothing",
    [...HEADER, ...section(EXPORTS, [1, 1, 0x61, 2, 0])],
    14,
    /unknown memory 0/,
  ],
  [
    "two exports of one name",
    [
      ...HEADER,
      ...section(MEMORIES, vec([0, 1])),
      ...section(EXPORTS, vec([1, 0x61, 2, 0], [1, 0x61, 2, 0])),
    ],
    20,
    /duplicate export name "a"/,
  ],
  [
    "a start function that wants more",
    [
      ...HEADER,
      ...section(TYPES, vec(func([I32], []))),
      ...section(IMPORTS, vec([0, 0, 0, 0])),
      ...section(START, [0]),
    ],
    24,
    /start function/,
  ],
  [
    "a memory beyond 4 GiB",
    [...HEADER, ...section(MEMORIES, vec([0, ...leb(65537)]))],
    11,
    /at most 65536/,
  ],
  [
    "less at most than at least",
    [...HEADER, ...section(TABLES, vec([0x70, 1, 2, 1]))],
    12,
    /minimum must not be greater/,
  ],
  [
    "a global that is no constant",
    [...HEADER, ...section(GLOBALS, vec([I32, 0, 0x20, 0, END]))],
    13,
    /constant expression required/,
  ],
  [
    "a global of another type",
    [...HEADER, ...section(GLOBALS, vec([I32, 0, 0x42, 0, END]))],
    13,
    /must be one i32/,
  ],

  ["an operand of another type", withBody(0x42, 1, 0x45), BODY + 2, /expected i32, found i64/],
  ["a missing operand", withBody(0x41, 1, 0x6a), BODY + 2, /expected i32 but the stack is empty/],
  ["a missing result", withBody(0x01), BODY + 1, /stack is empty/],
  ["a result too many", withBody(0x41, 1, 0x41, 2), BODY + 4, /values remain/],
  ["a wrong result in dead code", withBody(0x00, 0x42, 1), BODY + 3, /expected i32, found i64/],
  [
    "a value that leaks out of a block",
    withBody(0x41, 1, 0x02, 0x40, 0x1a, END),
    BODY + 4,
    /stack is empty/,
  ],
  [
    "if without else that yields",
    withBody(0x41, 1, 0x04, I32, 0x41, 2, END),
    BODY + 6,
    /if without else/,
  ],
  ["else without if", withBody(0x05), BODY, /else without if/],
  ["an unknown label", withBody(0x0c, 9), BODY, /unknown label 9/],
  ["an unknown local", withBody(0x20, 0), BODY, /unknown local 0/],
  ["an unknown global", withBody(0x23, 7), BODY, /unknown global 7/],
  ["an unknown function", withBody(0x10, 1), BODY, /unknown function 1/],
  ["an unknown table", withBody(0x41, 0, 0x11, 0, 0), BODY + 2, /unknown table 0/],
  ["greater alignment than natural", withBody(0x41, 0, 0x28, 3, 0), BODY + 2, /alignment/],
  [
    "a lane that is not there",
    withBody(0x41, 0, 0xfd, 0x0f, 0xfd, 0x15, 16),
    BODY + 4,
    /invalid lane index/,
  ],
  ["a segment without a count", withBody(0xfc, 9, 0, 0x41, 0), BODY, /data count section required/],
  [
    "a function that is no reference",
    withBody(0xd2, 0, 0xd1),
    BODY,
    /undeclared function reference/,
  ],
  ["an opcode that is none", withBody(0x27), BODY, /illegal opcode 0x27/],
  ["a vector opcode that is none", withBody(0xfd, 0xe2, 0x01), BODY, /illegal opcode 0xfde2/],
  [
    "code after its end",
    [
      ...HEADER,
      ...section(TYPES, vec(func([], []))),
      ...section(FUNCS, vec([0])),
      ...section(CODE, vec([3, 0, END, 1])),
    ],
    24,
    /code after the end/,
  ],
  [
    "code without an end",
    [
      ...HEADER,
      ...section(TYPES, vec(func([], []))),
      ...section(FUNCS, vec([0])),
      ...section(CODE, vec([2, 0, 1])),
    ],
    24,
    /unexpected end/,
  ],
  [
    "a tail call with other results",
    [
      ...HEADER,
      ...section(TYPES, vec(func([], [I32]), func([], [I64]))),
      ...section(FUNCS, vec([0], [1])),
      ...section(CODE, vec(code(0x12, 1), code(0x42, 0))),
    ],
    29,
    /tail call to a function with other results/,
  ],

  [
    "a 64-bit memory",
    [...HEADER, ...section(MEMORIES, vec([4, 1]))],
    11,
    /memory64 is unsupported/,
  ],
  [
    "a shared memory",
    [...HEADER, ...section(MEMORIES, vec([3, 1, 1]))],
    11,
    /threads and shared memory are unsupported/,
  ],
  [
    "two memories",
    [...HEADER, ...section(MEMORIES, vec([0, 1], [0, 1]))],
    13,
    /multiple memories are unsupported/,
  ],
  ["an exception tag", [...HEADER, ...section(13, [0])], 8, /exception handling is unsupported/],
  [
    "a structure type",
    [...HEADER, ...section(TYPES, [1, 0x5f, 0])],
    11,
    /garbage collection types are unsupported/,
  ],
  ["a typed reference", [...HEADER, ...section(TYPES, vec(func([0x64], [])))], 13, /unsupported/],
  [
    "an atomic access",
    withBody(0x41, 0, 0xfe, 0x10, 2, 0),
    BODY + 2,
    /unsupported: threads and atomics/,
  ],
  ["try", withBody(0x06, 0x40), BODY, /unsupported: exception handling/],
  ["call_ref", withBody(0x14, 0), BODY, /unsupported: typed function references/],
  ["struct.new", withBody(0xfb, 0, 0), BODY, /unsupported: garbage collection/],
  ["a relaxed vector operation", withBody(0xfd, 0x80, 0x02), BODY, /unsupported: relaxed SIMD/],
];

test("what the refusals are built from is accepted", () => {
  assert.match(translate(new Uint8Array(withBody(0x41, 1)), { name: "m" }), /return 1u;/);
});

for (const [what, bytes, offset, reason] of refusals) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => translate(new Uint8Array(bytes), { name: "m" }),
      (error) => {
        assert.ok(error instanceof WasmError, String(error));
        assert.match(error.reason, reason);
        assert.equal(error.offset.toString(16), offset.toString(16), error.message);
        assert.ok(error.message.startsWith(`offset 0x${offset.toString(16)}: `));
        return true;
      },
    );
  });
}

test("every module cut short is refused, not crashed on", () => {
  const whole = withBody(0x02, I32, 0x41, 5, 0x41, 1, 0x0d, 0, END, 0x28, 2, 0);
  assert.doesNotThrow(() => translate(new Uint8Array(whole), { name: "m" }));
  for (let length = 0; length < whole.length; length++) {
    // The empty module is one, and so is a module of nothing but types.
    if (length === HEADER.length || length === HEADER.length + 7) continue;
    const cut = new Uint8Array(whole.slice(0, length));
    assert.throws(() => translate(cut, { name: "m" }), WasmError, `accepted at ${length}`);
  }
});
