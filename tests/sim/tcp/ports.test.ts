import assert from "node:assert/strict";
import { Layout, SocketType, Syscall } from "../../../sdk/assembly/syscalls.ts";
import { simulate, type World } from "../harness.ts";
import { type TcpOptions } from "../../../tools/sim/frames.ts";
import {
  ACK,
  connecting,
  EINPROGRESS,
  FIN,
  MACHINE,
  MILLISECOND,
  PORT,
  Program,
  SECOND,
  SYN,
} from "./program.ts";

/** Ports of connections that the machine opens. */

const EADDRNOTAVAIL = -99;

/** What `connect` to 10.0.0.1 says, from local port 3000 or one that is chosen. */
function connect(program: Program, port: number, localPort = 0): number {
  const { machine } = program;
  const socket = machine.syscall(Syscall.Socket, SocketType.Stream);
  const address = (ip: bigint, to: number): number => {
    const bytes = new Uint8Array(Layout.Address);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(8, ip && 0x0000_ffff_0000_0000n | ip, true);
    view.setUint16(16, to, true);
    return machine.copyIn(bytes, 128 * 1024);
  };
  if (localPort) {
    assert.equal(machine.syscall(Syscall.Bind, socket, address(0n, localPort)), 0);
  }
  const result = machine.syscall(Syscall.Connect, socket, address(0x0a00_0001n, port));
  if (result !== EINPROGRESS) program.close(socket);
  return result;
}

/** The machine has connected from port 3000 to port 7, and closed first: its end is in TIME-WAIT. */
function waiting(world: World, options: TcpOptions) {
  const { program, socket, peer } = connecting(world);
  const syn = peer.accept(options);
  if (options.timestamps) {
    peer.options = { timestamps: [options.timestamps[0] + 1, syn.options.timestamps![0]] };
  }
  world.run(MILLISECOND);
  program.close(socket);
  const fin = peer.take(peer.expect({ flags: FIN | ACK }));
  peer.send({ flags: FIN | ACK });
  peer.expect({ flags: ACK });
  world.run(MILLISECOND);
  assert.equal(program.tcp.timeWait, 1);
  return { program, peer, syn, fin };
}

simulate("RFC 6191, 2: a tuple in TIME-WAIT is taken again when timestamps tell", (world) => {
  const { program, peer, syn, fin } = waiting(world, { mss: 1460, timestamps: [1000, 0] });
  assert.equal(connect(program, 7, 3000), EADDRNOTAVAIL);
  world.run(3 * SECOND);
  assert.equal(connect(program, 7, 3000), EINPROGRESS);
  assert.equal(program.tcp.timeWait, 0);
  const again = peer.expect({ flags: SYN });
  assert.ok((again.seq - fin.seq) >>> 0 < 2 ** 31, "a sequence number before the old ones");
  assert.ok(again.seq !== fin.seq);
  const ticks = (again.options.timestamps![0] - syn.options.timestamps![0]) >>> 0;
  assert.ok(ticks >= 3000 && ticks < 4000, `${ticks} ms by our timestamps`);
});

simulate("RFC 9293, 3.4.3: without timestamps a tuple waits for 2 MSL", (world) => {
  const { program } = waiting(world, { mss: 1460 });
  world.run(55 * SECOND);
  assert.equal(connect(program, 7, 3000), EADDRNOTAVAIL);
  world.run(7 * SECOND);
  assert.equal(connect(program, 7, 3000), EINPROGRESS);
});

simulate(
  "RFC 6056, 3.3.4: a destination's ports follow each other, others' lie elsewhere",
  (world) => {
    const { machine } = world.ready();
    const program = new Program(machine);
    const peer = world.peer();
    const ports = (port: number): number[] =>
      Array.from({ length: 20 }, () => {
        assert.equal(connect(program, port), EINPROGRESS);
        const is = ({ tcp }: { tcp?: { flags: number; destinationPort: number } }): boolean =>
          tcp?.flags === SYN && tcp.destinationPort === port;
        return peer.expect((frame) => is(frame)).tcp!.sourcePort;
      });
    const first = ports(80);
    const second = ports(81);
    for (const list of [first, second]) {
      list.slice(1).forEach((port, i) => {
        assert.equal((port - list[i]! + 32768) % 32768, 1);
        assert.ok(port >= 32768);
      });
    }
    assert.ok(!first.some((port) => second.includes(port)));
  },
);

// ---- SO_REUSEPORT --------------------------------------------------------------------------

/** `count` peers connect, from ports that nobody else uses: how many each listener got. */
function deal(world: World, program: Program, listeners: number[], count: number, from: number) {
  for (let i = 0; i < count; i++)
    world
      .peer()
      .tcp(MACHINE, PORT, from + i)
      .connect();
  world.run(10 * MILLISECOND);
  return listeners.map((listener) => {
    let accepted = 0;
    while (program.accept(listener) >= 0) accepted++;
    return accepted;
  });
}

simulate("SO_REUSEPORT: connections are dealt out among those who listen", (world) => {
  const program = new Program(world.ready().machine);
  const listeners = [0, 1, 2].map(() => program.listen(PORT, 64, true));
  const first = deal(world, program, listeners, 60, 4000);
  assert.equal(first[0]! + first[1]! + first[2]!, 60);
  assert.ok(Math.min(...first) >= 8, `${first}`);
  program.close(listeners[1]!);
  const second = deal(world, program, [listeners[0]!, listeners[2]!], 40, 5000);
  assert.equal(second[0]! + second[1]!, 40);
  assert.ok(Math.min(...second) >= 8, `${second}`);
});

simulate("SO_REUSEPORT: all of them must have it", (world) => {
  const program = new Program(world.ready().machine);
  const shared = program.listen(PORT, 16, true);
  assert.throws(() => program.listen(PORT), /bind: -98/);
  program.close(shared);
  program.listen(PORT);
  assert.throws(() => program.listen(PORT, 16, true), /bind: -98/);
});

simulate("SO_REUSEPORT: who has the address itself goes before who has any", (world) => {
  const program = new Program(world.ready().machine);
  const general = program.listen(PORT, 64, true);
  const exact = program.listen(PORT, 64, true, MACHINE);
  assert.deepEqual(deal(world, program, [general, exact], 20, 4000), [0, 20]);
});
