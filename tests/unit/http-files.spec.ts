import {
  Validators,
  precondition,
  range,
  rangeFirst,
  rangeLength,
} from "../../apps/http/conditions";
import { normalise, normalised } from "../../apps/http/path";
import { Request } from "../../apps/lib/http/request";

const text: usize = memory.data(16384, 64);
const tag: usize = memory.data<u8>([0x22, 0x61, 0x62, 0x22]);
const request = changetype<Request>(memory.data(256, 8));
const file = changetype<Validators>(memory.data(32, 8));

/** What is answered to these fields for a file "ab" of Sun, 06 Nov 1994 08:49:37 GMT, 100 bytes long. */
function answer(fields: string, method: string = "GET"): u32 {
  const head = method + " / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  const length = <u32>String.UTF8.encodeUnsafe(changetype<usize>(head), head.length, text);
  request.reset(text);
  assert(request.parse(length) == 1);
  file.tag = tag;
  file.tagLength = 4;
  file.modified = 784111777;
  file.today = 1795219200;
  const status = precondition(request, file);
  return status == 200 ? range(request, file, 100) : status;
}

function path(encoded: string): string {
  const length = <u32>String.UTF8.encodeUnsafe(changetype<usize>(encoded), encoded.length, text);
  const result = normalise(text, length);
  return result < 0 ? "refused" : String.UTF8.decodeUnsafe(normalised(), result);
}

const SAME = "Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT\r\n";
const AFTER = "Mon, 07 Nov 1994 08:49:37 GMT\r\n";

describe("conditions", () => {
  it("If-None-Match compares weakly", () => {
    expect<u32>(answer('If-None-Match: "ab"\r\n')).toBe(304);
    expect<u32>(answer('If-None-Match: W/"ab"\r\n')).toBe(304);
    expect<u32>(answer('If-None-Match: "x", , W/"y","ab"\r\n')).toBe(304);
    expect<u32>(answer('If-None-Match: "x"\r\nIf-None-Match: "ab"\r\n')).toBe(304);
    expect<u32>(answer("If-None-Match: *\r\n")).toBe(304);
    expect<u32>(answer('If-None-Match: "abc"\r\n')).toBe(200);
    expect<u32>(answer("If-None-Match: ab\r\n")).toBe(200);
    expect<u32>(answer('If-None-Match: "ab\r\n')).toBe(200);
    expect<u32>(answer('If-None-Match: "ab"\r\n', "HEAD")).toBe(304);
  });

  it("If-Match compares strongly", () => {
    expect<u32>(answer('If-Match: "ab"\r\n')).toBe(200);
    expect<u32>(answer('If-Match: W/"ab"\r\n')).toBe(412);
    expect<u32>(answer('If-Match: "x", "ab"\r\n')).toBe(200);
    expect<u32>(answer("If-Match: *\r\n")).toBe(200);
    expect<u32>(answer('If-Match: "x"\r\n')).toBe(412);
  });

  it("dates are compared to the second", () => {
    expect<u32>(answer("If-Modified-Since: " + SAME)).toBe(304);
    expect<u32>(answer("If-Modified-Since: " + AFTER)).toBe(304);
    expect<u32>(answer("If-Modified-Since: " + BEFORE)).toBe(200);
    expect<u32>(answer("If-Modified-Since: yesterday\r\n")).toBe(200);
    expect<u32>(answer("If-Unmodified-Since: " + SAME)).toBe(200);
    expect<u32>(answer("If-Unmodified-Since: " + BEFORE)).toBe(412);
    expect<u32>(answer("If-Unmodified-Since: yesterday\r\n")).toBe(200);
  });

  it("come in the order of RFC 9110, 13.2.2", () => {
    expect<u32>(answer('If-Match: "x"\r\nIf-None-Match: "ab"\r\n')).toBe(412);
    expect<u32>(answer('If-Match: "ab"\r\nIf-Unmodified-Since: ' + BEFORE)).toBe(200);
    expect<u32>(answer('If-None-Match: "x"\r\nIf-Modified-Since: ' + AFTER)).toBe(200);
    expect<u32>(answer('If-None-Match: "ab"\r\nRange: bytes=0-1\r\n')).toBe(304);
    expect<u32>(answer('If-Match: "ab"\r\nIf-None-Match: "ab"\r\n')).toBe(304);
  });
});

describe("ranges", () => {
  it("are found", () => {
    expect<u32>(answer("Range: bytes=0-0\r\n")).toBe(206);
    expect<u32>(rangeFirst).toBe(0);
    expect<u32>(rangeLength).toBe(1);
    expect<u32>(answer("Range: BYTES=10-\r\n")).toBe(206);
    expect<u32>(rangeFirst).toBe(10);
    expect<u32>(rangeLength).toBe(90);
    expect<u32>(answer("Range: bytes=-5\r\n")).toBe(206);
    expect<u32>(rangeFirst).toBe(95);
    expect<u32>(rangeLength).toBe(5);
    expect<u32>(answer("Range: bytes=-1000\r\n")).toBe(206);
    expect<u32>(rangeLength).toBe(100);
    expect<u32>(answer("Range: bytes=99-99999999999\r\n")).toBe(206);
    expect<u32>(rangeFirst).toBe(99);
    expect<u32>(rangeLength).toBe(1);
  });

  it("outside the file are refused", () => {
    expect<u32>(answer("Range: bytes=100-\r\n")).toBe(416);
    expect<u32>(answer("Range: bytes=100-200\r\n")).toBe(416);
    expect<u32>(answer("Range: bytes=-0\r\n")).toBe(416);
  });

  it("that are none, or several, mean the whole file", () => {
    expect<u32>(answer("Range: bytes=5-4\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=a-b\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=-\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=5\r\n")).toBe(200);
    expect<u32>(answer("Range: lines=0-1\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=0-1,4-5\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=0-1\r\nRange: bytes=4-5\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=0-99999999999999999999\r\n")).toBe(200);
    expect<u32>(answer("Range: bytes=0-0\r\n", "HEAD")).toBe(200);
  });

  it("depend on If-Range", () => {
    expect<u32>(answer('Range: bytes=0-0\r\nIf-Range: "ab"\r\n')).toBe(206);
    expect<u32>(answer('Range: bytes=0-0\r\nIf-Range: W/"ab"\r\n')).toBe(200);
    expect<u32>(answer('Range: bytes=0-0\r\nIf-Range: "x"\r\n')).toBe(200);
    expect<u32>(answer("Range: bytes=0-0\r\nIf-Range: " + SAME)).toBe(206);
    expect<u32>(answer("Range: bytes=0-0\r\nIf-Range: " + AFTER)).toBe(200);
    expect<u32>(answer('Range: bytes=200-\r\nIf-Range: "x"\r\n')).toBe(200);
  });
});

describe("paths", () => {
  it("are decoded", () => {
    expect<string>(path("/a%20b")).toBe("/a b");
    expect<string>(path("/%41%c3%a4")).toBe("/A\u00e4");
    expect<string>(path("/%2541")).toBe("/%41");
    expect<string>(path("/a%2Fb")).toBe("/a/b");
  });

  it("with bad escapes or NUL are refused", () => {
    expect<string>(path("/%")).toBe("refused");
    expect<string>(path("/%4")).toBe("refused");
    expect<string>(path("/%4g")).toBe("refused");
    expect<string>(path("/%00")).toBe("refused");
  });

  // The examples of RFC 3986, 5.2.4 and 5.4.2, as far as they are absolute paths.
  it("lose their dot segments", () => {
    expect<string>(path("/a/b/c/./../../g")).toBe("/a/g");
    expect<string>(path("/./g")).toBe("/g");
    expect<string>(path("/../g")).toBe("/g");
    expect<string>(path("/../../../g")).toBe("/g");
    expect<string>(path("/b/c/..")).toBe("/b/");
    expect<string>(path("/b/c/.")).toBe("/b/c/");
    expect<string>(path("/b/c/.g")).toBe("/b/c/.g");
    expect<string>(path("/b/c/g..")).toBe("/b/c/g..");
    expect<string>(path("/b/c/..g")).toBe("/b/c/..g");
    expect<string>(path("/b/c/g/./h")).toBe("/b/c/g/h");
    expect<string>(path("/..")).toBe("/");
    expect<string>(path("/%2e%2E/%2e/g")).toBe("/g");
    expect<string>(path("/a//../b")).toBe("/a/b");
  });
});
