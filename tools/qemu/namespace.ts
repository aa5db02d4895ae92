import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

/**
 * A network namespace with a TAP interface in it: a small private Ethernet on which a guest meets
 * the host kernel and real programs, and which nothing outside can see. Needs root.
 */

/** Address of the host's end of the TAP; the guest is told 10.77.0.2. */
export const HOST_ADDRESS = "10.77.0.1";
export const GUEST_ADDRESS = "10.77.0.2";
export const TAP = "tap0";
/** The NIC's address of every machine that tools/qemu starts. */
export const GUEST_MAC = "52:54:00:12:34:56";

const PREFIX = "skerry-";

export interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

function ip(...words: string[]): void {
  const { status, stderr, error } = spawnSync("ip", words, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${words.join(" ")}: ${error?.message ?? stderr.trim()}`);
}

/** Why no namespace can be made here, or null. */
export function namespaceTrouble(): string | null {
  if (process.getuid?.() !== 0) return "needs root";
  if (spawnSync("ip", ["-V"]).status !== 0) return "needs iproute2";
  return null;
}

/** Deletes namespaces whose maker was killed before it could. */
function sweep(): void {
  const list = spawnSync("ip", ["netns", "list"], { encoding: "utf8" }).stdout ?? "";
  for (const [name, pid] of list.matchAll(/^skerry-(\d+)-\d+/gm)) {
    if (!readdirSync("/proc").includes(pid!)) spawnSync("ip", ["netns", "delete", name]);
  }
}

let made = 0;

export class Namespace {
  readonly name = `${PREFIX}${process.pid}-${made++}`;
  private readonly children = new Set<ChildProcess>();
  private readonly onExit = (): void => this.delete();

  /**
   * The TAP's address, with its prefix's length; with `address6` Linux speaks IPv6 on it, too. Without, that is
   * off: its chatter would be part of every capture and measurement.
   */
  constructor({
    address = `${HOST_ADDRESS}/24`,
    address6,
  }: { address?: string; address6?: string } = {}) {
    if (made === 1) sweep();
    ip("netns", "add", this.name);
    process.on("exit", this.onExit);
    const inside = ["-n", this.name];
    ip(...inside, "link", "set", "lo", "up");
    ip(...inside, "tuntap", "add", TAP, "mode", "tap");
    this.run(["sysctl", "-qw", `net.ipv6.conf.${TAP}.disable_ipv6=${address6 ? 0 : 1}`]);
    ip(...inside, "address", "add", address, "dev", TAP);
    if (address6) ip(...inside, "-6", "address", "add", address6, "dev", TAP, "nodad");
    ip(...inside, "link", "set", TAP, "up");
  }

  /** What runs a command inside. */
  get prefix(): string[] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Runs a command to its end inside, for at most `ms`. */
  run(command: string[], ms = 60_000): Result {
    const { status, stdout, stderr, error } = spawnSync(
      "ip",
      [...this.prefix.slice(1), ...command],
      { encoding: "utf8", timeout: ms, killSignal: "SIGKILL", maxBuffer: 1 << 28 },
    );
    return { status, stdout, stderr: stderr + (error?.message ?? "") };
  }

  /** Starts a command inside; it ends with the namespace. */
  spawn(command: string[]): ChildProcess {
    const child = spawn("ip", [...this.prefix.slice(1), ...command], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.children.add(child);
    child.once("close", () => this.children.delete(child));
    return child;
  }

  /** Runs a command inside without blocking this process. */
  async runAsync(command: string[], ms = 60_000): Promise<Result> {
    const child = this.spawn(command);
    const result: Result = { status: null, stdout: "", stderr: "" };
    child.stdout!.setEncoding("utf8").on("data", (chunk: string) => (result.stdout += chunk));
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => (result.stderr += chunk));
    const timer = setTimeout(() => child.kill("SIGKILL"), ms);
    result.status = await new Promise((resolve) => child.once("close", resolve));
    clearTimeout(timer);
    return result;
  }

  /** Ends what runs inside and removes it. */
  delete(): void {
    process.off("exit", this.onExit);
    for (const child of this.children) child.kill("SIGKILL");
    spawnSync("ip", ["netns", "delete", this.name]);
  }
}
