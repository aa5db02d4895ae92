import { isIPv4, isIPv6 } from "node:net";

/** Addresses and amounts as skerry.toml writes them. */

/** `/8` and the like. */
function isPrefix(text: string, most: number): boolean {
  return /^\d{1,3}$/.test(text) && Number(text) <= most;
}

const UNITS: { readonly [unit: string]: number } = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Bytes of an amount that the schema let through: `"16MiB"`. */
export function bytesOf(amount: string): number {
  return Number(amount.slice(0, -3)) * UNITS[amount.slice(-3)]!;
}

/** An address with its prefix length, at least `least`, or null: `10.0.0.2/24`. */
export function interfaceOf(text: string, least = 1): { address: string; prefix: number } | null {
  const [address = "", prefix, ...more] = text.split("/");
  const most = isIPv4(address) ? 32 : isIPv6(address) && !address.includes("%") ? 128 : 0;
  if (more.length || prefix === undefined || !isPrefix(prefix, most) || Number(prefix) < least)
    return null;
  return { address, prefix: Number(prefix) };
}
