import assert from "node:assert/strict";
import { test } from "node:test";
import { Layout, Statistics } from "../../sdk/assembly/syscalls.ts";
import { encodeSpecs, type GuestSpec } from "../../tools/guest/spec.ts";
import { call, type ScriptedGuest } from "../../tools/sim/guest/scripted.ts";
import { RST } from "../../tools/sim/frames.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { cProgram } from "./guest-programs.ts";
import { counters, held } from "./counters.ts";
import { inWorld, simulate, type World } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** Guests by their specs: when they are started again, what is left of them, and what they may not. */

const crash = () => cProgram("tests/qemu/guests/crash.c", "crash");
const echo = () => cProgram("tests/qemu/guests/server.c", "echo");

/** A guest of a module, about which little is said. */
function guest(name: string, module: string, more: Partial<GuestSpec> = {}): GuestSpec {
  return {
    ...{ name, module, arguments: [], environment: {} },
    ...{ restart: "never", files: [], ...more },
  };
}

/** Seconds at which the console said what matches. */
function times(machine: Machine, pattern: RegExp): number[] {
  return machine.console.filter((line) => pattern.test(line)).map((line) => parseFloat(line));
}

simulate("a guest is started again by its policy, later each time", (world) => {
  const specs = [
    guest("never", "crash", { arguments: ["trap"] }),
    guest("well", "crash", { arguments: ["0"], restart: "on-failure" }),
    guest("badly", "crash", { arguments: ["3"], restart: "on-failure" }),
    guest("trapped", "crash", { arguments: ["trap"], restart: "on-failure" }),
    guest("always", "crash", { arguments: ["0"], restart: "always" }),
  ];
  const setup = encodeSpecs(specs);
  const { machine } = world.ready({ memory: 32 << 20, guests: [crash()], setup });
  world.run(120 * SECOND);
  const ends = (name: string): number[] => times(machine, new RegExp(`guest: ${name} ended`));
  assert.equal(ends("never").length, 1);
  assert.equal(ends("well").length, 1);
  assert.ok(machine.line(/guest: well ended code=0$/));
  assert.ok(machine.line(/guest: never ended by a trap$/));
  assert.ok(machine.line(/\*\*\* guest trapped: unreachable/));
  assert.ok(machine.line(/guest: trapped ended by a trap, starts again now$/));
  assert.ok(machine.line(/guest: badly ended code=3, starts again in 100 ms$/));
  for (const name of ["badly", "trapped", "always"]) {
    const at = ends(name);
    const waits = at.slice(1).map((time, i) => time - at[i]!);
    const wanted = [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30];
    assert.ok(waits.length >= 11, `${name} was started ${waits.length} times`);
    waits.forEach((wait, i) => assert.ok(Math.abs(wait - wanted[i]!) < 0.01, `${name}: ${waits}`));
  }
});

simulate(
  "who ran well for ten seconds begins anew when it fails, and who did not does not",
  (world) => {
    const runs = [0, 0, 0, 0, 9.9, 10.1, 0, 0, 0];
    const unsteady: ScriptedGuest = {
      name: "unsteady",
      pages: 1,
      *script() {
        const seconds = runs.shift();
        yield* call(
          "poll",
          0,
          0,
          seconds === undefined ? -1n : BigInt(Math.round(seconds * SECOND)),
        );
        yield* call("proc_exit", 1);
      },
    };
    const setup = encodeSpecs([guest("unsteady", "unsteady", { restart: "on-failure" })]);
    const { machine } = world.ready({ memory: 32 << 20, guests: [unsteady], setup });
    world.run(40 * SECOND);
    const waits = machine.console.flatMap(
      (line) => /unsteady ended code=1, starts again (now|in \d+ ms)$/.exec(line)?.[1] ?? [],
    );
    const wanted = ["now", "in 100 ms", "in 200 ms", "in 400 ms", "in 800 ms"];
    assert.deepEqual(waits, [...wanted, "now", "in 100 ms", "in 200 ms", "in 400 ms"]);
  },
);

const CRASHERS = 61;
const CYCLES = 1000;

simulate(
  "1,000 crashes under load leave nothing behind, and others' connections alone",
  (world) => {
    const crashers = Array.from({ length: CRASHERS }, (_, i) =>
      guest(`crash-${i}`, "crash", {
        arguments: [i % 2 ? "trap" : "1", String(2000 + i), "10.0.0.2"],
        restart: "on-failure",
      }),
    );
    const setup = encodeSpecs([...crashers, guest("echo", "echo")]);
    const { machine } = world.ready({ memory: 128 << 20, guests: [crash(), echo()], setup });
    machine.expectLine(/echo on port 7/);
    const other = new TcpClient(world.peer(), "10.0.0.2", 7);
    let said = "";
    const crashed = () => times(machine, /guest: crash-\d+ ended/).length;
    while (crashed() < CYCLES) {
      const words = `round ${said.length} `.repeat(20);
      said += words;
      other.send(words);
      world.run(SECOND / 4);
    }
    world.run(15 * SECOND); // all of them wait: the last back-offs are of 30 s
    assert.equal(machine.line(/code=99/), undefined, "a crasher could not get its sockets");
    assert.equal(other.received.toString(), said);
    assert.equal(other.reset, false);
    const sockets = new Sockets(machine).statistics(Statistics.Sockets, 8).getUint32(0, true);
    assert.equal(sockets, 3, "the server's listener, its datagram socket and its connection");
    assert.equal(held(machine), 0, "packets are held");
    assert.equal(counters(machine, "udp").queued, 0, "datagrams are held");
  },
);

const count = () => cProgram("tests/qemu/guests/count.c", "count");

/** How far the counters named come beside each other, of those that there are. */
function counts(world: World, specs: GuestSpec[]): number[] {
  const { machine } = world.ready({
    memory: 32 << 20,
    guests: [count()],
    setup: encodeSpecs(specs),
  });
  for (const { name } of specs) machine.expectLine(new RegExp(`guest: ${name} ended code=0`));
  return machine.console
    .flatMap((line) => /counted to (\d+)/.exec(line)?.slice(1) ?? [])
    .map(Number);
}

test("a guest gets no more of the processor than its share, busy or idle as others may be", () => {
  inWorld(1, (world) => {
    const [alone] = counts(world, [guest("alone", "count")]);
    inWorld(1, (world) => {
      const [tenth] = counts(world, [guest("tenth", "count", { cpu: 10 })]);
      const share = tenth! / alone!;
      assert.ok(share > 0.08 && share < 0.13, `alone it had ${share}`);
    });
    inWorld(1, (world) => {
      const both = counts(world, [guest("tenth", "count", { cpu: 10 }), guest("free", "count")]);
      const share = Math.min(...both) / (both[0]! + both[1]!);
      assert.ok(share > 0.08 && share < 0.13, `beside another it had ${share}`);
    });
  });
});

simulate("memory and descriptors end where the spec says", (world) => {
  const specs = [guest("limits", "limits", { memory: 1 << 20, descriptors: 20 })];
  const { machine } = world.ready({
    memory: 32 << 20,
    guests: [cProgram("tests/qemu/guests/limits.c", "limits")],
    setup: encodeSpecs(specs),
  });
  machine.expectLine(/guest: limits ended code=0/);
  const [said] = machine.line(/\d+ sockets, then.*/)!;
  assert.equal(said, "16 sockets, then: No file descriptors available; 16 pages in all");
});

const lease = () => cProgram("tests/qemu/guests/lease.c", "lease");

/** Sends bytes to the server of leases; what it says of them. */
function summed(peer: Peer, bytes: Uint8Array): TcpClient {
  const client = new TcpClient(peer, "10.0.0.2", 9);
  for (let at = 0; at < bytes.length; at += 14_600) {
    client.send(bytes.subarray(at, at + 14_600));
    client.run(10 * MILLISECOND);
  }
  return client;
}

simulate("a guest reads packets where they lie, and nothing else", (world) => {
  const specs = [guest("lease", "lease", { restart: "always" }), guest("echo", "echo")];
  const setup = encodeSpecs(specs);
  const { machine } = world.ready({ memory: 64 << 20, guests: [lease(), echo()], setup });
  const peer = world.peer();
  machine.expectLine(/sums on port 9/);
  const bytes = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i * i + (i >> 8)));
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  const ordinary = (): void => {
    const client = summed(peer, bytes);
    client.end();
    client.expectEnd();
    assert.equal(client.received.toString(), `200000 bytes, ${sum}, 0 held\n`);
    client.end();
  };
  ordinary();
  assert.ok(machine.line(/leased at 0xc0000/));
  for (const word of ["write", "late", "gone"]) {
    const traps = () => times(machine, /guest: lease ended by a trap/).length;
    const before = traps();
    summed(peer, Buffer.from(`${word} it`));
    world.simulation.until(
      () => traps() > before,
      60 * SECOND,
      () => `${word} did no harm`,
    );
    world.run(60 * SECOND);
    assert.equal(held(machine), 0, `packets are held after ${word}`);
    ordinary();
  }
  const hoard = summed(peer, Buffer.concat([Buffer.from("hoard"), bytes]));
  hoard.run(2 * SECOND);
  const eighth = new Sockets(machine).statistics(Statistics.Pools, 3 * Layout.Pool);
  const slots = eighth.getUint32(Layout.Pool, true);
  const leased = eighth.getUint32(Layout.Pool + 16 + 4 * 4, true);
  assert.ok(leased > 20 && leased <= slots / 8, `${leased} of ${slots} are on lease`);
  const other = new TcpClient(peer, "10.0.0.2", 7);
  other.send(bytes.subarray(0, 5000));
  other.until(() => other.received.length === 5000, 5 * SECOND, "echo beside the hoarder");
  other.end();
  hoard.tcp.send({ flags: RST });
  world.run(90 * SECOND);
  assert.equal(machine.line(/after (close|release)|stranger|ended code/), undefined);
});

simulate("what a spec does not allow fails, and the console names the missing line", (world) => {
  const more = { arguments: ["0", "2000", "10.0.0.2"] };
  const none = { bind: [], connect: [], raw: false, resolve: false };
  const connect = ["udp:10.0.0.0/8:*", "tcp:7"];
  const specs = [
    guest("one", "crash", { ...more, allow: { ...none, bind: ["tcp:2000"] } }),
    guest("two", "crash", { ...more, allow: { ...none, bind: ["tcp:*", "udp:1999-2000"] } }),
    guest("three", "crash", {
      ...more,
      allow: { ...none, bind: ["tcp:2000", "udp:*"], connect: [...connect, "tcp:[::]/0:1"] },
    }),
    guest("four", "crash", { ...more, allow: { ...none, bind: ["tcp:[2001:db8::]/32:2000"] } }),
    guest("echo", "echo"),
  ];
  const setup = encodeSpecs(specs);
  const { machine } = world.ready({ memory: 64 << 20, guests: [crash(), echo()], setup });
  const refused = (name: string, words: string, rule: string, list: string): void => {
    machine.expectLine(new RegExp(`guest: ${name} ended code=99`));
    const line = `guest: ${name} may not ${words}: add "${rule}" to allow.${list} of [guests.${name}] in skerry.toml`;
    const said = machine.console.filter((one) => one.endsWith(line));
    assert.equal(said.length, 1, `not said once: ${line}\n${machine.console.join("\n")}`);
  };
  refused("one", "bind udp port 2000", "udp:2000", "bind");
  refused("two", "connect udp 10.0.0.2:2000", "udp:10.0.0.2:2000", "connect");
  refused("four", "bind tcp port 2000", "tcp:2000", "bind");
  machine.expectLine(/guest: three ended code=0/);
  assert.ok(machine.line(/bind: Permission denied/));
});

simulate("a guest marks its sockets (SO_MARK) if its spec says so, or has EPERM", (world) => {
  const none = { bind: [], connect: [], raw: false, resolve: false };
  const marks = cProgram("tests/sim/guests/mark.c", "mark");
  const setup = encodeSpecs([
    guest("may", "mark", { allow: { ...none, mark: true } }),
    guest("not", "mark", { allow: none }),
    guest("any", "mark"),
  ]);
  const { machine } = world.ready({ memory: 64 << 20, guests: [marks], setup });
  for (const name of ["may", "not", "any"]) {
    machine.expectLine(new RegExp(`guest: ${name} ended code=0`));
  }
  const refused = "not marked: Operation not permitted";
  assert.deepEqual(
    machine.console.filter((line) => /^(mark|not marked)\b/.test(line)),
    ["mark 7", "mark 7", refused, "mark 0", refused, "mark 0", "mark 7", "mark 7"],
  );
  const line = "not may not mark sockets: add mark = true to allow of [guests.not] in skerry.toml";
  assert.equal(machine.console.filter((one) => one.endsWith(line)).length, 1);
});
