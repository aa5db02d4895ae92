import { parseDate, writeDate } from "../../apps/lib/http/date";
import { Writer } from "../../apps/lib/text";

const text: usize = memory.data(64, 8);
const writer = changetype<Writer>(memory.data(32, 8));
/** 2026-11-21 */
const TODAY: i64 = 1795219200;

function written(seconds: i64): string {
  writeDate(writer.begin(text, text + 64), seconds);
  return String.UTF8.decodeUnsafe(text, writer.length);
}

function parsed(date: string): i64 {
  const length = <u32>String.UTF8.encodeUnsafe(changetype<usize>(date), date.length, text);
  return parseDate(text, length, TODAY);
}

describe("dates", () => {
  // The moment is the example of RFC 9110, 5.6.7; the others are from `date -u -d @…`.
  it("are written", () => {
    expect<string>(written(784111777)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
    expect<string>(written(0)).toBe("Thu, 01 Jan 1970 00:00:00 GMT");
    expect<string>(written(951782400)).toBe("Tue, 29 Feb 2000 00:00:00 GMT");
    expect<string>(written(1709251199)).toBe("Thu, 29 Feb 2024 23:59:59 GMT");
    expect<string>(written(4107542400)).toBe("Mon, 01 Mar 2100 00:00:00 GMT");
  });

  it("are read in all three forms", () => {
    expect<i64>(parsed("Sun, 06 Nov 1994 08:49:37 GMT")).toBe(784111777);
    expect<i64>(parsed("Sunday, 06-Nov-94 08:49:37 GMT")).toBe(784111777);
    expect<i64>(parsed("Sun Nov  6 08:49:37 1994")).toBe(784111777);
    expect<i64>(parsed("Tuesday, 29-Feb-00 00:00:00 GMT")).toBe(951782400);
  });

  it("come back as they were written, over two centuries", () => {
    for (let at: i64 = 0; at < 7258118400; at += 86400 * 13 + 3607) {
      expect<i64>(parsed(written(at))).toBe(at);
    }
  });

  it("place years of two digits at most 50 years ahead", () => {
    expect<i64>(parsed("Tuesday, 21-Nov-75 00:00:00 GMT")).toBe(
      parsed("Thu, 21 Nov 2075 00:00:00 GMT"),
    );
    expect<i64>(parsed("Monday, 21-Nov-77 00:00:00 GMT")).toBe(
      parsed("Mon, 21 Nov 1977 00:00:00 GMT"),
    );
  });

  it("are refused when they are none", () => {
    expect<i64>(parsed("Sun, 06 Nov 1994 08:49:37 UTC")).toBe(-1);
    expect<i64>(parsed("Sun, 06 Nov 1994 24:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 06 Nov 1994 08:60:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 31 Nov 1994 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 29 Feb 2100 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 00 Nov 1994 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Son, 06 Nov 1994 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 06 Nox 1994 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 6 Nov 1994 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Sun, 06 Nov 1950 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("Someday, 06-Nov-94 08:49:37 GMT")).toBe(-1);
    expect<i64>(parsed("")).toBe(-1);
  });
});
