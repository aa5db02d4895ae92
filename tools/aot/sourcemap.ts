/** Source maps, version 3, as Binaryen reads and writes them: one line whose columns are byte offsets in the file. */
import { LineMap, type Position, normalisePath } from "./lines.ts";

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

function encodeSegment(numbers: readonly number[]): string {
  let segment = "";
  for (const number of numbers) {
    let rest = Math.abs(number) * 2 + (number < 0 ? 1 : 0);
    for (; rest > 31; rest = Math.floor(rest / 32)) segment += DIGITS[(rest % 32) + 32];
    segment += DIGITS[rest];
  }
  return segment;
}

/** `json` is the text of a map; throws if it is none. */
export function readSourceMap(json: string): LineMap {
  const map = JSON.parse(json) as { version?: number; sources?: string[]; mappings?: string };
  if (map.version !== 3 || !Array.isArray(map.sources) || typeof map.mappings !== "string") {
    throw new Error("source map: not version 3");
  }
  const files = map.sources.map(normalisePath);
  const offsets: number[] = [];
  const positions: (Position | undefined)[] = [];
  let offset = 0;
  let source = 0;
  let line = 0;
  for (const segment of map.mappings.split(",")) {
    if (segment === "") continue;
    const [column, file, row] = decodeSegment(segment);
    offset += column ?? 0;
    offsets.push(offset);
    if (file === undefined || row === undefined) {
      // A segment of one number: from here on the code has no source.
      positions.push(undefined);
      continue;
    }
    source += file;
    line += row;
    positions.push({ file: files[source] ?? "unknown", line: line + 1 });
  }
  return new LineMap(offsets, positions);
}

/** Writes a map; offsets rise, and a position holds until the next one. */
export class SourceMapWriter {
  private readonly files = new Map<string, number>();
  private readonly segments: string[] = [];
  private last = { offset: 0, file: 0, line: 1 };

  add(offset: number, position: Position | undefined): void {
    const { last } = this;
    if (!position) {
      this.segments.push(encodeSegment([offset - last.offset]));
      last.offset = offset;
      return;
    }
    const file = this.files.get(position.file) ?? this.files.size;
    this.files.set(position.file, file);
    const { line } = position;
    const numbers = [offset - last.offset, file - last.file, line - last.line, 0];
    this.segments.push(encodeSegment(numbers));
    this.last = { offset, file, line };
  }

  get json(): string {
    const sources = [...this.files.keys()];
    return JSON.stringify({ version: 3, sources, names: [], mappings: this.segments.join() });
  }
}
