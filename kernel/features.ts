/**
 * What the image carries of the kernel: all of it, unless the compiler is told that its program cannot
 * reach a part (`--use WITHOUT_…=1`, tools/cli/compile.ts). These fold away, and so does what they guard.
 */

/** Wasm programs beside the kernel: kernel/guest/. */
export const GUESTS: bool = !isDefined(WITHOUT_GUESTS);

/** The resolver of names: net/dns/. */
export const NAMES: bool = !isDefined(WITHOUT_NAMES);

/** Pipes and pairs of sockets: kernel/guest/pipes.ts. */
export const PIPES: bool = !isDefined(WITHOUT_PIPES);

/** A guest that has what is typed as its standard input: kernel/guest/console.ts. */
export const CONSOLE: bool = !isDefined(WITHOUT_CONSOLE);

/** WasmEdge's sockets: kernel/guest/wasmedge.ts. */
export const WASMEDGE: bool = !isDefined(WITHOUT_WASMEDGE);

/** Validation of what it is told, and asking from the root on: net/dns/secure/ and delegation.ts, kernel/crypto/. */
export const DNSSEC: bool = !isDefined(WITHOUT_NAMES) && !isDefined(WITHOUT_DNSSEC);

/** The DHCP server, which answers RARP, too: net/dhcp/server.ts. */
export const DHCPD: bool = !isDefined(WITHOUT_DHCPD);

/** Asking by RARP what this machine is called: net/dhcp/rarp.ts. */
export const RARP: bool = !isDefined(WITHOUT_RARP);

/** Rules by which packets are routed, and tables beside the main one: net/route/rules.ts. */
export const POLICY: bool = !isDefined(WITHOUT_POLICY);

/** Filters of groups by source: net/filter.ts, net/ip/sources.ts. */
export const SOURCES: bool = !isDefined(WITHOUT_SOURCES);
