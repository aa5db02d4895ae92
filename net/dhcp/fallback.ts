import { Interface } from "../interface";
import { linkLocalStart, linkLocalStop } from "../link/linklocal";
import { staticStart, staticStop } from "../static";

/** What an interface goes by while no DHCP server gives it a lease. */

/** The command line's fallback address, if nobody has it yet; else a link-local one. Idempotent. */
export function fallbackStart(iface: Interface): void {
  if (!staticStart(iface)) linkLocalStart(iface);
}

/** Gives it up: there is a lease, or the link is gone. */
export function fallbackStop(iface: Interface): void {
  staticStop(iface);
  linkLocalStop(iface);
}
