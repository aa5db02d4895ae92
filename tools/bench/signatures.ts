import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { Failure, project, root } from "../cli/project.ts";
import { buildTestProgram } from "../hosted/programs.ts";
import { type DnsRecord, TYPE, a, dnsMessage, wireName } from "../sim/dns.ts";
import { type AlgorithmName, anchorOf, keysOf, makeKey, signatureOf } from "../sim/dnssec.ts";
import { median } from "./measure.ts";
import { figure, printTable } from "./table.ts";

/** What validating one signature costs, by its algorithm: tests/hosted/signatures. */

const ZONES: { zone: string; what: string; algorithm: AlgorithmName | null; bits?: number }[] = [
  { zone: "plain.example", what: "unsigned", algorithm: null },
  { zone: "rsa1024.example", what: "RSA/SHA-256, 1,024 bits", algorithm: "RSASHA256", bits: 1024 },
  { zone: "rsa2048.example", what: "RSA/SHA-256, 2,048 bits", algorithm: "RSASHA256", bits: 2048 },
  { zone: "rsa4096.example", what: "RSA/SHA-512, 4,096 bits", algorithm: "RSASHA512", bits: 4096 },
  { zone: "p256.example", what: "ECDSA P-256/SHA-256", algorithm: "ECDSAP256SHA256" },
  { zone: "p384.example", what: "ECDSA P-384/SHA-384", algorithm: "ECDSAP384SHA384" },
  { zone: "ed25519.example", what: "Ed25519", algorithm: "ED25519" },
];
const NAMES = 100;

const u16 = (value: number): Buffer => Buffer.of(value >> 8, value & 255);

/** A question, and the counts and records that answer it. */
function exchange(name: string, type: number, answers: DnsRecord[]): Buffer {
  const question = Buffer.concat([wireName(name), u16(type), u16(1)]);
  const said = Buffer.from(dnsMessage({ id: 0, flags: 0, answers })).subarray(6);
  return Buffer.concat([u16(question.length), u16(said.length), question, said]);
}

/** What `signatures` reads. */
function fixture(): Buffer {
  // The machine's own clock says what is valid.
  const now = Math.floor(Date.now() / 1000);
  const period = { begins: now - 86_400, ends: now + 30 * 86_400 };
  const words = ["ip=10.0.0.2/24 gw=10.0.0.1 ip6=off dns=10.0.0.1 loglevel=warn dnssec=on"];
  const exchanges: Buffer[] = [];
  for (const { zone, algorithm, bits } of ZONES) {
    const key = algorithm ? makeKey(algorithm, undefined, bits) : null;
    if (key) {
      words.push(`anchor=${anchorOf(zone, key)}`);
      const keys = keysOf(zone, [key.data]);
      exchanges.push(exchange(zone, TYPE.DNSKEY, [...keys, signatureOf(key, zone, keys, period)]));
    } else {
      words.push(`insecure=${zone}`);
    }
    for (let i = -1; i < NAMES; i++) {
      const set = [a(`${i < 0 ? "warm" : `n${i}`}.${zone}`, "192.0.2.1", 3600)];
      const signatures = key ? [signatureOf(key, zone, set, period)] : [];
      exchanges.push(exchange(String(set[0]!.name), TYPE.A, [...set, ...signatures]));
    }
  }
  const head = `${words.join(" ")}\n${ZONES.map(({ zone }) => zone).join(" ")}\n`;
  return Buffer.concat([Buffer.from(head), ...exchanges]);
}

/** Measures `rounds` times with the library that is there; prints medians and returns all, µs a signature. */
export function benchSignatures(rounds: number): { [algorithm: string]: number[] } {
  const program = buildTestProgram({ name: "signatures", root });
  const file = project("build/programs/signatures.bin");
  writeFileSync(file, fixture());
  const found: { [algorithm: string]: number[] } = {};
  for (let round = 0; round < rounds; round++) {
    const { status, stdout, stderr } = spawnSync(program, [file, String(NAMES)], {
      encoding: "utf8",
    });
    if (status !== 0) throw new Failure(`${program}: ${stdout}${stderr}`.trim());
    const ns = new Map(
      stdout
        .trim()
        .split("\n")
        .map((line): [string, number] => [line.split(" ")[0]!, Number(line.split(" ")[1])]),
    );
    // What an answer costs besides is that of a zone without signatures.
    const bare = ns.get(ZONES[0]!.zone)!;
    for (const { zone, what, algorithm } of ZONES) {
      if (algorithm) (found[what] ??= []).push((ns.get(zone)! - bare) / 1000);
    }
  }
  printTable(
    [
      ["one signature validated", "Skerry", ""],
      ...Object.entries(found).map(([what, us]) => [what, figure(median(us)), "µs"]),
    ],
    2,
  );
  return found;
}
