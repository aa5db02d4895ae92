import assert from "node:assert/strict";
import { simulate } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ECONNRESET,
  EPIPE,
  FIN,
  MILLISECOND,
  pattern,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** Closing: RFC 9293, 3.6, 3.10.4 and the states behind ESTABLISHED. */

simulate(
  "RFC 9293, 3.6: the peer closes first; our FIN is acknowledged and nothing is left",
  (world) => {
    const { program, socket, peer } = connected(world);
    peer.send({ flags: FIN | ACK });
    peer.expect({ flags: ACK, ack: peer.iss + 2 });
    assert.deepEqual(program.receive(socket), new Uint8Array(0));
    program.close(socket);
    peer.take(peer.expect({ flags: FIN | ACK, seq: peer.irs + 1 }));
    peer.send();
    world.run(MILLISECOND);
    const { connections, timeWait } = program.tcp;
    assert.deepEqual({ connections, timeWait }, { connections: 1, timeWait: 0 });
  },
);

simulate("RFC 9293, 3.6: this side closes first and waits in TIME-WAIT for 2 MSL", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  world.run(MILLISECOND);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 2 });
  assert.equal(program.tcp.timeWait, 1);
  world.run(59 * SECOND);
  assert.equal(program.tcp.timeWait, 1);
  world.run(3 * SECOND);
  assert.equal(program.tcp.timeWait, 0);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.10.7.4: FIN and the ACK of our FIN in one segment", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 2 });
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 9293, 3.6: simultaneous close goes through CLOSING", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  const fin = peer.expect({ flags: FIN | ACK });
  // The peer's FIN does not acknowledge ours.
  peer.send({ flags: FIN | ACK, ack: fin.seq });
  peer.expect({ flags: ACK, seq: fin.seq + 1, ack: peer.iss + 2 });
  assert.equal(program.tcp.timeWait, 0);
  // An ACK alone wants no answer: two ends in CLOSING would each have one to spare.
  peer.send({ ack: fin.seq + 1 });
  peer.expectNone(SECOND);
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 9293, 3.6: half close: what the peer still sends is received", (world) => {
  const { program, socket, peer } = connected(world);
  program.endWriting(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  peer.send({ payload: pattern(500) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(500));
  assert.equal(program.send(socket, pattern(1)), EPIPE);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 502 });
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("RFC 9293, 3.6: half close by the peer: what we still send arrives", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  assert.equal(program.send(socket, pattern(700)), 700);
  peer.take(peer.expect({ length: 700 }));
  peer.send();
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.10.4: CLOSE sends what is queued before the FIN", (world) => {
  const { program, socket, peer } = connected(world);
  program.send(socket, pattern(2000));
  program.close(socket);
  peer.take(peer.expect({ flags: ACK, length: 1460 }));
  peer.take(peer.expect({ flags: FIN | ACK, length: 540 }));
});

simulate("RFC 9293, 3.8.1: a lost FIN is sent again", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  const fin = peer.expect({ flags: FIN | ACK });
  peer.expect({ flags: FIN | ACK, seq: fin.seq }, 2 * SECOND);
  peer.take(fin);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 2 });
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 9293, 3.10.7.4: TIME-WAIT acknowledges a repeated FIN and waits anew", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  world.run(40 * SECOND);
  peer.send({ flags: FIN | ACK, seq: peer.iss + 1 });
  peer.expect({ flags: ACK, seq: peer.rcvNxt, ack: peer.iss + 2 });
  world.run(40 * SECOND);
  assert.equal(program.tcp.timeWait, 1);
  world.run(25 * SECOND);
  assert.equal(program.tcp.timeWait, 0);
});

simulate("RFC 1337, 3: a reset does not end TIME-WAIT", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 6191, 2: a SYN with a later timestamp opens anew from TIME-WAIT", (world) => {
  const { program, listener, socket, peer } = connected(world, { timestamps: [1000, 0] });
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  assert.equal(program.tcp.timeWait, 1);
  const again = peer.peer.tcp("10.0.0.2", 80, 4000);
  again.iss = peer.iss - 5000;
  again.options = { timestamps: [5000, 0] };
  again.connect({ mss: 1460, timestamps: [5000, 0] });
  world.run(MILLISECOND);
  assert.equal(program.tcp.timeWait, 0);
  assert.ok(program.accept(listener) > 0);
});

simulate("RFC 6191, 2: a SYN with an earlier timestamp is dropped in TIME-WAIT", (world) => {
  const { program, socket, peer } = connected(world, { timestamps: [1000, 0] });
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  peer.send({ flags: SYN, seq: peer.sndNxt + 9999, options: { mss: 1460, timestamps: [900, 0] } });
  peer.expectNone(SECOND);
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 6191, 2: without timestamps a SYN beyond the old numbers opens anew", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  peer.send({ flags: SYN, seq: peer.iss, options: { mss: 1460 } });
  peer.expectNone(SECOND);
  const again = peer.peer.tcp("10.0.0.2", 80, 4000);
  again.iss = peer.sndNxt + 100;
  again.connect();
});

for (const timestamps of [undefined, [1000, 0]] as const) {
  simulate(
    `RFC 9293, 3.6.1 (MAY-2): opened anew, our numbers go on beyond the old${timestamps ? ", with timestamps" : ""}`,
    (world) => {
      const { program, socket, peer } = connected(
        world,
        timestamps && { timestamps: [...timestamps] },
      );
      program.noDelay(socket);
      // More than the clock of initial sequence numbers counts in the time.
      program.send(socket, pattern(10_000));
      for (let sent = 0; sent < 10_000;) sent += peer.take(peer.expect()).payload.length;
      peer.send();
      program.close(socket);
      const fin = peer.take(peer.expect({ flags: FIN | ACK }));
      peer.send({ flags: FIN | ACK });
      peer.expect({ flags: ACK });
      const options = {
        mss: 1460,
        ...(timestamps && { timestamps: [2000, 0] as [number, number] }),
      };
      peer.send({ flags: SYN, seq: peer.sndNxt + 100, options });
      const { seq } = peer.expect({ flags: SYN | ACK });
      assert.ok((seq - fin.seq) >>> 0 < 2 ** 31 && seq !== fin.seq);
    },
  );
}

simulate("RFC 2525, 2.17: unread data at close is answered by a reset", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(10) });
  world.run(MILLISECOND);
  program.close(socket);
  peer.expect({ flags: RST | ACK, seq: peer.rcvNxt, ack: peer.iss + 11 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.6.1: data that comes after close is answered by a reset", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  peer.send({ payload: pattern(10) });
  peer.expect({ flags: RST | ACK });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.10.7.4: a FIN out of order waits for what is missing", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.iss + 1;
  peer.send({ flags: FIN | ACK, seq: base + 100, payload: pattern(50, 100) });
  peer.expect({ flags: ACK, ack: base });
  assert.equal(program.receive(socket), EAGAIN);
  peer.send({ seq: base, payload: pattern(100) });
  peer.expect({ flags: ACK, ack: base + 151 });
  assert.deepEqual(program.receive(socket), pattern(150));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("RFC 9293, 3.10.7.4: a bare FIN out of order waits for what is missing", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.iss + 1;
  peer.send({ flags: FIN | ACK, seq: base + 100 });
  peer.expect({ flags: ACK, ack: base });
  peer.send({ seq: base, payload: pattern(100) });
  peer.expect({ flags: ACK, ack: base + 101 });
  assert.deepEqual(program.receive(socket), pattern(100));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
});

simulate("RFC 9293, 3.10.7.4: data beyond the FIN is not part of the stream", (world) => {
  const { program, socket, peer } = connected(world);
  const base = peer.iss + 1;
  peer.send({ flags: FIN | ACK, seq: base + 10, payload: pattern(10, 10) });
  peer.expect({ flags: ACK, ack: base });
  peer.send({ seq: base + 15, payload: pattern(100, 15) });
  peer.expect({ flags: ACK, ack: base });
  peer.send({ seq: base, payload: pattern(10) });
  peer.expect({ flags: ACK, ack: base + 21 });
  assert.deepEqual(program.receive(socket), pattern(20));
});

simulate("the stack gives up an orphan in FIN-WAIT-2 after a minute", (world) => {
  const { program, socket, peer } = connected(world);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  world.run(50 * SECOND);
  assert.equal(program.tcp.connections, 2);
  world.run(20 * SECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.6: FIN-WAIT-2 lasts as long as the program reads", (world) => {
  const { program, socket, peer } = connected(world);
  program.endWriting(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  world.run(300 * SECOND);
  peer.send({ payload: pattern(5) });
  world.run(MILLISECOND);
  assert.deepEqual(program.receive(socket), pattern(5));
});

simulate("unread data stays readable in TIME-WAIT", (world) => {
  const { program, socket, peer } = connected(world);
  program.endWriting(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK, payload: pattern(40) });
  peer.expect({ flags: ACK });
  assert.equal(program.tcp.timeWait, 1);
  assert.deepEqual(program.receive(socket), pattern(40));
  assert.deepEqual(program.receive(socket), new Uint8Array(0));
  program.close(socket);
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.10.7.4: LAST-ACK survives what does not acknowledge its FIN", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  program.close(socket);
  const fin = peer.expect({ flags: FIN | ACK });
  peer.send({ ack: fin.seq });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 2);
  peer.send({ ack: fin.seq + 1 });
  world.run(MILLISECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("RFC 9293, 3.10.4: CLOSE in SYN-SENT sends nothing more", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.expect({ flags: SYN });
  program.close(socket);
  peer.expectNone(5 * SECOND);
  assert.equal(program.tcp.connections, 0);
});

simulate("RFC 9293, 3.10.4: end of writing in SYN-SENT gives the attempt up", (world) => {
  const { program, socket, peer } = connecting(world);
  peer.take(peer.expect({ flags: SYN }));
  program.endWriting(socket);
  assert.equal(program.error(socket), ECONNRESET);
  peer.send({ flags: SYN | ACK, options: { mss: 1460 } });
  peer.expect({ flags: RST });
  program.close(socket);
  assert.equal(program.tcp.connections, 0);
});

simulate("RFC 9293, 3.10.4: end of writing in SYN-RECEIVED becomes FIN-WAIT-1", (world) => {
  const { program, socket, peer } = connecting(world);
  const syn = peer.take(peer.expect({ flags: SYN }));
  peer.send({ flags: SYN, options: { mss: 1460 } });
  peer.expect({ flags: SYN | ACK, ack: peer.iss + 1 });
  program.endWriting(socket);
  peer.send();
  peer.take(peer.expect({ flags: FIN | ACK, seq: syn.seq + 1 }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK, ack: peer.iss + 2 });
  assert.equal(program.tcp.timeWait, 1);
});

simulate("RFC 9293, 3.10.7.4: a reset in CLOSE-WAIT is reported", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  peer.send({ flags: RST });
  world.run(MILLISECOND);
  // The stream that came is whole; what is lost is the way back, as a broken pipe.
  assert.equal(program.error(socket), -EPIPE);
});
