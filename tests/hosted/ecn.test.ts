/** ECN against the kernel of Linux, over a TAP: nftables marks, tshark says what went by. */
import assert from "node:assert/strict";
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import {
  GUEST_ADDRESS,
  HOST_ADDRESS,
  Namespace,
  TAP,
  namespaceTrouble,
} from "../../tools/qemu/namespace.ts";

const PROGRAM = "build/skerry-hosted";
const CE = 3;
const ECT0 = 2;

/** Why the test cannot run here, or null. */
function missing(): string | null {
  const trouble = namespaceTrouble();
  if (trouble) return trouble;
  for (const tool of ["nft", "tshark", "python3"]) {
    if (spawnSync(tool, ["--version"]).status !== 0) return `needs ${tool}`;
  }
  return null;
}

/** Asks for the front page `count` times on one connection. */
const CLIENT = `
import http.client, sys
connection = http.client.HTTPConnection("${GUEST_ADDRESS}", 80, timeout=10)
for _ in range(int(sys.argv[1])):
    connection.request("GET", "/")
    answer = connection.getresponse()
    assert answer.status == 200 and len(answer.read()) > 500
connection.close()
`;

interface Packet {
  /** Sent by the machine, not by Linux. */
  ours: boolean;
  syn: boolean;
  ack: boolean;
  ece: boolean;
  cwr: boolean;
  ecn: number;
  length: number;
  retransmission: boolean;
}

const trouble = missing();

describe("ECN with Linux", { skip: trouble ?? false }, () => {
  let namespace: Namespace;
  let machine: ChildProcess;
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "skerry-ecn-"));
    namespace = new Namespace();
    const must = (...command: string[]): void => {
      const { status, stderr } = namespace.run(command);
      assert.equal(status, 0, stderr);
    };
    must("sysctl", "-qw", "net.ipv4.tcp_ecn=1");
    must("nft", "add table ip marks");
    // What arrives here is marked behind the capture; what leaves, before it.
    must("nft", "add chain ip marks in { type filter hook prerouting priority -300; }");
    must("nft", "add chain ip marks out { type filter hook output priority -300; }");
    for (const chain of ["in", "out"]) {
      must("nft", `add rule ip marks ${chain} ip ecn ect0 numgen inc mod 7 == 3 ip ecn set ce`);
    }
    machine = namespace.spawn([
      PROGRAM,
      "--tap",
      TAP,
      "--append",
      `ip=${GUEST_ADDRESS}/24 ip6=off`,
    ]);
  });
  after(() => {
    machine.kill("SIGINT");
    namespace.delete();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Has Linux ask `count` times, and returns what went by. */
  async function requests(count: number): Promise<Packet[]> {
    const capture = join(folder, "capture.pcap");
    const tshark = namespace.spawn(["tshark", "-q", "-i", TAP, "-f", "tcp", "-w", capture]);
    await new Promise<void>((resolve) => {
      tshark.stderr!.setEncoding("utf8").on("data", (text: string) => {
        if (/Capturing on/.test(text)) setTimeout(resolve, 1000);
      });
    });
    const client = await namespace.runAsync(["python3", "-c", CLIENT, `${count}`], 30_000);
    assert.equal(client.status, 0, client.stderr);
    await new Promise((resolve) => setTimeout(resolve, 500));
    const ended = new Promise((resolve) => tshark.once("close", resolve));
    tshark.kill("SIGINT");
    await ended;
    const fields = [
      "ip.src",
      "tcp.flags",
      "ip.dsfield.ecn",
      "tcp.len",
      "tcp.analysis.retransmission",
    ];
    const command = ["-r", capture, "-n", "-T", "fields", "-E", "separator=,"];
    for (const field of fields) command.push("-e", field);
    const { stdout, stderr, status } = spawnSync("tshark", command, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    return stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [source, flags, ecn, length, again] = line.split(",") as [string, ...string[]];
        const bits = Number(flags);
        return {
          ours: source !== HOST_ADDRESS,
          syn: (bits & 2) !== 0,
          ack: (bits & 16) !== 0,
          ece: (bits & 64) !== 0,
          cwr: (bits & 128) !== 0,
          ecn: Number(ecn),
          length: Number(length),
          retransmission: again !== "",
        };
      });
  }

  test(
    "RFC 3168, 6.1: negotiation, marks, ECE and CWR, both ways",
    { timeout: 60_000 },
    async () => {
      const packets = await requests(60);
      const syn = packets.find((packet) => packet.syn && !packet.ack)!;
      assert.deepEqual(
        [syn.ours, syn.ece, syn.cwr, syn.ecn],
        [false, true, true, 0],
        "SYN of Linux",
      );
      const grant = packets.find((packet) => packet.syn && packet.ack)!;
      assert.deepEqual([grant.ours, grant.ece, grant.cwr, grant.ecn], [true, true, false, 0]);

      // New data of ours can be marked, and nothing else of ours.
      const ours = packets.filter((packet) => packet.ours && !packet.syn);
      const data = ours.filter((packet) => packet.length && !packet.retransmission);
      assert.ok(data.length >= 60);
      assert.ok(data.every((packet) => packet.ecn === ECT0));
      const rest = ours.filter((packet) => !packet.length || packet.retransmission);
      assert.ok(rest.every((packet) => packet.ecn === 0));

      // Linux's data arrives marked; we echo that until its CWR, and not before.
      let echo = false;
      let marks = 0;
      let echoes = 0;
      for (const packet of packets) {
        if (packet.syn) continue;
        if (packet.ours) {
          assert.equal(packet.ece, echo, `ECE of ours, packet ${packets.indexOf(packet) + 1}`);
          if (packet.ece) echoes++;
        } else if (packet.length) {
          if (packet.cwr) echo = false;
          if (packet.ecn === CE) {
            echo = true;
            marks++;
          }
        }
      }
      assert.ok(marks >= 5 && echoes >= marks, `${marks} marks, ${echoes} echoes`);

      // Ours are marked behind the capture: Linux's ECE shows it, and our next new data has CWR.
      const complaints = packets.filter((packet) => !packet.ours && !packet.syn && packet.ece);
      const answers = data.filter((packet) => packet.cwr);
      assert.ok(complaints.length >= 5, `${complaints.length}`);
      assert.ok(answers.length >= 5 && answers.length <= complaints.length, `${answers.length}`);
      for (const [i, packet] of packets.entries()) {
        if (!packet.cwr || !packet.ours) continue;
        assert.ok(packets.slice(0, i).some((earlier) => !earlier.ours && earlier.ece));
      }
    },
  );
});
