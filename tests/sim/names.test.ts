import assert from "node:assert/strict";
import { describe } from "node:test";
import { encodeSpecs, type GuestSpec } from "../../tools/guest/spec.ts";
import {
  CODE,
  DnsServer,
  TYPE,
  a,
  aaaa,
  answerFlags,
  cname,
  soa,
  wireName,
} from "../../tools/sim/dns.ts";
import { namesSays } from "../qemu/guests/names.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram } from "./guest-programs.ts";
import { simulate, type World } from "./harness.ts";

/** What a C program makes of <netdb.h>: tests/qemu/guests/names.c on a simulated machine. */

const ptr = (name: string, host: string) => ({ name, type: TYPE.PTR, data: wireName(host) });
const V6_REVERSE = `1.${"0.".repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`;

const RECORDS = [
  a("web.test", "192.0.2.1"),
  a("web.test", "192.0.2.2"),
  aaaa("web.test", "2001:db8::1"),
  cname("alias.test", "web.test"),
  a("four.test", "192.0.2.4"),
  ptr("1.2.0.192.in-addr.arpa", "web.test"),
  ptr(V6_REVERSE, "web.test"),
  ...Array.from({ length: 30 }, (_, i) => a("many.test", `192.0.2.${i}`)),
];

/** Answers as a server does that knows these records and follows its own CNAMEs. */
function serve(world: World): DnsServer {
  return new DnsServer(world.peer(), ({ name, type }) => {
    const of = (owner: string) => RECORDS.filter((r) => r.name === owner.toLowerCase());
    const alias = of(name).filter((r) => r.type === TYPE.CNAME);
    const owner = alias.length ? "web.test" : name;
    const answers = [...alias, ...of(owner).filter((r) => r.type === type)];
    const flags = answerFlags(of(owner).length ? CODE.NOERROR : CODE.NXDOMAIN);
    return { flags, answers, authorities: answers.length ? [] : [soa(zoneOf(name), 60)] };
  });
}

const zoneOf = (name: string) => (name.toLowerCase().endsWith("arpa") ? "arpa" : "test");

const WORDS = "gw=10.0.0.1 dns=10.0.0.1";
const names = () => cProgram("tests/qemu/guests/names.c", "names");

describe("<netdb.h>", () => {
  simulate("getaddrinfo and its kin say what POSIX and RFC 3493 do", (world) => {
    const server = serve(world);
    const { machine } = world.ready({ memory: 32 << 20, guests: [names()], commandLine: WORDS });
    machine.expectLine(/guest: names ended code=0/, 30 * SECOND);
    const first = machine.console.findIndex((line) => line.startsWith("web.test:"));
    const lines = namesSays(30);
    assert.deepEqual(machine.console.slice(first, first + lines.length), lines);
    // Each question once, and none about what needs none.
    const asked = server.asked();
    assert.equal(new Set(asked).size, asked.length, "the cache did not answer");
    assert.ok(!asked.some((question) => /localhost|2001:db8|^127/.test(question)), String(asked));
  });

  simulate("with no server that answers a program hears that it may try again", (world) => {
    new DnsServer(world.peer(), () => ({ flags: answerFlags(CODE.SERVFAIL) }));
    const { machine } = world.ready({ memory: 32 << 20, guests: [names()], commandLine: WORDS });
    machine.expectLine(/guest: names ended code=0/, 120 * SECOND);
    assert.ok(machine.line(/^web\.test http: Temporary failure in name resolution$/));
    assert.ok(machine.line(/^127\.1: 127\.0\.0\.1/));
  });

  simulate(
    "who may not resolve is told what skerry.toml lacks; numbers are everybody's",
    (world) => {
      const server = serve(world);
      const spec: GuestSpec = {
        name: "names",
        module: "names",
        arguments: [],
        environment: {},
        restart: "never",
        files: [],
        allow: { bind: [], connect: [], raw: false, resolve: false },
      };
      const { machine } = world.ready({
        memory: 32 << 20,
        guests: [names()],
        setup: encodeSpecs([spec]),
        commandLine: WORDS,
      });
      machine.expectLine(/guest: names ended code=0/, 120 * SECOND);
      assert.ok(machine.line(/^web\.test http: System error$/));
      assert.ok(machine.line(/^127\.1: 127\.0\.0\.1/));
      assert.ok(machine.line(/names may not .*resolve.*allow/));
      assert.equal(server.log.length, 0);
    },
  );
});
