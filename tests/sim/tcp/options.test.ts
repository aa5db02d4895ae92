import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { SendFlag, SocketEvent, SocketOption, Syscall } from "../../../sdk/assembly/syscalls.ts";
import { InfoField } from "../../../net/tcp/infolayout.ts";
import { simulate } from "../harness.ts";
import {
  ACK,
  connected,
  connecting,
  EAGAIN,
  ETIMEDOUT,
  FIN,
  MILLISECOND,
  pattern,
  type Program,
  RST,
  SECOND,
  SYN,
} from "./program.ts";

/** What socket options do to the segments of a connection; man 7 tcp, socket and ip say what they mean. */

simulate("TCP_CORK: small writes wait until they fill a segment", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.Cork, 1);
  program.send(socket, pattern(1000));
  peer.expectNone(100 * MILLISECOND);
  program.send(socket, pattern(1000, 1000));
  peer.expect({ length: 1460 });
  peer.expectNone(100 * MILLISECOND);
});

simulate("TCP_CORK: what is held back goes after 200 ms", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.Cork, 1);
  program.send(socket, pattern(10));
  peer.expectNone(190 * MILLISECOND);
  peer.expect({ length: 10 }, 20 * MILLISECOND);
});

simulate("TCP_CORK: taking it off sends what was held back", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.Cork, 1);
  program.send(socket, pattern(10));
  peer.expectNone(50 * MILLISECOND);
  program.setOption(socket, SocketOption.Cork, 0);
  peer.expect({ length: 10 }, MILLISECOND);
});

simulate("TCP_CORK: the end of the stream does not wait", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.Cork, 1);
  program.send(socket, pattern(10));
  program.endWriting(socket);
  peer.expect({ flags: FIN | ACK, length: 10 }, MILLISECOND);
});

simulate("TCP_NODELAY: switched on, it sends what a cork holds back", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.Cork, 1);
  program.send(socket, pattern(10));
  peer.expectNone(50 * MILLISECOND);
  program.setOption(socket, SocketOption.NoDelay, 1);
  peer.expect({ length: 10 }, MILLISECOND);
});

simulate("MSG_MORE: the write waits for the next one, and goes with it", (world) => {
  const { program, socket, peer } = connected(world);
  const { machine } = program;
  const at = machine.copyIn(pattern(20));
  assert.equal(machine.syscall(Syscall.Send, socket, at, 10, SendFlag.More), 10);
  peer.expectNone(50 * MILLISECOND);
  program.send(socket, pattern(10, 10));
  assert.deepEqual(peer.expect({ length: 20 }).payload, pattern(20));
});

simulate("MSG_MORE: without a next one it goes after 200 ms", (world) => {
  const { program, socket, peer } = connected(world);
  const at = program.machine.copyIn(pattern(10));
  program.machine.syscall(Syscall.Send, socket, at, 10, SendFlag.More);
  peer.expectNone(190 * MILLISECOND);
  peer.expect({ length: 10 }, 20 * MILLISECOND);
});

simulate("flags that there are not are refused", (world) => {
  const { program, socket } = connected(world);
  const { machine } = program;
  assert.equal(machine.syscall(Syscall.Send, socket, machine.scratch, 1, 1), -95);
  assert.equal(machine.syscall(Syscall.Receive, socket, machine.scratch, 1, 0x80), -95);
});

simulate("TCP_QUICKACK: every segment is acknowledged at once", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(10) });
  peer.expectNone(30 * MILLISECOND);
  peer.expect({ flags: ACK }, 20 * MILLISECOND);
  program.setOption(socket, SocketOption.QuickAck, 1);
  for (let i = 1; i < 4; i++) {
    peer.send({ payload: pattern(10, i * 10) });
    peer.expect({ flags: ACK, ack: peer.sndNxt }, MILLISECOND);
  }
});

simulate("TCP_QUICKACK: switched on, it acknowledges what waits", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(10) });
  world.run(5 * MILLISECOND);
  program.setOption(socket, SocketOption.QuickAck, 1);
  peer.expect({ flags: ACK, ack: peer.sndNxt }, MILLISECOND);
});

simulate("SO_LINGER of 0 s: closing resets", (world) => {
  const { program, socket, peer } = connected(world);
  program.linger(socket, true, 0);
  program.close(socket);
  peer.expect({ flags: RST | ACK });
  assert.equal(program.tcp.connections, 1);
});

simulate(
  "SO_LINGER of 3 s: a reset takes the place of what is not acknowledged by then",
  (world) => {
    const { program, socket, peer } = connected(world);
    program.linger(socket, true, 3);
    program.send(socket, pattern(100));
    assert.equal(program.close(socket), 0);
    world.run(2.9 * SECOND);
    assert.equal(program.tcp.connections, 2);
    world.run(0.2 * SECOND);
    assert.equal(program.tcp.connections, 1);
    peer.peer.expect((frame) => ((frame.tcp?.flags ?? 0) & RST) !== 0);
  },
);

simulate("SO_LINGER of 3 s: an orderly end is not disturbed", (world) => {
  const { program, socket, peer } = connected(world);
  program.linger(socket, true, 3);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  assert.equal(program.tcp.timeWait, 1);
});

simulate("TCP_LINGER2: an orphan's time in FIN-WAIT-2", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.FinWait2, 5);
  program.close(socket);
  peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send();
  world.run(4 * SECOND);
  assert.equal(program.tcp.connections, 2);
  world.run(2 * SECOND);
  assert.equal(program.tcp.connections, 1);
});

simulate("TCP_MAXSEG: bounds what is announced and what is sent", (world) => {
  const { program, peer, socket } = connecting(world);
  peer.peer.inbox = [];
  program.close(socket);
  const { machine } = program;
  const second = machine.syscall(Syscall.Socket, 1);
  assert.equal(program.tryOption(second, SocketOption.MaxSegment, 500), 0);
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 0xffff_0a00_0001n, true);
  view.setUint16(16, 8, true);
  machine.syscall(Syscall.Connect, second, machine.copyIn(bytes, 128 * 1024));
  const syn = peer.peer.expect((frame) => frame.tcp?.destinationPort === 8).tcp!;
  assert.equal(syn.options.mss, 500);
});

simulate("TCP_MAXSEG of a listener is in its SYN and ACK", (world) => {
  const { program, listener, peer } = connected(world);
  program.setOption(listener, SocketOption.MaxSegment, 600);
  const other = peer.peer.tcp("10.0.0.2", 80, 4001);
  assert.equal(other.connect().options.mss, 600);
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  program.send(socket, pattern(1000));
  assert.equal(other.expect().payload.length, 600);
});

simulate("TCP_WINDOW_CLAMP: no larger window is advertised", (world) => {
  const { program, listener, peer } = connected(world);
  program.setOption(listener, SocketOption.WindowClamp, 5000);
  const other = peer.peer.tcp("10.0.0.2", 80, 4001);
  other.connect();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  for (let at = 0; at < 100_000; at += 1000) {
    other.send({ payload: pattern(1000, at) });
    world.run(MILLISECOND);
    program.receive(socket);
  }
  world.run(50 * MILLISECOND);
  assert.ok(peer.peer.inbox.at(-1)!.tcp!.window <= 5000);
});

simulate("SO_RCVLOWAT: Readable when so many bytes wait, or the end has come", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.ReceiveLowWater, 100);
  peer.send({ payload: pattern(99) });
  world.run(MILLISECOND);
  assert.equal(program.events(socket) & SocketEvent.Readable, 0);
  peer.send({ payload: pattern(1, 99) });
  world.run(MILLISECOND);
  assert.ok(program.events(socket) & SocketEvent.Readable);
});

simulate("TCP_NOTSENT_LOWAT: no more is taken than may soon be sent", (world) => {
  const { program, socket, peer } = connected(world, { window: 2000 });
  program.setOption(socket, SocketOption.NotSentLowWater, 4000);
  assert.equal(program.send(socket, pattern(20_000)), 4000);
  peer.take(peer.expect({ length: 1460 }));
  world.run(MILLISECOND);
  assert.ok(program.send(socket, pattern(20_000)) <= 2000);
  assert.equal(program.send(socket, pattern(1)), EAGAIN);
});

simulate("RFC 5482, 2: TCP_USER_TIMEOUT ends a connection without progress", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.UserTimeout, 4000);
  program.send(socket, pattern(10));
  peer.expect({ length: 10 });
  world.run(3 * SECOND);
  assert.equal(program.tcp.established, 1);
  world.run(3 * SECOND);
  assert.equal(program.error(socket), ETIMEDOUT);
});

simulate("RFC 1122, 4.2.3.6: TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT", (world) => {
  const { program, socket, peer } = connected(world);
  program.setOption(socket, SocketOption.KeepIdle, 10);
  program.setOption(socket, SocketOption.KeepInterval, 2);
  program.setOption(socket, SocketOption.KeepCount, 3);
  program.setOption(socket, SocketOption.KeepAlive, 1);
  peer.expectNone(9 * SECOND);
  for (let i = 0; i < 3; i++) peer.expect({ seq: peer.rcvNxt - 1, length: 0 }, 3 * SECOND);
  peer.expect({ flags: RST | ACK }, 3 * SECOND);
  assert.equal(program.error(socket), ETIMEDOUT);
});

simulate("TCP_SYNCNT: times that a SYN is sent again", (world) => {
  const { program, socket, peer } = connecting(world);
  program.setOption(socket, SocketOption.SynCount, 2);
  for (let i = 0; i < 3; i++) peer.expect({ flags: SYN }, 5 * SECOND);
  peer.expectNone(10 * SECOND);
  assert.equal(program.error(socket), ETIMEDOUT);
});

simulate("TCP_CONGESTION: by name, and read back", (world) => {
  const { program, socket } = connected(world);
  const name = (): string => {
    const view = program.optionData(socket, SocketOption.Congestion);
    return Buffer.from(view.buffer).toString().replace(/\0+$/, "");
  };
  assert.equal(program.setOptionData(socket, SocketOption.Congestion, Buffer.from("reno")), 0);
  assert.equal(name(), "reno");
  assert.equal(program.setOptionData(socket, SocketOption.Congestion, Buffer.from("none")), -2);
  assert.equal(name(), "reno");
});

/** Fields of TCP_INFO, of four bytes and of eight. */
function info(program: Program, socket: number) {
  const view = program.optionData(socket, SocketOption.Info);
  return {
    view,
    word: (at: InfoField): number => view.getUint32(at, true),
    long: (at: InfoField): number => Number(view.getBigUint64(at, true)),
  };
}

simulate("TCP_INFO: Linux's layout, cut to what is asked for", (world) => {
  const { program, socket, peer } = connected(world, { windowScale: 3, window: 1000 });
  program.send(socket, pattern(1460));
  peer.expect();
  const { view, word } = info(program, socket);
  assert.equal(view.getUint8(InfoField.State), 1); // TCP_ESTABLISHED
  assert.ok(view.getUint8(InfoField.Options) & 4); // TCPI_OPT_WSCALE
  assert.equal(view.getUint8(InfoField.Scales) & 15, 3);
  assert.equal(word(InfoField.SndMss), 1460);
  assert.equal(word(InfoField.Unacked), 1);
  assert.equal(word(InfoField.SndCwnd), 10);
  assert.equal(word(InfoField.SndWnd), 8000);
  assert.equal(program.optionData(socket, SocketOption.Info, 104).byteLength, 104);
});

simulate("TCP_INFO: bytes and segments both ways", (world) => {
  const { program, socket, peer } = connected(world, { delay: 100 * MILLISECOND });
  program.noDelay(socket);
  program.send(socket, pattern(4000));
  for (let i = 0; i < 2; i++) peer.take(peer.expect({ length: 1460 }));
  peer.expect({ length: 1080 });
  world.run(5 * MILLISECOND);
  peer.send({ payload: pattern(700) });
  peer.expect({ length: 0 }, 50 * MILLISECOND);
  const { word, long } = info(program, socket);
  assert.equal(long(InfoField.BytesSent), 4000);
  assert.equal(long(InfoField.BytesAcked), 2920);
  assert.equal(long(InfoField.BytesRetrans), 0);
  assert.equal(long(InfoField.BytesReceived), 700);
  assert.equal(word(InfoField.Delivered), 2);
  assert.equal(word(InfoField.Unacked), 1);
  assert.equal(word(InfoField.NotsentBytes), 0);
  assert.equal(word(InfoField.SegsOut), 4);
  assert.equal(word(InfoField.DataSegsOut), 3);
  // The peer's data, and an ACK.
  peer.send();
  world.run(MILLISECOND);
  const later = info(program, socket);
  assert.equal(later.word(InfoField.SegsIn), 2);
  assert.equal(later.word(InfoField.DataSegsIn), 1);
  assert.equal(word(InfoField.Pmtu), 1500);
  assert.equal(long(InfoField.PacingRate), Number(0xffff_ffff_ffff_ffffn));
  const sentAgo = word(InfoField.LastDataSent);
  assert.ok(sentAgo >= 44 && sentAgo < 60, `${sentAgo}`);
  const receivedAgo = word(InfoField.LastDataRecv);
  assert.ok(receivedAgo >= 39 && receivedAgo < 43, `${receivedAgo}`);
});

simulate("TCP_INFO: an ACK is no data received", (world) => {
  const { program, socket, peer } = connected(world);
  peer.send({ payload: pattern(700) });
  peer.expect({ length: 0 }, 50 * MILLISECOND);
  world.run(100 * MILLISECOND);
  program.send(socket, pattern(10));
  peer.take(peer.expect({ length: 10 }));
  peer.send();
  world.run(5 * MILLISECOND);
  const { word, long } = info(program, socket);
  assert.equal(long(InfoField.BytesReceived), 700);
  assert.ok(word(InfoField.LastDataRecv) >= 100, `${word(InfoField.LastDataRecv)}`);
  assert.ok(word(InfoField.LastAckRecv) < 10, `${word(InfoField.LastAckRecv)}`);
});

simulate("TCP_INFO: what is lost, sacked and sent again", (world) => {
  const { program, socket, peer } = connected(world, { sack: true, delay: 20 * MILLISECOND });
  program.send(socket, pattern(1460 * 6));
  const first = peer.expect({ length: 1460 });
  for (let i = 0; i < 5; i++) peer.expect({ length: 1460 });
  world.run(10 * MILLISECOND);
  const { seq } = first;
  peer.rcvNxt = seq;
  peer.send({ options: { sack: [[seq + 1460, seq + 6 * 1460]] } });
  peer.expect({ seq, length: 1460 }, 20 * MILLISECOND);
  const then = info(program, socket);
  assert.equal(then.word(InfoField.Sacked), 5);
  assert.equal(then.word(InfoField.Lost), 0);
  assert.equal(then.word(InfoField.Retrans), 1);
  assert.equal(then.word(InfoField.TotalRetrans), 1);
  assert.equal(then.long(InfoField.BytesRetrans), 1460);
  assert.equal(then.long(InfoField.BytesSent), 7 * 1460);
  assert.equal(then.long(InfoField.BytesAcked), 0);
  assert.equal(then.word(InfoField.Delivered), 5);
  assert.ok(then.word(InfoField.MinRtt) >= 10_000 && then.word(InfoField.MinRtt) < 20_000);
  const rate = then.long(InfoField.DeliveryRate);
  assert.ok(rate > 300_000 && rate < 730_000, `${rate}`);
  // Both copies of the first arrive.
  peer.rcvNxt = seq + 6 * 1460;
  peer.send({ options: { sack: [[seq, seq + 1460]] } });
  world.run(MILLISECOND);
  const now = info(program, socket);
  assert.equal(now.word(InfoField.Retrans), 0);
  assert.equal(now.word(InfoField.DsackDups), 1);
  assert.equal(now.long(InfoField.BytesAcked), 6 * 1460);
});

simulate("IP_TTL: in every segment, from SYN and ACK to the reset", (world) => {
  const { program, listener, peer } = connected(world);
  program.setOption(listener, SocketOption.TimeToLive, 9);
  const other = peer.peer.tcp("10.0.0.2", 80, 4001);
  const lives = (): number[] =>
    peer.peer.inbox.filter((frame) => frame.tcp).map((frame) => frame.ipv4!.ttl);
  other.connect();
  world.run(MILLISECOND);
  const socket = program.accept(listener);
  peer.peer.inbox = [];
  program.send(socket, pattern(10));
  other.send({ payload: pattern(10) });
  world.run(100 * MILLISECOND);
  assert.deepEqual([...new Set(lives())], [9]);
  program.setOption(socket, SocketOption.TimeToLive, 200);
  program.linger(socket, true, 0);
  peer.peer.inbox = [];
  program.close(socket);
  world.run(MILLISECOND);
  assert.deepEqual(lives(), [200]);
});

simulate("IP_TTL of a listener and of who connects is in the SYN", (world) => {
  const { program, listener, peer } = connected(world);
  program.setOption(listener, SocketOption.TimeToLive, 9);
  const asking = peer.peer.tcp("10.0.0.2", 80, 4001);
  asking.send({ flags: SYN, options: { mss: 1460 } });
  const answer = peer.peer.expect((frame) => frame.tcp?.flags === (SYN | ACK));
  assert.equal(answer.ipv4!.ttl, 9);
  const { machine } = program;
  const socket = machine.syscall(Syscall.Socket, 1);
  program.setOption(socket, SocketOption.TimeToLive, 3);
  const bytes = new Uint8Array(24);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(8, 0xffff_0a00_0001n, true);
  view.setUint16(16, 8, true);
  machine.syscall(Syscall.Connect, socket, machine.copyIn(bytes, 128 * 1024));
  assert.equal(peer.peer.expect((frame) => frame.tcp?.destinationPort === 8).ipv4!.ttl, 3);
});

simulate("options of one socket are not another's", (world) => {
  const { program, socket, listener } = connected(world);
  program.setOption(socket, SocketOption.KeepIdle, 33);
  assert.equal(program.option(listener, SocketOption.KeepIdle), 7200);
  assert.equal(program.option(socket, SocketOption.KeepIdle), 33);
  program.setOption(socket, SocketOption.KeepIdle, 7200);
  assert.equal(program.option(socket, SocketOption.KeepIdle), 7200);
});

test("what a program may set has one number in the kernel and for programs", () => {
  const numbers = (file: string, name: string): Map<string, number> => {
    const text = readFileSync(file, "utf8")
      .split(`export const enum ${name} {`)[1]!
      .split("\n}")[0]!;
    return new Map(
      [...text.matchAll(/^ {2}(\w+) = (\d+),$/gm)].map(([, word, value]) => [word!, Number(value)]),
    );
  };
  const kernel = numbers("net/endpoint.ts", "EndpointOption");
  const programs = numbers("sdk/assembly/syscalls.ts", "SocketOption");
  assert.ok(kernel.size >= 30);
  for (const [name, value] of kernel) assert.equal(programs.get(name), value, name);
  assert.equal(new Set(programs.values()).size, programs.size);
});
