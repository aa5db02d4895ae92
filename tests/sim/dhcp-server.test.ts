import assert from "node:assert/strict";
import { describe } from "node:test";
import {
  DECLINE,
  DHCP_ACK,
  DISCOVER,
  INFORM,
  NAK,
  OFFER,
  RELEASE,
  REQUEST,
} from "../../tools/sim/dhcp.ts";
import {
  addressIn,
  DhcpClient,
  type DhcpQuery,
  numberIn,
  query,
} from "../../tools/sim/dhcp-client.ts";
import {
  ETHERTYPE_IPV4,
  ethernet,
  ipv4Packet,
  macBytes,
  UDP,
  udpDatagram,
} from "../../tools/sim/frames.ts";
import { macAddress, type Machine } from "../../tools/sim/machine.ts";
import type { Peer } from "../../tools/sim/peer.ts";
import { MILLISECOND, SECOND } from "../../tools/sim/simulation.ts";
import { counters, held } from "./counters.ts";
import { simulate, type World } from "./harness.ts";

const SERVER = "10.0.0.1";
const ALL = "255.255.255.255";
const STATION_ALL = "ff:ff:ff:ff:ff:ff";
const SERVER_MAC = "52:54:00:5a:01:01";
const MINUTE = 60 * SECOND;

interface Bench {
  machine: Machine;
  client: DhcpClient;
}

/** A machine that leases 10.0.0.100 to 10.0.0.103, and a client without an address. */
function bench(world: World, more = "", range = "10.0.0.100-10.0.0.103"): Bench {
  const { machine } = world.ready({
    ip: `${SERVER}/24`,
    commandLine: `dhcpd=eth0,${range}${more}`,
  });
  return { machine, client: another(world, 50) };
}

/** A client whose MAC address ends in a number. Its peer's address answers nobody. */
function another(world: World, number: number): DhcpClient {
  const peer = world.peer(`10.0.9.${number & 255}`, { mac: macAddress(number) });
  return new DhcpClient(peer);
}

/** How the stack was left: nothing held, and nobody's address. */
function settled(machine: Machine): void {
  assert.equal(held(machine), 0);
}

describe("DHCP server: Discover to Ack (RFC 2131, 4.3.1)", () => {
  simulate("an offer with all that was said, an ack with the same", (world) => {
    const { machine, client } = bench(
      world,
      ",lease=7200,router=10.0.0.254,dns=10.0.0.2,dns=10.0.0.3,ntp=10.0.0.4,domain=lab.example",
    );
    assert.ok(
      machine.line(/dhcpd: eth0: leasing from=10\.0\.0\.100 to=10\.0\.0\.103 seconds=7200/),
    );
    const offer = client.ask(DISCOVER)!;
    const ack = client.ask(REQUEST, { requested: offer.address, server: offer.server! })!;
    for (const [type, answer] of [
      [OFFER, offer],
      [DHCP_ACK, ack],
    ] as const) {
      assert.equal(answer.type, type);
      assert.equal(answer.xid, 0x1234_5678);
      assert.equal(answer.address, "10.0.0.100");
      assert.equal(answer.server, SERVER);
      const { options } = answer;
      assert.equal(addressIn(options.get(1)), "255.255.255.0");
      assert.equal(addressIn(options.get(3)), "10.0.0.254");
      assert.deepEqual(
        [addressIn(options.get(6)), addressIn(options.get(6), 1)],
        ["10.0.0.2", "10.0.0.3"],
      );
      assert.equal(addressIn(options.get(42)), "10.0.0.4");
      assert.equal(Buffer.from(options.get(15)!).toString(), "lab.example");
      assert.deepEqual(
        [51, 58, 59].map((code) => numberIn(options.get(code))),
        [7200, 3600, 6300],
      );
      // 4.1: without the broadcast flag to the address offered, and the client's station.
      assert.equal(answer.destination, "10.0.0.100");
      assert.equal(answer.station, client.peer.mac);
      assert.equal(answer.port, 68);
    }
    assert.ok(
      machine.line(/dhcpd: eth0: leased address=10\.0\.0\.100 mac=52:54:00:5a:00:32 seconds=7200/),
    );
    assert.equal(counters(machine, "dhcpServer")["leases"], 1);
    settled(machine);
  });

  simulate("4.1: the broadcast flag is heeded", (world) => {
    const { client } = bench(world);
    const offer = client.ask(DISCOVER, { broadcast: true })!;
    assert.deepEqual([offer.destination, offer.station, offer.broadcast], [ALL, STATION_ALL, true]);
  });

  simulate("a client gets the address that it has, had, or asks for, in this order", (world) => {
    const { client } = bench(world);
    const wish = client.lease({ requested: "10.0.0.102" });
    assert.equal(wish.address, "10.0.0.102");
    // It has it: no probe, so at once, whatever it asks for.
    const again = client.ask(DISCOVER, { requested: "10.0.0.101" }, 50 * MILLISECOND)!;
    assert.equal(again.address, "10.0.0.102");
    client.send(RELEASE, { ciaddr: "10.0.0.102", server: SERVER, to: SERVER, station: SERVER_MAC });
    const other = another(world, 51);
    assert.equal(other.lease().address, "10.0.0.100");
    assert.equal(client.lease({ requested: "10.0.0.101" }).address, "10.0.0.102");
    // Somebody else's is not to be had by asking.
    assert.equal(another(world, 52).lease({ requested: "10.0.0.102" }).address, "10.0.0.101");
  });

  simulate("4.2: a client is known by its identifier, which comes back (RFC 6842)", (world) => {
    const { client } = bench(world);
    const [one, two] = [[0, 1, 2, 3], Array.from({ length: 255 }, (_, i) => i)];
    const first = client.lease({ clientId: one });
    assert.deepEqual(first.options.get(61), one);
    assert.equal(client.lease({ clientId: two! }).address, "10.0.0.101");
    const offer = client.ask(DISCOVER, { clientId: two! })!;
    assert.deepEqual(offer.options.get(61), two);
    assert.equal(offer.address, "10.0.0.101");
    assert.equal(client.ask(DISCOVER, { clientId: one })!.address, "10.0.0.100");
    // The usual identifier is the same client as none.
    assert.equal(client.lease().address, "10.0.0.102");
    const usual = [1, ...macBytes(client.peer.mac)];
    assert.equal(client.ask(DISCOVER, { clientId: usual })!.address, "10.0.0.102");
  });

  simulate("a shorter time is granted, a longer one not", (world) => {
    const { client } = bench(world, ",lease=600");
    const time = (lease: number) => numberIn(client.lease({ lease }).options.get(51));
    assert.deepEqual([time(300), time(9000), time(1)], [300, 600, 60]);
  });

  simulate("a station's own address, in the range or not; nobody else gets it", (world) => {
    const fixed = "52:54:00:5a:00:32=10.0.0.101,52:54:00:5a:00:33=10.0.0.7";
    const { client } = bench(world, `,${fixed}`);
    assert.equal(client.lease().address, "10.0.0.101");
    assert.equal(another(world, 51).lease({ clientId: [0, 9, 9] }).address, "10.0.0.7");
    const others = [52, 53, 54].map((number) => another(world, number).lease().address);
    assert.deepEqual(others, ["10.0.0.100", "10.0.0.102", "10.0.0.103"]);
    assert.equal(another(world, 55).ask(DISCOVER, { requested: "10.0.0.101" }), null);
  });
});

describe("DHCP server: probes (RFC 2131, 2.2 and 3.1)", () => {
  simulate("an address that answers ARP is set aside, and another offered", (world) => {
    const { machine, client } = bench(world);
    world.peer("10.0.0.100");
    const offer = client.ask(DISCOVER)!;
    assert.equal(offer.address, "10.0.0.101");
    assert.ok(
      machine.line(
        /another station has an address that was to be offered; set aside address=10\.0\.0\.100 mac=52:54:00:5a:00:64 seconds=600/,
      ),
    );
    assert.equal(counters(machine, "dhcpServer")["conflicts"], 1);
    settled(machine);
  });

  simulate("nobody answers: the offer comes after two probes, 400 ms later", (world) => {
    const { client } = bench(world);
    const watcher = world.peer("10.0.0.9");
    const start = world.simulation.now;
    client.ask(DISCOVER);
    const waited = (world.simulation.now - start) / MILLISECOND;
    assert.ok(waited >= 400 && waited < 420, `${waited}`);
    const probes = watcher.inbox.filter(({ arp }) => arp?.targetIp === "10.0.0.100");
    assert.deepEqual(
      probes.map(({ arp }) => arp!.senderIp),
      ["0.0.0.0", "0.0.0.0"],
    );
  });

  simulate("of many at once each gets an address of its own, or asks again", (world) => {
    const { machine } = bench(world, "", "10.0.0.100-10.0.0.199");
    const clients = Array.from({ length: 30 }, (_, i) => another(world, 60 + i));
    for (const client of clients) client.send(DISCOVER);
    const offers = clients.map((client) => client.answer(500 * MILLISECOND)?.address);
    const found = offers.filter((address) => address !== undefined);
    assert.equal(found.length, 16);
    assert.equal(new Set(found).size, 16);
    for (const [i, client] of clients.entries()) {
      const offer = offers[i] ?? client.ask(DISCOVER)!.address;
      assert.equal(client.ask(REQUEST, { requested: offer, server: SERVER })!.type, DHCP_ACK);
    }
    assert.equal(counters(machine, "dhcpServer")["leases"], 30);
    settled(machine);
  });
});

describe("DHCP server: Request (RFC 2131, 4.3.2)", () => {
  simulate(
    "SELECTING: another server's offer frees ours; what was not offered is refused",
    (world) => {
      const { machine, client } = bench(world);
      client.ask(DISCOVER);
      assert.equal(client.ask(REQUEST, { requested: "10.0.0.100", server: "10.0.0.77" }), null);
      assert.equal(
        another(world, 51).ask(DISCOVER, { requested: "10.0.0.100" })!.address,
        "10.0.0.100",
      );
      client.ask(DISCOVER);
      const refused = client.ask(REQUEST, { requested: "10.0.0.103", server: SERVER })!;
      assert.deepEqual([refused.type, refused.destination, refused.address], [NAK, ALL, "0.0.0.0"]);
      assert.equal(refused.options.has(51), false);
      settled(machine);
    },
  );

  simulate(
    "INIT-REBOOT: its own is confirmed, another network's refused, an unknown one not answered",
    (world) => {
      const { client } = bench(world);
      client.lease();
      assert.equal(client.ask(REQUEST, { requested: "10.0.0.100" })!.type, DHCP_ACK);
      assert.equal(client.ask(REQUEST, { requested: "10.0.0.101" })!.type, NAK);
      const stranger = another(world, 51);
      assert.equal(stranger.ask(REQUEST, { requested: "192.168.7.7" })!.type, NAK);
      assert.equal(stranger.ask(REQUEST, { requested: "10.0.0.102" }), null);
    },
  );

  simulate("RENEWING and REBINDING: extended, and answered to its address", (world) => {
    const { machine, client } = bench(world, ",lease=600");
    client.lease();
    client.peer.ip = "10.0.0.100";
    for (const to of [SERVER, ALL]) {
      world.run(500 * SECOND);
      const ack = client.ask(REQUEST, { ciaddr: "10.0.0.100", to })!;
      assert.deepEqual(
        [ack.type, ack.destination, ack.ciaddr],
        [DHCP_ACK, "10.0.0.100", "10.0.0.100"],
      );
    }
    assert.equal(counters(machine, "dhcpServer")["expired"], 0);
    // After a start of the server a client that uses a free address is believed; one of another's is not.
    const old = another(world, 51);
    old.peer.ip = "10.0.0.102";
    assert.equal(old.ask(REQUEST, { ciaddr: "10.0.0.102", to: SERVER })!.type, DHCP_ACK);
    const thief = another(world, 52);
    assert.equal(thief.ask(REQUEST, { ciaddr: "10.0.0.102" })!.type, NAK);
    assert.equal(thief.ask(REQUEST, { ciaddr: "10.0.0.9" }), null);
  });

  simulate(
    "a lease ends when its time is over; who had it gets it again before others",
    (world) => {
      const { machine, client } = bench(world, ",lease=120");
      client.lease();
      world.run(121 * SECOND);
      assert.deepEqual(
        ["leases", "expired"].map((name) => counters(machine, "dhcpServer")[name]),
        [0, 1],
      );
      const first = another(world, 51);
      assert.equal(first.lease().address, "10.0.0.101");
      assert.equal(client.lease().address, "10.0.0.100");
    },
  );
});

describe("DHCP server: Decline, Release, Inform (RFC 2131, 4.3.3 to 4.3.5)", () => {
  simulate("a declined address is given to nobody for ten minutes", (world) => {
    const { machine, client } = bench(world);
    const { address } = client.lease();
    // Only who has it can decline it.
    another(world, 51).send(DECLINE, { requested: address, server: SERVER });
    world.run(SECOND);
    assert.equal(machine.line(/set aside/), undefined);
    client.send(DECLINE, { requested: address, server: SERVER });
    machine.expectLine(/in use by another station; set aside address=10\.0\.0\.100/, SECOND);
    assert.notEqual(client.lease().address, address);
    assert.equal(another(world, 52).ask(DISCOVER, { requested: address })!.address, "10.0.0.102");
    world.run(11 * MINUTE);
    assert.equal(another(world, 53).ask(DISCOVER, { requested: address })!.address, address);
    settled(machine);
  });

  simulate("Release by who has it alone", (world) => {
    const { machine, client } = bench(world);
    const { address } = client.lease();
    const fields: DhcpQuery = { ciaddr: address, server: SERVER, to: SERVER, station: SERVER_MAC };
    another(world, 51).send(RELEASE, fields);
    world.run(SECOND);
    assert.equal(counters(machine, "dhcpServer")["leases"], 1);
    client.send(RELEASE, fields);
    world.run(SECOND);
    assert.equal(counters(machine, "dhcpServer")["leases"], 0);
  });

  simulate("Inform: parameters, no address and no lease, to ciaddr", (world) => {
    const { client } = bench(world, ",dns=10.0.0.2");
    client.peer.ip = "10.0.0.9";
    const ack = client.ask(INFORM, { ciaddr: "10.0.0.9" })!;
    assert.deepEqual([ack.type, ack.address, ack.destination], [DHCP_ACK, "0.0.0.0", "10.0.0.9"]);
    assert.equal(addressIn(ack.options.get(6)), "10.0.0.2");
    for (const code of [51, 58, 59]) assert.equal(ack.options.has(code), false);
  });
});

describe("DHCP server: relays (RFC 2131, 4.1 and 4.3.1)", () => {
  simulate("the pool of giaddr's subnet; the answer to the relay's port 67", (world) => {
    const { machine } = world.ready({
      ip: `${SERVER}/24`,
      commandLine:
        "gw=10.0.0.254 dhcpd=eth0,10.0.0.100-10.0.0.103 dhcpd=eth0,10.7.0.10-10.7.0.20/16,router=10.7.0.1",
    });
    const relay = new DhcpClient(
      world.peer("10.0.0.254", { alsoAnswers: (ip) => ip.startsWith("10.7.") }),
    );
    const fields: DhcpQuery = {
      giaddr: "10.7.0.1",
      from: "10.7.0.1",
      to: SERVER,
      hardware: "52:54:00:00:00:77",
    };
    const offer = relay.ask(DISCOVER, fields)!;
    assert.deepEqual(
      [offer.type, offer.address, offer.giaddr, offer.destination, offer.port],
      [OFFER, "10.7.0.10", "10.7.0.1", "10.7.0.1", 67],
    );
    assert.equal(addressIn(offer.options.get(1)), "255.255.0.0");
    assert.equal(addressIn(offer.options.get(3)), "10.7.0.1");
    const ack = relay.ask(REQUEST, { ...fields, requested: "10.7.0.10", server: SERVER })!;
    assert.equal(ack.type, DHCP_ACK);
    // 4.3.2: the relay is to broadcast a refusal.
    const nak = relay.ask(REQUEST, { ...fields, requested: "10.8.0.10" })!;
    assert.deepEqual([nak.type, nak.broadcast, nak.destination], [NAK, true, "10.7.0.1"]);
    // A client behind it renews by itself, from there.
    const renewal = relay.ask(REQUEST, {
      ciaddr: "10.7.0.10",
      to: SERVER,
      hardware: "52:54:00:00:00:77",
    })!;
    assert.deepEqual([renewal.type, renewal.destination], [DHCP_ACK, "10.7.0.10"]);
    // A subnet of no pool.
    assert.equal(relay.ask(DISCOVER, { ...fields, giaddr: "10.8.0.1" }), null);
    settled(machine);
  });
});

describe("DHCP server: what does not bring it down", () => {
  simulate("on its own link nobody speaks for another, as a relay or by an address", (world) => {
    const { machine, client } = bench(world);
    const hardware = "02:00:00:00:00:09";
    for (const fields of [
      { giaddr: "10.0.0.9", from: "10.0.0.9" },
      { ciaddr: "10.0.0.101", hardware },
      { hardware },
    ]) {
      client.peer.ip = "10.0.0.9";
      assert.equal(client.ask(REQUEST, { requested: "10.0.0.101", ...fields }), null);
      assert.equal(client.ask(DISCOVER, fields), null);
    }
    assert.equal(counters(machine, "dhcpServer")["ignored"], 6);
    assert.equal(counters(machine, "dhcpServer")["leases"], 0);
  });

  simulate("the pool is used up: said once a minute; an offer not taken up gives way", (world) => {
    const { machine } = bench(world);
    for (const number of [61, 62, 63, 64]) another(world, number).lease();
    for (const number of [65, 66, 67]) assert.equal(another(world, number).ask(DISCOVER), null);
    const said = () => machine.console.filter((line) => line.includes("no address is left")).length;
    assert.equal(said(), 1);
    assert.equal(counters(machine, "dhcpServer")["exhausted"], 3);
    world.run(MINUTE);
    another(world, 68).ask(DISCOVER);
    assert.equal(said(), 2);
  });

  simulate(
    "starvation: Discovers of stations that are none leave room for those that mean it",
    (world) => {
      const { machine, client } = bench(world, "", "10.0.0.100-10.0.0.119");
      const flood = world.peer("10.0.0.66");
      // From one station, in the name of others: not heard.
      const attacker = new DhcpClient(flood);
      for (let i = 0; i < 500; i++) {
        attacker.send(DISCOVER, {
          hardware: `02:00:00:00:${(i >> 8).toString(16)}:${(i & 255).toString(16)}`,
        });
      }
      world.run(SECOND);
      assert.equal(counters(machine, "dhcpServer")["ignored"], 500);
      // Each from a station of its own: bounded by rate, and the oldest offers go.
      for (let i = 0; i < 2000; i++) {
        const mac = `02:00:00:01:${(i >> 8).toString(16).padStart(2, "0")}:${(i & 255).toString(16).padStart(2, "0")}`;
        const payload = query(flood, DISCOVER, { hardware: mac });
        const udp = udpDatagram("0.0.0.0", ALL, { sourcePort: 68, destinationPort: 67, payload });
        const packet = ipv4Packet({
          source: "0.0.0.0",
          destination: ALL,
          protocol: UDP,
          payload: udp,
        });
        flood.sendFrame(ethernet(STATION_ALL, mac, ETHERTYPE_IPV4, packet));
        if (i % 20 === 19) world.run(20 * MILLISECOND);
      }
      assert.ok(counters(machine, "dhcpServer")["limited"]! > 100);
      assert.equal(machine.console.filter((line) => line.includes("more new clients")).length, 1);
      world.run(2 * SECOND);
      assert.ok(client.lease().address.startsWith("10.0.0.1"));
      world.run(2 * MINUTE);
      assert.equal(counters(machine, "dhcpServer")["leases"], 1);
      settled(machine);
    },
  );

  simulate("messages with a part that is wrong", (world) => {
    const { machine, client } = bench(world);
    const good = query(client.peer, DISCOVER);
    const spoil = (at: number, ...values: number[]): Uint8Array => {
      const bytes = Uint8Array.from(good);
      bytes.set(values, at);
      return bytes;
    };
    const wrong = [
      new Uint8Array(0),
      good.slice(0, 239),
      // op, htype, hlen, cookie, chaddr of nobody and of a group.
      spoil(0, 2),
      spoil(1, 6),
      spoil(2, 16),
      spoil(236, 0),
      spoil(28, 0, 0, 0, 0, 0, 0),
      spoil(28, 1),
      // Type: none, of two bytes, unknown; options that run out, or have a length that they cannot have.
      spoil(240, 255),
      spoil(241, 2),
      spoil(242, 99),
      spoil(242, OFFER),
      spoil(243, 50, 255),
      spoil(243, 50, 3, 1, 2, 3, 255),
      spoil(243, 61, 1, 1, 255),
      spoil(243, 54, 0, 255),
    ];
    for (const payload of wrong) {
      const udp = udpDatagram("0.0.0.0", ALL, { sourcePort: 68, destinationPort: 67, payload });
      const packet = ipv4Packet({
        source: "0.0.0.0",
        destination: ALL,
        protocol: UDP,
        payload: udp,
      });
      client.peer.sendFrame(ethernet(STATION_ALL, client.peer.mac, ETHERTYPE_IPV4, packet));
    }
    world.run(SECOND);
    assert.equal(counters(machine, "dhcpServer")["ignored"], wrong.length);
    assert.equal(counters(machine, "dhcpServer")["offers"], 0);
    settled(machine);
  });

  simulate("a card without an address: said what to do", (world) => {
    const { machine } = world.station({
      ip: "dhcp",
      commandLine: "dhcpd=eth0,10.0.0.100-10.0.0.103",
    });
    machine.expectLine(/eth0 link up/, 3 * SECOND);
    const client = another(world, 50);
    assert.equal(client.ask(DISCOVER), null);
    assert.ok(
      machine.line(/dhcpd: eth0: cannot answer, the card has no address: give it one, as in eth1=/),
    );
  });

  simulate(
    "without a pool a broadcast from nobody is dropped as ever (RFC 1122, 3.2.1.3)",
    (world) => {
      const { machine } = world.ready({ ip: `${SERVER}/24` });
      assert.equal(another(world, 50).ask(DISCOVER), null);
      assert.equal(counters(machine, "ip")["badSource"], 1);
    },
  );
});

describe("RARP (RFC 903)", () => {
  const ask = (peer: Peer, operation: number, target = peer.mac): void => {
    const packet = [0, 1, 8, 0, 6, 4, 0, operation, ...macBytes(peer.mac), 0, 0, 0, 0];
    const bytes = Uint8Array.from([...packet, ...macBytes(target), 0, 0, 0, 0]);
    peer.sendFrame(ethernet(STATION_ALL, peer.mac, 0x8035, bytes));
  };

  simulate("a station with an address of its own is told it; others are not", (world) => {
    const { machine } = bench(world, ",52:54:00:5a:00:32=10.0.0.7");
    const heard: { to: string; bytes: number[] }[] = [];
    world.link.observe((bytes) => {
      if (bytes[12] !== 0x80 || bytes[13] !== 0x35 || bytes[21] !== 4) return;
      heard.push({
        to: Buffer.from(bytes.slice(0, 6)).toString("hex"),
        bytes: [...bytes.slice(14, 42)],
      });
    });
    const station = another(world, 50).peer;
    ask(another(world, 51).peer, 3);
    ask(station, 3);
    world.run(SECOND);
    assert.equal(heard.length, 1);
    const [{ to, bytes }] = heard as [(typeof heard)[0]];
    assert.equal(to, Buffer.from(macBytes(station.mac)).toString("hex"));
    assert.deepEqual(bytes, [
      ...[0, 1, 8, 0, 6, 4, 0, 4],
      ...[...macBytes(SERVER_MAC), 10, 0, 0, 1],
      ...[...macBytes(station.mac), 10, 0, 0, 7],
    ]);
    assert.equal(counters(machine, "dhcpServer")["rarpReplies"], 1);
  });

  simulate("ip=rarp: the server of another machine tells it, and it is used", (world) => {
    const { machine: server } = bench(world, ",52:54:00:5a:01:02=10.0.0.7");
    const { machine } = world.station({ ip: "rarp" });
    machine.expectLine(/net: eth0 10\.0\.0\.7\/8 \(rarp, server 10\.0\.0\.1\)/, 5 * SECOND);
    const peer = world.peer("10.0.0.9");
    peer.sendIcmp("10.0.0.7", { type: 8, code: 0, rest: 1, payload: new Uint8Array(8) });
    peer.expectIcmp(0, SECOND);
    assert.equal(held(machine) + held(server), 0);
  });

  simulate("four tries, then DHCP; and a machine leases from a machine", (world) => {
    bench(world);
    const { machine } = world.station({ ip: "rarp" });
    let asked = 0;
    world.link.observe((bytes) => void (bytes[12] === 0x80 && bytes[13] === 0x35 && asked++));
    machine.expectLine(
      /rarp: eth0: nobody knows the address of this station; asking by DHCP requests=4/,
      10 * SECOND,
    );
    assert.equal(asked, 4);
    machine.expectLine(/net: eth0 10\.0\.0\.100\/24 \(dhcp, lease 3600 s\)/, 10 * SECOND);
  });
});
