import { NeighbourState, findNeighbour } from "../link/neighbour";
import { RouteEntry, routesTo } from "./table";

/**
 * The route to an address, or null. Of the routes of the longest prefix those count whose link is up and whose
 * router is not known to be silent, or all if there is none such; of them those of the least metric; and of
 * several of these `flow` chooses (RFC 2992, by modulo). Cost: `routesTo`, and the routes of the prefix twice.
 */
export function routeFind(hi: u64, lo: u64, v4: bool, flow: u32): RouteEntry | null {
  const first = routesTo(hi, lo, v4);
  if (first === null || first.next === null) return first;
  let best: u64 = u64.MAX_VALUE;
  let equals: u32 = 0;
  let candidate: RouteEntry | null = first;
  while (candidate !== null) {
    const rank = rankOf(candidate);
    if (rank < best) {
      best = rank;
      equals = 0;
    }
    if (rank == best) equals++;
    candidate = candidate.next;
  }
  let before = equals > 1 ? flow % equals : 0;
  let chosen = first;
  while (rankOf(chosen) != best || before--) chosen = chosen.next!;
  return chosen;
}

/** Less is better. */
function rankOf(entry: RouteEntry): u64 {
  return ((<u64>(entry.iface.up ? 0 : 2) + (isSilent(entry) ? 1 : 0)) << 32) | entry.metric;
}

/** Its router was asked for and did not answer (RFC 1122, 3.3.1.4). */
function isSilent(entry: RouteEntry): bool {
  const gateway = entry.gateway;
  if (gateway.isAny) return false;
  const neighbour = findNeighbour(entry.iface, gateway.hi, gateway.lo);
  return neighbour !== null && neighbour.state == NeighbourState.Failed;
}
