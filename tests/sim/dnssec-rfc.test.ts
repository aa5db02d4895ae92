import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { Syscall } from "../../sdk/assembly/syscalls.ts";
import { DnsServer } from "../../tools/sim/dns.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { type Resolved, SocketError, Sockets } from "../../tools/sim/sockets.ts";
import { Exchanger, Tree, treeTrouble } from "./dns-tree.ts";
import { inWorld } from "./harness.ts";

/**
 * The signed zones that RFC 4035 and RFC 5155 print in their appendices A, served by named as they stand there, and
 * the questions of their appendices B.
 */

const SECURITY = 0x10_0000;
const ENOENT = 2;
const [A, AAAA, MX, DS] = [1, 28, 15, 43];
const INSECURE = 3;
const SECURE = 4;
/** For the name that does not exist. */
const NONE = 0;

const PORT = 40000 + (process.pid % 20000);

type Question = [section: string, name: string, type: number, security: number, records: number];

const ZONES: { rfc: number; time: string; questions: Question[] }[] = [
  {
    rfc: 4035,
    time: "2004-04-20",
    questions: [
      ["B.1 answer", "x.w.example", MX, SECURE, 1],
      ["B.2 name error", "ml.example", A, NONE, 0],
      ["B.3 no data", "ns1.example", MX, SECURE, 0],
      ["B.4 signed zone below", "a.example", DS, SECURE, 1],
      ["B.5 unsigned zone below", "b.example", DS, SECURE, 0],
      ["B.6 wildcard expansion", "a.z.w.example", MX, SECURE, 1],
      ["B.7 wildcard, no data", "a.z.w.example", AAAA, SECURE, 0],
    ],
  },
  {
    // All its NSEC3 records have opt-out set: what they prove is that nothing signed is there.
    rfc: 5155,
    time: "2010-01-01",
    questions: [
      ["B.1 name error", "a.c.x.w.example", A, NONE, 0],
      ["B.2 no data", "ns1.example", MX, SECURE, 0],
      ["B.2.1 empty non-terminal", "y.w.example", A, SECURE, 0],
      ["B.3 opt-out", "c.example", DS, INSECURE, 0],
      ["B.4 wildcard expansion", "a.z.w.example", MX, INSECURE, 1],
      ["B.5 wildcard, no data", "a.z.w.example", AAAA, INSECURE, 0],
    ],
  },
];

for (const [place, { rfc, time, questions }] of ZONES.entries()) {
  describe(`the zone of RFC ${rfc}`, { skip: treeTrouble() ?? false }, () => {
    let tree: Tree;
    let exchanger: Exchanger;
    let anchor = "";

    before(async () => {
      tree = new Tree([]);
      anchor = tree.put("example", readFileSync(`tests/sim/zones/rfc${rfc}.zone`, "utf8"));
      exchanger = new Exchanger();
      await tree.serve("127.0.0.1", PORT + place, [{ name: "example" }]);
    });
    after(async () => {
      tree.end();
      await exchanger.end();
    });

    for (const [section, name, type, security, count] of questions) {
      test(`${section}: ${name}`, () => {
        inWorld(1, (world) => {
          new DnsServer(world.peer(), ({ bytes }) =>
            exchanger.ask(bytes, "127.0.0.1", PORT + place),
          );
          const { machine } = world.ready({
            commandLine: `gw=10.0.0.1 dns=10.0.0.1 dnssec=on anchor=${anchor}`,
            wallClock: BigInt(Date.parse(time)) * 1_000_000n,
          });
          const sockets = new Sockets(machine);
          machine.syscall(Syscall.Events, 0);
          world.run(SECOND / 100);
          const lookup = sockets.resolve(`${name}.`, type | SECURITY);
          let found: Resolved | null = null;
          const over = () => (found = sockets.resolved(lookup)) !== null;
          const end = () => world.simulation.until(over, 60 * SECOND, `no end of ${name}`);
          if (security === NONE) {
            assert.throws(end, (error) => error instanceof SocketError && error.errno === ENOENT);
            return;
          }
          end();
          const { records } = found as unknown as Resolved;
          const said = records.pop()!;
          assert.equal(said.type, 41);
          assert.equal(said.data[0], security, machine.console.at(-1));
          assert.equal(records.length, count);
        });
      });
    }
  });
}
