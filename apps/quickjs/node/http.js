// node:http, the part that a server of small answers needs: HTTP/1.1 (RFC 9112) with connections kept
// alive, on a loop that never waits for one of them.

import { READ, WRITE, watch } from "./globals.js";

const LONGEST_HEAD = 16384;
const REASONS = { 200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed" };

/** What the program sees of a request. */
class IncomingMessage {
  constructor(method, url, headers) {
    this.method = method;
    this.url = url;
    this.headers = headers;
  }
}

class ServerResponse {
  #headers = {};
  #connection;
  #keep;
  #method;
  statusCode = 200;

  constructor(connection, method, keep) {
    this.#connection = connection;
    this.#method = method;
    this.#keep = keep;
  }

  setHeader(name, value) {
    this.#headers[name.toLowerCase()] = String(value);
    return this;
  }

  writeHead(status, headers = {}) {
    this.statusCode = status;
    for (const [name, value] of Object.entries(headers)) this.setHeader(name, value);
    return this;
  }

  end(text = "") {
    const body = host.encode(text);
    this.setHeader("content-length", body.length);
    this.setHeader("connection", this.#keep ? "keep-alive" : "close");
    const lines = Object.entries(this.#headers).map(([name, value]) => `${name}: ${value}\r\n`);
    const status = `HTTP/1.1 ${this.statusCode} ${REASONS[this.statusCode] ?? "Unknown"}\r\n`;
    this.#connection.write(host.encode(`${status}${lines.join("")}\r\n`));
    if (this.#method !== "HEAD") this.#connection.write(body);
    this.#connection.answered(this.#keep);
  }
}

class Connection {
  #fd;
  #handler;
  #input = "";
  #output = [];
  #sent = 0;
  #busy = false;
  #closing = false;

  constructor(fd, handler) {
    this.#fd = fd;
    this.#handler = handler;
    this.#watch();
  }

  #watch() {
    const writing = this.#output.length ? WRITE : 0;
    watch(this.#fd, this.#closing ? writing : READ | writing, (events) => this.#ready(events));
  }

  #close() {
    watch(this.#fd, 0);
    host.close(this.#fd);
  }

  #ready(events) {
    try {
      if (events & ~WRITE && !this.#read()) return this.#close();
      this.#flush();
    } catch {
      this.#close(); // the peer is gone
    }
  }

  /** False at the end of the stream. */
  #read() {
    const bytes = host.receive(this.#fd);
    if (bytes === undefined) return true;
    if (!bytes.length) return false;
    this.#input += host.decode(bytes);
    this.#next();
    return true;
  }

  /** Hands over the next request, if it is whole and its turn has come. */
  #next() {
    if (this.#busy || this.#closing) return;
    const end = this.#input.indexOf("\r\n\r\n");
    if (end < 0) {
      if (this.#input.length > LONGEST_HEAD) this.#refuse();
      return;
    }
    const [line, ...fields] = this.#input.slice(0, end).split("\r\n");
    this.#input = this.#input.slice(end + 4);
    const [, method, url, version] = /^([A-Z]+) (\S+) HTTP\/1\.([01])$/.exec(line) ?? [];
    const headers = {};
    for (const field of fields) {
      const [, name, value] = /^([^\s:]+):\s*(.*?)\s*$/.exec(field) ?? [];
      if (name) headers[name.toLowerCase()] = value;
    }
    // A body would be the next request to a server that does not read it (RFC 9112, section 6.3).
    if (!method || Number(headers["content-length"] ?? 0) || headers["transfer-encoding"]) {
      return this.#refuse();
    }
    this.#busy = true;
    const wish = (headers.connection ?? "").toLowerCase();
    const keep = version === "1" ? wish !== "close" : wish === "keep-alive";
    const response = new ServerResponse(this, method, keep);
    this.#handler(new IncomingMessage(method, url, headers), response);
  }

  #refuse() {
    this.#busy = true;
    new ServerResponse(this, "GET", false).writeHead(400).end("Bad Request\n");
  }

  write(bytes) {
    if (bytes.length) this.#output.push(bytes);
  }

  /** All of the present answer is written. */
  answered(keep) {
    this.#busy = false;
    this.#closing ||= !keep;
    this.#flush();
  }

  #flush() {
    while (this.#output.length) {
      const bytes = this.#output[0];
      const sent = host.send(this.#fd, bytes, this.#sent);
      if (!sent) break;
      this.#sent += sent;
      if (this.#sent < bytes.length) continue;
      this.#output.shift();
      this.#sent = 0;
    }
    if (!this.#output.length && this.#closing) return this.#close();
    this.#watch();
    this.#next();
  }
}

class Server {
  #handler;

  constructor(handler) {
    this.#handler = handler;
  }

  listen(port, listening) {
    const fd = host.listen(port);
    watch(fd, READ, () => {
      for (let peer = host.accept(fd); peer !== undefined; peer = host.accept(fd)) {
        new Connection(peer, this.#handler);
      }
    });
    if (listening) Promise.resolve().then(listening);
    return this;
  }
}

export const createServer = (handler) => new Server(handler);
