import {
  ETHERTYPE_IPV4,
  ethernet,
  type Frame,
  ip,
  ipNumber,
  ipv4Packet,
  macBytes,
  UDP,
  udpDatagram,
} from "./frames.ts";
import type { Peer } from "./peer.ts";
import { SECOND, TimeOut } from "./simulation.ts";

const ALL = "255.255.255.255";
const NOBODY = "0.0.0.0";
const COOKIE = [0x63, 0x82, 0x53, 0x63];

/** A server's message, as it came. */
export interface DhcpAnswer {
  type: number;
  xid: number;
  address: string;
  ciaddr: string;
  giaddr: string;
  broadcast: boolean;
  server: string | undefined;
  options: Map<number, number[]>;
  /** Where the frame and the datagram went. */
  station: string;
  destination: string;
  port: number;
}

export interface DhcpQuery {
  xid?: number;
  ciaddr?: string;
  giaddr?: string;
  broadcast?: boolean;
  requested?: string;
  server?: string;
  lease?: number;
  clientId?: number[];
  /** chaddr, where it is not the peer's. */
  hardware?: string;
  /** Sent there and from there, and to that station. */
  to?: string;
  from?: string;
  station?: string;
}

const octets = (address: string): number[] => {
  const value = ipNumber(address);
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
};

/** An address in an option. */
export const addressIn = (value: number[] | undefined, index = 0): string | undefined =>
  value && value.slice(4 * index, 4 * index + 4).join(".");

export const numberIn = (value: number[] | undefined): number | undefined =>
  value?.reduce((sum, octet) => sum * 256 + octet, 0);

/** A client's message (RFC 2131, 2). */
export function query(peer: Peer, type: number, fields: DhcpQuery = {}): Uint8Array {
  const bytes = new Uint8Array(fields.clientId ? 520 : 300);
  bytes.set([1, 1, 6, 0]);
  new DataView(bytes.buffer).setUint32(4, fields.xid ?? 0x1234_5678);
  if (fields.broadcast) bytes[10] = 0x80;
  if (fields.ciaddr) bytes.set(octets(fields.ciaddr), 12);
  if (fields.giaddr) bytes.set(octets(fields.giaddr), 24);
  bytes.set(macBytes(fields.hardware ?? peer.mac), 28);
  bytes.set([...COOKIE, 53, 1, type], 236);
  let at = 243;
  const put = (code: number, value: number[] | undefined) => {
    if (!value) return;
    bytes.set([code, value.length, ...value], at);
    at += 2 + value.length;
  };
  put(50, fields.requested ? octets(fields.requested) : undefined);
  put(54, fields.server ? octets(fields.server) : undefined);
  put(51, fields.lease === undefined ? undefined : [0, 0, fields.lease >> 8, fields.lease & 255]);
  put(61, fields.clientId);
  bytes[at] = 255;
  return bytes;
}

function parseAnswer(frame: Frame): DhcpAnswer {
  const bytes = frame.udp!.payload;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const options = new Map<number, number[]>();
  for (let i = 240; bytes[i] !== 255; i += 2 + bytes[i + 1]!) {
    if (i >= bytes.length) throw new Error("DHCP answer without an end");
    options.set(bytes[i]!, [...bytes.subarray(i + 2, i + 2 + bytes[i + 1]!)]);
  }
  return {
    type: options.get(53)![0]!,
    xid: view.getUint32(4),
    ciaddr: ip(view.getUint32(12)),
    address: ip(view.getUint32(16)),
    giaddr: ip(view.getUint32(24)),
    broadcast: bytes[10] === 0x80,
    server: addressIn(options.get(54)),
    options,
    station: frame.destination,
    destination: frame.ipv4!.destination,
    port: frame.udp!.destinationPort,
  };
}

/** A DHCP client, or relay, in a test's hands, on top of a peer. */
export class DhcpClient {
  constructor(readonly peer: Peer) {}

  send(type: number, fields: DhcpQuery = {}): void {
    const { peer } = this;
    const source = fields.from ?? fields.ciaddr ?? NOBODY;
    const destination = fields.to ?? ALL;
    const sourcePort = fields.giaddr ? 67 : 68;
    const udp = { sourcePort, destinationPort: 67, payload: query(peer, type, fields) };
    const payload = udpDatagram(source, destination, udp);
    const packet = ipv4Packet({ source, destination, protocol: UDP, payload });
    const station = fields.station ?? (destination === ALL ? "ff:ff:ff:ff:ff:ff" : undefined);
    peer.sendFrame(
      ethernet(station ?? peer.resolve(destination), peer.mac, ETHERTYPE_IPV4, packet),
    );
  }

  /** What is answered within `duration`, null if nothing. */
  answer(duration = 2 * SECOND): DhcpAnswer | null {
    const is = (frame: Frame) => frame.udp?.sourcePort === 67;
    try {
      return parseAnswer(this.peer.expect(is, duration));
    } catch (error) {
      if (error instanceof TimeOut) return null;
      throw error;
    }
  }

  /** Sends and gives back the answer. */
  ask(type: number, fields: DhcpQuery = {}, duration?: number): DhcpAnswer | null {
    this.peer.inbox = [];
    this.send(type, fields);
    return this.answer(duration);
  }

  /** Discover, Offer, Request, Ack: the address. */
  lease(fields: DhcpQuery = {}): DhcpAnswer {
    const offer = this.ask(1, fields);
    if (offer?.type !== 2) throw new Error(`${this.peer.name}: no offer`);
    const { address, server } = offer;
    const { clientId, hardware, lease } = fields;
    const same = {
      ...(clientId && { clientId }),
      ...(hardware && { hardware }),
      ...(lease !== undefined && { lease }),
    };
    const ack = this.ask(3, { ...same, requested: address, server: server! });
    if (ack?.type !== 5) throw new Error(`${this.peer.name}: no ack`);
    return ack;
  }
}
