import { readFileSync } from "node:fs";
import { GuestCall } from "../../kernel/guest/calls.ts";
import type { GuestCode } from "../guest/guest.ts";
import type { GuestSpec } from "../guest/spec.ts";
import type { Feature } from "./compile.ts";

/**
 * What an image need not carry of the kernel (kernel/features.ts): what its program does not call, and what none of
 * the words asks for that it will be started with. The kernel names a word at boot that asks for what it lacks.
 */

/** For the Linux process, as a library and to be fuzzed. */
export const NO_GUESTS: Feature[] = ["GUESTS"];

/** Of what an image need not carry, the calls that reach it. */
const CALLS: readonly (readonly [feature: Feature, ...calls: GuestCall[]])[] = [
  ["NAMES", GuestCall.resolve, GuestCall.sock_getaddrinfo],
  ["PIPES", GuestCall.pipe, GuestCall.pair],
  ["SOURCES", GuestCall.set_option_data],
];

/** Whether answers about names are validated, or asked for from the root on. */
const validates = (words: string): boolean =>
  /(^| )(dnssec=(on|strict)|dns=iterative)( |$)/.test(words);

/** What an app of these sources, which is linked into its kernel, has no use for. */
export function unusedByApp(sources: string[], words: string): Feature[] {
  const contents = sources.map((file) => readFileSync(file, "utf8"));
  const says = (what: RegExp): boolean => contents.some((text) => what.test(text));
  const unused = [...NO_GUESTS];
  const names = says(/Syscall\.Resolve|net\/dns\//);
  if (!names) unused.push("NAMES");
  if (!names || !(says(/Resolve\.Security/) || validates(words))) unused.push("DNSSEC");
  if (!says(/Syscall\.SetOptionData/)) unused.push("SOURCES");
  return unused;
}

/** What the guests of an image have no use for. */
export function unusedByGuests(guests: Pick<GuestCode, "header">[], words: string): Feature[] {
  const calls = guests.flatMap(({ header }) =>
    [...header.matchAll(/guest_call\((\d+)u\)/g)].map(([, call]) => Number(call)),
  );
  const unused = CALLS.filter(([, ...reach]) => !calls.some((call) => reach.includes(call)));
  const features = unused.map(([feature]) => feature);
  const wasmedge = calls.some(
    (call) => call >= GuestCall.sock_open && call <= GuestCall.sock_getaddrinfo,
  );
  if (features.includes("NAMES") || !validates(words)) features.push("DNSSEC");
  if (!wasmedge) features.push("WASMEDGE");
  return features;
}

/** What is not asked for in what is said of the guests. */
export function unusedBySpecs(specs: Pick<GuestSpec, "console">[]): Feature[] {
  return specs.some(({ console }) => console) ? [] : ["CONSOLE"];
}

/** What only a word asks for. */
export function unusedByWords(words: string): Feature[] {
  return [
    ...(/(^| )dhcpd=/.test(words) ? [] : ["DHCPD" as const]),
    ...(/(^| )ip=rarp( |$)/.test(words) ? [] : ["RARP" as const]),
    ...(/(^| )(rule=|route=\S*,(table|src)=)/.test(words) ? [] : ["POLICY" as const]),
  ];
}
