import assert from "node:assert/strict";
import { parse } from "../../../tools/sim/frames.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import { simulate, type World } from "../harness.ts";
import { icmpAbout } from "./icmp.ts";
import {
  ACK,
  connected,
  type Connected,
  connecting,
  EAGAIN,
  MACHINE,
  MILLISECOND,
  pattern,
  PORT,
  Program,
  SECOND,
} from "./program.ts";

/** The size of segments: RFC 1191, 5927 (7.2), 4821 and 8899. */

// ---- What routers say ----------------------------------------------------------------------

const TOO_BIG = [3, 4] as const;

/** A connection on which a segment of 1,460 bytes has arrived. */
function proven(world: World): Connected {
  const made = connected(world);
  const { program, socket, peer } = made;
  program.send(socket, pattern(1460));
  peer.take(peer.expect({ length: 1460 }));
  peer.send();
  world.run(MILLISECOND);
  return made;
}

simulate("RFC 1191, 6.3: fragmentation needed makes segments smaller and sends again", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq, 1000);
  peer.take(peer.expect({ seq: segment.seq, length: 960 }, 100 * MILLISECOND));
  peer.take(peer.expect({ length: 500 }));
});

simulate("RFC 5927, 7.2: a path MTU below what a host may fear is not believed", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq, 68);
  peer.expect({ seq: segment.seq, length: 512 }, 100 * MILLISECOND);
});

simulate("RFC 1191, 5: a router that gives no MTU is taken to mean the least", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq, 0);
  peer.expect({ seq: segment.seq, length: 512 }, 100 * MILLISECOND);
});

simulate("RFC 5927, 7.2: a claim of more than was ever sent is ignored", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq, 1500);
  icmpAbout(peer, ...TOO_BIG, segment.seq, 9000);
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.tcp.icmpIgnored, 2);
});

simulate("RFC 5927, 4.1: a claim about a segment that is not in flight is ignored", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq - 1, 1000);
  icmpAbout(peer, ...TOO_BIG, segment.seq + 1460, 1000);
  peer.expectNone(100 * MILLISECOND);
  assert.equal(program.tcp.icmpIgnored, 2);
});

simulate(
  "RFC 5927, 7.2: of sizes that have arrived, a claim waits, and an ACK refutes it",
  (world) => {
    const { program, socket, peer } = proven(world);
    program.send(socket, pattern(1460, 1460));
    const segment = peer.take(peer.expect({ length: 1460 }));
    icmpAbout(peer, ...TOO_BIG, segment.seq, 1000);
    peer.expectNone(50 * MILLISECOND);
    peer.send();
    program.send(socket, pattern(2920, 2920));
    peer.expect({ length: 1460 });
    peer.expect({ length: 1460 });
    assert.equal(program.tcp.icmpIgnored, 1);
    assert.equal(program.tcp.pathShrinks, 0);
  },
);

simulate("RFC 5927, 7.2: a claim is believed when the segment times out", (world) => {
  const { program, socket, peer } = proven(world);
  program.send(socket, pattern(1460, 1460));
  const segment = peer.expect({ length: 1460 });
  icmpAbout(peer, ...TOO_BIG, segment.seq, 1000);
  peer.expectNone(100 * MILLISECOND);
  peer.take(peer.expect({ seq: segment.seq, length: 960 }, SECOND));
  peer.send();
  peer.take(peer.expect({ length: 500 }, SECOND));
  assert.equal(program.tcp.pathShrinks, 1);
});

simulate("RFC 5927, 7.2: a claim that was refuted does not come back", (world) => {
  const { program, socket, peer } = proven(world);
  program.send(socket, pattern(1460, 1460));
  const segment = peer.take(peer.expect({ length: 1460 }));
  icmpAbout(peer, ...TOO_BIG, segment.seq, 1000);
  peer.send();
  program.send(socket, pattern(1460, 2920));
  const next = peer.expect({ length: 1460 });
  peer.expect({ seq: next.seq, length: 1460 }, 2 * SECOND);
});

simulate("RFC 5927, 7.2: what has arrived is known after a rest, too", (world) => {
  const { program, socket, peer } = proven(world);
  world.run(30 * SECOND);
  program.send(socket, pattern(1460, 1460));
  const segment = peer.take(peer.expect({ length: 1460 }));
  icmpAbout(peer, ...TOO_BIG, segment.seq, 1000);
  peer.expectNone(50 * MILLISECOND);
  assert.equal(program.tcp.pathShrinks, 0);
});

/** The next connection from the same peer; accepted. */
function another(world: World, { program, listener, peer }: Connected): [PeerTcp, number] {
  const next = peer.peer.tcp(MACHINE, PORT, peer.localPort + 1);
  next.connect();
  world.run(MILLISECOND);
  return [next, program.accept(listener)];
}

simulate("RFC 1191, 5.2: the next connection begins with the path's MTU", (world) => {
  const made = connected(world);
  const { program, socket, peer } = made;
  program.send(socket, pattern(1460));
  icmpAbout(peer, ...TOO_BIG, peer.expect({ length: 1460 }).seq, 1000);
  peer.expect({ length: 960 }, 100 * MILLISECOND);
  const [next, socket2] = another(world, made);
  program.send(socket2, pattern(3000));
  next.expect({ length: 960 });
  next.expect({ length: 960 });
});

simulate("RFC 1191, 6.3: what the peer may send is not less for it", (world) => {
  const made = connected(world);
  const { program, socket, peer } = made;
  program.send(socket, pattern(1460));
  icmpAbout(peer, ...TOO_BIG, peer.expect({ length: 1460 }).seq, 1000);
  peer.expect({ length: 960 }, 100 * MILLISECOND);
  const next = peer.peer.tcp(MACHINE, PORT, 4100);
  assert.equal(next.connect().options.mss, 1460);
});

simulate("RFC 5927, 5.2: a claim about a SYN changes nothing", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: 2 }));
  icmpAbout(peer, ...TOO_BIG, syn.seq, 600);
  peer.send({ flags: 0x12, options: { mss: 1460 } });
  peer.expect({ flags: ACK });
  program.send(socket, pattern(1460));
  peer.expect({ length: 1460 });
});

// ---- What nobody says ----------------------------------------------------------------------

interface Bulk {
  sender: Program;
  receiver: Program;
  from: number;
  to: number;
  /** IP lengths of the sender's segments with data, in order. */
  sizes: number[];
}

/** Two machines with a connection between them. */
function bulk(world: World): Bulk {
  const far = world.station({ ip: "10.0.0.3/24" });
  const { machine } = world.ready();
  far.machine.expectLine(/eth0 link up/, 3 * SECOND);
  const receiver = new Program(far.machine);
  const sender = new Program(machine);
  const listener = receiver.listen(PORT);
  const from = sender.connect("10.0.0.3", PORT);
  world.run(10 * MILLISECOND);
  const to = receiver.accept(listener);
  const sizes: number[] = [];
  world.link.observe((bytes) => {
    const { ipv4, tcp } = parse(bytes);
    if (ipv4?.source === MACHINE && tcp?.payload.length) sizes.push(20 + ipv4.payload.length);
  });
  return { sender, receiver, from, to, sizes };
}

/** Carries `length` bytes over and holds that they are what was sent. */
function carry(world: World, made: Bulk, length: number, within: number): void {
  const { sender, receiver, from, to } = made;
  const end = world.simulation.now + within;
  let sent = 0;
  for (let received = 0; received < length; world.run(MILLISECOND)) {
    const result =
      sent < length ? sender.send(from, pattern(Math.min(length - sent, 65536), sent)) : 0;
    if (result > 0) sent += result;
    for (;;) {
      const bytes = receiver.receive(to);
      if (typeof bytes === "number") {
        assert.equal(bytes, EAGAIN);
        break;
      }
      assert.deepEqual(bytes, pattern(bytes.length, received));
      received += bytes.length;
    }
    assert.ok(world.simulation.now < end, `${received} of ${length} bytes in time`);
  }
}

/** The size that most of the sender's last segments had: probes are few. */
function lately(sizes: number[]): number {
  const last = sizes.slice(-100).sort((one, other) => one - other);
  return last[last.length >> 1]!;
}

/** Lets the link drop what is larger; it leaves room for a VLAN tag, which the machines do not use. */
function carries(world: World, mtu: number): void {
  world.link.conditions.mtu = mtu - 4;
}

simulate("RFC 4821, 7.7: a path that swallows large segments is found out", (world) => {
  const made = bulk(world);
  carries(world, 1400);
  carry(world, made, 100_000, 20 * SECOND);
  const { blackHoles, timeouts } = made.sender.tcp;
  assert.equal(blackHoles, 1);
  assert.equal(timeouts, 3);
});

simulate("RFC 8899, 5.3: the search ends just below what the path carries", (world) => {
  const made = bulk(world);
  carries(world, 1400);
  carry(world, made, 4_000_000, 60 * SECOND);
  const size = lately(made.sizes);
  assert.ok(size <= 1400 && size > 1400 - 2 * 8, `${size}`);
  const { pathRaises, pathProbes } = made.sender.tcp;
  assert.ok(pathRaises >= 2 && pathProbes <= 30, `${pathRaises} of ${pathProbes}`);
});

simulate("RFC 4821, 7.6: a probe that is lost alone is no congestion", (world) => {
  const made = bulk(world);
  carries(world, 1400);
  carry(world, made, 300_000, 20 * SECOND);
  const before = made.sender.tcp;
  carry(world, made, 4_000_000, 60 * SECOND);
  const after = made.sender.tcp;
  assert.ok(after.pathProbes - before.pathProbes >= 3, `${after.pathProbes} probes`);
  assert.equal(after.timeouts, before.timeouts);
  assert.equal(after.fastRetransmits, before.fastRetransmits);
});

simulate("RFC 4821, 7.6: a probe lost among others is not taken to have arrived", (world) => {
  const trip = 50 * MILLISECOND;
  const made = connected(world, { sack: true, window: 65535, delay: trip });
  const { program, socket, peer } = made;
  program.noDelay(socket);
  program.send(socket, pattern(1460));
  icmpAbout(peer, ...TOO_BIG, peer.expect({ length: 1460 }).seq, 1000);
  peer.take(peer.expect({ length: 960 }, 100 * MILLISECOND));
  peer.take(peer.expect({ length: 500 }));
  world.run(trip);
  peer.send();
  // The raise timer has expired; what goes first is as large as is known to arrive, and is overtaken.
  world.run(700 * SECOND);
  const first = world.simulation.now;
  for (let i = 0; i < 3; i++) {
    program.send(socket, pattern(960));
    world.run(MILLISECOND);
  }
  const sent = [0, 1, 2].map(() => peer.expect({ length: 960 }));
  world.run(first + trip - world.simulation.now);
  peer.sack([sent[2]!.seq, sent[2]!.seq + 960]);
  world.run(MILLISECOND);
  for (const segment of sent) peer.take(segment);
  peer.send();
  world.run(MILLISECOND);
  // One goes 3 ms before the probe; both are lost, and what follows them arrives.
  program.send(socket, pattern(960));
  const lost = peer.expect({ length: 960 });
  world.run(3 * MILLISECOND);
  program.send(socket, pattern(20_000));
  const probe = peer.expect({ length: 1460 });
  const after = peer.expect({ length: 960 });
  world.run(trip);
  peer.peer.inbox = [];
  const { pathRaises, fastRetransmits } = program.tcp;
  peer.sack([after.seq, after.seq + 960]);
  // Each is found lost by the timer: the first begins the recovery, in which the other is found.
  const again = (seq: number): void => {
    let segment = peer.expect({ length: 960 }, 60 * MILLISECOND);
    while (segment.seq !== seq) segment = peer.expect({ length: 960 }, 60 * MILLISECOND);
    peer.take(segment);
  };
  again(lost.seq);
  assert.equal(program.tcp.fastRetransmits, fastRetransmits + 1);
  peer.send({ options: { sack: [[after.seq, after.seq + 960]] } });
  again(probe.seq);
  peer.rcvNxt = after.seq + 960;
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.tcp.pathRaises, pathRaises);
});

simulate(
  "RFC 4821, 7.6.2: after a lost probe a round trip for each segment of the window",
  (world) => {
    const trip = 50 * MILLISECOND;
    const { program, socket, peer } = connected(world, { sack: true, window: 65535, delay: trip });
    program.noDelay(socket);
    program.send(socket, pattern(1460));
    icmpAbout(peer, ...TOO_BIG, peer.expect({ length: 1460 }).seq, 1000);
    peer.take(peer.expect({ length: 960 }, 100 * MILLISECOND));
    peer.take(peer.expect({ length: 500 }));
    world.run(trip);
    peer.send();
    world.run(700 * SECOND);
    program.send(socket, pattern(960));
    peer.take(peer.expect({ length: 960 }));
    world.run(trip);
    peer.send();
    world.run(MILLISECOND);
    // The raise timer has expired: a probe goes, and does not arrive.
    program.send(socket, pattern(20_000));
    const probe = peer.expect({ length: 1460 });
    let end = (probe.seq + 1460) >>> 0;
    const failed = world.simulation.now + trip;
    let next = 0;
    for (let round = 0; round < 100 && !next; round++) {
      world.run(trip);
      for (const { tcp } of peer.peer.inbox) {
        if (!tcp?.payload.length) continue;
        if (tcp.seq === peer.rcvNxt && tcp.payload.length <= 960) peer.take(tcp);
        if (tcp.payload.length > 960) next = world.simulation.now;
        else if (tcp.seq + tcp.payload.length > end) end = tcp.seq + tcp.payload.length;
      }
      peer.peer.inbox = [];
      const after = probe.seq + 1460;
      if (peer.rcvNxt < after) peer.sack([after, end]);
      else peer.send({ ack: (peer.rcvNxt = end) });
      program.send(socket, pattern(20_000));
    }
    const trips = (next - failed) / trip;
    assert.equal(program.tcp.fastRetransmits, 0);
    assert.ok(trips > 10 && trips < 40, `${trips} round trips`);
  },
);

simulate("RFC 8899, 4.3: a path that carries less than the base gets the least size", (world) => {
  const made = bulk(world);
  carries(world, 800);
  carry(world, made, 50_000, 120 * SECOND);
  assert.equal(made.sender.tcp.blackHoles, 2);
  assert.equal(lately(made.sizes), 552);
});

simulate("RFC 4821, 7.7: a path that shrinks under a connection is found out", (world) => {
  const made = bulk(world);
  carry(world, made, 500_000, 20 * SECOND);
  assert.equal(lately(made.sizes), 1500);
  carries(world, 1300);
  // Probes that fail are as far apart as the losses that congestion brings.
  for (let i = 0; i < 20; i++) {
    carry(world, made, 300_000, 60 * SECOND);
    world.run(100 * MILLISECOND);
  }
  const size = lately(made.sizes);
  assert.ok(size <= 1300 && size > 1300 - 2 * 8, `${size}`);
});

simulate("RFC 8899, 5.1.1: after ten minutes a larger size is tried, and used", (world) => {
  const made = bulk(world);
  carries(world, 1400);
  carry(world, made, 6_000_000, 60 * SECOND);
  carries(world, 1504);
  carry(world, made, 1_000_000, 60 * SECOND);
  assert.ok(lately(made.sizes) <= 1400);
  world.run(600 * SECOND);
  carry(world, made, 1_000_000, 60 * SECOND);
  assert.equal(lately(made.sizes), 1500);
});

simulate("RFC 4821, 7.7: silence of the peer is no black hole for small segments", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(100));
  peer.expect({ length: 100 });
  world.run(20 * SECOND);
  assert.equal(program.tcp.blackHoles, 0);
});

simulate("RFC 4821, 7.4: no probe goes while little is to be sent", (world) => {
  const made = bulk(world);
  carries(world, 1400);
  carry(world, made, 60_000, 20 * SECOND);
  const { pathProbes } = made.sender.tcp;
  for (let i = 0; i < 20; i++) {
    carry(world, made, 1160, 20 * SECOND);
    world.run(100 * MILLISECOND);
  }
  assert.equal(made.sender.tcp.pathProbes, pathProbes);
});

simulate("RFC 4821, 7.2: a path that carries what the link does is never probed", (world) => {
  const made = bulk(world);
  carry(world, made, 2_000_000, 20 * SECOND);
  world.run(700 * SECOND);
  carry(world, made, 2_000_000, 20 * SECOND);
  assert.equal(made.sender.tcp.pathProbes, 0);
});
