import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  ACK,
  type Frame,
  ICMP,
  icmpMessage,
  icmp6Message,
  ICMPV6,
  ipv4Packet,
  SYN,
  UDP,
} from "../../../tools/sim/frames.ts";
import { type Peer, PeerTcp } from "../../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../../tools/sim/simulation.ts";
import { Domain, SocketOption, Sockets } from "../../../tools/sim/sockets.ts";
import { counters, held } from "../counters.ts";
import { fails } from "../harness.ts";
import { isUdp, pass, ping, type Routed, routed } from "./network.ts";

const FAR = "198.51.100.7";
const FAR6 = "2001:db8:ff::7";
const EACCES = 13;
const EINVAL = 22;
const ENETUNREACH = 101;

/** Links 2 and 3 lead to providers: the main table to the first of them, table 100 to the second. */
const UPLINKS =
  "route=0.0.0.0/0,10.2.0.254 route=::/0,2001:db8:2::fe " +
  "route=0.0.0.0/0,10.3.0.254,table=100 route=::/0,2001:db8:3::fe,table=100";

const uplinks = (network: Routed): readonly [Peer, Peer] => [
  network.peer(2, 254),
  network.peer(3, 254),
];

/** A test with a router, a link of its own and two that lead on. */
function policed(name: string, rules: string, body: (network: Routed) => void): void {
  routed(name, body, `${UPLINKS} ${rules}`, 3);
}

/** Which of the peers got a datagram, from 0 on, -1 for none, and nobody else did; after `send`. */
function taken(network: Routed, peers: readonly Peer[], send: () => void, is = isUdp): number {
  for (const peer of peers) peer.inbox = [];
  send();
  network.simulation.run(20 * MILLISECOND);
  const who = peers.flatMap((peer, i) => (peer.inbox.some(is) ? [i] : []));
  assert.ok(who.length <= 1, `${who}`);
  return who[0] ?? -1;
}

describe("policy routing of what goes on", () => {
  policed(
    "by source, packet for packet: no way kept for one is another's",
    "rule=from=10.1.7.0/24,table=100 rule=from=2001:db8:1:7::/64,table=100",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      for (let round = 0; round < 6; round++) {
        for (const [source, which] of [
          ["10.1.0.9", 0],
          ["10.1.7.9", 1],
          ["10.1.8.9", 0],
          ["10.1.7.200", 1],
        ] as const) {
          assert.equal(
            taken(network, up, () => pass(left, FAR, { source })),
            which,
          );
        }
        for (const [source, which] of [
          ["2001:db8:1::9", 0],
          ["2001:db8:1:7::9", 1],
        ] as const) {
          assert.equal(
            taken(network, up, () => pass(left, FAR6, { source })),
            which,
          );
        }
      }
      assert.equal(held(network.router), 0);
    },
  );

  policed(
    "by the link that it came by, and what is our own by none",
    "rule=iif=eth1,table=100 rule=iif=lo,to=198.51.100.0/24,table=100 route=198.51.100.8/32,10.1.0.9,table=100",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      const [first] = up;
      for (let round = 0; round < 3; round++) {
        assert.equal(
          taken(network, up, () => pass(left, FAR)),
          0,
        );
        assert.equal(
          taken(network, up, () => pass(first, FAR)),
          1,
        );
        assert.equal(
          taken(network, up, () => pass(first, FAR6)),
          1,
        );
        const sockets = new Sockets(network.router);
        const socket = sockets.datagram();
        assert.equal(
          taken(network, up, () => sockets.sendTo(socket, Uint8Array.of(1), FAR, 9)),
          1,
        );
        assert.equal(
          taken(network, up, () => sockets.sendTo(socket, Uint8Array.of(1), "192.0.2.1", 9)),
          0,
        );
        sockets.close(socket);
      }
    },
  );

  policed(
    "rules end the search: blackhole says nothing, unreachable and prohibit do (RFC 1812, 5.2.7.1; RFC 4443, 3.1)",
    "rule=to=198.51.100.1/32,blackhole rule=to=198.51.100.2/32,unreachable rule=to=198.51.100.3/32,prohibit " +
      "rule=to=2001:db8:ff::1/128,blackhole rule=to=2001:db8:ff::2/128,unreachable rule=to=2001:db8:ff::3/128,prohibit",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      const told = ({ icmp, icmp6 }: Frame): boolean =>
        icmp?.type === 3 || (icmp6?.type === 1 && icmp6.code !== undefined);
      for (const [host, code, code6] of [
        [1, undefined, undefined],
        [2, 0, 0],
        [3, 13, 1],
      ] as const) {
        for (const [to, expected] of [
          [`198.51.100.${host}`, code],
          [`2001:db8:ff::${host}`, code6],
        ] as const) {
          assert.equal(
            taken(network, up, () => pass(left, to)),
            -1,
          );
          const answer = left.inbox.find(told);
          left.inbox = [];
          assert.equal((answer?.icmp ?? answer?.icmp6)?.code, expected, to);
        }
      }
      assert.equal(
        taken(network, up, () => pass(left, "198.51.100.4")),
        0,
      );
      assert.equal(counters(network.router, "ip")["noRoute"], 3);
      assert.equal(counters(network.router, "ipv6")["noRoute"], 3);
      assert.equal(held(network.router), 0);
    },
  );

  policed(
    "by priority, then in the order given; a table without a way to it, or none but short ones, is passed by",
    "rule=priority=30,to=198.51.100.0/24,prohibit rule=priority=20,from=10.1.0.0/16,table=200 " +
      "rule=priority=10,table=100,suppress=0 rule=priority=20,from=10.1.0.0/24,table=100 " +
      "route=203.0.113.0/24,10.2.0.253,table=100 route=192.0.2.0/24,10.2.0.252,table=200",
    (network) => {
      const left = network.peer(1);
      const peers = [...uplinks(network), network.peer(2, 253), network.peer(2, 252)];
      const goes = (to: string, source: string): number =>
        taken(network, peers, () => pass(left, to, { source }));
      // 10: the default route of table 100 does not count, its route of 24 bits does.
      assert.equal(goes("203.0.113.1", "10.1.9.9"), 2);
      // 20, the first of them.
      assert.equal(goes("192.0.2.1", "10.1.0.9"), 3);
      // 20, the second: table 200 knows nothing of it.
      assert.equal(goes("198.51.100.9", "10.1.0.9"), 1);
      // 30.
      assert.equal(goes("198.51.100.9", "10.1.9.9"), -1);
      // 32766, the main table.
      assert.equal(goes("192.0.2.9", "172.16.0.1"), 0);
    },
  );

  policed(
    "a route whose link is down does not count, so the next rule is asked until it is up again",
    "rule=from=10.1.0.0/16,table=100 rule=from=2001:db8:1::/64,table=100",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      const goes = (to: string): number => taken(network, up, () => pass(left, to));
      assert.deepEqual([goes(FAR), goes(FAR6)], [1, 1]);
      network.links[2]!.isUp = false;
      network.simulation.run(2 * SECOND);
      assert.deepEqual([goes(FAR), goes(FAR6)], [0, 0]);
      network.links[2]!.isUp = true;
      network.router.expectLine(/eth2 link up/, 3 * SECOND);
      network.simulation.run(5 * SECOND);
      assert.deepEqual([goes(FAR), goes(FAR6)], [1, 1]);
    },
  );

  policed(
    "but a rule that ends the search does: nothing leaks by the main table",
    "rule=from=10.1.0.0/16,table=100 rule=from=10.1.0.0/16,prohibit",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      const goes = (): number => taken(network, up, () => pass(left, FAR));
      assert.equal(goes(), 1);
      network.links[2]!.isUp = false;
      network.simulation.run(2 * SECOND);
      assert.equal(goes(), -1);
      assert.equal(left.expectIcmp(3).code, 13);
    },
  );

  policed(
    "our own addresses and a subnet's broadcast come before all rules, as Linux's local table",
    "rule=blackhole",
    (network) => {
      const left = network.peer(1);
      const right = network.peer(3);
      ping(left, "10.2.0.1");
      // The answer is our own packet, and the rule is for it.
      left.expectNone(({ icmp }) => icmp?.type === 0, 100 * MILLISECOND);
      const sockets = new Sockets(network.router);
      const socket = sockets.datagram();
      sockets.setOption(socket, SocketOption.Broadcast, 1);
      sockets.bind(socket, 7);
      sockets.sendTo(socket, Uint8Array.of(1), "10.3.0.255", 7);
      assert.equal(right.expect(isUdp).ipv4!.destination, "10.3.0.255");
      sockets.sendTo(socket, Uint8Array.of(1), "10.3.0.1", 7);
      network.simulation.run(MILLISECOND);
      assert.equal(sockets.receiveFrom(socket)!.address, "10.3.0.1");
    },
  );
});

describe("policy routing of our own", () => {
  policed(
    "by a socket's mark: UDP, TCP and pings, and their addresses as well",
    "rule=mark=0x7/0xf,table=100",
    (network) => {
      const up = uplinks(network);
      const sockets = new Sockets(network.router);
      const isSyn = ({ tcp }: Frame): boolean => tcp !== undefined;
      const isEcho = ({ icmp, icmp6 }: Frame): boolean => icmp?.type === 8 || icmp6?.type === 128;
      for (const [mark, which] of [
        [0, 0],
        [7, 1],
        [0x17, 1],
        [8, 0],
      ] as const) {
        for (const to of [FAR, FAR6]) {
          const domain = to === FAR ? Domain.Inet : Domain.Inet6;
          const udp = sockets.datagram(domain);
          sockets.setOption(udp, SocketOption.Mark, mark);
          assert.equal(sockets.getOption(udp, SocketOption.Mark), mark);
          const source = to === FAR ? `10.${2 + which}.0.1` : `2001:db8:${2 + which}::1`;
          assert.equal(
            taken(network, up, () => sockets.sendTo(udp, Uint8Array.of(1), to, 9)),
            which,
          );
          const { ipv4, ipv6 } = up[which].inbox.find(isUdp)!;
          assert.equal((ipv4 ?? ipv6)!.source, source);
          sockets.close(udp);

          const tcp = sockets.stream(domain);
          sockets.setOption(tcp, SocketOption.Mark, mark);
          assert.equal(sockets.getOption(tcp, SocketOption.Mark), mark);
          assert.equal(
            taken(network, up, () => sockets.connect(tcp, to, 80), isSyn),
            which,
          );
          assert.equal(sockets.localAddress(tcp).address, source);
          sockets.close(tcp);

          const echo = sockets.echo(domain);
          sockets.setOption(echo, SocketOption.Mark, mark);
          const type = to === FAR ? 8 : 128;
          const request = Uint8Array.of(type, 0, 0, 0, 0, 0, 0, 1);
          assert.equal(
            taken(network, up, () => sockets.sendTo(echo, request, to, 0), isEcho),
            which,
          );
          sockets.close(echo);
        }
      }
      const socket = sockets.datagram();
      fails(EINVAL, () => sockets.setOption(socket, SocketOption.Mark, 0x8000_0000));
    },
  );

  policed(
    "a marked listener's connections are marked from the SYN on",
    "rule=mark=7,table=100",
    (network) => {
      const left = network.peer(1);
      const up = uplinks(network);
      const sockets = new Sockets(network.router);
      const listener = sockets.stream();
      sockets.setOption(listener, SocketOption.Mark, 7);
      sockets.bind(listener, 80);
      sockets.listen(listener);
      const tcp = new PeerTcp(left, "10.1.0.1", 80, 5000);
      const isTcp = (frame: Frame): boolean => frame.tcp !== undefined;
      // Even the answer to who is on the link: table 100 knows no link.
      assert.equal(
        taken(network, up, () => tcp.send({ flags: SYN }), isTcp),
        1,
      );
      const answer = up[1].inbox.find(isTcp)!.tcp!;
      assert.equal(answer.flags, SYN | ACK);
      assert.equal(
        taken(network, up, () => tcp.send({ ack: (answer.seq + 1) >>> 0 }), isTcp),
        -1,
      );
      const accepted = sockets.accept(listener)!;
      assert.equal(sockets.getOption(accepted, SocketOption.Mark), 7);
      assert.equal(
        taken(network, up, () => sockets.send(accepted, Uint8Array.of(1)), isTcp),
        1,
      );
    },
  );

  policed(
    "by a socket's own address, so what is bound to a provider's leaves by that provider; and so do answers",
    "rule=from=10.3.0.1/32,table=100 rule=from=2001:db8:3::1/128,table=100",
    (network) => {
      const up = uplinks(network);
      const sockets = new Sockets(network.router);
      for (const [address, which] of [
        ["10.3.0.1", 1],
        ["10.2.0.1", 0],
        ["2001:db8:3::1", 1],
        ["2001:db8:2::1", 0],
      ] as const) {
        const v6 = address.includes(":");
        const socket = sockets.datagram(v6 ? Domain.Inet6 : Domain.Inet);
        sockets.bind(socket, 0, address);
        const to = v6 ? FAR6 : FAR;
        assert.equal(
          taken(network, up, () => sockets.sendTo(socket, Uint8Array.of(1), to, 9)),
          which,
        );
        sockets.close(socket);
        const echo = { code: 0, rest: 7, payload: Uint8Array.of(1) };
        const message = v6
          ? icmp6Message(to, address, { type: 128, ...echo })
          : icmpMessage({ type: 8, ...echo });
        const fields = { source: to, protocol: v6 ? ICMPV6 : ICMP, payload: message };
        const isReply = ({ icmp, icmp6 }: Frame): boolean =>
          icmp?.type === 0 || icmp6?.type === 129;
        // Asked by either provider, it answers by the address's.
        for (const asker of up) {
          assert.equal(
            taken(network, up, () => pass(asker, address, fields), isReply),
            which,
          );
        }
      }
    },
  );

  policed(
    "programs hear what rules say, as of Linux: EINVAL, ENETUNREACH, EACCES",
    "rule=to=198.51.100.1/32,blackhole rule=to=198.51.100.2/32,unreachable rule=to=198.51.100.3/32,prohibit " +
      "rule=to=2001:db8:ff::1/128,blackhole rule=to=2001:db8:ff::2/128,unreachable rule=to=2001:db8:ff::3/128,prohibit",
    (network) => {
      const sockets = new Sockets(network.router);
      for (const [host, errno] of [
        [1, EINVAL],
        [2, ENETUNREACH],
        [3, EACCES],
      ] as const) {
        for (const to of [`198.51.100.${host}`, `2001:db8:ff::${host}`]) {
          const domain = to.includes(":") ? Domain.Inet6 : Domain.Inet;
          for (const make of [
            () => sockets.datagram(domain),
            () => sockets.stream(domain),
            () => sockets.echo(domain),
          ]) {
            const socket = make();
            fails(errno, () => sockets.connect(socket, to, 80));
            sockets.close(socket);
          }
          const bound = sockets.stream(domain);
          sockets.bind(bound, 0, domain === Domain.Inet ? "10.2.0.1" : "2001:db8:2::1");
          fails(errno, () => sockets.connect(bound, to, 80));
          sockets.close(bound);
        }
      }
    },
  );

  routed(
    "a route's own address is what we send from by it, as long as it is ours",
    (network) => {
      const up = network.peer(2, 254);
      const sockets = new Sockets(network.router);
      const sourceOf = (to: string): string => {
        const socket = sockets.datagram(to.includes(":") ? Domain.Inet6 : Domain.Inet);
        sockets.sendTo(socket, Uint8Array.of(1), to, 9);
        sockets.close(socket);
        const { ipv4, ipv6 } = up.expect(isUdp);
        return (ipv4 ?? ipv6)!.source;
      };
      assert.equal(sourceOf("198.51.100.1"), "10.1.0.1");
      assert.equal(sourceOf("203.0.113.1"), "10.2.0.1");
      assert.equal(sourceOf("192.0.2.1"), "10.2.0.1");
      assert.equal(sourceOf("2001:db8:ff::1"), "2001:db8:1::1");
    },
    "route=198.51.100.0/24,10.2.0.254,src=10.1.0.1 route=203.0.113.0/24,10.2.0.254,src=10.1.0.77 " +
      "route=192.0.2.0/24,10.2.0.254 route=2001:db8:ff::/48,2001:db8:2::fe,src=2001:db8:1::1",
  );

  routed(
    "a route to a link finds its stations there, in its table",
    (network) => {
      const right = network.peer(2, 9, {
        alsoAnswers: (ip) => ip === "198.51.100.1" || ip === "2001:db8:ff::1",
      });
      const left = network.peer(1);
      pass(left, "198.51.100.1");
      right.expect(isUdp);
      pass(left, "2001:db8:ff::1");
      right.expect(isUdp);
      pass(left, "198.51.100.1", { source: "10.1.7.9" });
      right.expectNone(isUdp);
    },
    "route=198.51.100.0/24,eth1,table=7 route=2001:db8:ff::/48,eth1,table=7 rule=from=10.1.0.0/24,table=7 " +
      "rule=from=2001:db8:1::/64,table=7",
  );
});

describe("what is learnt of one way is not another's", () => {
  policed(
    "the size that a path carries (RFC 1191, RFC 8201)",
    "rule=mark=7,table=100",
    (network) => {
      const up = uplinks(network);
      const sockets = new Sockets(network.router);
      const open = (mark: number): number => {
        const socket = sockets.datagram();
        sockets.setOption(socket, SocketOption.Mark, mark);
        sockets.setOption(socket, SocketOption.MtuDiscovery, 1);
        sockets.connect(socket, FAR, 9);
        return socket;
      };
      const [plain, marked] = [open(0), open(7)];
      const mtu = (socket: number): number => sockets.getOption(socket, SocketOption.PathMtu);
      sockets.sendTo(marked, new Uint8Array(1400), FAR, 9);
      const { ipv4, udp } = up[1].expect(isUdp);
      const quote = ipv4Packet({
        source: ipv4!.source,
        destination: FAR,
        protocol: UDP,
        payload: ipv4!.payload.slice(0, 8),
      });
      assert.equal(udp!.payload.length, 1400);
      pass(up[1], ipv4!.source, {
        source: FAR,
        protocol: ICMP,
        payload: icmpMessage({ type: 3, code: 4, rest: 1300, payload: quote }),
      });
      network.simulation.run(MILLISECOND);
      assert.deepEqual([mtu(marked), mtu(plain)], [1300, 1500]);
    },
  );
});

describe("rules that make no sense", () => {
  const WRONG = [
    "from=10.1.0.0/16",
    "table=100,prohibit",
    "table=0",
    "table=255",
    "from=10.1.0.0,table=1",
    "from=10.1.0.0/16,to=2001:db8::/32,table=1",
    "mark=7/0,table=1",
    "mark=x,table=1",
    "iif=wlan0,table=1",
    "priority=0,table=1",
    "suppress=129,table=1",
    "prohibit=1",
    "table=1,",
    "",
  ];
  routed(
    "are named on the console, and do nothing",
    (network) => {
      for (const wrong of WRONG) {
        const value = new RegExp(`expected any of from=.* key=rule value="?${wrong}"?$`);
        assert.ok(
          network.router.console.some((line) => value.test(line)),
          wrong,
        );
      }
      const left = network.peer(1);
      const right = network.peer(2);
      pass(left, right.ip);
      right.expect(isUdp);
    },
    WRONG.map((rule) => `rule=${rule}`).join(" "),
  );
});
