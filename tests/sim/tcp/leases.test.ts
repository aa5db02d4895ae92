import assert from "node:assert/strict";
import { ReceiveFlag, SocketEvent, SocketOption, Syscall } from "../../../sdk/assembly/syscalls.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connected,
  EAGAIN,
  FIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  type Program,
  RST,
  SECOND,
} from "./program.ts";

/** Leases, and what of a stream is copied on its way between a program and the network. */

const EBADF = -9;
const EINVAL = -22;
const ENOBUFS = -105;
const SEGMENT = 1460;

type Lease = Exclude<ReturnType<Program["lease"]>, number>;

function mustLease(program: Program, socket: number): Lease {
  const lease = program.lease(socket);
  assert.ok(typeof lease === "object", `lease: ${JSON.stringify(lease)}`);
  return lease;
}

/** Carries `bytes` from the peer, segment by segment, with what `read` does after each. */
function feed(
  world: World,
  peer: ReturnType<typeof connected>["peer"],
  bytes: Uint8Array,
  read: () => void,
  segment = SEGMENT,
): void {
  for (let at = 0; at < bytes.length; at += segment) {
    peer.send({ payload: bytes.subarray(at, at + segment) });
    world.run(MILLISECOND);
    read();
  }
}

// ---- Copies ----------------------------------------------------------------------------------

simulate("copies: none from the ring to a program that leases", (world) => {
  const { program, socket, peer } = connected(world);
  const bytes = pattern(40 * SEGMENT);
  const seen: number[] = [];
  feed(world, peer, bytes, () => {
    const lease = mustLease(program, socket);
    seen.push(...lease.bytes);
    assert.equal(program.release(lease.number), 0);
  });
  assert.deepEqual(Uint8Array.from(seen), bytes);
  const { received, receivedCopied } = program.copies;
  assert.deepEqual({ received, receivedCopied }, { received: bytes.length, receivedCopied: 0 });
});

simulate("copies: one of each byte for plain reading", (world) => {
  const { program, socket, peer } = connected(world);
  const bytes = pattern(40 * SEGMENT);
  feed(world, peer, bytes, () => program.receive(socket));
  const { received, receivedCopied } = program.copies;
  assert.deepEqual([received, receivedCopied], [bytes.length, bytes.length]);
});

simulate("copies: one of each byte for plain reading of small segments, too", (world) => {
  const { program, socket, peer } = connected(world);
  const bytes = pattern(4000);
  feed(world, peer, bytes, () => program.receive(socket), 10);
  const { received, receivedCopied } = program.copies;
  assert.deepEqual([received, receivedCopied], [bytes.length, bytes.length]);
});

simulate("copies: small segments join, and count, only when slots are short", (world) => {
  const { program, socket, peer } = connected(world);
  const slots = program.option(socket, SocketOption.ReceiveBuffer) / 2048;
  const few = slots / 2 - 2;
  feed(world, peer, pattern(few * 10), () => {}, 10);
  assert.equal(program.copies.receivedCopied, 0);
  feed(world, peer, pattern(200 * 10, few * 10), () => {}, 10);
  const joined = program.copies.receivedCopied;
  assert.ok(joined > 0 && joined <= 200 * 10, `${joined}`);
  assert.deepEqual(program.receive(socket), pattern((few + 200) * 10));
});

simulate("copies: reading out of order costs no more", (world) => {
  const { program, socket, peer } = connected(world);
  const bytes = pattern(10 * SEGMENT);
  const base = peer.sndNxt;
  for (const at of [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]) {
    const payload = bytes.subarray(at * SEGMENT, (at + 1) * SEGMENT);
    peer.send({ seq: base + at * SEGMENT, payload });
  }
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), bytes);
  const { received, receivedCopied } = program.copies;
  assert.deepEqual([received, receivedCopied], [bytes.length, bytes.length]);
});

simulate("copies: one of each byte written, however often it is sent", (world) => {
  const { program, socket, peer } = connected(world);
  assert.equal(program.send(socket, pattern(1000)), 1000);
  peer.expect({ length: 1000 });
  peer.expect({ length: 1000 }, 5 * SECOND);
  const { sent, sentCopied } = program.copies;
  assert.deepEqual([sent, sentCopied], [1000, 1000]);
});

simulate("copies: what is discarded by MSG_TRUNC is not copied", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(500) });
  world.run(MILLISECOND);
  const { machine } = program;
  assert.equal(
    machine.syscall(Syscall.Receive, socket, machine.scratch, 300, ReceiveFlag.Truncate),
    300,
  );
  assert.deepEqual(program.receive(socket), pattern(200, 300));
  assert.deepEqual([program.copies.received, program.copies.receivedCopied], [500, 200]);
});

simulate("copies: a lease that is sent on costs none in either direction", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(700) });
  world.run(MILLISECOND);
  const lease = mustLease(program, socket);
  assert.equal(program.sendLease(socket, lease.number), 700);
  assert.equal(program.release(lease.number), EINVAL);
  const echoed = peer.take(peer.expect({ length: 700 }));
  assert.deepEqual(echoed.payload, pattern(700));
  peer.send();
  world.run(MILLISECOND);
  const { received, receivedCopied, sent, sentCopied } = program.copies;
  assert.deepEqual([received, receivedCopied, sent, sentCopied], [700, 0, 700, 0]);
  assert.equal(program.packetsHeld, 0);
});

// ---- Leases ----------------------------------------------------------------------------------

simulate("leases: several are out at a time, and go back in any order", (world) => {
  const { program, socket, peer } = connected(world);
  feed(world, peer, pattern(5 * SEGMENT), () => {});
  const leases = Array.from({ length: 5 }, () => mustLease(program, socket));
  leases.forEach(({ bytes }, i) => assert.deepEqual(bytes, pattern(SEGMENT, i * SEGMENT)));
  assert.equal(program.leased.out, 5);
  assert.equal(program.lease(socket), EAGAIN);
  for (const i of [2, 0, 4, 1, 3]) {
    assert.equal(program.release(leases[i]!.number), 0);
    assert.equal(program.release(leases[i]!.number), EINVAL);
  }
  assert.equal(program.packetsHeld, 0);
});

simulate("leases: bytes stay as they are while the stream goes on", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  const { number, address } = mustLease(program, socket);
  feed(world, peer, pattern(30 * SEGMENT, 100), () => program.receive(socket));
  assert.deepEqual(program.machine.memory.slice(address, address + 100), pattern(100));
  assert.equal(program.release(number), 0);
});

simulate("leases: the number of one given back names no later one", (world) => {
  const { program, socket, peer } = connected(world);
  const numbers = new Set<number>();
  feed(
    world,
    peer,
    pattern(100 * 10),
    () => {
      const { number } = mustLease(program, socket);
      assert.ok(!numbers.has(number));
      numbers.add(number);
      program.release(number);
    },
    10,
  );
  for (const number of numbers) assert.equal(program.release(number), EINVAL);
  for (const number of [0, 1, 0x7fffffff, 0xffffffff]) {
    assert.equal(program.release(number), EINVAL);
    assert.equal(program.sendLease(socket, number), EINVAL);
  }
  assert.equal(program.lease(12345), EBADF);
});

simulate("leases: what is left of a run that was read in part", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket, 40), pattern(40));
  assert.deepEqual(mustLease(program, socket).bytes, pattern(60, 40));
});

simulate(
  "leases: the window is charged while they are out, and opens when they return",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.setOption(socket, SocketOption.ReceiveBuffer, 32 * 2048);
    const leases: Lease[] = [];
    let window = Infinity;
    for (let at = 0; at < 100 * SEGMENT && window > 0; at += SEGMENT) {
      peer.send({ payload: pattern(Math.min(SEGMENT, window), at) });
      world.run(50 * MILLISECOND);
      for (const frame of peer.peer.inbox.splice(0)) window = frame.tcp?.window ?? window;
      const lease = program.lease(socket);
      if (typeof lease === "object") leases.push(lease);
    }
    assert.equal(window, 0);
    for (const { number } of leases) program.release(number);
    world.run(MILLISECOND);
    assert.ok(peer.expect({ flags: ACK }).window > 0);
  },
);

simulate("leases: of a closed socket they are taken back", (world) => {
  const { program, socket, peer } = connected(world);
  feed(world, peer, pattern(3 * SEGMENT), () => {});
  const leases = Array.from({ length: 3 }, () => mustLease(program, socket));
  peer.peer.inbox = [];
  program.close(socket);
  assert.equal(program.leased.out, 0);
  for (const { number } of leases) assert.equal(program.release(number), EINVAL);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  world.run(MILLISECOND);
  assert.equal(program.packetsHeld, 0);
});

simulate("leases: outlive the connection, not the socket", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  const { number, address } = mustLease(program, socket);
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  assert.equal(program.tcp.established, 0);
  assert.deepEqual(program.machine.memory.slice(address, address + 100), pattern(100));
  assert.equal(program.release(number), 0);
  program.close(socket);
  assert.deepEqual([program.packetsHeld, program.tcp.connections], [0, 1]);
});

simulate("leases: the end of the stream is 0, and a socket not connected has none", (world) => {
  const { program, listener, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK, payload: pattern(10) });
  world.run(MILLISECOND);
  mustLease(program, socket);
  assert.equal(program.lease(socket), 0);
  assert.equal(program.lease(listener), -107);
});

simulate("leases: a lease sent on is repeated until it is acknowledged", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(600) });
  world.run(MILLISECOND);
  program.sendLease(socket, mustLease(program, socket).number);
  assert.deepEqual(peer.expect({ length: 600 }).payload, pattern(600));
  const again = peer.take(peer.expect({ length: 600 }, 5 * SECOND));
  assert.deepEqual(again.payload, pattern(600));
  assert.ok(program.packetsHeld > 0);
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.packetsHeld, 0);
});

simulate("leases: a socket may hold a share of them, and plain reading goes on", (world) => {
  const { program, socket, peer } = connected(world);
  // Its own limit is not to be in the way.
  program.setOption(socket, SocketOption.ReceiveBuffer, 1 << 20);
  let refused = 0;
  let held = 0;
  let read = 0;
  feed(
    world,
    peer,
    pattern(200 * 10),
    () => {
      const lease = program.lease(socket);
      if (typeof lease === "object") {
        held++;
        return;
      }
      assert.equal(lease, ENOBUFS);
      refused++;
      read += (program.receive(socket) as Uint8Array).length;
    },
    10,
  );
  const { slots } = program.leased;
  assert.ok(held > 8 && held <= slots >> 5, `${held} of ${slots}`);
  assert.equal(read, refused * 10);
  assert.equal(held + refused, 200);
});

simulate("leases: who keeps all of them for ever does not slow the others down", (world) => {
  const { program, listener, peer, socket } = connected(world);
  const other = (port: number): { peer: typeof peer; socket: number } => {
    const second = peer.peer.tcp(MACHINE, PORT, port);
    second.connect();
    world.run(MILLISECOND);
    return { peer: second, socket: program.accept(listener) };
  };
  /** Time for 200 segments through a connection that is read at once. */
  const time = (victim: ReturnType<typeof other>, from: number): number => {
    const begin = world.simulation.now;
    for (let i = 0; i < 200; i++) {
      victim.peer.send({ payload: pattern(SEGMENT, from + i * SEGMENT) });
      const come = () => (program.events(victim.socket) & SocketEvent.Readable) !== 0;
      world.simulation.until(come, SECOND, "data");
      assert.deepEqual(program.receive(victim.socket), pattern(SEGMENT, from + i * SEGMENT));
    }
    return world.simulation.now - begin;
  };
  const victim = other(5000);
  const before = time(victim, 0);
  // Ever more connections, each of which leases what it may and leaves the rest unread.
  const hogs = [{ peer, socket }];
  for (let port = 6000; port < 6012; port++) hogs.push(other(port));
  for (let round = 0; round < 60; round++) {
    for (const hog of hogs) hog.peer.send({ payload: pattern(1000) });
    world.run(2 * MILLISECOND);
    for (const hog of hogs) program.lease(hog.socket);
  }
  const { out, slots } = program.leased;
  assert.ok(out > slots >> 4 && out <= slots >> 3, `${out} of ${slots} out`);
  // ARP, new connections and data go on as before.
  peer.peer.inbox = [];
  peer.peer.sendArp({ operation: "request", targetIp: MACHINE });
  peer.peer.expectArp("reply", 10 * MILLISECOND);
  const late = other(7000);
  assert.ok(late.socket > 0);
  for (const connection of [victim, late]) {
    const after = time(connection, connection === victim ? 200 * 1460 : 0);
    assert.ok(after <= before * 1.1, `${after} ns instead of ${before}`);
  }
  assert.equal(program.leased.out, out);
});
