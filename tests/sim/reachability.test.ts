import assert from "node:assert/strict";
import { describe } from "node:test";
import { type Frame, ip6 } from "../../tools/sim/frames.ts";
import { macAddress } from "../../tools/sim/machine.ts";
import { Peer, type PeerTcp } from "../../tools/sim/peer.ts";
import { type Connection, Program } from "../../tools/sim/program.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { counters } from "./counters.ts";
import { simulate, type World } from "./harness.ts";
import { HOST, PREFIX, settled } from "./ipv6/network.ts";

const OWN: Record<string, string> = { "10.0.0.1": "10.0.0.2", [`${PREFIX}1`]: HOST };
const PORT = 7;
/** REACHABLE_TIME at most (RFC 4861, 6.3.2), DELAY_FIRST_PROBE_TIME, and three probes a second apart (10). */
const REACHABLE = 45 * SECOND;
const DELAY = 5 * SECOND;
const PROBES = 3 * SECOND;

interface Talk {
  world: World;
  program: Program;
  peer: Peer;
  connection: Connection;
  tcp: PeerTcp;
  /** Of the peer. */
  hears: { acknowledges: boolean };
  /** What the machine has asked about the peer since, and when. */
  asked: { at: number; unicast: boolean }[];
}

const asks = (frame: Frame, address: string): boolean =>
  (frame.arp?.operation === "request" && frame.arp.targetIp === address) ||
  (frame.icmp6?.type === 135 && ip6(frame.icmp6.payload.subarray(0, 16)) === address);

/** A machine that has connected to the peer `address`, which takes what comes and has nothing to say. */
function talking(world: World, address: string): Talk {
  const { machine, peer } = settled(world);
  const own = OWN[address]!;
  peer.resolve(own);
  const tcp = peer.tcp(own, 0, PORT);
  const program = new Program(machine);
  const connection = program.connect(address, PORT);
  const syn = peer.expect((frame) => frame.tcp !== undefined, SECOND, "SYN").tcp!;
  // Its port is the machine's choice.
  Object.assign(tcp, { remotePort: syn.sourcePort });
  tcp.take(syn);
  tcp.sndNxt = tcp.iss;
  tcp.send({ flags: 0x12, options: { mss: 1460, sackPermitted: true } });
  world.run(10 * MILLISECOND);
  const hears = { acknowledges: true };
  const asked: Talk["asked"] = [];
  peer.answersArp = false;
  peer.handler = (frame) => {
    if (asks(frame, address)) {
      asked.push({ at: world.simulation.now, unicast: frame.destination === peer.mac });
    }
    if (frame.tcp?.payload.length && hears.acknowledges) {
      if (frame.tcp.seq === tcp.rcvNxt) tcp.take(frame.tcp);
      tcp.send();
    }
    return true;
  };
  return { world, program, peer, connection, tcp, hears, asked };
}

/** Says something every `interval` for `duration`. */
function chat({ world, connection }: Talk, interval: number, duration: number): void {
  for (let passed = 0; passed < duration; passed += interval) {
    connection.send(Uint8Array.of(passed & 255));
    world.run(interval);
  }
}

for (const [family, address] of [
  ["ARP (RFC 1122, 2.3.2.1)", "10.0.0.1"],
  ["neighbour discovery (RFC 4861, 7.3.1)", `${PREFIX}1`],
] as const) {
  describe(`what TCP knows of a neighbour, ${family}`, () => {
    for (const [pace, interval] of [
      ["five times a second", 200 * MILLISECOND],
      ["every twenty seconds", 20 * SECOND],
      ["once in a minute", 60 * SECOND],
    ] as const) {
      simulate(`who answers ${pace} is not asked in ten minutes`, (world) => {
        const talk = talking(world, address);
        chat(talk, interval, 600 * SECOND);
        assert.deepEqual(talk.asked, []);
        assert.equal(talk.connection.sent, (600 * SECOND) / interval);
      });
    }

    simulate("the acknowledgment of a SYN is as good as that of data", (world) => {
      const talk = talking(world, address);
      world.run(60 * SECOND);
      const second = talk.program.connect(address, PORT + 1);
      const tcp = talk.peer.tcp(OWN[address]!, 0, PORT + 1);
      const { handler } = talk.peer;
      talk.peer.handler = (frame) => {
        if (frame.tcp?.destinationPort !== PORT + 1) return handler!(frame);
        if (frame.tcp.flags & 2) {
          Object.assign(tcp, { remotePort: frame.tcp.sourcePort });
          tcp.take(frame.tcp);
          tcp.send({ flags: 0x12, options: { mss: 1460 } });
        }
        return true;
      };
      world.run(60 * SECOND);
      assert.equal(second.open, true);
      assert.deepEqual(talk.asked, []);
    });

    for (const [name, forge] of [
      ["silence", () => {}],
      ["duplicates of the last acknowledgment", (tcp: PeerTcp) => tcp.send()],
      [
        "an acknowledgment of what was not sent",
        (tcp: PeerTcp) => tcp.send({ ack: tcp.rcvNxt + 5000 }),
      ],
      ["an old acknowledgment", (tcp: PeerTcp) => tcp.send({ ack: tcp.rcvNxt - 1 })],
      [
        "one outside the window",
        (tcp: PeerTcp) => tcp.send({ seq: tcp.sndNxt - 9, ack: tcp.rcvNxt + 1 }),
      ],
      ["data that is new", (tcp: PeerTcp) => tcp.send({ payload: Uint8Array.of(1) })],
    ] as const) {
      simulate(`${name} confirms nothing`, (world) => {
        const talk = talking(world, address);
        chat(talk, SECOND, 5 * SECOND);
        talk.hears.acknowledges = false;
        talk.connection.send(Uint8Array.of(1));
        for (let i = 0; i < 240 && !talk.asked.length; i++) {
          world.run(250 * MILLISECOND);
          forge(talk.tcp);
        }
        assert.equal(talk.asked[0]?.unicast, true);
      });
    }

    simulate("who only listens is asked five seconds after his time is over", (world) => {
      const talk = talking(world, address);
      const since = world.simulation.now;
      for (let i = 0; i < 200 && !talk.asked.length; i++) {
        talk.tcp.send({ payload: Uint8Array.of(i) });
        world.run(250 * MILLISECOND);
      }
      assert.ok(talk.asked[0]!.at - since <= REACHABLE + DELAY + SECOND);
      assert.equal(talk.asked[0]!.unicast, true);
    });

    simulate("a neighbour that moves and says nothing is found again in time", (world) => {
      const talk = talking(world, address);
      chat(talk, SECOND, 100 * SECOND);
      assert.deepEqual(talk.asked, []);
      world.link.silence(talk.peer, true);
      const moved = new Peer(world.link, {
        ip: talk.peer.ip,
        ip6: talk.peer.ip6!,
        mac: macAddress(0x77),
      });
      const since = world.simulation.now;
      let found = 0;
      moved.handler = (frame) => {
        if (frame.tcp && !found) found = world.simulation.now;
        return true;
      };
      const { machine } = talk.program;
      const { resolved } = counters(machine, "neighbours");
      talk.connection.send(Uint8Array.of(1));
      world.simulation.until(
        () => counters(machine, "neighbours")["resolved"] === resolved! + 1,
        // Who wants to know are retransmissions, ever further apart.
        REACHABLE + DELAY + PROBES + 10 * SECOND,
        "the neighbour's new place",
      );
      world.simulation.until(() => found !== 0, 60 * SECOND, "a segment there");
      assert.ok(found - since < 120 * SECOND, "the connection is given up");
    });
  });
}
