import { Body, bodyData } from "../../apps/lib/http/body";

const text: usize = memory.data(8192, 64);
const data: usize = memory.data(8192, 64);
const body = changetype<Body>(memory.data(64, 8));
let collected: u32 = 0;

function put(framed: string): u32 {
  return <u32>String.UTF8.encodeUnsafe(changetype<usize>(framed), framed.length, text);
}

/** Feeds `length` bytes in runs of at most `step`; returns how many were taken. */
function feed(length: u32, step: u32): u32 {
  collected = 0;
  let at: u32 = 0;
  while (at < length && !body.done && !body.bad) {
    const used = body.take(text + at, min(step, length - at));
    if (!used) break;
    at += used;
    memory.copy(data + collected, text + at - bodyData(), bodyData());
    collected += bodyData();
  }
  return at;
}

function isBad(framed: string): bool {
  body.chunked();
  feed(put(framed), 8192);
  return body.bad;
}

function received(): string {
  return String.UTF8.decodeUnsafe(data, collected);
}

describe("bodies", () => {
  it("counts", () => {
    body.counted(5);
    expect<u32>(feed(put("helloGET /"), 3)).toBe(5);
    expect<bool>(body.done).toBe(true);
    expect<string>(received()).toBe("hello");
    body.counted(0);
    expect<bool>(body.done).toBe(true);
  });

  it("joins chunks, wherever they are split, and leaves what follows", () => {
    const framed = "5\r\nhello\r\nA;name=value\r\n, skerry !\r\n0\r\nTrailer: x\r\n\r\n";
    const length = put(framed + "GET /");
    for (let step: u32 = 1; step <= length; step++) {
      body.chunked();
      expect<u32>(feed(length, step)).toBe(framed.length, "runs of " + step.toString());
      expect<bool>(body.done).toBe(true);
      expect<string>(received()).toBe("hello, skerry !", "runs of " + step.toString());
      expect<u64>(body.received).toBe(15);
    }
  });

  it("takes an empty body", () => {
    body.chunked();
    feed(put("0\r\n\r\n"), 1);
    expect<bool>(body.done).toBe(true);
    expect<u32>(collected).toBe(0);
  });

  it("reads sizes in either case and of any length that can be counted", () => {
    body.chunked();
    feed(put("000000aB\r\n"), 2);
    expect<u64>(body.remaining).toBe(0xab);
    expect<bool>(isBad("0000000000000001\r\n")).toBe(true);
  });

  it("refuses broken framing", () => {
    expect<bool>(isBad("\r\nhello")).toBe(true);
    expect<bool>(isBad("g\r\n")).toBe(true);
    expect<bool>(isBad("-1\r\n")).toBe(true);
    expect<bool>(isBad("0x5\r\nhello\r\n")).toBe(true);
    expect<bool>(isBad("5\nhello\r\n")).toBe(true);
    expect<bool>(isBad("5\r\nhelloX\r\n")).toBe(true);
    expect<bool>(isBad("5\r\nhello\n")).toBe(true);
    expect<bool>(isBad("5;a\nb\r\nhello\r\n")).toBe(true);
    expect<bool>(isBad("0\r\nX: y\n\r\n")).toBe(true);
    expect<bool>(isBad("0\r\n folded\r\n\r\n")).toBe(true);
    expect<bool>(isBad("0\r\n\rX")).toBe(true);
  });

  it("bounds what is neither data nor size", () => {
    body.chunked();
    feed(put("1;"), 8192);
    for (let i = 0; i < 8192; i++) store<u8>(text + i, 0x61);
    feed(8192, 8192);
    expect<bool>(body.bad).toBe(false);
    feed(8192, 8192);
    feed(8192, 8192);
    expect<bool>(body.bad).toBe(true);
  });
});
