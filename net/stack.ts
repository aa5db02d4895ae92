import { Device, DeviceState, Feature, deviceAt, deviceCount } from "../drivers/device";
import { AddressMode, config, EcnMode } from "../kernel/config";
import { DHCPD, RARP } from "../kernel/features";
import { warn } from "../kernel/log";
import { unreserved } from "../kernel/memory";
import { Packet } from "../kernel/packet";
import { random64 } from "../kernel/random";
import { datagramsInit } from "./datagram";
import { dhcpLinkChanged, dhcpRelease, dhcpStart } from "./dhcp/client";
import { rarpLinkChanged, rarpStart } from "./dhcp/rarp";
import { dhcpServerInit, dhcpServerStart } from "./dhcp/server";
import { dhcpv6Init, dhcpv6LinkChanged, dhcpv6Release } from "./dhcpv6/client";
import { hashInit } from "./hash";
import { sendReassemblyTimeout } from "./icmp/error";
import { icmpInit } from "./icmp/icmp";
import {
  Interface,
  LinkKind,
  addInterface,
  interfaceAt,
  interfaceCount,
  interfacesChanged,
  interfacesInit,
} from "./interface";
import { forwardForesee, forwardForeseen } from "./ip/foresight";
import { ipv4Input } from "./ip/input";
import { ipv6Input } from "./ip/input6";
import { reassemblyInit } from "./ip/reassembly";
import { conflictLinkUp } from "./link/conflict";
import { ethernetInput } from "./link/ethernet";
import { neighboursFlush, neighboursInit } from "./link/neighbour";
import { linkCrowded, linkEase } from "./link/output";
import { igmpInit } from "./igmp/igmp";
import { groupsFilter } from "./ip/groups";
import { listenersInit, listenersLinkUp } from "./ip/listener";
import { rawInit } from "./raw/raw";
import { redirectsFlush, redirectsInit } from "./route/redirect";
import { routesInit } from "./route/table";
import { mdnsEnd } from "./mdns/responder";
import { advertiseEnd } from "./ndp/advertise";
import { bridgeInput } from "./virtual/bridge";
import {
  kindOf,
  virtualsFollow,
  virtualsJoin,
  virtualsOutput,
  virtualsStart,
} from "./virtual/links";
import { v6LinkChanged, v6Start, v6StaticStart } from "./ndp/link";
import { ndpInit } from "./ndp/ndp";
import { linkStart, staticStart } from "./static";
import { ecnDefault } from "./tcp/ecn/ecn";
import { tcpForesee } from "./tcp/foresight";
import { tcpInit, tcpOutput } from "./tcp/tcp";
import { udpInit } from "./udp/udp";

/**
 * The stack as a whole: what the run loop calls. Packets come up in `netInput`, a device's batch at
 * a time; what transports have to say goes down in `netOutput`, once a step.
 */

/** UDP endpoints that programs and the stack itself may have. */
const UDP_ENDPOINTS: u32 = 512;
/** Raw endpoints, likewise. */
const RAW_ENDPOINTS: u32 = 64;
/** Of the endpoints that programs may have: those that are no connections. */
export const DATAGRAM_ENDPOINTS: u32 = UDP_ENDPOINTS + RAW_ENDPOINTS;

/**
 * Bytes that a TCP connection costs in all tables together, more or less: each of the first, which
 * have a working part of their own (net/tcp/work.ts), and each beyond.
 */
const FIRST_BYTES: u32 = 1280;
const FIRST: u32 = 1024;
const CONNECTION_BYTES: u32 = 384;
const CONNECTIONS_MIN: u32 = 128;

/** Endpoints that programs may have: connections with the datagram ones, at most `most` together. */
export function endpointCapacity(most: u32): u32 {
  const share = unreserved() >> 2;
  const first = min<u32>(share / FIRST_BYTES, FIRST);
  const connections = first + (share - first * FIRST_BYTES) / CONNECTION_BYTES;
  return min<u32>(max<u32>(connections, CONNECTIONS_MIN) + DATAGRAM_ENDPOINTS, most);
}

/** Sets up every layer for so many `endpoints` and configures the interfaces. After the drivers. */
export function netInit(endpoints: u32): void {
  hashInit(random64());
  interfacesInit();
  neighboursInit();
  routesInit(config.routes);
  redirectsInit();
  icmpInit();
  reassemblyInit(sendReassemblyTimeout);
  listenersInit();
  igmpInit();
  ndpInit();
  dhcpv6Init();
  datagramsInit();
  udpInit(UDP_ENDPOINTS);
  if (DHCPD) dhcpServerInit();
  rawInit(RAW_ENDPOINTS);
  ecnDefault(<EcnMode>config.ecn);
  tcpInit(endpoints - DATAGRAM_ENDPOINTS);
  virtualsStart();
  const nics = addInterfaces();
  if (!nics) warn("net").text("no network device found: give the machine a NIC (NIC=e1000)").end();
  else if (!firstNic()) warn("net").text("no network device could be started").end();
}

/** Adds the interfaces of devices that are new, and configures them; returns how many NICs they are. */
function addInterfaces(): u32 {
  let nics: u32 = 0;
  for (let i = interfaceCount(); i < deviceCount(); i++) {
    const device = deviceAt(i);
    const kind = kindOf(device);
    const iface = addInterface(device, kind);
    if (!(device.features & Feature.Virtual)) nics++;
    virtualsJoin(iface);
    if (kind == LinkKind.Loopback || kind == LinkKind.Port) continue;
    const own = linkStart(iface);
    const ethernet = kind == LinkKind.Ethernet;
    if (!own && ethernet && config.mode == AddressMode.Dhcp) dhcpStart(iface);
    if (RARP && !own && ethernet && config.mode == AddressMode.Rarp) rarpStart(iface);
    if (DHCPD) dhcpServerStart(iface);
    v6Start(iface);
    groupsFilter(iface);
  }
  configureFirst();
  return nics;
}

/** Gives the configured addresses to the first NIC that runs, unless one has them already. */
function configureFirst(): void {
  const nic = firstNic();
  if (!nic) return;
  if (config.mode != AddressMode.Dhcp) staticStart(interfaceAt(nic - 1));
  v6StaticStart(interfaceAt(nic - 1));
}

/** The number of the first NIC that runs, from 1; 0 for none. */
function firstNic(): u32 {
  for (let i: u32 = 0; i < interfaceCount(); i++) {
    const device = deviceAt(i);
    const nic = interfaceAt(i).kind == LinkKind.Ethernet;
    if (nic && device.state == DeviceState.Running) return i + 1;
  }
  return 0;
}

/** Gives back what servers have leased, for the machine is about to be off. Whether there was something to give. */
export function netLeave(): bool {
  let left = false;
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    if (dhcpRelease(interfaceAt(i))) left = true;
    if (dhcpv6Release(interfaceAt(i))) left = true;
  }
  return left;
}

/** Takes what `device` has received. */
export function netInput(device: Device, _now: u64): void {
  const iface = interfaceAt(device.index);
  if (iface.kind == LinkKind.Ethernet) {
    // What a router sends on has no connections here.
    if (config.forwarding) forwardForesee(iface);
    else tcpForesee(device.received.head, device.received.length, iface.zone);
    ethernetInput(iface);
    if (config.forwarding) forwardForeseen(iface);
    return;
  }
  if (iface.kind == LinkKind.Port) return bridgeInput(iface);
  const received = device.received;
  for (let packet = received.pop(); packet !== null; packet = received.pop()) {
    if (isIpv6(packet)) ipv6Input(iface, packet);
    else ipv4Input(iface, packet);
  }
}


@inline function isIpv6(packet: Packet): bool {
  return load<u8>(packet.data) >> 4 == 6;
}

/**
 * Sees to links that changed, has transports send, and rings each device's doorbell once. Whether
 * there is more to send as soon as a device has room: call again, with what has come in meanwhile.
 */
export function netOutput(now: u64): bool {
  const more = tcpOutput(now);
  if (deviceCount() != interfaceCount()) addInterfaces();
  virtualsOutput();
  for (let i: u32 = 0, n = interfaceCount(); i < n; i++) {
    const iface = interfaceAt(i);
    if (iface.linkChanges != iface.device.linkChanges) linkChanged(iface);
    if (iface.device.pendingLength) iface.device.transmit();
  }
  if (more) linkEase();
  return more && !linkCrowded();
}

/** The machine is about to end: who relies on us is told. */
export function netEnd(): void {
  advertiseEnd();
  mdnsEnd();
}

/** RFC 1122, 3.3.1 leaves it to the link layer to say; every layer that holds on to a link hears it. */
function linkChanged(iface: Interface): void {
  const device = iface.device;
  iface.linkChanges = device.linkChanges;
  iface.up = device.linkUp;
  iface.mtu = min<u32>(iface.mtu, device.mtu);
  virtualsFollow(iface);
  configureFirst();
  interfacesChanged();
  neighboursFlush(iface);
  redirectsFlush(iface);
  dhcpLinkChanged(iface);
  if (RARP) rarpLinkChanged(iface);
  if (iface.up) conflictLinkUp(iface);
  dhcpv6LinkChanged(iface);
  v6LinkChanged(iface);
  if (!iface.up || iface.kind == LinkKind.Port) return;
  groupsFilter(iface);
  listenersLinkUp(iface);
}
