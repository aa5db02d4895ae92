import { isIP, isIPv4, isIPv6 } from "node:net";
import { interfaceOf } from "./amounts.ts";

/** What [network.interfaces] says of a link, in the words of the kernel's command line (docs/links.md). */

const isNumber = (text: string, least: number, most: number): boolean =>
  /^(0|[1-9]\d*)$/.test(text) && Number(text) >= least && Number(text) <= most;

/** A card's name, or that of a link over others. */
export const isLinkName = (name: string): boolean =>
  name.length <= 15 &&
  /^(eth([0-9]|[12][0-9]|3[01])|(br|gre|ipip)(0|[1-9]\d{0,2}))(\.[1-9]\d{0,3})*$/.test(name) &&
  name
    .split(".")
    .every((part, i) => isNumber(i ? part : part.replace(/\D+/, ""), 0, i ? 4094 : 255));

type Kind = "card" | "vlan" | "bridge" | "gre" | "ipip";

function kindOf(name: string): Kind {
  if (name.includes(".")) return "vlan";
  if (name.startsWith("br")) return "bridge";
  return name.startsWith("gre") ? "gre" : name.startsWith("ipip") ? "ipip" : "card";
}

/** An end of a tunnel: one host's address that more than one link knows. */
const isEnd = (text: string): boolean =>
  isIPv4(text)
    ? !/^(0|127|22[4-9]|23\d|24\d|25\d)\./.test(text)
    : isIPv6(text) && !text.includes("%") && !/^(::|f[ef])/i.test(text);

/** A word, which of it stands before the value, what links have it, and what the value has to be. */
interface Word {
  kinds: readonly Kind[];
  isGood: (value: string) => boolean;
  expected: string;
}

const TUNNELS = ["gre", "ipip"] as const;
const EVERY = ["card", "vlan", "bridge", ...TUNNELS] as const;
const END: Word = { kinds: TUNNELS, isGood: isEnd, expected: 'an address, as in "192.0.2.1"' };
const WORDS: { [key: string]: Word } = {
  mtu: {
    kinds: EVERY,
    isGood: (value) => isNumber(value, 1280, 65535),
    expected: 'a number from 1280 to 65535, as in "mtu=1400"',
  },
  peer: {
    kinds: EVERY,
    isGood: (value) => isIP(value) !== 0 || interfaceOf(value) !== null,
    expected: 'an address, as in "peer=10.0.0.2"',
  },
  proto: {
    kinds: ["vlan"],
    isGood: (value) => value === "802.1q" || value === "802.1ad",
    expected: '"proto=802.1q" or "proto=802.1ad"',
  },
  ports: {
    kinds: ["bridge"],
    isGood: (value) => value.split("+").every(isLinkName),
    expected: 'links, as in "ports=eth1+eth2"',
  },
  local: END,
  remote: END,
  ttl: {
    kinds: TUNNELS,
    isGood: (value) => isNumber(value, 1, 255),
    expected: 'a number from 1 to 255, as in "ttl=64"',
  },
  encaplimit: {
    kinds: TUNNELS,
    isGood: (value) => isNumber(value, 0, 255),
    expected: 'a number from 0 to 255, as in "encaplimit=4"',
  },
  key: {
    kinds: ["gre"],
    isGood: (value) => isNumber(value, 0, 2 ** 31 - 1) || isIPv4(value),
    expected: 'a number, as in "key=7"',
  },
};
const FLAGS = ["seq", "csum"];

/** What is wrong with each part that a link is given, or null. */
export function linkTroubles(name: string, parts: readonly string[]): (string | null)[] {
  const kind = kindOf(name);
  const families = new Set<number>();
  return parts.map((part, i) => {
    if (kind === "gre" && FLAGS.includes(part)) return null;
    const [key = "", value] = part.split("=");
    if (value !== undefined) {
      const word = WORDS[key];
      if (!word?.kinds.includes(kind)) {
        const known = Object.keys(WORDS).filter((one) => WORDS[one]!.kinds.includes(kind));
        return `${name} has no ${key}=: write an address, ${known.map((one) => `${one}=`).join(", ")}`;
      }
      return word.isGood(value) ? null : `write ${word.expected}`;
    }
    const peered = parts[i + 1]?.startsWith("peer=") && isIP(part);
    const found = peered ? { address: part } : interfaceOf(part);
    if (!found) return 'write an address with prefix length, as in "10.1.0.1/24"';
    const family = isIP(found.address);
    if (families.has(family)) return `${name} has an IPv${family} address already`;
    families.add(family);
    return null;
  });
}

/** What a link of its kind has to be told and was not, or null. */
export function linkMissing(name: string, parts: readonly string[]): string | null {
  const kind = kindOf(name);
  const has = (key: string): boolean => parts.some((part) => part.startsWith(`${key}=`));
  if (kind === "bridge" && !has("ports")) return 'has no ports: write "ports=eth1+eth2"';
  if (kind !== "gre" && kind !== "ipip") return null;
  return has("remote") ? null : 'has no other end: write "remote=192.0.2.1"';
}
