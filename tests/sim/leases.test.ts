import assert from "node:assert/strict";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import { counters, held } from "./counters.ts";
import { cProgram, guestSpec } from "./guest-programs.ts";
import { simulate, type World } from "./harness.ts";

/** Leases: packets that programs hold where they lie, however it is that they come to an end. */

const EACCES = -13;
const EINVAL = -22;
const EDESTADDRREQ = -89;

/** Both ends of a connection over the loopback, with `text` waiting at the second. */
function connected(world: World, machine: Machine, text: string): [number, number] {
  const sockets = new Sockets(machine);
  const listener = sockets.stream();
  sockets.bind(listener, 5000);
  sockets.listen(listener, 4);
  const client = sockets.stream();
  sockets.connect(client, "127.0.0.1", 5000);
  world.run(50 * MILLISECOND);
  const server = sockets.accept(listener)!;
  sockets.send(client, Buffer.from(text));
  world.run(50 * MILLISECOND);
  sockets.close(listener);
  return [client, server];
}

/** Leases what is first: its length and the lease's number. */
function lease(machine: Machine, socket: number): [length: number, number: number] {
  const length = machine.syscall(Syscall.Lease, socket, machine.scratch);
  return [length, machine.view.getUint32(machine.scratch, true)];
}

for (const [how, call] of [
  ["Close", Syscall.Close],
  ["Abort", Syscall.Abort],
] as const) {
  simulate(`${how} of a socket gives its leases back`, (world) => {
    const { machine } = world.ready();
    const [client, server] = connected(world, machine, "held");
    const [length, number] = lease(machine, server);
    assert.equal(length, 4);
    assert.equal(held(machine), 1);
    assert.equal(machine.syscall(call, server), 0);
    assert.equal(machine.syscall(Syscall.Release, number), EINVAL);
    machine.syscall(Syscall.Close, client);
    world.run(90 * SECOND);
    assert.equal(held(machine), 0);
  });
}

simulate("datagrams can be leased as streams can", (world) => {
  const { machine } = world.ready();
  const sockets = new Sockets(machine);
  const socket = sockets.datagram();
  sockets.bind(socket, 9);
  const peer = world.peer();
  const waiting = () => counters(machine, "udp")["queued"];
  for (const text of ["one", "", "three"]) peer.sendUdp("10.0.0.2", 5, 9, Buffer.from(text));
  world.run(10 * MILLISECOND);
  assert.equal(waiting(), 3);
  const [first, one] = lease(machine, socket);
  assert.deepEqual([first, waiting()], [3, 2]);
  assert.equal(lease(machine, socket)[0], 0, "one of nothing");
  const [third, three] = lease(machine, socket);
  assert.deepEqual([third, waiting()], [5, 0]);
  const at = machine.view.getUint32(machine.scratch + 4, true);
  const bytes = machine.memory.subarray(at, at + 5);
  assert.equal(Buffer.from(bytes).toString(), "three");
  assert.equal(held(machine), 2);
  assert.equal(machine.syscall(Syscall.Release, one), 0);
  assert.equal(machine.syscall(Syscall.Release, one), EINVAL);
  assert.equal(machine.syscall(Syscall.Close, socket), 0);
  assert.equal(machine.syscall(Syscall.Release, three), EINVAL);
  assert.equal(held(machine), 0);
});

simulate("a datagram that is leased is sent on from where it lies", (world) => {
  const { machine } = world.ready({ ip6: "2001:db8::2/64" });
  const sockets = new Sockets(machine);
  const socket = sockets.datagram();
  sockets.bind(socket, 9);
  const peer = world.peer();
  let at = 0;
  const next = (text: Uint8Array): number => {
    peer.sendUdp("10.0.0.2", 5, 9, text);
    world.run(10 * MILLISECOND);
    const [length, number] = lease(machine, socket);
    assert.equal(length, text.length);
    at = machine.view.getUint32(machine.scratch + 4, true);
    return number;
  };
  const arrived = (text: Uint8Array): void =>
    assert.deepEqual(Buffer.from(peer.expectUdp(5, SECOND).udp!.payload), Buffer.from(text));

  // The first waits for its neighbour.
  for (const [i, text] of [Buffer.from("back"), Buffer.alloc(1472, 7)].entries()) {
    const number = next(text);
    assert.equal(sockets.sendLease(socket, number, "10.0.0.1", 5), text.length);
    // What is changed there now is changed in what is sent.
    if (i === 0) machine.memory[at] = 0x42;
    if (i === 0) text.write("B");
    assert.equal(machine.syscall(Syscall.Release, number), EINVAL, "it is given back");
    arrived(text);
    world.run(10 * MILLISECOND);
    assert.equal(held(machine), 0);
  }

  const text = Buffer.from("another way");
  const number = next(text);
  assert.equal(sockets.sendLease(socket, number), EDESTADDRREQ);
  assert.equal(sockets.sendLease(socket, number, "10.0.0.1", 0), EINVAL);
  assert.equal(sockets.sendLease(socket, number, "10.0.0.255", 5), EACCES);
  assert.equal(held(machine), 1, "what fails leaves it out");
  sockets.connect(socket, "10.0.0.1", 5);
  assert.equal(sockets.sendLease(socket, number), text.length);
  arrived(text);

  // A stream's bytes as a datagram, and a datagram's in a stream.
  const [client, server] = connected(world, machine, "from a stream");
  const [, streamed] = lease(machine, server);
  assert.equal(sockets.sendLease(socket, streamed), 13);
  arrived(Buffer.from("from a stream"));
  assert.equal(sockets.sendLease(server, next(Buffer.from("into a stream"))), 13);
  world.run(50 * MILLISECOND);
  assert.equal(Buffer.from(sockets.receive(client, 100)!).toString(), "into a stream");
  for (const one of [client, server]) machine.syscall(Syscall.Close, one);

  // What its path does not carry whole is copied into fragments.
  const own = sockets.datagram();
  sockets.bind(own, 10);
  const long = Buffer.alloc(4000, 9);
  sockets.sendTo(own, long, "10.0.0.2", 10);
  world.run(10 * MILLISECOND);
  const [length, large] = lease(machine, own);
  assert.equal(length, 4000);
  assert.equal(sockets.sendLease(own, large, "10.0.0.1", 5), 4000);
  world.run(90 * SECOND);
  assert.equal(held(machine), 0);
  assert.equal(counters(machine, "ip")["fragmented"], 1);
});

simulate("a guest reads datagrams where they lie, and nothing else", (world) => {
  const guests = [cProgram("tests/sim/guests/datagram-lease.c", "lease")];
  const setup = encodeSpecs([guestSpec("lease", { restart: "always" })]);
  const { machine } = world.ready({ memory: 64 << 20, guests, setup });
  const peer = world.peer();
  machine.expectLine(/leases on port 9/);
  const ask = (bytes: Uint8Array): string => {
    peer.sendUdp("10.0.0.2", 4000, 9, bytes);
    return Buffer.from(peer.expectUdp(4000, SECOND).udp!.payload).toString();
  };
  const sumOf = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + byte, 0);
  const said = (bytes: Uint8Array, kept: number) =>
    `${bytes.length} bytes, ${sumOf(bytes)}, from 0.1 port 4000 in 2, ${kept} held`;
  for (const length of [0, 1, 1472]) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
    assert.equal(ask(bytes), said(bytes, 0));
  }
  const hold = Buffer.from("hold it");
  for (let i = 1; i <= 20; i++) assert.equal(ask(hold), said(hold, i));
  assert.equal(held(machine), 20);
  assert.equal(ask(Buffer.from("free")), said(Buffer.from("free"), 0));
  assert.equal(held(machine), 0);
  for (let i = 1; i <= 5; i++) assert.equal(ask(hold), said(hold, i));
  assert.equal(ask(Buffer.from("shut")), said(Buffer.from("shut"), 0));
  assert.equal(held(machine), 0);

  // Who never gives anything back hears so, and goes on the plain way.
  let kept = 0;
  let answer = "";
  while ((answer = ask(hold)).endsWith("held") && !answer.startsWith("plain")) kept++;
  assert.ok(kept >= 8, `${kept} leases`);
  assert.equal(answer, `plain 7, ${kept} held`);
  assert.equal(ask(Buffer.from("free")), "plain 4, 0 held");
  assert.equal(held(machine), 0);

  const traps = () => machine.console.filter((line) => /lease ended by a trap/.test(line)).length;
  for (const [i, word] of ["write", "late"].entries()) {
    ask(hold);
    peer.sendUdp("10.0.0.2", 4001, 9, Buffer.from(word));
    world.simulation.until(
      () => traps() > i,
      60 * SECOND,
      () => `${word} did no harm`,
    );
    world.run(60 * SECOND);
    assert.equal(held(machine), 0, `packets are held after ${word}`);
    assert.equal(ask(hold), said(hold, 1));
  }
  assert.equal(machine.line(/after release|stranger|ended code/), undefined);
});
