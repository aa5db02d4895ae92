import assert from "node:assert/strict";
import {
  ACK,
  BROADCAST,
  arpPacket,
  checksum,
  ethernet,
  ETHERTYPE_ARP,
  ETHERTYPE_IPV4,
  type Frame,
  icmpMessage,
  ICMP,
  ipv4Packet,
  tcpSegment,
  RST,
  TCP,
  type TcpSegment,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { Program } from "../../tools/sim/program.ts";
import { Random } from "../../tools/sim/random.ts";
import { MICROSECOND, SECOND } from "../../tools/sim/simulation.ts";
import { poolCounts, tcpCounts } from "../../tools/sim/statistics.ts";
import { forSeeds, World } from "./harness.ts";

/**
 * Frames from a hostile neighbour: right ones with bytes changed, cut short or made longer, half
 * of them with their checksums made right again, aimed at a machine's ports and at a connection
 * that is open. The machine must not fail, must go on serving, and must get every packet back.
 */

const MACHINE = "10.0.0.2";
const PEER = "10.0.0.1";
const PORT = 80;

function bytesOf(random: Random, longest: number): Uint8Array {
  const bytes = new Uint8Array(random.integer(0, longest));
  random.fill(bytes);
  return bytes;
}

/** A frame that a well-behaved neighbour could send, near the connection `port` → 80 if TCP. */
function plausible(
  random: Random,
  to: string,
  from: string,
  near: { port: number; seq: number; ack: number },
): Uint8Array {
  const source = random.chance(0.9)
    ? PEER
    : random.pick([MACHINE, "255.255.255.255", "0.0.0.0", "127.0.0.1", "224.0.0.1"]);
  const destination = random.chance(0.9)
    ? MACHINE
    : random.pick(["10.0.0.255", "255.255.255.255", "224.0.0.1", "10.9.9.9"]);
  const wrap = (protocol: number, payload: Uint8Array) =>
    ethernet(
      random.chance(0.9) ? to : BROADCAST,
      from,
      ETHERTYPE_IPV4,
      ipv4Packet({
        source,
        destination,
        protocol,
        payload,
        moreFragments: random.chance(0.05),
        fragmentOffset: random.chance(0.05) ? random.integer(0, 8191) * 8 : 0,
        options: random.chance(0.1)
          ? new Uint8Array(random.integer(1, 10) * 4).fill(1)
          : new Uint8Array(0),
      }),
    );
  switch (random.integer(0, 4)) {
    case 0:
      return ethernet(
        random.pick([to, BROADCAST]),
        from,
        ETHERTYPE_ARP,
        arpPacket({
          operation: random.pick(["request", "reply"]),
          senderMac: from,
          senderIp: random.pick([PEER, "10.0.0.77", "0.0.0.0", "255.255.255.255"]),
          targetMac: to,
          targetIp: random.pick([MACHINE, PEER]),
        }),
      );
    case 1:
      return wrap(
        ICMP,
        icmpMessage({
          type: random.pick([0, 3, 4, 5, 8, 11, 12, 13]),
          code: random.integer(0, 15),
          rest: random.u32(),
          payload: bytesOf(random, 600),
        }),
      );
    case 2:
      return wrap(
        UDP,
        udpDatagram(source, destination, {
          sourcePort: random.pick([53, 67, 68, 1234]),
          destinationPort: random.pick([53, 67, 68, 9999]),
          payload: bytesOf(random, 700),
        }),
      );
    default:
      return wrap(
        TCP,
        tcpSegment(source, destination, {
          sourcePort: random.chance(0.7) ? near.port : random.integer(0, 65535),
          destinationPort: random.chance(0.9) ? PORT : random.integer(0, 65535),
          seq: (near.seq + random.integer(-70000, 70000)) >>> 0,
          ack: (near.ack + random.integer(-70000, 70000)) >>> 0,
          // Never a reset with the exact number: that would rightly end the connection.
          flags: random.integer(0, 255) & ~4,
          window: random.integer(0, 65535),
          options: {
            ...(random.chance(0.3) && { mss: random.integer(0, 65535) }),
            ...(random.chance(0.3) && { windowScale: random.integer(0, 255) }),
            ...(random.chance(0.3) && {
              timestamps: [random.u32(), random.u32()] as [number, number],
            }),
            ...(random.chance(0.2) && {
              sack: [[random.u32(), random.u32()]] as [number, number][],
            }),
          },
          payload: bytesOf(random, 1400),
        }),
      );
  }
}

/** Changes, cuts or extends a frame; may make the IPv4 checksum right again. */
function mutate(random: Random, frame: Uint8Array): Uint8Array {
  if (random.chance(0.3)) return frame;
  let bytes = frame.slice();
  for (let n = random.integer(1, 4); n > 0; n--) {
    // Headers are where lies do harm.
    const at = random.integer(12, Math.min(bytes.length, random.chance(0.8) ? 74 : 1514) - 1);
    bytes[at] = random.pick([0, 255, 127, 128, random.integer(0, 255)]);
  }
  if (random.chance(0.2)) bytes = bytes.slice(0, random.integer(60, bytes.length));
  const header = (bytes[14]! & 15) * 4;
  if (random.chance(0.7) && header >= 20 && bytes.length >= 14 + header) {
    bytes[24] = bytes[25] = 0;
    const sum = checksum(bytes.subarray(14, 14 + header));
    bytes[24] = sum >> 8;
    bytes[25] = sum;
  }
  return bytes;
}

function assault(
  world: World,
  peer: Peer,
  random: Random,
  frames: number,
  near: { port: number; seq: number; ack: number },
): void {
  const to = peer.resolve(MACHINE);
  for (let i = 0; i < frames; i++) {
    peer.sendFrame(mutate(random, plausible(random, to, peer.mac, near)).slice(0, 1514));
    world.run(random.logarithmic(MICROSECOND, 500 * MICROSECOND));
    peer.inbox.length = 0;
  }
}

forSeeds("hostile frames do no harm", 120, (seed) => {
  const world = new World(seed);
  try {
    const random = new Random(seed);
    const { machine } = world.ready({ ip: `${MACHINE}/24`, commandLine: "" });
    // Nothing that is said on the connections under attack follows from what the checker sees.
    world.checker.followsTcp = false;
    const peer = world.peer(PEER);
    const program = new Program(machine);
    program.listen(PORT, (connection) => {
      connection.onData = (bytes) => connection.send(bytes);
      connection.onEnd = () => connection.end();
      connection.onSent = () => connection.close();
    });
    world.run(2 * SECOND);
    const owned = () =>
      poolCounts(program.sockets).map(({ refused: _, lowest: __, ...rest }) => rest);
    const before = owned();

    const victim = peer.tcp(MACHINE, PORT, 40000);
    victim.connect();
    assault(world, peer, random, 300, { port: 40000, seq: victim.sndNxt, ack: victim.rcvNxt });

    // A neighbour with its own address is served as before. ARP may have been lied to: it says
    // again who it is.
    const honest = world.peer("10.0.0.9");
    world.run(5 * SECOND);
    honest.sendArp({ operation: "request", targetIp: MACHINE });
    honest.sendIcmp(MACHINE, { type: 8, code: 0, rest: 7, payload: new Uint8Array(32).fill(1) });
    honest.expectIcmp(0);
    const connection = honest.tcp(MACHINE, PORT, 50000);
    connection.connect();
    connection.send({ payload: new TextEncoder().encode("hello") });
    const echo = honest.expect((frame) => (frame.tcp?.payload.length ?? 0) > 0, 5 * SECOND, "echo");
    assert.equal(new TextDecoder().decode(echo.tcp!.payload), "hello");

    // All is closed, what the machine still says is answered by resets, and every packet comes back.
    connection.take(echo.tcp!);
    connection.send({ flags: 4, ack: 0 });
    peer.handler = (frame) => reset(peer, frame);
    program.closeAll();
    const quiet = () => JSON.stringify(owned()) === JSON.stringify(before);
    const what = () => `packets by owner: ${JSON.stringify([owned(), tcpCounts(program.sockets)])}`;
    world.simulation.until(quiet, 3000 * SECOND, what);
  } finally {
    world.close();
  }
});

/** Answers a TCP segment with a reset, as a host without the connection does. */
function reset(peer: Peer, { tcp, ipv4, source }: Frame): boolean {
  if (!tcp || tcp.flags & RST) return false;
  const segment: TcpSegment = {
    sourcePort: tcp.destinationPort,
    destinationPort: tcp.sourcePort,
    seq: tcp.flags & ACK ? tcp.ack : 0,
    ack: tcp.flags & ACK ? 0 : tcp.seq + 1,
    flags: tcp.flags & ACK ? RST : RST | ACK,
    window: 0,
    options: {},
    payload: new Uint8Array(0),
  };
  const payload = tcpSegment(ipv4!.destination, ipv4!.source, segment);
  const fields = { source: ipv4!.destination, destination: ipv4!.source, protocol: TCP, payload };
  peer.sendIpv4(fields, source);
  return true;
}
