import assert from "node:assert/strict";
import { test } from "node:test";
import { Statistics } from "../../sdk/assembly/syscalls.ts";
import { encodeSpecs } from "../../tools/guest/spec.ts";
import { call, type Script, type ScriptMemory } from "../../tools/sim/guest/scripted.ts";
import { Random } from "../../tools/sim/random.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { Sockets } from "../../tools/sim/sockets.ts";
import {
  byteOf,
  Console,
  type Description,
  End,
  type EndKind,
  Epoll,
  Event,
  type Expected,
  Model,
  NONBLOCK,
  Tcp,
  Timer,
  Udp,
  WasiErrno,
} from "./call-model.ts";
import { held } from "./counters.ts";
import { guestSpec } from "./guest-programs.ts";
import { forSeeds, inWorld } from "./harness.ts";

/** Guests that make calls at random, against what a model written from POSIX expects. */

/** Sequences of each seed, all of one guest and one machine, and calls of each. */
const SEQUENCES = 40;
const CALLS = 70;
const LIMIT = 20;
/** Ports of a sequence: each has its own, whose old connections are none of the next one's. */
const PORTS = 4;
/** What is under way on the loopback is over after this. */
const SETTLED = 20n * 1_000_000n;

const LOOPBACK = 0xffff_7f00_0001n;
const ELSEWHERE = 0xffff_c000_0201n;

const isUnbound = (one: Description) => !(one as Tcp | Udp).port;
const isFresh = (one: Description) => (one as Tcp).state === "fresh";
const isBound = (one: Description) => (one as Tcp).port > 0 && isFresh(one);
const isConnected = (one: Description) => (one as Tcp).state === "connected";
const hasQueue = (one: Description) => one instanceof Tcp && one.queue.length > 0;
const mayTalk = (one: Description) => isConnected(one) || one instanceof Udp;
const hasArrived = (one: Description) => (one as Tcp | Udp).arrived.length > 0;

/** Calls that succeeded, by name: a run in which hardly any do proves little. */
const succeeded = new Map<string, number>();

/** One sequence of calls after the other; `next` says when to go on. */
class Caller {
  readonly trace: string[] = [];
  sequences = 0;
  calls = 0;
  /** Sequences that may be begun. */
  allowed = 1;
  private readonly random: Random;
  private model!: Model;
  private readonly address: number;
  private readonly data: number;
  private readonly vector: number;
  private readonly list: number;
  private readonly clock: number;
  private readonly message: number;

  constructor(
    seed: number,
    private readonly memory: ScriptMemory,
    private readonly over: () => boolean,
  ) {
    this.random = new Random(seed);
    this.address = memory.reserve(24);
    this.vector = memory.reserve(16);
    this.data = memory.reserve(4096);
    this.list = memory.reserve(1024);
    this.clock = memory.reserve(8);
    this.message = memory.reserve(16);
  }

  *run(): Script {
    // All but the standard streams: a guest may find a directory open, too.
    for (let fd = 3; fd < 8; fd++) yield* call("fd_close", fd);
    while (!this.over()) {
      if (this.sequences >= this.allowed) {
        yield* this.settle();
        continue;
      }
      this.trace.length = 0;
      this.model = new Model(LIMIT);
      for (let i = 0; i < CALLS; i++) {
        yield* this.step();
        this.calls++;
        yield* this.settle();
      }
      for (const fd of [...this.model.fds.keys()])
        if (fd > 2) assert.equal(yield* call("fd_close", fd), this.model.close(fd));
      yield* this.settle();
      this.sequences++;
    }
  }

  private *settle(): Generator<never, void, number> | Script {
    yield* call("poll", 0, 0, SETTLED);
  }

  private expect(what: string, result: number, expected: Expected): void {
    this.trace.push(`${what} = ${result}`);
    const name = /^\w+/.exec(what)![0];
    if (result >= 0) succeeded.set(name, (succeeded.get(name) ?? 0) + 1);
    const right = typeof expected === "number" ? result === expected : expected.includes(result);
    if (right) return;
    const trace = this.trace.slice(-70).join("\n  ");
    assert.fail(`expected ${JSON.stringify(expected)} of the last of\n  ${trace}`);
  }

  private pick<T>(items: readonly T[]): T {
    return items[this.random.integer(0, items.length - 1)]!;
  }

  /** A descriptor: mostly one that is open, and mostly one that a call makes sense with. */
  private fd(
    kinds: (abstract new (...args: never[]) => unknown)[] = [],
    sensible: (one: Description) => boolean = () => true,
  ): number {
    const open = [...this.model.fds].filter(
      ([fd, one]) => fd > 2 && (!kinds.length || kinds.some((kind) => one instanceof kind)),
    );
    const best = open.filter(([, one]) => sensible(one));
    const among = best.length && this.random.chance(0.8) ? best : open;
    const stray = !among.length || this.random.chance(0.1);
    const picked = stray ? this.random.integer(0, LIMIT) : this.pick(among)[0];
    // What a socket is whose connection failed, POSIX does not say: it can only be closed.
    const one = this.model.fds.get(picked);
    const failed = one instanceof Tcp && one.state === "failed";
    // Nor are pairs the network's sockets.
    const paired = one instanceof End && one.pair && !kinds.some((kind) => one instanceof kind);
    return kinds.length && (failed || paired) ? LIMIT : picked;
  }

  /** Ports that somebody listens on. */
  private heard(): number[] {
    return [...this.model.descriptions()].flatMap((one) =>
      one instanceof Tcp && one.state === "listening" && one.port > 0 ? [one.port] : [],
    );
  }

  private setAddress(port: number, host = LOOPBACK): number {
    const { view } = this.memory;
    view.setBigUint64(this.address, 0n, true);
    view.setBigUint64(this.address + 8, host, true);
    view.setUint32(this.address + 16, port, true);
    view.setUint32(this.address + 20, 0, true);
    return this.address;
  }

  private *moment(): Script {
    yield* call("clock_time_get", 1, 0n, this.clock);
    this.model.now = this.memory.view.getBigUint64(this.clock, true);
  }

  private *step(): Script {
    const { model, random } = this;
    const pick = random.integer(0, 111);
    yield* this.moment();
    const port = 2000 + this.sequences * PORTS + random.integer(0, PORTS - 1);
    if (pick < 9) {
      const stream = random.chance(0.7);
      const fd = yield* call("socket", stream ? 1 : 2, random.chance(0.5) ? 2 : 0, 0);
      return this.expect(`socket(${stream ? "stream" : "datagram"})`, fd, model.socket(stream));
    }
    if (pick < 13) {
      const fd = this.fd();
      if (fd < 3) return;
      return this.expect(`close(${fd})`, yield* call("fd_close", fd), model.close(fd));
    }
    if (pick < 15) {
      const [fd, from] = [this.fd(), random.integer(0, LIMIT)];
      const result = yield* call("duplicate", fd, from, 0);
      return this.expect(`duplicate(${fd}, ${from})`, result, model.duplicate(fd, from));
    }
    if (pick < 16) {
      const [fd, to] = [this.fd(), random.integer(5, LIMIT)];
      const result = yield* call("duplicate_to", fd, to, 0);
      return this.expect(`duplicate_to(${fd}, ${to})`, result, model.duplicateTo(fd, to));
    }
    if (pick < 20) {
      const [fd, flags] = [this.fd(), random.chance(0.7) ? NONBLOCK : 0];
      const result = yield* call("fd_fdstat_set_flags", fd, flags);
      return this.expect(`set_flags(${fd}, ${flags})`, result, model.setFlags(fd, flags));
    }
    if (pick < 27) {
      const fd = this.fd([Tcp, Udp], isUnbound);
      if (model.isOver(fd)) return;
      const own = !random.chance(0.05);
      const to = random.chance(0.1) ? 0 : port;
      const result = yield* call("bind", fd, this.setAddress(to, own ? LOOPBACK : ELSEWHERE));
      return this.expect(
        `bind(${fd}, ${own ? to : "elsewhere"})`,
        result,
        model.bind(fd, to, own, result),
      );
    }
    if (pick < 34) {
      const fd = this.fd([Tcp], isBound);
      if (model.isOver(fd)) return;
      const backlog = random.integer(1, 4);
      const result = yield* call("listen", fd, backlog);
      return this.expect(`listen(${fd}, ${backlog})`, result, model.listen(fd, backlog));
    }
    if (pick < 45) {
      const fd = this.fd([Tcp, Udp], isFresh);
      const heard = this.heard();
      const to = heard.length && random.chance(0.8) ? this.pick(heard) : port;
      if (!model.mayConnect(fd, to)) return;
      const result = yield* call("connect", fd, this.setAddress(to));
      return this.expect(`connect(${fd}, ${to})`, result, model.connect(fd, to));
    }
    if (pick < 54) {
      const fd = this.fd([Tcp], hasQueue);
      const flags = random.chance(0.5) ? NONBLOCK : 0;
      if (!model.mayAccept(fd)) return;
      const result = yield* call("accept", fd, 0, flags);
      return this.expect(`accept(${fd}, ${flags})`, result, model.accept(fd, flags));
    }
    if (pick < 65) return yield* this.send(port);
    if (pick < 76) return yield* this.receive();
    if (pick < 79) {
      if (this.random.chance(0.5)) return yield* this.shutPair();
      const [fd, how] = [this.fd([Tcp], isConnected), this.pick([1, 2, 2, 2, 3])];
      if (!model.mayShutdown(fd, how)) return;
      const result = -(yield* call("sock_shutdown", fd, how));
      return this.expect(`shutdown(${fd}, ${how})`, result, model.shutdown(fd, how));
    }
    if (pick < 81) {
      const fd = this.fd([Tcp, Udp]);
      const result = yield* call("peer_address", fd, this.address);
      return this.expect(`peer_address(${fd})`, result, model.peerAddress(fd));
    }
    if (pick < 83) {
      const initial = BigInt(random.integer(0, 3));
      const flags = random.integer(0, 1) | NONBLOCK;
      const fd = yield* call("eventfd", initial, flags);
      return this.expect(`eventfd(${initial}, ${flags})`, fd, model.event(initial, flags));
    }
    if (pick < 86) return yield* this.event();
    if (pick < 88)
      return this.expect("epoll_create()", yield* call("epoll_create", 0), model.epoll());
    if (pick < 93) return yield* this.control();
    if (pick < 96) return yield* this.wait();
    if (pick < 100) return yield* this.poll();
    if (pick < 101) return yield* this.pipe();
    if (pick < 107) return yield* this.throughPipe();
    return yield* this.timer();
  }

  private *pipe(): Script {
    const kind = this.pick<EndKind>(["pipe", "stream", "datagrams"]);
    const name = kind === "pipe" ? "pipe" : `pair_${kind}`;
    const type = kind === "stream" ? 1 : 2;
    const result =
      kind === "pipe" ? yield* call("pipe", 0, this.list) : yield* call("pair", type, 0, this.list);
    const made = this.model.pipe(kind);
    if (typeof made === "number") return this.expect(`${name}()`, result, made);
    const { view } = this.memory;
    const ends = [view.getUint32(this.list, true), view.getUint32(this.list + 4, true)];
    this.expect(`${name}() of ${ends.join()}`, result, 0);
    assert.deepEqual(ends, made);
  }

  /** Shuts an end of a pair down, or what is none. */
  private *shutPair(): Script {
    const [fd, how] = [this.fd([End]), this.pick([1, 2, 2, 3])];
    const end = this.model.fds.get(fd);
    if (!(end instanceof End)) return;
    const result = -(yield* call("sock_shutdown", fd, how));
    this.expect(`shutdown_pair(${fd}, ${how})`, result, this.model.shutdownEnd(end, how));
  }

  /** Writes to an end of a pipe or a pair, or reads from it. */
  private *throughPipe(): Script {
    const { model, random, memory } = this;
    const reading = random.chance(0.5);
    const fd = this.fd([End], (one) => (reading ? hasArrived(one) : (one as End).writes));
    const end = model.fds.get(fd);
    if (!(end instanceof End)) return;
    const length = random.integer(1, 2000);
    memory.view.setUint32(this.vector, this.data, true);
    memory.view.setUint32(this.vector + 4, length, true);
    if (!reading) {
      // Never so much that there is no room.
      if (end.peer && end.peer.arrived.length > 60000) return;
      for (let i = 0; end.peer && i < length; i++) {
        memory.bytes[this.data + i] = byteOf(end.peer.mark, end.sent + i);
      }
      const failed = yield* call("fd_write", fd, this.vector, 1, this.vector + 8);
      const result = failed ? -failed : memory.view.getUint32(this.vector + 8, true);
      return this.expect(`write(${fd}, ${length})`, result, model.write(end, length));
    }
    if (end.reads && !model.mayRead(fd)) return;
    const failed = yield* call("fd_read", fd, this.vector, 1, this.vector + 8);
    const result = failed ? -failed : memory.view.getUint32(this.vector + 8, true);
    const { result: expected, bytes } = model.read(end, length);
    this.expect(`read(${fd}, ${length})`, result, expected);
    for (let i = 0; bytes && i < result; i++)
      assert.equal(memory.bytes[this.data + i], bytes(i), `byte ${i} of ${this.trace.at(-1)}`);
  }

  /** Makes a timer, sets one, or asks how often it has fired. */
  private *timer(): Script {
    const { model, random, memory } = this;
    const fd = this.fd([Timer]);
    const timer = model.fds.get(fd);
    const some = [...model.fds.values()].some((one) => one instanceof Timer);
    if (!(timer instanceof Timer) || random.chance(0.1)) {
      if (some && random.chance(0.8)) return;
      const made = yield* call("timerfd_create", 1, NONBLOCK);
      return this.expect("timerfd_create()", made, model.timer());
    }
    const { view } = memory;
    if (random.chance(0.4)) {
      const value = random.chance(0.15) ? 0n : BigInt(random.integer(1, 400)) * 1_000_000n;
      const interval = random.chance(0.5) ? 0n : BigInt(random.integer(5, 100)) * 1_000_000n;
      view.setBigUint64(this.list, interval, true);
      view.setBigUint64(this.list + 8, value, true);
      const result = yield* call("timerfd_settime", fd, 0, this.list, 0);
      timer.first = value ? model.now + value : -1n;
      timer.interval = interval;
      timer.told = 0n;
      return this.expect(`timerfd_settime(${fd}, ${value}, ${interval})`, result, 0);
    }
    if (timer.fires(model.now)) return;
    const ticks = timer.ticks(model.now);
    if (!ticks && !timer.nonBlocking) return;
    view.setUint32(this.vector, this.data, true);
    view.setUint32(this.vector + 4, 8, true);
    const result = yield* call("fd_read", fd, this.vector, 1, this.vector + 8);
    this.expect(`read(${fd}) of ${ticks}`, result, ticks ? 0 : WasiErrno.Again);
    if (ticks) assert.equal(view.getBigUint64(this.data, true), ticks, this.trace.at(-1));
    timer.told += ticks;
  }

  /** A message of `length` bytes in buffers of any lengths, one behind the other (`struct skerry_message`). */
  private messageOf(length: number): number {
    const { view } = this.memory;
    let count = 0;
    for (let at = 0; at < length || count < 2; count++) {
      const part = count > 6 ? length - at : this.random.integer(0, length - at);
      view.setUint32(this.list + 8 * count, this.data + at, true);
      view.setUint32(this.list + 8 * count + 4, part, true);
      at += part;
    }
    [this.list, count, 0, 0].forEach((word, i) => view.setUint32(this.message + 4 * i, word, true));
    return this.message;
  }

  private *send(port: number): Script {
    const { model, random, memory } = this;
    const fd = this.fd([Tcp, Udp], mayTalk);
    const socket = model.socketOf(fd);
    const length = random.integer(1, 1500);
    const first = socket instanceof Udp ? length : 0;
    for (let i = 0; i < length; i++) memory.bytes[this.data + i] = first + i;
    if (socket instanceof Tcp && socket.peer) {
      if (socket.peer.arrived.length > 8000) return;
      const { mark } = socket.peer;
      for (let i = 0; i < length; i++) memory.bytes[this.data + i] = byteOf(mark, socket.sent + i);
    }
    if (socket instanceof Udp && random.chance(0.5)) {
      const to = this.setAddress(port);
      const result = yield* call("send_to", fd, this.data, length, to);
      return this.expect(
        `send_to(${fd}, ${length}, ${port})`,
        result,
        model.sendTo(fd, length, port),
      );
    }
    if (random.chance(0.5)) {
      const result = yield* call("send_message", fd, this.messageOf(length), 0);
      return this.expect(`send_message(${fd}, ${length})`, result, model.send(fd, length));
    }
    const result = yield* call("send", fd, this.data, length, 0);
    this.expect(`send(${fd}, ${length})`, result, model.send(fd, length));
  }

  private *receive(): Script {
    const { model, random, memory } = this;
    const fd = this.fd([Tcp, Udp], hasArrived);
    if (!model.mayRead(fd)) return;
    const length = random.integer(1, 2000);
    // Now and then to where nothing is the guest's: then nothing must be lost.
    const one = model.socketOf(fd);
    const certain = typeof one !== "number" && !model.open(one);
    if (certain && random.chance(0.1)) {
      const at = memory.bytes.length - random.integer(0, length - 1);
      const result = yield* call("receive", fd, at, length, 0);
      return this.expect(`receive(${fd}, ${at}, ${length})`, result, -WasiErrno.Fault);
    }
    memory.bytes.fill(0xee, this.data, this.data + length + 1);
    const inParts = random.chance(0.5);
    const result = inParts
      ? yield* call("receive_message", fd, this.messageOf(length), 0)
      : yield* call("receive", fd, this.data, length, 0);
    const { result: expected, bytes } = model.receive(fd, length);
    this.expect(`receive${inParts ? "_message" : ""}(${fd}, ${length})`, result, expected);
    for (let i = 0; bytes && i < result; i++)
      assert.equal(memory.bytes[this.data + i], bytes(i), `byte ${i} of ${this.trace.at(-1)}`);
    assert.equal(memory.bytes[this.data + Math.max(result, 0)], 0xee, "more than it says");
  }

  /** Reads or writes an event's counter. */
  private *event(): Script {
    const { model, random, memory } = this;
    const fd = this.fd([Event]);
    const event = model.fds.get(fd);
    if (!(event instanceof Event)) return;
    memory.view.setUint32(this.vector, this.data, true);
    memory.view.setUint32(this.vector + 4, 8, true);
    if (random.chance(0.5)) {
      const value = BigInt(random.integer(0, 3));
      memory.view.setBigUint64(this.data, value, true);
      const result = yield* call("fd_write", fd, this.vector, 1, this.vector + 8);
      event.count += value;
      return this.expect(`write(${fd}, ${value})`, result, 0);
    }
    if (!model.mayRead(fd)) return;
    const result = yield* call("fd_read", fd, this.vector, 1, this.vector + 8);
    const expected = model.readEvent(event);
    this.expect(`read(${fd})`, result, typeof expected === "number" ? expected : 0);
    if (typeof expected === "bigint")
      assert.equal(memory.view.getBigUint64(this.data, true), expected);
  }

  private *control(): Script {
    const { random, memory } = this;
    const [epfd, fd] = [this.fd([Epoll]), this.fd([Tcp, Udp, Event, End, Timer])];
    const operation = this.pick([1, 1, 1, 2, 3]);
    const events = this.pick([1, 4, 5]);
    const data = random.integer(1, 1 << 20);
    memory.view.setUint32(this.list, events, true);
    memory.view.setBigUint64(this.list + 8, BigInt(data), true);
    const watched = this.model.fds.get(fd);
    if (watched instanceof Console || watched instanceof Epoll) return;
    const result = yield* call("epoll_ctl", epfd, operation, fd, this.list);
    const expected = this.model.control(epfd, operation, fd, events, data);
    this.expect(`epoll_ctl(${epfd}, ${operation}, ${fd}, ${events})`, result, expected);
  }

  private *wait(): Script {
    const { model, memory } = this;
    const epfd = this.fd([Epoll]);
    const epoll = model.fds.get(epfd);
    if (!(epoll instanceof Epoll)) return;
    const count = yield* call("epoll_wait", epfd, this.list, 60, 0n);
    const got = new Map<number, number>();
    for (let i = 0; i < count; i++) {
      const at = this.list + 16 * i;
      const data = Number(memory.view.getBigUint64(at + 8, true));
      got.set(data, memory.view.getUint32(at, true));
    }
    this.trace.push(`epoll_wait(${epfd}) = ${count}: ${JSON.stringify([...got])}`);
    const wanted = model.ready(epoll);
    for (const { data, events, open } of wanted) {
      if (!open) assert.equal(got.get(data), events, this.trace.slice(-70).join("\n  "));
      got.delete(data);
    }
    assert.deepEqual([...got], [], this.trace.slice(-70).join("\n  "));
  }

  private *poll(): Script {
    const { model, memory } = this;
    const count = this.random.integer(1, 6);
    const asked = Array.from({ length: count }, () => ({
      fd: this.random.chance(0.05) ? -1 : this.fd(),
      events: this.pick([1, 4, 5]),
    }));
    asked.forEach(({ fd, events }, i) => {
      memory.view.setInt32(this.list + 8 * i, fd, true);
      memory.view.setUint32(this.list + 8 * i + 4, events, true);
    });
    const result = yield* call("poll", this.list, count, 0n);
    let found = 0;
    asked.forEach(({ fd, events }, i) => {
      const said = memory.view.getUint16(this.list + 8 * i + 6, true);
      if (said) found++;
      const expected = model.polled(fd, events);
      this.expect(`poll(${fd}, ${events})`, said, expected ?? said);
    });
    this.expect("poll", result, found);
  }
}

forSeeds("calls at random do what POSIX says", 100, (seed) =>
  inWorld(seed, (world) => {
    let caller: Caller | undefined;
    let over = false;
    const guest = {
      name: "random",
      pages: 1,
      script: (memory: ScriptMemory) => {
        caller = new Caller(seed, memory, () => over);
        return caller.run();
      },
    };
    const setup = encodeSpecs([guestSpec("random", { descriptors: LIMIT })]);
    const { machine } = world.ready({
      ip: "10.0.0.2/24",
      memory: 32 << 20,
      guests: [guest],
      setup,
    });
    const sockets = new Sockets(machine);
    for (let sequence = 1; sequence <= SEQUENCES; sequence++) {
      caller!.allowed = sequence;
      world.simulation.until(() => caller!.sequences === sequence, 60 * SECOND, "a sequence");
      world.run(50 * MILLISECOND);
      const trace = () => `sequence ${sequence}:\n  ${caller!.trace.slice(-70).join("\n  ")}`;
      const open = sockets.statistics(Statistics.Sockets, 8).getUint32(0, true);
      assert.equal(open, 0, `sockets left by ${trace()}`);
      assert.equal(held(machine), 0, `packets left by ${trace()}`);
    }
    over = true;
    machine.expectLine(/guest: random ended code=0/, 5 * SECOND);
  }),
);

test("of the calls at random many of each kind succeeded", (t) => {
  t.diagnostic([...succeeded].map(([name, count]) => `${name} ${count}`).join(", "));
  for (const name of [
    "socket",
    "bind",
    "listen",
    "connect",
    "accept",
    "send",
    "send_message",
    "send_to",
    "receive",
    "receive_message",
    ...["pipe", "pair_stream", "pair_datagrams", "write", "read", "timerfd_settime"],
  ])
    assert.ok((succeeded.get(name) ?? 0) > 100, name);
  assert.ok((succeeded.get("shutdown_pair") ?? 0) > 20, "shutdown_pair");
});
