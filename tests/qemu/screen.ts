import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { project } from "../../tools/cli/project.ts";
import { fontBytes } from "../../tools/image/font.ts";
import type { Machine } from "../../tools/qemu/machine.ts";
import type { Picture } from "../../tools/qemu/monitor.ts";

/** Reads a machine's screen as text. */

const WIDTH = 8;
const HEIGHT = 16;

/** A font's pictures and the characters that they are of. */
function characters(): Map<string, string> {
  const font = Buffer.from(fontBytes(project("boot/font.txt")));
  const known = new Map<string, string>();
  for (let i = 0; i < font.length / HEIGHT; i++) {
    known.set(
      font.toString("latin1", i * HEIGHT, (i + 1) * HEIGHT),
      i === 95 ? "\u{fffd}" : String.fromCharCode(0x20 + i),
    );
  }
  return known;
}

/** What is written in cells of 8 by 16 pixels, times `scale`; a picture that is no character is "\0". */
export function textOf({ width, height, pixels }: Picture, scale = 1): string[] {
  const known = characters();
  const lines: string[] = [];
  for (let top = 0; top + HEIGHT * scale <= height; top += HEIGHT * scale) {
    let line = "";
    for (let left = 0; left + WIDTH * scale <= width; left += WIDTH * scale) {
      const rows = Buffer.alloc(HEIGHT);
      for (let y = 0; y < HEIGHT; y++) {
        for (let x = 0; x < WIDTH; x++) {
          const at = ((top + y * scale) * width + left + x * scale) * 3;
          if (pixels[at]! | pixels[at + 1]! | pixels[at + 2]!) rows[y]! |= 0x80 >> x;
        }
      }
      line += known.get(rows.toString("latin1")) ?? "\0";
    }
    lines.push(line.trimEnd());
  }
  return lines;
}

let dumps = 0;

/** What stands on a VGA in text mode: its memory has a character and an attribute for each cell. */
async function vgaText(machine: Machine): Promise<string[]> {
  const filename = join(tmpdir(), `skerry-vga-${process.pid}-${dumps++}`);
  try {
    await machine.monitor.command("pmemsave", { val: 0xb8000, size: 80 * 25 * 2, filename });
    const memory = readFileSync(filename);
    return Array.from({ length: 25 }, (_, row) => {
      const cells = Array.from({ length: 80 }, (_, column) => memory[(row * 80 + column) * 2]!);
      return Buffer.from(cells).toString("latin1").trimEnd();
    });
  } finally {
    rmSync(filename, { force: true });
  }
}

/** The lines on the machine's screen now. */
async function screen(machine: Machine): Promise<string[]> {
  const picture = await machine.monitor.picture();
  const isText = picture.width === 720 && picture.height === 400;
  return isText ? vgaText(machine) : textOf(picture);
}

/** Waits until the screen's text matches, and returns all of it. */
export async function seen(machine: Machine, pattern: RegExp, ms = 60_000): Promise<string> {
  for (const end = Date.now() + ms; ;) {
    const text = (await screen(machine)).join("\n").trimEnd();
    if (pattern.test(text)) return text;
    if (Date.now() > end) throw new Error(`no ${pattern} on the screen, but:\n${text}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}
