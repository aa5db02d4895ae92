/**
 * What TCP has counted since it started. Names follow the MIB where it has one (RFC 4022).
 */
@unmanaged
export class TcpStats {
  segmentsIn: u64;
  segmentsOut: u64;
  /** Segments sent again, for whatever reason. */
  retransmits: u64;
  /** Retransmission timer expiries. */
  timeouts: u64;
  fastRetransmits: u64;
  duplicateAcks: u64;
  /** Segments queued out of order. */
  outOfOrder: u64;
  /** Segments whose bytes had all arrived before. */
  duplicates: u64;
  checksumErrors: u64;
  /** Segments too short, or with lengths that lie. */
  malformed: u64;
  resetsIn: u64;
  resetsOut: u64;
  /** Challenge ACKs sent (RFC 5961). */
  challengeAcks: u64;
  /** Segments dropped by PAWS (RFC 7323, 5). */
  pawsDrops: u64;
  /** In-window data dropped because packet memory was short. */
  memoryDrops: u64;
  /** Zero-window probes sent. */
  windowProbes: u64;
  keepaliveProbes: u64;
  activeOpens: u64;
  passiveOpens: u64;
  /** Connections that ended in a reset or a time-out. */
  aborted: u64;
  /** SYNs, or last ACKs of a handshake, refused because the accept queue or the table was full. */
  listenOverflows: u64;
  /** SYN cookies (RFC 4987, 3.6): sent, come back, and ACKs taken for one that were none. */
  synCookiesSent: u64;
  synCookiesOk: u64;
  synCookiesBad: u64;
  /** Fast Open (RFC 7413): connections whose SYN brought data that the server took, or refused; */
  fastOpenActive: u64;
  fastOpenActiveFailed: u64;
  /** those accepted by cookie, SYNs with a wrong cookie, and with too many pending. */
  fastOpenPassive: u64;
  fastOpenRefused: u64;
  fastOpenOverflows: u64;
  /** Segment sizes (plpmtud.ts): probes sent, sizes raised and lowered, black holes among those. */
  pathProbes: u64;
  pathRaises: u64;
  pathShrinks: u64;
  blackHoles: u64;
  /** ICMP errors that named no data in flight, or made claims that were not so (RFC 5927). */
  icmpIgnored: u64;
  /** Segments dropped and calls refused because every working part was taken: see work.ts. */
  workRefused: u64;
  /** Reports of what came twice (RFC 2883), out and in; other blocks of SACK options believed. */
  dsacksOut: u64;
  dsacksIn: u64;
  sackBlocksIn: u64;
  /** Segments that RACK took to be lost (RFC 8985, 6). */
  rackLosses: u64;
  /** Tail loss probes sent, and losses that one repaired (RFC 8985, 7). */
  tlpProbes: u64;
  tlpRecoveries: u64;
  /** Time-outs that proved needless (RFC 5682), and reductions of the window taken back. */
  spuriousTimeouts: u64;
  undos: u64;
  /** Peers that dropped what they had reported (RFC 2018, 8). */
  reneges: u64;
  /** Packets of ECN connections that arrived with the CE mark. */
  congestionMarks: u64;
  /** Times that a window was reduced because of marks. */
  ecnReductions: u64;
  /** Gauges. */
  established: u32;
  connections: u32;
  halfOpen: u32;
  timeWait: u32;
  /** Transmissions that connections hold beside their own one: see scoreboard.ts. */
  transmissions: u32;
  /** Connections that have a working part. */
  working: u32;
}

export const tcpStats = changetype<TcpStats>(memory.data(offsetof<TcpStats>(), 64));
