import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe } from "node:test";
import { compileSource } from "../../tools/cli/compile.ts";
import { project } from "../../tools/cli/project.ts";
import {
  a,
  aaaa,
  answerFlags,
  CODE,
  type DnsQuery,
  DnsServer,
  soa,
  TYPE,
} from "../../tools/sim/dns.ts";
import { ACK, RST, SYN } from "../../tools/sim/frames.ts";
import { type GuestProgram, guestProgram } from "../../tools/sim/guest/program.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { simulate, type World } from "./harness.ts";

/** What `TcpStream.connect` of skerry/net does with a name (Happy Eyeballs, RFC 8305). */

const SOURCE = `
  import { TcpStream } from "skerry/net";
  import { monotonic, sleep } from "skerry/time";
  // Until addresses of IPv6 are in use.
  sleep(5000);
  const began = monotonic();
  const result = TcpStream.connect("web.test", 80);
  const error = result.error;
  const took = Math.round(monotonic() - began).toString();
  if (error !== null) {
    console.log("failed " + error!.what + " " + took);
  } else {
    console.log("connected " + result.value.peer.host + " " + took);
    result.value.writeText("hello");
  }
`;
let program: GuestProgram;

before(async () => {
  const folder = project("build/tests/eyeballs");
  mkdirSync(folder, { recursive: true });
  const source = join(folder, "main.ts");
  const module = join(folder, `main.${process.pid}.wasm`);
  writeFileSync(source, SOURCE);
  await compileSource(source, folder, module);
  program = guestProgram("connects", new Uint8Array(readFileSync(module)));
});

const V6 = ["2001:db8:1::91", "2001:db8:1::92"] as const;
const V4 = ["10.0.0.91", "10.0.0.92"] as const;

/** How an address answers who connects to it: not at all, with a reset, or as a server does. */
type Answer = "silent" | "refuses" | "serves";

interface Scene {
  answers: Record<string, Answer>;
  /** ms until the answer of a type; null for never. */
  delays?: Partial<Record<"A" | "AAAA", number | null>>;
}

/** Runs the program on a link with these addresses: what it says, and to what it sent a SYN when, in ms of the first. */
function run(world: World, { answers, delays = {} }: Scene) {
  const own = { ip: "10.0.0.2/24", ip6: "2001:db8:1::2/64" };
  const peer = world.peer("10.0.0.1", {
    ip6: "2001:db8:1::1",
    alsoAnswers: (address) => address in answers,
  });
  const syns: [to: string, at: number][] = [];
  let heard = "";
  peer.handler = ({ tcp, ip }) => {
    if (!tcp) return false;
    const from = ip!.destination;
    if (tcp.flags === SYN) {
      syns.push([from, world.simulation.now]);
      if (answers[from] !== "silent")
        reply(peer, from, ip!.source, tcp.sourcePort, tcp.seq, answers[from]!);
    }
    heard += new TextDecoder().decode(tcp.payload);
    return true;
  };
  const addresses = Object.keys(answers);
  const server = new DnsServer(peer, (query) => {
    const { [query.type === TYPE.A ? "A" : "AAAA"]: delay = 0 } = delays;
    const answer = (): void => server.send(query, zone(query, addresses));
    if (delay !== null) world.simulation.after(delay * MILLISECOND, answer);
    return null;
  });
  const { machine } = world.station({
    ...own,
    memory: 32 << 20,
    guests: [program],
    commandLine: "gw=10.0.0.1 dns=10.0.0.1",
  });
  machine.expectLine(/^(connected|failed) /m, 300 * SECOND);
  const [said, ...rest] = machine.console
    .find((line) => /^(connected|failed) /.test(line))!
    .split(" ");
  const begin = syns[0]?.[1] ?? 0;
  return {
    machine,
    said,
    to: rest[0],
    took: Number(rest.at(-1)),
    syns: syns.map(([to, at]) => [to, Math.round((at - begin) / MILLISECOND)] as const),
    more: (): number => syns.length,
    heard: (): string => heard,
  };
}

function zone({ type }: DnsQuery, addresses: string[]) {
  const wanted = addresses.filter((it) => it.includes(":") === (type === TYPE.AAAA));
  const answers = wanted.map((it) => (type === TYPE.A ? a : aaaa)("web.test", it));
  return answers.length
    ? { answers }
    : { flags: answerFlags(CODE.NOERROR), authorities: [soa("test", 60)] };
}

function reply(peer: Peer, from: string, to: string, port: number, seq: number, how: Answer): void {
  const v6 = from.includes(":");
  const [ip, ip6] = [peer.ip, peer.ip6];
  if (v6) peer.ip6 = from;
  else peer.ip = from;
  const flow = peer.tcp(to, port, 80);
  flow.rcvNxt = (seq + 1) >>> 0;
  flow.send({
    flags: how === "serves" ? SYN | ACK : RST | ACK,
    ...(how === "serves" ? {} : { seq: 0 }),
  });
  peer.ip = ip;
  peer.ip6 = ip6;
}

describe("connecting to a name (RFC 8305)", () => {
  simulate("with IPv6 dead it is connected by IPv4 after a quarter of a second (5)", (world) => {
    const race = run(world, { answers: { [V6[0]]: "silent", [V4[0]]: "serves" } });
    assert.deepEqual([race.said, race.to], ["connected", V4[0]]);
    assert.ok(race.took >= 250 && race.took < 300, `${race.took} ms`);
    assert.deepEqual(
      race.syns.map(([to]) => to),
      [V6[0], V4[0]],
    );
    // Who lost is given up.
    world.run(10 * SECOND);
    assert.equal(race.more(), 2);
    assert.match(race.heard(), /^(hello)+$/);
  });

  simulate("IPv6 alone is tried when it answers", (world) => {
    const race = run(world, { answers: { [V6[0]]: "serves", [V4[0]]: "serves" } });
    assert.deepEqual([race.to, race.syns.length], [V6[0], 1]);
  });

  simulate("families in turn, a quarter of a second apart (4, 5)", (world) => {
    const answers = {
      [V6[0]]: "silent",
      [V6[1]]: "silent",
      [V4[0]]: "silent",
      [V4[1]]: "serves",
    } as const;
    const { to, syns } = run(world, { answers });
    assert.equal(to, V4[1]);
    const firsts = syns.filter(([one], i) => syns.findIndex(([other]) => other === one) === i);
    assert.deepEqual(
      firsts.map(([one]) => one.includes(":")),
      [true, false, true, false],
    );
    firsts.forEach(([, at], i) => assert.ok(Math.abs(at - i * 250) < 20, `${at}`));
  });

  simulate(
    "after a refusal the next is tried at once (5); of none that answers the last is told of",
    (world) => {
      const { said, took, syns } = run(world, {
        answers: { [V6[0]]: "refuses", [V4[0]]: "refuses" },
      });
      assert.equal(said, "failed");
      assert.ok(took < 50, `${took} ms`);
      assert.equal(syns.length, 2);
    },
  );

  simulate("an AAAA 30 ms later than the A still goes first (3, Resolution Delay)", (world) => {
    const answers = { [V6[0]]: "serves", [V4[0]]: "serves" } as const;
    const { to, took } = run(world, { answers, delays: { AAAA: 30 } });
    assert.equal(to, V6[0]);
    assert.ok(took >= 30 && took < 50, `${took} ms`);
  });

  simulate("an answer that never comes holds up for 50 ms", (world) => {
    const answers = { [V6[0]]: "serves", [V4[0]]: "serves" } as const;
    const { to, took } = run(world, { answers, delays: { AAAA: null } });
    assert.equal(to, V4[0]);
    assert.ok(took >= 50 && took < 80, `${took} ms`);
  });

  simulate("an address that comes later joins the race (6)", (world) => {
    const answers = { [V6[0]]: "silent", [V4[0]]: "serves" } as const;
    const { to, took } = run(world, { answers, delays: { A: 120 } });
    assert.equal(to, V4[0]);
    assert.ok(took >= 300 && took < 400, `${took} ms`);
  });
});
