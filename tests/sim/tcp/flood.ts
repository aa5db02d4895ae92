import type { Peer } from "../../../tools/sim/peer.ts";
import { SYN, TCP, type TcpOptions, tcpSegment } from "../../../tools/sim/frames.ts";
import type { World } from "../harness.ts";
import { MACHINE, MILLISECOND } from "./program.ts";

/** Strangers' segments at most so many a millisecond: what a machine's ring takes. */
const BURST = 64;

/** Sends `count` SYNs from made-up addresses behind `host`, which never answer. */
export function flood(
  world: World,
  host: Peer,
  port: number,
  count: number,
  options: TcpOptions = { mss: 1460 },
): void {
  const to = host.resolve(MACHINE);
  const { random } = world.simulation;
  // What comes back for the strangers is nobody's.
  host.handler = (frame) => frame.ipv4?.destination.startsWith("172.") === true;
  for (let i = 0; i < count; i++) {
    const source = `172.${random.integer(16, 31)}.${random.integer(0, 255)}.${random.integer(1, 254)}`;
    const payload = tcpSegment(source, MACHINE, {
      sourcePort: random.integer(1024, 60000),
      destinationPort: port,
      seq: i,
      ack: 0,
      flags: SYN,
      window: 1000,
      options,
      payload: new Uint8Array(0),
    });
    host.sendIpv4({ source, destination: MACHINE, protocol: TCP, payload }, to);
    if (i % BURST === BURST - 1) world.run(MILLISECOND);
  }
  world.run(MILLISECOND);
}
