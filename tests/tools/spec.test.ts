import assert from "node:assert/strict";
import { test } from "node:test";
import { type GuestSpec, encodeSpecs, parseRule } from "../../tools/guest/spec.ts";

/** tools/guest/spec.ts: rules as they are written, and guests as the kernel finds them. */

const TCP = 6;
const UDP = 17;
const MAPPED = 0xffffn << 32n;
const any = { address: 0n, prefix: 0 };

for (const [text, rule] of [
  ["tcp:80", { protocol: TCP, ...any, first: 80, last: 80 }],
  ["udp:*", { protocol: UDP, ...any, first: 0, last: 65535 }],
  ["tcp:1024-65535", { protocol: TCP, ...any, first: 1024, last: 65535 }],
  ["udp:0", { protocol: UDP, ...any, first: 0, last: 0 }],
  [
    "tcp:10.0.0.1:80",
    { protocol: TCP, address: MAPPED | 0x0a000001n, prefix: 128, first: 80, last: 80 },
  ],
  [
    "tcp:10.0.0.0/8:80",
    { protocol: TCP, address: MAPPED | 0x0a000000n, prefix: 104, first: 80, last: 80 },
  ],
  ["udp:0.0.0.0/0:53", { protocol: UDP, address: MAPPED, prefix: 96, first: 53, last: 53 }],
  [
    "tcp:[2001:db8::]/32:443",
    { protocol: TCP, address: 0x20010db8n << 96n, prefix: 32, first: 443, last: 443 },
  ],
  ["tcp:[::1]:1-9", { protocol: TCP, address: 1n, prefix: 128, first: 1, last: 9 }],
  // RFC 4291, 2.2: the last 32 bits as IPv4 writes them.
  [
    "tcp:[::ffff:192.0.2.1]:1",
    { protocol: TCP, address: MAPPED | 0xc0000201n, prefix: 128, first: 1, last: 1 },
  ],
  ["udp:[::]/0:*", { protocol: UDP, ...any, first: 0, last: 65535 }],
] as const) {
  test(`${text} is a rule`, () => assert.deepEqual(parseRule(text), rule));
}

for (const [text, what] of [
  ["", /protocol:ports/],
  ["80", /protocol:ports/],
  ["icmp:80", /its protocol is tcp or udp/],
  ["TCP:80", /protocol:ports/],
  ["tcp:", /protocol:ports/],
  ["tcp:65536", /its ports are/],
  ["tcp:9-1", /its ports are/],
  ["tcp:1-2-3", /its ports are/],
  ["tcp:-1", /its ports are/],
  ["tcp:10.0.0:80", /its address is/],
  ["tcp:10.0.0.256:80", /its address is/],
  ["tcp:010.0.0.1:80", /its address is/],
  ["tcp:10.0.0.0/33:80", /at most 32 bits/],
  ["tcp:10.0.0.1/8:80", /bits behind its prefix/],
  ["tcp:2001:db8::1:80", /protocol:ports/],
  ["tcp:[2001:db8::]/129:80", /at most 128 bits/],
  ["tcp:[2001:db8::1]/32:80", /bits behind its prefix/],
  ["tcp:[1::2::3]:80", /its address is/],
  ["tcp:[1:2:3:4:5:6:7]:80", /its address is/],
  ["tcp:[1:2:3:4:5:6:7:8:9]:80", /its address is/],
  ["tcp:[12345::]:80", /its address is/],
] as const) {
  test(`${JSON.stringify(text)} is none`, () => assert.throws(() => parseRule(text), what));
}

function guest(more: Partial<GuestSpec> = {}): GuestSpec {
  const plain = { name: "web", module: "m", arguments: [], environment: {}, files: [] };
  return { ...plain, restart: "never", ...more };
}

test("a guest is where the head of the file says", () => {
  const bytes = Buffer.from(
    encodeSpecs([
      guest(),
      guest({
        ...{ name: "other", arguments: ["--port", "80"], environment: { A: "1", B: "" } },
        ...{ memory: 131072, cpu: 50, descriptors: 8, restart: "always" },
        allow: {
          bind: ["tcp:80", "udp:*"],
          connect: ["tcp:10.0.0.0/8:443"],
          raw: true,
          resolve: false,
        },
        files: [
          { path: "/www", tree: "web//www/" },
          { path: "/tmp", ram: 65536 },
        ],
      }),
    ]),
  );
  const word = (at: number): number => bytes.readUInt32LE(at);
  const text = (at: number): string => bytes.toString("utf8", word(at), word(at) + word(at + 4));
  assert.deepEqual([0, 4, 8, 12].map(word), [0x53474b53, 1, 2, bytes.length]);
  const [first, second] = [16, 112];
  assert.equal(text(first), "web");
  assert.deepEqual(
    [40, 44, 48, 52, 56, 64, 72, 80].map((field) => word(first + field)),
    Array(8).fill(0),
  );
  assert.deepEqual([text(second), text(second + 8)], ["other", "m"]);
  assert.deepEqual([text(second + 16), word(second + 24)], ["other\0--port\x0080\0", 3]);
  assert.deepEqual([text(second + 28), word(second + 36)], ["A=1\0B=\0", 2]);
  assert.deepEqual(
    [40, 44, 48, 52, 56].map((field) => word(second + field)),
    [131072, 50, 8, 2, 1 | 2],
  );
  const [bind, connect] = [word(second + 60), word(second + 68)];
  assert.deepEqual([word(second + 64), word(second + 72)], [2, 1]);
  assert.deepEqual([...bytes.subarray(bind + 16, bind + 22)], [80, 0, 80, 0, TCP, 0]);
  assert.deepEqual([...bytes.subarray(bind + 40, bind + 46)], [0, 0, 255, 255, UDP, 0]);
  assert.equal(bytes.readBigUInt64LE(connect + 8), MAPPED | 0x0a000000n);
  assert.deepEqual([...bytes.subarray(connect + 20, connect + 22)], [TCP, 104]);
  const mounts = word(second + 76);
  assert.equal(word(second + 80), 2);
  assert.deepEqual([text(mounts), word(mounts + 8)], ["/www", 0]);
  assert.equal(text(mounts + 12), "/web/www");
  assert.deepEqual([text(mounts + 20), word(mounts + 28), word(mounts + 32)], ["/tmp", 1, 65536]);
});

for (const [what, specs, says] of [
  ["a name with a blank", [guest({ name: "a b" })], /guest a b: a name is 1 to 52 printable/],
  ["no name", [guest({ name: "" })], /guest without a name: a name is/],
  ["two of a name", [guest(), guest()], /guest web: there are two of this name/],
  ["a zero in an argument", [guest({ arguments: ["a\0b"] })], /guest web: "a\\u0000b" has a zero/],
  ["= in a variable's name", [guest({ environment: { "A=B": "" } })], /"A=B" is no name/],
  ["too little memory", [guest({ memory: 1000 })], /memory is a whole number from 65536/],
  ["too much processor", [guest({ cpu: 101 })], /cpu is a whole number from 1 to 100, and not 101/],
  ["too few descriptors", [guest({ descriptors: 2 })], /descriptors is a whole number from 3/],
  [
    "too little RAM",
    [guest({ files: [{ path: "/t", ram: 1 }] })],
    /\/t is a whole number from 32768/,
  ],
  ["65 guests", Array.from({ length: 65 }, (_, i) => guest({ name: `g${i}` })), /65 guests.*64/],
] as const) {
  test(`${what} is refused, with the guest's name`, () =>
    assert.throws(() => encodeSpecs([...specs]), says));
}
