import { Address } from "../../sdk/assembly/address";
import { ByteQueue } from "../../sdk/assembly/bytes";
import { HeadFlag, HeadReader } from "../../sdk/assembly/http-head";

/** The parts of sdk/assembly that ask nothing of a kernel. */

function shown(text: string): string {
  const address = Address.parse(text, 80);
  return address === null ? "-" : address.host;
}

describe("addresses in text", () => {
  test("IPv4, each byte in decimal", () => {
    expect(shown("10.0.0.1")).toBe("10.0.0.1");
    expect(shown("255.255.255.255")).toBe("255.255.255.255");
    const bad = [
      "",
      "1.2.3",
      "1.2.3.4.5",
      "256.0.0.1",
      "01.2.3.4",
      "1..2.3",
      "1.2.3.x",
      "-1.2.3.4",
    ];
    for (let i = 0; i < bad.length; i++) expect(shown(bad[i])).toBe("-", bad[i]);
  });

  test("IPv6 as RFC 4291 takes it and RFC 5952 writes it", () => {
    const pairs = [
      ["::", "::"],
      ["::1", "::1"],
      ["1::", "1::"],
      ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
      ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
      ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
      ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
      ["::ffff:192.0.2.1", "192.0.2.1"],
      ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
      ["fe80::1", "fe80::1"],
    ];
    for (let i = 0; i < pairs.length; i++)
      expect(shown(pairs[i][0])).toBe(pairs[i][1], pairs[i][0]);
    const bad = [
      ":",
      ":::",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1::2::3",
      "12345::",
      "g::",
      "1:",
      ":1",
    ];
    for (let i = 0; i < bad.length; i++) expect(shown(bad[i])).toBe("-", bad[i]);
    const more = ["1:2:3:4:5:6:7:8::", "::1.2.3", "1:2:3:4:5:6:7:1.2.3.4", "::1:"];
    for (let i = 0; i < more.length; i++) expect(shown(more[i])).toBe("-", more[i]);
  });

  test("with their port", () => {
    expect(Address.parse("10.0.0.1", 80)!.toString()).toBe("10.0.0.1:80");
    expect(Address.parse("::1", 8080)!.toString()).toBe("[::1]:8080");
  });
});

describe("a queue of bytes", () => {
  test("gives back what was added, whatever was taken between", () => {
    const queue = new ByteQueue();
    let next: u8 = 0;
    let expected: u8 = 0;
    for (let round = 0; round < 200; round++) {
      const count = (round * 37) % 301;
      const at = queue.room(count);
      for (let i = 0; i < count; i++) store<u8>(at + i, next++);
      queue.added(count);
      const take = min(queue.length, (round * 53) % 307);
      for (let i = 0; i < take; i++) assert(load<u8>(queue.start + i) == expected++);
      queue.drop(take);
    }
    const rest = queue.toArray();
    for (let i = 0; i < rest.length; i++) assert(rest[i] == expected++);
    expect(expected).toBe(next);
  });
});

/** What comes of a head that arrives `step` bytes at a time. */
function read(text: string, head: HeadReader, step: i32 = 0): i32 {
  const bytes = String.UTF8.encode(text);
  head.reset();
  const whole = bytes.byteLength;
  let length = step ? min(step, whole) : whole;
  let result = head.read(changetype<usize>(bytes), length);
  while (!result && length < whole) {
    length = min(length + step, whole);
    result = head.read(changetype<usize>(bytes), length);
  }
  return result;
}

const head = new HeadReader();
const GET = "GET / HTTP/1.1\r\nHost: a\r\n";

describe("heads of requests", () => {
  test("are the same however they arrive", () => {
    const text =
      "\r\nPOST /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-A:  one \r\nx-a:two\r\nContent-Length: 12\r\n\r\n";
    for (let step = 0; step < 20; step++) {
      expect(read(text, head, step)).toBe(text.length);
      expect(head.method).toBe("POST");
      expect(head.path).toBe("/a%20b");
      expect(head.query).toBe("c=d");
      expect(head.field("x-a")).toBe("one, two");
      expect(head.field("x-b")).toBeNull();
      expect(head.contentLength).toBe(12);
      expect(head.flags).toBe(<u32>HeadFlag.Keep);
    }
    expect(read(text.substring(0, text.length - 1), head)).toBe(0);
  });

  test("say what becomes of the connection", () => {
    read(GET + "Connection: x, Close\r\n\r\n", head);
    expect(head.flags & HeadFlag.Keep).toBe(0);
    read("GET / HTTP/1.0\r\n\r\n", head);
    expect(head.flags & HeadFlag.Keep).toBe(0);
    read("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", head);
    expect(head.flags & HeadFlag.Keep).toBe(<u32>HeadFlag.Keep);
    read("GET / HTTP/1.0\r\nConnection: close, keep-alive\r\n\r\n", head);
    expect(head.flags & HeadFlag.Keep).toBe(0);
  });

  test("name their target in each form of RFC 9112, 3.2", () => {
    const pairs = [
      ["GET http://a.b:80/c?d HTTP/1.1", "/c"],
      ["GET HTTP://a.b HTTP/1.1", "/"],
      ["GET http://a.b?x HTTP/1.1", "/"],
      ["OPTIONS * HTTP/1.1", "*"],
      ["GET //a HTTP/1.1", "//a"],
    ];
    for (let i = 0; i < pairs.length; i++) {
      expect(read(pairs[i][0] + "\r\nHost: a\r\n\r\n", head)).toBeGreaterThan(0, pairs[i][0]);
      expect(head.path).toBe(pairs[i][1]);
    }
  });

  test("that can be read in two ways, or not at all, are refused", () => {
    const lines = [
      "GET / HTTP/1.1\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
      "GET a HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET http:// HTTP/1.1\r\nHost: a\r\n\r\n",
      "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.x\r\nHost: a\r\n\r\n",
      GET + " folded\r\n\r\n",
      GET + "X: a\0b\r\n\r\n",
      GET + ": a\r\n\r\n",
      GET + "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
      GET + "Content-Length: +1\r\n\r\n",
      GET + "Content-Length: 1, 1\r\n\r\n",
      GET + "Content-Length: 1234567890123456789\r\n\r\n",
      GET + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      GET + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
      "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for (let i = 0; i < lines.length; i++) {
      expect(read(lines[i], head)).toBe(-400, lines[i]);
      expect(read(lines[i], head, 1)).toBe(-400, lines[i]);
    }
  });

  test("are refused with the status that says why", () => {
    expect(read("GET / HTTP/2.0\r\n\r\n", head)).toBe(-505);
    expect(read(GET + "Transfer-Encoding: gzip, chunked\r\n\r\n", head)).toBe(-501);
    expect(read("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", head)).toBe(-501);
    expect(read("GET /" + "a".repeat(8200) + " HTTP/1.1\r\nHost: a\r\n\r\n", head)).toBe(-414);
    expect(read("GET /" + "a".repeat(8200), head, 100)).toBe(-414);
    expect(read(GET + "X: y\r\n".repeat(100) + "\r\n", head)).toBe(-431);
    expect(read(GET + "X: " + "y".repeat(16384), head, 1000)).toBe(-431);
    expect(read(GET + "X: y\r\n".repeat(99) + "\r\n", head)).toBeGreaterThan(0);
  });

  test("may expect 100 Continue, and nothing else", () => {
    read(GET + "Expect: 100-Continue\r\n\r\n", head);
    expect(head.flags & HeadFlag.Continue).toBe(<u32>HeadFlag.Continue);
    read(GET + "Expect: x\r\n\r\n", head);
    expect(head.flags & HeadFlag.BadExpect).toBe(<u32>HeadFlag.BadExpect);
  });
});
