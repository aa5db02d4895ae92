import assert from "node:assert/strict";
import {
  Domain,
  Layout,
  SendFlag,
  SocketOption,
  SocketType,
  Statistics,
  Syscall,
} from "../../sdk/assembly/syscalls.ts";
import type { Machine } from "../../tools/sim/machine.ts";
import { SocketEvent, Sockets } from "../../tools/sim/sockets.ts";
import { call, type Script, type ScriptMemory } from "../../tools/sim/guest/scripted.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { simulate, type World } from "./harness.ts";
import { TcpClient } from "./tcp-client.ts";

/** Sockets through their system calls: numbers, errors, events, and pointers that are not the caller's. */

const EBADF = -9;
const EAGAIN = -11;
const EFAULT = -14;
const EINVAL = -22;
const ENOSYS = -38;
const EDESTADDRREQ = -89;
const EPROTONOSUPPORT = -93;
const EOPNOTSUPP = -95;
const EADDRINUSE = -98;
const ENETUNREACH = -101;
const ENOTCONN = -107;
const ECONNREFUSED = 111;
const EINPROGRESS = -115;

function machineOf(world: World): Machine {
  return world.ready().machine;
}

/** An address in the scratch area. */
function address(machine: Machine, port: number, v4 = 0): number {
  const bytes = Buffer.alloc(Layout.Address);
  if (v4) bytes.writeBigUInt64LE(0xffff_0000_0000n | BigInt(v4), 8);
  bytes.writeUInt16LE(port, 16);
  return machine.copyIn(bytes, 512);
}

const LOOPBACK = 0x7f000001;

simulate("a closed socket's number names nothing, and no later socket", (world) => {
  const machine = machineOf(world);
  const first = machine.syscall(Syscall.Socket, SocketType.Stream);
  assert.ok(first > 0);
  assert.equal(machine.syscall(Syscall.Close, first), 0);
  const seen = new Set([first]);
  for (let i = 0; i < 1000; i++) {
    const next = machine.syscall(Syscall.Socket, SocketType.Stream);
    assert.ok(next > 0 && !seen.has(next), `${next}`);
    seen.add(next);
    assert.equal(machine.syscall(Syscall.Close, next), 0);
  }
  for (const number of seen) {
    assert.equal(machine.syscall(Syscall.Listen, number, 1), EBADF);
    assert.equal(machine.syscall(Syscall.Close, number), EBADF);
  }
  for (const number of [0, -1, 0x7fffffff, 0x80000000, 12345]) {
    for (const call of [Syscall.Accept, Syscall.Close, Syscall.Shutdown, Syscall.GetOption]) {
      assert.equal(machine.syscall(call, number), EBADF, `${call}(${number})`);
    }
  }
});

simulate("what is asked wrongly is refused", (world) => {
  const machine = machineOf(world);
  assert.equal(machine.syscall(0), ENOSYS);
  assert.equal(machine.syscall(99), ENOSYS);
  assert.equal(machine.syscall(Syscall.Socket, 3), EPROTONOSUPPORT);
  const stream = machine.syscall(Syscall.Socket, SocketType.Stream);
  assert.equal(machine.syscall(Syscall.Accept, stream, 0), EINVAL);
  assert.equal(machine.syscall(Syscall.Send, stream, machine.scratch, 4), ENOTCONN);
  assert.equal(machine.syscall(Syscall.Receive, stream, machine.scratch, 4, 0), ENOTCONN);
  assert.equal(machine.syscall(Syscall.PeerAddress, stream, machine.scratch), ENOTCONN);
  assert.equal(machine.syscall(Syscall.Bind, stream, address(machine, 80)), 0);
  assert.equal(machine.syscall(Syscall.Bind, stream, address(machine, 81)), EINVAL);
  assert.equal(machine.syscall(Syscall.Listen, stream, 1), 0);
  assert.equal(machine.syscall(Syscall.Accept, stream, 0), EAGAIN);
  const other = machine.syscall(Syscall.Socket, SocketType.Stream);
  assert.equal(machine.syscall(Syscall.Bind, other, address(machine, 80)), EADDRINUSE);
  const datagram = machine.syscall(Syscall.Socket, SocketType.Datagram);
  assert.equal(machine.syscall(Syscall.Listen, datagram, 1), EOPNOTSUPP);
  assert.equal(machine.syscall(Syscall.Send, datagram, machine.scratch, 4), EDESTADDRREQ);
  assert.equal(machine.syscall(Syscall.ReceiveFrom, datagram, machine.scratch, 4, 0), EAGAIN);
  assert.equal(machine.syscall(Syscall.Bind, datagram, address(machine, 80)), 0);
  assert.equal(machine.syscall(Syscall.Statistics, 77, machine.scratch, 64), EINVAL);
});

simulate("a connection that could not begin leaves no source behind for the next one", (world) => {
  const machine = machineOf(world);
  const listener = machine.syscall(Syscall.Socket, SocketType.Stream);
  machine.syscall(Syscall.Bind, listener, address(machine, 90, LOOPBACK));
  machine.syscall(Syscall.Listen, listener, 1);
  const stream = machine.syscall(Syscall.Socket, SocketType.Stream);
  const group = address(machine, 90, 0xe0000001);
  assert.equal(machine.syscall(Syscall.Connect, stream, group), ENETUNREACH);
  const to = address(machine, 90, LOOPBACK);
  assert.equal(machine.syscall(Syscall.Connect, stream, to), EINPROGRESS);
  world.run(MILLISECOND);
  const accepted = machine.syscall(Syscall.Accept, listener, 0);
  assert.equal(machine.syscall(Syscall.PeerAddress, accepted, machine.scratch), 0);
  assert.equal(machine.view.getUint32(machine.scratch + 8, true), LOOPBACK);
});

for (const asked of ["connect", "sendto"]) {
  simulate(`a stream of IPv4 that could not ${asked} listens to IPv4 alone`, (world) => {
    const machine = machineOf(world);
    const stream = machine.syscall(Syscall.Socket, SocketType.Stream);
    const nobody = address(machine, 90, LOOPBACK);
    const again = (): number =>
      asked === "connect"
        ? machine.syscall(Syscall.Connect, stream, nobody)
        : machine.syscall(Syscall.SendTo, stream, nobody, 1, nobody, SendFlag.FastOpen);
    assert.equal(machine.syscall(Syscall.Connect, stream, nobody), EINPROGRESS);
    world.run(MILLISECOND);
    assert.equal(again(), -ECONNREFUSED);
    assert.equal(machine.syscall(Syscall.Listen, stream, 1), 0);
    assert.equal(machine.syscall(Syscall.LocalAddress, stream, machine.scratch), 0);
    const port = machine.view.getUint16(machine.scratch + 16, true);
    const six = machine.syscall(Syscall.Socket, SocketType.Stream, Domain.Inet6);
    assert.equal(machine.syscall(Syscall.SetOption, six, SocketOption.V6Only, 1), 0);
    assert.equal(machine.syscall(Syscall.Bind, six, address(machine, port)), 0);
  });
}

simulate("pointers outside the caller's memory are refused", (world) => {
  const machine = machineOf(world);
  const socket = machine.syscall(Syscall.Socket, SocketType.Datagram);
  const { length } = machine.memory;
  const bad = [0, 1, 4095, length - 3, length, 0x7fffffff, 0xfffffff0];
  for (const at of bad) {
    for (const call of [Syscall.Bind, Syscall.Connect, Syscall.LocalAddress]) {
      assert.equal(machine.syscall(call, socket, at), EFAULT, `${call} at ${at}`);
    }
    assert.equal(machine.syscall(Syscall.Send, socket, at, 8), EFAULT);
    assert.equal(machine.syscall(Syscall.Receive, socket, at, 8, 0), EFAULT);
    assert.equal(machine.syscall(Syscall.SendTo, socket, machine.scratch, 8, at), EFAULT);
    assert.equal(machine.syscall(Syscall.Poll, at, 8), EFAULT);
    assert.equal(machine.syscall(Syscall.Statistics, Statistics.Tcp, at, 8), EFAULT);
  }
  assert.equal(machine.syscall(Syscall.Send, socket, machine.scratch, 0xffffffff), EFAULT);
  assert.equal(machine.syscall(Syscall.Poll, length - Layout.Ready, 2), EFAULT);
  assert.equal(machine.syscall(Syscall.Poll, length - Layout.Ready, 1), 0);
});

simulate("a connection over the loopback: news comes once for each change", (world) => {
  const machine = machineOf(world);
  const sockets = new Sockets(machine);
  const listener = sockets.stream();
  sockets.bind(listener, 5000);
  sockets.listen(listener, 4);
  const client = machine.syscall(Syscall.Socket, SocketType.Stream);
  const to = address(machine, 5000, LOOPBACK);
  assert.equal(machine.syscall(Syscall.Connect, client, to), EINPROGRESS);
  world.run(50 * MILLISECOND);
  const news = new Map(sockets.poll());
  assert.ok(news.get(listener)! & SocketEvent.Readable);
  assert.ok(news.get(client)! & SocketEvent.Writable);
  assert.deepEqual(sockets.poll(), []);
  const server = sockets.accept(listener)!;
  assert.ok(server > 0 && sockets.accept(listener) === null);
  sockets.poll();
  assert.equal(sockets.send(client, Buffer.from("ping")), 4);
  world.run(50 * MILLISECOND);
  assert.ok(new Map(sockets.poll()).get(server)! & SocketEvent.Readable);
  assert.equal(Buffer.from(sockets.receive(server, 100)!).toString(), "ping");
  assert.equal(sockets.receive(server, 100), null);
  assert.equal(sockets.localAddress(server).port, 5000);
  sockets.setOption(server, SocketOption.NoDelay, 1);
  assert.equal(machine.syscall(Syscall.GetOption, server, SocketOption.NoDelay), 1);
  sockets.close(client);
  world.run(50 * MILLISECOND);
  assert.equal(sockets.receive(server, 100)!.length, 0);
  sockets.close(server);
  const refused = sockets.stream();
  machine.syscall(Syscall.Connect, refused, address(machine, 5001, LOOPBACK));
  world.run(50 * MILLISECOND);
  assert.ok(new Map(sockets.poll()).get(refused)! & SocketEvent.Error);
  assert.equal(sockets.error(refused), ECONNREFUSED);
  assert.equal(sockets.error(refused), 0);
});

simulate("a full table says so and recovers", (world) => {
  const machine = machineOf(world);
  const at = machine.scratch;
  machine.syscall(Syscall.Statistics, Statistics.Sockets, at, 8);
  const capacity = machine.view.getUint32(at + 4, true);
  const numbers: number[] = [];
  let result = 0;
  while ((result = machine.syscall(Syscall.Socket, SocketType.Stream)) > 0) numbers.push(result);
  assert.ok(result === -24 || result === -105, `${result}`);
  assert.ok(numbers.length <= capacity && numbers.length >= 128, `${numbers.length}`);
  assert.equal(machine.syscall(Syscall.Close, numbers.pop()!), 0);
  assert.ok(machine.syscall(Syscall.Socket, SocketType.Stream) > 0);
});

simulate("who has filled a queue exactly, and was refused nothing, hears of room", (world) => {
  const NONBLOCK = 4;
  const WRITABLE = 4;
  const results: number[] = [];
  const guest = {
    name: "filler",
    pages: 8,
    *script(memory: ScriptMemory): Script {
      const address = memory.reserve(24);
      const polled = memory.reserve(8);
      const bytes = memory.reserve(3 * 65536);
      memory.view.setUint16(address + 16, 700, true);
      const listener = yield* call("socket", 1, 10, 0);
      yield* call("bind", listener, address);
      yield* call("listen", listener, 4);
      const first = yield* call("accept", listener, 0, NONBLOCK);
      const room = yield* call("send", first, bytes, 3 * 65536, 0);
      const second = yield* call("accept", listener, 0, NONBLOCK);
      results.push(room, yield* call("send", second, bytes, room, 0));
      memory.view.setUint32(polled, second, true);
      memory.view.setUint16(polled + 4, WRITABLE, true);
      results.push(yield* call("poll", polled, 1, -1n));
    },
  };
  const { machine } = world.ready({ ip: "10.0.0.2/24", memory: 32 << 20, guests: [guest] });
  const peer = world.peer("10.0.0.1");
  const clients = [0, 1].map(() => new TcpClient(peer, "10.0.0.2", 700));
  world.simulation.until(
    () => results.length >= 2,
    SECOND,
    () => "the queue is not filled",
  );
  assert.ok(results[0]! > 0 && results[0]! < 3 * 65536);
  assert.equal(results[1], results[0]);
  machine.expectLine(/guest: filler ended code=0/, SECOND);
  assert.equal(results[2], 1);
  assert.ok(clients[1]!.received.length > 0);
});

simulate(
  "two buffers of a stream: whole, in part, by a call that waits, and one that is not all there",
  (world) => {
    const [NONBLOCK, FAULT, AGAIN] = [4, 21, 6];
    const PAGES = 10;
    const LARGE = 4 * 65536;
    const results: number[] = [];
    const sent: Buffer[] = [];
    const guest = {
      name: "two",
      pages: PAGES,
      *script(memory: ScriptMemory): Script {
        const address = memory.reserve(24);
        const message = memory.reserve(16);
        const list = memory.reserve(16);
        const bytes = memory.reserve(LARGE + 1000);
        for (let i = 0; i < LARGE + 1000; i++) memory.bytes[bytes + i] = (i * 7 + (i >> 8)) & 0xff;
        const { view } = memory;
        view.setUint32(message, list, true);
        view.setUint32(message + 4, 2, true);
        function* send(
          fd: number,
          at: readonly [number, number],
          length: readonly [number, number],
        ) {
          for (const i of [0, 1] as const) {
            view.setUint32(list + 8 * i, at[i], true);
            view.setUint32(list + 8 * i + 4, length[i], true);
          }
          const result = yield* call("send_message", fd, message, 0);
          const all = Buffer.concat(
            [0, 1].map((i) => memory.bytes.slice(at[i], at[i]! + length[i]!)),
          );
          if (result > 0) sent.push(all.subarray(0, result));
          results.push(result);
          return result;
        }
        view.setUint16(address + 16, 700, true);
        const listener = yield* call("socket", 1, 10, 0);
        yield* call("bind", listener, address);
        yield* call("listen", listener, 4);
        const fd = yield* call("accept", listener, 0, 0);
        yield* send(fd, [bytes, bytes + 500], [300, 960]);
        yield* send(fd, [bytes + 5, PAGES * 65536 - 960], [300, 961]);
        yield* send(fd, [0xffff_ff00, bytes], [300, 960]);
        yield* send(fd, [bytes + 100, bytes], [0, 200]);
        yield* send(fd, [bytes + 100, bytes], [1000, LARGE]);
        yield* call("fd_fdstat_set_flags", fd, NONBLOCK);
        while ((yield* send(fd, [bytes + 9, bytes + 2], [333, 20_000])) > 0) continue;
        yield* call("fd_close", fd);
      },
    };
    const { machine } = world.ready({ ip: "10.0.0.2/24", memory: 32 << 20, guests: [guest] });
    const client = new TcpClient(world.peer("10.0.0.1"), "10.0.0.2", 700);
    machine.expectLine(/guest: two ended code=0/, 10 * SECOND);
    client.expectEnd();
    const [whole, over, wild, second, waited, ...rest] = results;
    assert.deepEqual(
      [whole, over, wild, second, waited],
      [1260, -FAULT, -FAULT, 200, 1000 + LARGE],
    );
    assert.equal(rest.at(-1), -AGAIN);
    assert.ok(rest.some((count) => count > 0 && count < 20_333));
    assert.ok(client.received.equals(Buffer.concat(sent)));
  },
);
