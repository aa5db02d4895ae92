import assert from "node:assert/strict";
import {
  ETHERTYPE_IPV4,
  ethernet,
  ipv4Packet,
  TCP,
  tcpSegment,
  URG,
} from "../../../tools/sim/frames.ts";
import { simulate, type World } from "../harness.ts";
import { icmpAbout } from "./icmp.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EHOSTUNREACH,
  ETIMEDOUT,
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

/** What a peer, or a stranger, sends that it should not: RFC 5961, 5927, 4987, 1122. */

simulate("RFC 5961, 3.2: a reset with exactly the next number ends the connection", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  assert.equal(program.receive(socket), -ECONNRESET);
  peer.expectNone(SECOND);
});

simulate("RFC 5961, 3.2: a reset elsewhere in the window is challenged", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: RST, seq: peer.sndNxt + 1 });
  peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.sndNxt });
  assert.equal(program.receive(socket), EAGAIN);
  assert.equal(program.tcp.challengeAcks, 1);
});

simulate("RFC 5961, 3.2: a reset outside the window is dropped", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: RST, seq: peer.sndNxt + 70000 });
  peer.send({ flags: RST, seq: peer.sndNxt - 1 });
  peer.expectNone(SECOND);
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 5961, 4.2: a SYN on a connection is challenged, wherever it stands", (world) => {
  const { program, socket, peer } = connected(world);
  for (const seq of [peer.sndNxt, peer.sndNxt + 100, peer.sndNxt - 100000]) {
    peer.send({ flags: SYN, seq });
    peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.sndNxt });
  }
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 5961, 5.2: an ACK of what was not sent is answered, its data dropped", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ seq: peer.sndNxt, ack: peer.rcvNxt + 1, payload: pattern(10) });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 5961, 5.2: an ACK from long ago is answered, its data dropped", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ seq: peer.sndNxt, ack: peer.rcvNxt - 70000, payload: pattern(10) });
  peer.expect({ flags: ACK, ack: peer.sndNxt });
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 5961, 7: challenge ACKs are limited, for each connection by itself", (world) => {
  const { peer } = connected(world);
  for (let i = 0; i < 30; i++) {
    peer.send({ flags: SYN, seq: peer.sndNxt + i });
    world.run(MILLISECOND);
  }
  const answers = peer.peer.inbox.filter((frame) => frame.tcp).length;
  assert.equal(answers, 10);
  peer.peer.inbox = [];
  world.run(6 * SECOND);
  peer.send({ flags: SYN });
  peer.expect({ flags: ACK });
});

simulate(
  "RFC 5961, 5.2 and 7: nor is all data with old ACKs answered; sent again it counts",
  (world) => {
    const { program, socket, peer } = connected(world);
    for (let i = 0; i < 30; i++) {
      peer.send({ seq: peer.sndNxt, ack: peer.rcvNxt - 70000, payload: pattern(10) });
      world.run(MILLISECOND);
    }
    assert.equal(peer.peer.inbox.filter((frame) => frame.tcp).length, 10);
    assert.equal(program.receive(socket), EAGAIN);
    peer.peer.inbox = [];
    peer.send({ payload: pattern(10) });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
    assert.deepEqual(program.receive(socket), pattern(10));
  },
);

simulate("RFC 9293, 3.10.7.4: a segment without ACK is dropped", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: 0, seq: peer.sndNxt, payload: pattern(10) });
  peer.send({ flags: FIN, seq: peer.sndNxt });
  peer.expectNone(SECOND);
  assert.equal(program.receive(socket), EAGAIN);
});

simulate(
  "RFC 9293, 3.10.7.4: data outside the window is answered with an ACK and dropped",
  (world) => {
    const { program, socket, peer } = connected(world);
    peer.send({ seq: peer.sndNxt + 70000, payload: pattern(10) });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
    peer.send({ seq: peer.sndNxt - 10, payload: pattern(10) });
    peer.expect({ flags: ACK, ack: peer.sndNxt });
    assert.equal(program.receive(socket), EAGAIN);
  },
);

simulate(
  "RFC 9293, 3.10.7.4: data that straddles the window's left edge gives its new part",
  (world) => {
    const { program, socket, peer } = connected(world);
    peer.send({ payload: pattern(10) });
    world.run(MILLISECOND);
    peer.send({ seq: peer.sndNxt - 5, payload: pattern(15, 5) });
    peer.expect({ flags: ACK, ack: peer.sndNxt + 10 });
    assert.deepEqual(program.receive(socket), pattern(20));
  },
);

simulate("RFC 6093, 6: urgent data stays in the stream", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: ACK | URG, payload: pattern(20) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(20));
});

simulate("RFC 1122, 4.2.3.10: a SYN from or to a group address is ignored", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  program.listen(PORT);
  const host = world.peer();
  const mac = host.resolve(MACHINE);
  const syn = (source: string, destination: string): void => {
    const payload = tcpSegment(source, destination, {
      sourcePort: 4000,
      destinationPort: PORT,
      seq: 1,
      ack: 0,
      flags: SYN,
      window: 1000,
      options: {},
      payload: new Uint8Array(0),
    });
    host.sendIpv4({ source, destination, protocol: TCP, payload }, mac);
  };
  syn("10.0.0.1", "10.0.0.255");
  syn("10.0.0.1", "255.255.255.255");
  syn("10.0.0.1", "224.0.0.1");
  syn("224.0.0.1", MACHINE);
  syn("255.255.255.255", MACHINE);
  host.expectNone((frame) => frame.tcp !== undefined, SECOND);
  assert.equal(program.tcp.halfOpen, 0);
});

simulate("LAND: a SYN from our own address and port is dropped", (world) => {
  const { machine } = world.ready();
  const program = new Program(machine);
  program.listen(PORT);
  const host = world.peer();
  const mac = host.resolve(MACHINE);
  const segment = {
    sourcePort: PORT,
    destinationPort: PORT,
    seq: 1,
    ack: 0,
    flags: SYN,
    window: 1000,
    options: {},
    payload: new Uint8Array(0),
  };
  const payload = tcpSegment(MACHINE, MACHINE, segment);
  const packet = ipv4Packet({ source: MACHINE, destination: MACHINE, protocol: TCP, payload });
  host.sendFrame(ethernet(mac, host.mac, ETHERTYPE_IPV4, packet));
  host.expectNone((frame) => frame.tcp !== undefined, SECOND);
  assert.equal(program.tcp.halfOpen, 0);
  host.tcp(MACHINE, PORT, 4000).connect();
});

simulate("RFC 9293, 3.1: wrong checksums and lying lengths are counted and dropped", (world) => {
  const { program, socket, peer } = connected(world);
  const host = peer.peer;
  const segment = {
    sourcePort: peer.localPort,
    destinationPort: PORT,
    seq: peer.sndNxt,
    ack: peer.rcvNxt,
    flags: ACK,
    window: 1000,
    options: {},
    payload: pattern(20),
  };
  const send = (change: (bytes: Uint8Array) => Uint8Array): void => {
    const payload = change(tcpSegment(host.ip, MACHINE, segment));
    host.sendIpv4({ destination: MACHINE, protocol: TCP, payload });
  };
  send((bytes) => {
    bytes[30]! ^= 1;
    return bytes;
  });
  world.run(MILLISECOND);
  assert.equal(program.tcp.checksumErrors, 1);
  // A header shorter than 20 bytes, one longer than the packet, and a packet shorter than a header.
  send((bytes) => {
    bytes[12] = 0x40;
    return bytes;
  });
  send((bytes) => {
    bytes[12] = 0xf0;
    return bytes;
  });
  send((bytes) => bytes.slice(0, 12));
  world.run(MILLISECOND);
  assert.equal(program.tcp.malformed, 3);
  assert.equal(program.receive(socket), EAGAIN);
});

simulate("RFC 1122, 4.2.3.9: port unreachable refuses a connection that is opening", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.expect({ flags: SYN });
  icmpAbout(peer, 3, 3, syn.seq);
  world.run(MILLISECOND);
  assert.equal(program.error(socket), ECONNREFUSED);
});

simulate("RFC 5927, 4.1: an ICMP error that names nothing in flight is ignored", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.expect({ flags: SYN });
  icmpAbout(peer, 3, 3, syn.seq + 1);
  icmpAbout(peer, 3, 3, syn.seq - 1);
  world.run(MILLISECOND);
  assert.equal(program.error(socket), 0);
  assert.equal(program.tcp.icmpIgnored, 2);
});

simulate("RFC 5927, 5.2: a hard error does not end an established connection", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(10));
  const segment = peer.take(peer.expect({ length: 10 }));
  icmpAbout(peer, 3, 3, segment.seq);
  world.run(MILLISECOND);
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.send(socket, pattern(5)), 5);
  peer.expect({ length: 5 });
});

simulate(
  "RFC 1122, 4.2.3.9: a soft error is the reason given when the connection times out",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.send(socket, pattern(10));
    const segment = peer.expect({ length: 10 });
    icmpAbout(peer, 3, 1, segment.seq);
    world.run(200 * SECOND);
    assert.equal(program.error(socket), EHOSTUNREACH);
  },
);

simulate(
  "RFC 9293, 3.8.3: R2: the connection is given up when nothing is acknowledged",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.send(socket, pattern(10));
    peer.expect({ length: 10 });
    world.run(100 * SECOND);
    assert.equal(program.receive(socket), EAGAIN);
    world.run(40 * SECOND);
    assert.equal(program.receive(socket), -ETIMEDOUT);
    world.run(SECOND);
    assert.equal(program.packetsHeld, 0);
  },
);

/** How often data had gone when the machine first asked a silent next hop for a sign of life; 0: never. */
function doubted(world: World, seconds: number): number {
  const { program, socket, peer } = connected(world);
  const { peer: host } = peer;
  world.run(seconds * SECOND);
  let [sent, asked] = [0, 0];
  host.answersArp = false;
  host.handler = ({ arp, tcp, destination }) => {
    if (tcp) sent++;
    // By unicast, since it is known where it was.
    if (arp?.targetIp === host.ip && destination === host.mac) asked ||= sent;
    return true;
  };
  program.send(socket, pattern(10));
  world.run(5 * SECOND);
  assert.ok(sent > 4);
  return asked;
}

simulate(
  "RFC 9293, 3.8.3 (MUST-20): at R1, the third time-out, IP asks for the next hop",
  (world) => assert.equal(doubted(world, 20), 3),
);

simulate("RFC 1122, 3.3.1.4: not if the next hop has just answered", (world) =>
  assert.equal(doubted(world, 1), 0),
);
