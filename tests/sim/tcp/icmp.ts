import { ACK, ipv4Packet, TCP, tcpSegment } from "../../../tools/sim/frames.ts";
import type { PeerTcp } from "../../../tools/sim/peer.ts";
import { MACHINE } from "./program.ts";

/** An ICMP error about the machine's segment with this sequence number. */
export function icmpAbout(peer: PeerTcp, type: number, code: number, seq: number, rest = 0): void {
  const quoted = tcpSegment(MACHINE, peer.peer.ip, {
    sourcePort: peer.remotePort,
    destinationPort: peer.localPort,
    seq: seq >>> 0,
    ack: 0,
    flags: ACK,
    window: 0,
    options: {},
    payload: new Uint8Array(0),
  });
  const payload = ipv4Packet({
    source: MACHINE,
    destination: peer.peer.ip,
    protocol: TCP,
    payload: quoted,
  });
  peer.peer.sendIcmp(MACHINE, { type, code, rest, payload });
}
