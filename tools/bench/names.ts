import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildLibrary } from "../cli/build.ts";
import { DEFAULT_APP, Failure, hostedOf, project, root } from "../cli/project.ts";
import { note } from "../cli/progress.ts";
import { buildTestProgram } from "../hosted/programs.ts";
import { Namespace, namespaceTrouble } from "../qemu/namespace.ts";
import { median } from "./measure.ts";
import { benchSignatures } from "./signatures.ts";
import { figure, printTable } from "./table.ts";

/**
 * What a name costs a program when a cache knows it, one of 200. Skerry's resolver is the kernel's and answers its
 * programs' calls (tests/hosted/names), nobody on the network. The nearest to that is libunbound, whose cache is the
 * process's own; what most Linux programs have is glibc's getaddrinfo, which asks a server each time: unbound on
 * 127.0.0.1, in a namespace of its own (names.c). And what validating a signature costs.
 */

const OURS = "Skerry, resolve";
const PEERS = {
  libunbound: { name: "libunbound, ub_resolve", lookups: 300 },
  getaddrinfo: { name: "glibc getaddrinfo, unbound on 127.0.0.1", lookups: 5_000 },
  query: { name: "a datagram there and back, unbound on 127.0.0.1", lookups: 20_000 },
} as const;
const LOOKUPS = 2_000_000;
const NAMES = 200;
/** Until unbound answers. */
const PATIENCE_MS = 20_000;

const lookupNs = (text: string): number => Number(/^lookup-ns ([\d.]+)$/m.exec(text)?.[1]);

/** unbound in a namespace, and the program that asks it. */
class Peers {
  private readonly space = new Namespace();
  private readonly program: string;
  private readonly resolv: string;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.program = join(folder, "names");
    this.resolv = join(folder, "resolv.conf");
    const words = ["-std=gnu11", "-O2", "-Wall", "-Wextra", "tools/bench/names.c", "-lunbound"];
    const made = spawnSync("gcc", [...words, "-o", this.program], { cwd: root, encoding: "utf8" });
    if (made.status !== 0) throw new Failure(`gcc tools/bench/names.c: ${made.stderr}`);
    writeFileSync(this.resolv, "nameserver 127.0.0.1\n");
    const file = join(folder, "unbound.conf");
    const lines = [
      "server:",
      "interface: 127.0.0.1",
      ...['username: ""', 'chroot: ""', `directory: "${folder}"`, `pidfile: "${folder}/pid"`],
      ...["use-syslog: no", "do-daemonize: no", "module-config: iterator"],
      'local-zone: "lab.example." static',
      ...Array.from(
        { length: NAMES },
        (_, i) => `local-data: "host${i}.lab.example. 86400 A 192.0.2.1"`,
      ),
    ];
    writeFileSync(file, `${lines.join("\n")}\n`);
    this.space.spawn(["unbound", "-d", "-c", file]);
  }

  /** ns a lookup, or the reason that there is none. */
  private run(kind: string, lookups: number): number | string {
    // The namespace's commands have mounts of their own.
    const command = `mount --bind ${this.resolv} /etc/resolv.conf && exec ${this.program} ${kind} ${lookups}`;
    const { status, stdout, stderr } = this.space.run(["sh", "-c", command]);
    return status === 0 ? lookupNs(stdout) : `${stdout}${stderr}`.trim();
  }

  async ready(): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const answer = this.run("query", 1);
      if (typeof answer === "number") return;
      if (Date.now() > end) throw new Failure(`unbound does not answer: ${answer}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  measure(kind: keyof typeof PEERS): number {
    const answer = this.run(kind, PEERS[kind].lookups);
    if (typeof answer === "string") throw new Failure(answer);
    return answer;
  }

  end(): void {
    this.space.delete();
  }
}

/** Measures all in turns, `rounds` times; prints the medians and returns all, ns. */
export async function benchNames(rounds: number): Promise<{
  lookups: { [name: string]: number[] };
  signatures: { [algorithm: string]: number[] };
}> {
  const { library, libraryFolder } = hostedOf(DEFAULT_APP);
  await buildLibrary(null, library, libraryFolder, "gcc");
  const program = buildTestProgram({ name: "names", root });
  const found: { [name: string]: number[] } = { [OURS]: [] };
  const trouble = namespaceTrouble();
  if (trouble) note(`without unbound: ${trouble}`);
  const peers = trouble ? null : new Peers(project("build", "bench", "names"));
  try {
    await peers?.ready();
    for (let round = 0; round < rounds; round++) {
      const { status, stdout, stderr } = spawnSync(program, [String(LOOKUPS)], {
        encoding: "utf8",
      });
      if (status !== 0) throw new Failure(`${program}: ${stdout}${stderr}`.trim());
      found[OURS]!.push(lookupNs(stdout));
      for (const kind of Object.keys(PEERS) as (keyof typeof PEERS)[]) {
        if (peers) (found[PEERS[kind].name] ??= []).push(peers.measure(kind));
      }
    }
  } finally {
    peers?.end();
  }
  const ours = median(found[OURS]!);
  const rows = Object.entries(found).map(([name, samples]) => {
    const ns = median(samples);
    return [name, figure(ns), figure(1e6 / ns), name === OURS ? "" : `${(ns / ours).toFixed(1)} ×`];
  });
  console.log(`\none of ${NAMES} names that the cache knows; medians of ${rounds}\n`);
  printTable([["", "ns", "thousand/s", "Skerry is faster by"], ...rows], -1);
  return { lookups: found, signatures: benchSignatures(rounds) };
}
