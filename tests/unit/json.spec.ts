import { JsonKind, JsonScanner, JsonWriter } from "../../apps/lib/json";
import { Writer } from "../../apps/lib/text";

const text: usize = memory.data(4096, 64);
const scanner = changetype<JsonScanner>(memory.data(64, 8));
const writer = changetype<Writer>(memory.data(32, 8));
const json = changetype<JsonWriter>(memory.data(16, 8));

function begin(source: string): void {
  const length = <u32>String.UTF8.encodeUnsafe(changetype<usize>(source), source.length, text);
  scanner.begin(text, length);
}

/** Keys and kinds of the members, or "bad". */
function members(source: string): string {
  begin(source);
  let all = "";
  while (scanner.next()) {
    all +=
      String.UTF8.decodeUnsafe(scanner.key, scanner.keyLength) +
      ":" +
      scanner.kind.toString() +
      " ";
  }
  return scanner.bad ? "bad" : all;
}

function number(source: string): i64 {
  begin('{"n":' + source + "}");
  return scanner.next() ? scanner.integer(-99) : -98;
}

describe("JSON scanner", () => {
  it("walks over the members of an object", () => {
    expect<string>(
      members('{"tcp":true,"omit":0,"a":[1,{"b":2}],"c":{"d":[]},"e":null,"f":false,"g":"h"}'),
    ).toBe("tcp:1 omit:0 a:6 c:5 e:3 f:2 g:4 ");
    expect<string>(members(' { "a" : 1 , "b" : "}" } ')).toBe("a:0 b:4 ");
    expect<string>(members("{}")).toBe("");
  });

  it("finds the end of strings", () => {
    begin('{"a":"x\\"y\\\\"}');
    expect<bool>(scanner.next()).toBe(true);
    expect<u32>(scanner.kind).toBe(JsonKind.String);
    expect<string>(String.UTF8.decodeUnsafe(scanner.value, scanner.valueLength)).toBe('x\\"y\\\\');
  });

  it("cuts numbers to whole ones", () => {
    expect<i64>(number("10")).toBe(10);
    expect<i64>(number("-7")).toBe(-7);
    expect<i64>(number("1.9")).toBe(1);
    expect<i64>(number("1e6")).toBe(1000000);
    expect<i64>(number("1.5e+3")).toBe(1500);
    expect<i64>(number("2500e-2")).toBe(25);
    expect<i64>(number("9000000000000000000")).toBe(9000000000000000000);
    expect<i64>(number("1e400")).toBe(-99);
    expect<i64>(number("99999999999999999999")).toBe(-99);
    expect<i64>(number('"1"')).toBe(-99);
    expect<i64>(number("0e99999999")).toBe(0);
  });

  it("refuses what is no object", () => {
    expect<string>(members("")).toBe("bad");
    expect<string>(members("[]")).toBe("bad");
    expect<string>(members("{")).toBe("bad");
    expect<string>(members('{"a"}')).toBe("bad");
    expect<string>(members('{"a":}')).toBe("bad");
    expect<string>(members('{"a":1')).toBe("bad");
    expect<string>(members('{"a":1,}')).toBe("bad");
    expect<string>(members('{"a":1 "b":2}')).toBe("bad");
    expect<string>(members('{"a":tru}')).toBe("bad");
    expect<string>(members('{"a":1}x')).toBe("bad");
    expect<string>(members('{"a":[1}')).toBe("bad");
    expect<string>(members('{"a":"b}')).toBe("bad");
    expect<string>(members('{"a":' + "[".repeat(1000))).toBe("bad");
  });

  it("never reads past its end", () => {
    const whole = '{"time":10,"x":[1,2,{"y":"z"}],"t":true}';
    for (let length = 0; length < whole.length; length++) {
      expect<string>(members(whole.substring(0, length))).toBe("bad", length.toString());
    }
  });
});

describe("JSON writer", () => {
  it("puts commas where they belong", () => {
    json
      .begin(writer.begin(text, text + 4096))
      .object()
      .count("a", 1)
      .key("b")
      .array();
    json.number(2).signed(-3).object().endObject().endArray().key("c").text("d");
    json.key("e").boolean(true).key("f").nano(1_500_000_000).endObject();
    expect<string>(String.UTF8.decodeUnsafe(text, writer.length)).toBe(
      '{"a":1,"b":[2,-3,{}],"c":"d","e":true,"f":1.500000000}',
    );
  });
});
