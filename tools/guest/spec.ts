/**
 * What runs beside the kernel: each guest's name, module, arguments and limits, and what it may do. It is
 * worked out when the image is built, so that the kernel finds records that it reads with single loads:
 *
 *   header    magic, version, guests, bytes in all                            16 bytes
 *   guests    a record each                                                   96 bytes
 *   rules     what a guest may bind, then what it may connect to              24 bytes each
 *   mounts    where a guest sees files                                        20 bytes each
 *   strings   UTF-8; arguments and environment end in a zero each
 *
 * All numbers are little-endian, all places are bytes from the start. kernel/guest/spec.ts reads it.
 */

/** A guest of the image. */
export interface GuestSpec {
  /** Its own among the guests; also its argv[0]. */
  name: string;
  /** Its module: `GuestCode.name`. Many guests may be of one module. */
  module: string;
  /** Those after argv[0]. */
  arguments: string[];
  environment: Record<string, string>;
  /** Whether it is started again when it has ended. */
  restart: "never" | "on-failure" | "always";
  /** Most bytes of its linear memory; absent: what there is room for. */
  memory?: number;
  /** Most percent of the processor, 1 to 100; absent: what others leave. */
  cpu?: number;
  /** Most descriptors, 3 to 1,024; absent: 256. */
  descriptors?: number;
  /** Whether what is typed at the console is its standard input; one guest's at most. */
  console?: boolean;
  /** What of the network it may use; absent: everything. */
  allow?: Allow;
  files: Mount[];
}

/**
 * Rules are `protocol:ports` or `protocol:address:ports`: `tcp:80`, `udp:*`, `tcp:1024-65535`,
 * `tcp:10.0.0.0/8:80`, `tcp:[2001:db8::]/32:443`. Port 0 is one that the kernel chooses.
 */
export interface Allow {
  bind: string[];
  connect: string[];
  /** Raw sockets. */
  raw: boolean;
  /** Asking name servers. */
  resolve: boolean;
  /** Marks on sockets, by which rules route (SO_MARK). */
  mark?: boolean;
}

export type Mount =
  /** A folder of the image's pack, read-only: its path there, `""` for all of it. */
  | { path: string; tree: string }
  /** A directory in memory, of so many bytes at most, 32 KiB at least; empty each time it starts. */
  | { path: string; ram: number };

const MAGIC = 0x53474b53; // "SKGS"
const VERSION = 1;
const HEADER = 16;
const GUEST = 96;
const RULE = 24;
const MOUNT = 20;
const RESTART = { never: 0, "on-failure": 1, always: 2 } as const;
const RESTRICTED = 1;
const RAW = 2;
const RESOLVE = 4;
const MARK = 8;
const CONSOLE = 16;
const RAM = 1;
const PROTOCOLS = { tcp: 6, udp: 17 } as const; // as IP numbers them

/** Most guests that a machine has (boot/guest.c), and the most of each list of one. */
export const GUESTS_MOST = 64;
const LIST_MOST = 255;
const DESCRIPTORS_MOST = 1024;
const MEMORY_MOST = 65535 * 65536;
const WASM_PAGE = 65536;
/** What a RAM directory needs for itself (kernel/files/volume.ts). */
const RAM_LEAST = 32768;

/** A rule as the kernel has it: an address is 128 bits, IPv4's in its mapped form. */
export interface Rule {
  protocol: number;
  address: bigint;
  /** Bits of the address that count. */
  prefix: number;
  first: number;
  last: number;
}

const V4_MAPPED = 0xffffn << 32n;

function parseV4(text: string): bigint | undefined {
  const bytes = text.split(".");
  if (bytes.length !== 4) return undefined;
  if (!bytes.every((byte) => /^(0|[1-9]\d{0,2})$/.test(byte) && Number(byte) < 256))
    return undefined;
  return bytes.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

/** RFC 4291, 2.2. */
function parseV6(text: string): bigint | undefined {
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (dotted) {
    const v4 = parseV4(dotted[2]!);
    if (v4 === undefined) return undefined;
    text = `${dotted[1]}${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`;
  }
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half ? half.split(":") : []));
  const given = [...head!, ...(tail ?? [])];
  if (!given.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  if (tail ? given.length > 7 : given.length !== 8) return undefined;
  const groups = [...head!, ...Array<string>(8 - given.length).fill("0"), ...(tail ?? [])];
  return groups.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

function parsePorts(text: string): [number, number] | undefined {
  if (text === "*") return [0, 65535];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (!match) return undefined;
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  return first <= last && last <= 65535 ? [first, last] : undefined;
}

/** Reads a rule of `Allow`; an error says what is wrong with it. */
export function parseRule(text: string): Rule {
  const wrong = (what: string): never => {
    throw new Error(
      `${JSON.stringify(text)} is no rule: ${what}, as in "tcp:80", "udp:*" or "tcp:10.0.0.0/8:1024-65535"`,
    );
  };
  const match = /^([a-z]+):(?:(\[[^\]]*\]|[^:[\]/]*)(?:\/(\d{1,3}))?:)?([^:/]+)$/.exec(text);
  if (!match) return wrong("it is protocol:ports or protocol:address/prefix:ports");
  const [, protocol, host, bits, ports] = match;
  if (protocol !== "tcp" && protocol !== "udp") return wrong("its protocol is tcp or udp");
  const range = parsePorts(ports!);
  if (!range) return wrong("its ports are a number, a range or *");
  const common = { protocol: PROTOCOLS[protocol], first: range[0], last: range[1] };
  if (host === undefined) return { ...common, address: 0n, prefix: 0 };
  const six = host.startsWith("[");
  const address = six ? parseV6(host.slice(1, -1)) : parseV4(host);
  if (address === undefined) return wrong("its address is IPv4, or IPv6 in brackets");
  const width = six ? 128 : 32;
  const length = bits === undefined ? width : Number(bits);
  if (length > width) return wrong(`its prefix is at most ${width} bits long`);
  const host128 = six ? address : address | V4_MAPPED;
  const prefix = six ? length : 96 + length;
  const rest = BigInt(128 - prefix);
  if ((host128 >> rest) << rest !== host128) return wrong("its address has bits behind its prefix");
  return { ...common, address: host128, prefix };
}

/** Places strings behind one another. */
class Strings {
  private readonly parts: Uint8Array[] = [];
  private length = 0;
  constructor(private readonly start: number) {}

  add(text: string): { at: number; length: number } {
    const bytes = new TextEncoder().encode(text);
    const at = this.start + this.length;
    this.parts.push(bytes);
    this.length += bytes.length;
    return { at, length: bytes.length };
  }

  /** A list, each ended by a zero. */
  addList(list: string[]): { at: number; length: number } {
    return this.add(list.map((item) => `${item}\0`).join(""));
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.parts);
  }
}

function check(spec: GuestSpec, names: Set<string>): void {
  const fail = (what: string): never => {
    throw new Error(`guest ${spec.name || "without a name"}: ${what}`);
  };
  const whole = (value: number, least: number, most: number, what: string): void => {
    if (!Number.isInteger(value) || value < least || value > most)
      fail(`${what} is a whole number from ${least} to ${most}, and not ${value}`);
  };
  if (!/^[\x21-\x7e]{1,52}$/.test(spec.name)) fail("a name is 1 to 52 printable characters");
  if (Buffer.byteLength(spec.module) > 52) fail("its module's name is longer than 52 bytes");
  if (names.has(spec.name)) fail("there are two of this name");
  names.add(spec.name);
  const variables = Object.entries(spec.environment);
  for (const text of [
    ...spec.arguments,
    ...variables.flat(),
    ...spec.files.map(({ path }) => path),
  ])
    if (text.includes("\0")) fail(`${JSON.stringify(text)} has a zero in it`);
  for (const [name] of variables)
    if (!name || name.includes("=")) fail(`${JSON.stringify(name)} is no name of a variable`);
  if (spec.memory !== undefined) whole(spec.memory, WASM_PAGE, MEMORY_MOST, "memory");
  if (spec.cpu !== undefined) whole(spec.cpu, 1, 100, "cpu");
  if (spec.descriptors !== undefined) whole(spec.descriptors, 3, DESCRIPTORS_MOST, "descriptors");
  for (const mount of spec.files)
    if ("ram" in mount) whole(mount.ram, RAM_LEAST, MEMORY_MOST, mount.path);
  const { bind = [], connect = [] } = spec.allow ?? {};
  for (const list of [bind, connect, spec.files])
    if (list.length > LIST_MOST) fail(`a list has at most ${LIST_MOST} entries`);
}

/** A folder as the pack's paths begin: with a slash, and without one behind it. */
const packFolder = (tree: string): string =>
  tree
    .split("/")
    .filter(Boolean)
    .map((part) => `/${part}`)
    .join("");

/** Guests as the kernel reads them. An error names the guest and what is wrong with it. */
export function encodeSpecs(specs: GuestSpec[]): Uint8Array {
  if (specs.length > GUESTS_MOST)
    throw new Error(`there are ${specs.length} guests, and a machine has ${GUESTS_MOST} at most`);
  const names = new Set<string>();
  for (const spec of specs) check(spec, names);
  const [, second] = specs.filter(({ console }) => console);
  if (second) throw new Error(`guest ${second.name}: another one has the console already`);
  const rules = specs.map(({ allow }) => ({
    bind: (allow?.bind ?? []).map(parseRule),
    connect: (allow?.connect ?? []).map(parseRule),
  }));
  const ruleCount = rules.reduce((sum, { bind, connect }) => sum + bind.length + connect.length, 0);
  const mountCount = specs.reduce((sum, { files }) => sum + files.length, 0);
  let ruleAt = HEADER + specs.length * GUEST;
  let mountAt = ruleAt + ruleCount * RULE;
  const strings = new Strings(mountAt + mountCount * MOUNT);
  const head = new Uint8Array(mountAt + mountCount * MOUNT);
  const view = new DataView(head.buffer);
  const put = (at: number, ...words: number[]): void =>
    words.forEach((word, i) => view.setUint32(at + 4 * i, word, true));

  specs.forEach((spec, index) => {
    const at = HEADER + index * GUEST;
    const { allow } = spec;
    const name = strings.add(spec.name);
    const module = strings.add(spec.module);
    const args = strings.addList([spec.name, ...spec.arguments]);
    const variables = Object.entries(spec.environment).map(([key, value]) => `${key}=${value}`);
    const environment = strings.addList(variables);
    const granted =
      (allow?.raw ? RAW : 0) | (allow?.resolve ? RESOLVE : 0) | (allow?.mark ? MARK : 0);
    const flags = (allow ? RESTRICTED | granted : 0) | (spec.console ? CONSOLE : 0);
    put(at, name.at, name.length, module.at, module.length);
    put(at + 16, args.at, args.length, spec.arguments.length + 1);
    put(at + 28, environment.at, environment.length, variables.length);
    put(at + 40, spec.memory ?? 0, spec.cpu ?? 0, spec.descriptors ?? 0, RESTART[spec.restart]);
    const { bind, connect } = rules[index]!;
    put(at + 56, flags, ruleAt, bind.length, ruleAt + bind.length * RULE, connect.length);
    put(at + 76, mountAt, spec.files.length);
    for (const rule of [...bind, ...connect]) {
      view.setBigUint64(ruleAt, rule.address >> 64n, true);
      view.setBigUint64(ruleAt + 8, rule.address & 0xffff_ffff_ffff_ffffn, true);
      view.setUint16(ruleAt + 16, rule.first, true);
      view.setUint16(ruleAt + 18, rule.last, true);
      head.set([rule.protocol, rule.prefix], ruleAt + 20);
      ruleAt += RULE;
    }
    for (const mount of spec.files) {
      const path = strings.add(mount.path);
      const tree = strings.add("tree" in mount ? packFolder(mount.tree) : "");
      const ram = "ram" in mount;
      put(mountAt, path.at, path.length, ram ? RAM : 0);
      put(mountAt + 12, ram ? mount.ram : tree.at, tree.length);
      mountAt += MOUNT;
    }
  });
  const text = strings.bytes;
  put(0, MAGIC, VERSION, specs.length, head.length + text.length);
  return Buffer.concat([head, text]);
}
