import type { Machine } from "./machine.ts";
import { Domain, SocketEvent, Sockets } from "./sockets.ts";

/** One connection of a `Program`: what is queued leaves as there is room, what comes is handed on. */
export class Connection {
  /** Bytes arrived, in order. */
  onData: (bytes: Uint8Array) => void = () => {};
  /** The peer has ended its stream. */
  onEnd: () => void = () => {};
  /** The connection stands. */
  onOpen: () => void = () => {};
  /** All is sent and the stream ended, as `end` asked. */
  onSent: () => void = () => {};
  /** It failed, with this errno. */
  onError: (errno: number) => void = () => {};
  /** Most bytes taken in one turn; fewer make a slow reader. */
  readLimit = Infinity;
  received = 0;
  sent = 0;
  open = false;
  ended = false;
  closed = false;
  failed = 0;
  private queue: Uint8Array[] = [];
  private ending = false;
  private shut = false;

  constructor(
    readonly program: Program,
    readonly socket: number,
  ) {}

  /** Queues bytes. They must not change until they are sent. */
  send(bytes: Uint8Array): void {
    this.queue.push(bytes);
    this.flush();
  }

  /** Ends the stream once all is sent. */
  end(): void {
    this.ending = true;
    this.flush();
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.program.sockets.close(this.socket);
    this.program.forget(this);
  }

  /** Takes what has arrived, up to the limit. */
  read(): void {
    const { sockets } = this.program;
    for (let left = this.readLimit; left > 0 && !this.ended && !this.closed;) {
      const bytes = sockets.receive(this.socket, Math.min(left, 65536));
      if (bytes === null) return;
      if (bytes.length === 0) {
        this.ended = true;
        this.onEnd();
        return;
      }
      this.received += bytes.length;
      left -= bytes.length;
      this.onData(bytes);
    }
  }

  ready(events: number): void {
    if (events & SocketEvent.Error) {
      const errno = this.program.sockets.error(this.socket);
      if (errno) {
        this.failed = errno;
        this.onError(errno);
        this.close();
        return;
      }
    }
    if (!this.open && events & SocketEvent.Writable) {
      this.open = true;
      this.onOpen();
    }
    if (events & (SocketEvent.Readable | SocketEvent.Hangup)) this.read();
    this.flush();
  }

  private flush(): void {
    if (!this.open || this.closed) return;
    while (this.queue.length) {
      const bytes = this.queue[0]!;
      const count = this.program.sockets.send(this.socket, bytes);
      if (count === null) return;
      this.sent += count;
      if (count === bytes.length) this.queue.shift();
      else this.queue[0] = bytes.subarray(count);
    }
    if (this.ending && !this.shut) {
      this.shut = true;
      this.program.sockets.shutdown(this.socket);
      this.onSent();
    }
  }
}

/** A program outside the kernel: it drives a machine's sockets through system calls after each step. */
export class Program {
  readonly sockets: Sockets;
  private readonly connections = new Map<number, Connection>();
  private readonly listeners = new Map<number, (connection: Connection) => void>();

  constructor(readonly machine: Machine) {
    this.sockets = new Sockets(machine);
    machine.program = () => this.turn();
  }

  /** Listens; `accepted` is told of each connection before anything of it is read. */
  listen(
    port: number,
    accepted: (connection: Connection) => void,
    backlog = 64,
    domain = Domain.Inet,
  ): number {
    const socket = this.sockets.stream(domain);
    this.sockets.bind(socket, port, domain === Domain.Inet6 ? "::" : "0.0.0.0");
    this.sockets.listen(socket, backlog);
    this.listeners.set(socket, accepted);
    return socket;
  }

  connect(address: string, port: number): Connection {
    const domain = address.includes(":") ? Domain.Inet6 : Domain.Inet;
    const connection = this.add(this.sockets.stream(domain));
    this.sockets.connect(connection.socket, address, port);
    return connection;
  }

  forget(connection: Connection): void {
    this.connections.delete(connection.socket);
  }

  /** Closes every connection. */
  closeAll(): void {
    for (const connection of [...this.connections.values()]) connection.close();
  }

  /** Connections that are not closed. */
  get open(): number {
    return this.connections.size;
  }

  private add(socket: number): Connection {
    const connection = new Connection(this, socket);
    this.connections.set(socket, connection);
    return connection;
  }

  private turn(): void {
    for (let news = this.sockets.poll(); news.length; news = this.sockets.poll()) {
      for (const [socket, events] of news) {
        const accepted = this.listeners.get(socket);
        if (accepted) this.acceptAll(socket, accepted);
        else this.connections.get(socket)?.ready(events);
      }
    }
  }

  private acceptAll(listener: number, accepted: (connection: Connection) => void): void {
    for (;;) {
      const socket = this.sockets.accept(listener);
      if (socket === null) return;
      const connection = this.add(socket);
      connection.open = true;
      accepted(connection);
      connection.read();
    }
  }
}
