import { existsSync, readFileSync, statSync } from "node:fs";
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { dirname, join, normalize } from "node:path";
import { Module } from "../aot/module.ts";
import { CONFIG_NAME, Failure, project, shownPath } from "../cli/project.ts";
import { GUESTS_MOST, type GuestSpec, parseRule } from "../guest/spec.ts";
import {
  MACHINES,
  type MachineType,
  NICS,
  type Nic,
  defaultNic,
  nicTrouble,
} from "../qemu/machine.ts";
import { type Document, TomlError, parseDocument, pointer } from "./document.ts";
import { bytesOf, interfaceOf } from "./amounts.ts";
import { isLinkName, linkMissing, linkTroubles } from "./links.ts";
import { type Problem, compileSchema, dotted, meant, schemaProblems, shown } from "./validate.ts";

/**
 * skerry.toml: what an image is made of. skerry.schema.json is its grammar, for editors, too; here is
 * what a schema cannot say. All that is wrong is found at once, each with its line and column.
 */

/** What [guests.NAME] says, with nothing left to look up. */
export interface ConfiguredGuest {
  /** Of [guests.NAME]. */
  name: string;
  /** The program: a .wasm file, or a source (.ts, .c) that is to become one. Absolute. */
  program: string;
  /** One for each instance. `module` is the program's name among the image's modules. */
  specs: GuestSpec[];
  /** Folders that the pack takes in, absolute, each with the path that its files have in the pack. */
  trees: { folder: string; tree: string }[];
}

/** What [machine] says. */
export interface ConfiguredMachine {
  machine?: MachineType;
  nic?: Nic;
  /** MiB. */
  memory?: number;
  ports?: { host: number; guest: number }[];
}

export interface Config {
  /** The file, and the folder that its paths are relative to; absolute. */
  file: string;
  folder: string;
  guests: ConfiguredGuest[];
  /** What the pack takes in that is no guest's own, likewise. */
  trees: { folder: string; tree: string }[];
  /** Words for the kernel: they are part of the image, and those given at boot override them. */
  commandLine: string;
  machine: ConfiguredMachine;
  /** What a program needs that the file does not grant it: known once there is a module. */
  moduleProblems(guest: ConfiguredGuest, wasm: Uint8Array): string[];
}

/** All that is wrong with a file, a line each, as `skerry.toml:12:8: …`. */
export class ConfigFailure extends Failure {
  constructor(readonly problems: string[]) {
    super(problems.join("\n"));
  }
}

/** The table [network]. */
export interface NetworkTable {
  ip?: string;
  fallback?: string;
  gateway?: string;
  dns?: string[];
  search?: string[];
  ndots?: number;
  dnssec?: "off" | "on" | "strict";
  anchors?: string[];
  insecure?: string[];
  hosts?: string;
  interfaces?: { [name: string]: string[] };
  routes?: GivenRoute[];
  rules?: GivenRule[];
  forward?: boolean;
  "dhcp-server"?: RawPool[];
  redirects?: boolean;
  advertise?: { [name: string]: Advertised };
  ip6?: string;
  gateway6?: string;
  hostname?: string;
  mdns?: boolean;
  congestion?: string;
  ecn?: string;
}

/** One of its routes. */
interface GivenRoute {
  to: string;
  via: string;
  metric?: number;
  table?: number;
  source?: string;
}

/** One of its rules: what it looks at, and what it does. */
export interface GivenRule {
  priority?: number;
  from?: string;
  to?: string;
  iif?: string;
  mark?: number;
  mask?: number;
  table?: number;
  suppress?: number;
  action?: "blackhole" | "unreachable" | "prohibit";
}

/** What the schema lets through. */
interface Raw {
  guests: { [name: string]: RawGuest };
  network?: NetworkTable;
  log?: { level?: string };
  machine?: {
    machine?: MachineType;
    nic?: string;
    memory?: string;
    ports?: { [host: string]: number };
  };
}

/** What a router advertises on a card's link. */
interface Advertised {
  preference?: string;
  lifetime?: number;
  interval?: number;
  mtu?: number;
  managed?: boolean;
  other?: boolean;
  dns?: string[];
  search?: string[];
}

interface RawPool {
  interface: string;
  range: string;
  lease?: number;
  router?: string;
  dns?: string[];
  ntp?: string[];
  domain?: string;
  stations?: { [mac: string]: string };
}

interface RawGuest {
  module?: string;
  source?: string;
  arguments?: string[];
  environment?: { [name: string]: string };
  restart?: GuestSpec["restart"];
  memory?: string;
  cpu?: string;
  descriptors?: number;
  instances?: number;
  console?: boolean;
  allow?: {
    bind?: string[];
    connect?: string[];
    raw?: boolean;
    resolve?: boolean;
    mark?: boolean;
  };
  files?: { [path: string]: string | { ram: string } };
}

const PAGE = 65536;
const MACHINE_MIB_MIN = 16;
const MIB = 2 ** 20;

/** Reads with the schema in hand, and goes on where the schema found nothing to complain of. */
class Checker {
  private readonly value: unknown;
  readonly problems: Problem[];

  constructor(
    document: Document,
    private readonly folder: string,
  ) {
    const schema = JSON.parse(readFileSync(project("skerry.schema.json"), "utf8")) as object;
    this.value = document.value;
    this.problems = schemaProblems(compileSchema(schema), this.value);
  }

  private report(path: readonly (string | number)[], says: (name: string) => string, key = false) {
    const at = pointer(path);
    this.problems.push({ at, key, message: says(dotted(at, this.value)) });
  }

  /** What stands at a path, unless it is missing or the schema has refused it or something in it. */
  private at<T>(...path: (string | number)[]): T | undefined {
    const at = pointer(path);
    const bad = this.problems.some(
      (problem) => !problem.key && (at === problem.at || at.startsWith(`${problem.at}/`)),
    );
    if (bad) return undefined;
    return path.reduce<unknown>(
      (value, part) => (value as { [key: string]: unknown } | undefined)?.[part],
      this.value,
    ) as T | undefined;
  }

  /** Keys of a table. */
  private keys(...path: string[]): string[] {
    return Object.keys(this.at<object>(...path) ?? {});
  }

  check(): void {
    const instances = new Map<string, string>();
    for (const name of this.keys("guests")) {
      this.checkProgram(name);
      this.checkRules(name);
      this.checkFiles(name);
      this.checkAmount("guests", name, "memory");
      this.checkConsole(name);
      for (const instance of instanceNames(name, this.at<number>("guests", name, "instances"))) {
        const other = instances.get(instance);
        if (other !== undefined) {
          this.report(
            ["guests", name],
            (at) => `${at} runs as ${instance}, as guests.${other} does: rename one`,
            true,
          );
        }
        instances.set(instance, name);
      }
    }
    if (instances.size > GUESTS_MOST) {
      const count = instances.size;
      this.report(
        ["guests"],
        (at) => `${at} are ${count}: an image has ${GUESTS_MOST} at most`,
        true,
      );
    }
    this.checkNetwork();
    this.checkMachine();
  }

  /** Amounts beyond what Wasm can have, or below its page. */
  private checkAmount(...path: string[]): void {
    const amount = this.at<string>(...path);
    if (amount === undefined || (bytesOf(amount) >= PAGE && bytesOf(amount) < 2 ** 32)) return;
    this.report(
      path,
      (at) => `${at} is ${shown(amount)}: write at least "64KiB" and less than "4GiB"`,
    );
  }

  private checkConsole(name: string): void {
    const has = (other: string) => this.at<boolean>("guests", other, "console") === true;
    if (!has(name)) return;
    const path = ["guests", name, "console"];
    const first = this.keys("guests").find(has)!;
    const instances = this.at<number>("guests", name, "instances") ?? 1;
    if (first !== name)
      this.report(
        path,
        (at) => `${at} is true, as guests.${first}.console is: only one can have it`,
      );
    else if (instances > 1)
      this.report(
        path,
        (at) => `${at} is true, and there are ${instances} of it: only one can have it`,
      );
  }

  private checkProgram(name: string): void {
    const guest = this.at<RawGuest>("guests", name);
    if (typeof guest !== "object") return;
    const path = ["guests", name];
    if (guest.module === undefined && guest.source === undefined) {
      const typo = this.problems.some(({ at, key }) => key && at.startsWith(`${pointer(path)}/`));
      if (!typo)
        this.report(
          path,
          (at) => `${at} has no program: write module = "x.wasm" or source = "main.ts"`,
          true,
        );
    } else if (guest.module !== undefined && guest.source !== undefined) {
      this.report(
        [...path, "source"],
        (at) => `${at} is one program too many: write either module or source`,
        true,
      );
    }
    for (const key of ["module", "source"] as const) {
      const file = this.at<string>(...path, key);
      if (file === undefined || isFile(join(this.folder, file))) continue;
      this.report([...path, key], (at) => `${at} is ${shown(file)}: there is no such file`);
    }
  }

  private checkRules(name: string): void {
    for (const key of ["bind", "connect"]) {
      const path = ["guests", name, "allow", key];
      const rules = this.at<string[]>(...path) ?? [];
      rules.forEach((_, index) => {
        const rule = this.at<string>(...path, index);
        const trouble = rule === undefined ? null : ruleTrouble(rule);
        if (trouble) this.report([...path, index], (at) => `${at}: ${trouble}`);
      });
    }
  }

  private checkFiles(name: string): void {
    const seen = new Map<string, string>();
    for (const mount of this.keys("guests", name, "files")) {
      const path = ["guests", name, "files", mount];
      const place = normalize(`${mount}/`);
      const other = seen.get(place);
      if (other !== undefined) {
        this.report(
          path,
          (at) => `${at} lies over ${shown(other)}: a path can be there once`,
          true,
        );
      }
      seen.set(place, mount);
      const tree = this.at<string | object>(...path);
      if (typeof tree === "object") this.checkAmount(...path, "ram");
      if (typeof tree !== "string" || isFolder(join(this.folder, tree))) continue;
      this.report(path, (at) => `${at} is ${shown(tree)}: there is no such folder`);
    }
  }

  private checkNetwork(): void {
    const get = (key: string): string | undefined => this.at<string>("network", key);
    const refuse = (key: string, trouble: string): void =>
      this.report(["network", key], (at) => `${at} is ${shown(get(key))}: ${trouble}`);
    const address = (
      key: string,
      other: readonly string[],
      family: (text: string) => boolean,
      like: string,
    ) => {
      const text = get(key);
      if (text === undefined || other.includes(text)) return null;
      const found = interfaceOf(text);
      if (found && family(found.address)) return found;
      const words = other.map((word) => `${shown(word)}, `).join("");
      refuse(
        key,
        `write ${words}${words && "or "}an address with prefix length, as in ${shown(like)}`,
      );
      return null;
    };
    const single = (key: string, family: (text: string) => boolean, like: string) => {
      const text = get(key);
      if (text === undefined || family(text)) return text;
      refuse(key, `write an address, as in ${shown(like)}`);
      return undefined;
    };
    const mode = get("ip");
    const isStatic = mode !== undefined && mode !== "dhcp" && mode !== "rarp";
    const ip = address("ip", ["dhcp", "rarp"], isIPv4, "10.0.0.2/24");
    const fallback = address("fallback", [], isIPv4, "10.0.0.2/24");
    const gateway = single("gateway", isIPv4, "10.0.0.1");
    if (get("fallback") !== undefined && isStatic) {
      refuse("fallback", 'a static ip needs none; write ip = "dhcp" or leave it out');
    }
    const own = ip ?? fallback;
    if (gateway !== undefined && !isStatic && get("fallback") === undefined) {
      refuse("gateway", "DHCP gives the router; a gateway goes with a static ip or a fallback");
    } else if (gateway !== undefined && own && !isOnLink(own, gateway, "ipv4")) {
      refuse("gateway", `it is not on the link of ${own.address}/${own.prefix}`);
    }
    const validates = /^(on|strict)$/.test(this.at<string>("network", "dnssec") ?? "");
    this.checkItems(["network", "dns"], (server) => {
      if (server !== "iterative") return isIP(server) ? null : 'write an address, as in "1.1.1.1"';
      return validates ? null : 'write dnssec = "on" or "strict" beside it';
    });
    for (const link of this.keys("network", "interfaces")) {
      const path = ["network", "interfaces", link];
      const parts = this.at<string[]>(...path);
      if (!parts || !isLinkName(link)) continue;
      const troubles = linkTroubles(link, parts);
      this.checkItems(path, (_, index) => troubles[index]!);
      const missing = linkMissing(link, parts);
      if (missing) this.report(path, (at) => `${at} ${missing}`, true);
    }
    const routes = this.at<{ to: string; via: string }[]>("network", "routes") ?? [];
    routes.forEach((_, index) => this.checkRoute(index));
    const rules = this.at<GivenRule[]>("network", "rules") ?? [];
    rules.forEach((_, index) => this.checkRule(index));
    this.checkTables();
    const pools = this.at<RawPool[]>("network", "dhcp-server") ?? [];
    pools.forEach((_, index) => this.checkPool(index));
    const hosts = get("hosts");
    if (hosts !== undefined && !isFile(join(this.folder, hosts))) {
      refuse("hosts", "there is no such file");
    }
    const own6 = address("ip6", ["auto", "dhcp", "off"], isIPv6, "2001:db8::2/64");
    const gateway6 = single("gateway6", isIPv6, "fe80::1");
    if (gateway6 === undefined) return;
    if (!own6 && ["auto", "dhcp", "off", undefined].includes(get("ip6"))) {
      refuse("gateway6", "it goes with a static ip6");
    } else if (own6 && !/^fe[89ab]/i.test(gateway6) && !isOnLink(own6, gateway6, "ipv6")) {
      refuse("gateway6", `it is not on the link of ${own6.address}/${own6.prefix}`);
    }
  }

  /** Each text of a list; `troubleOf` says what is wrong with one. */
  private checkItems(
    path: string[],
    troubleOf: (text: string, index: number) => string | null,
  ): void {
    (this.at<string[]>(...path) ?? []).forEach((_, index) => {
      const text = this.at<string>(...path, index);
      const trouble = text === undefined ? null : troubleOf(text, index);
      if (trouble) this.report([...path, index], (at) => `${at} is ${shown(text)}: ${trouble}`);
    });
  }

  private checkRoute(index: number): void {
    const path = ["network", "routes", index];
    const to = this.at<string>(...path, "to");
    const via = this.at<string>(...path, "via");
    const prefix = this.checkPrefix([...path, "to"], "10.2.0.0/16");
    const source = this.at<string>(...path, "source");
    if (
      source !== undefined &&
      (!isIP(source) || (prefix && isIP(source) !== isIP(prefix.address)))
    ) {
      const like = prefix && isIPv6(prefix.address) ? "2001:db8::2" : "10.1.0.2";
      this.report(
        [...path, "source"],
        (at) => `${at} is ${shown(source)}: write an address of the image, as in "${like}"`,
      );
    }
    if (via === undefined || isLinkName(via)) return;
    const [router = "", card, ...more] = via.split("%");
    const local = /^fe[89ab]/i.test(router);
    if (more.length || !isIP(router) || local !== (card !== undefined)) {
      const like = local ? "fe80::1%eth1" : "10.1.0.254";
      this.report(
        [...path, "via"],
        (at) => `${at} is ${shown(via)}: write a router, as in "${like}"`,
      );
    } else if (prefix && isIP(prefix.address) !== isIP(router)) {
      this.report(
        [...path, "via"],
        (at) => `${at} is ${shown(via)}: it is of another family than ${to}`,
      );
    }
  }

  private checkPrefix(path: (string | number)[], like: string) {
    const text = this.at<string>(...path);
    const prefix = text === undefined ? null : interfaceOf(text, 0);
    if (text !== undefined && !prefix) {
      this.report(path, (at) => `${at} is ${shown(text)}: write addresses, as in ${shown(like)}`);
    }
    return prefix;
  }

  private checkRule(index: number): void {
    const path = ["network", "rules", index];
    const rule = this.at<GivenRule>(...path);
    if (rule === undefined) return;
    const from = this.checkPrefix([...path, "from"], "10.1.0.0/16");
    const to = this.checkPrefix([...path, "to"], "10.2.0.0/16");
    if (from && to && isIP(from.address) !== isIP(to.address)) {
      this.report(
        [...path, "to"],
        (at) => `${at} is ${shown(rule.to)}: it is of another family than ${rule.from}`,
      );
    }
    if (rule.iif !== undefined && rule.iif !== "lo" && !isLinkName(rule.iif)) {
      this.report(
        [...path, "iif"],
        (at) => `${at} is ${shown(rule.iif)}: write a link, as in "eth1", or "lo"`,
      );
    }
    if (rule.mask !== undefined && rule.mark === undefined) {
      this.report([...path, "mask"], (at) => `${at} has no mark beside it: write mark = 1`, true);
    }
    if (rule.suppress !== undefined && rule.table === undefined) {
      this.report(
        [...path, "suppress"],
        (at) => `${at} has no table beside it: write table = ${TABLE_MAIN}`,
        true,
      );
    }
    if ((rule.table === undefined) === (rule.action === undefined)) {
      this.report(
        path,
        (at) =>
          rule.table === undefined
            ? `${at} does nothing: write table = 100 or action = "blackhole"`
            : `${at} does two things: write either table or action`,
        true,
      );
    }
  }

  /** Rules to tables that no route is in, and more tables than the kernel has room for. */
  private checkTables(): void {
    const routes = this.at<GivenRoute[]>("network", "routes") ?? [];
    const rules = this.at<GivenRule[]>("network", "rules") ?? [];
    const tables = new Set(routes.map(({ table = TABLE_MAIN }) => table).concat(TABLE_MAIN));
    rules.forEach(({ table }, index) => {
      if (table === undefined || tables.has(table)) return;
      this.report(
        ["network", "rules", index, "table"],
        (at) => `${at} is ${table}: no route is in that table; write one with table = ${table}`,
      );
    });
    if (tables.size <= TABLES_MOST + 1) return;
    this.report(
      ["network", "routes"],
      (at) => `${at} are in ${tables.size - 1} tables beside the main one: ${TABLES_MOST} at most`,
      true,
    );
  }

  /** What the kernel would refuse, or could not keep: net/dhcp/pool.ts. */
  private checkPool(index: number): void {
    const path = ["network", "dhcp-server", index];
    const range = this.at<string>(...path, "range");
    const trouble = range === undefined ? null : rangeTrouble(range);
    if (trouble) {
      this.report([...path, "range"], (at) => `${at} is ${shown(range)}: ${trouble}`);
    }
    const address = (...key: (string | number)[]): void => {
      const text = this.at<string>(...path, ...key);
      if (text === undefined || isIPv4(text)) return;
      this.report(
        [...path, ...key],
        (at) => `${at} is ${shown(text)}: write an address, as in "10.1.0.1"`,
      );
    };
    address("router");
    for (const key of ["dns", "ntp"]) {
      (this.at<string[]>(...path, key) ?? []).forEach((_, i) => address(key, i));
    }
    const stations = this.at<object>(...path, "stations") ?? {};
    for (const mac of Object.keys(stations)) address("stations", mac);
  }

  private checkMachine(): void {
    const memory = this.at<string>("machine", "memory");
    if (
      memory !== undefined &&
      (bytesOf(memory) < MACHINE_MIB_MIN * MIB || bytesOf(memory) % MIB)
    ) {
      this.report(
        ["machine", "memory"],
        (at) => `${at} is ${shown(memory)}: write whole MiB, from "${MACHINE_MIB_MIN}MiB"`,
      );
    }
    const nic = this.at<string>("machine", "nic");
    const machine = this.at<MachineType>("machine", "machine") ?? MACHINES[0];
    const trouble = nic === undefined ? null : nicTrouble(nic, machine);
    if (trouble) {
      const near = meant(nic!, NICS);
      const hint = near && !nicTrouble(near, machine) ? `; did you mean ${shown(near)}?` : "";
      this.report(["machine", "nic"], (at) => `${at} is ${shown(nic)}: ${trouble}${hint}`);
    }
    for (const host of this.keys("machine", "ports")) {
      if (!/^\d+$/.test(host) || Number(host) <= 65535) continue;
      this.report(
        ["machine", "ports", host],
        () => `${shown(host)} is no port: write 1 to 65535`,
        true,
      );
    }
  }
}

/** The main table, and how many there may be beside it: net/route/table.ts. */
const TABLE_MAIN = 254;
const TABLES_MOST = 32;

/** Addresses of a DHCP server's pool: POOL_ADDRESSES of net/dhcp/pool.ts. */
const POOL_MOST = 4096;

/** What is wrong with a pool's range, or null. */
function rangeTrouble(range: string): string | null {
  const [, first = "", last = "", bits = "24"] =
    /^([\d.]+)-([\d.]+)(?:\/(\d+))?$/.exec(range) ?? [];
  if (!isIPv4(first) || !isIPv4(last)) {
    return 'write two addresses, as in "10.1.0.100-10.1.0.200"';
  }
  const number = (address: string): number =>
    address.split(".").reduce((sum, octet) => sum * 256 + Number(octet), 0);
  const size = number(last) - number(first) + 1;
  if (size < 1) return "the last address comes before the first";
  if (size > POOL_MOST) return `it is ${size} addresses, and a pool has ${POOL_MOST} at most`;
  return Number(bits) >= 1 && Number(bits) <= 30 ? null : "a prefix length is from 1 to 30";
}

/** Where the kernel looks for it in the pack: net/dns/resolver.ts. */
const HOSTS = "/etc/hosts";

/** What is wrong with a rule of `allow`, or null. */
function ruleTrouble(rule: string): string | null {
  try {
    parseRule(rule);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

const isFile = (path: string): boolean => existsSync(path) && statSync(path).isFile();
const isFolder = (path: string): boolean => existsSync(path) && statSync(path).isDirectory();

function isOnLink(
  { address, prefix }: { address: string; prefix: number },
  router: string,
  family: "ipv4" | "ipv6",
): boolean {
  const link = new BlockList();
  link.addSubnet(address, prefix, family);
  return link.check(router, family);
}

function instanceNames(name: string, count = 1): string[] {
  return count === 1 ? [name] : Array.from({ length: count }, (_, i) => `${name}-${i + 1}`);
}

/** A problem as compilers write it, which editors and terminals make a link of. */
function lineOf(
  file: string,
  document: Document,
  { at, key, message }: Problem,
): { text: string; order: number } {
  // What is missing has no place of its own: that of the nearest table.
  let near = at;
  while (near && !document.entries.has(near)) near = near.slice(0, near.lastIndexOf("/"));
  const entry = document.entries.get(near);
  const { line, column } = (key || near !== at ? entry?.key : entry?.value) ?? {
    line: 1,
    column: 1,
  };
  return { text: `${shownPath(file)}:${line}:${column}: ${message}`, order: line * 1e6 + column };
}

function poolWord(pool: RawPool): string {
  const { dns = [], ntp = [], stations = {} } = pool;
  const more: [string, string | number | undefined][] = [
    ["lease", pool.lease],
    ["router", pool.router],
    ...dns.map((server): [string, string] => ["dns", server]),
    ...ntp.map((server): [string, string] => ["ntp", server]),
    ["domain", pool.domain],
    ...Object.entries(stations),
  ];
  const said = more.flatMap(([key, value]) => (value === undefined ? [] : `${key}=${value}`));
  return [pool.interface, pool.range, ...said].join(",");
}

function routeWord({ to, via, metric, table, source }: GivenRoute): string {
  const more = [
    ...(metric === undefined ? [] : [`${metric}`]),
    ...(table === undefined ? [] : [`table=${table}`]),
    ...(source === undefined ? [] : [`src=${source}`]),
  ];
  return [to, via, ...more].join(",");
}

function ruleWord({ action, mark, mask, ...rule }: GivenRule): string {
  const said = Object.entries(rule).map(([key, value]) => `${key}=${value}`);
  if (mark !== undefined) said.push(`mark=${mark}${mask === undefined ? "" : `/${mask}`}`);
  return [...said, ...(action ? [action] : [])].join(",");
}

/** The words of the kernel's command line that say the same. */
export function commandLineOf({
  network = {},
  log = {},
}: {
  network?: NetworkTable;
  log?: { level?: string };
}): string {
  const words: [string, string | undefined][] = [
    ["ip", network.ip],
    ["fallback", network.fallback],
    ["gw", network.gateway],
    ["dns", network.dns?.[0] === "iterative" ? "iterative" : network.dns?.join(",")],
    [
      "hints",
      network.dns?.[0] === "iterative" ? network.dns.slice(1).join(",") || undefined : undefined,
    ],
    ["search", network.search?.join(",")],
    ["ndots", network.ndots?.toString()],
    ["dnssec", network.dnssec],
    ...(network.anchors ?? []).map((anchor): [string, string] => ["anchor", anchor]),
    ...(network.insecure ?? []).map((domain): [string, string] => ["insecure", domain]),
    ["ip6", network.ip6],
    ["gw6", network.gateway6],
    ["hostname", network.hostname],
    ["mdns", network.mdns === undefined ? undefined : network.mdns ? "on" : "off"],
    ["congestion", network.congestion],
    ["ecn", network.ecn],
    ["loglevel", log.level],
    ...Object.entries(network.interfaces ?? {}).map(([card, list]): [string, string] => [
      card,
      list.join(","),
    ]),
    ...(network.routes ?? []).map((route): [string, string] => ["route", routeWord(route)]),
    ...(network.rules ?? []).map((rule): [string, string] => ["rule", ruleWord(rule)]),
    ...(network["dhcp-server"] ?? []).map((pool): [string, string] => ["dhcpd", poolWord(pool)]),
    ["forward", onOff(network.forward)],
    ["redirects", onOff(network.redirects)],
    ...Object.entries(network.advertise ?? {}).map(([card, said]): [string, string] => [
      "advertise",
      [card, ...advertisedWords(said)].join(","),
    ]),
  ];
  return words.flatMap(([key, value]) => (value === undefined ? [] : `${key}=${value}`)).join(" ");
}

/** As the kernel's command line has it: `key=value`, once for each of a list; a flag by its name alone. */
const advertisedWords = (said: Advertised): string[] =>
  Object.entries(said).flatMap(([key, value]: [string, string | number | boolean | string[]]) =>
    typeof value === "boolean"
      ? value
        ? [key]
        : []
      : [value].flat().map((one) => `${key}=${one}`),
  );

const onOff = (flag?: boolean): string | undefined =>
  flag === undefined ? undefined : flag ? "on" : "off";

function machineOf({ machine = {} }: Raw): ConfiguredMachine {
  const { nic = machine.machine && defaultNic(machine.machine), memory, ports } = machine;
  return {
    ...(machine.machine ? { machine: machine.machine } : {}),
    ...(nic ? { nic: nic as Nic } : {}),
    ...(memory ? { memory: bytesOf(memory) / MIB } : {}),
    ...(ports
      ? { ports: Object.entries(ports).map(([host, guest]) => ({ host: Number(host), guest })) }
      : {}),
  };
}

function guestOf(name: string, guest: RawGuest, folder: string, module: string): ConfiguredGuest {
  const files = Object.entries(guest.files ?? {}).map(([path, what]) => {
    const mount = normalize(path).replace(/(.)\/$/, "$1");
    return typeof what === "string"
      ? { path: mount, tree: `/${name}${mount === "/" ? "" : mount}`, folder: join(folder, what) }
      : { path: mount, ram: bytesOf(what.ram) };
  });
  const { bind = [], connect = [], raw = false, resolve = false, mark } = guest.allow ?? {};
  const spec = {
    module,
    arguments: guest.arguments ?? [],
    environment: guest.environment ?? {},
    restart: guest.restart ?? "never",
    ...(guest.memory === undefined ? {} : { memory: bytesOf(guest.memory) }),
    ...(guest.cpu === undefined ? {} : { cpu: Number(guest.cpu.slice(0, -1)) }),
    ...(guest.descriptors === undefined ? {} : { descriptors: guest.descriptors }),
    ...(guest.console ? { console: true } : {}),
    allow: { bind, connect, raw, resolve, ...(mark && { mark }) },
    files: files.map((file) =>
      "ram" in file ? { path: file.path, ram: file.ram } : { path: file.path, tree: file.tree },
    ),
  };
  return {
    name,
    program: join(folder, guest.module ?? guest.source!),
    specs: instanceNames(name, guest.instances).map((instance) => ({ name: instance, ...spec })),
    trees: files.flatMap((file) => ("ram" in file ? [] : { folder: file.folder, tree: file.tree })),
  };
}

/** Reads a folder's skerry.toml; throws a `ConfigFailure` with all that is wrong with it. */
export function readConfig(folder: string): Config {
  const file = join(folder, CONFIG_NAME);
  if (!existsSync(file)) throw new Failure(`there is no ${file}`);
  let document: Document;
  try {
    document = parseDocument(readFileSync(file, "utf8"));
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const { line, column } = error.place;
    throw new ConfigFailure([`${shownPath(file)}:${line}:${column}: ${error.message}`]);
  }
  const checker = new Checker(document, folder);
  checker.check();
  if (checker.problems.length) {
    const lines = checker.problems.map((problem) => lineOf(file, document, problem));
    throw new ConfigFailure(lines.sort((a, b) => a.order - b.order).map(({ text }) => text));
  }
  const raw = document.value as Raw;
  const guests = Object.entries(raw.guests);
  const program = (guest: RawGuest): string => join(folder, guest.module ?? guest.source!);
  // A program is called like the first guest that runs it.
  const modules = new Map<string, string>();
  for (const [name, guest] of guests) {
    if (!modules.has(program(guest))) modules.set(program(guest), name);
  }
  return {
    file,
    folder: dirname(file),
    guests: guests.map(([name, guest]) =>
      guestOf(name, guest, folder, modules.get(program(guest))!),
    ),
    trees:
      raw.network?.hosts === undefined
        ? []
        : [{ folder: join(folder, raw.network.hosts), tree: HOSTS }],
    commandLine: commandLineOf(raw),
    machine: machineOf(raw),
    moduleProblems({ name, specs }, wasm) {
      const limit = specs[0]!.memory;
      const needed = (new Module(wasm).memories[0]?.min ?? 0) * PAGE;
      if (limit === undefined || needed <= limit) return [];
      const at = pointer(["guests", name, "memory"]);
      const KiB = Math.ceil(needed / 1024);
      const message = `${dotted(at, raw)} is ${shown(raw.guests[name]!.memory)}: its module begins with ${KiB}KiB`;
      return [lineOf(file, document, { at, message }).text];
    },
  };
}
