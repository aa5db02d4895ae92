import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

/**
 * A tree of zones of this machine's own, signed by BIND's tools and served by its named on loopback, from the root on; and
 * whoever asks it and waits, as a simulation has to.
 */

/** Why there can be no tree here, or null. */
export function treeTrouble(): string | null {
  for (const program of ["named", "dnssec-signzone", "dnssec-keygen", "unbound"]) {
    if (spawnSync("which", [program]).status !== 0) return `needs ${program}`;
  }
  return null;
}

export interface Zone {
  /** Without a dot at its end; empty for the root. */
  name: string;
  /** Address of its server, as its parent tells it. */
  server?: string;
  /** As dnssec-keygen says; unsigned without. */
  algorithm?: string;
  bits?: number;
  /** NSEC3: iterations, and whether unsigned delegations are left out. */
  nsec3?: { iterations: number; optOut?: boolean; salt?: string };
  /** More words for dnssec-signzone. */
  sign?: string[];
  /** Lines of its zone file beside SOA and NS. */
  lines?: string[];
  /** What becomes of the file before it is served, and of its DS records. */
  spoil?: (file: string) => string;
  spoilDs?: (ds: string) => string;
}

/** Of zones that do not say. */
export const SERVER = "10.0.0.55";

/** What every zone has. */
export const COMMON = [
  "www 300 A 192.0.2.1",
  "www 300 AAAA 2001:db8::1",
  "alias 300 CNAME www",
  "mail 300 MX 10 Www",
  'text 300 TXT "one" "two"',
  "*.wild 300 A 192.0.2.9",
  "a.b.ent 300 A 192.0.2.3",
];

function run(folder: string, program: string, ...words: string[]): string {
  const { status, stdout, stderr } = spawnSync(program, words, { cwd: folder, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${words.join(" ")}: ${stderr}`);
  return stdout.trim();
}

const fileOf = (name: string): string => (name === "" ? "root" : name);

export class Tree {
  readonly folder = mkdtempSync(join(tmpdir(), "skerry-dns-"));
  /** The root's DS record as `anchor=` takes it, and as unbound does. */
  anchor = "";
  trustAnchor = "";
  private readonly processes: ChildProcess[] = [];
  private readonly onExit = (): void => this.end();

  /** Children come before their parents, and the root last. */
  constructor(readonly zones: Zone[]) {
    process.on("exit", this.onExit);
    for (const zone of zones) this.make(zone);
    if (!zones.length) return;
    this.anchor = this.ds("");
    this.trustAnchor = this.anchor.replace(",", " DS ").replaceAll(",", " ");
  }

  /** Takes a zone as it is, with its signatures; its DS record as `anchor=` takes it. */
  put(name: string, text: string): string {
    writeFileSync(join(this.folder, fileOf(name)), text);
    const ds = run(this.folder, "dnssec-dsfromkey", "-2", "-f", fileOf(name), `${name}.`);
    return [name, ...ds.replace(/.*\sDS\s+/, "").split(/\s+/)].join(",");
  }

  /** A zone's DS record as `anchor=` takes it. */
  ds(name: string): string {
    const set = readFileSync(join(this.folder, `dsset-${name}.`), "utf8");
    const [tag, algorithm, type, ...digest] = set
      .trim()
      .split("\n")[0]!
      .replace(/.*\sDS\s+/, "")
      .split(/\s+/);
    return [name || ".", tag, algorithm, type, digest.join("")].join(",");
  }

  private make({
    name,
    server,
    algorithm,
    bits,
    nsec3,
    sign = [],
    lines,
    spoil,
    spoilDs,
  }: Zone): void {
    const { folder } = this;
    const origin = `${name}.`;
    const file = fileOf(name);
    const children = this.zones.filter(
      (zone) => zone.name !== name && zone.name.split(".").slice(1).join(".") === name,
    );
    writeFileSync(
      join(folder, file),
      [
        "$TTL 300",
        `$ORIGIN ${origin}`,
        `@ SOA ns admin 1 7200 900 1209600 300`,
        "@ NS ns",
        `ns A ${server ?? SERVER}`,
        ...children.flatMap((child) => {
          const label = child.name.split(".")[0]!;
          return [`${label} NS ns.${label}`, `ns.${label} A ${child.server ?? SERVER}`];
        }),
        ...(lines ?? COMMON),
        "",
      ].join("\n"),
    );
    if (!algorithm) return;
    for (const child of children) {
      const set = `dsset-${child.name}.`;
      if (!readdirSync(folder).includes(set)) continue;
      const text = readFileSync(join(folder, file), "utf8");
      writeFileSync(join(folder, file), text + readFileSync(join(folder, set), "utf8"));
    }
    const size = bits ? ["-b", String(bits)] : [];
    run(folder, "dnssec-keygen", "-q", "-a", algorithm, ...size, "-f", "KSK", origin);
    const denial = nsec3
      ? ["-3", nsec3.salt ?? "-", "-H", String(nsec3.iterations), ...(nsec3.optOut ? ["-A"] : [])]
      : [];
    const words = [
      "-P",
      "-z",
      "-S",
      "-o",
      origin,
      ...denial,
      ...sign,
      "-f",
      `${file}.signed`,
      file,
    ];
    run(folder, "dnssec-signzone", ...words);
    const signed = join(folder, `${file}.signed`);
    if (spoil) writeFileSync(signed, spoil(readFileSync(signed, "utf8")));
    const set = join(folder, `dsset-${origin}`);
    if (spoilDs) writeFileSync(set, spoilDs(readFileSync(set, "utf8")));
  }

  /** Starts named for some of the zones at an address of loopback. */
  async serve(address: string, port: number, zones = this.zones): Promise<void> {
    const { folder } = this;
    const path = join(folder, `named-${port}.conf`);
    const config = [
      `options { directory "${folder}"; listen-on port ${port} { ${address}; }; listen-on-v6 { none; };`,
      `  pid-file none; session-keyfile none; recursion no; allow-transfer { none; }; notify no; dnssec-validation no;`,
      `  empty-zones-enable no; minimal-responses no; check-names primary ignore; };`,
      "controls { };",
      ...zones.map(
        ({ name, algorithm }) =>
          `zone "${name}." { type primary; file "${fileOf(name)}${algorithm ? ".signed" : ""}"; };`,
      ),
    ];
    writeFileSync(path, config.join("\n"));
    await this.start(["named", "-g", "-n", "1", "-c", path], /running$/m);
  }

  /** Starts a validating unbound that asks the tree at an address and port. */
  async unbound(port: number, server: string, serverPort: number): Promise<void> {
    const { folder } = this;
    const path = join(folder, "unbound.conf");
    const config = [
      "server:",
      ...[`interface: 127.0.0.1@${port}`, "access-control: 127.0.0.0/8 allow", "verbosity: 1"],
      ...['username: ""', 'chroot: ""', `directory: "${folder}"`, `pidfile: "${folder}/pid"`],
      ...["use-syslog: no", "do-daemonize: no", "do-not-query-localhost: no", "do-ip6: no"],
      ...['module-config: "validator iterator"', `trust-anchor: "${this.trustAnchor}"`],
      ...['local-zone: "test." nodefault', "qname-minimisation: no", "aggressive-nsec: no"],
      ...["forward-zone:", 'name: "."', `forward-addr: ${server}@${serverPort}`],
      "",
    ];
    writeFileSync(path, config.join("\n"));
    await this.start(["unbound", "-d", "-c", path], /start of service/);
  }

  /** Starts an unbound as it is by default, with the Internet's root for an anchor. */
  async defaultUnbound(port: number): Promise<void> {
    const { folder } = this;
    const path = join(folder, `unbound-${port}.conf`);
    const config = [
      "server:",
      ...[`interface: 127.0.0.1@${port}`, "verbosity: 1", 'username: ""', 'chroot: ""'],
      ...[`directory: "${folder}"`, `pidfile: "${folder}/pid-${port}"`, "use-syslog: no"],
      `trust-anchor: ". DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D"`,
      "",
    ];
    writeFileSync(path, config.join("\n"));
    await this.start(["unbound", "-d", "-c", path], /start of service/);
  }

  private start(command: string[], ready: RegExp): Promise<void> {
    const child = spawn(command[0]!, command.slice(1), { stdio: ["ignore", "pipe", "pipe"] });
    this.processes.push(child);
    let log = "";
    return new Promise((resolve, reject) => {
      for (const stream of [child.stdout!, child.stderr!]) {
        stream.setEncoding("utf8").on("data", (chunk: string) => {
          log += chunk;
          if (ready.test(log)) resolve();
        });
      }
      child.once("exit", () => reject(new Error(`${command.join(" ")}: ${log}`)));
    });
  }

  end(): void {
    process.off("exit", this.onExit);
    for (const child of this.processes) child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** What the other thread runs: one exchange at a time, by UDP or TCP. */
const EXCHANGER = `
const { parentPort, workerData } = require("node:worker_threads");
const { createSocket } = require("node:dgram");
const { connect } = require("node:net");
const flag = new Int32Array(workerData, 0, 2);
const area = new Uint8Array(workerData, 8);
const done = (bytes) => {
  area.set(bytes);
  flag[1] = bytes.length;
  Atomics.store(flag, 0, 1);
  Atomics.notify(flag, 0);
};
parentPort.on("message", ({ query, address, port, stream }) => {
  if (stream) {
    let all = Buffer.alloc(0);
    const socket = connect(port, address, () => {
      socket.write(Buffer.concat([Buffer.of(query.length >> 8, query.length & 255), query]));
    });
    socket.on("data", (chunk) => {
      all = Buffer.concat([all, chunk]);
      if (all.length < 2 || all.length < 2 + all.readUInt16BE(0)) return;
      socket.destroy();
      done(all.subarray(2));
    });
    return;
  }
  const socket = createSocket("udp4");
  const again = setInterval(() => socket.send(query, port, address), 2000);
  socket.on("message", (bytes) => {
    clearInterval(again);
    socket.close();
    done(bytes);
  });
  socket.send(query, port, address);
});
`;

/** Asks servers of this machine, and waits for what they say. */
export class Exchanger {
  private readonly shared = new SharedArrayBuffer(8 + 65536);
  private readonly flag = new Int32Array(this.shared, 0, 2);
  private readonly worker = new Worker(EXCHANGER, { eval: true, workerData: this.shared });

  ask(query: Uint8Array, address: string, port: number, stream = false): Uint8Array {
    Atomics.store(this.flag, 0, 0);
    this.worker.postMessage({ query: Buffer.from(query), address, port, stream });
    if (Atomics.wait(this.flag, 0, 0, 20_000) === "timed-out")
      throw new Error(
        `no answer of ${address}:${port} to ${Buffer.from(query).toString("latin1")}`,
      );
    return new Uint8Array(this.shared, 8, this.flag[1]!).slice();
  }

  end(): Promise<number> {
    return this.worker.terminate();
  }
}
