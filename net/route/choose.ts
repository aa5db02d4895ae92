import { NeighbourState, findNeighbour } from "../link/neighbour";
import { RouteEntry, RouteOrigin, routesTo } from "./table";

/**
 * The route of a table to an address, or null. Of the routes of the longest prefix those count whose link is up and whose
 * router is not in doubt, or in the least doubt; of them those of the least metric; and of
 * several of these `flow` chooses (RFC 2992, by modulo). Cost: `routesTo`, and the routes of the prefix twice.
 */
export function routeFind(
  hi: u64,
  lo: u64,
  v4: bool,
  flow: u32,
  table: u32 = 0,
): RouteEntry | null {
  const first = routesTo(hi, lo, v4, table);
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
  return ((<u64>(entry.iface.up ? 0 : 4) + doubtOf(entry)) << 32) | entry.metric;
}

/**
 * How little is known of a route's router: 2, it does not answer (RFC 1122, 3.3.1.4); 1, it only said itself that it
 * is one, and where it is nobody knows (RFC 4861, 6.3.6); 0.
 */
function doubtOf(entry: RouteEntry): u32 {
  const gateway = entry.gateway;
  if (gateway.isAny) return 0;
  const neighbour = findNeighbour(entry.iface, gateway.hi, gateway.lo);
  if (neighbour !== null) {
    if (neighbour.isSilent) return 2;
    if (neighbour.state != NeighbourState.Incomplete) return 0;
  }
  return u32(entry.origin == <u8>RouteOrigin.Advertised);
}
