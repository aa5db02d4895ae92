import { readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";

/**
 * QEMU's monitor: what someone at the machine could do to it, such as pull a cable, press its power
 * button, type, look at the screen. It speaks QMP (QEMU's docs/interop/qmp-spec): a JSON object a line.
 */

/** What a screen shows: three bytes a pixel, row by row. */
export interface Picture {
  width: number;
  height: number;
  pixels: Uint8Array;
}

interface Reply {
  return?: unknown;
  error?: { class: string; desc: string };
  /** A reply has neither; QEMU greets, and tells what happened unasked. */
  QMP?: object;
  event?: string;
}

interface Waiting {
  line: string;
  resolve: (value: unknown) => void;
  reject: (error: Error) => void;
}

let pictures = 0;

/** A binary PPM, as QEMU writes it. */
function parsePicture(file: Uint8Array): Picture {
  const head = /^P6\s+(\d+)\s+(\d+)\s+255\s/.exec(
    Buffer.from(file.subarray(0, 64)).toString("latin1"),
  );
  if (!head) throw new Error("screendump wrote no PPM");
  const [width, height] = [Number(head[1]), Number(head[2])];
  return { width, height, pixels: file.subarray(head[0].length) };
}

export class Monitor {
  /** Commands in the order of their replies. */
  private readonly waiting: Waiting[] = [];
  /** Names of what QEMU has told unasked: RESET, POWERDOWN, DEVICE_DELETED, … */
  readonly events: string[] = [];
  private text = "";
  private agreed = false;
  private ended = false;

  constructor(private readonly socket: Duplex) {
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => this.read(chunk));
    socket.on("error", () => this.end()); // it goes with the machine
    socket.on("close", () => this.end());
  }

  private end(): void {
    this.ended = true;
    for (const { line, reject } of this.waiting.splice(0)) {
      reject(new Error(`the machine ended before it replied to ${line.trim()}`));
    }
  }

  private read(chunk: string): void {
    const lines = (this.text + chunk).split("\n");
    this.text = lines.pop()!;
    for (const line of lines) {
      if (!line.trim()) continue;
      const reply = JSON.parse(line) as Reply;
      if (reply.event) this.events.push(reply.event);
      else if (!reply.QMP) this.settle(reply);
    }
  }

  private settle(reply: Reply): void {
    const { line, resolve, reject } = this.waiting.shift()!;
    if (reply.error) reject(new Error(`${line.trim()}: ${reply.error.desc}`));
    else resolve(reply.return);
  }

  private send(execute: string, words: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (this.ended) return reject(new Error(`the machine has ended, no ${execute}`));
      const line = `${JSON.stringify({ execute, arguments: words })}\n`;
      this.waiting.push({ line, resolve, reject });
      this.socket.write(line);
    });
  }

  /** A command of QEMU's QMP reference, and what it returns. */
  command(name: string, words: object = {}): Promise<unknown> {
    if (!this.agreed) void this.send("qmp_capabilities", {}).catch(() => {});
    this.agreed = true;
    return this.send(name, words);
  }

  /** A line of the monitor that people use; returns what it prints. */
  async human(line: string): Promise<string> {
    return String(await this.command("human-monitor-command", { "command-line": line }));
  }

  /** Pulls the cable of card `index`, or plugs it in. */
  async setLink(index: number, up: boolean): Promise<void> {
    await this.command("set_link", { name: `nic${index}`, up });
  }

  /** Presses keys at once, by QEMU's names. */
  async press(...keys: string[]): Promise<void> {
    await this.command("send-key", { keys: keys.map((data) => ({ type: "qcode", data })) });
  }

  async picture(): Promise<Picture> {
    const filename = join(tmpdir(), `skerry-screen-${process.pid}-${pictures++}.ppm`);
    try {
      await this.command("screendump", { filename });
      return parsePicture(readFileSync(filename));
    } finally {
      rmSync(filename, { force: true });
    }
  }
}
