import assert from "node:assert/strict";
import { SocketOption, Syscall } from "../../../sdk/assembly/syscalls.ts";
import { CE, CWR, ECE, ECT0, NOT_ECT } from "../../../tools/sim/frames.ts";
import type { TcpOptions, TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  type Connected,
  ECONNREFUSED,
  EINPROGRESS,
  FIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** Explicit congestion notification with classic feedback (RFC 3168). */

const ASK = SYN | ECE | CWR;
const GRANT = SYN | ACK | ECE;

type Asked = Omit<Connected, "scale">;

function ready(world: World, ecn: string): Program {
  return new Program(world.ready({ commandLine: `gw=10.0.0.1 ecn=${ecn}` }).machine);
}

/** A connection that the peer opened, asking for ECN. */
function granted(world: World, options: TcpOptions = { mss: 1460 }, program?: Program): Asked {
  program ??= ready(world, "passive");
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options });
  peer.irs = peer.take(peer.expect({ flags: GRANT })).seq;
  peer.send();
  world.run(MILLISECOND);
  return { world, program, listener, socket: program.accept(listener), peer };
}

/** A connection that the machine has begun to open. */
function asking(world: World, ecn = "on"): Omit<Asked, "listener"> {
  const program = ready(world, ecn);
  const peer = world.peer().tcp(MACHINE, 3000, 7);
  const socket = program.connect("10.0.0.1", 7, 3000);
  return { world, program, socket, peer };
}

/** The next `count` full segments, all of them new and markable. */
function burst({ peer }: Asked, count: number): TcpSegment[] {
  return Array.from({ length: count }, () => peer.take(peer.expect({ length: 1460, ecn: ECT0 })));
}

// ---- The handshake ------------------------------------------------------------------------

simulate("RFC 3168, 6.1.1: a SYN with ECE and CWR is granted with ECE alone", (world) => {
  granted(world);
});

simulate("RFC 3168, 6.1.1: who is not asked does not grant", (world) => {
  const program = ready(world, "on");
  program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, ecn: NOT_ECT });
});

simulate("ecn=off: a SYN that asks is answered by one that does not grant", (world) => {
  const program = ready(world, "off");
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options: { mss: 1460 } });
  peer.take(peer.expect({ flags: SYN | ACK }));
  peer.send();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK, length: 100, ecn: NOT_ECT });
});

simulate("RFC 3168, 6.1.1: ecn=on asks with ECE and CWR, on a packet that is not ECT", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.take(peer.expect({ flags: ASK, ecn: NOT_ECT }));
  peer.send({ flags: GRANT, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 1, ecn: NOT_ECT });
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK, length: 100, ecn: ECT0 });
});

simulate("ecn=passive, the default, does not ask", (world) => {
  const { peer } = asking(world, "passive");
  peer.accept();
});

simulate("RFC 3168, 6.1.1: an answer without ECE grants nothing", (world) => {
  const { program, socket, peer } = asking(world);
  peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK, length: 100, ecn: NOT_ECT });
});

simulate("RFC 3168, 6.1.1.2: an answer that reflects both flags grants nothing", (world) => {
  const { program, socket, peer } = asking(world);
  peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | ACK | ECE | CWR, options: { mss: 1460 } });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK, length: 100, ecn: NOT_ECT });
});

simulate("RFC 3168, 6.1.1.1: a SYN that got no answer goes again without the flags", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.expect({ flags: ASK });
  peer.take(peer.expect({ flags: SYN, seq: syn.seq }, 2 * SECOND));
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(100));
  peer.expect({ length: 100, ecn: NOT_ECT });
});

simulate(
  "RFC 3168, 6.1.1: after a SYN without the flags a late grant makes nothing markable, but is kept",
  (world) => {
    const { program, socket, peer } = asking(world);
    const syn = peer.expect({ flags: ASK });
    peer.take(peer.expect({ flags: SYN, seq: syn.seq }, 2 * SECOND));
    peer.send({ flags: GRANT, options: { mss: 1460 } });
    peer.expect({ flags: ACK });
    program.send(socket, pattern(100));
    peer.take(peer.expect({ length: 100, ecn: NOT_ECT }));
    peer.send({ payload: pattern(10), ecn: CE });
    peer.expect({ flags: ACK | ECE });
  },
);

simulate("RFC 3168, 6.1.1.1: a SYN that was reset goes again without the flags", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.expect({ flags: ASK });
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
  peer.take(peer.expect({ flags: SYN, seq: syn.seq }, 100 * MILLISECOND));
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK });
  assert.equal(program.send(socket, pattern(1)), 1);
});

simulate("RFC 3168, 6.1.1: who was refused and connects again asks again", (world) => {
  const { program, socket, peer } = asking(world);
  for (const flags of [ASK, SYN]) {
    const syn = peer.expect({ flags });
    peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
  }
  world.run(MILLISECOND);
  assert.equal(program.error(socket), ECONNREFUSED);
  program.connectOn(socket, "10.0.0.1", 7);
  assert.equal(program.connectOn(socket, "10.0.0.1", 7), EINPROGRESS);
  peer.expect({ flags: ASK });
});

simulate("RFC 3168, 6.1.1.1: the second reset refuses the connection", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.expect({ flags: ASK });
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
  peer.expect({ flags: SYN, seq: syn.seq }, 100 * MILLISECOND);
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 1 });
  world.run(MILLISECOND);
  assert.equal(program.error(socket), ECONNREFUSED);
});

simulate(
  "RFC 3168, 6.1.1: a SYN that comes again without the flags takes the grant back",
  (world) => {
    const program = ready(world, "passive");
    const listener = program.listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    peer.send({ flags: ASK, options: { mss: 1460 } });
    peer.expect({ flags: GRANT });
    peer.send({ flags: SYN, seq: peer.iss, options: { mss: 1460 } });
    peer.take(peer.expect({ flags: SYN | ACK }));
    peer.send();
    world.run(MILLISECOND);
    program.send(program.accept(listener), pattern(100));
    peer.expect({ length: 100, ecn: NOT_ECT });
  },
);

simulate("RFC 3168, 6.1.1: an answer that is sent again still grants", (world) => {
  const program = ready(world, "passive");
  program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options: { mss: 1460 } });
  peer.expect({ flags: GRANT });
  peer.expect({ flags: GRANT }, 2 * SECOND);
});

simulate("a connection's own setting goes before the machine's", (world) => {
  const program = ready(world, "off");
  const peer = world.peer().tcp(MACHINE, 3000, 7);
  const socket = program.machine.syscall(Syscall.Socket, 1);
  program.setOption(socket, SocketOption.Ecn, 2);
  const at = program.machine.scratch;
  program.machine.memory.fill(0, at, at + 24);
  const { view } = program.machine;
  view.setBigUint64(at + 8, 0x0000_ffff_0a00_0001n, true);
  view.setUint16(at + 16, 7, true);
  program.machine.syscall(Syscall.Connect, socket, at);
  const is = peer.peer.expect((frame) => (frame.tcp?.flags ?? 0) !== 0).tcp!;
  assert.equal(is.flags, ASK);
  // Too late now.
  const late = program.machine.syscall(Syscall.SetOption, socket, SocketOption.Ecn, 0);
  assert.equal(late, -106);
});

// ---- The sender ---------------------------------------------------------------------------

simulate("RFC 3168, 6.1.2: new data is sent as ECT(0); 6.1.4: an ACK alone is not", (world) => {
  const { program, socket, peer } = granted(world);
  program.send(socket, pattern(3000));
  peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
  peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
  peer.send({ payload: pattern(1460), ecn: ECT0 });
  peer.send({ payload: pattern(1460), ecn: ECT0 });
  peer.take(peer.expect({ length: 80, ecn: ECT0 }));
  peer.send({ payload: pattern(1460), ecn: ECT0 });
  peer.send({ payload: pattern(1460), ecn: ECT0 });
  peer.expect({ flags: ACK, length: 0, ecn: NOT_ECT });
});

simulate("RFC 3168, 6.1.5: what is sent again is not ECT", (world) => {
  const { program, socket, peer } = granted(world);
  program.send(socket, pattern(500));
  const first = peer.expect({ length: 500, ecn: ECT0 });
  peer.expect({ seq: first.seq, length: 500, ecn: NOT_ECT }, 3 * SECOND);
});

simulate("RFC 3168, 6.1.6: a probe of a shut window is not ECT", (world) => {
  const { program, socket, peer } = granted(world);
  peer.send({ window: 0 });
  world.run(MILLISECOND);
  program.send(socket, pattern(500));
  peer.expect({ length: 1, ecn: NOT_ECT }, 3 * SECOND);
});

simulate("a FIN without data is not ECT, nor is a reset", (world) => {
  const { program, socket, peer } = granted(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK, ecn: NOT_ECT }));
  peer.send({ payload: pattern(10) });
  peer.expect({ flags: RST | ACK, ecn: NOT_ECT });
});

simulate(
  "RFC 3168, 6.1.2: ECE shrinks the window, to 0.85 by CUBIC (RFC 8511, 3), and CWR says so once",
  (world) => {
    const all = granted(world);
    const { program, socket, peer } = all;
    program.send(socket, pattern(60000));
    burst(all, 10);
    peer.send({ flags: ACK | ECE });
    // 8.5 of the ten that were in flight; the first new one has CWR.
    peer.take(peer.expect({ flags: ACK | CWR, length: 1460, ecn: ECT0 }));
    for (let i = 0; i < 7; i++) peer.take(peer.expect({ flags: ACK, length: 1460, ecn: ECT0 }));
    peer.expectNone(100 * MILLISECOND);
    assert.equal(program.tcp.ecnReductions, 1);
    assert.equal(program.tcp.retransmits, 0);
  },
);

simulate("RFC 3168, 6.1.2: the window shrinks once for all marks of a window", (world) => {
  const all = granted(world);
  const { program, socket, peer } = all;
  program.send(socket, pattern(60000));
  const first = burst(all, 10);
  for (const { seq } of first) peer.send({ flags: ACK | ECE, ack: seq + 1460 });
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 1);
  // The window that followed is marked again.
  const next = peer.peer.inbox.filter((frame) => frame.tcp?.payload.length);
  peer.rcvNxt = next.at(-1)!.tcp!.seq + 1460;
  peer.send({ flags: ACK | ECE });
  world.run(MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 2);
});

simulate("RFC 3168, 6.1.2: an ACK with ECE does not open the window", (world) => {
  const all = granted(world);
  const { program, socket, peer } = all;
  program.send(socket, pattern(60000));
  const [first] = burst(all, 10);
  peer.send({ flags: ACK | ECE, ack: first!.seq + 1460 });
  peer.expectNone(20 * MILLISECOND);
  peer.send({ flags: ACK | ECE });
  for (let i = 0; i < 8; i++) peer.take(peer.expect({ length: 1460 }));
  peer.expectNone(20 * MILLISECOND);
});

simulate(
  "RFC 3168, 6.1.2: after a time-out CWR goes with the next new data, not with old",
  (world) => {
    const all = granted(world);
    const { program, socket, peer } = all;
    program.send(socket, pattern(1460));
    const [first] = burst(all, 1);
    peer.expect({ flags: ACK, seq: first!.seq, length: 1460, ecn: NOT_ECT }, 3 * SECOND);
    peer.send();
    program.send(socket, pattern(2920));
    peer.take(peer.expect({ flags: ACK | CWR, length: 1460, ecn: ECT0 }));
    peer.take(peer.expect({ flags: ACK, length: 1460, ecn: ECT0 }));
  },
);

simulate("RFC 3168, 6.1.2: after a fast retransmit the next new data has CWR", (world) => {
  const all = granted(world);
  const { program, socket, peer } = all;
  program.send(socket, pattern(40000));
  const sent = burst(all, 10);
  for (let i = 0; i < 3; i++) peer.send({ ack: sent[0]!.seq });
  peer.expect({ flags: ACK, seq: sent[0]!.seq, length: 1460, ecn: NOT_ECT });
  peer.send();
  peer.take(peer.expect({ flags: ACK | CWR, length: 1460, ecn: ECT0 }));
  peer.take(peer.expect({ flags: ACK, length: 1460, ecn: ECT0 }));
});

simulate(
  "RFC 3168, 6.1.2: a window of one segment cannot shrink: the next waits for the timer",
  (world) => {
    const all = granted(world);
    const { program, socket, peer } = all;
    program.send(socket, pattern(1460));
    const [first] = burst(all, 1);
    // A time-out leaves a window of one.
    peer.expect({ seq: first!.seq, length: 1460 }, 3 * SECOND);
    program.send(socket, pattern(14600));
    // The time-out has answered for this window; the ACK does not open it.
    peer.send({ flags: ACK | ECE });
    peer.take(peer.expect({ flags: ACK | CWR, length: 1460 }));
    peer.expectNone(100 * MILLISECOND);
    peer.send({ flags: ACK | ECE });
    peer.expectNone(190 * MILLISECOND);
    peer.take(peer.expect({ flags: ACK | CWR, length: 1460 }, 10 * SECOND));
    peer.expectNone(100 * MILLISECOND);
    peer.send();
    for (let i = 0; i < 2; i++) peer.take(peer.expect({ length: 1460 }));
  },
);

simulate("RFC 3168, 6.1: ECE on a connection without ECN means nothing", (world) => {
  const program = ready(world, "passive");
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.connect();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(20000));
  for (let i = 0; i < 10; i++) peer.take(peer.expect({ flags: ACK, length: 1460, ecn: NOT_ECT }));
  peer.send({ flags: ACK | ECE });
  world.run(MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 0);
});

// ---- The receiver -------------------------------------------------------------------------

simulate("RFC 3168, 6.1.3: a mark is echoed in every ACK until CWR", (world) => {
  const { peer, program, socket } = granted(world);
  peer.send({ payload: pattern(1000), ecn: CE });
  peer.expect({ flags: ACK | ECE, ack: peer.sndNxt });
  for (let i = 0; i < 2; i++) {
    peer.send({ payload: pattern(1000), ecn: ECT0 });
    peer.send({ payload: pattern(1000), ecn: ECT0 });
    peer.expect({ flags: ACK | ECE, ack: peer.sndNxt });
  }
  program.send(socket, pattern(10));
  peer.take(peer.expect({ flags: ACK | ECE, length: 10 }));
  peer.send({ flags: ACK | CWR, payload: pattern(1000), ecn: ECT0 });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  assert.equal(program.tcp.congestionMarks, 1);
});

simulate("RFC 3168, 6.1.3: a mark on the packet with CWR itself is echoed anew", (world) => {
  const { peer } = granted(world);
  peer.send({ payload: pattern(1000), ecn: CE });
  peer.expect({ flags: ACK | ECE });
  peer.send({ flags: ACK | CWR, payload: pattern(1000), ecn: CE });
  peer.expect({ flags: ACK | ECE });
});

simulate("RFC 3168, 6.1.3: an ACK for two segments echoes the mark of either", (world) => {
  const { peer } = granted(world);
  peer.send({ payload: pattern(1460), ecn: ECT0 });
  peer.send({ payload: pattern(1460), ecn: CE });
  peer.expect({ flags: ACK | ECE, ack: peer.sndNxt });
});

simulate("RFC 3168, 6.1.5: a mark outside the window is ignored", (world) => {
  const { peer } = granted(world);
  peer.send({ seq: peer.sndNxt + 10_000_000, payload: pattern(100), ecn: CE });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  peer.send({ seq: peer.sndNxt - 100, payload: pattern(100), ecn: CE });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
});

simulate("RFC 3168, 6.1.4: a mark on an ACK without data is ignored", (world) => {
  const { peer } = granted(world);
  peer.send({ ecn: CE });
  peer.send({ payload: pattern(100), ecn: ECT0 });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
});

simulate("RFC 3168, 6.1.1: without a grant marks are not echoed", (world) => {
  const program = ready(world, "passive");
  program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.connect();
  peer.send({ payload: pattern(100), ecn: CE });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
});

simulate(
  "RFC 2474, 3: a stream's traffic class goes into its packets, but for ECN's bits",
  (world) => {
    const program = ready(world, "passive");
    const { socket, peer } = granted(world, { mss: 1460 }, program);
    program.setOption(socket, SocketOption.TypeOfService, 0xb9 | 2);
    program.send(socket, pattern(100));
    const frame = peer.peer.expect((f) => (f.tcp?.payload.length ?? 0) === 100);
    assert.equal(frame.ipv4!.trafficClass, 0xb8 | ECT0);
    peer.rcvNxt += 100;
    peer.send({ payload: pattern(100), ecn: ECT0 });
    const ack = peer.peer.expect((f) => f.tcp !== undefined);
    assert.equal(ack.ipv4!.trafficClass, 0xb8);
  },
);
