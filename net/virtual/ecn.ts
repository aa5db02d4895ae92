import { IpEcn } from "../wire/ipv4";

/**
 * The ECN field of a packet that leaves a tunnel, of its own and that of the packet around it (RFC 6040, 4.2,
 * figure 4); -1: to be dropped, since its transport would not see the mark.
 *
 *     inner \ outer │ Not-ECT   ECT(0)   ECT(1)   CE
 *     Not-ECT       │ Not-ECT   Not-ECT  Not-ECT  drop
 *     ECT(0)        │ ECT(0)    ECT(0)   ECT(1)   CE
 *     ECT(1)        │ ECT(1)    ECT(1)   ECT(1)   CE
 *     CE            │ CE        CE       CE       CE
 */
export function ecnInner(inner: u32, outer: u32): i32 {
  if (inner == IpEcn.Congested) return inner;
  if (outer == IpEcn.Congested) return inner == IpEcn.NotCapable ? -1 : outer;
  if (inner == IpEcn.Capable0 && outer == IpEcn.Capable1) return outer;
  return inner;
}
