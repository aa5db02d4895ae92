/** Which source line each byte of a module's code comes from, whoever says so. */

export interface Position {
  readonly file: string;
  /** From 1, as C counts. */
  readonly line: number;
}

/** A path relative to the project: no scheme, no `.` and `..`, forward slashes, nothing that ends a string of C. */
export function normalisePath(path: string): string {
  const parts: string[] = [];
  for (const part of path
    .replace(/^[a-z]+:\/+/i, "")
    .replaceAll("\\", "/")
    // eslint-disable-next-line no-control-regex
    .replace(/[\x00-\x1f"\x7f]/g, "_")
    .split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "." && part !== "") parts.push(part);
  }
  return parts.join("/");
}

/** Positions by byte offset in the module's file. */
export class LineMap {
  /** From each offset on, which rise, code comes from the position beside it, or from none. */
  constructor(
    private readonly offsets: readonly number[],
    private readonly positions: readonly (Position | undefined)[],
  ) {}

  /** The position that covers `offset`, if its mapping begins at `from` or later. */
  at(offset: number, from = 0): Position | undefined {
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
