/** Source maps, version 3, as Binaryen writes them: one line whose columns are byte offsets in the file. */

export interface Position {
  readonly file: string;
  /** From 1, as C counts. */
  readonly line: number;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const VALUES = new Map([...DIGITS].map((digit, value) => [digit, value]));

/** The numbers of one segment: base 64 VLQ, sign in the lowest bit. */
function decodeSegment(segment: string): number[] {
  const numbers: number[] = [];
  let value = 0;
  let shift = 0;
  for (const digit of segment) {
    const bits = VALUES.get(digit);
    if (bits === undefined || shift > 30)
      throw new Error(`source map: malformed segment "${segment}"`);
    value += (bits & 31) * 2 ** shift;
    shift += 5;
    if (bits & 32) continue;
    numbers.push(value & 1 ? -Math.floor(value / 2) : value / 2);
    value = shift = 0;
  }
  return numbers;
}

/** A path relative to the repository's root: no scheme, no `.` and `..`, forward slashes. */
export function normalisePath(path: string): string {
  const parts: string[] = [];
  for (const part of path
    .replace(/^[a-z]+:\/+/i, "")
    .replaceAll("\\", "/")
    .split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

export class SourceMap {
  private readonly offsets: number[] = [];
  private readonly positions: (Position | undefined)[] = [];

  /** `json` is the text of the map; throws if it is none. */
  constructor(json: string) {
    const map = JSON.parse(json) as { version?: number; sources?: string[]; mappings?: string };
    if (map.version !== 3 || !Array.isArray(map.sources) || typeof map.mappings !== "string") {
      throw new Error("source map: not version 3");
    }
    const files = map.sources.map(normalisePath);
    let offset = 0;
    let source = 0;
    let line = 0;
    for (const segment of map.mappings.split(",")) {
      if (segment === "") continue;
      const [column, file, row] = decodeSegment(segment);
      offset += column ?? 0;
      this.offsets.push(offset);
      if (file === undefined || row === undefined) {
        // A segment of one number: from here on the code has no source.
        this.positions.push(undefined);
        continue;
      }
      source += file;
      line += row;
      this.positions.push({ file: files[source] ?? "unknown", line: line + 1 });
    }
  }

  /** The position that covers `offset`, if its mapping begins at `from` or later. */
  at(offset: number, from: number): Position | undefined {
    const i = this.after(offset) - 1;
    return i >= 0 && this.offsets[i]! >= from ? this.positions[i] : undefined;
  }

  /** The first position within [from, to). */
  first(from: number, to: number): Position | undefined {
    for (let i = this.after(from - 1); i < this.offsets.length && this.offsets[i]! < to; i++) {
      if (this.positions[i]) return this.positions[i];
    }
    return undefined;
  }

  /** The index of the first mapping beyond `offset`. */
  private after(offset: number): number {
    let low = 0;
    let high = this.offsets.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.offsets[middle]! <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
