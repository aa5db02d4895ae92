import {
  Field,
  HEAD_MAX,
  LINE_MAX,
  Method,
  Parse,
  Request,
  RequestFlag,
} from "../../apps/lib/http/request";

/** Static space: what is parsed, where its pieces arrive, and two readers. */
const text: usize = memory.data(40000, 64);
const pieces: usize = memory.data(40000, 64);
const whole = changetype<Request>(memory.data(256, 8));
const split = changetype<Request>(memory.data(256, 8));

function put(request: string): u32 {
  const length = String.UTF8.byteLength(request);
  String.UTF8.encodeUnsafe(changetype<usize>(request), request.length, text);
  return length;
}

function parse(request: string): u32 {
  const length = put(request);
  whole.reset(text);
  return whole.parse(length);
}

/** Parses a request line of GET and fields that make it HTTP/1.1. */
function withFields(fields: string): u32 {
  return parse("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n");
}

function withLine(line: string): u32 {
  return parse(line + "\r\nHost: a\r\n\r\n");
}

function sameResult(): bool {
  const from = offsetof<Request>("headLength");
  const size = offsetof<Request>() - from;
  return (
    memory.compare(changetype<usize>(whole) + from, changetype<usize>(split) + from, size) == 0
  );
}

function pathIs(path: string): bool {
  return String.UTF8.decodeUnsafe(whole.path, whole.pathLength) == path;
}

const LONG =
  "GET /a/b%20c?x=1&y=2 HTTP/1.1\r\nHost: example.com:8080\r\nConnection: keep-alive, Upgrade\r\n" +
  'If-None-Match: "one", W/"two"\r\nRange:  bytes=0-99 \t\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n' +
  "Content-Length: 12\r\nExpect: 100-Continue\r\nX-Empty:\r\n\r\n";

describe("request head", () => {
  it("reads what a client sends", () => {
    const length = put(LONG);
    whole.reset(text);
    expect<u32>(whole.parse(length)).toBe(Parse.Done);
    expect<u32>(whole.headLength).toBe(length);
    expect<u32>(whole.method).toBe(Method.Get);
    expect<u32>(whole.minor).toBe(1);
    expect<bool>(pathIs("/a/b%20c")).toBe(true);
    expect<string>(String.UTF8.decodeUnsafe(whole.query, whole.queryLength)).toBe("x=1&y=2");
    expect<u64>(whole.contentLength).toBe(12);
    expect<bool>(whole.has(RequestFlag.Continue)).toBe(true);
    expect<bool>(whole.has(RequestFlag.Unnormal)).toBe(true);
    expect<bool>(whole.persistent).toBe(true);
    const range = whole.single(Field.Range)!;
    expect<string>(String.UTF8.decodeUnsafe(text + range.offset, range.length)).toBe("bytes=0-99");
    expect<u32>(whole.keptCount).toBe(3);
  });

  it("reads the same wherever it is split", () => {
    const length = put(LONG);
    whole.reset(text);
    whole.parse(length);
    for (let at: u32 = 0; at < length; at++) {
      // The bytes move between the two halves, as they do into a buffer.
      split.reset(text);
      expect<u32>(split.parse(at)).toBe(Parse.More, "first half of " + at.toString());
      memory.copy(pieces, text, length);
      split.base = pieces;
      expect<u32>(split.parse(length)).toBe(Parse.Done, "second half of " + at.toString());
      expect<bool>(sameResult()).toBe(true, "split at " + at.toString());
    }
  });

  it("reads the same byte by byte", () => {
    const length = put(LONG);
    whole.reset(text);
    whole.parse(length);
    split.reset(text);
    for (let at: u32 = 1; at < length; at++) split.parse(at);
    expect<u32>(split.parse(length)).toBe(Parse.Done);
    expect<bool>(sameResult()).toBe(true);
  });

  it("judges damaged requests the same whole and in pieces", () => {
    let seed: u32 = 0x2545f491;
    for (let round = 0; round < 3000; round++) {
      const length = put(LONG);
      for (let i = 0; i < 2; i++) {
        seed ^= seed << 13;
        seed ^= seed >>> 17;
        seed ^= seed << 5;
        store<u8>(text + (seed % length), <u8>(seed >>> 20));
      }
      whole.reset(text);
      const expected = whole.parse(length);
      split.reset(text);
      let got: u32 = Parse.More;
      let at: u32 = 0;
      while (got == Parse.More && at < length) {
        seed ^= seed << 13;
        seed ^= seed >>> 17;
        seed ^= seed << 5;
        at = min(length, at + 1 + (seed % 40));
        got = split.parse(at);
      }
      expect<u32>(got).toBe(expected, "round " + round.toString());
      if (expected == Parse.Done)
        expect<bool>(sameResult()).toBe(true, "round " + round.toString());
    }
  });

  it("stops at the end of the first of two requests", () => {
    const one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    expect<u32>(parse(one + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")).toBe(Parse.Done);
    expect<u32>(whole.headLength).toBe(one.length);
  });

  it("takes empty lines before a request, not for ever", () => {
    expect<u32>(withLine("\r\n\r\nGET / HTTP/1.1")).toBe(Parse.Done);
    expect<u32>(withLine("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1")).toBe(400);
  });
});

describe("request line", () => {
  it("knows the methods and their case", () => {
    expect<u32>(withLine("HEAD / HTTP/1.1")).toBe(Parse.Done);
    expect<u32>(whole.method).toBe(Method.Head);
    withLine("PATCH / HTTP/1.1");
    expect<u32>(whole.method).toBe(Method.Patch);
    withLine("get / HTTP/1.1");
    expect<u32>(whole.method).toBe(Method.Unknown);
  });

  it("knows the versions", () => {
    expect<u32>(parse("GET / HTTP/1.0\r\n\r\n")).toBe(Parse.Done);
    expect<bool>(whole.persistent).toBe(false);
    parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    expect<bool>(whole.persistent).toBe(true);
    expect<u32>(withLine("GET / HTTP/1.9")).toBe(Parse.Done);
    expect<u32>(withLine("GET / HTTP/2.0")).toBe(505);
    expect<u32>(withLine("GET / HTTP/0.9")).toBe(505);
    expect<u32>(withLine("GET / http/1.1")).toBe(400);
    expect<u32>(withLine("GET / HTTP/1.10")).toBe(400);
    expect<u32>(withLine("GET / HTTP/1,1")).toBe(400);
  });

  it("refuses what is not one method, one target and one version", () => {
    expect<u32>(withLine("GET /")).toBe(400);
    expect<u32>(withLine("GET")).toBe(400);
    expect<u32>(withLine("GET  / HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET / x HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET /\tHTTP/1.1")).toBe(400);
    expect<u32>(withLine(" GET / HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GE(T / HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET / HTTP/1.1 ")).toBe(400);
    expect<u32>(withLine("GET /\u00e4 HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET /#a HTTP/1.1")).toBe(400);
  });

  it("refuses bare CR and LF", () => {
    expect<u32>(parse("GET / HTTP/1.1\nHost: a\r\n\r\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost: a\n\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n")).toBe(400);
    expect<u32>(parse("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")).toBe(400);
  });

  it("finds the path in every form of target", () => {
    withLine("GET http://example.com/x/y?z HTTP/1.1");
    expect<bool>(pathIs("/x/y")).toBe(true);
    expect<u32>(withLine("GET http://example.com HTTP/1.1")).toBe(Parse.Done);
    expect<u32>(whole.pathLength).toBe(0);
    expect<u32>(withLine("GET http:///x HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET https://a/ HTTP/1.1")).toBe(400);
    expect<u32>(withLine("GET x HTTP/1.1")).toBe(400);
    expect<u32>(withLine("OPTIONS * HTTP/1.1")).toBe(Parse.Done);
    expect<u32>(withLine("GET * HTTP/1.1")).toBe(400);
    expect<u32>(withLine("CONNECT a:1 HTTP/1.1")).toBe(Parse.Done);
  });

  it("says which paths need work", () => {
    withLine("GET /a.b/c.html HTTP/1.1");
    expect<bool>(whole.has(RequestFlag.Unnormal)).toBe(false);
    withLine("GET /a/../c HTTP/1.1");
    expect<bool>(whole.has(RequestFlag.Unnormal)).toBe(true);
    withLine("GET /a?/../%41 HTTP/1.1");
    expect<bool>(whole.has(RequestFlag.Unnormal)).toBe(false);
  });

  it("gives up on what cannot become a request", () => {
    store<u8>(text, 0x16);
    store<u8>(text + 1, 0x03);
    whole.reset(text);
    expect<u32>(whole.parse(2)).toBe(400);
  });

  it("bounds the line and the head", () => {
    const long = "/" + "a".repeat(LINE_MAX);
    expect<u32>(withLine("GET " + long + " HTTP/1.1")).toBe(414);
    const length = put("GET " + long);
    whole.reset(text);
    expect<u32>(whole.parse(length)).toBe(414);
    expect<u32>(withLine("GET /" + "a".repeat(8000) + " HTTP/1.1")).toBe(Parse.Done);
    expect<u32>(withFields("X: " + "a".repeat(HEAD_MAX) + "\r\n")).toBe(431);
    expect<u32>(withFields("X: a\r\n".repeat(99))).toBe(Parse.Done);
    expect<u32>(withFields("X: a\r\n".repeat(100))).toBe(431);
    expect<u32>(withFields("Range: a\r\n".repeat(9))).toBe(431);
  });
});

describe("fields", () => {
  it("wants one valid Host in HTTP/1.1", () => {
    expect<u32>(parse("GET / HTTP/1.1\r\n\r\n")).toBe(400);
    expect<u32>(withFields("Host: b\r\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost:\r\n\r\n")).toBe(Parse.Done);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n")).toBe(Parse.Done);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost: a b\r\n\r\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.0\r\n\r\n")).toBe(Parse.Done);
  });

  it("refuses doubtful syntax", () => {
    expect<u32>(withFields("A : b\r\n")).toBe(400);
    expect<u32>(withFields(" A: b\r\n")).toBe(400);
    expect<u32>(withFields("A: b\r\n c\r\n")).toBe(400);
    expect<u32>(withFields("A: b\r\n\tc\r\n")).toBe(400);
    expect<u32>(withFields(": b\r\n")).toBe(400);
    expect<u32>(withFields("A\r\n")).toBe(400);
    expect<u32>(withFields("A: b\0c\r\n")).toBe(400);
    expect<u32>(withFields("A: b\u0001\r\n")).toBe(400);
    expect<u32>(withFields("A: \u00e4\tb\r\n")).toBe(Parse.Done);
  });

  it("takes one length only", () => {
    expect<u32>(withFields("Content-Length: 5\r\nContent-Length: 5\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: 5, 5\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: +5\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: -5\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: 0x5\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length:\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: 99999999999999999999\r\n")).toBe(400);
    expect<u32>(withFields("content-LENGTH: 4294967297\r\n")).toBe(Parse.Done);
    expect<u64>(whole.contentLength).toBe(4294967297);
  });

  it("takes the chunked coding only", () => {
    expect<u32>(withFields("Transfer-Encoding: Chunked\r\n")).toBe(Parse.Done);
    expect<bool>(whole.hasBody).toBe(true);
    expect<u32>(withFields("Transfer-Encoding: gzip, chunked\r\n")).toBe(501);
    expect<u32>(withFields("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n")).toBe(501);
    expect<u32>(withFields("Transfer-Encoding: ,chunked ,\r\n")).toBe(Parse.Done);
    // RFC 9112, 6.3: no telling where such a body ends.
    expect<u32>(withFields("Transfer-Encoding: gzip\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding: chunked, gzip\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding: chunked, chunked\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding:\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding:\r\nContent-Length: 3\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")).toBe(
      400,
    );
    expect<u32>(withFields("Transfer-Encoding: \u000bchunked\r\n")).toBe(400);
    expect<u32>(withFields("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n")).toBe(400);
    expect<u32>(withFields("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")).toBe(400);
    expect<u32>(parse("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n")).toBe(400);
  });

  it("reads Connection as a list", () => {
    withFields("Connection: a ,\tClose\r\n");
    expect<bool>(whole.persistent).toBe(false);
    withFields("Connection: closed, , keep-alive\r\n");
    expect<bool>(whole.persistent).toBe(true);
    withFields("Connection: keep-alive\r\nConnection: close\r\n");
    expect<bool>(whole.persistent).toBe(false);
  });

  it("knows one expectation", () => {
    withFields("Expect: 200-ok\r\n");
    expect<bool>(whole.has(RequestFlag.BadExpect)).toBe(true);
    parse("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    expect<bool>(whole.has(RequestFlag.Continue)).toBe(false);
  });

  it("does not choose between repeated fields that are single", () => {
    withFields("Range: bytes=0-1\r\nRange: bytes=2-3\r\n");
    expect<bool>(whole.single(Field.Range) === null).toBe(true);
    expect<bool>(whole.hasKept(Field.Range)).toBe(true);
  });
});
