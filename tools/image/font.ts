import { readFileSync } from "node:fs";

/** The font as boot/screen.c wants it, from how it is drawn in boot/font.txt. */

const CHARACTERS = 96;
const ROWS = 16;
const DRAWN_ROWS = 12;
const ABOVE = 2;

/** Sixteen bytes a character, from the space on: a byte a row, its highest bit the left pixel. */
export function fontBytes(file: string): Uint8Array {
  const rows = readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => /^[#.]{7}( [#.]{7}){7}$/.test(line))
    .map((line) => line.split(" "));
  const wanted = (CHARACTERS / 8) * DRAWN_ROWS;
  if (rows.length !== wanted) throw new Error(`${file}: ${rows.length} rows, not ${wanted}`);
  const bytes = new Uint8Array(CHARACTERS * ROWS);
  for (let character = 0; character < CHARACTERS; character++) {
    for (let y = 0; y < DRAWN_ROWS; y++) {
      const drawn = rows[Math.floor(character / 8) * DRAWN_ROWS + y]![character % 8]!;
      const bits = drawn.replaceAll(".", "0").replaceAll("#", "1");
      bytes[character * ROWS + ABOVE + y] = parseInt(bits, 2) << 1;
    }
  }
  return bytes;
}
