import assert from "node:assert/strict";
import { AE, CE, CWR, ECE, ECT0, ECT1, NOT_ECT } from "../../../tools/sim/frames.ts";
import type { TcpOptions } from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import { flood } from "./flood.ts";
import {
  ACK,
  type Connected,
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

/** Accurate ECN feedback (RFC 9768). */

const ASK = SYN | AE | CWR | ECE;
const OPTIONS: TcpOptions = { mss: 1460 };

/** A number as the flags AE, CWR and ECE. */
function ace(value: number): number {
  return ((value & 4) << 6) | ((value & 2) << 6) | ((value & 1) << 6);
}

/** ACE of a segment's flags. */
function aceOf(flags: number): number {
  return flags >> 6;
}

/** Codes of the handshake (table 3). */
const CODE = { [NOT_ECT]: 0b010, [ECT1]: 0b011, [ECT0]: 0b100, [CE]: 0b110 } as const;

function ready(world: World, ecn: string): Program {
  return new Program(world.ready({ commandLine: `gw=10.0.0.1 ecn=${ecn}` }).machine);
}

interface GrantOptions {
  /** ACE of the last ACK of the handshake. */
  last?: number;
  options?: TcpOptions;
  /** The peer's first ACK has the option. */
  option?: boolean;
}

/** A connection that the peer opened, asking for accurate feedback. */
function granted(world: World, { last = CODE[NOT_ECT], options, option }: GrantOptions = {}) {
  const program = ready(world, "passive");
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options: { ...OPTIONS, ...options } });
  const answer = peer.take(peer.expect({ flags: SYN | ACK | ace(CODE[NOT_ECT]) }));
  peer.irs = answer.seq;
  if (options?.timestamps) peer.options = { timestamps: [2, answer.options.timestamps![0]] };
  peer.send({
    flags: ACK | ace(last),
    options: { ...peer.options, ...(option && { accurateEcn: [172, 1, 0, 1] }) },
  });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  return { world, program, listener, socket, peer };
}

/** A connection that the machine has begun to open. */
function asking(world: World) {
  const program = ready(world, "accurate");
  const peer = world.peer().tcp(MACHINE, 3000, 7);
  const socket = program.connect("10.0.0.1", 7, 3000);
  return { world, program, socket, peer };
}

/** The same, answered. */
function opened(world: World, options: TcpOptions = OPTIONS, ecn = NOT_ECT) {
  const all = asking(world);
  const { peer } = all;
  peer.irs = peer.take(peer.expect({ flags: ASK, ecn: NOT_ECT })).seq;
  peer.send({ flags: SYN | ACK | ace(CODE[NOT_ECT]), options, ecn });
  const last = peer.expect({ ack: peer.iss + 1, length: 0 });
  return { ...all, last };
}

/** Fills the initial window and takes it. */
function burst({
  program,
  socket,
  peer,
}: {
  program: Program;
  socket: number;
  peer: Connected["peer"];
}) {
  program.send(socket, pattern(60000));
  for (let i = 0; i < 10; i++) peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
}

// ---- The handshake ------------------------------------------------------------------------

for (const [name, codepoint] of Object.entries({
  "Not-ECT": NOT_ECT,
  "ECT(1)": ECT1,
  "ECT(0)": ECT0,
  CE,
})) {
  simulate(`RFC 9768, 3.1.1: a SYN that came as ${name} is told so by its grant`, (world) => {
    ready(world, "passive").listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    peer.send({ flags: ASK, options: OPTIONS, ecn: codepoint });
    const code = CODE[codepoint as keyof typeof CODE];
    peer.expect({ flags: SYN | ACK | ace(code), ecn: NOT_ECT });
  });

  simulate(
    `RFC 9768, 3.2.2.1: a SYN and ACK that came as ${name} is told so by its ACK`,
    (world) => {
      const { last } = opened(world, OPTIONS, codepoint);
      assert.equal(last.flags, ACK | ace(CODE[codepoint as keyof typeof CODE]));
    },
  );
}

simulate("RFC 9768, 3.1.3: unknown flags of a SYN count as all three", (world) => {
  ready(world, "passive").listen(PORT);
  for (const [i, code] of [1, 2, 4, 5, 6].entries()) {
    const peer = world.peer().tcp(MACHINE, PORT, 4000 + i);
    peer.send({ flags: SYN | ace(code), options: OPTIONS });
    peer.expect({ flags: SYN | ACK | ace(CODE[NOT_ECT]) });
  }
});

simulate("RFC 9768, 3.1.2: a SYN for classic feedback is granted that", (world) => {
  ready(world, "accurate").listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: SYN | CWR | ECE, options: OPTIONS });
  peer.expect({ flags: SYN | ACK | ECE });
});

simulate("RFC 9768, 3.1.2: a grant of 001 is classic feedback", (world) => {
  const { program, socket, peer } = asking(world);
  peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | ACK | ECE, options: OPTIONS });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(100));
  peer.take(peer.expect({ flags: ACK, length: 100, ecn: ECT0 }));
  peer.send({ payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ECE });
});

simulate("RFC 9768, 3.1.3: a grant of 101, unused today, is one of accurate feedback", (world) => {
  const { program, socket, peer } = asking(world);
  peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | ACK | ace(0b101), options: OPTIONS });
  peer.expect({ flags: ACK | ace(CODE[NOT_ECT]) });
  program.send(socket, pattern(100));
  peer.take(peer.expect({ flags: ACK | ace(5), length: 100, ecn: ECT0 }));
});

simulate("RFC 9768, 3.1.2: SYNs that cross agree on what either would grant", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: ASK, options: OPTIONS, ecn: ECT1 });
  peer.expect({ flags: SYN | ACK | ace(CODE[ECT1]), seq: syn.seq });
  const both = { seq: peer.iss, ack: syn.seq + 1, options: OPTIONS };
  peer.send({ ...both, flags: SYN | ACK | ace(CODE[NOT_ECT]) });
  world.run(MILLISECOND);
  program.send(socket, pattern(100));
  peer.take(peer.expect({ flags: ACK | ace(5), length: 100, ecn: ECT0 }));
  peer.send({ flags: ACK | ace(6), payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ace(6) });
  assert.equal(program.tcp.ecnReductions, 1);
});

simulate("RFC 9768, 3.1.2: SYNs that cross, one of them for classic feedback", (world) => {
  const { program, socket, peer } = asking(world);
  const syn = peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | CWR | ECE, options: OPTIONS });
  peer.expect({ flags: SYN | ACK | ECE, seq: syn.seq });
  peer.send({ flags: ACK, ack: syn.seq + 1, payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ECE });
  program.send(socket, pattern(100));
  peer.expect({ flags: ACK | ECE, length: 100, ecn: ECT0 });
});

for (const [first, second] of [
  [ASK, SYN | CWR | ECE],
  [SYN | CWR | ECE, ASK],
] as const) {
  simulate(
    `RFC 9768, 3.1.5: SYNs of ${aceOf(first)} and ${aceOf(second)} in one handshake are reset`,
    (world) => {
      const program = ready(world, "passive");
      program.listen(PORT);
      const peer = world.peer().tcp(MACHINE, PORT, 4000);
      peer.send({ flags: first, options: OPTIONS, seq: peer.iss });
      peer.expect({ ack: peer.iss + 1 });
      peer.send({ flags: second, options: OPTIONS, seq: peer.iss });
      peer.expect({ flags: RST | ACK, ack: peer.iss + 1 });
      assert.equal(program.tcp.halfOpen, 0);
    },
  );
}

simulate("RFC 9768, 3.1.5: the grant tells how the latest SYN came", (world) => {
  ready(world, "passive").listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options: OPTIONS, seq: peer.iss });
  peer.expect({ flags: SYN | ACK | ace(CODE[NOT_ECT]) });
  peer.send({ flags: ASK, options: OPTIONS, seq: peer.iss, ecn: CE });
  peer.expect({ flags: SYN | ACK | ace(CODE[CE]) });
});

for (const code of [0b000, 0b111]) {
  simulate(`RFC 9768, 3.1.2: an answer of ${code} is no grant`, (world) => {
    const { program, socket, peer } = asking(world);
    peer.take(peer.expect({ flags: ASK }));
    peer.send({ flags: SYN | ACK | ace(code), options: OPTIONS });
    peer.expect({ flags: ACK });
    program.send(socket, pattern(100));
    peer.take(peer.expect({ flags: ACK, length: 100, ecn: NOT_ECT }));
    peer.send({ payload: pattern(10), ecn: CE });
    peer.expect({ flags: ACK });
  });
}

simulate("RFC 9768, 3.1.4.1: the SYN asks twice, then no more", (world) => {
  const { peer } = asking(world);
  const { seq } = peer.expect({ flags: ASK });
  peer.expect({ flags: ASK, seq }, 3 * SECOND);
  peer.expect({ flags: SYN, seq }, 5 * SECOND);
});

simulate(
  "RFC 9768, 3.1.4.1: a grant after a SYN that did not ask is good for who asked before",
  (world) => {
    const { program, socket, peer } = asking(world);
    peer.expect({ flags: ASK });
    peer.expect({ flags: ASK }, 3 * SECOND);
    peer.take(peer.expect({ flags: SYN }, 5 * SECOND));
    peer.send({ flags: SYN | ACK | ace(CODE[NOT_ECT]), options: OPTIONS });
    peer.expect({ flags: ACK | ace(CODE[NOT_ECT]) });
    program.send(socket, pattern(100));
    peer.take(peer.expect({ length: 100, ecn: ECT0 }));
    peer.send({ flags: ACK | ace(5), payload: pattern(10), ecn: CE });
    peer.expect({ flags: ACK | ace(6) });
  },
);

simulate(
  "RFC 9768, 3.2.3.2.2: the grant goes again without its option, then without flags",
  (world) => {
    const program = ready(world, "passive");
    const listener = program.listen(PORT);
    const peer = world.peer().tcp(MACHINE, PORT, 4000);
    peer.send({ flags: ASK, options: OPTIONS });
    const first = peer.expect({ flags: SYN | ACK | ace(CODE[NOT_ECT]) });
    assert.deepEqual(first.options.accurateEcn, [172, 1, 0, 1]);
    const second = peer.expect({ flags: SYN | ACK | ace(CODE[NOT_ECT]) }, 2 * SECOND);
    assert.equal(second.options.accurateEcn, undefined);
    peer.take(peer.expect({ flags: SYN | ACK }, 3 * SECOND));
    peer.send({ flags: ACK | ace(CODE[NOT_ECT]) });
    world.run(MILLISECOND);
    program.send(program.accept(listener), pattern(10));
    peer.expect({ flags: ACK | ace(5), length: 10, ecn: NOT_ECT });
  },
);

simulate(
  "RFC 9768, 3.2.2.3: a grant that says our SYN was marked makes nothing markable",
  (world) => {
    const { program, socket, peer } = asking(world);
    peer.take(peer.expect({ flags: ASK }));
    peer.send({ flags: SYN | ACK | ace(CODE[ECT0]), options: OPTIONS });
    peer.expect({ flags: ACK | ace(CODE[NOT_ECT]) });
    program.send(socket, pattern(100));
    peer.expect({ flags: ACK | ace(5), length: 100, ecn: NOT_ECT });
  },
);

for (const code of [CODE[ECT0], CODE[ECT1], CODE[CE]]) {
  simulate(
    `RFC 9768, 3.2.2.3: a last ACK of ${code.toString(2)} for a SYN and ACK that was not ECT`,
    (world) => {
      const { program, socket, peer } = granted(world, { last: code });
      program.send(socket, pattern(100));
      peer.take(peer.expect({ flags: ACK | ace(5), length: 100, ecn: NOT_ECT }));
      // A mark is answered (3.2.2.2), then and later on (3.1.5).
      const first = code === CODE[CE] ? 1 : 0;
      assert.equal(program.tcp.ecnReductions, first);
      peer.send({ flags: ACK | ace(6 + first) });
      world.run(MILLISECOND);
      assert.equal(program.tcp.ecnReductions, first + 1);
    },
  );
}

simulate("RFC 9768, 3.2.2.2: a grant that says our SYN was marked shrinks the window", (world) => {
  const { program, socket, peer } = asking(world);
  peer.take(peer.expect({ flags: ASK }));
  peer.send({ flags: SYN | ACK | ace(CODE[CE]), options: OPTIONS });
  peer.expect({ flags: ACK | ace(CODE[NOT_ECT]) });
  program.send(socket, pattern(20_000));
  for (let i = 0; i < 2; i++) peer.expect({ length: 1460, ecn: NOT_ECT });
  peer.expectNone(50 * MILLISECOND);
});

simulate("RFC 9768, 3.2.2.1: a SYN and ACK that comes again has its own answer", (world) => {
  const { peer, program, socket } = opened(world, OPTIONS, CE);
  program.send(socket, pattern(10));
  peer.take(peer.expect({ flags: ACK | ace(6), length: 10 }));
  // A mark counts once, however many copies have one.
  for (const ecn of [CE, ECT0]) {
    const again = { flags: SYN | ACK | ace(CODE[NOT_ECT]), seq: peer.iss, options: OPTIONS, ecn };
    peer.send(again);
    peer.expect({ flags: ACK | ace(CODE[ecn as keyof typeof CODE]), length: 0 });
  }
  peer.send({ flags: ACK | ace(5), payload: pattern(10) });
  peer.expect({ flags: ACK | ace(6), length: 0 });
});

simulate(
  "RFC 9768, 3.2.2.1: a last ACK of zero was cleared: feedback goes one way only",
  (world) => {
    const { program, socket, peer } = granted(world, { last: 0 });
    program.send(socket, pattern(100));
    peer.take(peer.expect({ flags: ACK | ace(5), length: 100, ecn: NOT_ECT }));
    peer.send({ flags: ACK, payload: pattern(10), ecn: CE });
    peer.expect({ flags: ACK | ace(6) });
    assert.equal(program.tcp.ecnReductions, 0);
  },
);

for (const code of [0b001, 0b101, 0b111]) {
  simulate(
    `RFC 9768, 3.2.2.1: a last ACK of ${code.toString(2)}, unused today, is taken`,
    (world) => {
      const { program, socket, peer } = granted(world, { last: code });
      program.send(socket, pattern(100));
      peer.expect({ flags: ACK | ace(5), length: 100, ecn: ECT0 });
    },
  );
}

simulate("RFC 9768, 3.2.2.4: a first ACE of zero was cleared: nothing is markable", (world) => {
  const { program, socket, peer } = opened(world);
  peer.send({ flags: ACK, payload: pattern(10) });
  world.run(MILLISECOND);
  program.send(socket, pattern(100));
  peer.expect({ length: 100, ecn: NOT_ECT });
});

// ---- The receiver of data -----------------------------------------------------------------

simulate("RFC 9768, 3.2.2.2: ACE counts marked packets from 5 and wraps", (world) => {
  const { peer } = granted(world);
  for (let count = 6; count < 16; count++) {
    peer.send({ flags: ACK | ace(5), payload: pattern(100), ecn: CE });
    peer.expect({ flags: ACK | ace(count & 7), ack: peer.sndNxt });
  }
});

simulate("RFC 9768, 3.2.2.2: unmarked packets do not count", (world) => {
  const { peer } = granted(world);
  peer.send({ flags: ACK | ace(5), payload: pattern(1460), ecn: ECT0 });
  peer.send({ flags: ACK | ace(5), payload: pattern(1460), ecn: ECT1 });
  peer.expect({ flags: ACK | ace(5), ack: peer.sndNxt });
});

simulate("RFC 9768, 3.2.2.2: a marked ACK without data counts too", (world) => {
  const { program, socket, peer } = granted(world);
  peer.send({ flags: ACK | ace(5), ecn: CE });
  world.run(MILLISECOND);
  program.send(socket, pattern(10));
  peer.expect({ flags: ACK | ace(6), length: 10 });
});

simulate("RFC 9768, 3.2.2.2: a marked SYN and ACK counts", (world) => {
  const { program, socket, peer } = opened(world, OPTIONS, CE);
  program.send(socket, pattern(10));
  peer.expect({ flags: ACK | ace(6), length: 10 });
});

simulate("RFC 9768, 3.2.2.2: a marked packet outside the window does not count", (world) => {
  const { peer } = granted(world);
  peer.send({ flags: ACK | ace(5), seq: peer.sndNxt + 9_999_999, payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ace(5), ack: peer.sndNxt });
});

simulate("RFC 9768, 3.2.2.5.1: data that is marked after what was not is told at once", (world) => {
  const { peer } = granted(world);
  const data = { flags: ACK | ace(5), payload: pattern(10) };
  for (let i = 0; i < 2; i++) {
    peer.send({ ...data, ecn: CE });
    peer.expect({ flags: ACK | ace(6 + i) }, 5 * MILLISECOND);
    peer.send({ ...data, ecn: ECT0 });
    peer.expectNone(10 * MILLISECOND);
    peer.expect({ flags: ACK | ace(6 + i) });
  }
});

simulate("RFC 9768, 3.2.2.5.1: two marks are acknowledged at once", (world) => {
  const { peer } = granted(world);
  peer.send({ flags: ACK | ace(5), payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ace(6) }, 5 * MILLISECOND);
  peer.send({ flags: ACK | ace(5), payload: pattern(10), ecn: CE });
  peer.expectNone(10 * MILLISECOND);
  peer.send({ flags: ACK | ace(5), payload: pattern(10), ecn: CE });
  peer.expect({ flags: ACK | ace(0) }, 5 * MILLISECOND);
});

simulate("RFC 9768, 3.2.2.5.1: of marked ACKs alone the third is acknowledged", (world) => {
  const { peer } = granted(world);
  for (let i = 0; i < 2; i++) peer.send({ flags: ACK | ace(5), ecn: CE });
  peer.expectNone(100 * MILLISECOND);
  peer.send({ flags: ACK | ace(5), ecn: CE });
  peer.expect({ flags: ACK | ace(0) }, 5 * MILLISECOND);
});

simulate("RFC 9768, 3.2.2.5.1: of marks in one burst no ACE covers more than six", (world) => {
  const { peer } = granted(world);
  for (let i = 0; i < 16; i++) {
    peer.send({ flags: ACK | ace(5), payload: pattern(100), ecn: CE });
  }
  world.run(20 * MILLISECOND);
  let before = 5;
  let total = 0;
  for (const { tcp } of peer.peer.inbox) {
    const step = (aceOf(tcp!.flags) - before) & 7;
    assert.ok(step <= 6, `${step}`);
    total += step;
    before = aceOf(tcp!.flags);
  }
  assert.equal(total, 16);
});

simulate(
  "RFC 9768, 3.2.2.1: only the first ACK of who connects has a code, then ACE counts",
  (world) => {
    const { program, socket, peer } = opened(world);
    program.send(socket, pattern(10));
    peer.take(peer.expect({ flags: ACK | ace(5), length: 10 }));
    peer.send({ flags: ACK | ace(5), payload: pattern(10), ecn: ECT0 });
    peer.expect({ flags: ACK | ace(5), length: 0 });
  },
);

simulate("a reset has no ACE", (world) => {
  const { program, socket, peer } = granted(world);
  peer.send({ flags: ACK | ace(5), payload: pattern(10) });
  world.run(MILLISECOND);
  program.close(socket);
  peer.expect({ flags: RST | ACK });
});

simulate("a FIN has ACE", (world) => {
  const { program, socket, peer } = granted(world);
  program.close(socket);
  peer.expect({ flags: FIN | ACK | ace(5) });
});

// ---- The option ---------------------------------------------------------------------------

simulate(
  "RFC 9768, 3.2.3: the option counts payload bytes by codepoint, ECT(0) from 1",
  (world) => {
    const { peer } = granted(world, { option: true });
    peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
    peer.send({ flags: ACK | ace(5), payload: pattern(1460), ecn: ECT0 });
    const ack = peer.expect({ flags: ACK | ace(5), ack: peer.sndNxt });
    assert.deepEqual(ack.options.accurateEcn, [172, 2461]);
  },
);

simulate("RFC 9768, 3.2.3: marked bytes are the second counter", (world) => {
  const { peer } = granted(world, { option: true });
  peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
  peer.send({ flags: ACK | ace(5), payload: pattern(300), ecn: CE });
  const ack = peer.expect({ flags: ACK | ace(6), ack: peer.sndNxt });
  assert.deepEqual(ack.options.accurateEcn, [172, 1001, 300]);
});

simulate("RFC 9768, 3.2.3: ECT(1) alone takes the other order", (world) => {
  const { peer } = granted(world, { option: true });
  peer.send({ flags: ACK | ace(5), payload: pattern(700), ecn: ECT1 });
  peer.send({ flags: ACK | ace(5), payload: pattern(300), ecn: CE });
  const ack = peer.expect({ flags: ACK | ace(6), ack: peer.sndNxt });
  assert.deepEqual(ack.options.accurateEcn, [174, 701, 300]);
});

simulate(
  "RFC 9768, 3.2.3: all three counters when all have changed, beside timestamps",
  (world) => {
    const { peer } = granted(world, { option: true, options: { timestamps: [1, 0] } });
    const segments = [ECT0, CE, ECT1, ECT0];
    for (const ecn of segments) peer.send({ flags: ACK | ace(5), payload: pattern(100), ecn });
    world.run(100 * MILLISECOND);
    const last = peer.peer.inbox.filter((frame) => frame.tcp).at(-1)!.tcp!;
    assert.ok(last.options.timestamps);
    assert.deepEqual(last.options.accurateEcn, [172, 201, 100, 101]);
  },
);

simulate("RFC 9768, 3.2.3.3: an ACK without news has no option", (world) => {
  const { peer } = granted(world, { option: true });
  peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
  assert.ok(peer.expect({ ack: peer.sndNxt }).options.accurateEcn);
  peer.send({ flags: ACK | ace(5), payload: pattern(1000) });
  assert.equal(peer.expect({ ack: peer.sndNxt }).options.accurateEcn, undefined);
});

simulate("RFC 9768, 3.2.3.3: what has ever changed comes with what is news", (world) => {
  const { peer } = granted(world, { option: true });
  peer.send({ flags: ACK | ace(5), payload: pattern(300), ecn: CE });
  assert.deepEqual(peer.expect({ ack: peer.sndNxt }).options.accurateEcn, [172, 1, 300]);
  peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
  assert.deepEqual(peer.expect({ ack: peer.sndNxt }).options.accurateEcn, [172, 1001, 300]);
});

simulate("RFC 9768, 3.2.3.3: beside SACK blocks only the news has room", (world) => {
  const { peer } = granted(world, {
    option: true,
    options: { timestamps: [1, 0], sackPermitted: true },
  });
  const data = { flags: ACK | ace(5), payload: pattern(100) };
  for (const ecn of [CE, ECT1]) peer.send({ ...data, ecn });
  world.run(100 * MILLISECOND);
  const from = peer.sndNxt;
  peer.peer.inbox = [];
  peer.send({ ...data, seq: from + 200, ecn: ECT1 });
  peer.send({ ...data, seq: from + 400, ecn: ECT1 });
  world.run(100 * MILLISECOND);
  const first = peer.peer.inbox.find((frame) => frame.tcp)!.tcp!;
  assert.equal(first.options.sack?.length, 2);
  assert.deepEqual(first.options.accurateEcn, [174, 301, 100]);
});

simulate(
  "RFC 9768, 3.2.3.3: an ACK that goes with data has the option, and room for it",
  (world) => {
    const { peer, program, socket } = granted(world, { option: true });
    peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
    world.run(5 * MILLISECOND);
    program.send(socket, pattern(5000));
    const first = peer.take(peer.expect({ ack: peer.sndNxt }));
    assert.deepEqual(first.options.accurateEcn, [172, 1001]);
    assert.equal(first.payload.length, 1452);
  },
);

simulate("RFC 9768, 3.2.3.3: data that acknowledges nothing has no option", (world) => {
  const { peer, program, socket } = granted(world, { option: true });
  peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
  assert.ok(peer.expect({ ack: peer.sndNxt }).options.accurateEcn);
  program.send(socket, pattern(5000));
  const first = peer.take(peer.expect({ length: 1460 }));
  assert.equal(first.options.accurateEcn, undefined);
});

simulate(
  "RFC 9768, 3.2.3.2.5: marked bytes without a marked packet are somebody's lie",
  (world) => {
    const all = granted(world, { option: true });
    const { peer, program, socket } = all;
    program.send(socket, pattern(2920));
    for (let i = 0; i < 2; i++) peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
    peer.send({ flags: ACK | ace(5), options: { accurateEcn: [172, 1461, 1460] } });
    world.run(MILLISECOND);
    program.send(socket, pattern(100));
    peer.expect({ length: 100, ecn: NOT_ECT });
  },
);

simulate("RFC 9768, 3.2.3.2.1: who never sent the option gets none", (world) => {
  const { peer } = granted(world);
  peer.send({ flags: ACK | ace(5), payload: pattern(1000), ecn: ECT0 });
  assert.equal(peer.expect({ ack: peer.sndNxt }).options.accurateEcn, undefined);
});

simulate("RFC 9768, 3.2.3.2.1: a grant with the option is answered with it", (world) => {
  const { last } = opened(world, { ...OPTIONS, accurateEcn: [172, 1, 0, 1] });
  assert.deepEqual(last.options.accurateEcn, [172, 1, 0, 1]);
});

// ---- The sender of data -------------------------------------------------------------------

simulate("RFC 9768, 3.2.2.2: an ACE that has grown shrinks the window, without CWR", (world) => {
  const all = granted(world);
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(6) });
  for (let i = 0; i < 8; i++) {
    const { flags } = peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
    assert.equal(aceOf(flags), 5);
  }
  peer.expectNone(50 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 1);
});

simulate("RFC 9768, 3.2.2.2: an ACE that stays does nothing", (world) => {
  const all = granted(world);
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), ack: peer.rcvNxt - 1460 * 5 });
  peer.send({ flags: ACK | ace(5) });
  for (let i = 0; i < 10; i++) peer.take(peer.expect({ length: 1460, ecn: ECT0 }));
  assert.equal(program.tcp.ecnReductions, 0);
});

simulate("RFC 9768, 3.2.2.5.2: an old ACK's ACE says nothing", (world) => {
  const all = granted(world);
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), ack: peer.rcvNxt - 1460 * 5 });
  peer.send({ flags: ACK | ace(4), ack: peer.rcvNxt - 1460 * 7 });
  peer.send({ flags: ACK | ace(4), ack: peer.rcvNxt - 1460 * 5 });
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 0);
});

simulate(
  "RFC 9768, 3.2.2.5.2: when ACE may have gone round unseen, the worst is assumed",
  (world) => {
    const all = granted(world);
    const { peer, program } = all;
    burst(all);
    // Ten segments by one ACK: eight marks look like none.
    peer.send({ flags: ACK | ace(5) });
    world.run(20 * MILLISECOND);
    assert.equal(program.tcp.ecnReductions, 1);
  },
);

simulate("RFC 9768, A.2.2: the option's bytes tell that ACE has not gone round", (world) => {
  const all = granted(world, { option: true });
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), options: { accurateEcn: [172, 14601, 0] } });
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 0);
});

simulate("RFC 9768, A.2.2: the option's bytes tell that ACE has gone round", (world) => {
  const all = granted(world, { option: true });
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), options: { accurateEcn: [172, 2921, 11680] } });
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 1);
});

simulate("RFC 9768, 3.2.3.2.4: an option whose counters were cleared is not believed", (world) => {
  const all = granted(world);
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), options: { accurateEcn: [172, 0, 0] } });
  world.run(20 * MILLISECOND);
  // As without the option: the worst is assumed.
  assert.equal(program.tcp.ecnReductions, 1);
});

simulate("RFC 9768, 3.2.3: an option of another length counts as far as it goes", (world) => {
  const all = granted(world);
  const { peer, program } = all;
  burst(all);
  peer.send({ flags: ACK | ace(5), options: { accurateEcn: [174] } });
  world.run(20 * MILLISECOND);
  assert.equal(program.tcp.ecnReductions, 1);
  assert.equal(program.tcp.malformed, 0);
});

// ---- With a cookie in place of memory -----------------------------------------------------

for (const [name, asked, code] of [
  ["classic", SYN | CWR | ECE, 0],
  ["accurate", ASK, CODE[NOT_ECT]],
] as const) {
  simulate(`RFC 9768, 5.1: ${name} feedback outlives a SYN cookie with timestamps`, (world) => {
    const program = ready(world, "passive");
    const listener = program.listen(PORT);
    const host = world.peer();
    flood(world, host, PORT, 3000);
    assert.ok(program.tcp.synCookiesSent > 0);
    const peer = host.tcp(MACHINE, PORT, 4000);
    peer.send({ flags: asked, options: { ...OPTIONS, timestamps: [7, 0] } });
    const grant = peer.take(peer.expect({ ack: peer.iss + 1 }));
    assert.equal(aceOf(grant.flags), code || 1);
    peer.options = { timestamps: [8, grant.options.timestamps![0]] };
    peer.send({ flags: ACK | ace(code) });
    world.run(MILLISECOND);
    const socket = program.accept(listener);
    program.send(socket, pattern(100));
    const sent = peer.take(peer.expect({ length: 100, ecn: ECT0 }));
    assert.equal(aceOf(sent.flags), code ? 5 : 0);
  });
}

simulate("a SYN cookie without timestamps has no room for ECN", (world) => {
  const program = ready(world, "passive");
  program.listen(PORT);
  const host = world.peer();
  flood(world, host, PORT, 3000);
  const peer = host.tcp(MACHINE, PORT, 4000);
  peer.send({ flags: ASK, options: OPTIONS });
  peer.expect({ flags: SYN | ACK });
});

// ---- Whole flows --------------------------------------------------------------------------

/** A second of sending over a link that marks rather than drops; what the checks need. */
function flow(world: World, ecn: string) {
  const stations = ["10.0.0.2/24", "10.0.0.3/24"].map((ip) =>
    world.ready({ ip, commandLine: `ecn=${ecn}`, memory: 64 << 20 }),
  );
  const [client, server] = stations.map(({ machine }) => new Program(machine)) as [
    Program,
    Program,
  ];
  const listener = server.listen(PORT);
  const from = client.connect("10.0.0.3", PORT);
  world.run(100 * MILLISECOND);
  const to = server.accept(listener);
  const chunk = pattern(65536);
  let bytes = 0;
  const run = (duration: number): void => {
    for (const end = world.simulation.now + duration; world.simulation.now < end;) {
      while (client.send(from, chunk) > 0);
      world.run(MILLISECOND);
      for (;;) {
        const piece = server.receive(to);
        if (typeof piece === "number") break;
        bytes += piece.length;
      }
    }
  };
  run(SECOND);
  bytes = 0;
  run(SECOND);
  return { bytes, client, server };
}

for (const ecn of ["on", "accurate"]) {
  simulate(
    `ecn=${ecn}: a path that marks is filled without a loss`,
    (world) => {
      const { bytes, client, server } = flow(world, ecn);
      assert.equal(client.tcp.retransmits, 0);
      assert.equal(world.link.counts.overflowed, 0);
      assert.ok(server.tcp.congestionMarks > 10 && client.tcp.ecnReductions > 1);
      // Of 1,538 bytes on the wire, 1,448 are payload.
      const share = (bytes * 8) / (20e6 * (1448 / 1538));
      assert.ok(share > 0.9, `${(share * 100).toFixed(1)} %`);
    },
    { delay: 10 * MILLISECOND, rate: 20_000_000, queue: 400_000, markAbove: 40_000 },
  );
}

simulate(
  "ecn=off: the same path overflows",
  (world) => {
    const { client } = flow(world, "off");
    assert.ok(world.link.counts.overflowed > 0 && client.tcp.retransmits > 0);
    assert.equal(world.link.counts.marked, 0);
  },
  { delay: 10 * MILLISECOND, rate: 20_000_000, queue: 100_000, markAbove: 40_000 },
);
