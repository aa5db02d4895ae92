/**
 * What POSIX says of a program's descriptors, sockets, pipes, events, timers and epolls on one machine, as a model in which
 * everything that is under way has arrived before the next call. All its sockets talk over 127.0.0.1.
 */

/** WASI's `errno`. */
export const enum WasiErrno {
  Addrinuse = 3,
  Addrnotavail = 4,
  Again = 6,
  Badf = 8,
  Connrefused = 14,
  Connreset = 15,
  Destaddrreq = 17,
  Exist = 20,
  Fault = 21,
  Inprogress = 26,
  Inval = 28,
  Isconn = 30,
  Mfile = 33,
  Noent = 44,
  Notconn = 53,
  Notsock = 57,
  Notsup = 58,
  Pipe = 64,
}

/** `fdflags`. */
export const NONBLOCK = 4;
/** Standard streams. */
const STANDARD = 3;

export const IN = 1;
export const OUT = 4;
export const ERR = 8;
export const HUP = 16;
const NVAL = 32;

/** Results that POSIX leaves open: any of these. */
export type Expected = number | readonly number[];

export class Description {
  references = 0;
  nonBlocking = false;
  /** Where it stands in epolls. */
  watches = new Set<Watch>();
}

export class Console extends Description {}

export class Tcp extends Description {
  port = 0;
  /** Its connection came about while nobody waited. */
  asked = false;
  /** Its listener's port is its own. */
  accepted = false;
  state: "fresh" | "listening" | "connected" | "failed" = "fresh";
  backlog = 0;
  /** Connections that nobody has accepted. */
  queue: Tcp[] = [];
  peer: Tcp | undefined;
  /** Bytes that have arrived, each the number of the byte in its stream. */
  arrived: number[] = [];
  sent = 0;
  /** The peer has ended its stream. */
  ended = false;
  shutRead = false;
  shutWrite = false;
  /** The peer has closed it whole: what is sent now meets nobody. */
  gone = false;
  /** It has been reset, and has said so or not. */
  reset = false;
  /** There was a connection, and it is over. */
  get over(): boolean {
    return this.reset || (this.ended && this.shutWrite);
  }
  /** Errors not told of, for connections that failed. */
  error = 0;
  /** The stream's bytes are told apart by this. */
  constructor(readonly mark: number) {
    super();
  }
}

export class Udp extends Description {
  port = 0;
  peer = 0;
  arrived: { length: number; first: number }[] = [];
  error = 0;
}

export class Event extends Description {
  constructor(
    public count: bigint,
    readonly semaphore: boolean,
  ) {
    super();
  }
}

export type EndKind = "pipe" | "stream" | "datagrams";
/** Of a pair: bytes that are on their way at most, those before each datagram, and room for one to be written. */
const CAPACITY = 65536;
const HEAD = 4;
const DATAGRAM_ROOM = CAPACITY / 4;

/** An end of a pipe, or one of a pair of sockets. */
export class End extends Description {
  peer: End | undefined;
  /** Bytes that have arrived, each the number of the byte in its stream. */
  arrived: number[] = [];
  sent = 0;
  /** Lengths of the datagrams that these are. */
  bounds: number[] = [];
  /** Its peer was closed with something unread, and it has not said so. */
  reset = false;
  /** It has heard that there is nobody to write datagrams to. */
  told = false;
  shutRead = false;
  shutWrite = false;
  constructor(
    readonly mark: number,
    readonly reads: boolean,
    readonly writes: boolean,
    readonly kind: EndKind,
  ) {
    super();
  }

  get pair(): boolean {
    return this.kind !== "pipe";
  }

  /** Nothing more will come to a stream. */
  get ended(): boolean {
    return this.shutRead || !this.peer || this.peer.shutWrite;
  }
}

/** Moments nearer to each other than this are not told apart. */
const NEAR = 2_000_000n;

export class Timer extends Description {
  /** When it fires first; below 0 if it does not. */
  first = -1n;
  interval = 0n;
  /** Times that a reader has been told of. */
  told = 0n;

  /** Times that it has fired by then and nobody has been told of. */
  ticks(now: bigint): bigint {
    if (this.first < 0n || now < this.first) return 0n;
    const all = this.interval ? (now - this.first) / this.interval + 1n : 1n;
    return all - this.told;
  }

  /** Whether it fires just about then. */
  fires(now: bigint): boolean {
    return this.ticks(now - NEAR) !== this.ticks(now + NEAR);
  }
}

export interface Watch {
  fd: number;
  description: Description;
  events: number;
  data: number;
}

export class Epoll extends Description {
  list: Watch[] = [];
}

export class Model {
  readonly fds = new Map<number, Description>();
  /** The monotonic clock at the latest call, ns. */
  now = 0n;
  private nextPort = 0;
  private marks = 0;

  /** Ports of connections that are closed, and may not be over: POSIX does not say whether they are free. */
  private readonly lingering = new Set<number>();

  constructor(readonly limit: number) {
    for (let fd = 0; fd < STANDARD; fd++) this.put(new Console(), fd);
  }

  // ---- Descriptors -----------------------------------------------------------------------------

  private lowest(from = 0): number {
    let fd = from;
    while (this.fds.has(fd)) fd++;
    return fd < this.limit ? fd : -WasiErrno.Mfile;
  }

  private put(description: Description, fd = this.lowest()): number {
    if (fd < 0) return fd;
    this.fds.set(fd, description);
    description.references++;
    return fd;
  }

  close(fd: number): number {
    const description = this.fds.get(fd);
    if (!description) return WasiErrno.Badf;
    this.fds.delete(fd);
    if (--description.references === 0) this.end(description);
    return 0;
  }

  private end(description: Description): void {
    for (const watch of description.watches) {
      for (const other of this.descriptions()) {
        if (other instanceof Epoll) other.list = other.list.filter((one) => one !== watch);
      }
    }
    if (description instanceof Epoll) {
      for (const watch of description.list) watch.description.watches.delete(watch);
    }
    if (description instanceof Tcp) this.endTcp(description);
    if (description instanceof End && description.peer) {
      description.peer.peer = undefined;
      description.peer.reset = description.kind === "stream" && description.arrived.length > 0;
    }
  }

  private endTcp(socket: Tcp): void {
    for (const waiting of socket.queue) this.endTcp(Object.assign(waiting, { refused: true }));
    const peer = socket.peer;
    if (socket.state === "connected") this.lingering.add(socket.port);
    if (!peer) return;
    const abandoned = socket.arrived.length > 0 || (socket as { refused?: boolean }).refused;
    if (abandoned) this.resetPeer(peer);
    else {
      peer.ended = true;
      peer.gone = true;
    }
    socket.peer = undefined;
    peer.peer = undefined;
  }

  private resetPeer(peer: Tcp): void {
    peer.reset = true;
    peer.ended = true;
    peer.gone = true;
  }

  descriptions(): Set<Description> {
    return new Set(this.fds.values());
  }

  duplicate(fd: number, from: number): number {
    const description = this.fds.get(fd);
    if (!description) return -WasiErrno.Badf;
    if (from >= this.limit) return -WasiErrno.Inval;
    return this.put(description, this.lowest(from));
  }

  duplicateTo(fd: number, to: number): number {
    const description = this.fds.get(fd);
    if (!description || to >= this.limit) return -WasiErrno.Badf;
    if (fd === to) return to;
    this.close(to);
    return this.put(description, to);
  }

  setFlags(fd: number, flags: number): number {
    const description = this.fds.get(fd);
    if (!description) return WasiErrno.Badf;
    description.nonBlocking = (flags & NONBLOCK) !== 0;
    return 0;
  }

  // ---- Sockets ---------------------------------------------------------------------------------

  socket(stream: boolean): number {
    return this.put(stream ? new Tcp(this.marks++) : new Udp());
  }

  /** The socket of a descriptor, or why there is none. */
  socketOf(fd: number): Tcp | Udp | number {
    const description = this.fds.get(fd);
    if (!description) return -WasiErrno.Badf;
    if (description instanceof Tcp || description instanceof Udp) return description;
    return -WasiErrno.Notsock;
  }

  private with(fd: number, work: (socket: Tcp | Udp) => Expected): Expected {
    const socket = this.socketOf(fd);
    return typeof socket === "number" ? socket : work(socket);
  }

  /** Who has a port; connections that were accepted have their listener's, and keep nobody from it. */
  private holders(stream: boolean, port: number): (Tcp | Udp)[] {
    return [...this.descriptions()].filter(
      (one): one is Tcp | Udp =>
        (stream ? one instanceof Tcp && !one.accepted : one instanceof Udp) &&
        (one as Tcp | Udp).port === port,
    );
  }

  private listener(port: number): Tcp | undefined {
    const holders = this.holders(true, port) as Tcp[];
    return holders.find(({ state }) => state === "listening");
  }

  /** `result`: what it did, where POSIX leaves it open. */
  bind(fd: number, port: number, own: boolean, result: number): Expected {
    return this.with(fd, (socket) => {
      if (socket.port) return -WasiErrno.Inval;
      if (!own) return -WasiErrno.Addrnotavail;
      const holders = port ? this.holders(socket instanceof Tcp, port) : [];
      // One whose connection has failed may have given its port back.
      const over = (one: Tcp | Udp) => one instanceof Tcp && (one.state === "failed" || one.over);
      if (!holders.every(over)) return -WasiErrno.Addrinuse;
      const unsure = holders.length > 0 || (socket instanceof Tcp && this.lingering.has(port));
      if (unsure && result < 0) return -WasiErrno.Addrinuse;
      socket.port = port || this.someport();
      return 0;
    });
  }

  /** A number for a port that the kernel chooses: below zero, since it is not known here. */
  private someport(): number {
    return --this.nextPort;
  }

  listen(fd: number, backlog: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Udp) return -WasiErrno.Notsup;
      if (socket.state === "connected" || socket.state === "failed") return -WasiErrno.Inval;
      socket.port ||= this.someport();
      socket.state = "listening";
      socket.backlog = backlog;
      return 0;
    });
  }

  /** Whether a connection to `port` would neither wait for ever nor meet itself. */
  mayConnect(fd: number, port: number): boolean {
    const socket = this.fds.get(fd);
    if (!(socket instanceof Tcp)) return true;
    if (socket.state === "failed" || socket.over || socket.port === port) return false;
    if (this.lingering.has(socket.port)) return false;
    const listener = this.listener(port);
    return !listener || listener.queue.length < Math.max(listener.backlog, 1);
  }

  connect(fd: number, port: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Udp) {
        socket.port ||= this.someport();
        socket.peer = port;
        return 0;
      }
      if (socket.state === "listening") return -WasiErrno.Notsup;
      if (socket.state === "connected") {
        // As Linux has it, the first call after EINPROGRESS says how it went.
        const { asked } = socket;
        socket.asked = false;
        return asked ? [0, -WasiErrno.Isconn] : -WasiErrno.Isconn;
      }
      const listener = this.listener(port);
      socket.port ||= this.someport();
      if (!listener) {
        socket.state = "failed";
        if (!socket.nonBlocking) return -WasiErrno.Connrefused;
        socket.error = WasiErrno.Connrefused;
        return -WasiErrno.Inprogress;
      }
      const other = new Tcp(this.marks++);
      other.state = socket.state = "connected";
      other.port = port;
      other.accepted = true;
      other.peer = socket;
      socket.peer = other;
      listener.queue.push(other);
      socket.asked = socket.nonBlocking;
      return socket.nonBlocking ? -WasiErrno.Inprogress : 0;
    });
  }

  /** Whether it was a connection and is nothing now: POSIX does not say if it may become something else. */
  isOver(fd: number): boolean {
    const socket = this.fds.get(fd);
    return socket instanceof Tcp && socket.over;
  }

  mayAccept(fd: number): boolean {
    const socket = this.fds.get(fd);
    return !(socket instanceof Tcp) || socket.state !== "listening" || this.mayRead(fd);
  }

  accept(fd: number, flags: number): Expected {
    return this.with(fd, (socket) => {
      const full = this.lowest() < 0;
      const wrong = socket instanceof Udp ? -WasiErrno.Notsup : -WasiErrno.Inval;
      if (socket instanceof Udp || socket.state !== "listening")
        return full ? [wrong, -WasiErrno.Mfile] : wrong;
      if (full) return -WasiErrno.Mfile;
      const accepted = socket.queue.shift();
      if (!accepted) return -WasiErrno.Again;
      accepted.nonBlocking = (flags & NONBLOCK) !== 0;
      return this.put(accepted);
    });
  }

  /** Whether a call that takes something would not wait for ever. */
  mayRead(fd: number): boolean {
    const one = this.fds.get(fd);
    if (!one || one.nonBlocking) return true;
    if (one instanceof Tcp && one.state === "listening") return one.queue.length > 0;
    if (one instanceof Tcp && one.state !== "connected") return one.state === "fresh";
    return (this.events(one) & (IN | HUP | ERR)) !== 0;
  }

  /** Bytes of streams are told apart by `byteOf(mark, number)`. */
  send(fd: number, length: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Udp) return this.sendDatagram(socket, length, socket.peer, true);
      if (socket.state !== "connected") return -WasiErrno.Notconn;
      if (socket.reset) return [-WasiErrno.Connreset, -WasiErrno.Pipe];
      if (socket.shutWrite) return -WasiErrno.Pipe;
      if (socket.gone) {
        socket.reset = true;
        return length;
      }
      const peer = socket.peer!;
      for (let i = 0; i < length; i++) peer.arrived.push(socket.sent++);
      return length;
    });
  }

  sendTo(fd: number, length: number, port: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Tcp) return this.send(fd, length);
      return this.sendDatagram(socket, length, port, false);
    });
  }

  private sendDatagram(socket: Udp, length: number, port: number, connected: boolean): Expected {
    if (!port) return -WasiErrno.Destaddrreq;
    if (socket.error) {
      const { error } = socket;
      socket.error = 0;
      return -error;
    }
    socket.port ||= this.someport();
    const to = this.holders(false, port)[0] as Udp | undefined;
    if (!to || (to.peer && to.peer !== socket.port)) {
      if (connected || socket.peer === port) socket.error = WasiErrno.Connrefused;
      return length;
    }
    to.arrived.push({ length, first: length & 255 });
    return length;
  }

  /** What the bytes are that a receiver is given, as far as they are told apart. */
  receive(fd: number, length: number): { result: Expected; bytes?: (at: number) => number } {
    const socket = this.socketOf(fd);
    if (typeof socket === "number") return { result: socket };
    if (socket instanceof Udp) {
      if (socket.error) {
        const { error } = socket;
        socket.error = 0;
        return { result: -error };
      }
      const datagram = socket.arrived.shift();
      if (!datagram) return { result: -WasiErrno.Again };
      const { first } = datagram;
      return { result: Math.min(length, datagram.length), bytes: (at) => (first + at) & 255 };
    }
    if (socket.state !== "connected") return { result: -WasiErrno.Notconn };
    const { arrived, mark } = socket;
    if (socket.reset) {
      // What came before the reset may still be read, in any number of pieces.
      const told = [-WasiErrno.Connreset, -WasiErrno.Pipe, 0];
      for (let i = 1; i <= Math.min(length, arrived.length); i++) told.push(i);
      return { result: told };
    }
    if (arrived.length) {
      const taken = arrived.splice(0, length);
      return { result: taken.length, bytes: (at) => byteOf(mark, taken[at]!) };
    }
    return { result: socket.ended || socket.shutRead ? 0 : -WasiErrno.Again };
  }

  shutdown(fd: number, how: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Udp) return socket.peer ? 0 : -WasiErrno.Notconn;
      if (socket.over) return [0, -WasiErrno.Notconn];
      if (socket.state !== "connected") return -WasiErrno.Notconn;
      if (how & 1) socket.shutRead = true;
      if (how & 2) {
        socket.shutWrite = true;
        if (socket.peer) socket.peer.ended = true;
      }
      return 0;
    });
  }

  /** Whether shutting it down, or what comes then, is something that POSIX says. */
  mayShutdown(fd: number, how: number): boolean {
    const socket = this.fds.get(fd);
    if (socket instanceof Udp) return !socket.peer;
    if (!(socket instanceof Tcp)) return true;
    if (socket.state === "connected") return how === 2;
    return socket.state === "fresh";
  }

  peerAddress(fd: number): Expected {
    return this.with(fd, (socket) => {
      if (socket instanceof Udp) return socket.peer ? 0 : -WasiErrno.Notconn;
      if (socket.gone || socket.over) return [0, -WasiErrno.Notconn];
      return socket.state === "connected" ? 0 : -WasiErrno.Notconn;
    });
  }

  // ---- Events ------------------------------------------------------------------------------------

  event(initial: bigint, flags: number): number {
    const made = new Event(initial, (flags & 1) !== 0);
    made.nonBlocking = (flags & NONBLOCK) !== 0;
    return this.put(made);
  }

  /** What 8 bytes read from a descriptor are; a number is an errno. */
  readEvent(event: Event): bigint | number {
    if (!event.count) return WasiErrno.Again;
    const taken = event.semaphore ? 1n : event.count;
    event.count -= taken;
    return taken;
  }

  // ---- Pipes, pairs, timers ----------------------------------------------------------------------

  /** The two descriptors, or an errno. */
  pipe(kind: EndKind): [number, number] | number {
    if (this.limit - this.fds.size < 2) return -WasiErrno.Mfile;
    const pair = kind !== "pipe";
    const one = new End(this.marks++, true, pair, kind);
    const two = new End(this.marks++, pair, true, kind);
    one.peer = two;
    two.peer = one;
    return [this.put(one), this.put(two)];
  }

  /** As Linux's net/unix/af_unix.c: who was closed is not there, then nobody is named. */
  write(end: End, length: number): number {
    const { peer } = end;
    if (!end.writes) return -WasiErrno.Badf;
    if (end.shutWrite || peer?.shutRead) return -WasiErrno.Pipe;
    if (!peer) {
      if (end.kind !== "datagrams") return -WasiErrno.Pipe;
      const { told } = end;
      end.told = true;
      return told ? -WasiErrno.Notconn : -WasiErrno.Connrefused;
    }
    for (let i = 0; i < length; i++) peer.arrived.push(end.sent++);
    if (end.kind === "datagrams") peer.bounds.push(length);
    return length;
  }

  read(end: End, length: number): { result: number; bytes?: (at: number) => number } {
    if (!end.reads) return { result: -WasiErrno.Badf };
    if (end.arrived.length) {
      const taken = end.arrived.splice(0, end.bounds.shift() ?? length);
      const result = Math.min(length, taken.length);
      return { result, bytes: (at) => byteOf(end.mark, taken[at]!) };
    }
    const { reset } = end;
    end.reset = false;
    if (reset) return { result: -WasiErrno.Connreset };
    const ended = end.kind === "datagrams" ? end.shutRead : end.ended;
    return { result: ended ? 0 : -WasiErrno.Again };
  }

  shutdownEnd(end: End, how: number): number {
    if (!end.pair) return -WasiErrno.Notsock;
    if (how & 1) end.shutRead = true;
    if (how & 2) end.shutWrite = true;
    return 0;
  }

  timer(): number {
    const made = new Timer();
    made.nonBlocking = true;
    return this.put(made);
  }

  epoll(): number {
    return this.put(new Epoll());
  }

  control(epfd: number, operation: number, fd: number, events: number, data: number): number {
    const epoll = this.fds.get(epfd);
    const description = this.fds.get(fd);
    if (!epoll || !description) return -WasiErrno.Badf;
    if (!(epoll instanceof Epoll) || epoll === description) return -WasiErrno.Inval;
    const found = epoll.list.find((one) => one.fd === fd && one.description === description);
    if (operation === 1) {
      if (found) return -WasiErrno.Exist;
      const watch = { fd, description, events, data };
      epoll.list.push(watch);
      description.watches.add(watch);
    } else if (!found) return -WasiErrno.Noent;
    else if (operation === 3) Object.assign(found, { events, data });
    else {
      epoll.list = epoll.list.filter((one) => one !== found);
      description.watches.delete(found);
    }
    return 0;
  }

  /** What an epoll tells of: data and events, in any order. */
  ready(epoll: Epoll): { data: number; events: number; open: boolean }[] {
    return epoll.list
      .map(({ description, events, data }) => ({
        data,
        events: this.events(description) & (events | ERR | HUP),
        open: this.open(description),
      }))
      .filter(({ events, open }) => events || open);
  }

  /** Events that hold. */
  events(one: Description): number {
    if (one instanceof Epoll) return this.ready(one).some(({ events }) => events) ? IN : 0;
    if (one instanceof Event) return (one.count ? IN : 0) | (one.count < 2n ** 64n - 2n ? OUT : 0);
    if (one instanceof Udp) return (one.arrived.length ? IN : 0) | OUT | (one.error ? ERR : 0);
    if (one instanceof Timer) return one.ticks(this.now) ? IN : 0;
    if (one instanceof End) {
      const arrived = one.arrived.length ? IN : 0;
      if (one.kind === "stream") {
        const deaf = !one.peer || (one.ended && (one.shutWrite || one.peer.shutRead));
        return arrived | OUT | (one.ended ? IN : 0) | (deaf ? HUP : 0) | (one.reset ? ERR : 0);
      }
      if (one.kind === "datagrams") {
        const { arrived: queue = [], bounds = [] } = one.peer ?? {};
        const room = CAPACITY - queue.length - HEAD * bounds.length;
        return arrived | (room >= DATAGRAM_ROOM ? OUT : 0) | (one.shutRead ? IN : 0);
      }
      return arrived | (one.writes ? OUT : 0) | (one.peer ? 0 : one.writes ? ERR : HUP);
    }
    if (!(one instanceof Tcp)) return IN | OUT;
    if (one.state === "listening") return one.queue.length ? IN : 0;
    const readable = one.arrived.length || one.ended || one.shutRead ? IN : 0;
    const over = (one.ended || one.shutRead) && one.shutWrite ? HUP : 0;
    return readable | OUT | over;
  }

  /** Whether POSIX leaves open what events hold: of what is no connection, or has been reset. */
  open(one: Description): boolean {
    if (one instanceof Epoll) return this.ready(one).some(({ open }) => open);
    if (one instanceof Timer) return one.fires(this.now);
    if (!(one instanceof Tcp)) return one instanceof Udp && one.error !== 0;
    return one.state === "fresh" || one.state === "failed" || one.reset || one.shutRead;
  }

  /** What `poll` says of a descriptor; undefined: anything. */
  polled(fd: number, events: number): number | undefined {
    if (fd < 0) return 0;
    const one = this.fds.get(fd);
    if (!one) return NVAL;
    return this.open(one) ? undefined : this.events(one) & (events | ERR | HUP);
  }
}

/** Byte `number` of the stream that socket `mark` receives. */
export const byteOf = (mark: number, number: number): number => (number * 7 + mark * 13) & 255;
