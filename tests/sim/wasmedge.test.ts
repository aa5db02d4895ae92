import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { CODE, DnsServer, TYPE, a, aaaa, answerFlags, cname, soa } from "../../tools/sim/dns.ts";
import { SECOND } from "../../tools/sim/simulation.ts";
import { cProgram } from "./guest-programs.ts";
import { simulate } from "./harness.ts";

/** WasmEdge's socket extension: what each call answers, in both of its versions (lib/host/wasi of WasmEdge 0.14). */

const said = (console: readonly string[]): string[] =>
  console.filter((line) => line && !/^ *\d+\.\d{6} /.test(line));

/** Of what `wasmedge.c` says: each family's sections, `type` the number of its addresses' type. */
function families(family: string, type: number, bytes: string): string[] {
  const [number, forms] = type === 4 ? [1, "4"] : [2, "16"];
  return [
    `-- streams, ${family}`,
    "sock_open_v2(family, STREAM, &listener): 0",
    "sock_bind(listener, at, 7001): 0",
    "sock_listen(listener, 4): 0",
    "sock_open(family, STREAM, &client): 0",
    "sock_connect_v2(client, store((int)family, bytes, length), 7001): 0",
    "sock_accept_v1(listener, &server): 0",
    "sock_send(client, two, 2, 0, &done): 0",
    "sock_recv(server, halves, 2, 0, &done, &out): 0",
    "  hello|, stream of 13",
    "sock_getpeeraddr(client, &into, &type, &port): 0",
    `  type ${type}, the same, port 7001`,
    "sock_getpeeraddr_v2(client, &stored, &port): 0",
    `  family ${number} ${bytes} port 7001`,
    "sock_getlocaladdr_v2(listener, &stored, &port): 0",
    `  family ${number} ${bytes} port 7001`,
    `sock_getlocaladdr(listener, &into, &type, &port): ${forms === "4" ? 0 : 48}`,
    "sock_getpeeraddr_v2(client, &into, &port): 28",
    "sock_getpeeraddr(listener, &stored, &type, &port): 28",
    "sock_getpeeraddr(listener, &into, &type, &port): 53",
    "fd_close(client): 0",
    "sock_recv(server, halves, 2, 0, &done, &out): 0",
    "  then 0",
  ];
}

const datagrams = (family: string, number: number, bytes: string): string[] => [
  `-- datagrams, ${family}`,
  "sock_bind(one, at, 7002): 0",
  "sock_bind_v2(two, store((int)family, bytes, length), 7003): 0",
  "sock_send_to(one, parts, 3, at, 7003, 0, &done): 0",
  "  sent 7",
  "sock_recv_from_v2(two, rooms, 2, &stored, 1, &port, &done, &out): 0",
  "  on|e t of 5, cut",
  `  family ${number} ${bytes} port 7002`,
  "sock_recv_from(two, rooms, 2, &into, 0, &done, &out): 0",
  "  5 from the same",
  "sock_send_to(one, parts, 3, store((int)family, bytes, length), 7003, 0, &done): 0",
  "sock_recv_from(two, rooms, 2, &into, 0, &done, &out): 0",
  "sock_recv_from_v2(two, rooms, 2, &into, 0, &port, &done, &out): 28",
  "sock_recv_from_v2(two, rooms, 2, &stored, 4, &port, &done, &out): 28",
  "sock_send_to(one, parts, 3, at, 7003, 1, &done): 28",
  "sock_send_to(one, parts, 3, store(3, bytes, length), 7003, 0, &done): 5",
  "sock_send_to(one, parts, 3, &into, 7003, 0, &done): 28",
];

const V4 = "7f:00:00:01";
const V6 = `${"00:".repeat(15)}01`;

const BOTH_AND_OPTIONS = `-- both families
sock_bind(listener, &any6, 7004): 0
sock_listen(listener, 4): 0
sock_connect(client, &v6, 7004): 5
sock_connect(client, &v4, 7004): 0
sock_accept_v2(listener, 4, &server): 0
sock_getpeeraddr_v2(server, &stored, &port): 0
  family 2 ${"00:".repeat(10)}ff:ff:${V4} port 0
sock_recv(server, &one, 1, 0, &got, &out): 6
-- options
sock_setsockopt(fd, 0, 0, &on, sizeof on): 0
sock_setsockopt(fd, 0, 3, &off, sizeof off): 0
sock_setsockopt(fd, 0, 3, &on, sizeof on): 50
sock_setsockopt(datagrams, 0, 4, &on, sizeof on): 0
sock_setsockopt(fd, 0, 5, &size, sizeof size): 0
sock_setsockopt(fd, 0, 6, &size, sizeof size): 0
sock_setsockopt(fd, 0, 7, &on, sizeof on): 0
sock_setsockopt(fd, 0, 8, &on, sizeof on): 0
sock_setsockopt(fd, 0, 9, linger, sizeof linger): 0
sock_setsockopt(fd, 0, 11, wait, sizeof wait): 0
sock_setsockopt(fd, 0, 12, odd, sizeof odd): 18
sock_setsockopt(fd, 0, 12, wait, 8): 28
sock_setsockopt(fd, 0, 13, &on, sizeof on): 50
sock_setsockopt(fd, 0, 14, "eth0", 4): 50
sock_setsockopt(fd, 0, 14, NULL, 0): 0
sock_setsockopt(fd, 0, 0, &on, 2): 28
sock_setsockopt(fd, 0, 15, &on, sizeof on): 50
sock_setsockopt(fd, 1, 0, &on, sizeof on): 28
reuseaddr: 0, 4 bytes 1
type: 0, 4 bytes 2
error: 0, 4 bytes 0
dontroute: 0, 4 bytes 0
broadcast: 0, 4 bytes 1
keepalive: 0, 4 bytes 1
oobinline: 0, 4 bytes 1
linger: 0, 8 bytes 1 3
rcvlowat: 0, 4 bytes 1
rcvtimeo: 0, 16 bytes 2 0 500000 0
sndtimeo: 0, 16 bytes 0 0 0 0
acceptconn: 0, 4 bytes 0
bindtodevice: 0, 0 bytes
unknown: 50, 16 bytes
type: 0, 4 bytes 1
sock_getsockopt(fd, 0, 0, few, &got): 0
  1 7 in 1
sock_setsockopt(datagrams, 0, 11, moment, sizeof moment): 0
sock_recv(datagrams, &one, 1, 0, &got, &out): 6
sock_open(3, STREAM, &got): 5
sock_open(0, STREAM, &got): 5
sock_open(INET4, 0, &got): 28
-- epoll_oneoff
epoll_oneoff(list, events, count, &done): 0
  2: type 0, error 0, 0 bytes
epoll_oneoff(list, events, count, &done): 0
  3: type 2, error 0, 0 bytes
epoll_oneoff(list, events, count, &done): 0
  1: type 1, error 0, 4 bytes
epoll_oneoff(list, events, count, &done): 0
  1: type 1, error 0, 4 bytes
epoll_oneoff(list, events, count, &done): 0
  2: type 0, error 0, 0 bytes
epoll_oneoff(list, events, count, &done): 0
  1: type 1, error 8, 0 bytes
-- end`.split("\n");

simulate("both versions of each call, over both families", (world) => {
  const guests = [cProgram("tests/sim/guests/wasmedge.c", "wasmedge")];
  const { machine } = world.ready({ memory: 32 << 20, guests });
  machine.expectLine(/guest: wasmedge ended code=0/, 20 * SECOND);
  assert.deepEqual(said(machine.console), [
    ...families("IPv4", 4, V4),
    ...families("IPv6", 6, V6),
    ...datagrams("IPv4", 1, V4),
    ...datagrams("IPv6", 2, V6),
    ...BOTH_AND_OPTIONS,
  ]);
});

const RECORDS = [
  a("web.test", "192.0.2.1"),
  a("web.test", "192.0.2.2"),
  aaaa("web.test", "2001:db8::1"),
  cname("alias.test", "web.test"),
  a("four.test", "192.0.2.4"),
];

const ONE = "192.0.2.1";
const TWO = "192.0.2.2";
const SIX = "2001:db8:0:0:0:0:0:1";
const mapped = (last: string): string => `0:0:0:0:0:ffff:c000:${last}`;

/** Family, type, protocol, bytes of the address; address, port. */
const NAMES = `web.test http: 1/2/1/16 ${ONE},80 1/2/1/16 ${TWO},80
web.test http: 1/2/1/16 ${ONE},80 1/2/1/16 ${TWO},80 2/2/1/28 ${SIX},80
web.test domain: 1/2/1/16 ${ONE},53 1/1/2/16 ${ONE},53 1/2/1/16 ${TWO},53 1/1/2/16 ${TWO},53
web.test 53: 1/1/2/16 ${ONE},53
alias.test 80: 2/2/1/28 ${SIX},80 "web.test"
four.test 80: error 83
four.test 80: 2/2/1/28 ${mapped("204")},80
web.test 80: 2/2/1/28 ${mapped("201")},80 2/2/1/28 ${mapped("202")},80 2/2/1/28 ${SIX},80
web.test 80: 1/2/1/16 ${ONE},80 1/2/1/16 ${TWO},80
2001:db8::7 80: 2/2/1/28 2001:db8:0:0:0:0:0:7,80
192.0.2.9 : 1/2/1/16 192.0.2.9,0
192.0.2.9 80: 2/2/1/28 ${mapped("209")},80
 80: 1/2/1/16 127.0.0.1,80 2/2/1/28 0:0:0:0:0:0:0:1,80
 80: 1/2/1/16 0.0.0.0,80 2/2/1/28 0:0:0:0:0:0:0:0,80
localhost 80: 1/2/1/16 127.0.0.1,80
none.test 80: error 84
web.test 80: error 84
web.test http: error 84
web.test nothing: error 85
web.test http: error 85
 : error 84
 80: error 79
web.test 80: error 79
web.test 80: error 81
web.test 80: error 86
web.test 80: error 82
node at the edge: error 21, untouched
address at the edge: error 21, untouched
data at the edge: error 21, untouched
far at the edge: error 21, untouched
just inside: error 0, 2`.split("\n");

simulate("sock_getaddrinfo finds what RFC 3493, 6.1 says", (world) => {
  new DnsServer(world.peer(), ({ name, type }) => {
    const of = (owner: string) => RECORDS.filter((record) => record.name === owner.toLowerCase());
    const alias = of(name).filter((record) => record.type === TYPE.CNAME);
    const owner = alias.length ? "web.test" : name;
    const answers = [...alias, ...of(owner).filter((record) => record.type === type)];
    const flags = answerFlags(of(owner).length ? CODE.NOERROR : CODE.NXDOMAIN);
    return { flags, answers, authorities: answers.length ? [] : [soa("test", 60)] };
  });
  const guests = [cProgram("tests/sim/guests/addrinfo.c", "addrinfo")];
  const commandLine = "gw=10.0.0.1 dns=10.0.0.1";
  const { machine } = world.ready({ memory: 32 << 20, guests, commandLine });
  machine.expectLine(/guest: addrinfo ended code=0/, 30 * SECOND);
  assert.deepEqual(said(machine.console), NAMES);
});

test("the kernel and C programs have the same services", () => {
  const kernel = readFileSync("kernel/guest/services.ts", "utf8").matchAll(
    /([\w-]+) (\d+) ([123]);/g,
  );
  const c = readFileSync("sdk/c/netdb.c", "utf8").matchAll(/\{"([\w-]+)", (\d+), (OVER_[^}]+)\}/g);
  const over = { OVER_TCP: "1", OVER_UDP: "2", "OVER_TCP | OVER_UDP": "3" };
  const ofC = [...c].map(([, name, port, what]) => [name, port, over[what as keyof typeof over]]);
  assert.ok(ofC.length > 30);
  assert.deepEqual(
    [...kernel].map(([, ...entry]) => entry),
    ofC,
  );
});
