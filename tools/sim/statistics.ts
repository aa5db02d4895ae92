import { readFileSync } from "node:fs";
import { Layout, Statistics } from "../../sdk/assembly/syscalls.ts";
import { project } from "../cli/project.ts";
import type { Sockets } from "./sockets.ts";

/** Packets by owner, in the order of kernel/packet.ts's `Owner`. */
const OWNERS = ["free", "nicRx", "stack", "socket", "lease", "nicTx"] as const;

export interface PoolCounts extends Record<(typeof OWNERS)[number], number> {
  slots: number;
  refused: number;
  lowest: number;
}

/** The packet pools of a machine. */
export function poolCounts(sockets: Sockets): PoolCounts[] {
  const view = sockets.statistics(Statistics.Pools, Layout.Pool * 4);
  return Array.from({ length: view.byteLength / Layout.Pool }, (_, pool) => {
    const word = (index: number) => view.getUint32(pool * Layout.Pool + index * 4, true);
    const owned = Object.fromEntries(OWNERS.map((owner, i) => [owner, word(4 + i)]));
    return { slots: word(0), refused: word(2), lowest: word(3), ...owned } as PoolCounts;
  });
}

/** Name and place of each counter, from the class itself. */
const tcpFields = ((): [name: string, offset: number, bytes: number][] => {
  const source = readFileSync(project("net/tcp/stats.ts"), "utf8");
  let offset = 0;
  return [...source.matchAll(/^ {2}(\w+): u(32|64);/gm)].map(([, name, bits]) => {
    const bytes = Number(bits) / 8;
    offset += bytes;
    return [name!, offset - bytes, bytes];
  });
})();

/** The class `TcpStats` of a machine, by field. */
export function tcpCounts(sockets: Sockets): Record<string, number> {
  const view = sockets.statistics(Statistics.Tcp, 4096);
  return Object.fromEntries(
    tcpFields.map(([name, offset, bytes]) => [
      name,
      bytes === 8 ? Number(view.getBigUint64(offset, true)) : view.getUint32(offset, true),
    ]),
  );
}
