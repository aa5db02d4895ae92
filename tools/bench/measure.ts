import { readFileSync } from "node:fs";
import type { Machine } from "../qemu/machine.ts";
import { GUEST_ADDRESS, type Namespace } from "../qemu/namespace.ts";

/** One measurement each, of the guest at GUEST_ADDRESS, made with public tools in its namespace. */

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Median round trip of `count` pings, 10 ms apart, in µs. */
export async function pingMicroseconds(namespace: Namespace, count: number): Promise<number> {
  const ping = ["ping", "-n", "-i", "0.01", "-c", String(count), GUEST_ADDRESS];
  const { stdout } = await namespace.runAsync(ping, 60_000);
  const times = [...stdout.matchAll(/time=([\d.]+) ms/g)].map((match) => Number(match[1]) * 1000);
  if (times.length < count * 0.9)
    throw new Error(`only ${times.length} of ${count} pings answered`);
  return median(times);
}

export interface Load {
  requestsPerSecond: number;
  /** Part of one core that wrk itself used: near 1, the client is what was measured. */
  clientCpu: number;
  /** Connections or answers that went wrong. */
  errors: number;
}

/** wrk with one thread. `close` asks for one request a connection. */
export async function wrk(
  namespace: Namespace,
  connections: number,
  seconds: number,
  close: boolean,
): Promise<Load> {
  const header = close ? " -H 'Connection: close'" : "";
  const url = `http://${GUEST_ADDRESS}/`;
  // Fields 16 and 17 of the shell's stat are what its children used, in hundredths of a second.
  const script = `wrk -t1 -c${connections} -d${seconds}s${header} ${url}; cut -d' ' -f16,17 /proc/$$/stat`;
  const { stdout, stderr } = await namespace.runAsync(
    ["sh", "-c", script],
    seconds * 1000 + 20_000,
  );
  const rate = /Requests\/sec:\s+([\d.]+)/.exec(stdout);
  if (!rate) throw new Error(`wrk: ${stdout}${stderr}`);
  const ticks = stdout.trim().split("\n").at(-1)!.split(" ").map(Number);
  const socket = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(
    stdout,
  );
  const status = /Non-2xx or 3xx responses: (\d+)/.exec(stdout);
  // At the end of each answer with `Connection: close`, some versions of wrk count a read error.
  const failures = socket ? [socket[1], close ? "0" : socket[2], socket[3], socket[4]] : [];
  return {
    requestsPerSecond: Number(rate[1]),
    clientCpu: (ticks[0]! + ticks[1]!) / 100 / seconds,
    errors: [...failures, status?.[1] ?? "0"].reduce((sum, count) => sum + Number(count), 0),
  };
}

/** iperf3's Mbit/s as its receiver counts, towards the guest or from it. */
export async function iperf3(
  namespace: Namespace,
  direction: "receive" | "send",
  seconds: number,
): Promise<number> {
  const reverse = direction === "send" ? ["-R"] : [];
  const command = ["iperf3", "-c", GUEST_ADDRESS, "-t", String(seconds), "-J", ...reverse];
  const { stdout } = await namespace.runAsync(command, seconds * 1000 + 20_000);
  const report = JSON.parse(stdout) as {
    error?: string;
    end: { sum_received?: { bits_per_second: number } };
  };
  if (report.error) throw new Error(`iperf3: ${report.error}`);
  return report.end.sum_received!.bits_per_second / 1e6;
}

/** MiB of the guest's RAM that it has touched, as the host counts: resident pages of that mapping. */
export function touchedMiB(machine: Machine, memory: number): number {
  const smaps = readFileSync(`/proc/${machine.child.pid}/smaps`, "utf8");
  const pattern = new RegExp(`^Size:\\s+${memory * 1024} kB\\n(?:.*\\n)*?Rss:\\s+(\\d+) kB`, "m");
  const match = pattern.exec(smaps);
  if (!match) throw new Error("the guest's RAM is not among QEMU's mappings");
  return Number(match[1]) / 1024;
}
