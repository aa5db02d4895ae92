import assert from "node:assert/strict";
import { SocketOption } from "../../../sdk/assembly/syscalls.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import type { TcpSegment } from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import {
  ACK,
  connecting,
  EAGAIN,
  ECONNRESET,
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

/** TCP Fast Open, RFC 7413: the machine as server, then as client. */

const NO_COOKIE = new Uint8Array(0);
/** What the test's server gives: sizes other than our own are as good. */
const COOKIE = Uint8Array.of(1, 2, 3, 4, 5, 6);
const HOUR = 3600 * SECOND;
const EALREADY = -114;
const EISCONN = -106;

// ---- Server --------------------------------------------------------------------------------

interface Serving {
  program: Program;
  listener: number;
  peer: PeerTcp;
}

function serving(world: World, pending = 16): Serving {
  const { machine } = world.ready();
  const program = new Program(machine);
  const listener = program.listen(PORT);
  if (pending) program.setOption(listener, SocketOption.FastOpen, pending);
  return { program, listener, peer: world.peer().tcp(MACHINE, PORT, 4000) };
}

/** A cookie of the machine for the peer's address. */
function cookieFor(peer: PeerTcp, port = 3999): Uint8Array {
  const asking = peer.peer.tcp(MACHINE, PORT, port);
  asking.send({ flags: SYN, options: { mss: 1460, fastOpen: NO_COOKIE } });
  const answer = asking.expect({ flags: SYN | ACK, ack: asking.iss + 1 });
  asking.send({ flags: RST });
  const cookie = answer.options.fastOpen;
  assert.ok(cookie && cookie.length >= 4, "no cookie");
  return cookie;
}

/** Sends a SYN with `cookie` and `length` bytes, and takes the answer. */
function openFast(peer: PeerTcp, cookie: Uint8Array, length: number): TcpSegment {
  peer.sndNxt = peer.iss;
  peer.send({ flags: SYN, options: { mss: 1460, fastOpen: cookie }, payload: pattern(length) });
  const answer = peer.take(peer.expect({ flags: SYN | ACK }));
  peer.irs = answer.seq;
  return answer;
}

simulate("RFC 7413, 4.2: a listener that was not told to ignores the option", (world) => {
  const { peer, program } = serving(world, 0);
  const asked = openFast(peer, NO_COOKIE, 0);
  assert.equal(asked.options.fastOpen, undefined);
  const other = peer.peer.tcp(MACHINE, PORT, 4001);
  const answer = openFast(other, pattern(8), 10);
  assert.equal(answer.ack, other.iss + 1);
  assert.equal(answer.options.fastOpen, undefined);
  assert.equal(program.tcp.fastOpenRefused, 0);
});

simulate("RFC 7413, 4.2.1: who asks gets a cookie, of even length, with SYN and ACK", (world) => {
  const { peer, listener, program } = serving(world);
  const answer = openFast(peer, NO_COOKIE, 0);
  assert.equal(answer.options.fastOpen?.length, 8);
  assert.equal(answer.ack, peer.iss + 1);
  assert.equal(program.accept(listener), EAGAIN);
  peer.send();
  world.run(MILLISECOND);
  assert.ok(program.accept(listener) > 0);
});

simulate("RFC 7413, 4.2.1: SYN and ACK are repeated without the cookie", (world) => {
  const { peer } = serving(world);
  openFast(peer, NO_COOKIE, 0);
  const again = peer.expect({ flags: SYN | ACK }, 2 * SECOND);
  assert.equal(again.options.fastOpen, undefined);
});

simulate("RFC 7413, 4.1.2: a cookie is for one address", (world) => {
  const { peer } = serving(world);
  const first = cookieFor(peer);
  const stranger = world.peer("10.0.0.9").tcp(MACHINE, PORT, 4000);
  assert.notDeepEqual(cookieFor(stranger), first);
  assert.deepEqual(cookieFor(peer, 3998), first);
  assert.equal(openFast(stranger, first, 10).ack, stranger.iss + 1);
});

simulate("RFC 7413, 4.2.2: data with a good cookie is acknowledged and read at once", (world) => {
  const { peer, listener, program } = serving(world);
  const answer = openFast(peer, cookieFor(peer), 500);
  assert.equal(answer.ack, peer.iss + 501);
  assert.equal(answer.options.fastOpen, undefined);
  const socket = program.accept(listener);
  assert.deepEqual(program.receive(socket), pattern(500));
  assert.equal(program.receive(socket), EAGAIN);
  peer.send({ payload: pattern(10, 500) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(10, 500));
  assert.equal(program.tcp.fastOpenPassive, 1);
});

simulate("RFC 7413, 4.2.2: the server answers before the client's ACK", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 20);
  const socket = program.accept(listener);
  assert.equal(program.send(socket, pattern(300)), 300);
  peer.take(peer.expect({ flags: ACK, seq: peer.irs + 1, length: 300 }));
  peer.send();
  world.run(MILLISECOND);
  program.send(socket, pattern(10, 300));
  peer.expect({ flags: ACK, seq: peer.irs + 301, length: 10 });
});

simulate("RFC 7413, 4.2.2: before the ACK no more than the initial window goes", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 20);
  program.send(program.accept(listener), pattern(60000));
  world.run(100 * MILLISECOND);
  let bytes = 0;
  for (let i = 0; i < 9; i++) bytes += peer.expect({ flags: ACK, length: 1460 }).payload.length;
  assert.ok(bytes <= 14600);
  peer.expectNone(100 * MILLISECOND);
});

simulate("RFC 7413, 4.2.2: a close before the ACK sends the data, then the FIN", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 20);
  const socket = program.accept(listener);
  program.receive(socket);
  program.send(socket, pattern(300));
  program.close(socket);
  peer.take(peer.expect({ flags: ACK, length: 300 }));
  peer.expectNone(100 * MILLISECOND);
  peer.send();
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
});

simulate("RFC 7413, 4.2.2: a good cookie without data opens as fast", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 0);
  const socket = program.accept(listener);
  program.send(socket, pattern(5));
  peer.expect({ flags: ACK, seq: peer.irs + 1, length: 5 });
});

simulate("RFC 7413, 4.2.2: data with a wrong cookie is not taken, and a good one sent", (world) => {
  const { peer, listener, program } = serving(world);
  const cookie = cookieFor(peer);
  const wrong = cookie.slice();
  wrong[3]! ^= 1;
  const answer = openFast(peer, wrong, 100);
  assert.equal(answer.ack, peer.iss + 1);
  assert.deepEqual(answer.options.fastOpen, cookie);
  assert.equal(program.accept(listener), EAGAIN);
  peer.sndNxt = peer.iss + 1;
  peer.send({ payload: pattern(100) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(100));
  assert.equal(program.tcp.fastOpenRefused, 1);
});

for (const length of [3, 5, 18]) {
  simulate(`RFC 7413, 4.1.1: an option with a cookie of ${length} bytes is ignored`, (world) => {
    const { peer, program } = serving(world);
    world.checker.followsTcp = false;
    const answer = openFast(peer, new Uint8Array(length), 10);
    assert.equal(answer.ack, peer.iss + 1);
    assert.equal(answer.options.fastOpen, undefined);
    assert.equal(program.tcp.fastOpenRefused, 0);
  });
}

simulate("RFC 7413, 4.1.2: an old cookie is good for a while, and is replaced", (world) => {
  const { peer } = serving(world);
  const old = cookieFor(peer);
  world.run(7 * HOUR);
  const answer = openFast(peer, old, 10);
  assert.equal(answer.ack, peer.iss + 11);
  const fresh = answer.options.fastOpen;
  assert.ok(fresh && fresh.length === 8);
  assert.notDeepEqual(fresh, old);
  world.run(6 * HOUR);
  const late = peer.peer.tcp(MACHINE, PORT, 4001);
  assert.equal(openFast(late, old, 10).ack, late.iss + 1);
});

simulate("RFC 7413, 4.2: with too many pending, SYNs open in the ordinary way", (world) => {
  const { peer, program } = serving(world, 2);
  const cookie = cookieFor(peer);
  const clients = [0, 1, 2].map((i) => peer.peer.tcp(MACHINE, PORT, 4100 + i));
  const acks = clients.map((client) => openFast(client, cookie, 10).ack - client.iss);
  assert.deepEqual(acks, [11, 11, 1]);
  assert.equal(program.tcp.fastOpenOverflows, 1);
  // One acknowledges: there is room for another.
  clients[0]!.send();
  const next = peer.peer.tcp(MACHINE, PORT, 4200);
  assert.equal(openFast(next, cookie, 10).ack, next.iss + 11);
});

simulate("RFC 7413, 5.1: a pending request that is reset counts for a while", (world) => {
  const { peer, listener, program } = serving(world, 1);
  const cookie = cookieFor(peer);
  const open = (port: number): number => {
    const client = peer.peer.tcp(MACHINE, PORT, port);
    const taken = openFast(client, cookie, 10).ack - client.iss - 1;
    client.send({ flags: RST });
    world.run(MILLISECOND);
    return taken;
  };
  assert.equal(open(4100), 10);
  assert.equal(open(4101), 0);
  world.run(61 * SECOND);
  assert.equal(open(4102), 10);
  assert.equal(program.accept(listener), EAGAIN);
});

simulate("RFC 9293, 3.10.7.4: a reset before the ACK ends what was accepted", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 10);
  const socket = program.accept(listener);
  program.receive(socket);
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  assert.equal(program.receive(socket), -ECONNRESET);
  assert.equal(program.close(socket), 0);
  assert.equal(program.tcp.connections, 1);
});

simulate(
  "RFC 7413, 4.2.2: SYN and ACK are repeated with neither data nor option, then given up",
  (world) => {
    const { peer, listener, program } = serving(world);
    openFast(peer, cookieFor(peer), 10);
    const socket = program.accept(listener);
    program.send(socket, pattern(100));
    peer.expect({ length: 100 });
    for (const wait of [1, 2, 4]) {
      const again = peer.expect(
        { flags: SYN | ACK, seq: peer.irs, length: 0 },
        (wait + 1) * SECOND,
      );
      assert.equal(again.options.fastOpen, undefined);
      assert.equal(again.ack, peer.iss + 11);
    }
    // The ACK at last: what was said early is said again.
    peer.send();
    peer.take(peer.expect({ flags: ACK, seq: peer.irs + 1, length: 100 }));
    peer.send();
    world.run(MILLISECOND);
    assert.equal(program.tcp.established, 1);
  },
);

simulate("RFC 7413, 4.2.2: the SYN once more is answered once more", (world) => {
  const { peer, listener, program } = serving(world);
  const first = openFast(peer, cookieFor(peer), 10);
  peer.send({ flags: SYN, seq: peer.iss, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: first.seq, ack: peer.iss + 11, length: 0 });
  peer.send();
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(program.accept(listener)), pattern(10));
});

simulate(
  "RFC 7413, 4.1.1: the option finds room beside MSS, scale, SACK and timestamps",
  (world) => {
    const { peer, listener, program } = serving(world);
    const cookie = cookieFor(peer);
    const others = { mss: 1460, windowScale: 7, sackPermitted: true };
    peer.send({
      flags: SYN,
      options: { ...others, timestamps: [5000, 0], fastOpen: cookie },
      payload: pattern(9),
    });
    const { options, seq, ack } = peer.take(peer.expect({ flags: SYN | ACK }));
    assert.equal(ack, peer.iss + 10);
    assert.ok(options.windowScale !== undefined && options.sackPermitted && options.timestamps);
    const socket = program.accept(listener);
    assert.deepEqual(program.receive(socket), pattern(9));
    program.send(socket, pattern(20));
    const answer = peer.expect({ flags: ACK, seq: seq + 1, length: 20 });
    assert.equal(answer.options.timestamps?.[1], 5000);
  },
);

simulate("RFC 9293, 3.10.4: unread data of a SYN is answered by a reset at close", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 10);
  program.close(program.accept(listener));
  peer.expect({ flags: RST | ACK, seq: peer.irs + 1, ack: peer.iss + 11 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 3168, 6.1.1: ECN is agreed on with a SYN that brings a cookie, too", (world) => {
  const { peer } = serving(world);
  const cookie = cookieFor(peer);
  peer.send({
    flags: SYN | 64 | 128,
    options: { mss: 1460, fastOpen: cookie },
    payload: pattern(5),
  });
  const { flags, ack } = peer.expect({});
  assert.equal(flags, SYN | ACK | 64);
  assert.equal(ack, peer.iss + 6);
});

simulate("RFC 7413, 4.2.2: SYN and FIN together open nothing, whatever the cookie", (world) => {
  const { peer, listener, program } = serving(world);
  const cookie = cookieFor(peer);
  peer.send({ flags: SYN | FIN, options: { mss: 1460, fastOpen: cookie }, payload: pattern(5) });
  peer.expectNone(SECOND);
  assert.equal(program.accept(listener), EAGAIN);
});

simulate("RFC 7413, 4.2.2: a listener that closes resets what it has not handed out", (world) => {
  const { peer, listener, program } = serving(world);
  openFast(peer, cookieFor(peer), 10);
  program.close(listener);
  peer.expect({ flags: RST | ACK, seq: peer.irs + 1 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 0);
});

// ---- Client --------------------------------------------------------------------------------

const SERVER = "10.0.0.1";

interface Client {
  program: Program;
  /** A socket that will connect from `port`, with Fast Open; and the server's side of it. */
  attempt(port: number): { socket: number; peer: PeerTcp; waits: boolean };
}

function client(world: World): Client {
  const { machine } = world.ready();
  const program = new Program(machine);
  const host = world.peer(SERVER);
  return {
    program,
    attempt(port) {
      const peer = host.tcp(MACHINE, port, 7);
      const { socket, waits } = program.connectFast(SERVER, 7, port);
      return { socket, peer, waits };
    },
  };
}

/** Connects once, so that the machine has a cookie; the connection is reset. */
function learnt(world: World, mss = 1460): Client {
  const made = client(world);
  const { peer, socket } = made.attempt(3000);
  const syn = peer.take(peer.expect({ flags: SYN, length: 0 }));
  assert.deepEqual(syn.options.fastOpen, NO_COOKIE);
  peer.send({ flags: SYN | ACK, options: { mss, fastOpen: COOKIE } });
  peer.expect({ flags: ACK });
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  made.program.close(socket);
  return made;
}

simulate("RFC 7413, 4.2.1: without a cookie the SYN asks for one", (world) => {
  const { attempt, program } = client(world);
  const { peer, waits, socket } = attempt(3000);
  assert.equal(waits, false);
  const syn = peer.accept({ mss: 1460 });
  assert.deepEqual(syn.options.fastOpen, NO_COOKIE);
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(3)), 3);
});

simulate("RFC 7413, 2: who does not ask for it sends no option", (world) => {
  const { peer } = connecting(world);
  assert.equal(peer.expect({ flags: SYN }).options.fastOpen, undefined);
});

simulate("RFC 7413, 4.2.2: with a cookie, data goes with the SYN", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, waits, socket } = attempt(3001);
  assert.equal(waits, true);
  peer.expectNone(SECOND);
  assert.equal(program.send(socket, pattern(200)), 200);
  const syn = peer.take(peer.expect({ flags: SYN, length: 200 }));
  assert.deepEqual(syn.options.fastOpen, COOKIE);
  assert.deepEqual(syn.payload, pattern(200));
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 201, length: 0 });
  assert.equal(program.send(socket, pattern(10, 200)), 10);
  peer.expect({ flags: ACK, seq: syn.seq + 201, length: 10 });
  assert.equal(program.tcp.fastOpenActive, 1);
});

simulate("RFC 7413, 4.1.3: no more goes with the SYN than the server's MSS allows", (world) => {
  const { attempt, program } = learnt(world, 700);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(5000));
  const syn = peer.take(peer.expect({ flags: SYN }));
  // Less what the options take of it (RFC 6691, 2): 20 and 8 with their padding.
  const { length } = syn.payload;
  assert.ok(length <= 700 - 20 && length >= 700 - 40, `${length}`);
  peer.send({ flags: SYN | ACK, options: { mss: 700 } });
  const next = peer.expect({ flags: ACK, seq: syn.seq + 1 + length });
  assert.equal(next.payload.length, 700);
});

simulate("RFC 7413, 4.1.3: the cached MSS counts for 1,460 bytes at most", (world) => {
  const { attempt, program } = learnt(world, 8960);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(5000));
  const { length } = peer.expect({ flags: SYN }).payload;
  assert.ok(length <= 1460 - 20, `${length}`);
});

simulate("RFC 7413, 4.2.2: data that the server leaves goes again with the first ACK", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(200));
  const syn = peer.expect({ flags: SYN, length: 200 });
  peer.rcvNxt = syn.seq + 1;
  peer.send({ flags: SYN | ACK, options: { mss: 1460, fastOpen: COOKIE.map((b) => b ^ 255) } });
  const again = peer.expect({ flags: ACK, seq: syn.seq + 1, length: 200 });
  assert.deepEqual(again.payload, pattern(200));
  const { fastOpenActiveFailed, retransmits } = program.tcp;
  assert.deepEqual(
    { fastOpenActiveFailed, retransmits },
    { fastOpenActiveFailed: 1, retransmits: 0 },
  );
  // The new cookie is for the next time.
  const next = attempt(3002);
  program.send(next.socket, pattern(10));
  const { options } = next.peer.expect({ flags: SYN, length: 10 });
  assert.deepEqual(
    options.fastOpen,
    COOKIE.map((b) => b ^ 255),
  );
});

simulate("RFC 7413, 4.2.2: data of which the server takes a part goes on from there", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(200));
  const syn = peer.expect({ flags: SYN, length: 200 });
  peer.rcvNxt = syn.seq + 1 + 50;
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  const again = peer.expect({ flags: ACK, seq: syn.seq + 51, length: 150 });
  assert.deepEqual(again.payload, pattern(150, 50));
});

simulate("RFC 7413, 4.2.2: the SYN is repeated without data and without the option", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(200));
  peer.expect({ flags: SYN, length: 200 });
  const again = peer.take(peer.expect({ flags: SYN, length: 0 }, 2 * SECOND));
  assert.equal(again.options.fastOpen, undefined);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: again.seq + 1, length: 200 });
  assert.equal(program.tcp.fastOpenActiveFailed, 1);
});

simulate("RFC 7413, 4.2.2: the first SYN's data may be acknowledged late", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(200));
  const syn = peer.take(peer.expect({ flags: SYN, length: 200 }));
  peer.expect({ flags: SYN, length: 0 }, 2 * SECOND);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 201, length: 0 });
  peer.expectNone(2 * SECOND);
  assert.equal(program.tcp.fastOpenActive, 1);
});

simulate("RFC 7413, 4.1.3.1: a path that loses SYNs with the option is spared an hour", (world) => {
  const { attempt, program } = learnt(world);
  const first = attempt(3001);
  program.send(first.socket, pattern(200));
  first.peer.expect({ flags: SYN, length: 200 });
  const again = first.peer.take(first.peer.expect({ flags: SYN, length: 0 }, 2 * SECOND));
  first.peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  first.peer.expect({ flags: ACK, seq: again.seq + 1, length: 200 });
  const second = attempt(3002);
  assert.equal(second.waits, false);
  assert.equal(second.peer.expect({ flags: SYN }).options.fastOpen, undefined);
  world.run(HOUR);
  // What wakes the machine up sets its clock.
  second.peer.send({ flags: RST });
  world.run(MILLISECOND);
  const third = attempt(3003);
  assert.deepEqual(third.peer.expect({ flags: SYN }).options.fastOpen, NO_COOKIE);
});

simulate("RFC 7413, 4.1.3.1: a connection that times out spares the server", (world) => {
  const { attempt, program } = learnt(world);
  const { socket } = attempt(3001);
  program.send(socket, pattern(200));
  world.run(200 * SECOND);
  const { peer, waits } = attempt(3002);
  assert.equal(waits, false);
  assert.equal(peer.expect({ flags: SYN }).options.fastOpen, undefined);
});

simulate("RFC 7413, 4.2.1: a server without Fast Open is not asked again soon", (world) => {
  const { attempt } = client(world);
  attempt(3000).peer.accept({ mss: 1460 });
  assert.equal(attempt(3001).peer.expect({ flags: SYN }).options.fastOpen, undefined);
});

simulate("RFC 7413, 4.1.3.1: what is known is known of one port", (world) => {
  const { program } = learnt(world);
  const other = world.stations[0]!.machine;
  const peer = world.peer("10.0.0.8").tcp(MACHINE, 3001, 8);
  const { waits } = new Program(other).connectFast("10.0.0.8", 8, 3001);
  assert.equal(waits, false);
  assert.deepEqual(peer.expect({ flags: SYN }).options.fastOpen, NO_COOKIE);
  assert.equal(program.tcp.fastOpenActive, 0);
});

simulate("RFC 7413, 4.2.2: a refused connection says nothing against Fast Open", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(10));
  const syn = peer.take(peer.expect({ flags: SYN, length: 10 }));
  peer.send({ flags: RST | ACK, seq: 0, ack: syn.seq + 11 });
  world.run(MILLISECOND);
  assert.equal(attempt(3002).waits, true);
});

simulate("RFC 7413, 4.2.2: what is written before the answer follows it", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  assert.equal(program.send(socket, pattern(100)), 100);
  const syn = peer.take(peer.expect({ flags: SYN, length: 100 }));
  assert.equal(program.send(socket, pattern(50, 100)), 50);
  peer.expectNone(100 * MILLISECOND);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 101, length: 50 });
});

simulate("RFC 7413, 4.2.2: closed before any data, nothing was ever sent", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.close(socket);
  peer.expectNone(2 * SECOND);
  assert.equal(program.tcp.connections, 0);
});

simulate("RFC 7413, 4.2.2: simultaneous open with data on our SYN", (world) => {
  const { attempt, program } = learnt(world);
  const { peer, socket } = attempt(3001);
  program.send(socket, pattern(100));
  const syn = peer.expect({ flags: SYN, length: 100 });
  peer.rcvNxt = syn.seq + 1;
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, seq: syn.seq, length: 0 });
  peer.send({ flags: SYN | ACK, seq: peer.iss, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 1, length: 100 });
});

simulate("RFC 7413, 3: a machine opens fast to another", (world) => {
  const server = world.station({ ip: "10.0.0.3/24" });
  const { machine } = world.ready();
  server.machine.expectLine(/eth0 link up/, 3 * SECOND);
  const serves = new Program(server.machine);
  const asks = new Program(machine);
  const listener = serves.listen(PORT);
  serves.setOption(listener, SocketOption.FastOpen, 16);
  const ask = (): number => {
    const { socket, waits } = asks.connectFast("10.0.0.3", PORT, 0);
    if (!waits) world.run(10 * MILLISECOND);
    assert.equal(asks.send(socket, pattern(400)), 400);
    world.run(10 * MILLISECOND);
    const accepted = serves.accept(listener);
    assert.deepEqual(serves.receive(accepted), pattern(400));
    serves.send(accepted, pattern(700));
    serves.close(accepted);
    world.run(10 * MILLISECOND);
    assert.deepEqual(asks.receive(socket), pattern(700));
    asks.close(socket);
    world.run(10 * MILLISECOND);
    return asks.tcp.fastOpenActive;
  };
  assert.equal(ask(), 0);
  assert.equal(ask(), 1);
  assert.equal(ask(), 2);
  assert.equal(serves.tcp.fastOpenPassive, 2);
});

// ---- sendto with MSG_FASTOPEN ----------------------------------------------------------------

simulate("RFC 7413, 4.2.2: one call connects and sends with the SYN", (world) => {
  const { program } = learnt(world);
  const peer = world.peer(SERVER).tcp(MACHINE, 3001, 7);
  const { socket, result } = program.sendFast(SERVER, 7, pattern(200), 3001);
  assert.equal(result, 200);
  const syn = peer.take(peer.expect({ flags: SYN, length: 200 }));
  assert.deepEqual(syn.options.fastOpen, COOKIE);
  assert.deepEqual(syn.payload, pattern(200));
  assert.equal(program.sendFastOn(socket, SERVER, 7, pattern(1)), EALREADY);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: ACK, seq: syn.seq + 201, length: 0 });
  assert.equal(program.sendFastOn(socket, SERVER, 7, pattern(1)), EISCONN);
  assert.equal(program.send(socket, pattern(10, 200)), 10);
  peer.expect({ flags: ACK, seq: syn.seq + 201, length: 10 });
  assert.equal(program.tcp.fastOpenActive, 1);
});

simulate("RFC 7413, 4.2.2: what one call gives beyond the SYN follows after it", (world) => {
  const { program } = learnt(world);
  const peer = world.peer(SERVER).tcp(MACHINE, 3001, 7);
  assert.equal(program.sendFast(SERVER, 7, pattern(2000), 3001).result, 2000);
  const syn = peer.take(peer.expect({ flags: SYN }));
  const { length } = syn.payload;
  assert.ok(length > 1000 && length < 1460, `${length}`);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  const rest = peer.expect({ seq: syn.seq + 1 + length, length: 2000 - length });
  assert.deepEqual(rest.payload, pattern(2000 - length, length));
});

simulate(
  "RFC 7413, 4.2.1: one call without a cookie connects, asks for one, sends nothing",
  (world) => {
    const { program } = client(world);
    const peer = world.peer(SERVER).tcp(MACHINE, 3001, 7);
    const { socket, result } = program.sendFast(SERVER, 7, pattern(200), 3001);
    assert.equal(result, EINPROGRESS);
    const syn = peer.accept({ mss: 1460 });
    assert.deepEqual(syn.options.fastOpen, NO_COOKIE);
    assert.equal(syn.payload.length, 0);
    peer.expectNone(SECOND);
    assert.equal(program.send(socket, pattern(200)), 200);
    peer.expect({ length: 200 });
  },
);

simulate("RFC 7413, 4.2.2: one call with nothing to send opens with the cookie alone", (world) => {
  const { program } = learnt(world);
  const peer = world.peer(SERVER).tcp(MACHINE, 3001, 7);
  assert.equal(program.sendFast(SERVER, 7, new Uint8Array(0), 3001).result, EINPROGRESS);
  const syn = peer.expect({ flags: SYN, length: 0 });
  assert.deepEqual(syn.options.fastOpen, COOKIE);
});
