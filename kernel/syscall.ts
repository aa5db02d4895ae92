import { Domain, Layout, Statistics, Syscall } from "../sdk/assembly/syscalls";
import { dhcpNtpList } from "../net/dhcp/client";
import { DhcpServerStats, DhcpStats, dhcpServerStats, dhcpStats } from "../net/dhcp/stats";
import { Dhcpv6Stats, dhcpv6Stats } from "../net/dhcpv6/stats";
import { resolve, resolveEnd, resolved } from "../net/dns/resolver";
import { DnsStats, dnsStats } from "../net/dns/stats";
import { IcmpStats, icmpStats, icmpv6Stats } from "../net/icmp/stats";
import { Interface, interfaceAt } from "../net/interface";
import { IpStats, ipStats, ipv6Stats } from "../net/ip/stats";
import { ArpStats, arpStats } from "../net/link/arp";
import { NeighbourStats, neighbourStats } from "../net/link/neighbour";
import { NdpStats, ndpStats } from "../net/ndp/stats";
import { RawStats, rawStats } from "../net/raw/stats";
import { extentsTaken } from "../net/tcp/queues/sendqueue";
import { TcpStats, tcpStats } from "../net/tcp/stats";
import { UdpStats, udpStats } from "../net/udp/stats";
import { VirtualStats, virtualStats } from "../net/virtual/stats";
import { CopyStats, copyStats } from "./copies";
import * as devices from "./devices";
import { Errno } from "./errno";
import { NAMES } from "./features";
import { unreserved } from "./memory";
import { OWNERS, POOLS, poolOf } from "./packet";
import * as sockets from "./socket";
import { SocketAddress } from "./socket";
import { timersArmed } from "./timer";

/**
 * The system calls: numbers and contract in sdk/assembly/syscalls.ts. This file is the border:
 * every pointer from a caller passes `memoryOf`, which is also where an address of a guest's own
 * memory becomes one of the kernel's.
 */

/** Lowest address that can be anybody's: page 0 is nobody's. */
const FIRST: u32 = 4096;
const scratch: usize = memory.data(64, 8);

/** The kernel's address of `length` bytes at the caller's `address`, or 0 if they are not its own. */
function memoryOf(address: u32, length: u32): usize {
  const end = <u64>address + length;
  return address >= FIRST && end <= (<u64>memory.size()) << 16 ? <usize>address : 0;
}

function addressOf(address: u32): SocketAddress | null {
  return changetype<SocketAddress | null>(memoryOf(address, Layout.Address));
}

/** The bytes that a count may name at most: results are signed. */
@inline function bounded(length: u32): u32 {
  return min<u32>(length, i32.MAX_VALUE);
}

/** One call of a program: `number` is a `Syscall`; returns its result or `-Errno`. */
export function syscall(number: u32, a0: u32, a1: u32, a2: u32, a3: u32, a4: u32): i32 {
  switch (number) {
    case Syscall.Socket:
      return sockets.socket(a0, a1 ? a1 : Domain.Inet, a2);
    case Syscall.Bind: {
      const address = addressOf(a1);
      return address === null ? -Errno.EFAULT : sockets.bind(a0, address);
    }
    case Syscall.Listen:
      return sockets.listen(a0, a1);
    case Syscall.Accept:
      return accept(a0, a1);
    case Syscall.Connect: {
      const address = addressOf(a1);
      return address === null ? -Errno.EFAULT : sockets.connect(a0, address);
    }
    case Syscall.Send: {
      const length = bounded(a2);
      const from = memoryOf(a1, length);
      return from ? sockets.send(a0, from, length, a3) : -Errno.EFAULT;
    }
    case Syscall.Receive: {
      const length = bounded(a2);
      const into = memoryOf(a1, length);
      return into ? sockets.receive(a0, into, length, a3) : -Errno.EFAULT;
    }
    case Syscall.SendTo: {
      const length = bounded(a2);
      const from = memoryOf(a1, length);
      const address = addressOf(a3);
      return from && address !== null
        ? sockets.sendTo(a0, from, length, address, a4)
        : -Errno.EFAULT;
    }
    case Syscall.ReceiveFrom: {
      const length = bounded(a2);
      const into = memoryOf(a1, length);
      const address = addressOf(a3);
      return into && (address !== null || !a3)
        ? sockets.receiveFrom(a0, into, length, address)
        : -Errno.EFAULT;
    }
    case Syscall.Shutdown:
      return sockets.shutdown(a0, a1);
    case Syscall.Close:
      return sockets.close(a0);
    case Syscall.LocalAddress: {
      const address = addressOf(a1);
      return address === null ? -Errno.EFAULT : sockets.localAddress(a0, address);
    }
    case Syscall.PeerAddress: {
      const address = addressOf(a1);
      return address === null ? -Errno.EFAULT : sockets.peerAddress(a0, address);
    }
    case Syscall.SetOption:
      return sockets.setOption(a0, a1, a2);
    case Syscall.GetOption:
      return sockets.getOption(a0, a1);
    case Syscall.Poll:
      return poll(a0, a1);
    case Syscall.Statistics:
      return statistics(a0, a1, a2, a3);
    case Syscall.Events:
      return sockets.events(a0);
    case Syscall.SetOptionData: {
      const length = bounded(a3);
      const from = memoryOf(a2, length);
      return from ? sockets.setOptionData(a0, a1, from, length) : -Errno.EFAULT;
    }
    case Syscall.GetOptionData: {
      const length = bounded(a3);
      const into = memoryOf(a2, length);
      return into ? sockets.getOptionData(a0, a1, into, length) : -Errno.EFAULT;
    }
    case Syscall.Lease:
      return lease(a0, a1);
    case Syscall.Release:
      return sockets.release(a0);
    case Syscall.SendLease:
      return sendLease(a0, a1, a2);
    case Syscall.Abort:
      return sockets.abort(a0);
    case Syscall.DeviceCount:
      return devices.count();
    case Syscall.DeviceInfo: {
      const into = memoryOf(a1, Layout.Device);
      return into ? devices.info(a0, into) : -Errno.EFAULT;
    }
    case Syscall.DeviceControl:
      return devices.control(a0, a1, a2);
    case Syscall.DeviceRescan:
      return devices.rescan();
    case Syscall.Resolve: {
      const from = memoryOf(a0, bounded(a1));
      if (!NAMES) return -Errno.ENOSYS;
      return from ? resolve(from, bounded(a1), a2, 0, 0) : -Errno.EFAULT;
    }
    case Syscall.Resolved: {
      const into = memoryOf(a1, bounded(a2));
      if (!NAMES) return -Errno.ENOSYS;
      if (!into) return -Errno.EFAULT;
      return resolved(a0, into, bounded(a2));
    }
    case Syscall.ResolveEnd:
      if (!NAMES) return -Errno.ENOSYS;
      resolveEnd(a0);
      return 0;
    default:
      return -Errno.ENOSYS;
  }
}

function accept(number: u32, into: u32): i32 {
  const address = addressOf(into);
  if (address === null && into) return -Errno.EFAULT;
  const accepted = sockets.accept(number);
  if (accepted > 0 && address !== null) sockets.peerAddress(accepted, address);
  return accepted;
}

function lease(number: u32, into: u32): i32 {
  const at = memoryOf(into, Layout.Lease);
  if (!at) return -Errno.EFAULT;
  const length = sockets.lease(number);
  if (length > 0) {
    store<u32>(at, sockets.leaseNumber());
    store<u32>(at, <u32>sockets.runAddress(), 4);
    store<u32>(at, length, 8);
  }
  return length;
}

/** An address of 0 is the peer's. */
function sendLease(number: u32, lease: u32, to: u32): i32 {
  const address = to ? addressOf(to) : null;
  return to && address === null ? -Errno.EFAULT : sockets.sendLease(number, lease, address);
}

function poll(into: u32, count: u32): i32 {
  count = min<u32>(count, sockets.SOCKETS_MAX);
  let at = memoryOf(into, count * Layout.Ready);
  if (!at) return -Errno.EFAULT;
  let written: u32 = 0;
  for (; written < count; written++) {
    const number = sockets.nextReady();
    if (!number) break;
    store<u32>(at, number);
    store<u32>(at, sockets.readyEvents(), 4);
    at += Layout.Ready;
  }
  return written;
}

function statistics(what: u32, into: u32, length: u32, index: u32): i32 {
  const at = memoryOf(into, bounded(length));
  if (!at) return -Errno.EFAULT;
  switch (what) {
    case Statistics.Pools: {
      const pools = min<u32>(length / Layout.Pool, POOLS);
      for (let id: u32 = 0; id < pools; id++) writePool(at + <usize>id * Layout.Pool, id);
      return pools * Layout.Pool;
    }
    case Statistics.Tcp:
      return copy(at, length, changetype<usize>(tcpStats), offsetof<TcpStats>());
    case Statistics.Ip:
      return copy(at, length, changetype<usize>(ipStats), offsetof<IpStats>());
    case Statistics.Icmp:
      return copy(at, length, changetype<usize>(icmpStats), offsetof<IcmpStats>());
    case Statistics.Udp:
      return copy(at, length, changetype<usize>(udpStats), offsetof<UdpStats>());
    case Statistics.Arp:
      return copy(at, length, changetype<usize>(arpStats), offsetof<ArpStats>());
    case Statistics.Neighbours:
      return copy(at, length, changetype<usize>(neighbourStats), offsetof<NeighbourStats>());
    case Statistics.Dhcp:
      return copy(at, length, changetype<usize>(dhcpStats), offsetof<DhcpStats>());
    case Statistics.DhcpServer: {
      const from = changetype<usize>(dhcpServerStats);
      return copy(at, length, from, offsetof<DhcpServerStats>());
    }
    case Statistics.Ntp:
      return dhcpNtpList(at, length);
    case Statistics.Dhcpv6:
      return copy(at, length, changetype<usize>(dhcpv6Stats), offsetof<Dhcpv6Stats>());
    case Statistics.Dns:
      return copy(at, length, changetype<usize>(dnsStats), offsetof<DnsStats>());
    case Statistics.Ipv6:
      return copy(at, length, changetype<usize>(ipv6Stats), offsetof<IpStats>());
    case Statistics.Icmpv6:
      return copy(at, length, changetype<usize>(icmpv6Stats), offsetof<IcmpStats>());
    case Statistics.Ndp:
      return copy(at, length, changetype<usize>(ndpStats), offsetof<NdpStats>());
    case Statistics.Raw:
      return copy(at, length, changetype<usize>(rawStats), offsetof<RawStats>());
    case Statistics.Virtual:
      return copy(at, length, changetype<usize>(virtualStats), offsetof<VirtualStats>());
    case Statistics.Copies:
      return copy(at, length, changetype<usize>(copyStats), offsetof<CopyStats>());
    case Statistics.Link: {
      const counters = offsetof<Interface>("runts");
      const from = changetype<usize>(interfaceAt(0)) + counters;
      return copy(at, length, from, offsetof<Interface>() - counters);
    }
    case Statistics.Sockets:
      store<u32>(scratch, sockets.socketsOpen());
      store<u32>(scratch, sockets.socketCapacity(), 4);
      return copy(at, length, scratch, 8);
    case Statistics.Resources:
      store<u32>(scratch, timersArmed());
      store<u32>(scratch, extentsTaken(), 4);
      store<u32>(scratch, unreserved(), 8);
      return copy(at, length, scratch, 12);
    case Statistics.Device: {
      const from = devices.counters(index);
      return from ? copy(at, length, from, devices.countersLength()) : -Errno.ENODEV;
    }
    default:
      return -Errno.EINVAL;
  }
}

function copy(into: usize, length: u32, from: usize, size: usize): i32 {
  const count = min<u32>(length, <u32>size);
  memory.copy(into, from, count);
  return count;
}

function writePool(at: usize, id: u32): void {
  const pool = poolOf(id);
  store<u32>(at, pool.slots);
  store<u32>(at, pool.slotBytes, 4);
  store<u32>(at, pool.refused, 8);
  store<u32>(at, pool.lowest, 12);
  for (let owner: u32 = 0; owner < <u32>OWNERS; owner++) {
    store<u32>(at + ((<usize>owner) << 2), pool.owned(owner), 16);
  }
}
