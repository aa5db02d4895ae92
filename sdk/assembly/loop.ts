import { Address } from "./address";
import { ByteQueue } from "./bytes";
import {
  DATAGRAM,
  EPOLL_ADD,
  EPOLL_DATA,
  EPOLL_EVENT,
  EPOLL_MODIFY,
  ERROR,
  HANGUP,
  NONBLOCK,
  READABLE,
  SHUT_WRITE,
  STREAM,
  WRITABLE,
  accept,
  connect,
  epollControl,
  epollCreate,
  epollWait,
  fdClose,
  fdSetFlags,
  receive,
  receiveFrom,
  send,
  sendTo,
  sockShutdown,
} from "./calls";
import { Errno, Result } from "./errors";
import { openListener, openSocket } from "./net";
import { monotonic } from "./time";

/**
 * Many connections in one program: a `Loop` waits for all of them at once and calls the `Handler` of the one that
 * has something to say. Waiting costs nothing; each turn costs what has come to pass.
 *
 *     class Echo extends Handler {
 *       received(bytes: Uint8Array): void {
 *         this.connection.write(bytes);
 *       }
 *     }
 *     const loop = new Loop();
 *     loop.listen(7, () => new Echo()).value;
 *     loop.run();
 */

/** Events taken at once; connections accepted, and datagrams of a port taken, at once. */
const EVENTS: u32 = 256;
const ACCEPTS: u32 = 64;
const DATAGRAMS: u32 = 64;
/** Bytes read at once. */
const READ_BYTES: u32 = 65536;
/** Bytes that wait to be sent beyond which `write` takes no more. */
const QUEUE_MAX: i32 = 1 << 20;
/** What is still read of a peer that has been told the end, and for how long, ms. */
const LINGER_BYTES: u32 = 1 << 20;
const LINGER_MS: f64 = 2000;

const event = memory.data(EPOLL_EVENT, 8);
const events = memory.data(EPOLL_EVENT * EVENTS, 8);

/** Something with a descriptor that a loop waits for. */
abstract class Source {
  constructor(
    protected readonly loop: Loop,
    readonly fd: i32,
  ) {}

  /** `holds` of READABLE, WRITABLE, ERROR, HANGUP. */
  abstract ready(holds: u32): void;
}

/** What a program does with a connection. `connection` is set before any of these is called. */
export abstract class Handler {
  connection!: Connection;

  /** It stands. */
  opened(): void {}

  /** Bytes have come. `bytes` is good until this returns. */
  abstract received(bytes: Uint8Array): void;

  /** The peer has sent all it will; unless told otherwise we end as well. */
  ended(): void {
    this.connection.end();
  }

  /** All that was written has been taken by the system. */
  drained(): void {}

  /** It is gone: 0, or the `Errno` that it broke with. */
  closed(_errno: i32): void {}
}

/** One connection of a loop. While bytes wait to be sent, none are read. */
export class Connection extends Source {
  private readonly queue: ByteQueue = new ByteQueue();
  private interest: u32 = READABLE;
  private connecting: bool;
  /** The peer has ended its stream. */
  private inputEnded: bool = false;
  /** We are to end ours once the queue is empty; and have. */
  private ending: bool = false;
  private outputEnded: bool = false;
  private lingered: u32 = 0;
  private gone: bool = false;

  constructor(
    loop: Loop,
    fd: i32,
    readonly peer: Address,
    private readonly handler: Handler,
    connecting: bool,
  ) {
    super(loop, fd);
    this.connecting = connecting;
    if (connecting) this.interest = WRITABLE;
    handler.connection = this;
    loop.add(this, this.interest);
  }

  /** Bytes that wait to be sent. */
  get queued(): i32 {
    return this.queue.length;
  }

  get isClosed(): bool {
    return this.gone;
  }

  /**
   * Sends bytes, now or as soon as the peer has room; they are copied if they have to wait. False if nothing was
   * taken: too much waits already, or the connection is over.
   */
  write(bytes: Uint8Array): bool {
    return this.writeFrom(bytes.dataStart, bytes.length);
  }

  /** Sends text as UTF-8, as `write`. */
  writeText(text: string): bool {
    const bytes = String.UTF8.encode(text);
    return this.writeFrom(changetype<usize>(bytes), bytes.byteLength);
  }

  /** Sends `length` bytes at an address, as `write`. */
  writeFrom(from: usize, length: i32): bool {
    if (this.gone || this.ending || this.queue.length > QUEUE_MAX) return false;
    let sent = 0;
    if (!this.queue.length && !this.connecting) {
      const count = send(this.fd, from, length, 0);
      if (count >= 0) {
        sent = count;
      } else if (count != -Errno.Again) {
        this.fail(-count);
        return false;
      }
    }
    if (sent < length) {
      this.queue.add(from + sent, length - sent);
      this.wish();
    }
    return true;
  }

  /** Ends the connection in order: what was written is sent, and what the peer still sends is dropped. */
  end(): void {
    if (this.ending || this.gone) return;
    this.ending = true;
    if (!this.queue.length && !this.connecting) this.endOutput();
  }

  /** Ends it at once. What the system has taken is still sent. */
  close(): void {
    this.fail(0);
  }

  ready(holds: u32): void {
    if (holds & ERROR || (this.connecting && holds & HANGUP)) {
      // The call itself says what is wrong.
      const result = this.connecting ? connect(this.fd, changetype<usize>(this.peer)) : this.read();
      if (this.connecting && result < 0) this.fail(-result);
      return;
    }
    if (this.connecting) {
      this.connecting = false;
      this.wish();
      this.handler.opened();
    }
    if (holds & WRITABLE && this.queue.length) this.flush();
    if (!this.gone && holds & (READABLE | HANGUP) && this.interest & READABLE) this.read();
  }

  private flush(): void {
    const count = send(this.fd, this.queue.start, this.queue.length, 0);
    if (count < 0) {
      if (count != -Errno.Again) this.fail(-count);
      return;
    }
    this.queue.drop(count);
    if (this.queue.length) return;
    if (this.ending) this.endOutput();
    else {
      this.wish();
      this.handler.drained();
    }
  }

  private read(): i32 {
    const count = receive(this.fd, this.loop.into, READ_BYTES, 0);
    if (count == -Errno.Again) return 0;
    if (count < 0) {
      this.fail(-count);
    } else if (count == 0) {
      this.inputEnded = true;
      if (this.outputEnded) {
        this.fail(0);
      } else {
        this.wish();
        this.handler.ended();
      }
    } else if (this.ending) {
      this.lingered += count;
      if (this.lingered > LINGER_BYTES) this.fail(0);
    } else {
      this.handler.received(this.loop.view.subarray(0, count));
    }
    return count;
  }

  private endOutput(): void {
    this.outputEnded = true;
    if (this.inputEnded) return this.fail(0);
    const result = sockShutdown(this.fd, SHUT_WRITE);
    if (result) return this.fail(result);
    this.wish();
    // A reset in place of the end would take from the peer what it has not read yet (RFC 9112, 9.6).
    this.loop.after(LINGER_MS, new Linger(this));
  }

  /** Tells the loop what we wait for now. */
  private wish(): void {
    let interest: u32 = 0;
    if (this.queue.length || this.connecting) interest |= WRITABLE;
    // Who does not take answers is asked no more questions.
    if (!this.inputEnded && (!this.queue.length || this.ending)) interest |= READABLE;
    if (interest == this.interest) return;
    this.interest = interest;
    this.loop.change(this, interest);
  }

  private fail(errno: i32): void {
    if (this.gone) return;
    this.gone = true;
    this.queue.clear();
    this.loop.remove(this);
    this.handler.closed(errno);
  }
}

/** Something to be done later. */
export abstract class Timer {
  /** `monotonic`, ms. */
  at: f64 = 0;

  abstract fire(): void;
}

class Linger extends Timer {
  constructor(private readonly connection: Connection) {
    super();
  }

  fire(): void {
    this.connection.close();
  }
}

/** Gives each connection of a port its handler. */
export abstract class Acceptor {
  abstract accept(): Handler;
}

class FunctionAcceptor extends Acceptor {
  constructor(private readonly make: () => Handler) {
    super();
  }

  accept(): Handler {
    const make = this.make;
    return make();
  }
}

class Port extends Source {
  constructor(
    loop: Loop,
    fd: i32,
    private readonly acceptor: Acceptor,
  ) {
    super(loop, fd);
    loop.add(this, READABLE);
  }

  ready(_holds: u32): void {
    for (let i: u32 = 0; i < ACCEPTS; i++) {
      const peer = new Address();
      const fd = accept(this.fd, changetype<usize>(peer), NONBLOCK);
      if (fd < 0) {
        // None left; or, when descriptors are, those that wait go on waiting.
        if (fd == -Errno.TooManyFiles) this.loop.pause(this);
        return;
      }
      const handler = this.acceptor.accept();
      const connection = new Connection(this.loop, fd, peer, handler, false);
      if (!connection.isClosed) handler.opened();
    }
  }
}

/** What a program does with the datagrams of a port. `port` is set before any of these is called. */
export abstract class DatagramHandler {
  port!: DatagramPort;

  /** A datagram has come. Both are good until this returns. */
  abstract received(bytes: Uint8Array, from: Address): void;
}

/** A port of a loop that takes datagrams. */
export class DatagramPort extends Source {
  private readonly from: Address = new Address();
  private open: bool = true;

  constructor(
    loop: Loop,
    fd: i32,
    private readonly handler: DatagramHandler,
  ) {
    super(loop, fd);
    handler.port = this;
    loop.add(this, READABLE);
  }

  /** Sends a datagram: its length, or a negated `Errno`. One that there is no room for now is lost: `Again`. */
  send(bytes: Uint8Array, to: Address): i32 {
    return sendTo(this.fd, bytes.dataStart, bytes.length, changetype<usize>(to));
  }

  close(): void {
    if (this.open) this.loop.remove(this);
    this.open = false;
  }

  ready(_holds: u32): void {
    for (let i: u32 = 0; i < DATAGRAMS && this.open; i++) {
      const from = changetype<usize>(this.from);
      const count = receiveFrom(this.fd, this.loop.into, READ_BYTES, from);
      // Below 0 there is none left, or a network has said that one of ours did not arrive.
      if (count < 0) return;
      this.handler.received(this.loop.view.subarray(0, count), this.from);
    }
  }
}

/** Waits for connections, datagrams and moments, and calls who waits for them. */
export class Loop {
  private readonly epoll: i32 = epollCreate(0);
  /** By descriptor. */
  private readonly sources: Array<Source | null> = [];
  /** A heap by `at`. */
  private readonly timers: Array<Timer> = [];
  /** Listeners that wait for a free descriptor. */
  private paused: Array<Source> = [];
  private stopped: bool = false;
  /** What is read, and where it is. */
  readonly view: Uint8Array = new Uint8Array(READ_BYTES);

  get into(): usize {
    return this.view.dataStart;
  }

  /** Listens on a port of every address; `make` gives each connection its handler. */
  listen(port: u16, make: () => Handler): Result<Port> {
    return this.listenWith(Address.any(port), new FunctionAcceptor(make));
  }

  /** Listens on an address. */
  listenWith(address: Address, acceptor: Acceptor): Result<Port> {
    const fd = openListener(address);
    if (fd < 0) return Result.fails<Port>(-fd, `listen on ${address.toString()}`);
    fdSetFlags(fd, NONBLOCK);
    return Result.of<Port>(new Port(this, fd, acceptor));
  }

  /** Takes datagrams for a port of every address, IPv4 and IPv6, or of one; port 0 is one that is free. */
  bind(
    port: u16,
    handler: DatagramHandler,
    address: Address = Address.any(port),
  ): Result<DatagramPort> {
    const fd = openSocket(DATAGRAM, address);
    if (fd < 0) return Result.fails<DatagramPort>(-fd, `take datagrams on ${address.toString()}`);
    fdSetFlags(fd, NONBLOCK);
    return Result.of<DatagramPort>(new DatagramPort(this, fd, handler));
  }

  /**
   * Connects to an address; the handler is told when it stands, or that it is closed. Names are looked up before the
   * loop runs (`resolve` of net.ts), since that call waits, and everything else with it.
   */
  connect(peer: Address, handler: Handler): Result<Connection> {
    const what = `connect to ${peer.toString()}`;
    const fd = openSocket(STREAM, null);
    if (fd < 0) return Result.fails<Connection>(-fd, what);
    fdSetFlags(fd, NONBLOCK);
    const result = connect(fd, changetype<usize>(peer));
    if (result < 0 && result != -Errno.InProgress) {
      fdClose(fd);
      return Result.fails<Connection>(-result, what);
    }
    return Result.of<Connection>(new Connection(this, fd, peer, handler, true));
  }

  /** Calls `timer.fire` once, `ms` from now. Cost grows with the logarithm of how many wait. */
  after(ms: f64, timer: Timer): void {
    timer.at = monotonic() + ms;
    const heap = this.timers;
    let place = heap.push(timer) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (heap[parent].at <= timer.at) break;
      heap[place] = heap[parent];
      place = parent;
    }
    heap[place] = timer;
  }

  /** Ends `run` after the present turn. */
  stop(): void {
    this.stopped = true;
  }

  /** Waits and calls, until `stop`, or for ever. */
  run(): void {
    this.stopped = false;
    while (!this.stopped) {
      const count = epollWait(this.epoll, events, EVENTS, this.patience());
      for (let i = 0; i < count && !this.stopped; i++) {
        const at = events + <usize>i * EPOLL_EVENT;
        const fd = load<i32>(at, EPOLL_DATA);
        const source = fd < this.sources.length ? this.sources[fd] : null;
        if (source !== null) source.ready(load<u32>(at));
      }
      this.fireTimers();
    }
  }

  /** ns until the next timer; below 0 for ever. */
  private patience(): i64 {
    if (!this.timers.length) return -1;
    const ms = this.timers[0].at - monotonic();
    return ms > 0 ? <i64>(ms * 1e6) + 1 : 0;
  }

  private fireTimers(): void {
    if (!this.timers.length) return;
    const now = monotonic();
    while (this.timers.length && this.timers[0].at <= now) this.take().fire();
  }

  /** Takes the first timer off the heap. */
  private take(): Timer {
    const heap = this.timers;
    const first = heap[0];
    const last = heap.pop();
    const length = heap.length;
    if (!length) return first;
    let place = 0;
    while (true) {
      let child = 2 * place + 1;
      if (child >= length) break;
      if (child + 1 < length && heap[child + 1].at < heap[child].at) child++;
      if (heap[child].at >= last.at) break;
      heap[place] = heap[child];
      place = child;
    }
    heap[place] = last;
    return first;
  }

  add(source: Source, interest: u32): void {
    while (this.sources.length <= source.fd) this.sources.push(null);
    this.sources[source.fd] = source;
    this.control(EPOLL_ADD, source.fd, interest);
  }

  change(source: Source, interest: u32): void {
    this.control(EPOLL_MODIFY, source.fd, interest);
  }

  /** Closes the source's descriptor, which ends that it is waited for. */
  remove(source: Source): void {
    this.sources[source.fd] = null;
    fdClose(source.fd);
    const paused = this.paused;
    if (!paused.length) return;
    this.paused = [];
    for (let i = 0; i < paused.length; i++) this.change(paused[i], READABLE);
  }

  /** Does not wait for this one until another is removed. */
  pause(source: Source): void {
    this.change(source, 0);
    this.paused.push(source);
  }

  private control(operation: u32, fd: i32, interest: u32): void {
    store<u32>(event, interest);
    store<u64>(event, fd, EPOLL_DATA);
    epollControl(this.epoll, operation, fd, event);
  }
}
