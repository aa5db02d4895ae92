/** Frames for tests, made from the RFCs here, so that none of the image's own code has a part in it. */

export type Bytes = Uint8Array;

export function bytes(...parts: (number | Bytes)[]): Bytes {
  return Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : part)));
}

export function be16(value: number): Bytes {
  return bytes((value >> 8) & 0xff, value & 0xff);
}

export function be32(value: number): Bytes {
  return bytes(be16(value >>> 16), be16(value & 0xffff));
}

export function mac(text: string): Bytes {
  return Buffer.from(text.replaceAll(":", ""), "hex");
}

export function v4(text: string): Bytes {
  return Buffer.from(text.split(".").map(Number));
}

/** RFC 1071. */
export function checksum(...parts: Bytes[]): number {
  const data = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < data.length; at += 2) sum += (data[at]! << 8) + (data[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export function ethernet(to: string, from: string, type: number, payload: Bytes): Bytes {
  return bytes(mac(to), mac(from), be16(type), payload);
}

export interface V4Fields {
  source: string;
  destination: string;
  protocol: number;
  payload: Bytes;
  /** First byte: version and header length. */
  versionAndLength?: number;
  totalLength?: number;
  /** Flags and fragment offset. */
  fragment?: number;
  ttl?: number;
  options?: Bytes;
  checksum?: number;
}

/** An IPv4 packet (RFC 791, 3.1); a field that is given is taken as it is, true or not. */
export function ipv4(fields: V4Fields): Bytes {
  const options = fields.options ?? bytes();
  const length = 20 + options.length;
  const header = Buffer.from(
    bytes(
      fields.versionAndLength ?? 0x40 | (length >> 2),
      0,
      be16(fields.totalLength ?? length + fields.payload.length),
      be16(0x1234),
      be16(fields.fragment ?? 0),
      fields.ttl ?? 64,
      fields.protocol,
      be16(0),
      v4(fields.source),
      v4(fields.destination),
      options,
    ),
  );
  header.writeUInt16BE(fields.checksum ?? checksum(header), 10);
  return bytes(header, fields.payload);
}

function pseudoHeader(
  source: string,
  destination: string,
  protocol: number,
  length: number,
): Bytes {
  return bytes(v4(source), v4(destination), 0, protocol, be16(length));
}

export const enum Flag {
  FIN = 1,
  SYN = 2,
  RST = 4,
  PSH = 8,
  ACK = 16,
}

export interface TcpFields {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgement?: number;
  flags: number;
  options?: Bytes;
  /** Header length in 32-bit words. */
  dataOffset?: number;
  payload?: Bytes;
  checksum?: number;
}

/** A TCP segment (RFC 9293, 3.1) in an IPv4 packet. */
export function tcp(fields: TcpFields): Bytes {
  const options = fields.options ?? bytes();
  const segment = Buffer.from(
    bytes(
      be16(fields.sourcePort),
      be16(fields.destinationPort),
      be32(fields.sequence),
      be32(fields.acknowledgement ?? 0),
      ((fields.dataOffset ?? (20 + options.length) >> 2) & 15) << 4,
      fields.flags & 0xff,
      be16(0xffff),
      be16(0),
      be16(0),
      options,
      fields.payload ?? bytes(),
    ),
  );
  const { source, destination } = fields;
  const sum = checksum(pseudoHeader(source, destination, 6, segment.length), segment);
  segment.writeUInt16BE(fields.checksum ?? sum, 16);
  return ipv4({ source, destination, protocol: 6, payload: segment });
}

export interface UdpFields {
  source: string;
  destination: string;
  sourcePort: number;
  destinationPort: number;
  length?: number;
  payload: Bytes;
  checksum?: number;
}

/** A UDP datagram (RFC 768) in an IPv4 packet. */
export function udp(fields: UdpFields): Bytes {
  const { source, destination, payload } = fields;
  const datagram = Buffer.from(
    bytes(
      be16(fields.sourcePort),
      be16(fields.destinationPort),
      be16(fields.length ?? 8 + payload.length),
      be16(0),
      payload,
    ),
  );
  const sum = checksum(pseudoHeader(source, destination, 17, datagram.length), datagram) || 0xffff;
  datagram.writeUInt16BE(fields.checksum ?? sum, 6);
  return ipv4({ source, destination, protocol: 17, payload: datagram });
}

/** An ICMP message (RFC 792) in an IPv4 packet. */
export function icmp(
  source: string,
  destination: string,
  type: number,
  code: number,
  body: Bytes,
  sum?: number,
): Bytes {
  const message = Buffer.from(bytes(type, code, be16(0), body));
  message.writeUInt16BE(sum ?? checksum(message), 2);
  return ipv4({ source, destination, protocol: 1, payload: message });
}

/** An ARP message (RFC 826) for Ethernet and IPv4. */
export function arp(
  operation: number,
  senderMac: string,
  senderIp: string,
  targetMac: string,
  targetIp: string,
): Bytes {
  const fixed = bytes(be16(1), be16(0x0800), 6, 4, be16(operation));
  return bytes(fixed, mac(senderMac), v4(senderIp), mac(targetMac), v4(targetIp));
}

/** Reproducible numbers: xorshift32. */
export class Random {
  constructor(private state: number) {}

  /** From 0 up to, not including, `below`. */
  next(below: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % below;
  }
}
