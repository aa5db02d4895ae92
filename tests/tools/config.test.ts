import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { project } from "../../tools/cli/project.ts";
import { ConfigFailure, readConfig } from "../../tools/config/config.ts";
import { referenceRows } from "../../tools/config/reference.ts";

/** skerry.toml: what is understood, and what is said of a mistake, with its line and column. */

const folder = mkdtempSync(join(tmpdir(), "skerry-config-"));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(join(folder, "site"));
/** A module with a memory of two pages. */
const TWO_PAGES = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 5, 3, 1, 0, 2);
writeFileSync(join(folder, "x.wasm"), TWO_PAGES);
writeFileSync(join(folder, "main.ts"), "");
writeFileSync(join(folder, "hosts"), "");

const read = (text: string): ReturnType<typeof readConfig> => {
  writeFileSync(join(folder, "skerry.toml"), text);
  return readConfig(folder);
};

/** What is said of a file, without its name. */
function complaints(text: string): string[] {
  try {
    read(text);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigFailure, String(error));
    return error.problems.map((line) => line.replace(/^.*?skerry\.toml:/, ""));
  }
}

test("all that can be said is understood", () => {
  const config = read(`
    #:schema ./skerry.schema.json
    [guests.web]
    module = "x.wasm"
    arguments = ["--port", "80"]
    environment = { LEVEL = "2" }
    restart = "on-failure"
    memory = "1MiB"
    cpu = "50%"
    descriptors = 64
    instances = 2
    allow = { bind = ["tcp:80", "udp:*"], connect = ["tcp:[2001:db8::]/32:443", "tcp:10.0.0.0/8:1-9"], resolve = true }
    files = { "/www" = "site", "/tmp/" = { ram = "64KiB" } }
    [guests.other]
    module = "x.wasm"
    [guests.script]
    source = "main.ts"
    [network]
    ip = "10.0.0.2/24"
    gateway = "10.0.0.1"
    dns = ["1.1.1.1", "2606:4700:4700::1111"]
    search = ["lab.example", "example"]
    ndots = 2
    hosts = "hosts"
    ip6 = "2001:db8::2/64"
    gateway6 = "fe80::1"
    hostname = "web"
    congestion = "bbr"
    interfaces = { eth1 = ["10.1.0.1/24", "2001:db8:1::1/64"], "eth0.100" = ["proto=802.1ad", "mtu=1400"], br0 = ["ports=eth2+eth0.100.5", "10.5.0.1", "peer=10.5.0.2"], gre1 = ["local=192.0.2.1", "remote=192.0.2.9", "key=7", "seq", "csum", "ttl=9", "10.9.0.1/30"] }
    routes = [{ to = "10.2.0.0/16", via = "10.1.0.254", metric = 5 }, { to = "::/0", via = "fe80::1%eth1" }, { to = "0.0.0.0/0", via = "gre1", table = 100, source = "10.1.0.1" }]
    rules = [{ from = "10.1.0.0/16", iif = "eth1", table = 100, priority = 7, suppress = 0 }, { mark = 0x10, mask = 0xff, action = "prohibit" }, { to = "2001:db8::/32", table = 254 }]
    forward = true
    redirects = false
    advertise = { eth1 = { preference = "low", interval = 300, managed = true, dns = ["2001:db8::53"] } }
    ecn = "on"
    [log]
    level = "debug"
    [machine]
    machine = "microvm"
    memory = "64MiB"
    ports = { "8080" = 80, "8443" = 443 }
  `);
  const web = {
    module: "web",
    arguments: ["--port", "80"],
    environment: { LEVEL: "2" },
    restart: "on-failure",
    memory: 1 << 20,
    cpu: 50,
    descriptors: 64,
    allow: {
      bind: ["tcp:80", "udp:*"],
      connect: ["tcp:[2001:db8::]/32:443", "tcp:10.0.0.0/8:1-9"],
      raw: false,
      resolve: true,
    },
    files: [
      { path: "/www", tree: "/web/www" },
      { path: "/tmp", ram: 65536 },
    ],
  };
  const plain = {
    arguments: [],
    environment: {},
    restart: "never",
    allow: { bind: [], connect: [], raw: false, resolve: false },
    files: [],
  };
  assert.deepEqual(
    config.guests.flatMap(({ specs }) => specs),
    [
      { name: "web-1", ...web },
      { name: "web-2", ...web },
      { name: "other", module: "web", ...plain },
      { name: "script", module: "script", ...plain },
    ],
  );
  assert.deepEqual(config.guests[0]!.trees, [{ folder: join(folder, "site"), tree: "/web/www" }]);
  assert.deepEqual(config.trees, [{ folder: join(folder, "hosts"), tree: "/etc/hosts" }]);
  assert.equal(
    config.commandLine,
    "ip=10.0.0.2/24 gw=10.0.0.1 dns=1.1.1.1,2606:4700:4700::1111 " +
      "search=lab.example,example ndots=2 ip6=2001:db8::2/64 gw6=fe80::1 hostname=web " +
      "congestion=bbr ecn=on loglevel=debug eth1=10.1.0.1/24,2001:db8:1::1/64 " +
      "eth0.100=proto=802.1ad,mtu=1400 br0=ports=eth2+eth0.100.5,10.5.0.1,peer=10.5.0.2 " +
      "gre1=local=192.0.2.1,remote=192.0.2.9,key=7,seq,csum,ttl=9,10.9.0.1/30 " +
      "route=10.2.0.0/16,10.1.0.254,5 route=::/0,fe80::1%eth1 " +
      "route=0.0.0.0/0,gre1,table=100,src=10.1.0.1 " +
      "rule=from=10.1.0.0/16,iif=eth1,table=100,priority=7,suppress=0 rule=mark=16/255,prohibit " +
      "rule=to=2001:db8::/32,table=254 forward=on redirects=off " +
      "advertise=eth1,preference=low,interval=300,managed,dns=2001:db8::53",
  );
  assert.deepEqual(config.machine, {
    machine: "microvm",
    nic: "virtio-net-device",
    memory: 64,
    ports: [
      { host: 8080, guest: 80 },
      { host: 8443, guest: 443 },
    ],
  });
});

const GUEST = '[guests.web]\nmodule = "x.wasm"\n';

test("a DHCP server's pools become words of the command line", () => {
  const text = `${GUEST}[[network.dhcp-server]]
interface = "eth1"
range = "10.1.0.100-10.1.0.200"
lease = 600
router = "10.1.0.1"
dns = ["10.1.0.1", "10.1.0.2"]
ntp = ["10.1.0.3"]
domain = "lab.example"
stations = { "52:54:00:12:34:56" = "10.1.0.5" }

[[network.dhcp-server]]
interface = "eth1"
range = "10.9.0.10-10.9.0.99/24"
`;
  assert.equal(
    read(text).commandLine,
    "dhcpd=eth1,10.1.0.100-10.1.0.200,lease=600,router=10.1.0.1,dns=10.1.0.1,dns=10.1.0.2,ntp=10.1.0.3," +
      "domain=lab.example,52:54:00:12:34:56=10.1.0.5 dhcpd=eth1,10.9.0.10-10.9.0.99/24",
  );
});

const POOL = `${GUEST}[[network.dhcp-server]]\ninterface = "eth1"\nrange =`;

for (const [text, ...expected] of [
  ["x = = 1", /^1:5: /],
  [`${GUEST}module = "x.wasm"`, /^3:1: .*multiple times/],
  [
    "[log]",
    /^1:1: skerry\.toml has no guests: write a table for each guest, as in \[guests\.web\]$/,
  ],
  [
    "[guests.web]",
    /^1:9: guests\.web has no program: write module = "x\.wasm" or source = "main\.ts"$/,
  ],
  [
    `${POOL} "10.0.0.1"`,
    /^5:9: network\.dhcp-server\[0\]\.range is "10\.0\.0\.1": write two addresses/,
  ],
  [`${POOL} "10.0.0.9-10.0.0.1"`, /^5:9: .*the last address comes before the first$/],
  [`${POOL} "10.0.0.0-10.1.0.1"`, /^5:9: .*it is 65538 addresses, and a pool has 4096 at most$/],
  [`${POOL} "10.0.0.1-10.0.0.9"\nrouter = "x"`, /^6:10: .*router is "x": write an address/],
  [`${POOL} "10.0.0.1-10.0.0.9"\nntp = ["x"]`, /^6:8: .*ntp\[0\] is "x": write an address/],
  [`${GUEST}source = "main.ts"`, /^3:1: guests\.web\.source is one program too many: /],
  [
    '[guests.web]\nmodule = "y.wasm"',
    /^2:10: guests\.web\.module is "y\.wasm": there is no such file$/,
  ],
  [
    '[guests.web]\nmodul = "x.wasm"',
    /^2:1: "modul" is not a key of guests\.web: did you mean module\?$/,
  ],
  [
    '[guests."a b"]\nmodule = "x.wasm"',
    /^1:9: "a b" cannot be a key of guests: write 1 to 32 letters/,
  ],
  [
    `${GUEST}  restart = "sometimes"`,
    /^3:13: guests\.web\.restart is "sometimes": write "never", "on-failure" or "always"$/,
  ],
  [
    `${GUEST}memory = "16MB"\ncpu = "0%"\narguments = [1]`,
    /^3:10: guests\.web\.memory is "16MB": write an amount with its unit/,
    /^4:7: guests\.web\.cpu is "0%": write a share from "1%" to "100%"$/,
    /^5:14: guests\.web\.arguments\[0\] is 1: write a text in quotes$/,
  ],
  [
    `${GUEST}[guests.web.allow]\nbind = ["tcp:80", "tpc:80"]\nconnect = ["tcp:10.0.0.0/33:80", "udp:70000"]`,
    /^4:19: guests\.web\.allow\.bind\[1\]: "tpc:80" is no rule: its protocol is tcp or udp, as in/,
    /^5:12: .*: its prefix is at most 32 bits long/,
    /^5:34: .*: its ports are a number, a range or \*/,
  ],
  [
    `${GUEST}files = { "/a" = "site", "/a/" = "site", "/b" = "nowhere", "/c" = {}, d = "site", "/e" = { ram = "8GiB" } }`,
    /^3:26: guests\.web\.files\."\/a\/" lies over "\/a": /,
    /^3:49: guests\.web\.files\."\/b" is "nowhere": there is no such folder$/,
    /^3:60: guests\.web\.files\."\/c" has no ram: write a folder, as in "site", or \{ ram = "1MiB" \}$/,
    /^3:71: "d" cannot be a key of guests\.web\.files: write an absolute path/,
    /^3:98: guests\.web\.files\."\/e"\.ram is "8GiB": write at least "64KiB" and less than "4GiB"$/,
  ],
  [
    `${GUEST}instances = 64\n[guests.b]\nmodule = "x.wasm"`,
    /^1:2: guests are 65: an image has 64 at most$/,
  ],
  [
    `${GUEST}console = true\n[guests.b]\nmodule = "x.wasm"\nconsole = true`,
    /^6:11: guests\.b\.console is true, as guests\.web\.console is: only one can have it$/,
  ],
  [
    `${GUEST}console = true\ninstances = 2`,
    /^3:11: guests\.web\.console is true, and there are 2 of it: only one can have it$/,
  ],
  [
    `${GUEST}instances = 2\n[guests.web-2]\nmodule = "x.wasm"`,
    /^4:9: guests\.web-2 runs as web-2, as guests\.web does: rename one$/,
  ],
  [
    `${GUEST}[network]\nip = "10.0.0.2"\ngateway = "10.0.0.1"`,
    /^4:6: network\.ip is "10\.0\.0\.2": write "dhcp", "rarp", or an address with prefix length/,
  ],
  [`${GUEST}[network]\ngateway = "10.0.0.1"`, /^4:11: .*goes with a static ip or a fallback$/],
  [
    `${GUEST}[network]\nip = "10.0.0.2/24"\nfallback = "10.0.0.3/24"\ngateway = "10.0.1.1"\ndns = ["x"]`,
    /^5:12: network\.fallback is .*: a static ip needs none/,
    /^6:11: network\.gateway is "10\.0\.1\.1": it is not on the link of 10\.0\.0\.2\/24$/,
    /^7:8: network\.dns\[0\] is "x": write an address/,
  ],
  [
    `${GUEST}[network]\nhosts = "none"\nsearch = ["a b"]\nndots = 16`,
    /^4:9: network\.hosts is "none": there is no such file$/,
    /^5:\d+: network\.search\[0\] is "a b": .*a domain/,
    /^6:9: network\.ndots is 16: .*0 to 15/,
  ],
  [
    `${GUEST}[network.interfaces]\nbr0 = ["10.0.0.1/24"]\ngre1 = ["key=x", "remote=fe80::1", "ports=eth0"]\n` +
      'ipip1 = ["key=7", "remote=192.0.2.1"]\n"eth0.5" = ["10.0.0.1", "proto=qinq"]\n"eth0.4095" = ["10.1.0.1/24"]',
    /^4:1: network\.interfaces\.br0 has no ports: write "ports=eth1\+eth2"$/,
    /^5:9: network\.interfaces\.gre1\[0\] is "key=x": write a number, as in "key=7"$/,
    /^5:18: .*remote=fe80::1": write an address, as in "192\.0\.2\.1"$/,
    /^5:36: .*gre1 has no ports=: write an address, mtu=, peer=, local=, remote=, ttl=, encaplimit=, key=$/,
    /^6:10: .*ipip1 has no key=: write/,
    /^7:13: .*"10\.0\.0\.1": write an address with prefix length/,
    /^7:25: .*write "proto=802\.1q" or "proto=802\.1ad"$/,
    /^8:1: "eth0\.4095" cannot be a key/,
  ],
  [
    `${GUEST}[network]\nndots = 16\ninterfaces = { eth1 = ["10.0.0.1/8", "10.0.0.2/8"], wlan0 = [] }\n` +
      'routes = [{ to = "10.0.0.0", via = "fe80::1" }, { to = "::/0", via = "10.0.0.1" }, { to = "::/0" }]',
    /^4:9: network\.ndots is 16: write a number from 0 to 15$/,
    /^5:38: network\.interfaces\.eth1\[1\] is "10\.0\.0\.2\/8": eth1 has an IPv4 address already$/,
    /^5:53: "wlan0" cannot be a key of network\.interfaces: write eth0 to eth31, a VLAN/,
    /^5:61: network\.interfaces\.wlan0 is a list: write a list of an IPv4 address/,
    /^6:18: network\.routes\[0\]\.to is "10\.0\.0\.0": write addresses/,
    /^6:36: network\.routes\[0\]\.via is "fe80::1": write a router, as in "fe80::1%eth1"$/,
    /^6:70: network\.routes\[1\]\.via is "10\.0\.0\.1": it is of another family than ::\/0$/,
    /^6:84: network\.routes\[2\] has no via: /,
  ],
  [
    `${GUEST}[[network.routes]]\nto = "10.2.0.0/16"\nvia = "wlan0"\ntable = 255\nsource = "::1"\n` +
      '[[network.rules]]\nfrom = "10.1.0.0"\niif = "wlan0"\ntable = 7\n' +
      '[[network.rules]]\nfrom = "10.1.0.0/16"\nto = "2001:db8::/32"\nmask = 1\nsuppress = 0\n' +
      '[[network.rules]]\ntable = 254\naction = "drop"\n[[network.rules]]\ntable = 254\naction = "prohibit"',
    /^5:7: network\.routes\[0\]\.via is "wlan0": write a router, as in "10\.1\.0\.254"$/,
    /^6:9: network\.routes\[0\]\.table is 255: write a number from 1 to 2147483647, but 255$/,
    /^7:10: network\.routes\[0\]\.source is "::1": write an address of the image/,
    /^9:8: network\.rules\[0\]\.from is "10\.1\.0\.0": write addresses, as in "10\.1\.0\.0\/16"$/,
    /^10:7: network\.rules\[0\]\.iif is "wlan0": write a link, as in "eth1", or "lo"$/,
    /^11:9: network\.rules\[0\]\.table is 7: no route is in that table; write one with table = 7$/,
    /^12:3: network\.rules\[1\] does nothing: write table = 100 or action = "blackhole"$/,
    /^14:6: network\.rules\[1\]\.to is "2001:db8::\/32": it is of another family than 10\.1\.0\.0\/16$/,
    /^15:1: network\.rules\[1\]\.mask has no mark beside it/,
    /^16:1: network\.rules\[1\]\.suppress has no table beside it/,
    /^17:3: network\.rules\[2\] does two things/,
    /^19:10: network\.rules\[2\]\.action is "drop": write "blackhole", "unreachable" or "prohibit"$/,
    /^20:3: network\.rules\[3\] does two things: write either table or action$/,
  ],
  [`${GUEST}[network]\ngateway6 = "fe80::1"`, /^4:12: .*it goes with a static ip6$/],
  [`${GUEST}[lgo]`, /^3:2: "lgo" is not a section of skerry\.toml: did you mean log\?$/],
  [
    `${GUEST}[machine]\nmemory = "8MiB"\nnic = "e100"\nports = { "99999" = 80, x = 1 }`,
    /^4:10: machine\.memory is "8MiB": write whole MiB, from "16MiB"$/,
    /^5:7: machine\.nic is "e100": .*; did you mean "e1000"\?$/,
    /^6:11: "99999" is no port/,
    /^6:25: "x" cannot be a key of machine\.ports: /,
  ],
] as [string, ...RegExp[]][]) {
  test(`a mistake has its place: ${text.replace(GUEST, "").replaceAll("\n", " ")}`, () => {
    const found = complaints(text);
    assert.equal(found.length, expected.length, found.join("\n"));
    expected.forEach((pattern, index) => assert.match(found[index]!, pattern));
  });
}

test("memory below what the module begins with is seen once there is a module", () => {
  const config = read(`${GUEST}memory = "64KiB"`);
  const [problem] = config.moduleProblems(config.guests[0]!, TWO_PAGES);
  assert.match(problem!, /:3:10: guests\.web\.memory is "64KiB": its module begins with 128KiB$/);
  const enough = read(`${GUEST}memory = "128KiB"`);
  assert.deepEqual(enough.moduleProblems(enough.guests[0]!, TWO_PAGES), []);
});

test("each leaf of the schema says what it expects", () => {
  type Schema = { [key: string]: unknown };
  const visit = (schema: Schema, path: string): void => {
    if (schema["$ref"] !== undefined) return;
    if (path) assert.ok(schema["enum"] ?? schema["errorMessage"], `${path} has no errorMessage`);
    const under = schema["additionalProperties"];
    const properties = Object.entries((schema["properties"] ?? {}) as Schema);
    for (const [name, one] of properties) visit(one as Schema, `${path}.${name}`);
    if (typeof under === "object") visit(under as Schema, `${path}.*`);
    if (schema["items"]) visit(schema["items"] as Schema, `${path}[]`);
    if (schema["propertyNames"]) visit(schema["propertyNames"] as Schema, `${path} names`);
  };
  const schema = JSON.parse(readFileSync(project("skerry.schema.json"), "utf8")) as Schema;
  visit(schema, "");
  const definitions = Object.entries(schema["definitions"] as Schema);
  for (const [name, one] of definitions) visit(one as Schema, name);
});

test("docs/guests.md has every key of the schema, as the schema describes it", () => {
  const schema = JSON.parse(readFileSync(project("skerry.schema.json"), "utf8")) as object;
  const docs = readFileSync(project("docs/guests.md"), "utf8");
  const found = [...docs.matchAll(/^\| `([a-z]\S*)`\s*\| (.*?)\s*\|$/gm)]
    .map(([, key, text]) => ({ key: key!, text: text!.replaceAll("\\|", "|") }))
    .filter(({ key }) => /^(guests|network|log|machine)\b/.test(key));
  assert.deepEqual(found, referenceRows(schema));
});
