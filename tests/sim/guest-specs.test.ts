import assert from "node:assert/strict";
import { test } from "node:test";
import { type GuestSpec, encodeSpecs } from "../../tools/guest/spec.ts";
import { Random } from "../../tools/sim/random.ts";
import { call, type ScriptedGuest } from "../../tools/sim/guest/scripted.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { guestSpec } from "./guest-programs.ts";
import { forSeeds, inWorld, type World } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** What the image says of its guests, damaged: the kernel says so, and goes on without guests. */

/** One that says that it runs. */
const idle: ScriptedGuest = {
  name: "idle",
  pages: 1,
  *script() {
    yield* call("poll", 0, 0, -1n);
  },
};

const SPECS: GuestSpec[] = [
  guestSpec("idle"),
  guestSpec("idle", {
    ...{ name: "other", arguments: ["a", "b"], environment: { A: "1" }, restart: "always" },
    ...{ memory: 65536, cpu: 50, descriptors: 8 },
    allow: { bind: ["tcp:80"], connect: ["udp:10.0.0.0/8:*"], raw: false, resolve: true },
    files: [{ path: "/tmp", ram: 65536 }],
  }),
];
const HEADER = 16;
const GUEST = 96;

function boot(world: World, setup: Uint8Array): string[] {
  const { machine } = world.ready({ memory: 32 << 20, guests: [idle], setup });
  world.run(SECOND);
  // It lives: nobody listens there, and that it says.
  const peer = world.peer();
  assert.throws(() => new TcpClient(peer, "10.0.0.2", 9), /received TCP .* RST,ACK/);
  return machine.console;
}

const REFUSED = "the image's guests cannot be read: ";

/** Writes words at places of a right one. */
const changed = (...words: [number, number][]): Uint8Array => {
  const bytes = encodeSpecs(SPECS);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (const [at, value] of words) view.setUint32(at, value, true);
  return bytes;
};
const second = HEADER + GUEST;
const whole = encodeSpecs(SPECS);
const HUGE = 0xffff_fff0;

const DAMAGE: [string, Uint8Array, string][] = [
  ["another magic", changed([0, 0x12345678]), "no such thing"],
  ["another version", changed([4, 2]), "another version"],
  ["a few bytes", whole.subarray(0, 9), "no such thing"],
  ["cut short", whole.subarray(0, whole.length - 1), "cut short"],
  ["no bytes, it says", changed([12, 0]), "cut short"],
  ["fewer bytes than a header, it says", changed([12, HEADER - 1], [8, HUGE]), "cut short"],
  ["more bytes than there are, it says", changed([12, whole.length + 1]), "cut short"],
  ["more guests than fit", changed([8, HUGE]), "fewer than they say"],
  ...([0, 8, 16, 28, 60, 68, 76] as const).map((field): [string, Uint8Array, string] => [
    `a place outside, in word ${field / 4}`,
    changed([second + field, HUGE]),
    "points to what is not there",
  ]),
  ...([4, 12, 20, 32, 64, 72, 80] as const).map((field): [string, Uint8Array, string] => [
    `a length that leads outside, in word ${field / 4}`,
    changed([second + field, HUGE]),
    "points to what is not there",
  ]),
  ["more arguments than there are", changed([second + 24, 9]), "points to what is not there"],
  ["a processor of 200 %", changed([second + 44, 200]), "beyond its limits"],
  ["descriptors without end", changed([second + 48, HUGE]), "beyond its limits"],
  ["two descriptors", changed([second + 48, 2]), "beyond its limits"],
  ["a policy that there is not", changed([second + 52, 3]), "beyond its limits"],
];

for (const [what, setup, words] of DAMAGE) {
  test(`${what}: refused`, () =>
    inWorld(1, (world) => {
      const said = boot(world, setup);
      const line = said.find((text) => text.includes(REFUSED));
      assert.ok(line?.includes(words), `${line}\n${said.join("\n")}`);
    }));
}

test("as it is, it is read", () =>
  inWorld(1, (world) => {
    const said = boot(world, whole);
    assert.equal(
      said.find((line) => line.includes(REFUSED) || line.includes("not started")),
      undefined,
    );
  }));

/** Bytes flipped, cut off, or all of them at random; what begins right but is random behind it. */
function damaged(random: Random): Uint8Array {
  const bytes = Uint8Array.from(whole);
  const kind = random.integer(0, 3);
  if (kind === 0) return bytes.subarray(0, random.integer(0, bytes.length - 1));
  if (kind === 1) {
    for (let i = random.integer(0, bytes.length - 1); i < bytes.length; i++)
      bytes[i] = random.integer(0, 255);
    return bytes;
  }
  const flips = kind === 2 ? 1 : 1 + random.integer(0, 15);
  for (let i = 0; i < flips; i++)
    bytes[random.integer(0, bytes.length - 1)]! ^= 1 << random.integer(0, 7);
  return bytes;
}

forSeeds("damaged at random, it is refused or harmless", 120, (seed) =>
  inWorld(seed, (world) => void boot(world, damaged(new Random(seed)))),
);
