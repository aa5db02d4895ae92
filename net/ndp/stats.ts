/** What became of messages of neighbour discovery. */
@unmanaged
export class NdpStats {
  solicitationsReceived: u64;
  advertisementsReceived: u64;
  routersHeard: u64;
  /** Not from a neighbour, or with lengths or addresses that no correct host sends. */
  malformed: u64;
  solicitationsSent: u64;
  advertisementsSent: u64;
  routerSolicitationsSent: u64;
  probesSent: u64;
  /** Another station has an address of ours. */
  conflicts: u64;
  /** Router advertisements beyond what a network needs. */
  limited: u64;
  /** Routers, prefixes and addresses that there was no room for. */
  refused: u64;
  /** Not sent for want of a packet. */
  noBuffer: u64;
  /** As a router. */
  routerSolicitationsReceived: u64;
  routerAdvertisementsSent: u64;
  /** Advertisements of others that contradict ours. */
  inconsistent: u64;
}

export const ndpStats = changetype<NdpStats>(memory.data(offsetof<NdpStats>(), 8));
