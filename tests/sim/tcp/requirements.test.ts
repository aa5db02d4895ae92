import assert from "node:assert/strict";
import { PSH, URG } from "../../../tools/sim/frames.ts";
import { simulate } from "../harness.ts";
import { icmpAbout } from "./icmp.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** Requirements of RFC 9293's appendix B, by their numbers, that other files do not have by name. */

simulate("RFC 9293, 3.1 (MUST-1): a window of 32,768 or more is no negative number", (world) => {
  const { program, socket, peer } = connected(world, { window: 0x8000 });
  program.send(socket, pattern(1000));
  peer.take(peer.expect({ length: 1000 }));
  peer.send({ window: 0xffff });
  world.run(MILLISECOND);
  program.send(socket, pattern(1000));
  peer.expect({ length: 1000 });
});

/** An option of a kind that is for experiments (RFC 4727, 2.2), and two NOPs. */
const UNKNOWN = [1, 1, 253, 6, 1, 2, 3, 4];

simulate("RFC 9293, 3.2 (MUST-5, MUST-6): unknown options are ignored, in any segment", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  peer.options = { raw: UNKNOWN };
  peer.connect({ raw: UNKNOWN, mss: 700 });
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(100));
  program.send(socket, pattern(1400));
  peer.expect({ length: 700 });
});

simulate("RFC 9293, 3.2 (MUST-64): options are read wherever they begin", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  const peer = world.peer().tcp(MACHINE, PORT, 4000);
  const answer = peer.connect({ raw: [1, 2, 4, 700 >> 8, 700 & 255], windowScale: 3 });
  assert.notEqual(answer.options.windowScale, undefined);
  world.run(MILLISECOND);
  program.send(program.accept(listener), pattern(1400));
  peer.expect({ length: 700 });
});

for (const [what, raw] of [
  ["0", [253, 0]],
  ["1", [253, 1]],
  ["more than there is", [253, 40]],
  ["no byte at all", [1, 1, 1, 253]],
] as const) {
  simulate(`RFC 9293, 3.2 (MUST-7): an option with a length of ${what} does no harm`, (world) => {
    const { program, socket, peer } = connected(world);
    peer.send({ payload: pattern(100), options: { raw: [...raw] } });
    world.run(MILLISECOND);
    assert.deepEqual(program.receive(socket), pattern(100));
  });
}

simulate("RFC 9293, 3.7.1 (MUST-65): only a SYN has the MSS option", (world) => {
  const { program, socket, peer } = connecting(world);
  assert.equal(peer.take(peer.expect({ flags: SYN })).options.mss, 1460);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  assert.equal(peer.expect({ flags: ACK }).options.mss, undefined);
  program.send(socket, pattern(10));
  assert.equal(peer.expect({ length: 10 }).options.mss, undefined);
});

simulate(
  "RFC 9293, 3.9.1.2 (MUST-60, MUST-61): the last segment of what waits has PSH",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.noDelay(socket);
    program.send(socket, pattern(3500));
    const flags = [1460, 1460, 580].map((length) => peer.take(peer.expect({ length })).flags & PSH);
    assert.deepEqual(flags, [0, 0, PSH]);
  },
);

for (const [what, flags] of [
  ["an RST", RST],
  ["URG", ACK | URG],
] as const) {
  simulate(`RFC 9293, 3.10.7.4 (MUST-66): ${what} is taken though our window is shut`, (world) => {
    const { program, socket, peer } = connected(world);
    program.send(socket, pattern(10));
    const data = peer.expect({ length: 10 });
    for (let window = 65535, sent = 0; window > 0;) {
      const length = Math.min(1460, window);
      peer.send({ ack: data.seq, payload: pattern(length, sent) });
      sent += length;
      window = peer.expect({ ack: peer.sndNxt }).window;
    }
    peer.send({ flags, ack: data.seq + 10 });
    world.run(MILLISECOND);
    assert.equal(program.tcp.established, flags & RST ? 0 : 1);
    // The ACK beside URG counts: what was sent is not sent again.
    peer.peer.inbox = [];
    world.run(2 * SECOND);
    assert.deepEqual(
      peer.peer.inbox.filter(({ tcp }) => tcp?.payload.length),
      [],
    );
    if (flags & RST) assert.equal(program.error(socket), ECONNRESET);
  });
}

const SOFT = [
  ["network unreachable", 3, 0],
  ["host unreachable", 3, 1],
  ["source route failed", 3, 5],
  ["source quench", 4, 0],
  ["time exceeded", 11, 0],
  ["parameter problem", 12, 0],
] as const;

for (const [what, type, code] of SOFT) {
  const number = type === 4 ? "MUST-55" : "MUST-56";
  simulate(`RFC 9293, 3.9.2.2 (${number}): ${what} ends no attempt to connect`, (world) => {
    const { program, socket, peer } = connecting(world);
    const syn = peer.take(peer.expect({ flags: SYN }));
    icmpAbout(peer, type, code, syn.seq);
    world.run(MILLISECOND);
    peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
    peer.expect({ flags: ACK });
    assert.equal(program.send(socket, pattern(5)), 5);
    peer.expect({ length: 5 });
  });

  simulate(`RFC 9293, 3.9.2.2 (${number}): ${what} ends no connection`, (world) => {
    const { program, socket, peer } = connected(world);
    program.send(socket, pattern(10));
    const segment = peer.take(peer.expect({ length: 10 }));
    icmpAbout(peer, type, code, segment.seq);
    world.run(MILLISECOND);
    assert.equal(program.receive(socket), EAGAIN);
    peer.send();
    world.run(MILLISECOND);
    assert.equal(program.send(socket, pattern(5)), 5);
    peer.expect({ length: 5 });
    if (type === 4) assert.equal(program.error(socket), 0);
  });
}

for (const [what, code] of [
  ["protocol unreachable", 2],
  ["port unreachable", 3],
] as const) {
  simulate(`RFC 9293, 3.9.2.2 (SHLD-26): ${what} ends an attempt to connect`, (world) => {
    const { program, socket, peer } = connecting(world);
    icmpAbout(peer, 3, code, peer.expect({ flags: SYN }).seq);
    world.run(MILLISECOND);
    assert.equal(program.error(socket), ECONNREFUSED);
    peer.expectNone(5 * SECOND);
  });
}

simulate("RFC 9293, 3.5.3 (SHLD-2): a reset may carry data", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: RST | ACK, payload: Buffer.from("out of memory") });
  world.run(MILLISECOND);
  assert.equal(program.receive(socket), -ECONNRESET);
});
