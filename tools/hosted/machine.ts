/** build/skerry-hosted behind TAPs, each in a network namespace of its own: Linux is its neighbour on every card. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { type Namespace, TAP } from "../qemu/namespace.ts";

export const PROGRAM = "build/skerry-hosted";

export class HostedMachine {
  readonly process: ChildProcess;
  /** What the console has said so far. */
  output = "";
  private readonly onExit = (): void => void this.process.kill("SIGKILL");

  /**
   * Starts the machine with a card for each of `links`, eth0 first, and the kernel command line `words`. The links
   * outlive it: stop it first.
   */
  constructor(links: Namespace[], words: string, ...options: string[]) {
    const taps = links.flatMap((link) => ["--tap", `${TAP}@${link.name}`]);
    const stdio = ["ignore", "pipe", "pipe"] as const;
    this.process = spawn(PROGRAM, [...taps, "--append", words, ...options], { stdio: [...stdio] });
    for (const stream of [this.process.stdout!, this.process.stderr!]) {
      stream.setEncoding("utf8").on("data", (chunk: string) => (this.output += chunk));
    }
    process.on("exit", this.onExit);
  }

  /** Until the console has said all of `patterns`, in whatever order; fails after a minute, or when the machine ends. */
  async says(...patterns: RegExp[]): Promise<void> {
    const missing = (): RegExp | undefined => patterns.find((it) => !it.test(this.output));
    for (let i = 0; i < 600 && missing() && this.process.exitCode === null; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    assert.ok(!missing(), `it did not say ${missing()}:\n${this.output}`);
  }

  /** Until the card has its link-local address, and all of `addresses`, free of duplicates. */
  async hasAddresses(card: string, ...addresses: string[]): Promise<void> {
    const said = (what: string): RegExp => new RegExp(`net: ${card} ${what}`);
    await this.says(said("fe80::"), ...addresses.map((it) => said(`${it}[/ ]`)));
  }

  /** The link-local address of a card. */
  linkLocal(card: string): string {
    return new RegExp(`net: ${card} (fe80::[0-9a-f:]+)`).exec(this.output)![1]!;
  }

  /** Ends it in order, as Ctrl-C does; its exit status. */
  async stop(): Promise<number | null> {
    process.off("exit", this.onExit);
    const { exitCode, signalCode } = this.process;
    if (exitCode !== null || signalCode !== null) return exitCode;
    const ended = new Promise<number | null>((resolve) => this.process.once("close", resolve));
    this.process.kill("SIGINT");
    return ended;
  }
}
