import { ACK, FIN, PSH, RST, type TcpSegment } from "../../tools/sim/frames.ts";
import type { Peer, PeerTcp } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";

const MSS = 1460;

/**
 * A client of a machine's TCP service, in a test's hands: it acknowledges what comes and keeps it,
 * and what it sends goes out at once, cut as the test wants it. For links that lose nothing.
 */
export class TcpClient {
  readonly tcp: PeerTcp;
  /** All that has come, in order. */
  received = Buffer.alloc(0);
  /** The machine has ended its stream. */
  ended = false;
  /** The machine has reset the connection. */
  reset = false;
  /** Acknowledges what comes; false plays dead. */
  answers = true;
  private static readonly byPeer = new WeakMap<Peer, Map<number, TcpClient>>();
  private static nextPort = 20000;

  constructor(
    readonly peer: Peer,
    remoteIp: string,
    remotePort: number,
    window = 65535,
  ) {
    const port = TcpClient.nextPort++;
    this.tcp = peer.tcp(remoteIp, remotePort, port);
    this.tcp.window = window;
    this.tcp.connect({ mss: MSS });
    let clients = TcpClient.byPeer.get(peer);
    if (!clients) {
      clients = new Map();
      TcpClient.byPeer.set(peer, clients);
      const known = clients;
      peer.handler = (frame) => {
        const client = frame.tcp && known.get(frame.tcp.destinationPort);
        if (client) client.input(frame.tcp!);
        return client !== undefined;
      };
    }
    clients.set(port, this);
  }

  private input(segment: TcpSegment): void {
    if (segment.flags & RST) this.reset = true;
    if (!this.answers || segment.flags & RST || segment.seq !== this.tcp.rcvNxt) return;
    this.tcp.take(segment);
    this.received = Buffer.concat([this.received, segment.payload]);
    if (segment.flags & FIN) this.ended = true;
    if (segment.payload.length || segment.flags & FIN) this.tcp.send();
  }

  /** Sends bytes in segments of at most `size`. */
  send(data: string | Uint8Array, size = MSS): void {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    for (let at = 0; at < bytes.length; at += size) {
      this.tcp.send({ flags: ACK | PSH, payload: bytes.subarray(at, at + size) });
    }
  }

  end(): void {
    this.tcp.send({ flags: ACK | FIN });
  }

  run(duration: number): void {
    this.peer.simulation.run(duration);
  }

  until(done: () => boolean, duration = 5 * SECOND, what = "condition"): void {
    this.peer.simulation.until(done, duration, () => {
      const head = this.received.subarray(0, 400).toString("latin1");
      return `no ${what}; ended ${this.ended}, reset ${this.reset}, received ${this.received.length}: ${head}\n`;
    });
  }

  /** Waits for the end of the stream. */
  expectEnd(duration = 5 * SECOND): void {
    this.until(() => this.ended, duration, "end of the stream");
  }

  /** Lets some time pass, in which the connection must stay open and silent. */
  expectOpen(duration = 100 * MILLISECOND): void {
    const { length } = this.received;
    this.run(duration);
    if (this.ended || this.reset || this.received.length !== length) {
      throw new Error(`expected silence; ended ${this.ended}, reset ${this.reset}`);
    }
  }
}

export interface Answer {
  status: number;
  headers: Map<string, string>;
  body: Buffer;
}

/** Takes answers, one after the other, from what a client has received. */
export class HttpClient extends TcpClient {
  /** The next answer to a request of `method`, whose body is counted by Content-Length. */
  answer(method = "GET", duration = 5 * SECOND): Answer {
    let end = -1;
    const head = (): boolean => (end = this.received.indexOf("\r\n\r\n")) >= 0;
    this.until(head, duration, "head of an answer");
    const [line, ...fields] = this.received.subarray(0, end).toString("latin1").split("\r\n");
    const match = /^HTTP\/1\.1 (\d{3}) [\w ]+$/.exec(line!);
    if (!match) throw new Error(`not a status line: ${line}`);
    const headers = new Map<string, string>();
    for (const field of fields) {
      const parts = /^([\w-]+): (.*)$/.exec(field);
      if (!parts) throw new Error(`not a field: ${field}`);
      if (headers.has(parts[1]!.toLowerCase())) throw new Error(`twice: ${field}`);
      headers.set(parts[1]!.toLowerCase(), parts[2]!);
    }
    const status = Number(match[1]);
    const bodiless = method === "HEAD" || status < 200 || status === 304;
    const length = bodiless ? 0 : Number(headers.get("content-length"));
    if (Number.isNaN(length)) throw new Error(`no Content-Length:\n${fields.join("\n")}`);
    const whole = end + 4 + length;
    this.until(() => this.received.length >= whole, duration, `body of ${length} bytes`);
    const body = this.received.subarray(end + 4, whole);
    this.received = this.received.subarray(whole);
    return { status, headers, body };
  }

  /** Sends a request with a Host and further fields, and waits for its answer. */
  ask(target: string, fields = "", method = "GET"): Answer {
    this.send(`${method} ${target} HTTP/1.1\r\nHost: skerry\r\n${fields}\r\n`);
    return this.answer(method);
  }
}
